//! The collectors against a real Dovecot.

use std::collections::BTreeMap;
use std::path::Path;

use mailwarden_collect::accounts::{self, AccountsPlan};
use mailwarden_collect::{
    Credentials, Dialer, Harvest, LoginStyle, Plan, Server, TlsMode, imap, managesieve, run,
};
use mailwarden_evidence::{CoverageState, Fact, SYSTEM};
use mailwarden_lab::ca::Ca;
use mailwarden_lab::dovecot::Dovecot;
use mailwarden_lab::{Lab, LabOptions};

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

/// A lab whose Dovecot runs; Postfix is not needed.
fn lab(acl_user: bool) -> Lab {
    let lab = Lab::prepare(&LabOptions { acl_user, ..LabOptions::default() }).unwrap();
    lab.dovecot.start().unwrap();
    lab
}

fn credentials(password: &str, style: LoginStyle) -> Credentials {
    Credentials { master_user: "sweeper".to_owned(), master_password: password.to_owned().into(), style }
}

fn good() -> Credentials {
    credentials("sweeppw", LoginStyle::Authzid)
}

fn server(port: u16, tls: TlsMode, authority: &Path) -> Server {
    let mut server = Server::new("127.0.0.1", port, tls);
    server.ca_file = Some(authority.to_owned());
    server
}

fn imap_dialer(lab: &Lab) -> Dialer {
    let server = server(lab.dovecot.imap_port(), TlsMode::StartTls, lab.ca().authority());
    Dialer::new("imap", server).unwrap()
}

fn plan(lab: &Lab, mailboxes: &[&str]) -> Plan {
    let mut plan = Plan::new(good());
    plan.imap = Some(server(lab.dovecot.imaps_port(), TlsMode::Implicit, lab.ca().authority()));
    plan.managesieve = Some(server(lab.dovecot.sieve_port(), TlsMode::StartTls, lab.ca().authority()));
    plan.mailboxes = mailboxes.iter().map(|mailbox| (*mailbox).to_owned()).collect();
    plan
}

fn state(harvest: &Harvest, mailbox: &str, surface: &str) -> CoverageState {
    harvest.coverage_of(mailbox, surface).unwrap().state
}

fn reason<'a>(harvest: &'a Harvest, mailbox: &str, surface: &str) -> &'a str {
    &harvest.coverage_of(mailbox, surface).unwrap().reason
}

fn has_grant(harvest: &Harvest, folder: &str, identifier: &str, wanted: &str, is_negative: bool) -> bool {
    harvest.observations.iter().any(|seen| match &seen.fact {
        Fact::AclEntry { folder: of, identifier: to, rights } => {
            of == folder && to.name == identifier && to.negative == is_negative && rights == wanted
        }
        _ => false,
    })
}

fn plant(lab: &Lab) {
    let mut alice = lab.imap(ALICE).unwrap();
    for folder in ["Plans", "Entw&APw-rfe", "a \\\"quoted\\\" one"] {
        alice.expect_ok(format!("CREATE \"{folder}\"")).unwrap();
        alice.expect_ok(format!("SETACL \"{folder}\" {BOB} lr")).unwrap();
    }
    alice.setacl("INBOX", BOB, "lrs").unwrap();
    alice.expect_ok(format!("SETACL INBOX -{BOB} w")).unwrap();
    alice.setmetadata("Plans", imap::METADATA_ENTRY, Some("fwd")).unwrap();
    alice.setmetadata("", imap::METADATA_ENTRY, Some("global")).unwrap();
    let mut sieve = lab.managesieve(ALICE).unwrap();
    sieve.putscript("main", "keep;\r\n").unwrap();
    sieve.putscript(".hidden", "redirect \"x@vendor.test\";\r\n").unwrap();
    sieve.putscript("w\u{fc}st \"q\"", "").unwrap();
    sieve.setactive("main").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_plant_is_found_and_the_coverage_is_whole() {
    let lab = lab(true);
    plant(&lab);
    for style in [LoginStyle::Authzid, LoginStyle::Separator('*')] {
        let mut plan = plan(&lab, &[ALICE, BOB]);
        plan.credentials = credentials("sweeppw", style);
        let harvest = run(plan, |_| {}).await;
        for row in &harvest.coverage {
            assert_eq!(row.state, CoverageState::Collected, "{row:?}");
        }
        assert_eq!(harvest.coverage.len(), 2 * 5);
        assert_plants(&harvest);
    }
}

fn assert_plants(harvest: &Harvest) {
    for folder in ["Plans", "Entw\u{fc}rfe", "a \"quoted\" one"] {
        assert!(has_grant(harvest, folder, BOB, "lr", false), "{folder}");
    }
    assert!(has_grant(harvest, "INBOX", BOB, "lrs", false));
    assert!(has_grant(harvest, "INBOX", BOB, "w", true));
    let annotations = harvest.observations.iter().filter_map(|seen| match &seen.fact {
        Fact::Metadata { folder, value, .. } => Some((folder.as_str(), value.as_str())),
        _ => None,
    });
    let annotations: Vec<_> = annotations.collect();
    assert_eq!(annotations, [("", "global"), ("Plans", "fwd")]);
    let scripts = harvest.observations.iter().filter_map(|seen| match &seen.fact {
        Fact::SieveScript { name, active, source, implementation } => {
            assert!(implementation.contains("Pigeonhole"), "{implementation}");
            Some((name.as_str(), *active, source.as_slice()))
        }
        _ => None,
    });
    let scripts: Vec<_> = scripts.collect();
    let hidden = &b"redirect \"x@vendor.test\";\r\n"[..];
    assert_eq!(
        scripts,
        [(".hidden", false, hidden), ("main", true, b"keep;\r\n"), ("w\u{fc}st \"q\"", false, b"")]
    );
    // What Alice shares with Bob stands in Bob's list of folders with Bob's rights; whom else it is shared with
    // is Alice's to answer for.
    let of_bob = harvest.observations.iter().filter(|seen| seen.mailbox == BOB && seen.surface == "imap.acl");
    let mut shared = BTreeMap::new();
    for seen in of_bob {
        match &seen.fact {
            Fact::SharedFolder { folder, rights } => {
                shared.insert(folder.as_str(), rights.as_str());
            }
            other => assert!(!format!("{other:?}").contains("shared/"), "{seen:?}"),
        }
    }
    assert_eq!(shared.get("shared/alice@example.test"), Some(&"lrs"), "{shared:?}");
    assert_eq!(shared.get("shared/alice@example.test/Plans"), Some(&"lr"), "{shared:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_with_only_its_own_rights_is_denied_with_the_cure() {
    let lab = lab(false);
    plant(&lab);
    let harvest = imap::collect(&imap_dialer(&lab), &good(), ALICE).await.unwrap();
    for surface in imap::SURFACES {
        assert_eq!(state(&harvest, ALICE, surface), CoverageState::Denied, "{surface}");
    }
    assert!(reason(&harvest, ALICE, "imap.acl").contains("acl_user = %u"));
    assert!(!harvest.observations.iter().any(|seen| seen.surface == "imap.acl"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_its_owner_closed_is_named() {
    let lab = lab(true);
    plant(&lab);
    // Over IMAP Dovecot keeps `a` for the owner; a shell or a panel does not. Without it nobody can read
    // the list over IMAP any more, not even on behalf of the owner.
    let acl = lab.dovecot.home(ALICE).join("Maildir/.Plans/dovecot-acl");
    assert!(std::fs::read_to_string(&acl).unwrap().contains(BOB));
    std::fs::write(&acl, format!("owner lr\nuser={BOB} lr\n")).unwrap();
    let harvest = imap::collect(&imap_dialer(&lab), &good(), ALICE).await.unwrap();
    assert_eq!(state(&harvest, ALICE, "imap.acl"), CoverageState::Partial);
    let reason = reason(&harvest, ALICE, "imap.acl");
    assert!(reason.contains("Plans") && reason.contains("NOPERM"), "{reason}");
    assert!(has_grant(&harvest, "INBOX", BOB, "lrs", false), "the other folders are read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_three_times_and_the_rest_is_not_tried() {
    let lab = lab(true);
    let mailboxes = [ALICE, BOB, "ops@example.test", "x1@example.test", "x2@example.test"];
    let mut plan = plan(&lab, &mailboxes);
    plan.credentials = credentials("wrong", LoginStyle::Authzid);
    plan.connections = 1;
    let harvest = run(plan, |_| {}).await;
    assert!(harvest.coverage.iter().all(|row| row.state == CoverageState::Denied), "{:?}", harvest.coverage);
    assert!(reason(&harvest, ALICE, "account").contains("AUTHENTICATIONFAILED"));
    let untried = harvest.coverage.iter().filter(|row| row.reason.starts_with("not tried")).count();
    assert_eq!(untried, 2 * 5);
    assert!(!format!("{:?}", harvest.coverage).contains("wrong,"), "the password is not repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_and_unknown_mailboxes_are_denied_and_stop_nobody() {
    let lab = lab(true);
    lab.dovecot.set_extra_fields(BOB, "nologin=y reason=offboarded").unwrap();
    let harvest = run(plan(&lab, &[ALICE, BOB, "ghost@example.test"]), |_| {}).await;
    assert_eq!(state(&harvest, ALICE, "imap.acl"), CoverageState::Collected);
    for surface in ["account", "managesieve.scripts"] {
        assert_eq!(state(&harvest, BOB, surface), CoverageState::Denied);
        assert!(reason(&harvest, BOB, surface).contains("offboarded"), "{}", reason(&harvest, BOB, surface));
        assert_eq!(state(&harvest, "ghost@example.test", surface), CoverageState::Denied);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_is_a_configuration_error() {
    let lab = lab(true);
    let other = tempfile::tempdir().unwrap();
    let other = Ca::create(other.path()).unwrap();
    let ports = [(lab.dovecot.imaps_port(), TlsMode::Implicit), (lab.dovecot.imap_port(), TlsMode::StartTls)];
    for (port, tls) in ports {
        let dialer = Dialer::new("imap", server(port, tls, other.authority())).unwrap();
        let error = imap::collect(&dialer, &good(), ALICE).await.unwrap_err();
        assert!(error.to_string().contains("ca_file"), "{error}");
        assert!(!error.is_transient(), "{error}");
    }
    let mut misnamed = server(lab.dovecot.sieve_port(), TlsMode::StartTls, lab.ca().authority());
    misnamed.tls_name = Some("elsewhere.example.test".to_owned());
    let dialer = Dialer::new("managesieve", misnamed).unwrap();
    let error = managesieve::collect(&dialer, &good(), ALICE).await.unwrap_err();
    assert!(error.to_string().contains("tls_name"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_listed_by_doveadm() {
    let lab = lab(true);
    let plan = AccountsPlan::doveadm(Some(&lab.dovecot.conf_path()));
    let logins = accounts::list(&plan).await.unwrap();
    assert_eq!(logins, [ALICE, BOB, "ops@example.test"]);
    let harvest = accounts::collect(&plan).await;
    assert_eq!(state(&harvest, SYSTEM, "account"), CoverageState::Collected);
    assert_eq!(harvest.observations.len(), 3);
    let missing = AccountsPlan::doveadm(Some(Path::new("/nonexistent/dovecot.conf")));
    assert_eq!(state(&accounts::collect(&missing).await, SYSTEM, "account"), CoverageState::Error);
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_folders_are_read_in_one_session() {
    let lab = lab(true);
    let mut alice = lab.imap(ALICE).unwrap();
    for n in 0..120 {
        alice.create(&format!("f{n}")).unwrap();
    }
    alice.setacl("f77", BOB, "lr").unwrap();
    let harvest = imap::collect(&imap_dialer(&lab), &good(), ALICE).await.unwrap();
    assert_eq!(state(&harvest, ALICE, "imap.acl"), CoverageState::Collected);
    assert!(has_grant(&harvest, "f77", BOB, "lr", false));
    assert_eq!(logins_of_alice(&lab.dovecot), 2, "the planting session and one of the collector");
}

fn logins_of_alice(dovecot: &Dovecot) -> usize {
    let log = dovecot.log();
    log.lines()
        .filter(|line| line.contains("imap-login") && line.contains(&format!("user=<{ALICE}>")))
        .count()
}
