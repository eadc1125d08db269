//! Logins that a sweep tries for accounts that ought to be closed: what opens is found though lookups call it shut, what
//! stays shut is proved for the credential that was tried, and nobody who is here is tried.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use mailwarden_e2e::{Output, World, WorldOptions, mailwarden};
use mailwarden_lab::OutsideWorld;
use mailwarden_lab::dovecot::with_pop3;
use mailwarden_lab::ports::Port;
use serde_json::Value;

const BOB: &str = "bob@example.test";
const JANE: &str = "jane@example.test";
const SECRET: &str = "bobpw";

/// Servers with every service that takes logins.
struct Served {
    world: World,
    pop3: Port,
}

fn served() -> Served {
    let pop3 = Port::claim().unwrap();
    let mut wanted = WorldOptions { gate: false, ..WorldOptions::default() };
    wanted.lab.outside = OutsideWorld::Discarded;
    wanted.lab.dovecot_conf = with_pop3(pop3.number());
    let world = World::with(&wanted).unwrap();
    let ca = world.lab.ca();
    let tls = format!(
        // There is no gate here, and Postfix would take no connection without it.
        "smtpd_milters =\nsmtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\nsmtpd_tls_security_level = may\nsmtpd_tls_auth_only = yes\n",
        ca.certificate().display(),
        ca.key().display()
    );
    world.lab.postfix.append_main_cf(&tls).unwrap();
    world.lab.postfix.reload().unwrap();
    Served { world, pop3 }
}

impl Served {
    /// A sweep that looks at the host and tries logins with what `credential` names.
    fn sweep(&self, credential: &str, passwords: &str) -> Output {
        let lab = &self.world.lab;
        let file = self.world.installation.write("probe.passwords", passwords).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let at = |port: u16| {
            format!(
                "{{ host = \"127.0.0.1\", port = {port}, tls_name = \"mail.example.test\", ca_file = {:?} }}",
                lab.ca().authority()
            )
        };
        let mut config = self.world.sweep_config();
        config.host = true;
        config.more = format!(
            "\n[probe]\n{credential}\nimap = {}\npop3 = {}\nsubmission = {}\nmanagesieve = {}\n",
            at(lab.dovecot.imap_port()),
            at(self.pop3.number()),
            at(lab.postfix.submission_port()),
            at(lab.dovecot.sieve_port()),
        );
        let config = config.save().unwrap();
        let output =
            mailwarden(&["sweep", "--all", "--profile", "full", "--format", "json", "--config", &config])
                .unwrap();
        assert!(!format!("{output:?}").contains(SECRET), "passwords are not repeated: {output:?}");
        output
    }
}

const BY_PASSWORD: &str = "passwords = { file = \"probe.passwords\" }";

fn of_check<'r>(report: &'r Value, check: &str) -> Vec<&'r Value> {
    let findings = report["findings"].as_array().map_or(&[][..], Vec::as_slice);
    findings.iter().filter(|finding| finding["check_id"] == check).collect()
}

fn probed(report: &Value) -> &Value {
    let rows = report["coverage"].as_array().map_or(&[][..], Vec::as_slice);
    rows.iter().find(|row| row["surface"] == "account.probe").unwrap()
}

#[test]
fn a_leaver_who_is_locked_is_tried_at_every_service_and_the_one_that_opens_is_found() {
    let served = served();
    let dovecot = &served.world.lab.dovecot;
    // Dovecot's own services refuse such an account; Postfix's SASL never asks why it may not log in.
    dovecot.set_extra_fields(BOB, "nologin=y reason=offboarded").unwrap();
    let passwords = format!("{BOB} {SECRET}\n{JANE} janepw\n");
    let output = served.sweep(BY_PASSWORD, &passwords);
    let report = output.json();
    let open = of_check(&report, "account.probe-accepted");
    assert_eq!(open.len(), 1, "{:#}\n{:#}\n{}", report["findings"], probed(&report), output.stderr);
    let title = format!("{BOB} ought to be closed, and its test password still opens it (submission).");
    assert_eq!(
        (open[0]["title"].as_str(), open[0]["severity"].as_str()),
        (Some(title.as_str()), Some("high"))
    );
    assert_eq!(probed(&report)["state"], "collected", "{:#}", probed(&report));
    let locked = of_check(&report, "account.locked-receives");
    let conditions = locked[0]["conditions"].as_str().unwrap();
    for service in ["imap", "pop3", "managesieve"] {
        assert!(conditions.contains(&format!("{service} refused the test password")), "{conditions}");
    }
    assert!(output.stderr.contains("1 accepted, 3 refused"), "{}", output.stderr);
    let log = dovecot.log();
    let by_pop3: Vec<&str> = log.lines().filter(|line| line.contains("pop3-login")).collect();
    assert_eq!(by_pop3.iter().filter(|line| line.contains(BOB)).count(), 1, "one attempt: {by_pop3:#?}");
    assert!(!by_pop3.iter().any(|line| line.contains(JANE)), "who is here is not tried: {by_pop3:#?}");
}

#[test]
fn a_master_user_proves_what_it_can_and_never_tries_to_send() {
    let served = served();
    let lab = &served.world.lab;
    let masters = lab.dovecot.conf_path().with_file_name("masters.pop3");
    fs::copy(masters.with_file_name("masters.imap"), &masters).unwrap();
    let output = served.sweep("master = true", "");
    let report = output.json();
    let open = of_check(&report, "account.probe-accepted");
    assert_eq!(open.len(), 1, "{:#}\n{:#}\n{}", report["findings"], probed(&report), output.stderr);
    assert_eq!(open[0]["severity"], "low");
    assert!(
        open[0]["title"].as_str().unwrap().contains("imap, managesieve, pop3 lets the master user in"),
        "{:#}",
        open[0]
    );
    let row = probed(&report);
    assert_eq!(row["state"], "partial");
    assert!(
        row["reason"].as_str().unwrap().contains("bob@example.test by submission (no credential for it)"),
        "{row:#}"
    );
    lab.dovecot.set_extra_fields(BOB, "nologin=y reason=offboarded").unwrap();
    let output = served.sweep("master = true", "");
    let report = output.json();
    assert_eq!(of_check(&report, "account.probe-accepted").len(), 0, "{:#}", report["findings"]);
    assert!(output.stderr.contains("0 accepted, 3 refused"), "{}", output.stderr);
    // A master user that is refused itself has proved nothing of the account.
    lab.dovecot.set_master_password("changed").unwrap();
    let reason = probed(&served.sweep("master = true", "").json())["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("by imap (the master user itself is refused"), "{reason}");
    assert!(reason.contains("by managesieve (the master user itself is refused"), "{reason}");
}

#[test]
fn a_service_that_does_not_answer_or_shows_another_certificate_is_never_called_closed() {
    let served = served();
    let nobody = Port::claim().unwrap();
    let at = |port: u16, name: &str| {
        let authority = served.world.lab.ca().authority().to_owned();
        format!("{{ host = \"127.0.0.1\", port = {port}, tls_name = \"{name}\", ca_file = {authority:?} }}")
    };
    let file = served.world.installation.write("probe.passwords", format!("{BOB} {SECRET}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let mut config = served.world.sweep_config();
    config.more = format!(
        "\n[probe]\n{BY_PASSWORD}\nimap = {}\npop3 = {}\n",
        at(nobody.number(), "mail.example.test"),
        at(served.pop3.number(), "mail.evil.example")
    );
    let config = config.save().unwrap();
    let arguments = ["sweep", "--all", "--surface", "account.probe", "--format", "json", "--config", &config];
    let output = mailwarden(&arguments).unwrap();
    let report = output.json();
    assert_eq!((output.code, &report["verdict"]), (3, &Value::from("incomplete")), "{report:#}");
    let reason = probed(&report)["reason"].as_str().unwrap();
    assert!(reason.contains("bob@example.test by imap (connecting at"), "{reason}");
    assert!(reason.contains("by pop3 (") && reason.contains("verifying the certificate"), "{reason}");
    let log = served.world.lab.dovecot.log();
    assert!(
        !log.lines().any(|line| line.contains("pop3-login") && line.contains(BOB)),
        "nothing secret was said: {log}"
    );
}
