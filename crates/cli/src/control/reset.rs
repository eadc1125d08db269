//! `mailwarden reset`: request -> verify -> approve -> execute -> confirm -> close.

use std::io::Read as _;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use mailwarden_casework::reset::{self, Approving, Executed, Request, ResetCase, Scenario, Stage};
use mailwarden_casework::secret;
use serde_json::json;

use super::casebook::number;
use super::{Casebook, signature, swept};
use crate::arguments::{Common, Looking};
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

#[derive(Debug, Subcommand)]
pub(crate) enum ResetCommand {
    /// Ask for a reset; prints the number of the case and what comes next
    #[command(after_help = "Example:\n  mailwarden reset request ceo@example.com --scenario lockout \
                            --requester jane@example.com --ticket T-17 --reason 'phone lost'")]
    Request(RequestArguments),
    /// Record that the requester is who they say
    #[command(
        after_help = "Example:\n  mailwarden reset verify R-7K2M9QXZ --method 'called back' --channel 'phone +1 555 0100'"
    )]
    Verify(VerifyArguments),
    /// Record an approval
    #[command(
        after_help = "Example:\n  mailwarden reset approve R-7K2M9QXZ --approver jane@example.com --channel phone"
    )]
    Approve(ApproveArguments),
    /// Check that it may be done now, make the temporary secret, and record it
    #[command(
        after_help = "Example:\n  mailwarden reset execute R-7K2M9QXZ --temporary-secret --must-change --sessions-revoked --tokens-reviewed"
    )]
    Execute(ExecuteArguments),
    /// Record that the owner is back in
    #[command(
        after_help = "Example:\n  mailwarden reset confirm R-7K2M9QXZ --by jane@example.com --channel phone --rotated"
    )]
    Confirm(ConfirmArguments),
    /// Sweep the mailbox and end the case
    #[command(after_help = "Example:\n  mailwarden reset close R-7K2M9QXZ")]
    Close(CloseArguments),
    /// Give a case up before it is executed
    #[command(
        after_help = "Example:\n  mailwarden reset cancel R-7K2M9QXZ --reason 'they found the password'"
    )]
    Cancel(CancelArguments),
    /// The cases, or the log entry of one
    #[command(after_help = "Example:\n  mailwarden reset show R-7K2M9QXZ")]
    Show(ShowArguments),
}

/// Who acts, where that is not the person behind the Unix user.
#[derive(Debug, Args)]
pub(crate) struct ActAs {
    /// Who acts, where the policy lets this Unix user act for others (`act_as` under [raci])
    #[arg(long = "as", value_name = "ADDRESS")]
    pub(crate) act_as: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ScenarioChoice {
    /// The user forgot the password
    Forgotten,
    /// Something does not work
    Access,
    /// Somebody else may be inside
    Compromise,
    /// The user is locked out
    Lockout,
}

#[derive(Debug, Args)]
pub(crate) struct RequestArguments {
    /// The mailbox
    mailbox: String,
    /// What happened
    #[arg(long, value_enum)]
    scenario: ScenarioChoice,
    /// Who asks; whoever runs this, where it is left out
    #[arg(long, value_name = "ADDRESS")]
    requester: Option<String>,
    /// The ticket
    #[arg(long)]
    ticket: String,
    /// Why, one paragraph
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    act: ActAs,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The case
    case: String,
    /// How it was verified, e.g. "called back"
    #[arg(long)]
    method: String,
    /// The channel: the one registered beforehand, as the policy writes it
    #[arg(long)]
    channel: String,
    #[command(flatten)]
    act: ActAs,
}

/// An approval on the command line.
#[derive(Debug, Args)]
pub(crate) struct ApprovalArguments {
    /// Who said yes; whoever runs this, where it is left out
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) approver: Option<String>,
    /// How they said it: phone, meeting, in person, signature
    #[arg(long, required_unless_present = "print_text")]
    pub(crate) channel: Option<String>,
    /// When they said it; now, where it is left out
    #[arg(long, value_name = "TIME")]
    pub(crate) given: Option<String>,
    /// The SSH signature of what --print-text prints
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    /// Print the text that the approver has to sign, and record nothing
    #[arg(long)]
    pub(crate) print_text: bool,
    #[command(flatten)]
    pub(crate) act: ActAs,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArguments {
    /// The case
    case: String,
    #[command(flatten)]
    approval: ApprovalArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ExecuteArguments {
    /// The case
    case: String,
    /// Make a temporary secret; it is printed once and stored nowhere
    #[arg(long)]
    temporary_secret: bool,
    /// The password must be changed at the next login: the mail system is told so
    #[arg(long)]
    must_change: bool,
    /// All sessions were revoked
    #[arg(long)]
    sessions_revoked: bool,
    /// Tokens and app passwords were looked through
    #[arg(long)]
    tokens_reviewed: bool,
    #[command(flatten)]
    act: ActAs,
}

#[derive(Debug, Args)]
pub(crate) struct ConfirmArguments {
    /// The case
    case: String,
    /// Who confirms; whoever runs this, where it is left out
    #[arg(long, value_name = "ADDRESS")]
    by: Option<String>,
    /// How they said it
    #[arg(long)]
    channel: String,
    /// The temporary secret was replaced by one of their own
    #[arg(long)]
    rotated: bool,
    #[command(flatten)]
    act: ActAs,
}

#[derive(Debug, Args)]
pub(crate) struct CloseArguments {
    /// The case
    case: String,
    /// A saved report of a sweep that began after the reset; without it the mailbox is swept now
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// End a user-driven reset without a sweep
    #[arg(long, conflicts_with = "report")]
    no_sweep: bool,
    #[command(flatten)]
    act: ActAs,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArguments {
    /// The case
    case: String,
    /// Why
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    act: ActAs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// One case; all of them, where it is left out
    case: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(common: &Common, command: &ResetCommand) -> Result<Outcome, Failure> {
    let book = Casebook::open(common).await?;
    let outcome = match command {
        ResetCommand::Request(arguments) => request(&book, arguments).await,
        ResetCommand::Verify(arguments) => verify(&book, arguments).await,
        ResetCommand::Approve(arguments) => approve(&book, arguments).await,
        ResetCommand::Execute(arguments) => execute(&book, arguments).await,
        ResetCommand::Confirm(arguments) => confirm(&book, arguments).await,
        ResetCommand::Close(arguments) => close(common, &book, arguments).await,
        ResetCommand::Cancel(arguments) => cancel(&book, arguments).await,
        ResetCommand::Show(arguments) => show(&book, arguments).await,
    }?;
    book.close(outcome).await
}

async fn case(book: &Casebook, id: &str) -> Result<ResetCase, Failure> {
    let cases = reset::cases(&book.entries("reset.").await?);
    cases.into_iter().find(|case| case.id().eq_ignore_ascii_case(id)).ok_or_else(|| {
        Failure::Usage(format!("there is no reset `{}`\n  `mailwarden reset show` lists them", shown(id)))
    })
}

async fn request(book: &Casebook, arguments: &RequestArguments) -> Result<Outcome, Failure> {
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let mailbox = book.mailbox(&arguments.mailbox)?;
    let cases = reset::cases(&book.entries("reset.").await?);
    let open = reset::open_case(&cases, &mailbox.address);
    let requester = match &arguments.requester {
        Some(requester) => book.person(requester)?,
        None => actor.person.clone(),
    };
    let asked = Request {
        case: number("R"),
        mailbox,
        scenario: match arguments.scenario {
            ScenarioChoice::Forgotten => Scenario::Forgotten,
            ScenarioChoice::Access => Scenario::Access,
            ScenarioChoice::Compromise => Scenario::Compromise,
            ScenarioChoice::Lockout => Scenario::Lockout,
        },
        requester,
        reason: arguments.reason.clone(),
        ticket: arguments.ticket.clone(),
    };
    let step = reset::request(&book.policy, open, asked);
    let subject = mailbox.address.to_string();
    let id = match book.take("reset.requested", &actor, &subject, Some(&arguments.ticket), step).await? {
        Some(requested) => requested.case,
        None => open.map(|case| case.id().to_owned()).unwrap_or_default(),
    };
    output::print(&format!("{id}\n"))?;
    next(&case(book, &id).await?);
    Ok(Outcome::Clean)
}

/// What comes next, on standard error: the number of the case is the data.
fn next(case: &ResetCase) {
    let (asked, id) = (&case.requested, case.id());
    let routine = asked.rung == reset::Rung::UserDriven;
    let text = match case.stage() {
        Stage::Requested if routine => {
            format!("the user sets the new password; then, as that user: mailwarden reset execute {id}")
        }
        Stage::Requested => {
            let channel = asked.registered_channel.as_deref().unwrap_or("none on record");
            format!(
                "verify {} over the channel registered beforehand ({channel}):\n  \
                 mailwarden reset verify {id} --method \"called back\" --channel \"{channel}\"",
                asked.requester
            )
        }
        Stage::Verified => {
            let given = case.approvals.iter().map(|approval| &approval.approver).collect();
            match asked.duty.missing(&given) {
                Some(missing) => {
                    format!("it needs {missing}:\n  mailwarden reset approve {id} --approver ADDRESS")
                }
                None => format!("it is approved: mailwarden reset execute {id}"),
            }
        }
        Stage::Executed if !routine => {
            let people: Vec<String> = asked.confirmers.iter().map(ToString::to_string).collect();
            format!("let one of {} confirm: mailwarden reset confirm {id}", people.join(", "))
        }
        Stage::Executed | Stage::Confirmed => {
            format!("mailwarden reset close {id} sweeps the mailbox and ends it")
        }
        Stage::Closed => return,
    };
    output::complain(&format!("next: {}", shown_lines(&text)));
}

fn shown_lines(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

async fn verify(book: &Casebook, arguments: &VerifyArguments) -> Result<Outcome, Failure> {
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let case = case(book, &arguments.case).await?;
    let step = case.verify(actor.person.clone(), &arguments.method, &arguments.channel);
    let (subject, ticket) = about(&case);
    book.take("reset.verified", &actor, &subject, Some(&ticket), step).await?;
    next(&self::case(book, &arguments.case).await?);
    Ok(Outcome::Clean)
}

fn about(case: &ResetCase) -> (String, String) {
    (case.requested.mailbox.to_string(), case.requested.ticket.clone())
}

/// An approval as the command line gives it, its signature verified.
pub(crate) fn approving(
    book: &Casebook,
    arguments: &ApprovalArguments,
    text_for: impl Fn(&mailwarden_address::Address) -> String,
) -> Result<Option<(super::actor::Actor, Approving)>, Failure> {
    if arguments.print_text {
        let approver = match &arguments.approver {
            Some(approver) => book.person(approver)?,
            None => book.actor(arguments.act.act_as.as_deref())?.person,
        };
        output::print(&text_for(&approver))?;
        return Ok(None);
    }
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let approver = match &arguments.approver {
        Some(approver) => book.person(approver)?,
        None => actor.person.clone(),
    };
    if book.policy.person(&approver).is_some_and(|person| person.has_left(book.now)) {
        return Err(Failure::Usage(format!("{approver} has left and approves nothing")));
    }
    let given = arguments.given.as_deref().map(super::casebook::moment).transpose()?.unwrap_or(book.now);
    if given > book.now {
        return Err(Failure::Usage("an approval cannot be given in the future".to_owned()));
    }
    let signed = match &arguments.signature {
        Some(file) => Some(signature::verify(&book.policy, &approver, &text_for(&approver), file)?),
        None => None,
    };
    let channel = arguments.channel.clone().unwrap_or_default();
    let recorded_by = actor.person.clone();
    Ok(Some((actor, Approving { approver, recorded_by, channel, given, signed })))
}

async fn approve(book: &Casebook, arguments: &ApproveArguments) -> Result<Outcome, Failure> {
    let case = case(book, &arguments.case).await?;
    let approving = approving(book, &arguments.approval, |approver| case.text_for(approver))?;
    let Some((actor, approving)) = approving else { return Ok(Outcome::Clean) };
    let (subject, ticket) = about(&case);
    book.take("reset.approved", &actor, &subject, Some(&ticket), case.approve(approving)).await?;
    next(&self::case(book, &arguments.case).await?);
    Ok(Outcome::Clean)
}

async fn execute(book: &Casebook, arguments: &ExecuteArguments) -> Result<Outcome, Failure> {
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let case = case(book, &arguments.case).await?;
    let secret = arguments.temporary_secret.then(temporary_secret).transpose()?;
    let executed = Executed {
        case: case.id().to_owned(),
        executor: actor.person.clone(),
        sessions_revoked: arguments.sessions_revoked,
        tokens_reviewed: arguments.tokens_reviewed,
        temporary_length: secret.as_ref().map(String::len),
        must_change: arguments.must_change,
    };
    let (subject, ticket) = about(&case);
    let recorded =
        book.take("reset.executed", &actor, &subject, Some(&ticket), case.execute(executed)).await?;
    match (&recorded, secret) {
        // Shown after it is on record that it was made, and never again.
        (Some(_), Some(secret)) => {
            output::complain(
                "the temporary secret is shown once; set it with must-change, hand it over in person",
            );
            output::print(&format!("{secret}\n"))?;
        }
        (None, Some(_)) => {
            output::complain(
                "the secret was shown when it was made and is stored nowhere; request a new reset",
            );
        }
        _ => {}
    }
    let after = self::case(book, &arguments.case).await?;
    output::complain(&shown_lines(&reset::notification(&after)));
    next(&after);
    Ok(Outcome::Clean)
}

fn temporary_secret() -> Result<String, Failure> {
    let mut random = [0; secret::RANDOM_BYTES];
    let failed = |error| Failure::Ours(format!("cannot read /dev/urandom: {error}"));
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random)).map_err(failed)?;
    secret::temporary(&random)
        .ok_or_else(|| Failure::Ours("the random bytes did not suffice; try again".to_owned()))
}

async fn confirm(book: &Casebook, arguments: &ConfirmArguments) -> Result<Outcome, Failure> {
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let case = case(book, &arguments.case).await?;
    let by = match &arguments.by {
        Some(by) => book.person(by)?,
        None => actor.person.clone(),
    };
    let (subject, ticket) = about(&case);
    let step = case.confirm(by, &arguments.channel, arguments.rotated);
    book.take("reset.confirmed", &actor, &subject, Some(&ticket), step).await?;
    next(&self::case(book, &arguments.case).await?);
    Ok(Outcome::Clean)
}

async fn close(common: &Common, book: &Casebook, arguments: &CloseArguments) -> Result<Outcome, Failure> {
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let case = case(book, &arguments.case).await?;
    // Whether it may be closed at all is asked before a sweep that takes time.
    let ready = case.executed.is_some() && (case.confirmed.is_some() || arguments.no_sweep);
    let sweeps = case.is_open() && !arguments.no_sweep && ready;
    let (subject, ticket) = about(&case);
    let seen = match sweeps {
        true => {
            let looking = Looking::of(std::slice::from_ref(&subject));
            Some(swept::swept(common, arguments.report.as_deref(), &looking).await?)
        }
        false => None,
    };
    let step = case.close(actor.person.clone(), seen.as_ref());
    book.take("reset.closed", &actor, &subject, Some(&ticket), step).await?;
    output::print(&lines(&reset::log_entry(&self::case(book, &arguments.case).await?)))?;
    Ok(Outcome::Clean)
}

fn lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", shown(line))).collect()
}

async fn cancel(book: &Casebook, arguments: &CancelArguments) -> Result<Outcome, Failure> {
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let case = case(book, &arguments.case).await?;
    let (subject, ticket) = about(&case);
    let step = case.cancel(actor.person.clone(), &arguments.reason);
    book.take("reset.cancelled", &actor, &subject, Some(&ticket), step).await?;
    Ok(Outcome::Clean)
}

async fn show(book: &Casebook, arguments: &ShowArguments) -> Result<Outcome, Failure> {
    let mut cases = reset::cases(&book.entries("reset.").await?);
    if let Some(id) = &arguments.case {
        cases = vec![case(book, id).await?];
    }
    let value = json!({
        "schema": "mailwarden.resets/1",
        "resets": cases.iter().map(|case| json!({
            "case": case.id(), "mailbox": case.requested.mailbox, "open": case.is_open(),
            "scenario": case.requested.scenario, "requested": case.requested_at, "log": reset::log_entry(case),
        })).collect::<Vec<_>>(),
    });
    output::answer(arguments.json, &value, |_| {
        if arguments.case.is_some() {
            return cases.iter().map(|case| lines(&reset::log_entry(case))).collect();
        }
        let one = |case: &ResetCase| {
            let at = case.requested_at.format("%Y-%m-%d %H:%M UTC");
            let stage = format!("{:?}", case.stage()).to_lowercase();
            format!("{}  {at}  {stage:<10} {}\n", case.id(), shown(&case.requested.mailbox.to_string()))
        };
        cases.iter().map(one).collect()
    })?;
    Ok(Outcome::Clean)
}
