//! Where a filter listens: addresses as mail administrators write them, and sockets that are ready to use.
//!
//! | written | means |
//! |---|---|
//! | `inet:HOST:PORT`, `inet:PORT@HOST` | TCP; a name or an address, IPv6 in brackets before a colon |
//! | `inet6:[::1]:PORT`, `inet6:PORT@::1` | TCP over IPv6 |
//! | `unix:PATH`, `local:PATH`, `/PATH` | a Unix-domain socket |
//!
//! A Unix socket appears under its name with mode, owner and group already set, and replaces a stale one in the same
//! instant. One that answers is left alone.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: u32 = 4_096;
/// `sun_path` on Linux, without its NUL.
const MAX_UNIX_PATH: usize = 107;
/// How many names are tried for the folder in which a socket is prepared.
const STAGING_ATTEMPTS: usize = 16;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// TCP.
    Inet {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
        /// IPv6 only, as `inet6:` demands.
        v6_only: bool,
    },
    /// A Unix-domain socket.
    Unix(PathBuf),
}

/// An address that cannot be read. A matter of configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Neither a scheme nor a path.
    #[error("{0:?} is no listen address: write inet:HOST:PORT or unix:/PATH")]
    UnknownScheme(String),
    /// No host, or no port.
    #[error("{0:?} lacks a host or a port: write inet:HOST:PORT, for example inet:127.0.0.1:8891")]
    Incomplete(String),
    /// The port is no number from 0 to 65535.
    #[error("{0:?} is no port: write a number from 0 to 65535")]
    Port(String),
    /// Bare colons leave open where the port begins.
    #[error("{0:?} is ambiguous: write an IPv6 address in brackets, for example inet6:[::1]:8891")]
    BareIpv6(String),
    /// The path is empty or longer than the system allows.
    #[error("{0:?} cannot be the path of a socket: it must have 1 to {MAX_UNIX_PATH} octets and no NUL")]
    Path(PathBuf),
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.split_once(':') {
            Some(("inet", rest)) => parse_inet(rest, false),
            Some(("inet6", rest)) => parse_inet(rest, true),
            Some(("unix" | "local", path)) => parse_path(path),
            _ if text.starts_with('/') => parse_path(text),
            _ => Err(AddressError::UnknownScheme(text.to_owned())),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Self::Inet { host, port, v6_only } => {
                let scheme = if *v6_only { "inet6" } else { "inet" };
                if host.contains(':') {
                    write!(formatter, "{scheme}:[{host}]:{port}")
                } else {
                    write!(formatter, "{scheme}:{host}:{port}")
                }
            }
        }
    }
}

fn parse_inet(rest: &str, v6_only: bool) -> Result<ListenAddress, AddressError> {
    let incomplete = || AddressError::Incomplete(rest.to_owned());
    let (host, port) = match rest.split_once('@') {
        Some((port, host)) => (host, port),
        None => rest.rsplit_once(':').ok_or_else(incomplete)?,
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_none() && host.contains(':') && !rest.contains('@') {
        return Err(AddressError::BareIpv6(rest.to_owned()));
    }
    let host = bare.unwrap_or(host);
    if host.is_empty() || port.is_empty() {
        return Err(incomplete());
    }
    let port = port.parse().map_err(|_| AddressError::Port(port.to_owned()))?;
    Ok(ListenAddress::Inet { host: host.to_owned(), port, v6_only })
}

fn parse_path(path: &str) -> Result<ListenAddress, AddressError> {
    if path.is_empty() || path.len() > MAX_UNIX_PATH || path.contains('\0') {
        return Err(AddressError::Path(path.into()));
    }
    Ok(ListenAddress::Unix(path.into()))
}

/// Who may connect to a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketAccess {
    /// Permission bits. Connecting needs the right to write.
    pub mode: u32,
    /// The user who owns the socket, where it is not the process's own. Giving it away takes root.
    pub owner: Option<u32>,
    /// The group that owns the socket, where it is not the process's own.
    pub group: Option<u32>,
}

impl Default for SocketAccess {
    /// Owner and group, nobody else.
    fn default() -> Self {
        Self { mode: 0o660, owner: None, group: None }
    }
}

/// A socket could not be opened.
#[derive(Debug, Error)]
pub enum BindError {
    /// A server answers on the socket.
    #[error("{} is in use: a server answers on it; stop it first", .0.display())]
    InUse(PathBuf),
    /// Something that is no socket has this name.
    #[error("{} exists and is no socket; remove it or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// The name has no address of the family asked for.
    #[error("{0} has no address to listen on")]
    NoAddress(String),
    /// The system refused.
    #[error("cannot {doing} {address}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl ListenAddress {
    /// Opens the socket. `access` concerns Unix sockets only.
    ///
    /// # Errors
    /// The address is taken, is no socket, does not resolve, or the system refuses.
    pub async fn bind(&self, access: SocketAccess) -> Result<Listener, BindError> {
        match self {
            Self::Inet { host, port, v6_only } => {
                let address = resolve(host, *port, *v6_only).await?;
                bind_tcp(address).map(Listener::Tcp).map_err(bind_io("listen on", self))
            }
            Self::Unix(path) => bind_unix(path, access).await,
        }
    }
}

fn bind_io(doing: &'static str, address: impl ToString) -> impl FnOnce(io::Error) -> BindError {
    let address = address.to_string();
    move |source| BindError::Io { doing, address, source }
}

/// IPv4 first for `inet:`, because that is what `localhost` means to most MTAs' configurations.
async fn resolve(host: &str, port: u16, v6_only: bool) -> Result<SocketAddr, BindError> {
    let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => tokio::net::lookup_host((host, port)).await.map_err(bind_io("resolve", host))?.collect(),
    };
    let preferred = found.iter().find(|address| address.is_ipv6() == v6_only);
    let any = if v6_only { None } else { found.first() };
    preferred.or(any).copied().ok_or_else(|| BindError::NoAddress(host.to_owned()))
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn bind_unix(path: &Path, access: SocketAccess) -> Result<Listener, BindError> {
    refuse_if_taken(path).await?;
    let address = path.display();
    let staging = Staging::beside(path).map_err(bind_io("prepare a socket beside", address.to_string()))?;
    let listener = staging.listen(access).map_err(bind_io("prepare", address.to_string()))?;
    std::fs::rename(staging.socket(), path).map_err(bind_io("put in place", address.to_string()))?;
    let file = SocketFile::at(path).map_err(bind_io("look at", address.to_string()))?;
    Ok(Listener::Unix { listener, file: Some(file) })
}

/// A socket that nobody answers on is left over from a crash, and may be replaced.
async fn refuse_if_taken(path: &Path) -> Result<(), BindError> {
    let known = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        known => known.map_err(bind_io("look at", path.display()))?,
    };
    if !known.file_type().is_socket() {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path).await {
        // A full backlog says WouldBlock: a server is there, if a busy one.
        Ok(_) => Err(BindError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(BindError::InUse(path.to_owned())),
        Err(error) if is_stale(error.kind()) => Ok(()),
        Err(error) => Err(bind_io("see who answers on", path.display())(error)),
    }
}

const fn is_stale(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

/// A folder that only we can enter. A socket made in it can be given its mode and owners before anybody
/// reaches it, without touching the umask, which belongs to the whole process.
struct Staging(PathBuf);

impl Staging {
    fn beside(path: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        for _ in 0..STAGING_ATTEMPTS {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let staging = folder.join(format!(".{}-{number}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&staging) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self(staging)),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }

    fn listen(&self, access: SocketAccess) -> io::Result<UnixListener> {
        let socket = self.socket();
        let listener = std::os::unix::net::UnixListener::bind(&socket)?;
        if access.owner.is_some() || access.group.is_some() {
            chown(&socket, access.owner, access.group)?;
        }
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(access.mode & 0o777))?;
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Nothing depends on either: a folder left behind is empty and private.
        let _ = std::fs::remove_file(self.socket());
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// The name of our socket, removed when we stop, unless another server has taken it since.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let known = std::fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: known.dev(), inode: known.ino() })
    }

    fn is_ours(&self) -> bool {
        std::fs::symlink_metadata(&self.path)
            .is_ok_and(|known| (known.dev(), known.ino()) == (self.device, self.inode))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_ours() {
            // A socket that stays is taken for stale by the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// An open socket, ready to accept.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix-domain socket.
    Unix {
        /// The socket.
        listener: UnixListener,
        /// Its name, where it is ours to remove; none for a socket that was handed to us.
        file: Option<SocketFile>,
    },
}

impl Listener {
    /// Takes a TCP socket that someone else opened, as a service manager does.
    ///
    /// # Errors
    /// The system refuses to make it non-blocking.
    pub fn from_std_tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(Self::Tcp)
    }

    /// Takes a Unix socket that someone else opened, and leaves its name alone.
    ///
    /// # Errors
    /// The system refuses to make it non-blocking.
    pub fn from_std_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        DetachedListener::Unix { listener, file: None }.attach()
    }

    /// Takes the socket out of its runtime. A process that gives up rights once its sockets are open has to do
    /// so while it has one thread only, and ends the runtime it bound them with before.
    ///
    /// # Errors
    /// The system refuses.
    pub fn detach(self) -> io::Result<DetachedListener> {
        match self {
            Self::Tcp(listener) => listener.into_std().map(DetachedListener::Tcp),
            Self::Unix { listener, file } => {
                listener.into_std().map(|listener| DetachedListener::Unix { listener, file })
            }
        }
    }

    /// The TCP address, with the port the system chose where 0 was asked for.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix { .. } => None,
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Replies are single small writes; waiting to fill a segment costs 40 ms with delayed ACKs.
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream, peer))
            }
            Self::Unix { listener, .. } => listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }
}

/// An open socket that waits for a runtime. The name of a Unix socket goes with it, as with [`Listener`].
#[derive(Debug)]
pub enum DetachedListener {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A Unix-domain socket.
    Unix {
        /// The socket.
        listener: std::os::unix::net::UnixListener,
        /// Its name, where it is ours to remove.
        file: Option<SocketFile>,
    },
}

impl DetachedListener {
    /// Gives the socket to the runtime at hand.
    ///
    /// # Errors
    /// The system refuses.
    pub fn attach(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(listener) => Listener::from_std_tcp(listener),
            Self::Unix { listener, file } => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(|listener| Listener::Unix { listener, file })
            }
        }
    }
}

pub(crate) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, AddressError> {
        text.parse::<ListenAddress>().map(|address| address.to_string())
    }

    #[test]
    fn both_ways_of_writing_are_read() {
        for (written, meant) in [
            ("inet:127.0.0.1:8891", "inet:127.0.0.1:8891"),
            ("inet:8891@127.0.0.1", "inet:127.0.0.1:8891"),
            ("inet:localhost:0", "inet:localhost:0"),
            ("inet:[::1]:8891", "inet:[::1]:8891"),
            ("inet6:[::1]:8891", "inet6:[::1]:8891"),
            ("inet6:8891@::1", "inet6:[::1]:8891"),
            ("inet6:8891@[::1]", "inet6:[::1]:8891"),
            ("unix:/run/m.sock", "unix:/run/m.sock"),
            ("local:/run/m.sock", "unix:/run/m.sock"),
            ("/run/m.sock", "unix:/run/m.sock"),
        ] {
            assert_eq!(parse(written).as_deref(), Ok(meant), "{written}");
            assert_eq!(parse(meant).as_deref(), Ok(meant), "what is printed can be read again");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_its_reason() {
        assert!(matches!(parse("8891"), Err(AddressError::UnknownScheme(_))));
        assert!(matches!(parse("tcp:127.0.0.1:1"), Err(AddressError::UnknownScheme(_))));
        assert!(matches!(parse("inet:8891"), Err(AddressError::Incomplete(_))));
        assert!(matches!(parse("inet:8891@"), Err(AddressError::Incomplete(_))));
        assert!(matches!(parse("inet::8891"), Err(AddressError::Incomplete(_))));
        assert!(matches!(parse("inet:h:65536"), Err(AddressError::Port(_))));
        assert!(matches!(parse("inet:h:smtp"), Err(AddressError::Port(_))));
        assert!(matches!(parse("inet6:::1:8891"), Err(AddressError::BareIpv6(_))));
        assert!(matches!(parse("unix:"), Err(AddressError::Path(_))));
        assert!(matches!(parse(&format!("unix:/{}", "x".repeat(107))), Err(AddressError::Path(_))));
    }
}
