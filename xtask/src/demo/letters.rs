//! Letters to the gate: each is sent for real, and what became of it is compared with what should have.

use anyhow::Context;
use mailwarden_lab::imap::Message;
use mailwarden_lab::smtp::{Outcome, Reply, Smtp};
use mailwarden_lab::wait::wait_until;

use super::stage::{SOON, Stage, address};
use crate::talk::{count, note};

/// The field in which the address survives that the mail was sent to.
const ROUTE_HEADER: &str = "Mailwarden-Route";

/// How a letter comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From a stranger's server.
    Outside,
    /// From a user who has logged in to submit it.
    Submission(&'static str),
    /// From a program on the host, by sendmail(1).
    Sendmail,
}

/// When a refusal is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Recipient,
    Message,
    /// Too late for the program: the sender is told by mail, and Postfix by its log.
    AfterSendmail,
}

/// What has to become of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives { user: &'static str, route: &'static str },
    Refused { moment: Moment, rule: &'static str, address: &'static str },
}

#[derive(Debug, Clone, Copy)]
struct Letter {
    what: &'static str,
    way: Way,
    envelope_sender: &'static str,
    header_from: &'static str,
    recipient: &'static str,
    fate: Fate,
}

/// What became of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Became {
    Arrived { user: &'static str, route: Option<String> },
    Refused { moment: Moment, reply: String },
}

/// A letter, what became of it, and whether that is as it should be.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) what: &'static str,
    pub(super) became: Became,
    pub(super) expected: bool,
}

const VENDOR: &str = "shop@vendor.test";
const VENDOR_FROM: &str = "Shop <shop@vendor.test>";
const TO_JANE: &str = "jane@example.test";

const LETTERS: [Letter; 11] = [
    Letter {
        what: "a vendor writes to shop-42@saas.example.test",
        way: Way::Outside,
        envelope_sender: VENDOR,
        header_from: VENDOR_FROM,
        recipient: "shop-42@saas.example.test",
        fate: Fate::Arrives { user: "ops", route: "shop-42@saas.example.test -> ops@example.test (route)" },
    },
    Letter {
        what: "a complaint to abuse@saas.example.test",
        way: Way::Outside,
        envelope_sender: "",
        header_from: "Postmaster <postmaster@vendor.test>",
        recipient: "abuse@saas.example.test",
        fate: Fate::Arrives { user: "ops", route: "abuse@saas.example.test -> ops@example.test" },
    },
    Letter {
        what: "a customer writes to bob@example.test, who has left",
        way: Way::Outside,
        envelope_sender: "customer@client.test",
        header_from: "Customer <customer@client.test>",
        recipient: "bob@example.test",
        fate: Fate::Arrives { user: "jane", route: "bob@example.test -> jane@example.test (leaver)" },
    },
    Letter {
        what: "somebody writes to burnt@saas.example.test, a burned vendor address",
        way: Way::Outside,
        envelope_sender: VENDOR,
        header_from: VENDOR_FROM,
        recipient: "burnt@saas.example.test",
        fate: Fate::Refused {
            moment: Moment::Recipient,
            rule: "vendor-state",
            address: "burnt@saas.example.test",
        },
    },
    Letter {
        what: "From: vault@example.test, which never sends",
        way: Way::Outside,
        envelope_sender: "crook@evil.test",
        header_from: "Vault <vault@example.test>",
        recipient: TO_JANE,
        fate: VAULT_REFUSED,
    },
    Letter {
        what: "envelope sender acme@saas.example.test, which never sends",
        way: Way::Outside,
        envelope_sender: "acme@saas.example.test",
        header_from: VENDOR_FROM,
        recipient: TO_JANE,
        fate: Fate::Refused {
            moment: Moment::Recipient,
            rule: "receive-only",
            address: "acme@saas.example.test",
        },
    },
    Letter {
        what: "two mailboxes in From, one of them vault@",
        way: Way::Outside,
        envelope_sender: "crook@evil.test",
        header_from: "\"Vault\" <vault@example.test>, <crook@evil.test>",
        recipient: TO_JANE,
        fate: VAULT_REFUSED,
    },
    Letter {
        what: "an unclosed quote and a comment in From, around vault@",
        way: Way::Outside,
        envelope_sender: "crook@evil.test",
        header_from: "\"Vault <vault@(x)example.test> <crook@evil.test>",
        recipient: TO_JANE,
        fate: VAULT_REFUSED,
    },
    Letter {
        what: "omar@ logs in and submits From: vault@example.test",
        way: Way::Submission("omar"),
        envelope_sender: "omar@example.test",
        header_from: "vault@example.test",
        recipient: TO_JANE,
        fate: VAULT_REFUSED,
    },
    Letter {
        what: "a program on the host uses sendmail(1) with From: vault@example.test",
        way: Way::Sendmail,
        envelope_sender: "root@example.test",
        header_from: "Vault <vault@example.test>",
        recipient: TO_JANE,
        fate: Fate::Refused {
            moment: Moment::AfterSendmail,
            rule: "receive-only",
            address: "vault@example.test",
        },
    },
    Letter {
        what: "omar@ logs in and writes to jane@ as himself",
        way: Way::Submission("omar"),
        envelope_sender: "omar@example.test",
        header_from: "Omar <omar@example.test>",
        recipient: TO_JANE,
        fate: Fate::Arrives { user: "jane", route: "" },
    },
];

const VAULT_REFUSED: Fate =
    Fate::Refused { moment: Moment::Message, rule: "receive-only", address: "vault@example.test" };

/// Sends every letter and waits for what becomes of it.
pub(super) fn exchange(stage: &Stage) -> anyhow::Result<Vec<Delivered>> {
    let delivered =
        (0..LETTERS.len()).map(|number| deliver(stage, number)).collect::<anyhow::Result<Vec<_>>>()?;
    let arrived = delivered.iter().filter(|one| matches!(one.became, Became::Arrived { .. })).count();
    note(&format!("{arrived} arrived, {} refused", delivered.len() - arrived));
    Ok(delivered)
}

fn deliver(stage: &Stage, number: usize) -> anyhow::Result<Delivered> {
    let letter = &LETTERS[number];
    let subject = format!("Demonstration letter {}", number + 1);
    let became = send(stage, letter, &subject).with_context(|| letter.what)?;
    Ok(Delivered { what: letter.what, expected: is_expected(&letter.fate, &became), became })
}

fn send(stage: &Stage, letter: &Letter, subject: &str) -> anyhow::Result<Became> {
    let text = message(letter.header_from, letter.recipient, subject);
    let mut session = match letter.way {
        Way::Outside => stage.lab.smtp_from_outside()?,
        Way::Submission(user) => stage.lab.submission(&address(user))?,
        Way::Sendmail => {
            let arguments = ["-i", "-f", letter.envelope_sender, letter.recipient];
            stage.lab.postfix.sendmail(&arguments, text)?;
            return sendmail_refusal(stage, letter);
        }
    };
    let outcome = speak(&mut session, letter, &text)?;
    match refusal(&outcome) {
        Some(refused) => Ok(refused),
        None => arrival(stage, letter, subject),
    }
}

fn speak(session: &mut Smtp, letter: &Letter, text: &str) -> anyhow::Result<Outcome> {
    Ok(session.send(letter.envelope_sender, &[letter.recipient], text)?)
}

/// A message as small as one can be that a mail program shows without complaint.
pub(super) fn message(header_from: &str, recipient: &str, subject: &str) -> String {
    format!(
        "From: {header_from}\nTo: {recipient}\nSubject: {subject}\n\
         Date: Fri, 20 Nov 2026 10:00:00 +0000\n\nThis letter is part of a demonstration.\n"
    )
}

fn refusal(outcome: &Outcome) -> Option<Became> {
    let reply = outcome.refusal()?;
    let at_message = outcome.message.as_ref() == Some(reply);
    let moment = if at_message { Moment::Message } else { Moment::Recipient };
    Some(Became::Refused { moment, reply: spoken(reply) })
}

/// The reply as it came over the wire.
pub(super) fn spoken(reply: &Reply) -> String {
    format!("{} {}", reply.code, reply.text().replace('\n', " "))
}

/// A program on the host hears nothing; what the gate said stands in Postfix's log.
fn sendmail_refusal(stage: &Stage, letter: &Letter) -> anyhow::Result<Became> {
    let sender = format!("from=<{}>", letter.envelope_sender);
    let said = |log: &str| {
        let line = log.lines().find(|line| {
            line.contains("cleanup[") && line.contains("milter-reject") && line.contains(&sender)
        })?;
        let (_, after) = line.split_once("milter-reject: ")?;
        let (_, reply) = after.split_once("]: ")?;
        Some(reply.split("; from=").next().unwrap_or(reply).to_owned())
    };
    let reply =
        wait_until(SOON, "the refusal of a letter from sendmail(1)", || said(&stage.lab.postfix.log()))?;
    Ok(Became::Refused { moment: Moment::AfterSendmail, reply })
}

/// Reads the letter back over IMAP from the mailbox where it belongs.
fn arrival(stage: &Stage, letter: &Letter, subject: &str) -> anyhow::Result<Became> {
    let user = match letter.fate {
        Fate::Arrives { user, .. } => user,
        // Accepted against all expectation: it must be where it was addressed to.
        Fate::Refused { .. } => "jane",
    };
    let found = read_back(stage, user, subject)?;
    Ok(Became::Arrived { user, route: found.header(ROUTE_HEADER).map(str::to_owned) })
}

/// Waits for a letter in the INBOX of `user`; a second copy would be an error.
pub(super) fn read_back(stage: &Stage, user: &str, subject: &str) -> anyhow::Result<Message> {
    let is_it = |message: &Message| message.header("Subject") == Some(subject);
    let found = stage.lab.wait_for_message(&address(user), SOON, is_it)?;
    let mut session = stage.lab.imap(&address(user))?;
    session.select("INBOX")?;
    let copies = session.messages()?.into_iter().filter(is_it).count();
    anyhow::ensure!(copies == 1, "{subject:?} is {} times in {}", count(copies, "copy"), address(user));
    Ok(found)
}

fn is_expected(fate: &Fate, became: &Became) -> bool {
    match (fate, became) {
        (Fate::Arrives { user, route }, Became::Arrived { user: reached, route: carried }) => {
            user == reached
                && match carried {
                    Some(carried) => !route.is_empty() && carried.starts_with(route),
                    None => route.is_empty(),
                }
        }
        (Fate::Refused { moment, rule, address }, Became::Refused { moment: spoken, reply }) => {
            let named = format!("{rule}: <{address}>");
            moment == spoken && reply.contains("5.") && reply.contains(&named) && reference(reply).is_some()
        }
        _ => false,
    }
}

/// The reference by which an admin finds a refusal again.
pub(super) fn reference(reply: &str) -> Option<&str> {
    let (_, after) = reply.split_once("(reference ")?;
    after.split_once(')').map(|(reference, _)| reference)
}

/// The first refusal that can be looked up.
pub(super) fn first_reference(delivered: &[Delivered]) -> Option<String> {
    delivered.iter().find_map(|one| match &one.became {
        Became::Refused { reply, .. } => reference(reply).map(str::to_owned),
        Became::Arrived { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: &str = "550 5.7.1 receive-only: <vault@example.test> only receives (reference 0123456789AB)";

    fn refused(moment: Moment, reply: &str) -> Became {
        Became::Refused { moment, reply: reply.to_owned() }
    }

    #[test]
    fn a_refusal_has_to_name_rule_address_and_reference_at_its_moment() {
        assert!(is_expected(&VAULT_REFUSED, &refused(Moment::Message, REPLY)));
        assert!(!is_expected(&VAULT_REFUSED, &refused(Moment::Recipient, REPLY)));
        for lacking in ["receive-only", "vault", "(reference ", "5."] {
            assert!(!is_expected(&VAULT_REFUSED, &refused(Moment::Message, &REPLY.replace(lacking, "?"))));
        }
        assert!(!is_expected(&VAULT_REFUSED, &Became::Arrived { user: "jane", route: None }));
    }

    #[test]
    fn an_arrival_counts_with_its_route_only() {
        let fate = Fate::Arrives { user: "ops", route: "x@saas -> ops@" };
        let arrived = |route: Option<&str>| Became::Arrived { user: "ops", route: route.map(str::to_owned) };
        assert!(is_expected(&fate, &arrived(Some("x@saas -> ops@ (route)"))));
        assert!(!is_expected(&fate, &arrived(None)));
        let plain = Fate::Arrives { user: "ops", route: "" };
        assert!(is_expected(&plain, &arrived(None)));
        assert!(!is_expected(&plain, &arrived(Some("forged"))));
    }

    #[test]
    fn the_first_refusal_is_the_one_looked_up() {
        let delivered = |became| Delivered { what: "", became, expected: true };
        let letters = [
            delivered(Became::Arrived { user: "ops", route: None }),
            delivered(refused(Moment::Message, REPLY)),
        ];
        assert_eq!(first_reference(&letters).as_deref(), Some("0123456789AB"));
        assert_eq!(first_reference(&letters[..1]), None);
    }
}
