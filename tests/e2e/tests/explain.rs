//! `mailwarden explain` says without a mail server what the gate does behind one.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use mailwarden_e2e::{World, letter, mailwarden, without_reference};
use mailwarden_lab::smtp::Reply;
use serde_json::Value;

const ALICE: &str = "alice@example.test";
const OMAR: &str = "omar@example.test";
const VENDOR: &str = "news@vendor.test";

struct Case {
    envelope_sender: &'static str,
    header_from: &'static str,
    recipients: &'static [&'static str],
    login: Option<&'static str>,
}

const fn inbound(
    envelope_sender: &'static str,
    header_from: &'static str,
    recipients: &'static [&'static str],
) -> Case {
    Case { envelope_sender, header_from, recipients, login: None }
}

const CASES: [Case; 14] = [
    inbound(VENDOR, VENDOR, &[ALICE]),
    inbound(VENDOR, VENDOR, &["anything@saas.example.test"]),
    inbound(VENDOR, VENDOR, &["burnt@saas.example.test"]),
    inbound(VENDOR, VENDOR, &["one@saas.example.test", "burnt@saas.example.test", "ops@example.test"]),
    inbound(VENDOR, VENDOR, &["abuse@saas.example.test", "postmaster@example.test"]),
    inbound(VENDOR, VENDOR, &["bob@example.test"]),
    inbound("vault@example.test", VENDOR, &[ALICE]),
    inbound("x@saas.example.test", VENDOR, &[ALICE, "anything@saas.example.test"]),
    inbound("", VENDOR, &["anything@saas.example.test"]),
    inbound("", "Vault <vault@example.test>", &[ALICE]),
    inbound(VENDOR, "\"vault@example.test via List\" <list@lists.test>", &[ALICE]),
    inbound(VENDOR, "news@vendor.test, vault@example.test", &[ALICE]),
    Case {
        envelope_sender: OMAR,
        header_from: "vault@example.test",
        recipients: &[ALICE],
        login: Some(OMAR),
    },
    Case {
        envelope_sender: OMAR,
        header_from: OMAR,
        recipients: &["x@saas.example.test"],
        login: Some(OMAR),
    },
];

fn explained(world: &World, case: &Case) -> (i32, Value) {
    let config = world.installation.config();
    let mut arguments = vec!["explain", "--json", "--config", &config, "--from", case.envelope_sender];
    arguments.extend(["--header-from", case.header_from]);
    arguments.extend(case.recipients.iter().flat_map(|recipient| ["--rcpt", recipient]));
    arguments.extend(case.login.iter().flat_map(|login| ["--auth", login]));
    let output = mailwarden(&arguments).unwrap();
    (output.code, output.json())
}

/// The refusal an explanation foresees, without the reference it cannot know.
fn foreseen(explained: &Value) -> Option<String> {
    explained["reply"].as_str().map(without_reference)
}

fn heard(reply: &Reply) -> Option<String> {
    (!reply.is_ok()).then(|| format!("{} {}", reply.code, without_reference(&reply.text())))
}

/// The route fields of an accepted message.
fn foreseen_routes(explanation: &Value) -> Vec<String> {
    let edits = explanation["message"]["decision"]["edits"].as_array().cloned().unwrap_or_default();
    let inserted = edits.iter().filter(|edit| edit["edit"] == "insert_header");
    inserted.filter_map(|edit| edit["value"].as_str().map(str::to_owned)).collect()
}

#[test]
fn an_explanation_is_what_the_gate_does() {
    let world = World::start().unwrap();
    for (number, case) in CASES.iter().enumerate() {
        let subject = format!("case {number}");
        let mut session = match case.login {
            Some(login) => world.lab.submission(login).unwrap(),
            None => world.lab.smtp_from_outside().unwrap(),
        };
        let message = letter(case.header_from, &subject);
        let live = session.send(case.envelope_sender, case.recipients, message).unwrap();
        let (code, explanation) = explained(&world, case);

        let recipients = explanation["recipients"].as_array().unwrap();
        let foreseen_recipients: Vec<_> = recipients.iter().map(foreseen).collect();
        let heard_recipients: Vec<_> = live.recipients.iter().map(|(_, reply)| heard(reply)).collect();
        assert_eq!(foreseen_recipients, heard_recipients, "{subject}: {live:?}");
        assert_eq!(
            foreseen(&explanation["message"]),
            live.message.as_ref().and_then(heard),
            "{subject}: {live:?}"
        );
        assert_eq!(explanation["message"].is_null(), live.message.is_none(), "{subject}: {explanation:#}");
        assert_eq!(code, i32::from(live.refusal().is_some()), "{subject}: {explanation:#}");

        let mut routes = foreseen_routes(&explanation);
        if live.is_accepted() && !routes.is_empty() {
            let target = routes[0].split(" -> ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
            let delivered = world.arrives_once(&target, &subject).unwrap();
            let mut found = delivered.header_all("Mailwarden-Route");
            found.sort_unstable();
            routes.sort_unstable();
            assert_eq!(found, routes, "{subject}");
        }
    }
}

#[test]
fn a_saved_message_is_explained_by_all_its_author_fields() {
    let world = World::start().unwrap();
    let config = world.installation.config();
    let mut differences = Vec::new();
    for (name, head) in [
        ("good", "From: \"vault@example.test\" <list@lists.test>"),
        ("two", "From: news@vendor.test\nFrom: vault@example.test"),
        ("sender", "From: news@vendor.test\nSender: x@saas.example.test"),
        ("resent", "From: news@vendor.test\nResent-From: Vault\n\t<vault@example.test>"),
        ("group", "From: Everybody: vault@example.test;"),
        ("blank", "Subject: s\nFrom : vault@example.test"),
        ("encoded", "From: =?utf-8?q?vault=40example=2Etest?="),
        ("unreadable", " From: vault@example.test"),
        ("nobody", "Subject: nobody wrote this"),
    ] {
        let message = format!("{head}\nTo: {ALICE}\n\nbody\n");
        let file = world.installation.write(&format!("{name}.eml"), &message).unwrap();
        let live = world.send_from_outside(VENDOR, &[ALICE], &message).unwrap();
        let arguments =
            ["explain", "--json", "--config", &config, "--from", VENDOR, "--rcpt", ALICE, "--message", &file];
        let output = mailwarden(&arguments).unwrap();
        let foreseen = (output.code, foreseen(&output.json()["message"]));
        let heard = (i32::from(!live.is_accepted()), live.message.as_ref().and_then(heard));
        if foreseen != heard {
            differences.push(format!("{name}: explained {foreseen:?}, heard {heard:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
