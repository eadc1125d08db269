//! The rounds through doveadm's HTTP API: what it shows gives the findings that the command gives, and what it
//! does not show is named.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use mailwarden_e2e::{Output, SweepConfig, World, WorldOptions, login, mailwarden, records};
use mailwarden_lab::OutsideWorld;
use mailwarden_lab::population::{Kind, Population, THIEF};
use mailwarden_lab::ports::Port;
use serde_json::Value;

const BOB: &str = "bob@example.test";
const JANE: &str = "jane@example.test";
const KEY: &str = "the-api-key";
const PASSWORD: &str = "the-doveadm-password";
/// What can be planted where the API looks.
const KINDS: [Kind; 9] = [
    Kind::ActiveRedirect,
    Kind::InactiveRedirect,
    Kind::DotScript,
    Kind::Notify,
    Kind::Hides,
    Kind::Grant,
    Kind::GrantAnyone,
    Kind::GroupGrant,
    Kind::NegativeRight,
];
/// Surfaces that the API shows.
const SHOWN: [&str; 5] =
    ["account", "managesieve.scripts", "imap.acl", "dovecot.sessions", "account.aliasing"];
/// Surfaces that only the host itself shows.
const HIDDEN: [&str; 5] =
    ["account.state", "sieve.files", "dovecot.posture", "dovecot.credentials", "sieve.global"];

/// A doveadm of one process, which serves one connection after the other and closes those that come meanwhile.
const ONE_PROCESS: &str = "service_count = 0\n  process_limit = 1\n  ";

struct Place {
    world: World,
    port: Port,
}

/// A server whose API is protected by TLS, or not. Dovecot knows an API by the name of its listener, so there is
/// one at a time.
fn place(population: &Population, more_policy: &str, tls: bool, service: &str) -> Place {
    let port = Port::claim().unwrap();
    let policy = format!("{more_policy}\n{}", records(population));
    let mut wanted = WorldOptions { gate: false, policy, ..WorldOptions::default() };
    wanted.lab.outside = OutsideWorld::Discarded;
    wanted.lab.users.extend(population.users.clone());
    wanted.lab.dovecot_conf = format!(
        "doveadm_api_key = {KEY}\ndoveadm_password = {PASSWORD}\nservice doveadm {{\n  {service}inet_listener http {{\n    \
         port = {}\n    ssl = {}\n  }}\n}}\n",
        port.number(),
        if tls { "yes" } else { "no" }
    );
    Place { world: World::with(&wanted).unwrap(), port }
}

impl Place {
    /// A configuration that asks only the API.
    fn through(&self, name: &str, url: &str, secret: &str, value: &str) -> SweepConfig {
        let file = self.world.installation.write(&format!("{name}.secret"), format!("{value}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let mut config = self.world.sweep_config().named(name);
        config.accounts = Vec::new();
        config.more = format!(
            "\n[dovecot.api]\nurl = \"{url}\"\n{secret} = {{ file = \"{name}.secret\" }}\n\
             ca_file = {:?}\ntls_name = \"mail.example.test\"\n",
            self.world.lab.ca().authority()
        );
        config
    }

    fn plain(&self) -> SweepConfig {
        let url = format!("http://127.0.0.1:{}/doveadm/v1", self.port.number());
        self.through("plain", &url, "key", KEY)
    }

    fn secured(&self) -> SweepConfig {
        let url = format!("https://127.0.0.1:{}/doveadm/v1", self.port.number());
        self.through("secured", &url, "password", PASSWORD)
    }
}

fn sweep(config: &SweepConfig) -> Output {
    let config = config.save().unwrap();
    let arguments = ["sweep", "--all", "--profile", "host", "--format", "json", "--config", &config];
    let output = mailwarden(&arguments).unwrap();
    for secret in [KEY, PASSWORD] {
        assert!(!output.stdout.contains(secret) && !output.stderr.contains(secret), "{output:?}");
    }
    output
}

/// The findings on what both show, without their proofs, which name whom they came from.
fn essences(report: &Value) -> BTreeSet<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let shown = findings.filter(|finding| SHOWN.contains(&finding["surface"]["id"].as_str().unwrap()));
    shown
        .map(|f| format!("{} {} {} {}", f["fingerprint"], f["content_hash"], f["severity"], f["title"]))
        .collect()
}

#[test]
fn the_api_gives_the_findings_of_the_command_and_names_what_it_does_not_show() {
    the_api_gives_the_findings_of_the_command("");
}

#[test]
fn one_process_that_serves_everybody_gives_the_same_findings() {
    the_api_gives_the_findings_of_the_command(ONE_PROCESS);
}

fn the_api_gives_the_findings_of_the_command(service: &str) {
    let population = Population::of(31, 12, &KINDS);
    let place = place(&population, "", true, service);
    population.plant(&place.world.lab).unwrap();
    let mut scripts = place.world.lab.managesieve(JANE).unwrap();
    scripts.putscript("away", &format!("redirect \"{THIEF}\";\r\n")).unwrap();
    scripts.setactive("away").unwrap();
    place.world.lab.dovecot.set_extra_fields(JANE, "nologin=y reason=left").unwrap();
    let _open = place.world.lab.imap(BOB).unwrap();
    let mut command = place.world.sweep_config();
    command.host = true;
    let expected = essences(&sweep(&command).json());
    assert!(expected.len() > KINDS.len(), "{expected:#?}");
    let output = sweep(&place.secured());
    assert_eq!(output.code, 1, "{output:?}");
    let report = output.json();
    let found = essences(&report);
    let other: Vec<&String> = found.symmetric_difference(&expected).collect();
    let gaps = report["coverage"].as_array().unwrap().iter().filter(|row| row["state"] == "partial");
    assert!(other.is_empty(), "{other:#?}\n{:#?}", gaps.collect::<Vec<_>>());
    for row in report["coverage"].as_array().unwrap() {
        let surface = row["surface"].as_str().unwrap();
        if HIDDEN.contains(&surface) {
            assert_eq!(row["state"], "skipped", "{row:#}");
            assert!(row["reason"].as_str().unwrap().contains("could not look"), "{row:#}");
        } else if SHOWN.contains(&surface) {
            assert_eq!(row["state"], "collected", "{row:#}");
        }
    }
}

#[test]
fn an_api_that_refuses_or_is_gone_is_never_clean() {
    let place = place(&Population::of(1, 0, &[]), "", false, "");
    let clean = sweep(&place.plain());
    let report = clean.json();
    assert_eq!((clean.code, &report["verdict"]), (3, &Value::from("incomplete")), "{report:#}");
    let url = format!("http://127.0.0.1:{}/doveadm/v1", place.port.number());
    let gone = Port::claim().unwrap();
    let nobody = format!("http://127.0.0.1:{}/doveadm/v1", gone.number());
    let stranger = format!("https://127.0.0.1:{}/doveadm/v1", place.port.number());
    for (name, url, state) in
        [("wrong-key", &url, "denied"), ("gone", &nobody, "error"), ("no-tls", &stranger, "error")]
    {
        let output = sweep(&place.through(name, url, "key", "wrong"));
        assert!(matches!(output.code, 3 | 4), "{name}: {output:?}");
        let report = output.json();
        assert_ne!(report["verdict"], "clean", "{name}");
        let rows = report["coverage"].as_array().unwrap();
        for surface in ["managesieve.scripts", "dovecot.sessions"] {
            let mine: Vec<&Value> = rows.iter().filter(|row| row["surface"] == surface).collect();
            assert!(!mine.is_empty() && mine.iter().all(|row| row["state"] == state), "{name}: {mine:#?}");
        }
    }
}

#[test]
fn a_session_of_a_leaver_is_ended_through_the_api() {
    let raci = format!("[raci]\nact_as = [\"{}\"]\n", login().unwrap());
    let place = place(&Population::of(1, 0, &[]), &raci, true, ONE_PROCESS);
    let mut bob = place.world.lab.imap(BOB).unwrap();
    let config = place.secured();
    let report = sweep(&config).json();
    let sessions: Vec<&Value> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["check_id"] == "session.leaver")
        .collect();
    assert_eq!(sessions.len(), 1, "{:#}", report["findings"]);
    let finding = sessions[0]["fingerprint"].as_str().unwrap();
    let config = config.save().unwrap();
    let arguments = ["revoke", finding, "--apply", "--accept-final", "--ticket", "T-1"];
    let ended =
        mailwarden(&[&arguments[..], &["--as", "omar@example.test", "--config", &config]].concat()).unwrap();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(bob.expect_ok("NOOP").is_err(), "the connection is closed");
}

#[test]
fn an_api_without_one_secret_or_beside_the_programs_is_wrong() {
    let place = place(&Population::of(1, 0, &[]), "", false, "");
    let refused = |config: &SweepConfig, said: &str| {
        let config = config.save().unwrap();
        let output = mailwarden(&["sweep", "--all", "--profile", "host", "--config", &config]).unwrap();
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains(said), "{output:?}");
    };
    let mut config = place.plain();
    config.more = config.more.replace("key = ", "# key = ");
    refused(&config, "needs one secret");
    let mut config = place.plain();
    config.more = format!("\n[dovecot]\nprogram_directory = \"/usr/bin\"\n{}", config.more);
    refused(&config, "both this host's programs and an API");
    let mut config = place.plain();
    config.more = config.more.replace("http://127.0.0.1", "http://192.0.2.1");
    refused(&config, "http would show the secret");
}
