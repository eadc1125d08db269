//! Without the gate nothing is let through, nothing is bounced and nothing is lost.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::os::unix::net::UnixStream;

use mailwarden_e2e::{SOON, World, letter};
use mailwarden_lab::wait::{wait_for, wait_until};

const OPS: &str = "ops@example.test";
const VENDOR: &str = "news@vendor.test";
const SCOPED: &str = "anything@saas.example.test";

#[test]
fn with_the_gate_stopped_mail_is_refused_for_now_and_arrives_after_it_returns() {
    let mut world = World::start().unwrap();
    world.stop_gate().unwrap();
    for recipient in [SCOPED, "burnt@saas.example.test", "alice@example.test"] {
        let sent = world.send_from_outside(VENDOR, &[recipient], letter(VENDOR, "early")).unwrap();
        let refusal =
            sent.refusal().unwrap_or_else(|| panic!("{recipient} passed without the gate: {sent:?}"));
        assert!(refusal.is_temporary(), "{recipient}: {refusal:?}");
    }
    // The sender keeps it and tries again.
    world.start_gate().unwrap();
    let sent = world.send_from_outside(VENDOR, &[SCOPED], letter(VENDOR, "early")).unwrap();
    assert!(sent.is_accepted(), "{sent:?}");
    world.arrives_once(OPS, "early").unwrap();
    world.lab.postfix.wait_until_queue_empty(SOON).unwrap();
    assert!(!world.anything_bounced());
}

#[test]
fn what_a_local_program_sends_waits_for_the_gate() {
    let mut world = World::start().unwrap();
    world.stop_gate().unwrap();
    let sent =
        world.lab.postfix.sendmail(&["-f", "omar@example.test", SCOPED], letter("omar@example.test", "cron"));
    assert_eq!(sent.unwrap().code, Some(0));
    let waiting = || world.lab.postfix.queue().unwrap().into_iter().find(|mail| mail.recipients == [SCOPED]);
    wait_for(SOON, "a try without the gate", || {
        waiting().is_some() && world.lab.postfix.log().contains("connect to Milter service")
    })
    .unwrap();
    assert!(!world.anything_bounced());
    world.start_gate().unwrap();
    // Postfix looks again at what waits when the next message comes.
    let next = letter("omar@example.test", "next");
    world.lab.postfix.sendmail(&["-f", "omar@example.test", SCOPED], next).unwrap();
    world.arrives_once(OPS, "next").unwrap();
    world.arrives_once(OPS, "cron").unwrap();
    world.lab.postfix.wait_until_queue_empty(SOON).unwrap();
}

#[test]
fn mail_that_went_around_the_gate_is_kept_and_can_be_sent_through_it() {
    let mut world = World::start().unwrap();
    let postfix = &world.lab.postfix;
    postfix.append_main_cf("smtpd_milters =\nnon_smtpd_milters =").unwrap();
    postfix.reload().unwrap();
    world.stop_gate().unwrap();
    let postfix = &world.lab.postfix;
    let sent = world.send_from_outside(VENDOR, &[SCOPED], letter(VENDOR, "around")).unwrap();
    assert!(sent.is_accepted(), "{sent:?}");
    let deferred = || postfix.queue().unwrap().into_iter().find(|mail| mail.queue == "deferred");
    let waiting = wait_until(SOON, "a deferred message", deferred).unwrap();
    assert_eq!(waiting.recipients, [SCOPED]);
    assert!(waiting.reason.contains("/nonexistent/"), "{waiting:?}");
    assert_eq!(world.subjects(OPS).unwrap(), Vec::<String>::new());

    let address = world.milter_address().to_owned();
    world.start_gate().unwrap();
    // What waits is handed to this Postfix's own SMTP port, where the gate sees it.
    let postfix = &world.lab.postfix;
    let again = format!(
        "smtpd_milters = {address}\nnon_smtpd_milters = $smtpd_milters\n\
         relay_transport = smtp:[127.0.0.1]:{}",
        postfix.smtp_port()
    );
    postfix.append_main_cf(&again).unwrap();
    postfix.reload().unwrap();
    postfix.flush_queue().unwrap();
    let delivered = world.arrives_once(OPS, "around").unwrap();
    assert_eq!(delivered.header_all("Mailwarden-Route").len(), 1, "{delivered:?}");
    world.lab.postfix.wait_until_queue_empty(SOON).unwrap();
    assert!(!world.anything_bounced());
}

#[test]
fn a_crash_in_the_middle_of_a_message_loses_nothing() {
    let mut world = World::start().unwrap();
    let mut session = world.lab.smtp_from_outside().unwrap();
    assert!(session.mail(VENDOR).unwrap().is_ok());
    assert!(session.rcpt(SCOPED).unwrap().is_ok());
    world.kill_gate().unwrap();
    let reply = session.data(letter(VENDOR, "crashed")).unwrap();
    assert!(reply.is_temporary(), "{reply:?}");
    drop(session);

    // The socket of the dead gate is still there and must not keep the new one from opening.
    world.start_gate().unwrap();
    let sent = world.send_from_outside(VENDOR, &[SCOPED], letter(VENDOR, "crashed")).unwrap();
    assert!(sent.is_accepted(), "{sent:?}");
    world.arrives_once(OPS, "crashed").unwrap();
    world.lab.postfix.wait_until_queue_empty(SOON).unwrap();
    assert!(!world.anything_bounced());
}

#[test]
fn a_stop_finishes_the_message_under_way_and_takes_no_other() {
    let mut world = World::start().unwrap();
    let mut session = world.lab.smtp_from_outside().unwrap();
    assert!(session.mail(VENDOR).unwrap().is_ok());
    assert!(session.rcpt(SCOPED).unwrap().is_ok());
    world.gate().begin_to_stop();
    let closed = || UnixStream::connect(world.lab.milter_socket()).is_err();
    wait_for(SOON, "the end of new connections", closed).unwrap();
    let other = world.send_from_outside(VENDOR, &[SCOPED], letter(VENDOR, "too late")).unwrap();
    assert!(other.refusal().is_some_and(mailwarden_lab::smtp::Reply::is_temporary), "{other:?}");
    assert!(world.gate().is_running(), "it must wait for the message: {}", world.gate().log());
    let reply = session.data(letter(VENDOR, "last")).unwrap();
    assert!(reply.is_ok(), "{reply:?}: {}", world.gate().log());
    drop(session);
    world.stop_gate().unwrap();
    world.arrives_once(OPS, "last").unwrap();
    assert!(!world.anything_bounced());
}
