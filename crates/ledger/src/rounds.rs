//! Rounds that several sweepers make together, in the ledger's PostgreSQL.
//!
//! A run is one row, and one row for each of its mailboxes. A sweeper claims mailboxes by locking their rows
//! in a transaction that stays open while it looks, and writes what it saw in the same transaction: who dies
//! loses the locks with the connection, and with them all that was not finished. There is no lease and no
//! clock of ours; nothing is seen of a mailbox, or all of it.
//!
//! What was seen is text that this room neither writes nor reads.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use sqlx::error::DatabaseError;
use tokio::time::{MissedTickBehavior, interval};

use crate::error::LedgerError;
use crate::open::{ROUNDS, shown_url};
use crate::postgres::{self, DIALECT, PostgresStore};
use crate::store::{Access, Argument, Row, Store, Transaction, read_all};

/// Claims that one sweeper can hold at a time; each needs a connection.
pub const MAX_CLAIMS: usize = 4;
/// Days after which a run is forgotten when another is begun or joined; what sweepers hold is kept.
pub const DAYS_KEPT: u32 = 7;
/// How often the server hears from a sweeper that looks at mailboxes: it ends transactions that are silent
/// for longer than it is told at the beginning of the session, so that a machine that is gone lets go.
const BEAT: Duration = Duration::from_secs(15);
/// How long to wait for what another sweeper holds before looking again whether something else is free.
const TURN: &str = "2s";
/// Mailboxes that are written down in one statement.
const MAILBOXES_A_STATEMENT: usize = 10_000;
/// What PostgreSQL answers who waited for a lock for longer than `lock_timeout`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// With what a run was begun. Who joins compares: both texts are the caller's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// What is looked at.
    pub head: String,
    /// Whom it was asked of.
    pub asked: String,
}

/// One mailbox that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub mailbox: String,
    /// What was handed to [`Claim::keep`].
    pub seen: String,
}

/// A run that this sweeper takes part in.
#[derive(Debug)]
pub struct SharedRun {
    store: PostgresStore,
    name: String,
    beginning: Beginning,
}

impl SharedRun {
    /// Begins the run with these mailboxes, or joins it where somebody has begun it: its mailboxes are then
    /// those that the first sweeper named.
    ///
    /// # Errors
    /// When the URL is not one of PostgreSQL, or the database cannot be reached or used.
    pub async fn join(
        url: &str,
        name: &str,
        beginning: &Beginning,
        mailboxes: &BTreeSet<String>,
    ) -> Result<Self, LedgerError> {
        let store = Self::database(url).await?;
        let doing = "joining a shared run in";
        let mut transaction = store.begin(doing, Access::Writing).await?;
        forget_old(transaction.as_mut(), name).await?;
        let sql = "INSERT INTO shared_run (run, head, asked) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let first = vec![name.into(), beginning.head.as_str().into(), beginning.asked.as_str().into()];
        // Who comes second waits here until the first has written down all mailboxes.
        if transaction.execute(doing, sql, first).await? == 1 {
            write_down(transaction.as_mut(), name, mailboxes).await?;
        }
        let sql = "SELECT head, asked FROM shared_run WHERE run = $1";
        let rows = transaction.fetch(doing, sql, vec![name.into()]).await?;
        let read = |mut row: Row| Some(Beginning { head: row.text()?, asked: row.text()? });
        let begun = read_all(&store, rows, read)?.pop();
        let beginning = begun.ok_or_else(|| forgotten(&store, name))?;
        transaction.commit(doing).await.map_err(again)?;
        Ok(Self { store, name: name.to_owned(), beginning })
    }

    /// Opens the database, and nothing else: whether it can be shared is known before anybody is looked at.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub async fn check(url: &str) -> Result<(), LedgerError> {
        Self::database(url).await?.close().await
    }

    async fn database(url: &str) -> Result<PostgresStore, LedgerError> {
        if !postgres::is_ours(url) {
            return Err(LedgerError::Url {
                url: shown_url(url),
                problem: "is not one of PostgreSQL, the only database in which sweepers can share a run",
                wanted: "`postgres://USER@HOST:PORT/DATABASE`",
            });
        }
        PostgresStore::open(url, &ROUNDS, true).await
    }

    /// With what it was begun, by whomever.
    #[must_use]
    pub fn beginning(&self) -> &Beginning {
        &self.beginning
    }

    /// Claims at most so many mailboxes that nobody has looked at. Waits while others hold all that is left,
    /// and takes over what they let go; none when all are done.
    ///
    /// # Errors
    /// When the database does not answer, or the run was forgotten.
    pub async fn claim(&self, most: usize) -> Result<Option<Claim>, LedgerError> {
        loop {
            let mut transaction = self.store.begin(CLAIMING, Access::Writing).await?;
            self.hold(transaction.as_mut()).await?;
            let mut mailboxes = self.free(transaction.as_mut(), most).await?;
            if mailboxes.is_empty() {
                if !self.is_any_left(transaction.as_mut()).await? {
                    return Ok(None);
                }
                if self.wait(transaction.as_mut()).await? {
                    // With one mailbox a sweeper lets go of all that stood beside it.
                    mailboxes = self.free(transaction.as_mut(), most).await?;
                }
            }
            if !mailboxes.is_empty() {
                return Ok(Some(Claim { transaction, run: self.name.clone(), mailboxes }));
            }
        }
    }

    /// Keeps the run from being forgotten until the end of the transaction.
    async fn hold(&self, transaction: &mut dyn Transaction) -> Result<(), LedgerError> {
        let sql = "SELECT 1::bigint FROM shared_run WHERE run = $1 FOR KEY SHARE";
        match transaction.fetch(CLAIMING, sql, self.of_run()).await?.is_empty() {
            true => Err(forgotten(&self.store, &self.name)),
            false => Ok(()),
        }
    }

    async fn free(&self, transaction: &mut dyn Transaction, most: usize) -> Result<Vec<String>, LedgerError> {
        let sql = "SELECT mailbox FROM shared_mailbox WHERE run = $1 AND seen IS NULL
                   ORDER BY mailbox LIMIT $2 FOR UPDATE SKIP LOCKED";
        let arguments = vec![self.name.as_str().into(), (most.max(1) as u64).into()];
        let rows = transaction.fetch(CLAIMING, sql, arguments).await?;
        read_all(&self.store, rows, |mut row| row.text())
    }

    async fn is_any_left(&self, transaction: &mut dyn Transaction) -> Result<bool, LedgerError> {
        let sql = "SELECT 1::bigint FROM shared_mailbox WHERE run = $1 AND seen IS NULL LIMIT 1";
        Ok(!transaction.fetch(CLAIMING, sql, self.of_run()).await?.is_empty())
    }

    /// Waits for whoever holds the first of what is left; whether it was let go undone. A sweeper that holds
    /// it for longer than a turn may have let go of others.
    async fn wait(&self, transaction: &mut dyn Transaction) -> Result<bool, LedgerError> {
        let limit = "SELECT set_config('lock_timeout', $1, true)";
        transaction.execute(CLAIMING, limit, vec![TURN.into()]).await?;
        let sql = "SELECT 1::bigint FROM shared_mailbox WHERE run = $1 AND seen IS NULL
                   ORDER BY mailbox LIMIT 1 FOR UPDATE";
        match transaction.fetch(CLAIMING, sql, self.of_run()).await {
            Ok(rows) => Ok(!rows.is_empty()),
            Err(error) if is_still_held(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Mailboxes that are done, by whomever, and mailboxes in all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count(&self) -> Result<(u64, u64), LedgerError> {
        let sql = "SELECT count(*) - count(*) FILTER (WHERE seen IS NULL), count(*)
                   FROM shared_mailbox WHERE run = $1";
        let rows = self.read("counting the mailboxes of a shared run in", sql, self.of_run()).await?;
        let counts = read_all(&self.store, rows, |mut row| Some((row.number()?, row.number()?)))?;
        Ok(counts.into_iter().next().unwrap_or_default())
    }

    /// Mailboxes that are done, in the order of the octets of their names; at most so many, those after
    /// a name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn seen_after(&self, mailbox: &str, most: usize) -> Result<Vec<Seen>, LedgerError> {
        let sql = "SELECT mailbox, seen FROM shared_mailbox
                   WHERE run = $1 AND mailbox > $2 AND seen IS NOT NULL ORDER BY mailbox LIMIT $3";
        let arguments = vec![self.name.as_str().into(), mailbox.into(), (most as u64).into()];
        let rows = self.read("reading a shared run from", sql, arguments).await?;
        read_all(&self.store, rows, |mut row| Some(Seen { mailbox: row.text()?, seen: row.text()? }))
    }

    async fn read(
        &self,
        doing: &'static str,
        sql: &str,
        arguments: Vec<Argument>,
    ) -> Result<Vec<Row>, LedgerError> {
        let mut transaction = self.store.begin(doing, Access::Reading).await?;
        transaction.fetch(doing, sql, arguments).await
    }

    fn of_run(&self) -> Vec<Argument> {
        vec![self.name.as_str().into()]
    }

    /// Ends all connections.
    ///
    /// # Errors
    /// None today; a database that does not answer is left alone.
    pub async fn close(&self) -> Result<(), LedgerError> {
        self.store.close().await
    }
}

const CLAIMING: &str = "claiming mailboxes of a shared run in";
const KEEPING: &str = "writing what was seen into";

/// Mailboxes that are this sweeper's until it finishes. Dropping it lets go of them, and of what was kept.
pub struct Claim {
    transaction: Box<dyn Transaction>,
    run: String,
    mailboxes: Vec<String>,
}

impl Claim {
    /// Their names.
    #[must_use]
    pub fn mailboxes(&self) -> &[String] {
        &self.mailboxes
    }

    /// Waits for what is done with the mailboxes, and lets the server hear of us meanwhile.
    ///
    /// # Errors
    /// When the connection is gone, and with it the claim: what was being done is given up.
    pub async fn while_held<T>(&mut self, looking: impl Future<Output = T>) -> Result<T, LedgerError> {
        let mut looking = std::pin::pin!(looking);
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        loop {
            tokio::select! {
                looked = &mut looking => return Ok(looked),
                _ = beat.tick() => self.transaction.execute(CLAIMING, "SELECT 1", Vec::new()).await?,
            };
        }
    }

    /// Writes down what was seen of one of them; nobody sees it before [`finish`](Self::finish).
    ///
    /// # Errors
    /// When the connection is gone, and with it the claim.
    pub async fn keep(&mut self, mailbox: &str, seen: String) -> Result<(), LedgerError> {
        let sql = "UPDATE shared_mailbox SET seen = $3 WHERE run = $1 AND mailbox = $2";
        let arguments = vec![self.run.as_str().into(), mailbox.into(), seen.into()];
        self.transaction.execute(KEEPING, sql, arguments).await.map(drop)
    }

    /// What was kept is done, on the disk, when this returns; the others are free again.
    ///
    /// # Errors
    /// When the connection is gone. Either all was recorded or nothing; who claims next sees which.
    pub async fn finish(self) -> Result<(), LedgerError> {
        self.transaction.commit(KEEPING).await.map_err(again)
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("run", &self.run).field("mailboxes", &self.mailboxes).finish()
    }
}

/// Who holds a claim also holds its run, which is then passed over.
async fn forget_old(transaction: &mut dyn Transaction, but: &str) -> Result<(), LedgerError> {
    let sql = "DELETE FROM shared_run WHERE run IN
               (SELECT run FROM shared_run WHERE begun < now() - $2 * INTERVAL '1 day' AND run <> $1
                FOR UPDATE SKIP LOCKED)";
    let arguments = vec![but.into(), u64::from(DAYS_KEPT).into()];
    transaction.execute("forgetting old shared runs in", sql, arguments).await.map(drop)
}

async fn write_down(
    transaction: &mut dyn Transaction,
    run: &str,
    mailboxes: &BTreeSet<String>,
) -> Result<(), LedgerError> {
    let sql = format!(
        "INSERT INTO shared_mailbox (run, mailbox) SELECT $2, value{} FROM {}",
        DIALECT.text, DIALECT.elements
    );
    let mailboxes: Vec<&String> = mailboxes.iter().collect();
    for some in mailboxes.chunks(MAILBOXES_A_STATEMENT) {
        let arguments = vec![json!(some).to_string().into(), run.into()];
        transaction.execute("writing down the mailboxes of a shared run in", &sql, arguments).await?;
    }
    Ok(())
}

fn forgotten(store: &PostgresStore, run: &str) -> LedgerError {
    LedgerError::Forgotten { run: run.to_owned(), database: store.name().to_owned() }
}

fn is_still_held(error: &LedgerError) -> bool {
    let LedgerError::Database { source, .. } = error else { return false };
    source.as_database_error().and_then(DatabaseError::code).as_deref() == Some(LOCK_NOT_AVAILABLE)
}

/// Whether a commit was heard matters to nobody here: who claims next sees what is done.
fn again(error: LedgerError) -> LedgerError {
    match error {
        LedgerError::Unknown { doing, database, source } => {
            let advice = "the connection broke; run the same command again, it goes on from what is recorded";
            LedgerError::Database { doing, database, advice, source }
        }
        other => other,
    }
}
