//! The gate behind Sendmail 8.17, which passes mail on to Postfix.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::path::PathBuf;

use mailwarden_e2e::{SOON, World, WorldOptions, letter};
use mailwarden_lab::sendmail::Sendmail;
use mailwarden_lab::smtp::{Reply, Smtp};

const OPS: &str = "ops@example.test";
const VENDOR: &str = "news@vendor.test";
const SCOPED: &str = "shop@saas.example.test";

/// Sendmail trusts no socket below a directory that everybody may write to.
fn world() -> World {
    let mut options = WorldOptions::default();
    let base = PathBuf::from("/run/mailwarden-lab");
    std::fs::create_dir_all(&base).unwrap();
    options.lab.base = Some(base);
    let world = World::with(&options).unwrap();
    // One gate a message: a second one would take the first one's route for a forged field and remove it.
    world.lab.postfix.append_main_cf("smtpd_milters =\nnon_smtpd_milters =").unwrap();
    world.lab.postfix.reload().unwrap();
    world
}

fn start(world: &World) -> Sendmail {
    Sendmail::start(&world.lab, world.milter_address(), world.lab.postfix.smtp_port(), &mut |_step| {})
        .unwrap()
}

fn session(sendmail: &Sendmail) -> Smtp {
    let mut session = Smtp::connect(sendmail.port()).unwrap();
    assert!(session.ehlo("mail.vendor.test").unwrap().is_ok());
    session
}

fn text(reply: Option<&Reply>) -> String {
    reply.map(|reply| format!("{} {}", reply.code, reply.text())).unwrap_or_default()
}

#[test]
#[ignore = "slow: unpacks and starts Sendmail"]
fn scope_mail_is_routed_and_refusals_reach_the_client_with_their_reason() {
    let mut world = world();
    let sendmail = start(&world);
    let mut client = session(&sendmail);
    // Two messages of one session: Sendmail sends no ABORT between them.
    for subject in ["first", "second"] {
        let sent = client.send(VENDOR, &[SCOPED], letter(VENDOR, subject)).unwrap();
        assert!(sent.is_accepted(), "{sent:?}: {}", sendmail.log());
    }
    let burnt = client.send(VENDOR, &["burnt@saas.example.test", SCOPED], letter(VENDOR, "third")).unwrap();
    let (refused, taken) = (&burnt.recipients[0].1, &burnt.recipients[1].1);
    assert!(refused.code == 550 && refused.text().contains("(reference "), "{burnt:?}");
    assert!(taken.is_ok() && burnt.is_accepted(), "{burnt:?}");
    let forged = client.send(VENDOR, &[SCOPED], letter("Ops <x@saas.example.test>", "forged")).unwrap();
    assert!(text(forged.refusal()).contains("receive-only"), "{forged:?}");
    assert_eq!(forged.message.as_ref().map(|reply| reply.code), Some(550), "{forged:?}");

    for subject in ["first", "second", "third"] {
        let copy = world.arrives_once(OPS, subject).unwrap();
        let routes = copy.header_all("Mailwarden-Route");
        assert!(routes.iter().any(|route| route.contains(SCOPED)), "{subject}: {copy:?}");
    }
    assert!(world.copies(OPS, "forged").unwrap().is_empty());

    // F=T in the filter's definition: without the gate Sendmail refuses for now.
    world.stop_gate().unwrap();
    let mut without = Smtp::connect(sendmail.port()).unwrap();
    without.ehlo("mail.vendor.test").unwrap();
    let early = without.send(VENDOR, &[SCOPED], letter(VENDOR, "early")).unwrap();
    assert!(early.refusal().is_some_and(Reply::is_temporary), "{early:?}");
    world.start_gate().unwrap();
    let later = session(&sendmail).send(VENDOR, &[SCOPED], letter(VENDOR, "early")).unwrap();
    assert!(later.is_accepted(), "{later:?}");
    world.arrives_once(OPS, "early").unwrap();
    world.lab.postfix.wait_until_queue_empty(SOON).unwrap();
    assert!(!world.anything_bounced());
}
