//! The server over real sockets, with an MTA at the other end.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is not as it should be")]

mod support;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use milter_proto::listen::{ListenAddress, SocketAccess};
use milter_proto::server::{Counters, Drained, Options, PeerAddress, Server, ServerEvents, Snapshot};
use milter_proto::{
    Actions, CloseReason, Command, Connect, ConnectionVerdict, ContentVerdict, Context, Edit, EndOfMessage,
    EventVerdict, Filter, Garbage, Header, Mail, Offer, Protocol, Rcpt, SmtpReply, Wanted,
};
use support::{FakeMta, connect, end, header, macros, mail, rcpt, wires};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// Writes down what it hears, and does as the message says.
struct Scripted {
    heard: Arc<Mutex<Vec<String>>>,
    gate: Arc<Notify>,
    sender: Vec<u8>,
}

impl Scripted {
    fn hear(&self, what: impl Into<String>) {
        self.heard.lock().unwrap().push(what.into());
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Filter for Scripted {
    fn connect(&mut self, _: &Context<'_>, connect: &Connect<'_>) -> ConnectionVerdict {
        self.hear(format!("connect {:?}", connect.client.ip().unwrap()));
        ConnectionVerdict::Continue
    }

    fn mail(&mut self, context: &Context<'_>, mail: &Mail<'_>) -> EventVerdict {
        self.sender = mail.sender.to_vec();
        let macro_value = context.macro_value("{mail_addr}").map(lossy);
        self.hear(format!("mail {} {macro_value:?}", lossy(mail.sender)));
        assert_ne!(mail.sender, b"<panic@mail>", "as told by the sender");
        EventVerdict::Continue
    }

    async fn rcpt(&mut self, _: &Context<'_>, rcpt: &Rcpt<'_>) -> EventVerdict {
        match rcpt.recorded() {
            b"paused@scope" => EventVerdict::Refuse(SmtpReply::refused("100% paused")),
            b"slow@scope" => {
                self.gate.notified().await;
                EventVerdict::Continue
            }
            _ => EventVerdict::Continue,
        }
    }

    fn header(&mut self, _: &Context<'_>, header: &Header<'_>) -> ContentVerdict {
        self.hear(format!("header {}", lossy(header.name)));
        ContentVerdict::Continue
    }

    fn body(&mut self, _: &Context<'_>, chunk: &[u8]) -> ContentVerdict {
        self.hear(format!("body {}", chunk.len()));
        ContentVerdict::Continue
    }

    async fn end_of_message(&mut self, context: &Context<'_>) -> EndOfMessage {
        self.hear(format!("end {:?}", context.queue_id().map(lossy)));
        if self.sender == b"<slow@mail>" {
            self.gate.notified().await;
        }
        EndOfMessage::accept_with(vec![Edit::add_header(b"X-Seen", b"yes").unwrap()])
    }

    fn abort(&mut self) {
        self.hear("abort");
    }

    fn closed(&mut self, why: &CloseReason) {
        self.hear(format!("closed: {why}"));
    }
}

#[derive(Default)]
struct Closings(Mutex<Vec<String>>);

impl ServerEvents for Closings {
    fn connection_closed(&self, _: &PeerAddress, why: &CloseReason) {
        self.0.lock().unwrap().push(why.to_string());
    }
}

struct Running {
    path: PathBuf,
    _folder: tempfile::TempDir,
    heard: Arc<Mutex<Vec<String>>>,
    gate: Arc<Notify>,
    counters: Arc<Counters>,
    closings: Arc<Closings>,
    stop: watch::Sender<bool>,
    server: JoinHandle<Drained>,
}

impl Running {
    async fn start(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.sock");
        let listener = ListenAddress::Unix(path.clone()).bind(SocketAccess::default()).await.unwrap();
        let (heard, gate) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(Notify::new()));
        let make_filter = {
            let (heard, gate) = (heard.clone(), gate.clone());
            move |_: &PeerAddress| Scripted { heard: heard.clone(), gate: gate.clone(), sender: Vec::new() }
        };
        let wanted = Wanted::new().require_actions(Actions::ADD_HEADERS).protocol(Protocol::NR_HEADER);
        let (counters, closings) = (Arc::<Counters>::default(), Arc::<Closings>::default());
        let server = Server::new(listener, wanted, make_filter)
            .with_options(options)
            .with_counters(counters.clone())
            .with_events(closings.clone());
        let (stop, stopping) = watch::channel(false);
        let server = tokio::spawn(server.run(stopping));
        Self { path, _folder: folder, heard, gate, counters, closings, stop, server }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.unwrap()
    }

    async fn mta(&self) -> FakeMta<UnixStream> {
        FakeMta::negotiated(self.connect().await).await
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until the counters say so; the test harness ends a wait that never does.
    async fn until(&self, reached: impl Fn(&Snapshot) -> bool) -> Snapshot {
        loop {
            let now = self.counters.snapshot();
            if reached(&now) {
                return now;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn stop(self) -> Drained {
        self.stop.send(true).unwrap();
        self.server.await.unwrap()
    }
}

/// Sends what a stranger would, and waits for the close.
async fn send_and_wait(mut stream: UnixStream, octets: &[u8]) {
    // The server may close before it has read everything.
    let _ = stream.write_all(octets).await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(rest, b"", "a stranger gets no answer");
}

#[tokio::test]
async fn a_whole_session_as_postfix_holds_it() {
    let server = Running::start(Options::default()).await;
    let mut mta = FakeMta::new(server.connect().await);
    let answer = mta.negotiate(Offer::CURRENT).await;
    assert_eq!((answer.version, answer.protocol), (6, Protocol::NR_HEADER));
    assert_eq!(mta.ask(connect()).await, "c");
    assert_eq!(mta.ask(Command::Helo(b"client")).await, "c");
    mta.send(&[macros(b'M', b"{mail_addr}\0a@b\0")]).await;
    assert_eq!(mta.ask(mail(b"<a@b>")).await, "c");
    assert_eq!(mta.ask(rcpt(b"<@route:paused@scope>")).await, "y 550 5.7.1 100%% paused");
    assert_eq!(mta.ask(rcpt(b"<open@scope>")).await, "c");
    assert_eq!(mta.ask(Command::Data).await, "c");
    mta.send(&[header(b"From", b"a"), header(b"To", b"b")]).await;
    assert_eq!(mta.ask(Command::EndOfHeaders).await, "c");
    assert_eq!(mta.ask(Command::Body(b"text\r\n")).await, "c");
    mta.send(&[macros(b'E', b"i\0Q1\0"), Command::EndOfMessage(b"more")]).await;
    assert_eq!(mta.replies_to_end().await, ["h X-Seen:yes", "c"]);
    mta.send(&[Command::Abort, Command::Abort, Command::Quit]).await;
    assert_eq!(mta.closed().await, [""; 0]);
    server.until(|now| now.active == 0).await;
    let heard = server.heard();
    let expected = [
        "connect 192.0.2.1",
        "mail <a@b> Some(\"a@b\")",
        "header From",
        "header To",
        "body 6",
        "body 4",
        "end Some(\"Q1\")",
        "closed: the MTA quit",
    ];
    assert_eq!(heard, expected);
    let counted = server.counters.snapshot();
    assert_eq!((counted.accepted, counted.messages, counted.protocol_errors), (1, 1, 0));
    assert_eq!(server.stop().await, Drained { finished: 0, cut_off: 0 });
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order_and_before_the_close() {
    let server = Running::start(Options::default()).await;
    let mut mta = FakeMta::new(server.connect().await);
    let burst = [mail(b"<a@b>"), rcpt(b"<paused@scope>"), rcpt(b"<x@scope>"), end(), Command::Quit];
    let whole = [wires(&[Command::Negotiate(Offer::CURRENT)]), wires(&burst)].concat();
    mta.stream.write_all(&whole).await.unwrap();
    mta.stream.shutdown().await.unwrap();
    let mut octets = Vec::new();
    mta.stream.read_to_end(&mut octets).await.unwrap();
    let negotiated = 4 + 13;
    let replies = support::replies(&octets[negotiated..]);
    assert_eq!(replies, ["c", "y 550 5.7.1 100%% paused", "c", "h X-Seen:yes", "c"]);
}

#[tokio::test]
async fn over_tcp_and_octet_by_octet() {
    let address: ListenAddress = "inet:127.0.0.1:0".parse().unwrap();
    let listener = address.bind(SocketAccess::default()).await.unwrap();
    let at = listener.tcp_address().unwrap();
    let (stop, stopping) = watch::channel(false);
    struct Silent;
    impl Filter for Silent {}
    let server = tokio::spawn(Server::new(listener, Wanted::new(), |_: &PeerAddress| Silent).run(stopping));
    let mut mta = FakeMta::negotiated(TcpStream::connect(at).await.unwrap()).await;
    for octet in wires(&[mail(b"<a@b>")]) {
        mta.stream.write_all(&[octet]).await.unwrap();
    }
    assert_eq!(mta.reply().await, "c");
    mta.send(&[Command::Abort]).await;
    assert_eq!(mta.ask(Command::Helo(b"again")).await, "c");
    stop.send(true).unwrap();
    assert_eq!(server.await.unwrap().cut_off, 0);
}

#[tokio::test]
async fn strangers_are_closed_at_once_and_counted() {
    let server = Running::start(Options::default()).await;
    for octets in [
        &b"GET / HTTP/1.1\r\n"[..],
        &[0x16, 3, 1, 0, 200, 1],
        &[0; 9],
        &[0xff; 4],
        b"\0\0\0\x02Hx",
        b"SSH-2.0-x\r\n",
    ] {
        send_and_wait(server.connect().await, octets).await;
    }
    drop(server.connect().await);
    let counted = server.until(|now| now.probes == 1 && now.active == 0).await;
    let by_kind = Garbage::ALL.map(|kind| counted.garbage_of(kind));
    assert_eq!(by_kind, [1, 1, 1, 2, 1]);
    assert_eq!(counted.protocol_errors, 0);
    assert_eq!(server.heard(), [""; 0], "no filter is made for a stranger");
    assert_eq!(server.closings.0.lock().unwrap().len(), 7);
    assert_eq!(server.mta().await.ask(connect()).await, "c", "the server is still there");
}

#[tokio::test]
async fn an_mta_that_breaks_the_protocol_is_dropped_and_told_apart() {
    let server = Running::start(Options::default()).await;
    for broken in [&b"\0\0\0\0"[..], b"\xff\xff\xff\xff", b"\0\0\0\x01Z", b"\0\0\0\x02Lx", b"\0\0\0\x03C\0X"]
    {
        let mut mta = server.mta().await;
        mta.ask(mail(b"<a@b>")).await;
        mta.stream.write_all(broken).await.unwrap();
        assert_eq!(mta.closed().await, [""; 0]);
    }
    let counted = server.until(|now| now.active == 0).await;
    assert_eq!((counted.protocol_errors, counted.garbage), (5, [0; 5]));
    assert_eq!(server.heard().iter().filter(|what| *what == "abort").count(), 5);
}

#[tokio::test]
async fn a_panic_ends_one_connection_only() {
    let server = Running::start(Options::default()).await;
    let mut bystander = server.mta().await;
    let mut victim = server.mta().await;
    victim.send(&[mail(b"<panic@mail>")]).await;
    assert_eq!(victim.closed().await, [""; 0]);
    let counted = server.until(|now| now.panics == 1).await;
    assert_eq!(counted.active, 1);
    assert_eq!(bystander.ask(mail(b"<a@b>")).await, "c");
}

#[tokio::test]
async fn quit_nc_begins_with_a_new_filter() {
    let server = Running::start(Options::default()).await;
    let mut mta = server.mta().await;
    mta.ask(mail(b"<a@b>")).await;
    mta.send(&[Command::QuitNewConnection]).await;
    assert_eq!(mta.ask(connect()).await, "c");
    let expected =
        ["mail <a@b> None", "abort", "closed: the MTA began another SMTP connection", "connect 192.0.2.1"];
    assert_eq!(server.heard(), expected);
}

#[tokio::test]
async fn further_connections_wait_in_the_backlog() {
    let server = Running::start(Options { max_connections: 1, ..Options::default() }).await;
    let mut first = server.mta().await;
    let mut second = FakeMta::new(server.connect().await);
    second.send(&[Command::Negotiate(Offer::CURRENT)]).await;
    assert_eq!(first.ask(mail(b"<a@b>")).await, "c");
    assert_eq!(server.counters.snapshot().accepted, 1);
    first.send(&[Command::Quit]).await;
    first.closed().await;
    server.until(|now| now.accepted == 2).await;
    let mut octets = [0; 17];
    second.stream.read_exact(&mut octets).await.unwrap();
    assert_eq!(octets[4], b'O');
}

#[tokio::test]
async fn stopping_closes_the_idle_and_lets_messages_finish() {
    let server = Running::start(Options::default()).await;
    let mut idle = server.mta().await;
    let mut busy = server.mta().await;
    assert_eq!(busy.ask(mail(b"<a@b>")).await, "c");
    server.stop.send(true).unwrap();
    assert_eq!(idle.closed().await, [""; 0]);
    assert!(UnixStream::connect(&server.path).await.is_err(), "nobody new is let in");
    assert_eq!(busy.ask(rcpt(b"<x@scope>")).await, "c");
    busy.send(&[end()]).await;
    assert_eq!(busy.replies_to_end().await, ["h X-Seen:yes", "c"]);
    assert_eq!(busy.closed().await, [""; 0]);
    assert_eq!(server.server.await.unwrap().cut_off, 0);
}

#[tokio::test]
async fn a_message_that_outlasts_the_drain_is_cut_off() {
    let options = Options { drain_deadline: Duration::from_millis(20), ..Options::default() };
    let server = Running::start(options).await;
    let mut mta = server.mta().await;
    mta.ask(mail(b"<a@b>")).await;
    mta.send(&[rcpt(b"<slow@scope>")]).await;
    assert_eq!(server.stop().await, Drained { finished: 0, cut_off: 1 });
    assert_eq!(mta.closed().await, [""; 0], "no reply: the MTA tries again");
}

#[tokio::test]
async fn a_slow_end_of_message_is_bridged_by_progress() {
    let options = Options { progress_interval: Duration::from_millis(5), ..Options::default() };
    let server = Running::start(options).await;
    let mut mta = server.mta().await;
    mta.ask(mail(b"<slow@mail>")).await;
    mta.send(&[end()]).await;
    assert_eq!(mta.reply().await, "p");
    assert_eq!(mta.reply().await, "p");
    server.gate.notify_one();
    let rest = mta.replies_to_end().await;
    assert_eq!(rest[rest.len() - 2..], ["h X-Seen:yes", "c"]);
}

#[tokio::test]
async fn silence_ends_a_connection() {
    let options = Options {
        idle_timeout: Duration::from_millis(10),
        negotiation_timeout: Duration::from_millis(10),
        ..Options::default()
    };
    let server = Running::start(options).await;
    let mut silent = server.connect().await;
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    let mut mta = server.mta().await;
    assert_eq!(mta.closed().await, [""; 0]);
    let counted = server.until(|now| now.active == 0).await;
    assert_eq!(counted.timeouts, 2);
    let closings = server.closings.0.lock().unwrap().clone();
    assert_eq!(closings, ["the peer did not negotiate in time", "the MTA was silent for too long"]);
}

#[tokio::test]
async fn an_mta_that_reads_nothing_is_given_up() {
    let options = Options { write_timeout: Duration::from_millis(20), ..Options::default() };
    let server = Running::start(options).await;
    let mut mta = server.mta().await;
    let burst: Vec<_> = std::iter::repeat_n(rcpt(b"<paused@scope>"), 2_000).collect();
    let burst = wires(&burst);
    while server.counters.snapshot().timeouts == 0 {
        if mta.stream.write_all(&burst).await.is_err() {
            break;
        }
    }
    assert_eq!(server.until(|now| now.active == 0).await.timeouts, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_at_once() {
    let server = Running::start(Options::default()).await;
    let clients: Vec<_> = (0..100)
        .map(|_| {
            let path = server.path.clone();
            tokio::spawn(async move {
                let mut mta = FakeMta::negotiated(UnixStream::connect(path).await.unwrap()).await;
                for _ in 0..5 {
                    assert_eq!(mta.ask(mail(b"<a@b>")).await, "c");
                    assert_eq!(mta.ask(rcpt(b"<x@scope>")).await, "c");
                    mta.send(&[end()]).await;
                    assert_eq!(mta.replies_to_end().await, ["h X-Seen:yes", "c"]);
                }
                mta.send(&[Command::Quit]).await;
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let counted = server.until(|now| now.active == 0).await;
    assert_eq!((counted.accepted, counted.messages), (100, 500));
}
