//! ManageSieve servers that hang, lie, flood and break off.

use crate::fake::{Act, credentials, dialer, impatient, say, serve};
use mailwarden_collect::{CollectError, Harvest, managesieve};
use mailwarden_evidence::{CoverageState, Fact};

const MAILBOX: &str = "alice@example.test";
const GREETING: &str = "\"IMPLEMENTATION\" \"Fake\"\r\n\"VERSION\" \"1.0\"\r\n\"SASL\" \"PLAIN\"\r\nOK\r\n";

fn honest(command: &str) -> String {
    match command.split([' ', '\r']).next().unwrap_or_default() {
        "NOOP" => "OK (TAG {10}\r\nmailwarden) \"x\"\r\n".to_owned(),
        "LISTSCRIPTS" => "\"main\" ACTIVE\r\n{5}\r\nso\"me\r\nOK\r\n".to_owned(),
        "GETSCRIPT" => "{7}\r\nkeep;\r\n\r\nOK \"done\"\r\n".to_owned(),
        _ => "OK\r\n".to_owned(),
    }
}

async fn twisted(twist: impl Fn(&str) -> Option<Act> + Clone + Send + Sync + 'static) -> u16 {
    serve(say(GREETING), move |line| twist(line).unwrap_or_else(|| say(honest(line)))).await
}

async fn collect(port: u16) -> Result<Harvest, CollectError> {
    managesieve::collect(&dialer("managesieve", port), &credentials(), MAILBOX).await
}

fn row(harvest: &Harvest) -> (CoverageState, &str) {
    let row = harvest.coverage_of(MAILBOX, managesieve::SURFACE).unwrap();
    (row.state, &row.reason)
}

fn scripts(harvest: &Harvest) -> Vec<(&str, bool, &[u8])> {
    let script = |fact| match fact {
        &Fact::SieveScript { ref name, active, ref source, .. } => {
            Some((name.as_str(), active, source.as_slice()))
        }
        _ => None,
    };
    harvest.observations.iter().filter_map(|seen| script(&seen.fact)).collect()
}

#[tokio::test]
async fn every_script_is_read_byte_for_byte() {
    let harvest = collect(twisted(|_| None).await).await.unwrap();
    assert_eq!(row(&harvest).0, CoverageState::Collected);
    assert_eq!(scripts(&harvest), [("main", true, &b"keep;\r\n"[..]), ("so\"me", false, b"keep;\r\n")]);
}

#[tokio::test]
async fn capabilities_sent_again_after_the_login_do_not_shift_the_answers() {
    let port = twisted(|line| {
        line.starts_with("AUTHENTICATE").then(|| say("OK\r\n\"IMPLEMENTATION\" \"Fake\"\r\nOK\r\n"))
    })
    .await;
    assert_eq!(scripts(&collect(port).await.unwrap()).len(), 2);
}

#[tokio::test]
async fn silence_and_broken_off_answers_are_unreachable() {
    for silent in ["AUTHENTICATE", "LISTSCRIPTS"] {
        let port = twisted(move |line| line.starts_with(silent).then_some(Act::Hang)).await;
        let dialer = impatient("managesieve", port);
        let error = managesieve::collect(&dialer, &credentials(), MAILBOX).await.unwrap_err();
        assert!(error.is_transient(), "{silent}: {error}");
    }
    let answer = honest("LISTSCRIPTS");
    for cut in 0..answer.len() {
        let answer = answer.clone();
        let port = twisted(move |line| {
            line.starts_with("LISTSCRIPTS").then(|| Act::Close(answer.as_bytes()[..cut].to_vec()))
        })
        .await;
        let error = collect(port).await.unwrap_err();
        assert!(error.is_transient(), "cut at {cut}: {error}");
    }
}

#[tokio::test]
async fn scripts_read_before_the_connection_broke_are_kept_but_not_called_all() {
    let port = twisted(|line| {
        (line.starts_with("GETSCRIPT") && line.contains("so\"me")).then(|| Act::Close(b"{9}\r\nkee".to_vec()))
    })
    .await;
    let harvest = collect(port).await.unwrap();
    assert_eq!(scripts(&harvest).len(), 1);
    assert_eq!(row(&harvest).0, CoverageState::Error);
}

#[tokio::test]
async fn one_unreadable_script_is_named_and_the_others_are_read() {
    let port = twisted(|line| {
        (line.starts_with("GETSCRIPT") && line.contains("main")).then(|| say("NO {6}\r\nbroken\r\n"))
    })
    .await;
    let harvest = collect(port).await.unwrap();
    assert_eq!(scripts(&harvest).len(), 1);
    let (state, reason) = row(&harvest);
    assert_eq!(state, CoverageState::Partial);
    assert!(reason.contains("main") && reason.contains("broken"), "{reason}");
}

#[tokio::test]
async fn a_script_that_is_too_large_is_read_past() {
    let port = twisted(|line| {
        (line.starts_with("GETSCRIPT") && line.contains("main")).then(|| {
            let body = vec![b'#'; 5 * 1024 * 1024];
            Act::Say([format!("{{{}}}\r\n", body.len()).into_bytes(), body, b"\r\nOK\r\n".to_vec()].concat())
        })
    })
    .await;
    let harvest = collect(port).await.unwrap();
    assert_eq!(scripts(&harvest), [("so\"me", false, &b"keep;\r\n"[..])]);
    let (state, reason) = row(&harvest);
    assert_eq!(state, CoverageState::Partial);
    assert!(reason.contains("main") && reason.contains("5242880"), "{reason}");
}

#[tokio::test]
async fn more_scripts_than_anybody_has_are_counted() {
    let port = twisted(|line| {
        line.starts_with("LISTSCRIPTS").then(|| {
            let names: String = (0..1002).map(|n| format!("\"s{n}\"\r\n")).collect();
            say(format!("{names}OK\r\n"))
        })
    })
    .await;
    let harvest = collect(port).await.unwrap();
    assert_eq!(scripts(&harvest).len(), managesieve::MAX_SCRIPTS);
    let (state, reason) = row(&harvest);
    assert_eq!(state, CoverageState::Partial);
    assert!(reason.contains("2 scripts beyond"), "{reason}");
}

#[tokio::test]
async fn nonsense_floods_and_huge_literals_are_the_peers_fault() {
    for act in ["MAYBE\r\n", "{4294967295}\r\n", "ACTIVE \"x\"\r\n", "\"unclosed\r\n"] {
        let port = twisted(move |line| line.starts_with("LISTSCRIPTS").then(|| say(act))).await;
        let error = collect(port).await.unwrap_err();
        assert!(matches!(error, CollectError::PeerMisbehaved { .. }), "{act}: {error}");
    }
    for flood in ["\"x\"\r\n".repeat(5000), "y".repeat(100_000)] {
        let port = twisted(move |line| {
            line.starts_with("LISTSCRIPTS").then(|| Act::Flood(flood.clone().into_bytes()))
        })
        .await;
        let error = collect(port).await.unwrap_err();
        assert!(matches!(error, CollectError::PeerMisbehaved { .. }), "{error}");
    }
}

#[tokio::test]
async fn refusals_are_denied_and_farewells_are_unreachable() {
    for (answer, state, credentials_refused) in [
        ("NO \"Authentication failed.\"\r\n", CoverageState::Denied, true),
        ("NO \"Authorization failed\"\r\n", CoverageState::Denied, false),
        ("NO \"offboarded\"\r\n", CoverageState::Denied, false),
        ("NO (TRYLATER) \"busy\"\r\n", CoverageState::Error, false),
        ("BYE \"shutting down\"\r\n", CoverageState::Error, false),
    ] {
        let port = twisted(move |line| line.starts_with("AUTHENTICATE").then(|| say(answer))).await;
        let error = collect(port).await.unwrap_err();
        assert_eq!(error.coverage_state(), state, "{error}");
        assert_eq!(error.refuses_credentials(), credentials_refused, "{error}");
    }
}

#[tokio::test]
async fn a_name_that_is_no_text_is_asked_for_by_its_bytes() {
    let listing: Vec<u8> = b"{3}\r\na\xffb\r\nOK\r\n".to_vec();
    let port = twisted(move |line| line.starts_with("LISTSCRIPTS").then(|| Act::Say(listing.clone()))).await;
    let harvest = collect(port).await.unwrap();
    assert_eq!(scripts(&harvest), [("a\u{fffd}b", false, &b"keep;\r\n"[..])]);
}

#[tokio::test]
async fn an_old_server_without_noop_may_send_its_capabilities_again() {
    let greeting = "\"IMPLEMENTATION\" \"Cyrus timsieved v2.3\"\r\n\"SASL\" \"PLAIN\"\r\nOK\r\n";
    for again in ["", "\"IMPLEMENTATION\" \"Cyrus timsieved v2.3\"\r\n\"SASL\" \"PLAIN\"\r\nOK\r\n"] {
        let port = serve(say(greeting), move |line| match line.split(' ').next() {
            Some("AUTHENTICATE") => say(format!("OK\r\n{again}")),
            Some("NOOP") => say("NO \"unknown command\"\r\n"),
            _ => say(honest(line)),
        })
        .await;
        let harvest = collect(port).await.unwrap();
        assert_eq!((row(&harvest).0, scripts(&harvest).len()), (CoverageState::Collected, 2), "{again:?}");
    }
}

#[tokio::test]
async fn a_hundred_megabytes_on_one_line_end_the_connection() {
    let port = twisted(|line| {
        line.starts_with("LISTSCRIPTS").then(|| Act::Say([&b"\""[..], &vec![b'x'; 100_000_000]].concat()))
    })
    .await;
    let error = collect(port).await.unwrap_err();
    assert!(matches!(error, CollectError::PeerMisbehaved { .. }), "{error}");
}
