//! Ordinary and hostile mail in bulk through a real Postfix: each message ends as `mailwarden explain --message`
//! foretells from its text alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a step that fails is a test that fails")]

#[path = "../../../crates/gate/tests/corpus/reading.rs"]
mod reading;

use std::path::Path;

use mailwarden_e2e::{Output, World, WorldOptions, mailwarden, without_reference};
use mailwarden_lab::OutsideWorld;
use mailwarden_lab::smtp::{Reply, Smtp};
use reading::{How, Letter, hostile, ordinary};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/gate/tests/corpus");
/// Messages of one session: from the tenth error on Postfix lets a client wait a second (smtpd_soft_error_limit).
const PER_SESSION: usize = 9;
/// Of the hostile messages every so many-th is compared word for word.
const ASKED: usize = 10;

fn world() -> World {
    let mut options = WorldOptions::default();
    options.lab.outside = OutsideWorld::Discarded;
    // Postfix slows new mail down to what its queue manager delivers, and of refused mail that is nothing.
    options.lab.main_cf = "in_flow_delay = 0\n".to_owned();
    World::with(&options).unwrap()
}

/// What the gate's own reading of the message foretells: the refusal's text, or nothing.
fn foreseen(world: &World, letter: &Letter) -> Option<String> {
    let message = world.installation.write("letter.eml", &letter.message).unwrap();
    let config = world.installation.config();
    let mut arguments = vec!["explain", "--json", "--config", &config, "--message", &message];
    arguments.extend(["--from", &letter.sender, "--rcpt", &letter.recipient]);
    let client = match &letter.how {
        How::Stranger | How::Login(_) => "203.0.113.9".to_owned(),
        How::Client(address) => address.to_string(),
        How::Local => String::new(),
    };
    match &letter.how {
        How::Login(login) => arguments.extend(["--auth", login]),
        How::Local => arguments.push("--local"),
        How::Stranger | How::Client(_) => {}
    }
    if !client.is_empty() {
        arguments.extend(["--client", &client]);
    }
    let output: Output = mailwarden(&arguments).unwrap();
    assert!(matches!(output.code, 0 | 1), "{}: {output:?}", letter.name);
    let explanation = output.json();
    let replies = explanation["recipients"].as_array().unwrap().iter().chain([&explanation["message"]]);
    replies.filter_map(|one| one["reply"].as_str()).map(without_reference).next()
}

fn session(world: &World, how: &How) -> Smtp {
    match how {
        How::Stranger => world.lab.smtp_from_outside().unwrap(),
        How::Login(login) => world.lab.submission(login).unwrap(),
        How::Client(_) | How::Local => {
            let mut session = Smtp::connect(world.lab.postfix.smtp_port()).unwrap();
            session.ehlo("localhost").unwrap();
            session
        }
    }
}

/// What the client hears: the refusal's text, or nothing.
fn heard(session: &mut Smtp, letter: &Letter) -> Option<String> {
    let utf8 = if letter.sender.is_ascii() { "" } else { " SMTPUTF8" };
    let mail = session.command(&format!("MAIL FROM:<{}>{utf8}", letter.sender)).unwrap();
    let rcpt = session.rcpt(&letter.recipient).unwrap();
    assert!(mail.is_ok(), "{}: {mail:?}", letter.name);
    let refusal = |reply: &Reply| {
        (!reply.is_ok()).then(|| format!("{} {}", reply.code, without_reference(&reply.text())))
    };
    if !rcpt.is_ok() {
        session.rset().unwrap();
        return refusal(&rcpt);
    }
    refusal(&session.data(&letter.message).unwrap())
}

/// A message that ended otherwise than foretold.
#[derive(Debug)]
#[allow(dead_code, reason = "read by people, when a test fails")]
struct Surprise {
    name: String,
    told: Option<String>,
    foretold: Option<String>,
}

/// Sends everybody's messages, each kind of session in parts.
fn surprises(world: &World, letters: &[Letter]) -> Vec<Surprise> {
    let mut surprises = Vec::new();
    for part in letters.chunk_by(|a, b| a.how == b.how).flat_map(|same| same.chunks(PER_SESSION)) {
        let mut session = session(world, &part[0].how);
        for letter in part {
            let foretold = foreseen(world, letter);
            let told = heard(&mut session, letter);
            if told != foretold {
                surprises.push(Surprise { name: letter.name.clone(), told, foretold });
            }
        }
    }
    surprises
}

#[test]
fn ordinary_mail_passes_a_real_postfix_as_foretold() {
    let world = world();
    let (local, letters): (Vec<_>, Vec<_>) =
        ordinary(Path::new(CORPUS)).into_iter().partition(|letter| letter.how == How::Local);
    assert!(letters.len() >= 58 && local.len() >= 2);
    let surprises = surprises(&world, &letters);
    assert!(surprises.is_empty(), "{surprises:#?}");
    for letter in &local {
        assert_eq!(foreseen(&world, letter), None, "{}", letter.name);
        let ran = world.lab.postfix.sendmail(&["-f", &letter.sender, &letter.recipient], &letter.message);
        assert_eq!(ran.unwrap().code, Some(0), "{}", letter.name);
    }
    world.settle().unwrap();
    let metrics = world.metrics().unwrap();
    assert_eq!(
        metrics.value("mailwarden_gate_messages_accepted_total"),
        (letters.len() + local.len()) as u64
    );
    assert_eq!(metrics.value("mailwarden_gate_messages_refused_total"), 0);
}

/// Postfix ends a header line at a NUL: who reads the mail sees an author without the rest, as the gate does.
fn is_cut_short(name: &str) -> bool {
    name.starts_with("NUL inside")
}

#[test]
fn hostile_mail_is_refused_behind_a_real_postfix_as_foretold() {
    let world = world();
    let letter = |(name, message): (String, Vec<u8>)| Letter {
        name,
        sender: "news@vendor.test".to_owned(),
        recipient: "jane@example.test".to_owned(),
        how: How::Stranger,
        message,
    };
    let letters: Vec<Letter> = hostile(Path::new(CORPUS)).into_iter().map(letter).collect();
    assert!(letters.len() >= 300);
    let (cut, whole): (Vec<Letter>, Vec<Letter>) =
        letters.into_iter().partition(|letter| is_cut_short(&letter.name));
    // That all of them are foretold to be refused is for the gate's own test of the corpus to say.
    let asked: Vec<Letter> = whole.iter().step_by(ASKED).cloned().collect();
    let surprises = surprises(&world, &asked);
    assert!(surprises.is_empty(), "{surprises:#?}");
    for part in whole.chunks(PER_SESSION) {
        let mut session = session(&world, &How::Stranger);
        for letter in part {
            let told = heard(&mut session, letter).unwrap_or_default();
            assert!(told.contains(" receive-only: "), "{}: {told:?}", letter.name);
        }
    }
    let mut session = session(&world, &How::Stranger);
    for letter in &cut {
        assert_eq!(heard(&mut session, letter), None, "{}", letter.name);
    }
    let metrics = world.metrics().unwrap();
    assert_eq!(metrics.value("mailwarden_gate_messages_accepted_total"), cut.len() as u64);
    assert_eq!(metrics.value("mailwarden_gate_messages_refused_total"), (whole.len() + asked.len()) as u64);
    world.settle().unwrap();
    let mut jane = world.lab.imap("jane@example.test").unwrap();
    jane.select("INBOX").unwrap();
    let copies = jane.messages().unwrap();
    assert_eq!(copies.len(), cut.len());
    for copy in copies {
        let from = copy.header("From").unwrap();
        assert!(!from.contains(".test") && !copy.raw.contains('\0'), "{from:?}");
    }
}
