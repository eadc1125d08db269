//! An authoritative name server on loopback, and the answers that no honest one would give.
//!
//! It serves zone files as an admin would load them, shares no code with the resolver that is tested, and
//! knows the record types of mail. What it does not know of does not exist: it answers for the root.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{LabError, Result};
use crate::ports::Port;

mod wire;
mod zone;

/// The largest answer over UDP; clients that announce more get no more.
const MAX_UDP: usize = 1232;
/// A client that says nothing for this long is let go.
const PATIENCE: Duration = Duration::from_secs(10);

/// What becomes of questions about one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    /// The server failed.
    Servfail,
    /// The server refuses.
    Refused,
    /// Nothing is ever said.
    Silent,
    /// Every answer is cut short, over TCP as well.
    Truncated,
    /// Two aliases that lead to each other.
    AliasLoop,
    /// Octets that are no answer.
    Garbage,
    /// The answer is said to be verified.
    Authenticated,
}

/// What is served.
#[derive(Debug, Default)]
struct World {
    records: BTreeMap<(String, u16), Vec<Vec<u8>>>,
    names: BTreeSet<String>,
    tricks: BTreeMap<String, Trick>,
}

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Names {
    port: Port,
    world: Arc<Mutex<World>>,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Names {
    /// Starts a server that serves these zone texts. Every owner is written in full, with its final dot.
    ///
    /// # Errors
    /// When no port is free or a line cannot be read.
    pub fn start(zones: &str) -> Result<Names> {
        // The claim of a port is its UDP socket: the server answers on a second one.
        let tcp_port = Port::claim()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, tcp_port.number()));
        let failed = |source| LabError::Io { doing: format!("opening {address}"), source };
        let udp = tcp_port.claim_socket().try_clone().map_err(failed)?;
        let tcp = TcpListener::bind(address).map_err(failed)?;
        let (world, stopping) = (Arc::new(Mutex::new(World::default())), Arc::new(AtomicBool::new(false)));
        let (worlds, stops) = ((world.clone(), world.clone()), (stopping.clone(), stopping.clone()));
        let threads = vec![
            std::thread::spawn(move || serve_udp(&udp, &worlds.0, &stops.0)),
            std::thread::spawn(move || serve_tcp(&tcp, &worlds.1, &stops.1)),
        ];
        let names = Names { port: tcp_port, world, stopping, threads };
        names.load(zones)?;
        Ok(names)
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// Serves these zones instead, without any trick.
    ///
    /// # Errors
    /// When a line cannot be read.
    pub fn load(&self, zones: &str) -> Result<()> {
        let records = zone::read(zones)?;
        let names = records.keys().flat_map(|(name, _)| with_parents(name)).collect();
        *self.world() = World { records, names, tricks: BTreeMap::new() };
        Ok(())
    }

    /// Plays a trick on whoever asks for a name.
    pub fn play(&self, name: &str, trick: Trick) {
        self.world().tricks.insert(name.trim_end_matches('.').to_owned(), trick);
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number()));
        // Whoever waits for a question hears one more.
        let _ = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.send_to(&[], address));
        drop(TcpStream::connect(address));
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn with_parents(name: &str) -> Vec<String> {
    let parents = std::iter::successors(Some(name), |at| at.split_once('.').map(|(_, parent)| parent));
    parents.map(str::to_owned).collect()
}

fn serve_udp(socket: &UdpSocket, world: &Mutex<World>, stopping: &AtomicBool) {
    let mut buffer = [0; 4096];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        if let Some(answer) = answer(world, &buffer[..length], MAX_UDP) {
            let _ = socket.send_to(&answer, client);
        }
    }
}

/// One connection at a time is enough for one client.
fn serve_tcp(listener: &TcpListener, world: &Mutex<World>, stopping: &AtomicBool) {
    while let Ok((stream, _)) = listener.accept() {
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        let _ = serve_connection(stream, world);
    }
}

fn serve_connection(mut stream: TcpStream, world: &Mutex<World>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut question)?;
    let Some(answer) = answer(world, &question, usize::from(u16::MAX)) else { return Ok(()) };
    let length = u16::try_from(answer.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes()[..], &answer].concat())
}

fn answer(world: &Mutex<World>, message: &[u8], room: usize) -> Option<Vec<u8>> {
    let question = wire::Question::read(message)?;
    let world = world.lock().unwrap_or_else(PoisonError::into_inner);
    let trick = world.tricks.get(&question.name).copied();
    let reply = match trick {
        Some(Trick::Silent) => return None,
        Some(Trick::Garbage) => return Some([message.get(..2)?, b"\x84\x00 no answer"].concat()),
        Some(Trick::Servfail) => question.reply(wire::SERVFAIL),
        Some(Trick::Refused) => question.reply(wire::REFUSED),
        Some(Trick::Truncated) => question.reply(wire::NOERROR).truncated(),
        Some(Trick::AliasLoop) => {
            let other = format!("loop.{}", question.name);
            let mut reply = question.reply(wire::NOERROR);
            reply.add(&question.name, wire::CNAME, &wire::name(&other));
            reply.add(&other, wire::CNAME, &wire::name(&question.name));
            reply
        }
        Some(Trick::Authenticated) => world.reply(&question).authenticated(),
        None => world.reply(&question),
    };
    Some(reply.finish(room))
}

impl World {
    fn reply(&self, question: &wire::Question) -> wire::Reply {
        let mut reply = question.reply(wire::NOERROR);
        let mut at = question.name.clone();
        // An alias leads on inside what is served, as a resolver would follow it.
        for _ in 0..8 {
            let Some(owner) = self.owner(&at) else {
                reply.set_code(wire::NXDOMAIN);
                return reply;
            };
            if let Some(records) = self.records.get(&(owner.clone(), question.kind)) {
                records.iter().for_each(|record| reply.add(&at, question.kind, record));
                return reply;
            }
            let Some(alias) = self.records.get(&(owner, wire::CNAME)).and_then(|records| records.first())
            else {
                return reply;
            };
            reply.add(&at, wire::CNAME, alias);
            at = wire::text(alias);
        }
        reply
    }

    /// The name whose records answer: itself, or the wildcard of the closest name above (RFC 4592 §3.3.1).
    fn owner(&self, name: &str) -> Option<String> {
        if self.names.contains(name) {
            return Some(name.to_owned());
        }
        let above = with_parents(name).into_iter().skip(1).find(|parent| self.names.contains(parent))?;
        Some(format!("*.{above}")).filter(|star| self.names.contains(star))
    }
}
