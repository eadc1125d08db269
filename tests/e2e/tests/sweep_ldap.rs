//! A directory server: what Postfix looks up in it is asked for everybody who is known, and Dovecot's passwords in it are
//! named beside the others.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use mailwarden_e2e::{World, WorldOptions, mailwarden};
use mailwarden_lab::OutsideWorld;
use mailwarden_lab::imap::Imap;
use mailwarden_lab::slapd::{ADMINISTRATOR, BASE, PASSWORD, Slapd};
use serde_json::Value;

/// Somebody in the directory whose mail goes elsewhere.
fn entry(name: &str, forward: &str, password: &str) -> String {
    format!(
        "dn: uid={name},{BASE}\nobjectClass: inetOrgPerson\nobjectClass: inetLocalMailRecipient\nuid: {name}\ncn: {name}\n\
         sn: {name}\nmail: {name}@example.test\nmailLocalAddress: {name}@example.test\nmailRoutingAddress: {forward}\n\
         userPassword: {password}\n\n"
    )
}

fn secret(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn sweep(world: &World) -> Value {
    let mut config = world.sweep_config();
    config.host = true;
    let config = config.save().unwrap();
    let arguments = ["sweep", "--all", "--profile", "host", "--format", "json", "--config", &config];
    let output = mailwarden(&arguments).unwrap();
    assert!(!format!("{output:?}").contains(PASSWORD), "no password is repeated: {output:?}");
    output.json()
}

fn said(report: &Value, surface: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let here = findings.filter(|finding| finding["surface"]["id"] == surface);
    here.map(|finding| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        format!(
            "{} {} {}",
            text(&finding["check_id"]),
            text(&finding["locator"]["key"]),
            text(&finding["beneficiary"]["value"])
        )
    })
    .collect()
}

fn reason(report: &Value) -> (String, String) {
    let rows = report["coverage"].as_array().unwrap();
    let row = rows.iter().find(|row| row["surface"] == "postfix.virtual_alias_maps").unwrap();
    (row["state"].as_str().unwrap().to_owned(), row["reason"].as_str().unwrap().to_owned())
}

#[test]
fn a_forward_in_a_directory_is_found_and_its_passwords_are_named_among_dovecots() {
    // Sales is planted; Jane's mail goes to a colleague; nobody knows to ask for the last.
    let slapd = Slapd::start(
        &[
            entry("sales", "eve@evil.example", "x"),
            entry("jane", "omar@example.test", "janeldap"),
            entry("unheard", "eve@evil.example", "x"),
        ]
        .concat(),
    )
    .unwrap();
    let place = tempfile::tempdir().unwrap();
    let passdb = secret(
        place.path(),
        "dovecot-ldap.conf.ext",
        &format!(
            "uris = {}\nbase = {BASE}\ndn = {ADMINISTRATOR}\ndnpass = {PASSWORD}\ndefault_pass_scheme = PLAIN\n\
             pass_attrs = mail=user,userPassword=password\npass_filter = (&(objectClass=inetOrgPerson)(mail=%u))\n",
            slapd.url()
        ),
    );
    let mut wanted = WorldOptions { gate: false, ..WorldOptions::default() };
    wanted.lab.outside = OutsideWorld::Discarded;
    wanted.lab.dovecot_conf = format!("passdb {{\n  driver = ldap\n  args = {}\n}}\n", passdb.display());
    let world = World::with(&wanted).unwrap();
    let lab = &world.lab;
    let map = secret(
        &lab.postfix.config_dir(),
        "ldap-aliases.cf",
        &format!(
            "server_host = {}\nversion = 3\nsearch_base = {BASE}\nquery_filter = (mailLocalAddress=%s)\n\
             result_attribute = mailRoutingAddress\nbind = yes\nbind_dn = {ADMINISTRATOR}\nbind_pw = {PASSWORD}\n",
            slapd.url()
        ),
    );
    lab.postfix.append_main_cf(&format!("virtual_alias_maps = ldap:{}\n", map.display())).unwrap();
    let report = sweep(&world);
    assert_eq!(
        said(&report, "postfix.virtual_alias_maps"),
        ["postfix.alias-external sales@example.test eve@evil.example"]
    );
    let (state, reason_given) = reason(&report);
    assert_eq!(state, "partial", "a directory is never called whole");
    assert!(
        reason_given.contains("keys of known addresses were asked for, 2 had an answer"),
        "{reason_given}"
    );
    let passwords = said(&report, "dovecot.credentials");
    assert!(
        passwords.iter().any(|said| said.starts_with("dovecot.further-passwords") && said.contains("ldap")),
        "{passwords:#?}"
    );
    // Both claims are true of these servers.
    let port = lab.dovecot.imap_port();
    Imap::open(port, "jane@example.test", "janeldap").unwrap();
    Imap::open(port, "jane@example.test", "janepw").unwrap();
    drop(slapd);
    let (state, reason) = reason(&sweep(&world));
    assert_eq!(state, "partial");
    assert!(!reason.contains("had an answer") && reason.contains("asking for known addresses"), "{reason}");
}
