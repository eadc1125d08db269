//! A run that several sweepers share: everybody's part is another, and who dies leaves nothing behind.
#![allow(clippy::unwrap_used, reason = "functions that several tests share are test code too")]
#![allow(clippy::print_stdout, reason = "a child tells its parent what it did")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mailwarden_lab::{PostgreSql, packages};
use mailwarden_ledger::{Beginning, Claim, Fault, LedgerError, SharedRun};

/// Names the database that a child claims in.
const DATABASE: &str = "MAILWARDEN_TEST_SHARED_RUN";
const RUN: &str = "2026-11-22";
/// Far above what anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(60);

fn server() -> (PostgreSql, String, String) {
    packages::ensure_installed(&mut |_step| {}).unwrap();
    let server = PostgreSql::start().unwrap();
    let database = server.database().unwrap();
    let url = server.url(&database);
    (server, database, url)
}

fn beginning() -> Beginning {
    Beginning { head: "{}".to_owned(), asked: "everybody".to_owned() }
}

fn mailboxes(count: usize) -> BTreeSet<String> {
    (0..count).map(|number| format!("u{number:05}@example.test")).collect()
}

async fn join(url: &str, count: usize) -> SharedRun {
    SharedRun::join(url, RUN, &beginning(), &mailboxes(count)).await.unwrap()
}

async fn look_at(mut claim: Claim, by: &str) -> Vec<String> {
    let mailboxes = claim.mailboxes().to_vec();
    for mailbox in &mailboxes {
        claim.keep(mailbox, format!("{by} {mailbox}")).await.unwrap();
    }
    claim.finish().await.unwrap();
    mailboxes
}

/// Looks at what there is until nothing is left.
async fn sweep(run: &SharedRun, by: &str) -> Vec<String> {
    let mut mine = Vec::new();
    while let Some(claim) = run.claim(7).await.unwrap() {
        mine.extend(look_at(claim, by).await);
        tokio::task::yield_now().await;
    }
    mine
}

async fn whole(run: &SharedRun) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    loop {
        let after = all.last().map(|(mailbox, _)| mailbox.clone()).unwrap_or_default();
        let page = run.seen_after(&after, 50).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page.into_iter().map(|seen| (seen.mailbox, seen.seen)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sweeper_gets_mailboxes_of_its_own_and_together_they_get_all() {
    let (_server, _, url) = server();
    let (one, two) = tokio::join!(join(&url, 300), join(&url, 300));
    // Both hold some before either goes on.
    let (first, second) = (one.claim(20).await.unwrap().unwrap(), two.claim(20).await.unwrap().unwrap());
    let mut by_one = look_at(first, "one").await;
    let mut by_two = look_at(second, "two").await;
    let (more_one, more_two) = tokio::join!(sweep(&one, "one"), sweep(&two, "two"));
    by_one.extend(more_one);
    by_two.extend(more_two);
    let (set_one, set_two): (BTreeSet<_>, BTreeSet<_>) =
        (by_one.iter().cloned().collect(), by_two.iter().cloned().collect());
    assert!(set_one.is_disjoint(&set_two) && by_one.len() >= 20 && by_two.len() >= 20);
    assert_eq!(by_one.len() + by_two.len(), 300, "nobody looks twice");
    assert_eq!(set_one.union(&set_two).cloned().collect::<BTreeSet<_>>(), mailboxes(300));
    let seen = |name: &String| {
        (name.clone(), format!("{} {name}", if set_one.contains(name) { "one" } else { "two" }))
    };
    let expected: Vec<(String, String)> = mailboxes(300).iter().map(seen).collect();
    assert_eq!(whole(&one).await, expected);
    assert_eq!(whole(&two).await, expected);
    assert_eq!(one.count().await.unwrap(), (300, 300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_late_gets_the_beginning_and_the_mailboxes_of_the_first() {
    let (_server, _, url) = server();
    let first = join(&url, 3).await;
    sweep(&first, "first").await;
    let other = Beginning { head: "other".to_owned(), asked: "others".to_owned() };
    let late = SharedRun::join(&url, RUN, &other, &mailboxes(9)).await.unwrap();
    assert_eq!(late.beginning(), &beginning());
    assert!(late.claim(5).await.unwrap().is_none(), "nothing is left, and nobody looks twice");
    assert_eq!(whole(&late).await.len(), 3);
    let another = SharedRun::join(&url, "another", &other, &mailboxes(2)).await.unwrap();
    assert_eq!(another.count().await.unwrap(), (0, 2), "runs know nothing of each other");
}

/// A child claims mailboxes, writes what it saw of them, and never finishes.
#[tokio::test]
async fn child_that_dies_in_the_middle_of_a_claim() {
    let Ok(url) = std::env::var(DATABASE) else { return };
    let run = join(&url, 0).await;
    let mut done = run.claim(5).await.unwrap().unwrap();
    for mailbox in done.mailboxes().to_vec() {
        done.keep(&mailbox, format!("child {mailbox}")).await.unwrap();
    }
    done.finish().await.unwrap();
    let mut held = run.claim(50).await.unwrap().unwrap();
    let first = held.mailboxes()[0].clone();
    held.keep(&first, "never to be seen".to_owned()).await.unwrap();
    println!("\nholding {}", held.mailboxes().len());
    std::future::pending::<()>().await;
}

/// A process that does not outlive the test.
struct Mortal(Child);

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// A process that has done 5 mailboxes and holds the other 35.
fn child_that_holds(url: &str) -> Mortal {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_that_dies_in_the_middle_of_a_claim", "--nocapture", "--test-threads=1"]);
    let mut child = Mortal(command.env(DATABASE, url).stdout(Stdio::piped()).spawn().unwrap());
    let mut out = BufReader::new(child.0.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("holding 35") {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "the child ended before it held anything");
    }
    child
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_sweeper_held_is_taken_over_and_nothing_of_it_remains() {
    let (_server, _, url) = server();
    let run = join(&url, 40).await;
    let child = child_that_holds(&url);
    // Everything left is the child's: this waits, and does not end with mailboxes missing.
    let waited = tokio::time::timeout(Duration::from_secs(5), run.claim(7)).await;
    assert!(waited.is_err(), "{waited:?}");
    let begun = Instant::now();
    drop(child);
    let mine = tokio::time::timeout(SOON, sweep(&run, "mine")).await.unwrap();
    assert_eq!(mine.len(), 35, "{:?}", begun.elapsed());
    let all = whole(&run).await;
    assert_eq!(all.iter().map(|(mailbox, _)| mailbox.clone()).collect::<BTreeSet<_>>(), mailboxes(40));
    assert_eq!(
        all.iter().filter(|(_, seen)| seen.starts_with("child ")).count(),
        5,
        "what it finished stays"
    );
    assert_eq!(all.iter().filter(|(_, seen)| seen.starts_with("mine ")).count(), 35);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_takes_the_claim_with_it() {
    let (server, database, url) = server();
    let run = join(&url, 4).await;
    let mut claim = run.claim(4).await.unwrap().unwrap();
    claim.keep("u00000@example.test", "half".to_owned()).await.unwrap();
    server.stop().unwrap();
    let error = claim.finish().await.unwrap_err();
    assert_eq!(error.fault(), Fault::Unreachable, "{error}");
    let unopened = SharedRun::join(&url, RUN, &beginning(), &mailboxes(4)).await.unwrap_err();
    assert_eq!(unopened.fault(), Fault::Unreachable, "{unopened}");
    server.start_again().unwrap();
    let again = join(&url, 4).await;
    assert_eq!(again.count().await.unwrap(), (0, 4));
    assert_eq!(sweep(&again, "again").await.len(), 4);
    // A network that ends one connection only is the same.
    let other = SharedRun::join(&url, "other", &beginning(), &mailboxes(2)).await.unwrap();
    let mut cut = other.claim(2).await.unwrap().unwrap();
    let cutting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE state = 'idle in transaction' AND datname = current_database()";
    server.query(&database, cutting).unwrap();
    assert!(cut.keep("u00000@example.test", "half".to_owned()).await.is_err());
    assert_eq!(sweep(&other, "other").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_kept_is_free_again() {
    let (_server, _, url) = server();
    let run = join(&url, 6).await;
    let mut claim = run.claim(6).await.unwrap().unwrap();
    claim.keep("u00003@example.test", "kept".to_owned()).await.unwrap();
    claim.finish().await.unwrap();
    assert_eq!(run.count().await.unwrap(), (1, 6));
    drop(run.claim(6).await.unwrap());
    assert_eq!(sweep(&run, "later").await.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_runs_are_forgotten_but_for_those_that_somebody_holds() {
    let (server, database, url) = server();
    let [held, old, young] = ["held", "old", "young"];
    let begin = async |name| SharedRun::join(&url, name, &beginning(), &mailboxes(2)).await.unwrap();
    let (held_run, old_run) = (begin(held).await, begin(old).await);
    let claim = held_run.claim(1).await.unwrap().unwrap();
    server.query(&database, "UPDATE shared_run SET begun = now() - INTERVAL '8 days'").unwrap();
    begin(young).await;
    let left = server.query(&database, "SELECT run FROM shared_run ORDER BY run").unwrap();
    assert_eq!(left.lines().collect::<Vec<_>>(), [held, young]);
    let rows = server.query(&database, "SELECT count(*) FROM shared_mailbox").unwrap();
    assert_eq!(rows.trim(), "4", "its mailboxes go with a run");
    let gone = old_run.claim(1).await.unwrap_err();
    assert!(matches!(gone, LedgerError::Forgotten { .. }), "{gone}");
    drop(claim);
}

#[tokio::test]
async fn only_postgresql_can_be_shared() {
    let error = SharedRun::check("sqlite:/var/lib/ledger.db").await.unwrap_err();
    assert_eq!(error.fault(), Fault::Configuration);
    assert!(error.to_string().contains("PostgreSQL"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: a server's patience is a minute"]
async fn a_claim_is_held_for_longer_than_the_server_bears_silence() {
    let (_server, _, url) = server();
    let run = join(&url, 1).await;
    let mut claim = run.claim(1).await.unwrap().unwrap();
    claim.while_held(tokio::time::sleep(Duration::from_secs(75))).await.unwrap();
    assert_eq!(look_at(claim, "patient").await.len(), 1);
    assert_eq!(run.count().await.unwrap(), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: a server's patience is a minute"]
async fn a_sweeper_that_falls_silent_is_replaced_though_it_lives() {
    let (_server, _, url) = server();
    let run = join(&url, 40).await;
    let mut silent = child_that_holds(&url);
    let mine = tokio::time::timeout(3 * SOON, sweep(&run, "mine")).await.unwrap();
    assert!(silent.0.try_wait().unwrap().is_none(), "it lives");
    assert_eq!((mine.len(), run.count().await.unwrap()), (35, (40, 40)));
}
