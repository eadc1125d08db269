//! IMAP servers that hang, lie, flood and break off.

use crate::fake::{Act, credentials, dialer, impatient, say, serve};
use mailwarden_collect::{CollectError, Harvest, imap};
use mailwarden_evidence::{CoverageState, Fact};

const MAILBOX: &str = "alice@example.test";
const GREETING: &str = "* OK [CAPABILITY IMAP4rev1 SASL-IR] ready\r\n";

/// What a well-behaved server answers to one command.
fn honest(tag: &str, command: &str) -> String {
    let data = match command.split(' ').next().unwrap_or_default() {
        "AUTHENTICATE" => return format!("{tag} OK [CAPABILITY IMAP4rev1 ACL METADATA NAMESPACE] in\r\n"),
        "NAMESPACE" => "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n".to_owned(),
        "LIST" => "* LIST () \"/\" INBOX\r\n* LIST () \"/\" Plans\r\n".to_owned(),
        "MYRIGHTS" => "* MYRIGHTS INBOX lrswipkxtea\r\n".to_owned(),
        "GETACL" => format!("* ACL {} alice lra bob lr\r\n", &command[7..]),
        "GETMETADATA" => String::new(),
        _ => String::new(),
    };
    format!("{data}{tag} OK done\r\n")
}

/// A server that is honest but for the commands `twist` answers.
async fn twisted(twist: impl Fn(&str, &str) -> Option<Act> + Clone + Send + Sync + 'static) -> u16 {
    serve(say(GREETING), move |line| {
        let (tag, command) = line.split_once(' ').unwrap_or((line, ""));
        twist(tag, command).unwrap_or_else(|| say(honest(tag, command)))
    })
    .await
}

async fn collect(port: u16) -> Result<Harvest, CollectError> {
    imap::collect(&dialer("imap", port), &credentials(), MAILBOX).await
}

fn state(harvest: &Harvest, surface: &str) -> CoverageState {
    harvest.coverage_of(MAILBOX, surface).unwrap().state
}

fn reason<'a>(harvest: &'a Harvest, surface: &str) -> &'a str {
    &harvest.coverage_of(MAILBOX, surface).unwrap().reason
}

#[tokio::test]
async fn an_honest_server_is_collected_whole() {
    let harvest = collect(twisted(|_, _| None).await).await.unwrap();
    for surface in imap::SURFACES {
        assert_eq!(state(&harvest, surface), CoverageState::Collected, "{surface}");
    }
    let grants = harvest.observations.iter().filter(|seen| seen.surface == "imap.acl").count();
    assert_eq!(grants, 4);
}

#[tokio::test]
async fn silence_at_any_command_is_named_and_ends() {
    for silent in ["AUTHENTICATE", "NAMESPACE", "LIST", "MYRIGHTS", "GETACL"] {
        let port = twisted(move |_, command| command.starts_with(silent).then_some(Act::Hang)).await;
        let error = imap::collect(&impatient("imap", port), &credentials(), MAILBOX).await.unwrap_err();
        assert!(error.is_transient(), "{silent}: {error}");
        assert!(error.to_string().contains("no answer within"), "{silent}: {error}");
    }
    let port = serve(Act::Hang, |_| Act::Hang).await;
    let error = imap::collect(&impatient("imap", port), &credentials(), MAILBOX).await.unwrap_err();
    assert!(error.to_string().contains("greeting"), "{error}");
}

#[tokio::test]
async fn what_was_learned_before_the_silence_is_kept() {
    let port = twisted(|_, command| command.starts_with("GETMETADATA").then_some(Act::Hang)).await;
    let harvest = imap::collect(&impatient("imap", port), &credentials(), MAILBOX).await.unwrap();
    assert_eq!(state(&harvest, "imap.acl"), CoverageState::Collected);
    assert_eq!(state(&harvest, "imap.metadata"), CoverageState::Error);
}

#[tokio::test]
async fn greetings_that_are_none() {
    for (greeting, word) in [
        ("* BYE too many connections\r\n", "too many connections"),
        ("* PREAUTH you are root\r\n", "not OK"),
        ("220 smtp ready\r\n", "no IMAP response"),
        ("* 1 EXISTS\r\n", "no greeting"),
    ] {
        let error = collect(serve(say(greeting), |_| Act::Hang).await).await.unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(error.is_transient(), greeting.starts_with("* BYE"));
    }
}

#[tokio::test]
async fn broken_off_at_any_byte_is_unreachable_and_never_clean() {
    let answer = honest("A0003", "LIST \"\" \"*\"");
    for cut in 0..answer.len() {
        let answer = answer.clone();
        let port = twisted(move |_, command| {
            command.starts_with("LIST").then(|| Act::Close(answer.as_bytes()[..cut].to_vec()))
        })
        .await;
        let error = collect(port).await.unwrap_err();
        assert!(error.is_transient(), "cut at {cut}: {error}");
    }
}

#[tokio::test]
async fn floods_of_every_shape_end_the_connection() {
    for flood in ["* 1 EXISTS\r\n".repeat(1000), "x".repeat(10_000), "A0009 OK again\r\n".repeat(1000)] {
        let port = twisted(move |_, command| {
            command.starts_with("LIST").then(|| Act::Flood(flood.clone().into_bytes()))
        })
        .await;
        let error = collect(port).await.unwrap_err();
        assert!(matches!(error, CollectError::PeerMisbehaved { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_literal_of_four_gibibytes_is_refused_at_its_announcement() {
    let port =
        twisted(|_, command| command.starts_with("LIST").then(|| say("* LIST () \"/\" {4294967295}\r\n")))
            .await;
    let error = collect(port).await.unwrap_err();
    assert!(error.to_string().contains("4294967295"), "{error}");
}

#[tokio::test]
async fn nesting_harms_nobody_and_hides_nothing() {
    let deep = format!("* 1 FETCH (BODYSTRUCTURE {}\r\n", "(".repeat(500));
    let unasked = deep.clone();
    let port = twisted(move |tag, command| Some(say(format!("{unasked}{}", honest(tag, command))))).await;
    let harvest = collect(port).await.unwrap();
    assert_eq!(state(&harvest, "imap.acl"), CoverageState::Collected);

    let port = twisted(|tag, command| {
        command
            .starts_with("GETACL \"Plans")
            .then(|| say(format!("* ACL Plans {}\r\n{tag} OK done\r\n", "(".repeat(500))))
    })
    .await;
    let harvest = collect(port).await.unwrap();
    assert_eq!(state(&harvest, "imap.acl"), CoverageState::Partial);
    assert!(reason(&harvest, "imap.acl").contains("Plans"));
}

#[tokio::test]
async fn bytes_that_are_no_text_in_a_status_line_are_no_obstacle() {
    let port = twisted(|tag, command| {
        let text = honest(tag, command).replace("OK done", "OK [UIDNEXT 3]@@ done");
        Some(Act::Say(
            text.into_bytes().into_iter().map(|byte| if byte == b'@' { 0xfc } else { byte }).collect(),
        ))
    })
    .await;
    let harvest = collect(port).await.unwrap();
    assert_eq!(state(&harvest, "imap.acl"), CoverageState::Collected);
}

#[tokio::test]
async fn an_answer_about_another_folder_is_not_believed() {
    let port = twisted(|tag, command| {
        command.starts_with("GETACL").then(|| say(format!("* ACL INBOX alice lra\r\n{tag} OK done\r\n")))
    })
    .await;
    let harvest = collect(port).await.unwrap();
    assert_eq!(state(&harvest, "imap.acl"), CoverageState::Partial);
    assert!(reason(&harvest, "imap.acl").contains("Plans"), "{}", reason(&harvest, "imap.acl"));
}

#[tokio::test]
async fn completions_out_of_order_are_put_in_order() {
    // Held back until the second command of the pipeline, then answered in reverse.
    let port = twisted(|tag, command| {
        if command.starts_with("GETACL \"INBOX") {
            return Some(say(""));
        }
        let number: u32 = tag.trim_start_matches('A').parse().ok()?;
        command.starts_with("GETACL").then(|| {
            let first = honest(&format!("A{:04}", number - 1), "GETACL INBOX");
            say(format!("{}{first}", honest(tag, command)))
        })
    })
    .await;
    let harvest = collect(port).await.unwrap();
    assert_eq!(state(&harvest, "imap.acl"), CoverageState::Collected);
}

#[tokio::test]
async fn a_folder_whose_name_cannot_be_asked_for_is_named() {
    let port = twisted(|tag, command| {
        command.starts_with("LIST").then(|| {
            let list =
                format!("* LIST () \"/\" INBOX\r\n* LIST () \"/\" {{5}}\r\na\r\nbc\r\n{tag} OK done\r\n");
            say(list)
        })
    })
    .await;
    let harvest = collect(port).await.unwrap();
    assert_eq!(state(&harvest, "imap.acl"), CoverageState::Partial);
    assert!(reason(&harvest, "imap.acl").contains("cannot be sent"));
}

#[tokio::test]
async fn more_folders_than_anybody_has_are_refused() {
    let port = twisted(|tag, command| {
        command.starts_with("LIST").then(|| {
            let folders: String = (0..20_001).map(|n| format!("* LIST () \"/\" f{n}\r\n")).collect();
            say(format!("{folders}{tag} OK done\r\n"))
        })
    })
    .await;
    let error = collect(port).await.unwrap_err();
    assert!(error.to_string().contains("20000 folders"), "{error}");
}

#[tokio::test]
async fn a_master_without_rights_is_not_a_clean_mailbox() {
    let port = twisted(|tag, command| {
        let refused = format!("{tag} NO [NONEXISTENT] Mailbox doesn't exist: INBOX\r\n");
        match command.split(' ').next()? {
            "LIST" => Some(say(format!("* LIST () \"/\" INBOX\r\n{tag} OK done\r\n"))),
            "MYRIGHTS" | "GETACL" | "STATUS" => Some(say(refused)),
            _ => None,
        }
    })
    .await;
    let harvest = collect(port).await.unwrap();
    for surface in imap::SURFACES {
        assert_eq!(state(&harvest, surface), CoverageState::Denied, "{surface}");
    }
    assert!(reason(&harvest, "imap.acl").contains("acl_user = %u"));
    assert!(harvest.observations.is_empty());
}

#[tokio::test]
async fn rights_without_administration_are_the_trap_too() {
    let port = twisted(|tag, command| match command.split(' ').next()? {
        "LIST" => Some(say(format!("* LIST () \"/\" INBOX\r\n{tag} OK done\r\n"))),
        "MYRIGHTS" => Some(say(format!("* MYRIGHTS INBOX lr\r\n{tag} OK done\r\n"))),
        "GETACL" => Some(say(format!("{tag} NO [NOPERM] no\r\n"))),
        _ => None,
    })
    .await;
    let harvest = collect(port).await.unwrap();
    assert_eq!(state(&harvest, "imap.acl"), CoverageState::Denied);
    assert_eq!(state(&harvest, "account"), CoverageState::Collected, "INBOX opens, so the account exists");
}

#[tokio::test]
async fn surfaces_the_server_lacks_are_unsupported() {
    let port = twisted(|tag, command| {
        command.starts_with("AUTHENTICATE").then(|| say(format!("{tag} OK [CAPABILITY IMAP4rev1] in\r\n")))
    })
    .await;
    let harvest = collect(port).await.unwrap();
    assert_eq!(state(&harvest, "imap.acl"), CoverageState::Unsupported);
    assert_eq!(state(&harvest, "imap.metadata"), CoverageState::Unsupported);
    assert_eq!(state(&harvest, "account"), CoverageState::Collected);
}

#[tokio::test]
async fn a_login_without_initial_response_and_without_announcements_works() {
    let port = serve(say("* OK ready\r\n"), |line| match line.split_once(' ') {
        None => say("A0001 OK in\r\n"),
        Some((_, "AUTHENTICATE PLAIN")) => say("+ \r\n"),
        Some((tag, "CAPABILITY")) => say(format!("* CAPABILITY IMAP4rev1 ACL\r\n{tag} OK done\r\n")),
        Some((tag, command)) => say(honest(tag, command)),
    })
    .await;
    let harvest = collect(port).await.unwrap();
    assert_eq!(state(&harvest, "imap.acl"), CoverageState::Collected);
    assert_eq!(state(&harvest, "imap.metadata"), CoverageState::Unsupported);
}

#[tokio::test]
async fn refused_logins_are_sorted_by_whom_they_concern() {
    for (code, credentials_refused, transient) in [
        ("[AUTHENTICATIONFAILED] no", true, false),
        ("no such thing", true, false),
        ("[AUTHORIZATIONFAILED] no", false, false),
        ("[CONTACTADMIN] offboarded", false, false),
        ("[UNAVAILABLE] later", false, true),
    ] {
        let port = twisted(move |tag, command| {
            command.starts_with("AUTHENTICATE").then(|| say(format!("{tag} NO {code}\r\n")))
        })
        .await;
        let error = collect(port).await.unwrap_err();
        assert_eq!(error.refuses_credentials(), credentials_refused, "{error}");
        assert_eq!(error.is_transient(), transient, "{error}");
        assert!(!error.to_string().contains("c3dlZXBwdw"), "{error}");
    }
}

#[tokio::test]
async fn annotations_are_read_in_every_spelling() {
    let port = twisted(|tag, command| {
        let (verb, rest) = command.split_once(' ')?;
        let folder = rest.strip_suffix(')')?.split_once(" (/shared/imapsieve/script ")?.0;
        let answer = match (verb, folder) {
            ("GETMETADATA", "\"\"") => "* METADATA \"\" (/shared/imapsieve/script {4}\r\nglob)\r\n",
            ("GETMETADATA", "\"INBOX\"") => "* METADATA inbox (/Shared/imapsieve/script \"fwd\")\r\n",
            ("GETMETADATA", "\"Plans\"") => "* METADATA Plans (/shared/imapsieve/script NIL)\r\n",
            _ => return None,
        };
        Some(say(format!("{answer}{tag} OK done\r\n")))
    })
    .await;
    let harvest = collect(port).await.unwrap();
    let values: Vec<(&str, &str)> = harvest
        .observations
        .iter()
        .filter_map(|seen| match &seen.fact {
            Fact::Metadata { folder, value, .. } => Some((folder.as_str(), value.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(values, [("", "glob"), ("INBOX", "fwd")]);
    assert_eq!(state(&harvest, "imap.metadata"), CoverageState::Collected);
}

#[tokio::test]
async fn an_entry_the_server_does_not_know_hides_no_other() {
    let port = twisted(|tag, command| {
        let entries = command.strip_prefix("GETMETADATA \"Plans\" (")?.strip_suffix(')')?;
        Some(say(match entries {
            "/shared/imapsieve/script" => {
                format!("* METADATA Plans ({entries} \"fwd\")\r\n{tag} OK done\r\n")
            }
            "/private/vendor/vendor.dovecot/imap-urlauth" => {
                format!("* METADATA Plans ({entries} \"0123456789abcdef\")\r\n{tag} OK done\r\n")
            }
            _ => format!("{tag} NO unknown entry\r\n"),
        }))
    })
    .await;
    let harvest = collect(port).await.unwrap();
    for surface in ["imap.metadata", "imap.urlauth"] {
        assert_eq!(state(&harvest, surface), CoverageState::Collected, "{surface}");
    }
    let found = |surface: &str| {
        let mut seen = harvest.observations.iter().filter(move |seen| seen.surface == surface);
        seen.find_map(|seen| match &seen.fact {
            Fact::Metadata { folder, value, .. } => Some((folder.clone(), value.clone())),
            _ => None,
        })
    };
    assert_eq!(found("imap.metadata"), Some(("Plans".to_owned(), "fwd".to_owned())));
    assert_eq!(found("imap.urlauth"), Some(("Plans".to_owned(), "(a key)".to_owned())));
    assert!(!format!("{harvest:?}").contains("0123456789abcdef"), "a key is a secret");
}

#[tokio::test]
async fn signed_urls_without_annotations_are_not_called_clean() {
    let port = twisted(|tag, command| {
        let said = "OK [CAPABILITY IMAP4rev1 ACL URLAUTH] in";
        command.starts_with("AUTHENTICATE").then(|| say(format!("{tag} {said}\r\n")))
    })
    .await;
    let harvest = collect(port).await.unwrap();
    assert_eq!(state(&harvest, "imap.urlauth"), CoverageState::Partial);
    assert!(reason(&harvest, "imap.urlauth").contains("RESETKEY"));
}

#[tokio::test]
async fn a_hundred_megabytes_on_one_line_end_the_connection_and_nothing_else() {
    for at in ["CAPABILITY", "LIST", "GETACL", "GETMETADATA"] {
        let port = twisted(move |_, command| {
            command.starts_with(at).then(|| Act::Say([&b"* X "[..], &vec![b'x'; 100_000_000]].concat()))
        })
        .await;
        match collect(port).await {
            Err(error) => assert!(matches!(error, CollectError::PeerMisbehaved { .. }), "{at}: {error}"),
            Ok(harvest) => {
                let unseen = harvest.coverage.iter().filter(|row| !row.state.is_complete()).count();
                assert!(unseen > 0 || at == "CAPABILITY", "{at}: {:?}", harvest.coverage);
            }
        }
    }
}
