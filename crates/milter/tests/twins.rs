//! The same filter twice, on the reference library (libmilter) and on this one, driven by the same MTA with
//! the same commands: what the MTA hears is compared reply by reply. Every difference there is stands in
//! [`DIFFERENCES`].
#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is not as it should be")]

mod support;

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use milter_proto::listen::{ListenAddress, SocketAccess};
use milter_proto::server::{PeerAddress, Server};
use milter_proto::{
    Actions, Arguments, Command, Connect, ConnectionVerdict, ContentVerdict, Context, Edit, EndOfMessage,
    EventVerdict, Filter, FrameDecoder, Header, MacroStage, Mail, NegotiationAnswer, Offer, Protocol, Rcpt,
    SmtpReply, Wanted,
};
use support::{CAP, connect, end, header, macros, mail, rcpt, wire};
use tokio::sync::watch;

const PATIENCE: Duration = Duration::from_secs(20);
/// No reply for so long is none: both answer within milliseconds.
const SILENCE: Duration = Duration::from_secs(5);
const MODES: [&str; 3] = ["all", "quiet", "basic"];

/// Where the two differ, and why that is as it should be.
struct Difference {
    mode: &'static str,
    /// Empty where it shows in every conversation.
    conversation: &'static str,
    /// A part of what the reference says.
    reference: &'static str,
    #[allow(dead_code, reason = "read by people")]
    because: &'static str,
}

const DIFFERENCES: [Difference; 4] = [
    Difference {
        mode: "quiet",
        conversation: "",
        reference: "O O\\x00\\x00\\x00\\x06\\x00\\x00\\x00\\xff",
        because: "a list of macros is announced here by SETSYMLIST among the actions; libmilter sends the list alone. \
                  Postfix and Sendmail read the list either way",
    },
    Difference {
        mode: "quiet",
        conversation: "skipped header fields",
        reference: "4 fields",
        because: "a filter that promised silence about header fields can still say that it has seen enough: here it \
                  is not shown the others, libmilter forgets what it said",
    },
    Difference {
        mode: "quiet",
        conversation: "a refused header field",
        reference: "silence",
        because: "a refusal during promised silence is spoken here at the next reply; libmilter drops it and answers \
                  nothing more, and the MTA waits until it gives up",
    },
    Difference {
        mode: "quiet",
        conversation: "a dropped message",
        reference: "silence",
        because: "as for a refusal",
    },
];

impl Difference {
    fn explains(&self, mode: &str, conversation: &str, reference: &str) -> bool {
        self.mode == mode
            && (self.conversation.is_empty() || self.conversation == conversation)
            && reference.contains(self.reference)
    }
}

// ---- the twin on this library ----

struct Twin {
    mode: &'static str,
    headers: u32,
    body: usize,
    hold: bool,
}

fn reply(code: u16, enhanced: (u16, u16), text: &str) -> SmtpReply {
    SmtpReply::new(code, enhanced, text).unwrap()
}

impl Filter for Twin {
    fn connect(&mut self, _: &Context<'_>, connect: &Connect<'_>) -> ConnectionVerdict {
        match connect.hostname {
            b"refused.test" => ConnectionVerdict::Refuse(reply(550, (7, 1), "connection refused")),
            _ => ConnectionVerdict::Continue,
        }
    }

    fn helo(&mut self, _: &Context<'_>, name: &[u8]) -> ConnectionVerdict {
        match name {
            b"later.test" => ConnectionVerdict::Refuse(reply(451, (7, 1), "not now")),
            _ => ConnectionVerdict::Continue,
        }
    }

    fn mail(&mut self, _: &Context<'_>, mail: &Mail<'_>) -> EventVerdict {
        (self.headers, self.body, self.hold) = (0, 0, false);
        match mail.sender {
            b"<refuse@mail>" => EventVerdict::Refuse(reply(550, (7, 1), "100% refused")),
            b"<drop@mail>" => EventVerdict::Discard,
            _ => EventVerdict::Continue,
        }
    }

    async fn rcpt(&mut self, _: &Context<'_>, rcpt: &Rcpt<'_>) -> EventVerdict {
        match rcpt.recipient {
            b"<none@rcpt>" => EventVerdict::Refuse(reply(550, (1, 1), "no such recipient")),
            b"<lines@rcpt>" => EventVerdict::Refuse(reply(450, (2, 1), "one\ntwo\nthree")),
            b"<drop@rcpt>" => EventVerdict::Discard,
            _ => EventVerdict::Continue,
        }
    }

    fn data(&mut self, context: &Context<'_>) -> EventVerdict {
        match context.queue_id() {
            Some(b"REFUSE") => EventVerdict::Refuse(reply(554, (5, 0), "not this one")),
            _ => EventVerdict::Continue,
        }
    }

    fn header(&mut self, _: &Context<'_>, header: &Header<'_>) -> ContentVerdict {
        self.headers += 1;
        self.hold |= header.name == b"X-Hold";
        match header.name {
            b"X-Refuse" => ContentVerdict::Refuse(reply(550, (6, 0), &String::from_utf8_lossy(header.value))),
            b"X-Skip" => ContentVerdict::Skip,
            b"X-Drop" => ContentVerdict::Discard,
            _ => ContentVerdict::Continue,
        }
    }

    fn end_of_headers(&mut self, _: &Context<'_>) -> EventVerdict {
        match self.headers {
            0 => EventVerdict::Refuse(reply(550, (6, 0), "no header")),
            _ => EventVerdict::Continue,
        }
    }

    fn body(&mut self, _: &Context<'_>, chunk: &[u8]) -> ContentVerdict {
        self.body += chunk.len();
        match chunk {
            [b'R', b'E', b'F', b'U', b'S', b'E', ..] => {
                ContentVerdict::Refuse(reply(550, (6, 0), "this body"))
            }
            [b'S', b'K', b'I', b'P', ..] => ContentVerdict::Skip,
            _ => ContentVerdict::Continue,
        }
    }

    async fn end_of_message(&mut self, _: &Context<'_>) -> EndOfMessage {
        let seen = format!("{} fields, {} octets", self.headers, self.body);
        let mut edits = vec![
            Edit::add_header(b"X-Seen", seen.as_bytes()).unwrap(),
            Edit::insert_header(1, b"X-First", b"folded\n\tvalue").unwrap(),
            Edit::change_header(1, b"Subject", b"changed").unwrap(),
            Edit::delete_header(2, b"X-Old").unwrap(),
            Edit::delete_recipient(b"Vendor.X@scope.test").unwrap(),
            Edit::add_recipient(b"box@scope.test").unwrap(),
        ];
        if self.mode != "basic" {
            edits.push(Edit::add_recipient_with(b"par@scope.test", b"NOTIFY=NEVER").unwrap());
            edits.push(Edit::change_sender(b"<new@sender.test>").unwrap());
        }
        if self.hold {
            edits.push(Edit::quarantine(b"held").unwrap());
        }
        edits.push(Edit::replace_body(b"new body\r\n".to_vec()));
        EndOfMessage::accept_with(edits)
    }

    fn unknown(&mut self, _: &Context<'_>, line: &[u8]) -> ConnectionVerdict {
        match line {
            b"FOO" => ConnectionVerdict::Refuse(reply(502, (5, 1), "what?")),
            _ => ConnectionVerdict::Continue,
        }
    }
}

fn wanted(mode: &str) -> Wanted {
    let plain = Actions::ADD_HEADERS
        | Actions::CHANGE_BODY
        | Actions::ADD_RCPT
        | Actions::DELETE_RCPT
        | Actions::CHANGE_HEADERS
        | Actions::QUARANTINE;
    let quiet = Protocol::NO_HELO | Protocol::NO_BODY | Protocol::NR_MAIL | Protocol::NR_HEADER;
    let wanted = Wanted::new().require_actions(plain).protocol(Protocol::SKIP);
    let extended = Actions::CHANGE_SENDER | Actions::ADD_RCPT_ARGS;
    match mode {
        "basic" => wanted,
        "quiet" => wanted
            .require_actions(extended)
            .protocol(quiet)
            .macros(MacroStage::Rcpt, &["i", "{rcpt_addr}"])
            .unwrap(),
        _ => wanted.require_actions(extended),
    }
}

fn start_ours(path: PathBuf, mode: &'static str) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = ListenAddress::Unix(path).bind(SocketAccess::default()).await.unwrap();
            let (_stop, stopping) = watch::channel(false);
            let make = move |_: &PeerAddress| Twin { mode, headers: 0, body: 0, hold: false };
            Server::new(listener, wanted(mode), make).run(stopping).await;
        });
    });
}

// ---- the twin on libmilter ----

/// Ends with the test.
struct Reference(Child);

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Built once, from Debian's libmilter-dev.
fn reference_program() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, program) = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("twin");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/twin/twin.c");
        let built = Program::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-O1", "-o"])
            .arg(&program)
            .args([source, "-lmilter", "-lpthread"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "is libmilter-dev installed? `cargo xtask test` does so: {said}");
        (folder, program)
    });
    program
}

fn start_reference(path: &Path, mode: &str) -> Reference {
    let address = format!("unix:{}", path.display());
    Reference(Program::new(reference_program()).args([&address, mode]).spawn().unwrap())
}

// ---- the MTA ----

struct Conversation {
    name: &'static str,
    offer: Offer,
    /// Frames as they go over the wire, with what they are.
    frames: Vec<(String, Vec<u8>)>,
}

fn conversation(name: &'static str, offer: Offer, commands: &[Command<'_>]) -> Conversation {
    let shown = |command: &Command<'_>| (char::from(command.code()).to_string(), wire(command));
    Conversation { name, offer, frames: commands.iter().map(shown).collect() }
}

/// What Postfix or Sendmail of an older protocol would offer.
fn offer(version: u32) -> Offer {
    let (actions, protocol) = match version {
        2 => (0x3f, 0x7f),
        3 => (0x3f, 0x17f),
        // No MTA speaks version 5; nothing was added in it.
        4 | 5 => (0x3f, 0x37f),
        _ => (0x1ff, 0x1f_ffff),
    };
    Offer { version, actions: Actions::from_bits(actions), protocol: Protocol::from_bits(protocol) }
}

fn message<'a>(extra: &[Command<'a>]) -> Vec<Command<'a>> {
    let mut commands = vec![
        connect(),
        Command::Helo(b"client.test"),
        macros(b'M', b"{mail_addr}\0a@b.test\0"),
        mail(b"<a@b.test>"),
        rcpt(b"<Vendor.X@scope.test>"),
        macros(b'T', b"i\0QUEUED\0"),
        Command::Data,
        header(b"From", b"a@b.test"),
        header(b"Subject", b"hello"),
    ];
    commands.extend_from_slice(extra);
    commands.extend([Command::EndOfHeaders, Command::Body(b"text\r\n"), end()]);
    commands
}

fn conversations() -> Vec<Conversation> {
    let now = Offer::CURRENT;
    let begun = |rest: &[Command<'static>]| {
        let start = [connect(), Command::Helo(b"client.test")];
        [&start[..], rest].concat()
    };
    let client = connect();
    let Command::Connect(client) = client else { unreachable!("a connect is one") };
    let refused = Command::Connect(Connect { hostname: b"refused.test", ..client });
    let long = Box::leak(vec![b'x'; 65_535].into_boxed_slice());
    let mut all = vec![
        conversation("a message", now, &message(&[])),
        conversation("a message that is held", now, &message(&[header(b"X-Hold", b"1")])),
        conversation(
            "skipped header fields",
            now,
            &message(&[header(b"X-Skip", b"1"), header(b"X-Y", b"2")]),
        ),
        conversation("a refused header field", now, &message(&[header(b"X-Refuse", b"no such field")])),
        conversation("a dropped message", now, &message(&[header(b"X-Drop", b"1")])),
        conversation("an empty value", now, &message(&[header(b"X-Empty", b"")])),
        conversation("a refused connection", now, &[refused]),
        conversation("a refused HELO", now, &[connect(), Command::Helo(b"later.test"), mail(b"<a@b>")]),
        conversation("a refused sender", now, &begun(&[mail(b"<refuse@mail>"), Command::Abort])),
        conversation("a dropped sender", now, &begun(&[mail(b"<drop@mail>"), Command::Abort])),
        conversation(
            "recipients",
            now,
            &begun(&[mail(b"<a@b>"), rcpt(b"<none@rcpt>"), rcpt(b"<lines@rcpt>"), rcpt(b"<ok@rcpt>"), end()]),
        ),
        conversation(
            "a dropped recipient",
            now,
            &begun(&[mail(b"<a@b>"), rcpt(b"<drop@rcpt>"), Command::Abort]),
        ),
        conversation(
            "a refused DATA",
            now,
            &begun(&[mail(b"<a@b>"), rcpt(b"<a@b>"), macros(b'T', b"i\0REFUSE\0"), Command::Data]),
        ),
        conversation(
            "no header",
            now,
            &begun(&[mail(b"<a@b>"), rcpt(b"<a@b>"), Command::EndOfHeaders, end()]),
        ),
        conversation(
            "bodies",
            now,
            &begun(&[
                mail(b"<a@b>"),
                rcpt(b"<a@b>"),
                header(b"From", b"a@b"),
                Command::EndOfHeaders,
                Command::Body(long),
                Command::Body(b"SKIP the rest"),
                Command::Body(b"unseen"),
                end(),
                mail(b"<a@b>"),
                rcpt(b"<a@b>"),
                header(b"From", b"a@b"),
                Command::EndOfHeaders,
                Command::Body(b"REFUSE this"),
            ]),
        ),
        conversation("unknown commands", now, &begun(&[Command::Unknown(b"FOO"), Command::Unknown(b"BAR")])),
        conversation(
            "aborts and no sender",
            now,
            &begun(&[
                mail(b"<a@b>"),
                Command::Abort,
                Command::Abort,
                Command::Abort,
                Command::Mail(Mail { sender: b"", arguments: Arguments::default() }),
                rcpt(b"postmaster"),
                Command::Helo(b"again.test"),
                Command::Abort,
            ]),
        ),
        conversation(
            "another connection on the same socket",
            now,
            &[&message(&[])[..], &[Command::QuitNewConnection], &message(&[])].concat(),
        ),
        conversation(
            "an odd and a bare macro list",
            now,
            &[macros(b'C', b"j\0mx.test\0odd\0"), macros(b'H', b""), connect(), Command::Helo(b"x")],
        ),
    ];
    all.extend((2..=6).map(|version| conversation("an older offer", offer(version), &message(&[]))));
    let mut broken = |name, octets: &[u8]| {
        let mut begun = conversation(name, now, &[connect()]);
        begun.frames.push(("broken".to_owned(), octets.to_vec()));
        all.push(begun);
    };
    broken("a length of zero", &[0, 0, 0, 0]);
    broken("an unknown command", &[0, 0, 0, 1, b'Z']);
    broken("a length of four gigabytes", &[0xff, 0xff, 0xff, 0xff, b'B']);
    broken("a header without NUL", b"\0\0\0\x03Lxy");
    all
}

struct Mta {
    stream: UnixStream,
    decoder: FrameDecoder,
    answer: Option<NegotiationAnswer>,
    /// A message or a kind of content that was refused, dropped or skipped is not sent on.
    silenced: Vec<u8>,
}

impl Mta {
    fn call(path: &Path) -> Mta {
        let begin = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "nobody at {}: {error}", path.display()),
            }
            std::thread::yield_now();
        };
        stream.set_read_timeout(Some(SILENCE)).unwrap();
        Mta { stream, decoder: FrameDecoder::new(CAP), answer: None, silenced: Vec::new() }
    }

    /// Sends a frame and gives what is heard, as an MTA that keeps to what was agreed.
    fn say(&mut self, code: &str, octets: &[u8]) -> String {
        let first = code.as_bytes()[0];
        if matches!(first, b'C' | b'M' | b'A' | b'K') {
            self.silenced.clear();
        }
        if self.silenced.contains(&first) || self.is_unwanted(first) {
            return "not sent".to_owned();
        }
        if self.stream.write_all(octets).is_err() {
            return "closed".to_owned();
        }
        if code == "broken" {
            // This library closes at once, libmilter waits for more of some: neither may answer.
            let _ = self.stream.shutdown(Shutdown::Write);
            return self.read_to_the_end();
        }
        if matches!(first, b'D' | b'A' | b'Q' | b'K') || self.is_silent(first) {
            return "-".to_owned();
        }
        self.hear(first)
    }

    fn flag(&self, bits: impl Fn(milter_proto::Stage) -> Protocol, code: u8) -> bool {
        let Some(stage) = milter_proto::Stage::from_code(code) else { return false };
        self.answer.as_ref().is_some_and(|answer| answer.protocol.contains(bits(stage)))
    }

    fn is_unwanted(&self, code: u8) -> bool {
        self.flag(milter_proto::Stage::no_event_flag, code)
    }

    fn is_silent(&self, code: u8) -> bool {
        self.flag(milter_proto::Stage::no_reply_flag, code)
    }

    fn hear(&mut self, asked: u8) -> String {
        let mut heard = Vec::new();
        loop {
            let (code, payload) = match self.frame() {
                Ok(frame) => frame,
                Err(end) => {
                    heard.push(end.to_owned());
                    return heard.join(" ");
                }
            };
            heard.push(format!("{}{}", char::from(code), payload.escape_ascii()));
            if code == b'O' {
                let mut octets = u32::try_from(payload.len() + 1).unwrap().to_be_bytes().to_vec();
                octets.push(code);
                octets.extend(&payload);
                let mut decoder = FrameDecoder::new(CAP);
                decoder.feed(&octets);
                self.answer = NegotiationAnswer::decode(decoder.next_frame().unwrap().unwrap()).ok();
            }
            match code {
                b's' => self.silenced.push(asked),
                b'd' | b'r' | b't' | b'y' if asked != b'R' || code == b'd' => {
                    self.silenced.extend(b"RTLNBE");
                }
                _ => {}
            }
            if b"Ocadrtsy4f".contains(&code) {
                return heard.join(" ");
            }
        }
    }

    fn frame(&mut self) -> Result<(u8, Vec<u8>), &'static str> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Ok((frame.code, frame.payload.to_vec()));
            }
            let mut space = [0; 4_096];
            match self.stream.read(&mut space) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err("silence"),
                Ok(0) | Err(_) => return Err("closed"),
                Ok(octets) => self.decoder.feed(&space[..octets]),
            }
        }
    }

    /// Whatever comes until the other side closes: nothing, or a reply too many.
    fn read_to_the_end(&mut self) -> String {
        let mut heard = Vec::new();
        loop {
            match self.frame() {
                Ok((code, payload)) => {
                    heard.push(format!("surplus {}{}", char::from(code), payload.escape_ascii()));
                }
                Err(end) => {
                    heard.push(end.to_owned());
                    return heard.join(" ");
                }
            }
        }
    }
}

fn transcript(path: &Path, conversation: &Conversation) -> Vec<String> {
    let mut mta = Mta::call(path);
    let opening = mta.say("O", &wire(&Command::Negotiate(conversation.offer)));
    let mut lines = vec![format!("O {opening}")];
    if opening.ends_with("closed") {
        return lines;
    }
    for (code, octets) in &conversation.frames {
        let heard = mta.say(code, octets);
        let over = heard.ends_with("closed");
        lines.push(format!("{code} {heard}"));
        if over {
            return lines;
        }
    }
    let _ = mta.stream.write_all(&wire(&Command::Quit));
    lines.push(format!("Q {}", mta.read_to_the_end()));
    lines
}

#[test]
fn the_mta_hears_the_same_from_both() {
    let folder = tempfile::tempdir().unwrap();
    let (mut differences, mut known) = (Vec::new(), BTreeSet::new());
    for mode in MODES {
        let (ours, theirs) =
            (folder.path().join(format!("o-{mode}")), folder.path().join(format!("r-{mode}")));
        start_ours(ours.clone(), mode);
        let _reference = start_reference(&theirs, mode);
        for conversation in conversations() {
            let (our, their) = (transcript(&ours, &conversation), transcript(&theirs, &conversation));
            let lines = our.len().max(their.len());
            let line =
                |all: &[String], at: usize| all.get(at).cloned().unwrap_or_else(|| "nothing".to_owned());
            for at in 0..lines {
                let (mine, other) = (line(&our, at), line(&their, at));
                if mine == other {
                    continue;
                }
                let explained = |one: &Difference| one.explains(mode, conversation.name, &other);
                if let Some(number) = DIFFERENCES.iter().position(explained) {
                    known.insert(number);
                } else {
                    let version = conversation.offer.version;
                    differences.push(format!(
                        "{mode}, {} (version {version}), {at}:\n  ours      {mine}\n  libmilter {other}",
                        conversation.name
                    ));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert_eq!(
        known.len(),
        DIFFERENCES.len(),
        "a difference is gone; there are still those numbered {known:?}"
    );
}
