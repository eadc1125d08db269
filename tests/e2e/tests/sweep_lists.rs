//! Who is on mailing lists: a real Mailman in the slow tier, and a scripted one for what a real one does not do.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mailwarden_e2e::{Installation, Output, mailwarden};
use mailwarden_lab::mailman::{Mailman, PASSWORD, USER};
use serde_json::Value;

/// A rounds' installation that asks a Mailman.
struct Rounds {
    _place: tempfile::TempDir,
    installation: Installation,
}

impl Rounds {
    fn asking(url: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let installation = Installation::create(place.path(), "unix:/nonexistent", "", "").unwrap();
        let text = fs::read_to_string(installation.config()).unwrap();
        let secret = installation.write("mailman.password", PASSWORD).unwrap();
        fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).unwrap();
        let more = format!(
            "\n[mailman]\nurl = \"{url}\"\nuser = \"{USER}\"\npassword = {{ file = \"mailman.password\" }}\n\
             timeout = \"2s\"\n"
        );
        installation.write("mailwarden.toml", text + &more).unwrap();
        Self { _place: place, installation }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = mailwarden(&[arguments, &["--config", &self.installation.config()]].concat()).unwrap();
        assert!(!format!("{output:?}").contains(PASSWORD), "the password is not repeated: {output:?}");
        output
    }

    fn sweep(&self) -> Value {
        self.run(&["sweep", "--all", "--surface", "lists.members", "--format", "json"]).json()
    }
}

fn row(report: &Value) -> (&str, &str) {
    let rows = report["coverage"].as_array().unwrap();
    let row = rows.iter().find(|row| row["surface"] == "lists.members").unwrap();
    (row["state"].as_str().unwrap(), row["reason"].as_str().unwrap())
}

fn said(report: &Value) -> Vec<String> {
    let one = |found: &Value| {
        format!("{} {}", found["check_id"].as_str().unwrap(), found["title"].as_str().unwrap())
    };
    let mut said: Vec<String> = report["findings"].as_array().unwrap().iter().map(one).collect();
    said.sort();
    said
}

#[test]
#[ignore = "slow: installs Mailman's core into a tree of its own"]
fn members_of_a_real_mailman_are_judged_and_the_remedy_that_is_printed_works() {
    let mailman = Mailman::start("example.test", &mut |_| {}).unwrap();
    mailman.list("team@example.test").unwrap();
    mailman.list("empty@example.test").unwrap();
    for (address, role) in [
        ("jane@example.test", "member"),
        ("customer@elsewhere.example", "member"),
        ("bob@gmail.example", "member"),
        ("bob@example.test", "owner"),
        ("eve@evil.example", "moderator"),
        ("jane@example.test", "owner"),
        ("bob@example.test", "nonmember"),
    ] {
        mailman.join("team@example.test", address, role).unwrap();
    }
    let rounds = Rounds::asking(&mailman.url());
    let output = rounds.run(&["sweep", "--all", "--surface", "lists.members", "--format", "json"]);
    let report = output.json();
    assert_eq!(row(&report), ("collected", ""));
    assert!(
        output.stderr.contains("2 mailing lists with 6 members, owners and moderators"),
        "{}",
        output.stderr
    );
    assert_eq!(
        said(&report),
        [
            "list.member-leaver bob@example.test (Bob Leaver, left 2026-01-31) is owner of the mailing list \
             team@example.test.",
            "list.member-leaver bob@gmail.example (Bob Leaver, left 2026-01-31) is member of the mailing list \
             team@example.test.",
            "list.member-outside eve@evil.example is moderator of the mailing list team@example.test.",
        ]
    );
    let found = report["findings"].as_array().unwrap();
    let by = |check: &str, value: &str| {
        let is_it = |one: &&Value| one["check_id"] == check && one["beneficiary"]["value"] == value;
        found.iter().find(is_it).unwrap()
    };
    assert_eq!(
        by("list.member-leaver", "bob@gmail.example")["path"],
        serde_json::json!(["team@example.test", "member of the mailing list", "bob@gmail.example"])
    );
    let reach = rounds.run(&["reach", "team@example.test"]);
    assert!(reach.stdout.contains("customer@elsewhere.example"), "{reach:?}");
    // The command by hand names the owner at this very interface.
    let owner = by("list.member-leaver", "bob@example.test");
    let command = owner["remediation"]["command"].as_str().unwrap();
    let path = command.strip_prefix(&format!("curl --netrc --request DELETE {}", mailman.url())).unwrap();
    let saved = rounds.installation.write("report.json", &output.stdout).unwrap();
    let plan = rounds.run(&["revoke", owner["fingerprint"].as_str().unwrap(), "--input", &saved]);
    assert!(plan.stdout.contains(command), "{plan:?}");
    mailman.say("DELETE", path, &[]).unwrap();
    let report = rounds.sweep();
    assert_eq!(said(&report).len(), 2, "{:#}", report["findings"]);
}

/// A server that gives each request to `answer`, by its number and first line, and counts them.
struct Scripted {
    url: String,
    asked: Arc<AtomicUsize>,
}

fn scripted(answer: impl Fn(usize, &str) -> Vec<u8> + Send + 'static) -> Scripted {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}/3.1/", listener.local_addr().unwrap().port());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    // Ends with the process of the test.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            let _ = serve(stream.unwrap(), |line| answer(number, line));
        }
    });
    Scripted { url, asked }
}

fn serve(mut stream: TcpStream, answer: impl Fn(&str) -> Vec<u8>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut is_authorised = false;
    for line in lines.by_ref() {
        let line = line?;
        is_authorised |= line.to_lowercase().starts_with("authorization: basic ");
        if line.is_empty() {
            break;
        }
    }
    assert!(is_authorised && first.starts_with("GET "), "{first}");
    stream.write_all(&answer(&first))?;
    // Until the other side has read it or gone.
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}

fn http(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// One page as Mailman writes it.
fn page(total: usize, entries: &[String]) -> Vec<u8> {
    let entries =
        if entries.is_empty() { String::new() } else { format!(", \"entries\": [{}]", entries.join(", ")) };
    http("200 OK", &format!("{{\"start\": 0, \"total_size\": {total}{entries}, \"http_etag\": \"x\"}}"))
}

fn lists() -> Vec<u8> {
    page(
        1,
        &[r#"{"list_id": "team.example.test", "fqdn_listname": "team@example.test", "member_count": 9}"#
            .to_owned()],
    )
}

fn member(address: &str) -> String {
    format!(
        r#"{{"list_id": "team.example.test", "email": "{address}", "role": "member", "delivery_mode": "regular"}}"#
    )
}

fn number_of(line: &str) -> usize {
    line.split("page=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn pages_are_read_to_the_last_and_a_leaver_on_the_last_is_found() {
    let server = scripted(|_, line| {
        if line.contains("/lists?") {
            return lists();
        }
        let first: Vec<String> = (0..500).map(|at| member(&format!("m{at}@elsewhere.example"))).collect();
        match number_of(line) {
            1 => page(501, &first),
            _ => page(501, &[member("bob@gmail.example")]),
        }
    });
    let rounds = Rounds::asking(&server.url);
    let report = rounds.sweep();
    assert_eq!(row(&report), ("collected", ""));
    assert_eq!(said(&report).len(), 1, "{:#}", report["findings"]);
    assert_eq!(server.asked.load(Ordering::Relaxed), 3);
}

#[test]
fn a_mailman_that_refuses_fails_hangs_sends_elsewhere_or_floods_is_never_called_looked_at() {
    let flood = || {
        let mut text = String::from("{\"total_size\": 1, \"entries\": [\"");
        write!(text, "{}\"]}}", "x".repeat(10 * 1024 * 1024)).unwrap();
        http("200 OK", &text)
    };
    let elsewhere =
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/steal\r\nContent-Length: 0\r\n\r\n".to_vec();
    let cases: [(&str, &str, Vec<u8>); 7] = [
        ("denied", "admin_user", http("401 Unauthorized", "{\"title\": \"401\"}")),
        ("error", "HTTP 500", http("500 Internal Server Error", "{\"title\": \"500\"}")),
        ("error", "redirects are not followed", elsewhere),
        ("error", "cannot be read", flood()),
        ("error", "no page of Mailman", http("200 OK", "<html>\u{1b}[31m</html>")),
        ("error", "no page of Mailman", http("200 OK", "[[[[")),
        ("error", "connection", Vec::new()),
    ];
    for (state, words, answer) in cases {
        let server = scripted(move |_, _| answer.clone());
        let report = Rounds::asking(&server.url).sweep();
        let (is, reason) = row(&report);
        assert_eq!(is, state, "{words}: {reason}");
        assert!(reason.contains(words) && !reason.contains('\u{1b}'), "{words}: {reason}");
        assert_eq!(said(&report), Vec::<String>::new());
        assert_eq!(server.asked.load(Ordering::Relaxed), 1, "{words}: asked once");
    }
    // It takes the connection and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let report =
        Rounds::asking(&format!("http://127.0.0.1:{}/3.1", silent.local_addr().unwrap().port())).sweep();
    let (state, reason) = row(&report);
    assert_eq!(state, "error");
    assert!(reason.contains("no answer within 2s"), "{reason}");
}

#[test]
fn what_was_read_before_a_failure_counts_and_pages_without_end_end() {
    let broken = scripted(|_, line| match (line.contains("/lists?"), number_of(line)) {
        (true, _) => lists(),
        (_, 1) => {
            let first: Vec<String> = (0..499).map(|at| member(&format!("m{at}@elsewhere.example"))).collect();
            page(900, &[first, vec![member("bob@gmail.example")]].concat())
        }
        _ => http("500 Internal Server Error", "{}"),
    });
    let report = Rounds::asking(&broken.url).sweep();
    assert_eq!(row(&report).0, "partial");
    assert!(row(&report).1.contains("page 2 of its members"), "{}", row(&report).1);
    assert_eq!(said(&report).len(), 1);
    // The same page again and again, and more of everything than there is.
    let circle = scripted(|_, line| {
        let entries: Vec<String> = (0..500).map(|at| member(&format!("m{at}@elsewhere.example"))).collect();
        if line.contains("/lists?") { lists() } else { page(1_000_000, &entries) }
    });
    let report = Rounds::asking(&circle.url).sweep();
    assert_eq!(row(&report).0, "partial");
    assert!(row(&report).1.contains("500 of 1000000 members"), "{}", row(&report).1);
    assert_eq!(circle.asked.load(Ordering::Relaxed), 3, "no page is asked for once nothing new came");
}

#[test]
fn only_loopback_is_asked_without_tls_and_no_password_stands_in_a_url() {
    for url in ["http://192.0.2.1:8001/3.1", "http://user:pw@127.0.0.1/3.1", "ftp://127.0.0.1/"] {
        let output = Rounds::asking(url).run(&["sweep", "--all", "--surface", "lists.members"]);
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains("[mailman]"), "{output:?}");
    }
}

#[test]
fn every_surface_that_somebody_can_be_configured_for_is_covered_or_names_what_is_missing() {
    let rounds = Rounds::asking("http://127.0.0.1:1/3.1");
    let text = fs::read_to_string(rounds.installation.config()).unwrap();
    rounds.installation.write("mailwarden.toml", text + "\n[clients]\nlogs = [\"mail.log\"]\n").unwrap();
    let listing = rounds.run(&["sweep", "--surfaces", "--format", "json"]).json();
    let rows = listing["surfaces"].as_array().unwrap();
    let of = |id: &str| rows.iter().find(|row| row["id"] == id).unwrap();
    for id in ["lists.members", "pull.clients"] {
        assert_eq!((&of(id)["covered"], &of(id)["reason"]), (&true.into(), &"".into()), "{id}");
    }
    assert_eq!(of("pull.jobs")["reason"], "the configuration has no [pulls]");
}
