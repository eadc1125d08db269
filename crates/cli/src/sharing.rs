//! `mailwarden collect --share`: one run of the rounds that several sweepers make together.
//!
//! Sweepers that share a run share its ledger, so the run stands in the ledger's PostgreSQL: its address, its
//! password and its protection are configured there already, and a second place for them would be a second
//! secret.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use chrono::Utc;
use data_encoding::HEXLOWER;
use futures_util::{StreamExt as _, future, stream};
use indicatif::ProgressBar;
use mailwarden_collect::{Plan, Progress, Rounds};
use mailwarden_evidence::{Head, SYSTEM, Tally};
use mailwarden_ledger::{Beginning, Claim, LedgerError, MAX_CLAIMS, SharedRun, shown_url};
use mailwarden_settings::Settings;
use sha2::{Digest as _, Sha256};

use crate::arguments::Collect;
use crate::collect::{outcome, summary};
use crate::failure::{Failure, Outcome};
use crate::output::{complain, shown};
use crate::rounds::{self, Wanted};
use crate::spool;

/// Mailboxes of a claim for each that is looked at: one slow mailbox holds up the end of its claim only.
const MAILBOXES_A_VISIT: usize = 2;
/// Mailboxes that are read from the database at a time when the collection is written.
const MAILBOXES_A_PAGE: usize = 16;
/// How often the others' mailboxes are counted for the progress.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// One sweeper's part.
struct Sweeper<'a> {
    run: SharedRun,
    rounds: &'a Rounds<'a>,
    wanted: &'a Wanted,
    progress: &'a ProgressBar,
    /// Mailboxes that were looked at here.
    own: Cell<usize>,
    counted: Cell<Option<Instant>>,
}

pub(crate) async fn run(
    settings: &Settings,
    collect: &Collect,
    wanted: &Wanted,
    plan: Plan,
) -> Result<Outcome, Failure> {
    let url = &settings.ledger.url;
    let name = collect.run.clone().unwrap_or_else(|| Utc::now().format("%Y-%m-%d").to_string());
    let unusable =
        |error| Failure::Ledger(format!("cannot share the run {name} in {}", shown_url(url)), error);
    SharedRun::check(url).await.map_err(unusable)?;
    let (head, asked) = (rounds::head(wanted, &plan), asked(&plan, collect));
    let progress = rounds::progress_bar(plan.mailboxes.len(), 0);
    let say = |event: Progress| rounds::show_progress(&progress, &event);
    let rounds = Rounds::prepare(plan, &say).await;
    let everybody: BTreeSet<String> = rounds.mailboxes().iter().cloned().chain([SYSTEM.to_owned()]).collect();
    let beginning = Beginning { head: text_of(&head)?, asked };
    let run = SharedRun::join(url, &name, &beginning, &everybody).await.map_err(unusable)?;
    let begun = same_rounds(&name, &run, &head, &beginning.asked)?;
    let (own, counted) = (Cell::new(0), Cell::new(None));
    let sweeper = Sweeper { run, rounds: &rounds, wanted, progress: &progress, own, counted };
    let looked = sweeper.look(&name).await;
    progress.finish_and_clear();
    looked?;
    let tally = sweeper.write_down(&begun, &collect.output).await.map_err(|gone| gone.told(&name))?;
    say_what_is_there(&name, &tally, sweeper.own.get(), &collect.output);
    let _ = sweeper.run.close().await;
    Ok(outcome(&tally))
}

fn text_of(head: &Head) -> Result<String, Failure> {
    serde_json::to_string(head).map_err(|error| Failure::Ours(format!("cannot write down a head: {error}")))
}

/// Whom the rounds are asked of: those of the policy, or those that were named. Accounts that the server
/// lists come and go, and are the first sweeper's to write down.
fn asked(plan: &Plan, collect: &Collect) -> String {
    let named: BTreeSet<&String> = plan.mailboxes.iter().collect();
    let looking = &collect.looking;
    let mut hash = Sha256::new();
    hash.update([u8::from(looking.all), u8::from(looking.system)]);
    for mailbox in named {
        hash.update((mailbox.len() as u64).to_be_bytes());
        hash.update(mailbox);
    }
    HEXLOWER.encode(&hash.finalize())
}

/// The head that the run was begun with, where this sweeper would look at the same.
fn same_rounds(name: &str, run: &SharedRun, own: &Head, asked: &str) -> Result<Head, Failure> {
    let begun: Head = serde_json::from_str(&run.beginning().head).map_err(|error| {
        Failure::Usage(format!("the run {name} was begun by another version: {error}\n  use the same on all"))
    })?;
    let differs = if !begun.is_of_same_rounds(own) {
        "with another profile or other surfaces"
    } else if run.beginning().asked != asked {
        "for other mailboxes, or by another policy"
    } else {
        return Ok(begun);
    };
    Err(Failure::Usage(format!(
        "the run {name} was begun {differs}\n  \
         join it with the options and the policy that it was begun with, or begin another with --run NAME"
    )))
}

fn say_what_is_there(name: &str, tally: &Tally, own: usize, output: &Path) {
    complain(&summary(tally, output));
    let others = tally.groups.saturating_sub(own);
    complain(&match own {
        0 => format!("the run {name} was done before; nothing was looked at, --run NAME begins another"),
        _ => format!("of the run {name} this sweeper did {own}, others {others} (the mail system is one)"),
    });
}

/// Why a sweeper stops in the middle.
enum Gone {
    Database(LedgerError),
    Other(Failure),
}

impl From<LedgerError> for Gone {
    fn from(error: LedgerError) -> Self {
        Self::Database(error)
    }
}

impl From<Failure> for Gone {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl Gone {
    fn told(self, run: &str) -> Failure {
        match self {
            Self::Other(failure) => failure,
            Self::Database(error) => Failure::Ledger(
                format!(
                    "the run {run} is not finished; what this sweeper held is free for others, and the same \
                     command goes on"
                ),
                error,
            ),
        }
    }
}

impl Sweeper<'_> {
    /// Looks at what nobody else looks at, until all is done. What goes wrong with one claim ends all.
    async fn look(&self, name: &str) -> Result<(), Failure> {
        let side_by_side = self.rounds.side_by_side();
        let claims = side_by_side.min(MAX_CLAIMS);
        let part = |claim| side_by_side / claims + usize::from(claim < side_by_side % claims);
        let lanes = (0..claims).map(|claim| self.claim_after_claim(part(claim)));
        future::try_join_all(lanes).await.map(drop).map_err(|gone| gone.told(name))
    }

    async fn claim_after_claim(&self, side_by_side: usize) -> Result<(), Gone> {
        while let Some(claim) = self.run.claim(side_by_side * MAILBOXES_A_VISIT).await? {
            self.show_others().await?;
            self.work_off(claim, side_by_side).await?;
            self.still_welcome()?;
        }
        Ok(())
    }

    /// A mailbox is written into the open transaction as soon as it is seen, so that no more are in memory
    /// than are looked at.
    async fn work_off(&self, mut claim: Claim, side_by_side: usize) -> Result<(), Gone> {
        let mailboxes = claim.mailboxes().to_vec();
        let visits = stream::iter(&mailboxes).map(|mailbox| self.visit(mailbox));
        let mut visits = pin!(visits.buffer_unordered(side_by_side));
        let mut done = 0;
        while let Some(visited) = claim.while_held(visits.next()).await? {
            if let Some((mailbox, rows)) = visited? {
                claim.keep(mailbox, rows).await?;
                done += 1;
            }
        }
        claim.finish().await?;
        self.own.set(self.own.get() + done);
        self.progress.inc(done as u64);
        Ok(())
    }

    /// What is to be kept of a mailbox; nothing where this sweeper is refused, and another may not be.
    async fn visit<'m>(&self, mailbox: &'m str) -> Result<Option<(&'m str, String)>, Failure> {
        if self.rounds.given_up().is_some() {
            return Ok(None);
        }
        self.progress.set_message(shown(mailbox));
        let mut harvest = self.rounds.look_at(mailbox).await;
        if mailbox == SYSTEM {
            harvest.absorb(self.wanted.elsewhere().await);
        }
        rounds::keep_and_tell(self.wanted, mailbox, &mut harvest, self.progress);
        let group = spool::group(mailbox, harvest)
            .map_err(|error| Failure::Ours(format!("cannot write down what was collected: {error}")))?;
        Ok(Some((mailbox, group)))
    }

    /// A sweeper with a wrong password, or cut off from the servers, would use up the run with
    /// mailboxes that nobody saw.
    fn still_welcome(&self) -> Result<(), Failure> {
        let Some(error) = self.rounds.given_up() else { return Ok(()) };
        let leaves = "this sweeper leaves the run to others; the same command goes on";
        Err(match error.refuses_credentials() {
            true => Failure::Usage(format!("{error}\n  {leaves}")),
            false => Failure::Ours(format!("{error}\n  {leaves}")),
        })
    }

    async fn show_others(&self) -> Result<(), LedgerError> {
        let is_recent = self.counted.get().is_some_and(|at| at.elapsed() < COUNT_EVERY);
        if self.progress.is_hidden() || is_recent {
            return Ok(());
        }
        self.counted.set(Some(Instant::now()));
        let (done, total) = self.run.count().await?;
        self.progress.set_length(total);
        self.progress.set_position(done);
        Ok(())
    }

    /// The whole run, mailbox by mailbox, as any of its sweepers would write it.
    async fn write_down(&self, head: &Head, path: &Path) -> Result<Tally, Gone> {
        let mut file = spool::Finished::create(path, head)?;
        let mut after = String::new();
        loop {
            let page = self.run.seen_after(&after, MAILBOXES_A_PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.mailbox);
            for one in &page {
                file.add(&one.seen)?;
            }
        }
        Ok(file.close()?)
    }
}
