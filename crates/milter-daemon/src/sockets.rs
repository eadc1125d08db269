//! Where mail and metrics come in: sockets handed over by the service manager, or opened here.
//!
//! They are opened while the process still has the rights it was started with, and before it has more than
//! one thread; see `privileges`.

use std::net::TcpListener;

use listenfd::ListenFd;
use mailwarden_settings::Settings;
use milter_proto::listen::{DetachedListener, ListenAddress, SocketAccess};

use crate::{GateError, accounts};

/// Open sockets that nobody serves yet.
pub(crate) struct Sockets {
    pub(crate) milter: DetachedListener,
    /// Where the milter socket is, in the words of an MTA's configuration.
    pub(crate) address: String,
    pub(crate) metrics: Option<TcpListener>,
}

impl Sockets {
    /// Takes what the service manager hands over (`LISTEN_FDS`), else opens what the settings name.
    pub(crate) fn open(settings: &Settings) -> Result<Self, GateError> {
        let (milter, address) = match handed_over()? {
            Some(milter) => (milter, "the socket of the service manager".to_owned()),
            None => bind(settings)?,
        };
        Ok(Self { milter, address, metrics: metrics(settings)? })
    }
}

/// Checks the settings that concern sockets, without opening any.
pub(crate) fn check(settings: &Settings) -> Result<(), GateError> {
    settings.gate.listen.parse::<ListenAddress>()?;
    access(settings).map(drop)
}

fn handed_over() -> Result<Option<DetachedListener>, GateError> {
    let mut handed = ListenFd::from_env();
    match handed.len() {
        0 => return Ok(None),
        1 => {}
        many => {
            let text = format!(
                "the service manager handed over {many} sockets; the gate serves one: keep one \
                                ListenStream= in its socket unit"
            );
            return Err(GateError::Configuration(text));
        }
    }
    // A socket of the other family says so by an error, and stays to be taken.
    if let Ok(Some(listener)) = handed.take_unix_listener(0) {
        return Ok(Some(DetachedListener::Unix { listener, file: None }));
    }
    match handed.take_tcp_listener(0) {
        Ok(Some(listener)) => Ok(Some(DetachedListener::Tcp(listener))),
        Ok(None) => Ok(None),
        Err(error) => Err(GateError::Configuration(format!(
            "the service manager handed over something that is no listening socket: {error}; write \
             ListenStream= in its socket unit"
        ))),
    }
}

/// The runtime of this moment is gone, with its threads, when this returns.
fn bind(settings: &Settings) -> Result<(DetachedListener, String), GateError> {
    let wanted: ListenAddress = settings.gate.listen.parse()?;
    let access = access(settings)?;
    let failed = |source| GateError::Bind { address: wanted.to_string(), source };
    let runtime = crate::runtime()?;
    let listener = runtime.block_on(wanted.bind(access)).map_err(failed)?;
    let address = listener.tcp_address().map_or_else(|| wanted.to_string(), |bound| format!("inet:{bound}"));
    let detached =
        listener.detach().map_err(|error| GateError::Socket { address: address.clone(), error })?;
    Ok((detached, address))
}

fn access(settings: &Settings) -> Result<SocketAccess, GateError> {
    let gate = &settings.gate;
    let mode =
        u32::from_str_radix(&gate.socket_mode, 8).ok().filter(|mode| *mode <= 0o777).ok_or_else(|| {
            GateError::Configuration(format!(
                "`socket_mode = \"{}\"` is not an octal mode such as \"0660\"",
                gate.socket_mode
            ))
        })?;
    let owner = accounts::user("socket_owner", &gate.socket_owner)?.map(|user| user.uid);
    Ok(SocketAccess { mode, owner, group: accounts::group("socket_group", &gate.socket_group)? })
}

fn metrics(settings: &Settings) -> Result<Option<TcpListener>, GateError> {
    let address = &settings.metrics.listen;
    if address.is_empty() {
        return Ok(None);
    }
    let open = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    open().map(Some).map_err(|source| GateError::Metrics { address: address.clone(), source })
}
