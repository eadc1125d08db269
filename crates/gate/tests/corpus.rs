//! Ordinary mail passes untouched and hostile mail does not, through the same reading of a message that
//! `mailwarden explain --message` uses. `corpus/ordinary` holds one message a file, `corpus/hostile.txt` the others.

#![allow(clippy::disallowed_methods, reason = "the corpus stands in files, and it is judged as of today")]

#[path = "corpus/reading.rs"]
mod reading;

use std::path::PathBuf;

use chrono::Utc;
use mailwarden_address::{EnvelopeRecipient, EnvelopeSender};
use mailwarden_gate::{
    Decision, Edit, Facts, MessageHeaders, Modes, Moment, Path, ROUTE_HEADER, Rule, Session, explain,
};
use mailwarden_policy::{Policy, Source};
use reading::{How, Letter, hostile, ordinary};

const EXAMPLE: &str = include_str!("../../../config/policy/example.toml");

fn policy() -> Policy {
    Policy::compile(&[Source::new("p.toml", EXAMPLE.as_bytes())]).expect("valid").0
}

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn session(how: &How) -> Session {
    let stranger = Session { client: "203.0.113.9".parse().ok(), ..Session::default() };
    match how {
        How::Stranger => stranger,
        How::Login(login) => Session { login: Some(login.clone()), ..stranger },
        How::Client(address) => {
            Session { client: Some(*address), is_own_host: address.is_loopback(), ..stranger }
        }
        How::Local => Session { path: Path::Local, is_own_host: true, ..stranger },
    }
}

fn judged(policy: &Policy, letter: &Letter) -> Vec<Decision> {
    let sender = EnvelopeSender::read(format!("<{}>", letter.sender).as_bytes(), None);
    let recipients = [EnvelopeRecipient::read(format!("<{}>", letter.recipient).as_bytes(), None)];
    let headers = MessageHeaders::of_message(&letter.message);
    let moments =
        [Moment::Recipient(&recipients[0]), Moment::Message { recipients: &recipients, headers: &headers }];
    let session = session(&letter.how);
    let facts = moments.map(|moment| Facts::new(&session, &sender, moment));
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
    let letters = ordinary(&corpus());
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
    let named: Vec<String> =
        ordinary(&corpus()).into_iter().map(|letter| format!("{}.eml", letter.name)).collect();
    for entry in std::fs::read_dir(corpus().join("ordinary")).expect("the directory") {
        let file = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(file == "index.txt" || named.contains(&file), "{file}");
    }
}

#[test]
fn hostile_mail_is_refused_whoever_brings_it() {
    let policy = policy();
    let messages = hostile(&corpus());
    assert!(messages.len() >= 300, "{}", messages.len());
    let login = How::Login("omar@example.test".to_owned());
    let mut passed = Vec::new();
    for (name, message) in messages {
        for how in [How::Stranger, login.clone(), How::Local] {
            for sender in ["news@vendor.test", ""] {
                let (sender, recipient) = (sender.to_owned(), "jane@example.test".to_owned());
                let (name, message, how) = (name.clone(), message.clone(), how.clone());
                let letter = Letter { name, sender, recipient, how, message };
                let decision = judged(&policy, &letter).pop().expect("the message");
                let rule = decision.refusal().map(|refusal| refusal.rule);
                let is_refused = match letter.how {
                    How::Stranger | How::Client(_) => rule == Some(Rule::ReceiveOnly),
                    How::Login(_) | How::Local => {
                        matches!(rule, Some(Rule::ReceiveOnly | Rule::SenderIdentity))
                    }
                };
                if !is_refused {
                    passed.push(format!("{} ({:?})", letter.name, letter.how));
                }
            }
        }
    }
    assert!(passed.is_empty(), "{} passed:\n{}", passed.len(), passed.join("\n"));
}
