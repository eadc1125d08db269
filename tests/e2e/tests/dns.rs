//! `mailwarden dns`: what is rendered, loaded and checked is clean for every profile; every mistake is reported
//! by its name with the record to publish; what no honest server answers is "could not check", never fine.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::path::Path;

use mailwarden_e2e::{Installation, Output, mailwarden};
use mailwarden_lab::ca::Ca;
use mailwarden_lab::names::{Names, Trick};
use mailwarden_lab::web::Web;
use mailwarden_lab::{Lab, LabOptions};
use serde_json::Value;

const POLICY: &str = r#"
[client]
name = "Example"
owner = "jane@example.test"
emergency_approver = "jane@example.test"

[[person]]
name = "Jane"
addresses = ["jane@example.test"]

[[domain]]
name = "example.test"
profile = "sending"
admin_queue = "ops@example.test"
mx = ["mx.example.test"]
spf = "v=spf1 mx -all"
dmarc = "v=DMARC1; p=reject; sp=reject; np=reject; rua=mailto:ops@example.test"
dkim_selectors = ["s1"]
dmarc_reports = ["ops@example.test"]
tls_reports = ["ops@example.test"]
mta_sts = "enforce"
caa_issuers = ["ca.test"]
catch_all = false
registrar = "Registrar"
dns_admins = ["admin@keys.test"]

[[domain]]
name = "vault.test"
profile = "receive-only"
mx = ["mx.example.test"]

[[domain]]
name = "parked.test"
profile = "parked"

[[scope]]
domain = "saas.example.test"
deliver_to = "ops@example.test"

[[scope]]
domain = "*.clients.example.test"
deliver_to = "ops@example.test"

[[mailbox]]
address = "ops@example.test"
kind = "shared"
"#;

const DOMAINS: [&str; 5] =
    ["example.test", "vault.test", "parked.test", "saas.example.test", "*.clients.example.test"];

/// What no rendering can know: addresses, reverse names, the signer's key, the delegation.
const AROUND: &str = "
mx.example.test. A 198.51.100.25
mta-sts.example.test. A 198.51.100.25
25.100.51.198.in-addr.arpa. PTR mx.example.test.
53.100.51.198.in-addr.arpa. PTR ns.example.test.
s1._domainkey.example.test. TXT \"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"
ns.example.test. A 198.51.100.53
example.test. NS ns.example.test.
vault.test. NS ns.example.test.
parked.test. NS ns.example.test.
vault.test._report._dmarc.example.test. TXT \"v=DMARC1\"
";

/// What the name service alone tells.
const NAMES_ONLY: [&str; 9] = [
    "dns.delegation",
    "dns.mx",
    "dns.spf",
    "dns.dkim",
    "dns.dmarc",
    "dns.dane",
    "dns.tls-rpt",
    "dns.caa",
    "dns.services",
];

struct Site {
    names: Names,
    files: Installation,
    _directory: tempfile::TempDir,
}

impl Site {
    fn new(settings: &str) -> Site {
        let directory = tempfile::tempdir().unwrap();
        let names = Names::start(AROUND).unwrap();
        let settings = format!(
            "[dns]\nresolvers = [\"{}\"]\ntimeout = \"1s\"\nhost_timeout = \"10s\"\n{settings}",
            names.address()
        );
        let files =
            Installation::create(directory.path(), "unix:/nonexistent/gate.sock", &settings, "").unwrap();
        files.write_policy(POLICY).unwrap();
        let site = Site { names, files, _directory: directory };
        let zone = site.rendered();
        site.names.load(&zone).unwrap();
        site
    }

    /// Only names: no mail host, no web server, no registry.
    fn of_names() -> Site {
        Site::new("smtp = false\nrdap = \"\"\n")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let config = self.files.config();
        mailwarden(&[&["dns"], arguments, &["--config", &config]].concat()).unwrap()
    }

    /// Everything that is rendered, and what surrounds it.
    fn rendered(&self) -> String {
        let output = self.run(&["render"]);
        assert_eq!(output.code, 0, "{output:?}");
        format!("{}{AROUND}", output.stdout)
    }

    fn check(&self, domain: &str, surfaces: &[&str]) -> Output {
        let surfaces = surfaces.iter().flat_map(|surface| ["--surface", surface]);
        let arguments: Vec<&str> =
            ["check", domain, "--format", "json"].into_iter().chain(surfaces).collect();
        self.run(&arguments)
    }

    /// The zone with some of its lines replaced.
    fn publish(&self, without: &[&str], lines: &str) {
        let zone = self.rendered();
        let kept = zone.lines().filter(|line| !without.iter().any(|start| line.starts_with(start)));
        let text = kept.map(|line| format!("{line}\n")).collect::<String>() + lines;
        self.names.load(&text).unwrap();
    }
}

fn checks(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let open = findings.filter(|finding| finding["status"] != "resolved");
    let mut ids: Vec<String> = open.map(|finding| finding["check_id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn what_is_rendered_and_loaded_is_clean_for_every_profile() {
    let site = Site::of_names();
    for domain in DOMAINS {
        let output = site.check(domain, &NAMES_ONLY);
        assert_eq!(
            (output.code, output.json()["verdict"].as_str()),
            (0, Some("clean")),
            "{domain}: {output:?}"
        );
        let output = site.run(&["render", domain, "--diff"]);
        assert_eq!(output.code, 0, "{domain}: {output:?}");
    }
}

#[test]
fn what_is_switched_off_is_skipped_and_not_clean() {
    let site = Site::of_names();
    let output = site.check("example.test", &["dns.spf", "dns.smtp"]);
    assert_eq!(output.code, 3, "{output:?}");
    let report = output.json();
    assert_eq!(report["coverage"][0]["state"], "skipped", "{report}");
}

#[test]
fn every_mistake_is_reported_by_name_with_the_record_to_publish() {
    let site = Site::of_names();
    // The domain, the lines that go, the lines that come, what is said.
    let table: &[(&str, &[&str], &str, &str)] = &[
        ("example.test", &["example.test. 3600 IN TXT"], "", "dns.spf-missing"),
        ("example.test", &[], "example.test. TXT \"v=spf1 -all\"", "dns.spf-multiple"),
        (
            "example.test",
            &["example.test. 3600 IN TXT"],
            "example.test. TXT \"v=spf1 ip4:1.2.3 -all\"",
            "dns.spf-syntax",
        ),
        (
            "example.test",
            &["example.test. 3600 IN TXT"],
            "example.test. TXT \"v=spf1 mx \" \"+all\"",
            "dns.spf-permissive",
        ),
        (
            "example.test",
            &["example.test. 3600 IN TXT"],
            "example.test. TXT \"v=spf1 include:a.test -all\"\na.test. TXT \"v=spf1 include:example.test -all\"",
            "dns.spf-loop",
        ),
        (
            "example.test",
            &["example.test. 3600 IN TXT"],
            "example.test. TXT \"v=spf1 a:mx.example.test a:mx.example.test a:mx.example.test a:mx.example.test \
             a:mx.example.test a:mx.example.test a:mx.example.test a:mx.example.test a:mx.example.test \" \
             \"a:mx.example.test mx -all\"",
            "dns.spf-too-many-lookups",
        ),
        (
            "example.test",
            &["example.test. 3600 IN TXT"],
            "example.test. TXT \"v=spf1 a:x.test a:y.test a:z.test -all\"",
            "dns.spf-too-many-voids",
        ),
        ("example.test", &["mx.example.test. 3600 IN TXT"], "", "dns.spf-helo"),
        (
            "saas.example.test",
            &["saas.example.test. 3600 IN TXT"],
            "saas.example.test. TXT \"v=spf1 mx -all\"",
            "dns.spf-sender",
        ),
        ("example.test", &["_dmarc.example.test."], "", "dns.dmarc-missing"),
        ("example.test", &[], "_dmarc.example.test. TXT \"v=DMARC1; p=none\"", "dns.dmarc-multiple"),
        (
            "example.test",
            &["_dmarc.example.test."],
            "_dmarc.example.test. TXT \"v=DMARC1; p=reject; sp=none; rua=mailto:ops@example.test\"",
            "dns.dmarc-subdomains",
        ),
        (
            "example.test",
            &["_dmarc.example.test."],
            "_dmarc.example.test. TXT \"v=DMARC1; p=reject; rua=mailto:x@nowhere.test\"",
            "dns.dmarc-report-unauthorised",
        ),
        (
            "saas.example.test",
            &["_dmarc.saas.example.test."],
            "_dmarc.saas.example.test. TXT \"v=DMARC1; p=reject; sp=reject; rua=mailto:ops@example.test\"",
            "dns.dmarc-sp-ignored",
        ),
        (
            "saas.example.test",
            &["_dmarc.saas.example.test."],
            "_dmarc.saas.example.test. TXT \"v=DMARC1; p=quarantine\"",
            "dns.dmarc-receive-only",
        ),
        ("*.clients.example.test", &["_dmarc.example.test."], "", "dns.dmarc-missing"),
        ("vault.test", &["vault.test. 3600 IN MX"], "vault.test. MX 0 .", "dns.mx-null"),
        ("parked.test", &["parked.test. 3600 IN MX"], "parked.test. MX 10 0.", "dns.mx-not-a-host"),
        ("parked.test", &["parked.test. 3600 IN MX"], "parked.test. MX 10 mx.example.test.", "dns.mx-parked"),
        ("example.test", &[], "example.test. MX 20 mx.lapsed.test.", "dns.mx-dangling"),
        ("example.test", &[], "example.test. MX 20 ns.example.test.", "dns.mx-unexpected"),
        ("vault.test", &[], "*.vault.test. MX 10 mx.example.test.", "dns.mx-wildcard"),
        ("example.test", &["25.100.51.198"], "", "dns.mx-reverse"),
        ("example.test", &["s1._domainkey"], "", "dns.dkim-missing"),
        (
            "example.test",
            &["s1._domainkey"],
            "s1._domainkey.example.test. TXT \"v=DKIM1; p=\"",
            "dns.dkim-revoked",
        ),
        ("vault.test", &["*._domainkey.vault.test."], "", "dns.dkim-null"),
        ("example.test", &["_smtp._tls"], "", "dns.tls-rpt-missing"),
        ("example.test", &[], "example.test. CAA 0 issue \"other.test\"", "dns.caa-outside"),
        ("example.test", &[], "autodiscover.example.test. CNAME lapsed.test.", "dns.dangling-alias"),
        ("example.test", &[], "_imaps._tcp.example.test. SRV 0 1 993 lapsed.test.", "dns.dangling-service"),
        ("example.test", &[], "example.test. NS ns.lapsed.test.", "dns.ns-dangling"),
        ("example.test", &[], "_25._tcp.mx.example.test. TLSA 3 1 1 00", "dns.dane-unsigned"),
    ];
    for (domain, without, lines, expected) in table {
        site.publish(without, lines);
        let output = site.check(domain, &NAMES_ONLY);
        let report = output.json();
        assert!(checks(&report).contains(&(*expected).to_owned()), "{expected}: {:?}", checks(&report));
        assert_eq!(output.code, 1, "{expected}");
        let findings = report["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["check_id"] == *expected).unwrap();
        let fix = finding["remediation"]["command"].as_str().unwrap();
        assert!(!fix.is_empty() && finding["mailbox"] == *domain, "{finding}");
    }
}

#[test]
fn what_no_honest_server_answers_is_said_and_never_fine() {
    let site = Site::of_names();
    for trick in
        [Trick::Servfail, Trick::Refused, Trick::Silent, Trick::Truncated, Trick::AliasLoop, Trick::Garbage]
    {
        let zone = site.rendered();
        site.names.load(&zone).unwrap();
        site.names.play("_dmarc.example.test", trick);
        let output = site.check("example.test", &["dns.dmarc", "dns.spf"]);
        assert_eq!(output.code, 3, "{trick:?}: {output:?}");
        let report = output.json();
        assert_eq!(checks(&report), Vec::<String>::new(), "{trick:?}");
        let coverage = report["coverage"].as_array().unwrap();
        let row = coverage.iter().find(|row| row["surface"] == "dns.dmarc").unwrap();
        let reason = row["reason"].as_str().unwrap();
        assert!(reason.starts_with("could not check TXT of _dmarc.example.test: "), "{trick:?}: {reason}");
        assert_ne!(row["state"], "collected");
    }
}

#[test]
fn a_resolver_that_is_not_there_ends_with_four() {
    let site = Site::of_names();
    let config = site.files.config();
    drop(site.names);
    let arguments = ["dns", "check", "example.test", "--surface", "dns.spf", "--config", &config];
    let output = mailwarden(&arguments).unwrap();
    assert_eq!(output.code, 4, "{output:?}");
}

#[test]
fn bulky_and_crowded_answers_are_read_in_full_or_said_not_to_be() {
    let site = Site::of_names();
    let strings = |length: usize| vec![format!("\"{}\"", "x".repeat(255)); length.div_ceil(255)].join(" ");
    // 4 KiB do not fit into a datagram; the answer comes over TCP.
    site.publish(&[], &format!("example.test. TXT {}", strings(3900)));
    let output = site.check("example.test", &["dns.spf"]);
    assert_eq!(checks(&output.json()), ["dns.spf-too-long"], "{output:?}");
    site.publish(&[], &format!("example.test. TXT {}", strings(4400)));
    let output = site.check("example.test", &["dns.spf"]);
    assert_eq!(output.code, 3, "{output:?}");
    let crowd =
        |count: usize| (0..count).map(|n| format!("example.test. TXT \"n{n}\"\n")).collect::<String>();
    site.publish(&[], &crowd(100));
    assert_eq!(site.check("example.test", &["dns.spf"]).code, 0);
    site.publish(&[], &crowd(300));
    let report = site.check("example.test", &["dns.spf"]).json();
    let reason = report["coverage"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("more than 32768 octets or 200 records"), "{reason}");
    assert_eq!(checks(&report), Vec::<String>::new());
}

#[test]
fn a_strangers_text_is_escaped_where_it_is_shown() {
    let site = Site::of_names();
    site.publish(
        &["example.test. 3600 IN TXT"],
        "example.test. TXT \"v=spf1 \\027[31m\\226\\128\\174 -all\"",
    );
    let output = site.run(&["check", "example.test", "--surface", "dns.spf"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(!output.stdout.contains('\u{1b}') && !output.stdout.contains('\u{202e}'), "{output:?}");
}

#[test]
fn verified_tlsa_records_are_told_from_unsigned_ones() {
    let site = Site::of_names();
    site.publish(&[], "_25._tcp.mx.example.test. TLSA 1 1 1 00");
    site.names.play("_25._tcp.mx.example.test", Trick::Authenticated);
    let ids = checks(&site.check("example.test", &["dns.dane"]).json());
    assert_eq!(ids, ["dns.dane-unusable"]);
}

#[test]
fn a_change_is_a_finding_once_and_an_event_with_what_was_there() {
    let site = Site::of_names();
    assert_eq!(site.check("example.test", &["dns.mx"]).code, 0);
    site.publish(&[], "example.test. MX 20 ns.example.test.");
    let report = site.check("example.test", &["dns.mx"]).json();
    assert_eq!(checks(&report), ["dns.changed", "dns.mx-unexpected"], "{report}");
    let findings = report["findings"].as_array().unwrap();
    let change = findings.iter().find(|finding| finding["check_id"] == "dns.changed").unwrap();
    let title = change["title"].as_str().unwrap();
    assert!(
        title.contains("it was `10 mx.example.test.`, it is `10 mx.example.test. | 20 ns.example.test.`"),
        "{title}"
    );
    // The next look finds the same as this one.
    assert_eq!(checks(&site.check("example.test", &["dns.mx"]).json()), ["dns.mx-unexpected"]);
    let config = site.files.config();
    let shown = mailwarden(&["ledger", "show", "--json", "--config", &config]).unwrap().json();
    let events = shown["events"].as_array().unwrap();
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["kind"].as_str()).collect();
    assert_eq!(
        kinds.iter().filter(|kind| kind.starts_with("dns.")).collect::<Vec<_>>(),
        [&"dns.observed", &"dns.changed"]
    );
    let text = shown.to_string();
    assert!(text.contains("prior_state") && text.contains("10 mx.example.test."), "{text}");
}

#[test]
fn an_exception_accepts_a_deviation_as_any_other_finding() {
    let site = Site::of_names();
    site.publish(&["25.100.51.198"], "");
    let report = site.check("example.test", &["dns.mx"]).json();
    let finding = &report["findings"][0];
    let (fingerprint, content) =
        (finding["fingerprint"].as_str().unwrap(), finding["content_hash"].as_str().unwrap());
    let exception = format!(
        "[[exception]]\nfingerprint = \"{fingerprint}\"\ncontent_hash = \"{content}\"\n\
         reason = \"the provider owns the address\"\napprover = \"jane@example.test\"\nexpires = 2027-06-01\n"
    );
    site.files.write_policy(format!("{POLICY}\n{exception}")).unwrap();
    let output = site.check("example.test", &["dns.mx"]);
    assert_eq!(output.code, 0, "{output:?}");
}

// --- with hosts that answer -----------------------------------------------------------------------------------------

struct Full {
    site: Site,
    web: Web,
    lab: Lab,
}

impl Full {
    fn new() -> Full {
        let options = LabOptions {
            virtual_aliases: vec![
                ("postmaster@example.test".to_owned(), "ops@example.test".to_owned()),
                ("abuse@example.test".to_owned(), "ops@example.test".to_owned()),
            ],
            ..LabOptions::default()
        };
        let lab = Lab::new(options).unwrap();
        let (certificate, key) = (lab.ca().certificate().display(), lab.ca().key().display());
        let tls = format!(
            "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {certificate}\nsmtpd_tls_key_file = {key}\n\
             virtual_mailbox_maps = inline:{{ ops@example.test=there }}"
        );
        lab.postfix.append_main_cf(&tls).unwrap();
        lab.postfix.reload().unwrap();
        let web = Web::start(lab.path(), lab.ca()).unwrap();
        let site = Site::new(&settings(&lab, &web, lab.ca()));
        let full = Full { site, web, lab };
        full.serve_policy("text/plain");
        full.register("example.test", "2030-01-01T00:00:00Z", "client transfer prohibited");
        full.register("keys.test", "2030-01-01T00:00:00Z", "active");
        full
    }

    /// The policy that is rendered, as its comment says.
    fn serve_policy(&self, content_type: &str) {
        let zone = self.site.run(&["render", "example.test"]).stdout;
        let lines =
            zone.lines().skip_while(|line| !line.starts_with("; https://mta-sts.example.test/")).skip(1);
        let policy: String =
            lines.filter_map(|line| line.strip_prefix(";   ")).map(|line| format!("{line}\r\n")).collect();
        assert!(policy.contains("mode: enforce"), "{zone}");
        self.web.answer("/.well-known/mta-sts.txt", 200, content_type, &policy).unwrap();
    }

    fn register(&self, domain: &str, expires: &str, status: &str) {
        let body = format!(
            "{{\"objectClassName\":\"domain\",\"status\":[\"{status}\"],\
             \"events\":[{{\"eventAction\":\"expiration\",\"eventDate\":\"{expires}\"}}],\
             \"entities\":[{{\"roles\":[\"registrar\"],\"vcardArray\":[\"vcard\",[[\"fn\",{{}},\"text\",\"Registrar Inc.\"]]]}}]}}"
        );
        self.web.answer(&format!("/domain/{domain}"), 200, "application/rdap+json", &body).unwrap();
    }

    fn aliases(&self, entries: &[(String, String)]) {
        self.lab.postfix.set_virtual_aliases(entries).unwrap();
        // A running smtpd looks at its tables again when it likes.
        self.lab.postfix.reload().unwrap();
    }

    fn said(&self, domain: &str) -> Vec<String> {
        checks(&self.site.check(domain, &[]).json())
    }
}

fn settings(lab: &Lab, web: &Web, ca: &Ca) -> String {
    let (smtp, https, authority) = (lab.postfix.smtp_port(), web.port(), Path::new(ca.authority()).display());
    format!(
        "smtp_port = {smtp}\nhttps_port = {https}\nconnect_to = \"127.0.0.1\"\nca_file = \"{authority}\"\n\
         rdap = \"https://rdap.example.test:{https}\"\nhelo = \"checker.example.test\"\n"
    )
}

#[test]
fn hosts_policies_and_registrations_are_asked_and_proved() {
    let full = Full::new();
    let output = full.site.check("example.test", &[]);
    assert_eq!(output.code, 0, "{output:?}\n{}", full.lab.postfix.log());
    assert_eq!(output.json()["coverage"].as_array().unwrap().len(), 13);

    // The required addresses are proved by asking, not by reading a table.
    full.aliases(&[("postmaster@example.test".to_owned(), "ops@example.test".to_owned())]);
    assert_eq!(full.said("example.test"), ["dns.required-address-refused"]);
    let all = [("@example.test".to_owned(), "ops@example.test".to_owned())];
    full.aliases(&all);
    assert_eq!(full.said("example.test"), ["dns.catch-all-unplanned"]);
    let both =
        ["postmaster", "abuse"].map(|name| (format!("{name}@example.test"), "ops@example.test".to_owned()));
    full.aliases(&both);

    full.serve_policy("text/html");
    assert_eq!(full.said("example.test"), ["dns.mta-sts-unserved"]);
    full.web
        .answer(
            "/.well-known/mta-sts.txt",
            200,
            "text/plain",
            "version: STSv1\nmode: enforce\nmx: *.other.test\nmax_age: 604800\n",
        )
        .unwrap();
    assert_eq!(full.said("example.test"), ["dns.changed", "dns.mta-sts-host"]);
    full.serve_policy("text/plain");
    assert_eq!(full.said("example.test"), ["dns.changed"]);

    full.register("example.test", "2020-01-01T00:00:00Z", "client transfer prohibited");
    assert_eq!(full.said("example.test"), ["dns.registration-expired"]);
    full.register("example.test", "2030-01-01T00:00:00Z", "redemption period");
    assert_eq!(
        full.said("example.test"),
        ["dns.changed", "dns.registration-status", "dns.registration-unlocked"]
    );
    full.register("example.test", "2030-01-01T00:00:00Z", "client transfer prohibited");
    // The outside domain that holds the DNS account.
    full.register("keys.test", "2020-01-01T00:00:00Z", "active");
    assert_eq!(full.said("keys.test"), ["dns.registration-expired"]);

    full.lab.postfix.append_main_cf("smtpd_tls_security_level = none").unwrap();
    full.lab.postfix.reload().unwrap();
    assert!(full.said("example.test").contains(&"dns.smtp-no-starttls".to_owned()));
}

#[test]
fn the_factsheet_shows_what_was_seen_and_when() {
    let site = Site::of_names();
    let config = site.files.config();
    let sheet = || mailwarden(&["factsheet", "example.test", "--config", &config]).unwrap().stdout;
    assert!(!sheet().contains("Seen"), "{}", sheet());
    site.check("example.test", &["dns.mx", "dns.spf", "dns.dmarc"]);
    let text = sheet();
    let seen =
        text.lines().find(|line| line.contains("10 mx.example.test.")).unwrap_or_else(|| panic!("{text}"));
    assert!(seen.contains("MX example.test"), "{seen}");
    assert!(text.contains("unchanged since 20") && text.contains("MISSING"), "{text}");
}
