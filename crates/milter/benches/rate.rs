//! Messages per second next to a floor: a server that negotiates the same flags, answers every frame with
//! CONTINUE, makes the same edits and decides nothing. Interleaved rounds on one machine, one thread each for
//! servers and MTAs; the ratio is the result, the absolute figures belong to the machine.
//!
//! `cargo bench -p milter-proto --bench rate`
#![allow(clippy::unwrap_used, reason = "a benchmark stops at the first thing that is not as it should be")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use milter_proto::listen::{ListenAddress, SocketAccess};
use milter_proto::server::{PeerAddress, Server};
use milter_proto::{
    Actions, Arguments, Command, Context, DEFAULT_FRAME_CAP, Edit, EndOfMessage, EventVerdict, Filter,
    FrameDecoder, Header, MacroList, Mail, NegotiationAnswer, Offer, Protocol, Rcpt, Reply, Wanted,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(1_500);
const HELD: usize = 2_000;

fn wanted() -> Wanted {
    let silent = Protocol::NR_MAIL | Protocol::NR_HEADER;
    let absent = Protocol::NO_CONNECT
        | Protocol::NO_HELO
        | Protocol::NO_BODY
        | Protocol::NO_END_OF_HEADERS
        | Protocol::NO_UNKNOWN
        | Protocol::NO_DATA;
    Wanted::new()
        .require_actions(Actions::ADD_HEADERS | Actions::ADD_RCPT | Actions::DELETE_RCPT)
        .protocol(silent | absent)
}

#[derive(Default)]
struct Rewriting {
    recipient: Vec<u8>,
}

impl Filter for Rewriting {
    async fn rcpt(&mut self, _: &Context<'_>, rcpt: &Rcpt<'_>) -> EventVerdict {
        self.recipient = rcpt.recorded().to_vec();
        EventVerdict::Continue
    }

    async fn end_of_message(&mut self, _: &Context<'_>) -> EndOfMessage {
        EndOfMessage::accept_with(vec![
            Edit::add_header(b"X-Route", &self.recipient).unwrap(),
            Edit::delete_recipient(&self.recipient).unwrap(),
            Edit::add_recipient(b"box@scope.test").unwrap(),
        ])
    }
}

async fn floor(listener: UnixListener, negotiated: &'static [u8]) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(floor_connection(stream, negotiated));
    }
}

async fn floor_connection(mut stream: UnixStream, negotiated: &'static [u8]) {
    let mut edits = Vec::new();
    for reply in [
        Reply::AddHeader { name: b"X-Route", value: b"Vendor.X@scope.test" },
        Reply::DeleteRecipient(b"Vendor.X@scope.test"),
        Reply::AddRecipient(b"box@scope.test"),
        Reply::Continue,
    ] {
        reply.encode(&mut edits);
    }
    let mut decoder = FrameDecoder::new(DEFAULT_FRAME_CAP);
    let (mut space, mut out) = ([0; 4_096], Vec::new());
    loop {
        let octets = stream.read(&mut space).await.unwrap_or(0);
        if octets == 0 {
            return;
        }
        decoder.feed(&space[..octets]);
        while let Some(frame) = decoder.next_frame().unwrap() {
            match frame.code {
                b'O' => out.extend_from_slice(negotiated),
                b'R' => Reply::Continue.encode(&mut out),
                b'E' => out.extend_from_slice(&edits),
                b'Q' => return,
                _ => {}
            }
        }
        if !out.is_empty() {
            stream.write_all(&out).await.unwrap();
            out.clear();
        }
    }
}

/// What an MTA sends for one message under the flags above, cut where it waits for a reply.
fn message_parts() -> Vec<Vec<u8>> {
    let macros = |command, pairs| Command::Macros(MacroList { command, pairs });
    let mut to_rcpt = vec![
        macros(b'C', &b"j\0mx.test\0{daemon_name}\0mx.test\0v\0Postfix\0"[..]),
        macros(b'H', b""),
        macros(b'M', b"{mail_addr}\0a@b.test\0{mail_host}\0b.test\0{mail_mailer}\0smtp\0"),
        Command::Mail(Mail { sender: b"<a@b.test>", arguments: Arguments::from_terminated(b"SIZE=2000\0") }),
        macros(b'R', b"{rcpt_addr}\0vendor.x@scope.test\0{rcpt_host}\0scope.test\0{rcpt_mailer}\0relay\0"),
    ];
    to_rcpt
        .push(Command::Rcpt(Rcpt { recipient: b"<Vendor.X@scope.test>", arguments: Arguments::default() }));
    let mut to_end = vec![macros(b'T', b"i\0QUEUEID\0")];
    for _ in 0..10 {
        to_end.push(macros(b'L', b"i\0QUEUEID\0"));
        to_end.push(Command::Header(Header { name: b"Received", value: b"from a by b; Mon, 1 Jan 2026" }));
    }
    to_end.push(macros(b'E', b"i\0QUEUEID\0"));
    to_end.push(Command::EndOfMessage(b""));
    [vec![Command::Negotiate(Offer::CURRENT)], to_rcpt, to_end].into_iter().map(encoded).collect()
}

fn encoded(commands: Vec<Command<'_>>) -> Vec<u8> {
    let mut out = Vec::new();
    for command in commands {
        command.encode(&mut out);
    }
    out
}

async fn one_message(path: &Path, parts: &[Vec<u8>]) {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let mut decoder = FrameDecoder::new(DEFAULT_FRAME_CAP);
    for part in parts {
        stream.write_all(part).await.unwrap();
        until_final_reply(&mut stream, &mut decoder).await;
    }
    stream.write_all(&encoded(vec![Command::Abort, Command::Quit])).await.unwrap();
}

async fn until_final_reply(stream: &mut UnixStream, decoder: &mut FrameDecoder) {
    let mut space = [0; 1_024];
    loop {
        while let Some(frame) = decoder.next_frame().unwrap() {
            if matches!(frame.code, b'c' | b'O') {
                return;
            }
        }
        let octets = stream.read(&mut space).await.unwrap();
        assert_ne!(octets, 0, "the filter closed");
        decoder.feed(&space[..octets]);
    }
}

fn rate(clients: &Runtime, path: &Path, at_once: usize) -> f64 {
    let started = Instant::now();
    let parts: Arc<[Vec<u8>]> = message_parts().into();
    let messages: usize = clients.block_on(async {
        let mut workers = JoinSet::new();
        for _ in 0..at_once {
            let (path, parts) = (path.to_owned(), Arc::clone(&parts));
            workers.spawn(async move {
                let mut messages = 0;
                while started.elapsed() < ROUND {
                    one_message(&path, &parts).await;
                    messages += 1;
                }
                messages
            });
        }
        workers.join_all().await.into_iter().sum()
    });
    messages as f64 / started.elapsed().as_secs_f64()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn start_ours(path: PathBuf) {
    // Threads have names so that a profiler can tell the two servers apart.
    let _ = std::thread::Builder::new().name("ours".to_owned()).spawn(move || {
        runtime().block_on(async {
            let listener = ListenAddress::Unix(path).bind(SocketAccess::default()).await.unwrap();
            let (_stop, stopping) = watch::channel(false);
            Server::new(listener, wanted(), |_: &PeerAddress| Rewriting::default()).run(stopping).await;
        });
    });
}

fn start_floor(path: PathBuf, negotiated: &'static [u8]) {
    let _ = std::thread::Builder::new().name("floor".to_owned()).spawn(move || {
        runtime().block_on(async {
            floor(UnixListener::bind(path).unwrap(), negotiated).await;
        });
    });
}

/// The answer that our server gives, for the floor to give the same.
fn negotiated_by(path: &Path) -> &'static [u8] {
    runtime().block_on(async {
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(&message_parts()[0]).await.unwrap();
        let mut answer = vec![0; 17];
        stream.read_exact(&mut answer).await.unwrap();
        let mut decoder = FrameDecoder::new(DEFAULT_FRAME_CAP);
        decoder.feed(&answer);
        let read = NegotiationAnswer::decode(decoder.next_frame().unwrap().unwrap()).unwrap();
        assert_eq!(read.protocol, wanted().wanted_protocol());
        &*answer.leak()
    })
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Both ends live in this process, but the clients hold no more than a descriptor each.
fn held_kib(path: &Path) -> f64 {
    let negotiation = &message_parts()[0];
    let (mut held, mut answer) = (Vec::with_capacity(HELD), [0; 17]);
    let before = resident_kib();
    for _ in 0..HELD {
        let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
        stream.write_all(negotiation).unwrap();
        std::io::Read::read_exact(&mut stream, &mut answer).unwrap();
        held.push(stream);
    }
    (resident_kib() - before) as f64 / HELD as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, floor) = (folder.path().join("ours"), folder.path().join("floor"));
    start_ours(ours.clone());
    while std::os::unix::net::UnixStream::connect(&ours).is_err() {
        std::thread::yield_now();
    }
    start_floor(floor.clone(), negotiated_by(&ours));
    while std::os::unix::net::UnixStream::connect(&floor).is_err() {
        std::thread::yield_now();
    }
    let mut report = std::io::stdout();
    writeln!(report, "held connection: {:.1} KiB", held_kib(&ours)).unwrap();
    let clients = runtime();
    for at_once in [1, 8, 64] {
        let rounds: Vec<(f64, f64)> =
            (0..ROUNDS).map(|_| (rate(&clients, &ours, at_once), rate(&clients, &floor, at_once))).collect();
        let ratio = median(rounds.iter().map(|(ours, floor)| ours / floor).collect());
        let rate = median(rounds.iter().map(|(ours, _)| *ours).collect());
        writeln!(report, "{at_once:>3} at once: {rate:>8.0} messages/s, {ratio:.2} of the floor").unwrap();
    }
}
