//! Ordinary mail passes untouched and hostile mail does not, through the same reading of a message that
//! `mailwarden explain --message` uses. `corpus/ordinary` holds one message a file, `corpus/hostile.txt` the others.

#![allow(clippy::disallowed_methods, reason = "the corpus stands in files, and it is judged as of today")]

use std::path::PathBuf;

use chrono::Utc;
use mailwarden_address::{EnvelopeRecipient, EnvelopeSender};
use mailwarden_gate::{
    Decision, Edit, Facts, MessageHeaders, Modes, Moment, Path, ROUTE_HEADER, Rule, Session, explain,
};
use mailwarden_policy::{Policy, Source};

const EXAMPLE: &str = include_str!("../../../config/policy/example.toml");

fn policy() -> Policy {
    Policy::compile(&[Source::new("p.toml", EXAMPLE.as_bytes())]).expect("valid").0
}

fn corpus(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

/// One line of the index of ordinary mail.
struct Letter {
    name: String,
    sender: String,
    recipient: String,
    session: Session,
    message: Vec<u8>,
}

fn ordinary() -> Vec<Letter> {
    let index = std::fs::read_to_string(corpus("ordinary/index.txt")).expect("the index");
    index.lines().filter(|line| !line.starts_with('#')).map(letter).collect()
}

fn letter(line: &str) -> Letter {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let [name, sender, recipient, how] = columns.as_slice() else { panic!("not an entry: {line}") };
    let mut session = Session { client: "203.0.113.9".parse().ok(), ..Session::default() };
    match how.split_once('=') {
        Some(("auth", login)) => session.login = Some(login.to_owned()),
        Some(("client", address)) => {
            session.client = address.parse().ok();
            session.is_own_host = session.client.is_some_and(|client| client.is_loopback());
        }
        None if *how == "local" => session = Session { path: Path::Local, is_own_host: true, ..session },
        _ => assert!(how.is_empty(), "{line}"),
    }
    let message = std::fs::read(corpus(&format!("ordinary/{name}.eml"))).expect("the message");
    let (sender, recipient) = ((*sender).to_owned(), (*recipient).to_owned());
    Letter { name: (*name).to_owned(), sender, recipient, session, message }
}

fn judged(policy: &Policy, letter: &Letter) -> Vec<Decision> {
    let sender = EnvelopeSender::read(format!("<{}>", letter.sender).as_bytes(), None);
    let recipients = [EnvelopeRecipient::read(format!("<{}>", letter.recipient).as_bytes(), None)];
    let headers = MessageHeaders::of_message(&letter.message);
    let moments =
        [Moment::Recipient(&recipients[0]), Moment::Message { recipients: &recipients, headers: &headers }];
    let facts = moments.map(|moment| Facts::new(&letter.session, &sender, moment));
    facts.iter().map(|facts| explain(policy, &Modes::default(), facts, Utc::now())).collect()
}

/// Being led to its mailbox, with the header that says so, is all that may happen to it.
fn is_untouched(edit: &Edit) -> bool {
    matches!(
        edit,
        Edit::DeleteRecipient { .. }
            | Edit::AddRecipient { .. }
            | Edit::InsertHeader { name: ROUTE_HEADER, .. }
    )
}

#[test]
fn ordinary_mail_passes_untouched() {
    let policy = policy();
    let letters = ordinary();
    assert!(letters.len() >= 60, "{}", letters.len());
    let mut wrong = Vec::new();
    for letter in &letters {
        for decision in judged(&policy, letter) {
            if !decision.is_accepted() || !decision.edits.iter().all(is_untouched) {
                wrong.push(format!("{}: {:?} {:#?}", letter.name, decision.verdict, decision.edits));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_of_the_corpus_is_in_its_index() {
    let named: Vec<String> = ordinary().into_iter().map(|letter| format!("{}.eml", letter.name)).collect();
    for entry in std::fs::read_dir(corpus("ordinary")).expect("the directory") {
        let file = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(file == "index.txt" || named.contains(&file), "{file}");
    }
}

fn hostile() -> Vec<(String, Vec<u8>)> {
    let text = std::fs::read_to_string(corpus("hostile.txt")).expect("the corpus");
    let mut messages: Vec<(String, Vec<u8>)> = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix("== ") {
            messages.push((name.trim().to_owned(), Vec::new()));
        } else if let Some((_, message)) = messages.last_mut() {
            unescape(line, message);
        }
    }
    messages
}

fn unescape(line: &str, message: &mut Vec<u8>) {
    let mut rest = line;
    while let Some((before, escape)) = rest.split_once('\\') {
        message.extend_from_slice(before.as_bytes());
        rest = match escape.as_bytes() {
            [b'\\', ..] => {
                message.push(b'\\');
                &escape[1..]
            }
            [b'x', ..] => {
                message.push(u8::from_str_radix(&escape[1..3], 16).expect("two digits"));
                &escape[3..]
            }
            _ => {
                let (digits, after) = escape[2..].split_once('}').expect("closed");
                let character = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
                message.extend_from_slice(character.expect("a character").to_string().as_bytes());
                after
            }
        };
    }
    message.extend_from_slice(rest.as_bytes());
}

#[test]
fn hostile_mail_is_refused_whoever_brings_it() {
    let policy = policy();
    let login = Session { login: Some("omar@example.test".to_owned()), ..Session::default() };
    let local = Session { path: Path::Local, is_own_host: true, ..Session::default() };
    let messages = hostile();
    assert!(messages.len() >= 300, "{}", messages.len());
    let mut passed = Vec::new();
    for (name, message) in messages {
        for session in [Session::default(), login.clone(), local.clone()] {
            for sender in ["news@vendor.test", ""] {
                let (sender, recipient) = (sender.to_owned(), "jane@example.test".to_owned());
                let (name, message, session) = (name.clone(), message.clone(), session.clone());
                let letter = Letter { name, sender, recipient, session, message };
                let decision = judged(&policy, &letter).pop().expect("the message");
                let rule = decision.refusal().map(|refusal| refusal.rule);
                let is_refused = match letter.session.is_ours() {
                    false => rule == Some(Rule::ReceiveOnly),
                    true => matches!(rule, Some(Rule::ReceiveOnly | Rule::SenderIdentity)),
                };
                if !is_refused {
                    passed.push(format!("{} ({:?})", letter.name, letter.session));
                }
            }
        }
    }
    assert!(passed.is_empty(), "{} passed:\n{}", passed.len(), passed.join("\n"));
}
