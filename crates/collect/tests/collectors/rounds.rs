//! The rounds as a whole: one coverage row each, whatever the servers do.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::fake::{Act, credentials, plain_server, say, serve};
use mailwarden_collect::accounts::AccountsPlan;
use mailwarden_collect::postfix::{self, PostfixPlan};
use mailwarden_collect::{Harvest, Plan, Progress, run};
use mailwarden_evidence::CoverageState;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::Barrier;

fn plan(imap: u16, managesieve: u16, mailboxes: usize) -> Plan {
    let mut plan = Plan::new(credentials());
    plan.imap = Some(plain_server(imap));
    plan.managesieve = Some(plain_server(managesieve));
    plan.mailboxes = (0..mailboxes).map(|n| format!("box{n}@example.test")).collect();
    plan.backoff = Duration::from_millis(1);
    plan
}

/// Every requested row once, no other.
fn assert_each_row_once(harvest: &Harvest, requested: &BTreeSet<(String, String)>) {
    let rows: Vec<(String, String)> =
        harvest.coverage.iter().map(|row| (row.mailbox.clone(), row.surface.clone())).collect();
    let distinct: BTreeSet<(String, String)> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), distinct.len(), "a row stands twice");
    assert_eq!(&distinct, requested);
    assert!(harvest.coverage.is_sorted());
    for row in &harvest.coverage {
        assert_eq!(row.reason.is_empty(), row.state == CoverageState::Collected, "{row:?}");
    }
}

fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn every_mailbox_and_surface_has_one_row_even_if_nothing_answers() {
    let mut plan = plan(closed_port(), closed_port(), 5);
    plan.mailboxes.push("box0@example.test".to_owned());
    plan.postfix = Some(PostfixPlan::new("/nonexistent"));
    plan.accounts =
        Some(AccountsPlan::Command { argv: vec!["false".to_owned()], timeout: Duration::from_secs(20) });
    let requested = plan.requested();
    let retries = AtomicUsize::new(0);
    let harvest = run(plan, |progress| {
        if matches!(progress, Progress::Retrying { .. }) {
            retries.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
    assert_each_row_once(&harvest, &requested);
    assert_eq!(requested.len(), 5 * 5 + postfix::SURFACES.len() + 1);
    assert!(harvest.coverage.iter().all(|row| row.state == CoverageState::Error));
    assert_eq!(retries.into_inner(), 5 * 2 * 3, "each attempt is repeated three times on each server");
}

#[tokio::test]
async fn a_server_that_hangs_costs_each_mailbox_its_deadline_and_no_more() {
    let hanging = serve(Act::Hang, |_| Act::Hang).await;
    let mut plan = plan(hanging, hanging, 8);
    plan.connections = 8;
    plan.mailbox_deadline = Duration::from_millis(200);
    let requested = plan.requested();
    let harvest = run(plan, |_| {}).await;
    assert_each_row_once(&harvest, &requested);
    assert!(harvest.coverage.iter().all(|row| row.reason.contains("not finished within 200ms")));
}

#[tokio::test]
async fn a_refused_password_is_not_hammered() {
    let logins = Arc::new(AtomicUsize::new(0));
    let counted = logins.clone();
    let refusing = serve(say("* OK [CAPABILITY IMAP4rev1 SASL-IR] hi\r\n"), move |line| {
        counted.fetch_add(1, Ordering::Relaxed);
        let tag = line.split(' ').next().unwrap_or_default();
        say(format!("{tag} NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"))
    })
    .await;
    let mut plan = plan(refusing, 1, 20);
    plan.managesieve = None;
    plan.connections = 1;
    let requested = plan.requested();
    let harvest = run(plan, |_| {}).await;
    assert_each_row_once(&harvest, &requested);
    assert_eq!(logins.load(Ordering::Relaxed), 3);
    assert!(harvest.coverage.iter().all(|row| row.state == CoverageState::Denied));
    let untried = harvest.coverage.iter().filter(|row| row.reason.starts_with("not tried")).count();
    assert_eq!(untried, 17 * 4);
}

#[tokio::test]
async fn a_mailbox_that_may_not_log_in_does_not_stop_the_others() {
    let refusing = serve(say("* OK [CAPABILITY IMAP4rev1 SASL-IR] hi\r\n"), move |line| {
        let tag = line.split(' ').next().unwrap_or_default();
        say(format!("{tag} NO [CONTACTADMIN] offboarded\r\n"))
    })
    .await;
    let mut plan = plan(refusing, 1, 6);
    plan.managesieve = None;
    let harvest = run(plan, |_| {}).await;
    assert!(harvest.coverage.iter().all(|row| row.reason.contains("offboarded")));
}

#[tokio::test]
async fn progress_tells_of_every_mailbox() {
    let seen = Mutex::new(Vec::new());
    let mut plan = plan(closed_port(), closed_port(), 3);
    plan.retries = 0;
    run(plan, |progress| seen.lock().unwrap().push(progress)).await;
    let seen = seen.into_inner().unwrap();
    let started = seen.iter().filter(|progress| matches!(progress, Progress::Started { .. })).count();
    assert_eq!(started, 3);
    let last = seen.iter().rev().find_map(|progress| match progress {
        Progress::Finished { done, total, .. } => Some((*done, *total)),
        _ => None,
    });
    assert_eq!(last, Some((3, 3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_hears_from_no_more_connections_than_it_is_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, highest) = (Arc::clone(&open), Arc::clone(&most));
    // Nobody is answered before two are there, so that one at a time would never end.
    let pair = Arc::new(Barrier::new(2));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let now = counted.fetch_add(1, Ordering::SeqCst) + 1;
            highest.fetch_max(now, Ordering::SeqCst);
            let (counted, pair) = (Arc::clone(&counted), Arc::clone(&pair));
            tokio::spawn(async move {
                pair.wait().await;
                counted.fetch_sub(1, Ordering::SeqCst);
                let _gone = stream.write_all(b"no greeting\r\n").await;
            });
        }
    });
    let mut plan = plan(port, closed_port(), 6);
    plan.managesieve = None;
    plan.connections = 6;
    plan.server_connections = 2;
    plan.retries = 0;
    let harvest = run(plan, |_| {}).await;
    assert_eq!(harvest.coverage.len(), 6 * 4);
    assert_eq!(most.load(Ordering::SeqCst), 2);
}
