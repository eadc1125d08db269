//! The tokio server: one task per connection, on any runtime.
//!
//! When the connections are at their limit no more are accepted: the MTA then waits in the backlog, which it
//! survives, where a refusal would have become its default action. Strangers are closed quietly and counted.

mod connection;
mod counters;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::closing::CloseReason;
use crate::filter::Filter;
use crate::frame::DEFAULT_FRAME_CAP;
use crate::listen::{Accepted, Listener};
use crate::macros::MacroLimits;
use crate::negotiate::Wanted;
use crate::session::AnswerError;

use connection::Connection;
pub use counters::{Counters, Snapshot};

/// How long to wait after the system refused to accept, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a server allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Connections at one time; further ones wait in the backlog.
    pub max_connections: usize,
    /// How long a connection may be silent. An SMTP client may idle between messages for as long as the MTA
    /// lets it, so this is libmilter's 7210 s.
    pub idle_timeout: Duration,
    /// How long a peer may take to negotiate.
    pub negotiation_timeout: Duration,
    /// How long a peer may take to accept our replies.
    pub write_timeout: Duration,
    /// How long messages under way may take to finish once the server is told to stop.
    pub drain_deadline: Duration,
    /// At the end of a message, how often to tell the MTA that we are still at it; its patience is 300 s.
    pub progress_interval: Duration,
    /// The longest frame.
    pub frame_cap: u32,
    /// How many macros a session remembers.
    pub macro_limits: MacroLimits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            idle_timeout: Duration::from_secs(7_210),
            negotiation_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            drain_deadline: Duration::from_secs(30),
            progress_interval: Duration::from_secs(60),
            frame_cap: DEFAULT_FRAME_CAP,
            macro_limits: MacroLimits::default(),
        }
    }
}

/// Who is at the other end of the socket: the MTA, not the SMTP client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerAddress {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over a Unix-domain socket.
    Unix,
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(formatter, "{address}"),
            Self::Unix => formatter.write_str("unix"),
        }
    }
}

/// Hears of what concerns the server rather than one filter, for the log. [`Counters`] count regardless.
pub trait ServerEvents: Send + Sync + 'static {
    /// A connection is over, with or without a filter having been made for it.
    fn connection_closed(&self, peer: &PeerAddress, why: &CloseReason) {
        let _ = (peer, why);
    }

    /// A filter's answer could not be given as it was and a temporary refusal went out instead.
    fn answer_replaced(&self, peer: &PeerAddress, why: &AnswerError) {
        let _ = (peer, why);
    }

    /// A connection could not be accepted.
    fn accept_failed(&self, why: &io::Error) {
        let _ = why;
    }
}

impl ServerEvents for () {}

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that finished what they were at.
    pub finished: usize,
    /// Connections that were cut off at the deadline; the MTA tries those messages again.
    pub cut_off: usize,
}

/// A server that makes one filter per connection.
pub struct Server<M> {
    listener: Listener,
    shared: Shared<M>,
}

pub(crate) struct Shared<M> {
    wanted: Arc<Wanted>,
    make_filter: M,
    options: Options,
    counters: Arc<Counters>,
    events: Arc<dyn ServerEvents>,
}

impl<M, F> Server<M>
where
    M: Fn(&PeerAddress) -> F + Send + Sync + 'static,
    F: Filter + 'static,
{
    /// A server with default options. `make_filter` is called once a peer has negotiated, and again when the
    /// MTA begins a further SMTP connection on the same socket.
    pub fn new(listener: Listener, wanted: Wanted, make_filter: M) -> Self {
        let shared = Shared {
            wanted: Arc::new(wanted),
            make_filter,
            options: Options::default(),
            counters: Arc::default(),
            events: Arc::new(()),
        };
        Self { listener, shared }
    }

    /// Sets what is allowed.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        self.shared.options = options;
        self
    }

    /// Counts into counters that others read, or that several servers share.
    #[must_use]
    pub fn with_counters(mut self, counters: Arc<Counters>) -> Self {
        self.shared.counters = counters;
        self
    }

    /// Tells an observer.
    #[must_use]
    pub fn with_events(mut self, events: Arc<dyn ServerEvents>) -> Self {
        self.shared.events = events;
        self
    }

    /// Serves until `stop` holds true or its sender is gone. Then the listener is closed at once, messages
    /// under way are finished, and every connection without one is closed.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> Drained {
        let Self { listener, shared } = self;
        let shared = Arc::new(shared);
        let connections = accept_until_stopped(&listener, &shared, &mut stop).await;
        drop(listener);
        drain(connections, shared.options.drain_deadline).await
    }
}

async fn accept_until_stopped<M, F>(
    listener: &Listener,
    shared: &Arc<Shared<M>>,
    stop: &mut watch::Receiver<bool>,
) -> JoinSet<()>
where
    M: Fn(&PeerAddress) -> F + Send + Sync + 'static,
    F: Filter + 'static,
{
    let mut connections = JoinSet::new();
    let limit = shared.options.max_connections.max(1);
    let signal = stop.clone();
    // Waited for once: to register anew for every connection costs as much as accepting it.
    let mut told = pin!(told_to_stop(stop));
    loop {
        reap(&mut connections);
        let has_room = connections.len() < limit;
        tokio::select! {
            biased;
            () = &mut told => break,
            accepted = listener.accept(), if has_room => match accepted {
                Ok(Accepted::Tcp(stream, peer)) => {
                    spawn(&mut connections, stream, PeerAddress::Tcp(peer), shared, &signal);
                }
                Ok(Accepted::Unix(stream)) => {
                    spawn(&mut connections, stream, PeerAddress::Unix, shared, &signal);
                }
                Err(error) => pause_after(&error, shared).await,
            },
            _ = connections.join_next(), if !has_room => {}
        }
    }
    reap(&mut connections);
    connections
}

/// Forgets connections that are over. Doing so at the next accept, rather than waiting for each end, spares a
/// wake-up per connection.
fn reap(connections: &mut JoinSet<()>) {
    while connections.try_join_next().is_some() {}
}

/// Ends when told to stop, or when nobody is left who could tell.
pub(crate) async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stopping| *stopping).await);
}

fn spawn<S, M, F>(
    connections: &mut JoinSet<()>,
    stream: S,
    peer: PeerAddress,
    shared: &Arc<Shared<M>>,
    stop: &watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    M: Fn(&PeerAddress) -> F + Send + Sync + 'static,
    F: Filter + 'static,
{
    let connection = Connection::new(stream, peer, Arc::clone(shared));
    // Boxed: a task is moved a dozen times on its way into the runtime and out of it, and this one has kilobytes.
    connections.spawn(Box::pin(connection.run(stop.clone())));
}

/// A client that left before it was accepted is no reason to wait; a lack of descriptors is.
async fn pause_after<M>(error: &io::Error, shared: &Shared<M>) {
    shared.counters.accept_failed();
    shared.events.accept_failed(error);
    let left_already = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    );
    if !left_already {
        sleep(ACCEPT_PAUSE).await;
    }
}

async fn drain(mut connections: JoinSet<()>, deadline: Duration) -> Drained {
    let mut finished = 0;
    let all = async {
        while connections.join_next().await.is_some() {
            finished += 1;
        }
    };
    let in_time = timeout(deadline, all).await.is_ok();
    let cut_off = if in_time { 0 } else { connections.len() };
    connections.shutdown().await;
    Drained { finished, cut_off }
}
