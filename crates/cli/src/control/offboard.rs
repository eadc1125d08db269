//! `mailwarden offboard`: open -> contain -> sweep -> attest or waive -> approve -> close.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use mailwarden_address::Address;
use mailwarden_casework::offboard::{self, ItemState, OffboardCase, Opening, Proof, Resolution};
use mailwarden_casework::{Swept, to_entry};
use mailwarden_policy::Source;
use mailwarden_policy::leave::{LeaveError, mark_left};
use mailwarden_settings::policy_sources;
use serde_json::{Value, json};

use super::actor::Actor;
use super::casebook::{moment, number, refused};
use super::reset::{ActAs, ApprovalArguments, approving};
use super::{Casebook, bundle, swept};
use crate::arguments::{Common, Looking};
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};
use crate::policy_edit::PolicyEdit;

#[derive(Debug, Subcommand)]
pub(crate) enum OffboardCommand {
    /// Open a case: sweeps first, then prints the checklist worked out of the policy
    #[command(after_help = "Example:\n  mailwarden offboard open bob@example.com --at 2026-01-31T17:00:00Z \
                            --ticket HR-9")]
    Open(OpenArguments),
    /// Print the edit of the policy that contains the leaver, or make it; then record it
    #[command(
        after_help = "Example:\n  mailwarden offboard contain bob@example.com --successor jane@example.com --apply"
    )]
    Contain(ContainArguments),
    /// Sweep again, and pass every item that the sweep and the policy prove
    #[command(after_help = "Example:\n  mailwarden offboard sweep --all-due")]
    Sweep(SweepArguments),
    /// Where the cases stand, and what is open
    #[command(after_help = "Example:\n  mailwarden offboard status bob@example.com")]
    Status(StatusArguments),
    /// Record that somebody did what no machine can see
    #[command(
        after_help = "Example:\n  mailwarden offboard attest bob@example.com A2 --note 'sessions ended in the panel'"
    )]
    Attest(AttestArguments),
    /// Let an item stay open for a time
    #[command(
        after_help = "Example:\n  mailwarden offboard waive bob@example.com A3 --reason 'no app passwords here' --approver jane@example.com --expires 2026-03-01"
    )]
    Waive(WaiveArguments),
    /// Record the approval of the whole
    #[command(
        after_help = "Example:\n  mailwarden offboard approve bob@example.com --approver jane@example.com --channel phone"
    )]
    Approve(ApproveArguments),
    /// End the case; refuses what is neither passed, attested nor waived
    #[command(after_help = "Example:\n  mailwarden offboard close bob@example.com")]
    Close(CloseArguments),
    /// Write the evidence: the case, its ledger entries with proofs, the checkpoint
    #[command(after_help = "Example:\n  mailwarden offboard bundle bob@example.com --output evidence/bob")]
    Bundle(BundleArguments),
}

#[derive(Debug, Args)]
pub(crate) struct OpenArguments {
    /// Who leaves, by any of their addresses
    person: String,
    /// When they leave, as HR says; now, where it is left out
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The ticket
    #[arg(long)]
    ticket: String,
    /// Why
    #[arg(long, default_value = "leaves")]
    reason: String,
    /// A saved report instead of a sweep
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    act: ActAs,
}

#[derive(Debug, Args)]
pub(crate) struct ContainArguments {
    /// The case, or the person
    #[arg(required_unless_present = "all_due")]
    case: Option<String>,
    /// Every open case
    #[arg(long, conflicts_with = "case")]
    all_due: bool,
    /// Who takes over their mail
    #[arg(long, value_name = "ADDRESS")]
    successor: Option<String>,
    /// Write the policy file; without it the edit is printed
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    act: ActAs,
}

#[derive(Debug, Args)]
pub(crate) struct SweepArguments {
    /// The case, or the person
    #[arg(required_unless_present = "all_due")]
    case: Option<String>,
    /// Every open case whose time has come
    #[arg(long, conflicts_with = "case")]
    all_due: bool,
    /// A saved report instead of a sweep
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    act: ActAs,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// The case, or the person; every open case, where it is left out
    case: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AttestArguments {
    /// The case, or the person
    case: String,
    /// The item, e.g. A2
    item: String,
    /// What was done
    #[arg(long)]
    note: String,
    /// When it was done; now, where it is left out
    #[arg(long, value_name = "TIME")]
    done: Option<String>,
    #[command(flatten)]
    act: ActAs,
}

#[derive(Debug, Args)]
pub(crate) struct WaiveArguments {
    /// The case, or the person
    case: String,
    /// The item, e.g. "C2 billing@example.com crm"
    item: String,
    /// Why it may stay open
    #[arg(long)]
    reason: String,
    /// Who answers for it
    #[arg(long, value_name = "ADDRESS")]
    approver: String,
    /// Until when
    #[arg(long, value_name = "TIME")]
    expires: String,
    #[command(flatten)]
    act: ActAs,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArguments {
    /// The case, or the person
    case: String,
    #[command(flatten)]
    approval: ApprovalArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CloseArguments {
    /// The case, or the person
    case: String,
    #[command(flatten)]
    act: ActAs,
}

#[derive(Debug, Args)]
pub(crate) struct BundleArguments {
    /// The case, or the person
    case: String,
    /// Where to write it
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
}

pub(crate) async fn run(common: &Common, command: &OffboardCommand) -> Result<Outcome, Failure> {
    let book = Casebook::open(common).await?;
    let outcome = match command {
        OffboardCommand::Open(arguments) => open(common, &book, arguments).await,
        OffboardCommand::Contain(arguments) => contain(common, &book, arguments).await,
        OffboardCommand::Sweep(arguments) => sweep(common, &book, arguments).await,
        OffboardCommand::Status(arguments) => status(&book, arguments).await,
        OffboardCommand::Attest(arguments) => attest(&book, arguments).await,
        OffboardCommand::Waive(arguments) => waive(&book, arguments).await,
        OffboardCommand::Approve(arguments) => approve(&book, arguments).await,
        OffboardCommand::Close(arguments) => close(&book, arguments).await,
        OffboardCommand::Bundle(arguments) => write_bundle(&book, arguments).await,
    }?;
    book.close(outcome).await
}

async fn cases(book: &Casebook) -> Result<Vec<OffboardCase>, Failure> {
    Ok(offboard::cases(&book.entries("offboard.").await?))
}

/// By number, or the open case of a person, or their last one.
async fn case(book: &Casebook, named: &str) -> Result<OffboardCase, Failure> {
    let mut cases = cases(book).await?;
    let by_number = cases.iter().position(|case| case.id().eq_ignore_ascii_case(named));
    let by_person = || {
        let address = named.parse().ok()?;
        let of = |case: &OffboardCase| case.opened.addresses.contains(&address);
        cases.iter().position(|case| case.is_open() && of(case)).or_else(|| cases.iter().rposition(of))
    };
    match by_number.or_else(by_person) {
        Some(at) => Ok(cases.swap_remove(at)),
        None => Err(Failure::Usage(format!(
            "there is no offboarding of `{}`\n  `mailwarden offboard open` makes one",
            shown(named)
        ))),
    }
}

fn subject(case: &OffboardCase) -> String {
    case.opened.person.to_string()
}

// --- open -----------------------------------------------------------------------------------------------------------

async fn open(common: &Common, book: &Casebook, arguments: &OpenArguments) -> Result<Outcome, Failure> {
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let address = super::actor::address(&arguments.person)?;
    let person = book.policy.person(&address).ok_or_else(|| {
        Failure::Usage(format!(
            "nobody in the policy is {address}\n  add a [[person]], so that it can say what they touch"
        ))
    })?;
    let cases = cases(book).await?;
    let existing = offboard::open_case(&cases, &address);
    let leaves = match (&arguments.at, existing) {
        (Some(at), _) => moment(at)?,
        // The same command twice, without a time, means the same case.
        (None, Some(existing)) => existing.opened.leaves,
        (None, None) => person.left.unwrap_or(book.now),
    };
    let opening = Opening {
        case: number("O"),
        person,
        leaves,
        ticket: arguments.ticket.clone(),
        reason: arguments.reason.clone(),
        requester: actor.person.clone(),
    };
    let step = offboard::open(&book.policy, existing, opening);
    let subject = book.policy.person_address(&address).to_string();
    book.take("offboard.opened", &actor, &subject, Some(&arguments.ticket), step).await?;
    let case = case(book, &subject).await?;
    output::print(&format!("{}\n", case.id()))?;
    let outcome =
        if case.contained.is_none() { first_sweep(common, &case, arguments).await } else { Outcome::Clean };
    output::complain(&text(&case, book));
    Ok(outcome)
}

/// What is there before anything is changed. Until the leaver is contained, the same command makes it again.
async fn first_sweep(common: &Common, case: &OffboardCase, arguments: &OpenArguments) -> Outcome {
    match swept::swept(common, arguments.report.as_deref(), &Looking::everything()).await {
        Ok(seen) => {
            output::complain(&findings(case, &seen));
            Outcome::Clean
        }
        Err(failure) => {
            output::complain(&format!(
                "the sweep that comes first could not be made: {}\n  the case is open; mend this and run the same command again",
                failure.render(false)
            ));
            Outcome::Incomplete
        }
    }
}

/// The plan: what the sweep shows of the leaver, and how each is removed.
fn findings(case: &OffboardCase, seen: &Swept) -> String {
    let mut out = String::new();
    for finding in case.findings(seen) {
        let _ = writeln!(out, "to revoke: {}\n  {}", shown(&finding.title), shown(&finding.command));
    }
    if out.is_empty() {
        out.push_str("the sweep shows nothing of the leaver where it could look\n");
    }
    let gaps = seen.rows.iter().filter(|row| !row.complete).count();
    if gaps > 0 {
        let _ = writeln!(out, "{gaps} surface(s) could not be looked at completely");
    }
    out.trim_end().to_owned()
}

// --- contain --------------------------------------------------------------------------------------------------------

async fn contain(common: &Common, book: &Casebook, arguments: &ContainArguments) -> Result<Outcome, Failure> {
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let chosen = match &arguments.case {
        Some(named) => vec![case(book, named).await?],
        None => cases(book).await?.into_iter().filter(OffboardCase::is_open).collect(),
    };
    let mut outcome = Outcome::Clean;
    for case in chosen {
        let successor = arguments.successor.as_deref().map(super::actor::address).transpose()?;
        let stands = case.contain(&book.policy).is_ok()
            && successor.as_ref().is_none_or(|wanted| {
                let person = book.policy.person(&case.opened.person);
                person.and_then(|person| person.successor.as_ref()) == Some(wanted)
            });
        if stands {
            let step = case.contain(&book.policy);
            let ticket = Some(case.opened.ticket.as_str());
            book.take("offboard.contained", &actor, &subject(&case), ticket, step).await?;
        } else {
            edit(common, book, &case, successor.as_ref(), arguments.apply, &actor).await?;
            if !arguments.apply {
                outcome = Outcome::Findings;
            }
        }
    }
    Ok(outcome)
}

/// Prints the edit, or records the containment and makes it. What is recorded and could not be written is
/// made up by the same command.
async fn edit(
    common: &Common,
    book: &Casebook,
    case: &OffboardCase,
    successor: Option<&Address>,
    apply: bool,
    actor: &Actor,
) -> Result<(), Failure> {
    let sources = policy_sources(&common.policy_directory(&book.settings))?;
    let edit = edited(&sources, case, successor)?;
    let policy = edit.check(&sources)?;
    if !apply {
        output::print(&edit.difference())?;
        output::complain("not written: give --apply, or make this edit where your policy is kept");
        return Ok(());
    }
    let ticket = Some(case.opened.ticket.as_str());
    book.take("offboard.contained", actor, &subject(case), ticket, case.contain(&policy)).await?;
    edit.replace()?;
    output::complain(&format!("written: {}; reload the gate (SIGHUP) to contain them", edit.source.name));
    Ok(())
}

fn edited(
    sources: &[Source],
    case: &OffboardCase,
    successor: Option<&Address>,
) -> Result<PolicyEdit, Failure> {
    for source in sources {
        match mark_left(source, &case.opened.person, case.opened.leaves, successor) {
            Ok(after) => return Ok(PolicyEdit { source: source.clone(), after }),
            Err(LeaveError::NoSuchPerson(..)) => {}
            Err(error) => return Err(Failure::Usage(shown(&error.to_string()))),
        }
    }
    Err(Failure::Usage(format!("no file of the policy holds {}", case.opened.person)))
}

// --- sweep, attest, waive -------------------------------------------------------------------------------------------

async fn sweep(common: &Common, book: &Casebook, arguments: &SweepArguments) -> Result<Outcome, Failure> {
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let chosen = match &arguments.case {
        Some(named) => vec![case(book, named).await?],
        None => cases(book).await?.into_iter().filter(|case| case.is_due(book.now)).collect(),
    };
    let mut outcome = Outcome::Clean;
    for case in chosen {
        // Asked before the sweep, which takes time.
        case.pass(&book.policy, None).map_err(refused)?;
        let seen = swept::swept(common, arguments.report.as_deref(), &Looking::everything()).await?;
        let passed = case.pass(&book.policy, Some(&seen)).map_err(refused)?;
        for step in &passed {
            let (who, ticket) = (actor.recorded(), Some(case.opened.ticket.clone()));
            book.record(to_entry("offboard.passed", book.now, &who, &subject(&case), ticket, step)).await?;
        }
        output::complain(&findings(&case, &seen));
        let after = self::case(book, case.id()).await?;
        output::print(&text(&after, book))?;
        if !after.unresolved(book.now).is_empty() {
            outcome = Outcome::Findings;
        }
    }
    Ok(outcome)
}

async fn attest(book: &Casebook, arguments: &AttestArguments) -> Result<Outcome, Failure> {
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let case = case(book, &arguments.case).await?;
    let done = arguments.done.as_deref().map(moment).transpose()?.unwrap_or(book.now);
    if done > book.now {
        return Err(Failure::Usage("what is attested has happened: --done lies in the future".to_owned()));
    }
    let step = case.attest(&arguments.item, actor.person.clone(), done, &arguments.note);
    book.take("offboard.attested", &actor, &subject(&case), Some(&case.opened.ticket), step).await?;
    Ok(Outcome::Clean)
}

async fn waive(book: &Casebook, arguments: &WaiveArguments) -> Result<Outcome, Failure> {
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let case = case(book, &arguments.case).await?;
    let (approver, expires) = (book.person(&arguments.approver)?, moment(&arguments.expires)?);
    let step = case.waive(&arguments.item, approver, &arguments.reason, expires, book.now);
    book.take("offboard.waived", &actor, &subject(&case), Some(&case.opened.ticket), step).await?;
    Ok(Outcome::Clean)
}

async fn approve(book: &Casebook, arguments: &ApproveArguments) -> Result<Outcome, Failure> {
    let case = case(book, &arguments.case).await?;
    let approving = approving(book, &arguments.approval, |approver| case.text_for(approver))?;
    let Some((actor, approving)) = approving else { return Ok(Outcome::Clean) };
    let step = case.approve(approving, book.now);
    book.take("offboard.approved", &actor, &subject(&case), Some(&case.opened.ticket), step).await?;
    Ok(Outcome::Clean)
}

async fn close(book: &Casebook, arguments: &CloseArguments) -> Result<Outcome, Failure> {
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let case = case(book, &arguments.case).await?;
    let step = case.close(actor.person.clone(), book.now);
    book.take("offboard.closed", &actor, &subject(&case), Some(&case.opened.ticket), step).await?;
    output::print(&text(&self::case(book, case.id()).await?, book))?;
    Ok(Outcome::Clean)
}

async fn write_bundle(book: &Casebook, arguments: &BundleArguments) -> Result<Outcome, Failure> {
    let case = case(book, &arguments.case).await?;
    let evidence = bundle::Evidence { case: case.id(), json: as_json(&case, book), text: text(&case, book) };
    let count = bundle::write(&book.settings, book.ledger(), &evidence, &arguments.output).await?;
    let directory = arguments.output.display();
    output::complain(&format!(
        "{count} entries with proofs written into {directory}; check them anywhere with: \
         mailwarden-verify {directory}/bundle.json --key FILE"
    ));
    Ok(Outcome::Clean)
}

// --- status ---------------------------------------------------------------------------------------------------------

async fn status(book: &Casebook, arguments: &StatusArguments) -> Result<Outcome, Failure> {
    let chosen = match &arguments.case {
        Some(named) => vec![case(book, named).await?],
        None => cases(book).await?.into_iter().filter(OffboardCase::is_open).collect(),
    };
    let value = json!({
        "schema": "mailwarden.offboardings/1",
        "offboardings": chosen.iter().map(|case| as_json(case, book)).collect::<Vec<_>>(),
    });
    output::answer(arguments.json, &value, |_| {
        chosen.iter().map(|case| text(case, book)).collect::<Vec<_>>().join("\n")
    })?;
    Ok(Outcome::Clean)
}

fn as_json(case: &OffboardCase, book: &Casebook) -> Value {
    let items: Vec<Value> = case
        .opened
        .items
        .iter()
        .map(|item| {
            json!({
                "id": item.id, "text": item.text, "proof": item.proof,
                "state": state(case, &item.id, book),
                "seconds_after_leaving": case.delay(&item.id).map(|delay| delay.num_seconds()),
            })
        })
        .collect();
    json!({
        "case": case.id(), "person": case.opened.person, "name": case.opened.name, "ticket": case.opened.ticket,
        "leaves": case.opened.leaves, "opened": case.opened_at, "open": case.is_open(), "items": items,
        "contained": case.contained.as_ref().map(|(contained, at)| json!({"from": contained.left, "recorded": at})),
        "approvals": case.approvals.iter().map(|(approval, _)| &approval.approver).collect::<Vec<_>>(),
    })
}

fn state(case: &OffboardCase, item: &str, book: &Casebook) -> String {
    match case.state(item, book.now) {
        ItemState::Open => "open".to_owned(),
        ItemState::WaiverExpired(waived) => {
            format!("OPEN: the waiver expired on {}", waived.expires.format("%Y-%m-%d"))
        }
        ItemState::Done(Resolution::Passed(passed)) => format!("passed by {}", passed.evidence),
        ItemState::Done(Resolution::Attested(attested)) => format!(
            "attested by {}, done {}: {}",
            attested.by,
            attested.done.format("%Y-%m-%d %H:%M UTC"),
            attested.note
        ),
        ItemState::Done(Resolution::Waived(waived)) => format!(
            "waived by {} until {}: {}",
            waived.approver,
            waived.expires.format("%Y-%m-%d"),
            waived.reason
        ),
    }
}

fn text(case: &OffboardCase, book: &Casebook) -> String {
    let opened = &case.opened;
    let time = |at: chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
    let mut out = format!("OFFBOARDING {} of {} <{}>\n", case.id(), shown(&opened.name), opened.person);
    let mut line = |label: &str, value: String| {
        let _ = writeln!(out, "  {label:<12} {}", shown(&value));
    };
    line("leaves (HR)", time(opened.leaves));
    line("ticket", opened.ticket.clone());
    line(
        "contained",
        case.contained.as_ref().map_or("NO".to_owned(), |(contained, at)| {
            format!("from {}, recorded {} ({})", time(contained.left), time(*at), late(*at - opened.leaves))
        }),
    );
    for item in &opened.items {
        let delay = case.delay(&item.id).map(|delay| format!(" ({})", late(delay))).unwrap_or_default();
        let how = match item.proof {
            Proof::Word => "attest",
            Proof::Sweep(_) => "sweep",
            Proof::Policy(_) => "policy",
        };
        let state = state(case, &item.id, book);
        let mark = if matches!(case.state(&item.id, book.now), ItemState::Done(_)) { "x" } else { " " };
        let _ = writeln!(
            out,
            "  [{mark}] {:<4} {} [{how}]\n         {}{delay}",
            shown(&item.id),
            shown(&item.text),
            shown(&state)
        );
    }
    let given: Vec<String> = case
        .approvals
        .iter()
        .map(|(approval, at)| format!("{} over {} ({})", approval.approver, approval.channel, time(*at)))
        .collect();
    let approvals = if given.is_empty() { "none".to_owned() } else { given.join("; ") };
    let _ = writeln!(out, "  approved by  {}", shown(&approvals));
    let closed = case
        .closed
        .as_ref()
        .map_or("no".to_owned(), |(closed, at)| format!("by {} on {}", closed.by, time(*at)));
    let _ = writeln!(out, "  closed       {}", shown(&closed));
    out
}

/// HR's time against ours.
fn late(delay: chrono::TimeDelta) -> String {
    let minutes = delay.num_minutes().abs();
    let span = if minutes < 120 { format!("{minutes} min") } else { format!("{} h", minutes / 60) };
    format!("{span} {} the leaving", if delay < chrono::TimeDelta::zero() { "before" } else { "after" })
}
