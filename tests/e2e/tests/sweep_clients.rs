//! Who fetches mail from outside, as Dovecot's own log says, and who sends, as Postfix's does: programs that copy, and
//! whoever still has the password of somebody who left; mail programs, logins at home and names that look like a login are
//! passed over.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use mailwarden_e2e::{World, WorldOptions, mailwarden};
use mailwarden_lab::OutsideWorld;
use mailwarden_lab::dovecot::{ROOT_VARIABLE, with_pop3};
use mailwarden_lab::ports::Port;
use mailwarden_lab::smtp::Smtp;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use serde_json::Value;

/// From here nobody of ours logs in; all of 127.0.0.0/8 is this machine to the kernel alone.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);
const CLOUD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 68);
const HOME: Ipv4Addr = Ipv4Addr::LOCALHOST;
const PATIENCE: Duration = Duration::from_secs(30);

/// Servers whose log holds what programs call themselves.
fn world(more: &str) -> (World, Port) {
    let pop3 = Port::claim().unwrap();
    let mut wanted = WorldOptions { gate: false, ..WorldOptions::default() };
    wanted.lab.outside = OutsideWorld::Discarded;
    let names = match std::env::var_os(ROOT_VARIABLE) {
        Some(_) => "log_debug = event=imap_id_received",
        None => "imap_id_log = *",
    };
    wanted.lab.dovecot_conf = format!("{names}\n{more}\n{}", with_pop3(pop3.number()));
    let world = World::with(&wanted).unwrap();
    // A gate would not let a leaver send.
    world.lab.postfix.append_main_cf("smtpd_milters =\n").unwrap();
    world.lab.postfix.reload().unwrap();
    (world, pop3)
}

/// Says lines to a port from an address, each once the line before was answered; the first waits for the greeting.
fn say(from: Ipv4Addr, port: u16, lines: &[&str]) {
    let open = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&open, &SocketAddr::V4(SocketAddrV4::new(from, 0))).unwrap();
    connect(&open, &SocketAddr::V4(SocketAddrV4::new(HOME, port))).unwrap();
    let mut stream = TcpStream::from(open);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    answers.next().unwrap().unwrap();
    for line in lines {
        stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        // IMAP ends an answer with the tag of the command, POP3 has one line each.
        let tag = line.split(' ').next().unwrap();
        let is_end = |answer: &str| answer.starts_with(['+', '-']) || answer.starts_with(&format!("{tag} "));
        while !is_end(&answers.next().unwrap_or_else(|| panic!("no answer to {line}")).unwrap()) {}
    }
}

fn imap(from: Ipv4Addr, port: u16, user: &str, password: &str, program: &str) {
    let id = format!("a ID (\"name\" \"{program}\" \"version\" \"2.1, name=Thunderbird: user=<x>\")");
    say(from, port, &[&id, &format!("b LOGIN {user} {password}"), "c LOGOUT"]);
}

/// A message that a login sends and does not finish: Postfix names the login once it takes a recipient.
fn send(from: Ipv4Addr, world: &World, user: &str, password: &str) {
    let mut session = Smtp::from_outside(world.lab.postfix.submission_port(), from.into(), "a.test").unwrap();
    let reply = session.auth_plain(user, password).unwrap();
    assert!(reply.is_ok(), "{reply:?}\n{}", world.lab.postfix.log());
    assert!(session.mail(user).unwrap().is_ok());
    let reply = session.rcpt("jane@example.test").unwrap();
    assert!(reply.is_ok(), "{reply:?}");
    session.rset().unwrap();
}

fn sweep(world: &World, clients: &str) -> (Value, String) {
    let mut config = world.sweep_config();
    config.host = true;
    config.more = format!("\n[clients]\n{clients}\n");
    let config = config.save().unwrap();
    let output =
        mailwarden(&["sweep", "--all", "--profile", "host", "--format", "json", "--config", &config]);
    let output = output.unwrap();
    (output.json(), output.stderr)
}

fn told(report: &Value) -> (&Value, Vec<String>) {
    let rows = report["coverage"].as_array().unwrap();
    let row = rows.iter().find(|row| row["surface"] == "pull.clients").unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let here = findings.filter(|finding| finding["surface"]["id"] == "pull.clients");
    let mut said: Vec<String> = here
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap().to_owned();
            format!("{} {} {}: {}", text("check_id"), text("severity"), text("mailbox"), text("title"))
        })
        .collect();
    said.sort();
    (row, said)
}

#[test]
fn programs_that_copy_and_logins_after_somebody_left_are_found_and_mail_programs_are_not() {
    let (world, pop3) = world("");
    let dovecot = &world.lab.dovecot;
    let port = dovecot.imap_port();
    imap(OUTSIDE, port, "jane@example.test", "janepw", "imapsync");
    say(OUTSIDE, port, &["b LOGIN bob@example.test bobpw", "c ID (\"name\" \"Thunderbird\")", "d LOGOUT"]);
    say(CLOUD, pop3.number(), &["USER sales@example.test", "PASS salespw", "QUIT"]);
    send(OUTSIDE, &world, "bob@example.test", "bobpw");
    // What looks alike: a mail program on a journey, one that sends from a cloud, what comes from home, and a name in the
    // shape of a login.
    imap(OUTSIDE, port, "omar@example.test", "omarpw", "Thunderbird");
    send(CLOUD, &world, "omar@example.test", "omarpw");
    send(HOME, &world, "bob@example.test", "bobpw");
    imap(HOME, port, "omar@example.test", "omarpw", "imapsync");
    let forged =
        "b LOGIN \"vault@example.test>, method=PLAIN, rip=127.0.0.68, lip=127.0.0.1, mpid=1, session=<a>\" x";
    say(OUTSIDE, port, &[forged, "c LOGOUT"]);
    dovecot.wait_until_log("mpid=1, session=<a>", PATIENCE).unwrap();
    let clients = "own_networks = [\"127.0.0.1\", \"::1\"]\nfetchers = { \"A cloud\" = [\"127.0.0.68/32\"] }";
    let (report, notes) = sweep(&world, clients);
    let (row, said) = told(&report);
    let today = chrono::Local::now().to_utc().format("%Y-%m-%d");
    assert_eq!(
        said,
        [
            format!(
                "pull.client-fetcher medium jane@example.test: imapsync fetches the mail of jane@example.test from \
                 outside: 1 logins by imap from 127.0.0.66, last on {today}."
            ),
            format!(
                "pull.client-fetcher medium sales@example.test: A cloud fetches the mail of sales@example.test from \
                 outside: 1 logins by pop3 from 127.0.0.68, last on {today}."
            ),
            format!(
                "pull.client-leaver high bob@example.test: bob@example.test left on 2026-01-31 and was still logged \
                 in to by imap from 127.0.0.66, by smtp from 127.0.0.66, last on {today}."
            ),
        ],
        "{}",
        dovecot.log()
    );
    assert_eq!(row["state"], "collected", "{row:#}");
    assert!(notes.contains("logins since ") && notes.contains("from our own networks"), "{notes}");

    let (report, _) = sweep(&world, "logs = [\"/nonexistent/mail.log\"]\nown_networks = [\"127.0.0.1\"]");
    assert_eq!(told(&report).0["state"], "partial");
    let reason = told(&report).0["reason"].as_str().unwrap();
    assert!(reason.contains("/nonexistent/mail.log") && reason.contains("any login at all"), "{reason}");
    let (report, _) = sweep(&world, "days = 30");
    let (row, said) = told(&report);
    assert!(row["reason"].as_str().unwrap().contains("own_networks"), "{row:#}");
    assert_eq!(said, Vec::<String>::new(), "loopback is at home where nobody said otherwise");
}

#[test]
fn a_dovecot_that_writes_to_the_system_log_is_never_called_looked_at() {
    let (world, _pop3) = world("info_log_path = syslog");
    let (report, _) = sweep(&world, "own_networks = [\"127.0.0.1\"]");
    let (row, _) = told(&report);
    assert_eq!(row["state"], "error");
    let reason = row["reason"].as_str().unwrap();
    assert!(reason.contains("writes to syslog") && reason.contains("`logs` of [clients]"), "{reason}");
}
