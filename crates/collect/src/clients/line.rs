//! One line of a mail server's log: of Dovecot's, as 2.3 and 2.4 write it to a file of their own or through a system
//! log, or of Postfix's smtpd, which names the login of every message that it takes after one.
//!
//! What a stranger may choose stands in it: the user name of a login, the words of an ID command. Each is read from
//! the side on which a stranger has no say: what follows a user name from the right, what precedes it from the left.

use std::net::IpAddr;

use chrono::{DateTime, Datelike as _, Local, NaiveDateTime, TimeDelta, TimeZone as _, Utc};

/// How login processes begin their lines, and the service they log in for.
const LOGIN_PROCESSES: [(&str, &str); 4] = [
    ("imap-login: ", "imap"),
    ("pop3-login: ", "pop3"),
    ("managesieve-login: ", "managesieve"),
    ("submission-login: ", "submission"),
];
/// Levels behind which both versions write a login or an ID; a system log leaves them out.
const LEVELS: [&str; 2] = ["Info: ", "Debug: "];
/// How 2.3 and 2.4 begin the message of a login that was let in.
const LET_IN: [&str; 2] = ["Login: user=<", "Logged in: user=<"];
/// How they begin what a client calls itself.
const CALLED: [&str; 2] = ["ID sent: ", "Pre-login ID sent: "];
/// What Postfix's smtpd writes of a message whose sender logged in (Postfix 3.7), and what may follow a name.
const SENT_BY: &str = ", sasl_username=";
const BEHIND_A_SENDER: [&str; 3] = [", sasl_sender=", ", orig_queue_id=", ", orig_client="];
/// How the tag of an smtpd ends, whatever `syslog_name` of its service says before.
const SMTPD: &str = "/smtpd[";
/// The service of that login.
pub(super) const SMTP: &str = "smtp";
/// Years that are tried for a time without a year: one of them has a 29 February.
const YEARS: i32 = 4;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said<'l> {
    /// Somebody was let in.
    Login(Login<'l>),
    /// A program says what it is.
    Name {
        /// The session.
        session: &'l str,
        /// The login, where somebody is logged in already.
        login: Option<&'l str>,
        /// Its name.
        program: &'l str,
    },
    /// A login that is written in another form.
    Odd,
    /// Anything else.
    Other,
}

/// Somebody was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login<'l> {
    pub(super) service: &'static str,
    pub(super) login: &'l str,
    pub(super) method: &'l str,
    pub(super) address: IpAddr,
    pub(super) session: &'l str,
}

/// Whether a line may be of any interest, which is cheaper to ask than what it says.
pub(super) fn is_worth_reading(line: &str) -> bool {
    ["ogin: user=<", "ogged in: user=<", "ID sent: ", SENT_BY].iter().any(|mark| line.contains(mark))
}

/// Whether Postfix's smtpd wrote it.
pub(super) fn is_of_smtpd(line: &str, now: DateTime<Utc>) -> bool {
    line.contains(SMTPD) && time(line, now).is_some_and(|(_, rest)| of_smtpd(rest).is_some())
}

/// The time of a line, and what it says. None where it does not begin with a time.
pub(super) fn read(line: &str, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Said<'_>)> {
    let (at, rest) = time(line, now)?;
    let said = of_smtpd(rest).map(sent).or_else(|| of_dovecot(rest).map(said));
    Some((at, said.unwrap_or(Said::Other)))
}

// --- time ---------------------------------------------------------------------------------------------------------

/// RFC 3339, or a date and time of this machine's zone, or one without its year.
pub(super) fn time(line: &str, now: DateTime<Utc>) -> Option<(DateTime<Utc>, &str)> {
    if let Some((first, rest)) = line.split_once(' ')
        && let Ok(at) = DateTime::parse_from_rfc3339(first)
    {
        return Some((at.to_utc(), rest));
    }
    if let Some((text, rest)) = split_at(line, "2026-11-22 08:30:00".len())
        && let Ok(at) = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S")
    {
        return Some((here(at)?, rest.trim_start()));
    }
    let (text, rest) = split_at(line, "Nov 22 08:30:00".len())?;
    Some((without_year(text, now)?, rest.strip_prefix(' ')?))
}

fn split_at(line: &str, at: usize) -> Option<(&str, &str)> {
    line.is_char_boundary(at).then(|| line.split_at_checked(at)).flatten()
}

/// The latest such moment that is not to come. A clock that runs ahead by less than a day is forgiven.
fn without_year(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let latest = now + TimeDelta::days(1);
    (0..=YEARS).find_map(|back| {
        let dated = format!("{} {text}", latest.year() - back);
        let at = here(NaiveDateTime::parse_from_str(&dated, "%Y %b %e %H:%M:%S").ok()?)?;
        (at <= latest).then_some(at)
    })
}

fn here(at: NaiveDateTime) -> Option<DateTime<Utc>> {
    Local.from_local_datetime(&at).earliest().map(|at| at.to_utc())
}

// --- who writes -----------------------------------------------------------------------------------------------------

/// What Dovecot wrote. Its own file begins with the process; a system log puts the host and `dovecot:` before it.
fn of_dovecot(rest: &str) -> Option<&str> {
    if is_process(rest) {
        return Some(rest);
    }
    let (_host, rest) = rest.split_once(' ')?;
    let (tag, rest) = rest.split_once(": ")?;
    let pid = tag.strip_prefix("dovecot")?;
    let is_pid =
        pid.is_empty() || pid.strip_prefix('[').and_then(|pid| pid.strip_suffix(']')).is_some_and(is_number);
    (is_pid && is_process(rest)).then_some(rest)
}

/// What an smtpd of Postfix wrote.
fn of_smtpd(rest: &str) -> Option<&str> {
    let (_host, rest) = rest.split_once(' ')?;
    let (tag, message) = rest.split_once(": ")?;
    let (name, pid) = tag.split_once(SMTPD)?;
    (!name.contains(' ') && pid.strip_suffix(']').is_some_and(is_number)).then_some(message)
}

fn is_process(text: &str) -> bool {
    text.starts_with("imap(") || LOGIN_PROCESSES.iter().any(|(head, _)| text.starts_with(head))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn said(message: &str) -> Said<'_> {
    if let Some(rest) = message.strip_prefix("imap(") {
        return name_in_session(rest).unwrap_or(Said::Other);
    }
    let Some((service, rest)) = LOGIN_PROCESSES
        .iter()
        .find_map(|(head, service)| Some((*service, without_level(message.strip_prefix(head)?))))
    else {
        return Said::Other;
    };
    if let Some(rest) = without_any(rest, &LET_IN) {
        return login(service, rest).map_or(Said::Odd, Said::Login);
    }
    without_any(rest, &CALLED).and_then(name_before_login).unwrap_or(Said::Other)
}

fn without_level(text: &str) -> &str {
    without_any(text, &LEVELS).unwrap_or(text)
}

fn without_any<'l>(text: &'l str, heads: &[&str]) -> Option<&'l str> {
    heads.iter().find_map(|head| text.strip_prefix(head))
}

// --- what it says -----------------------------------------------------------------------------------------------------

/// `NAME>, method=.., rip=.., lip=.., mpid=.., TLS, session=<..>`. A name may hold all of that as well, so the last
/// place where it can end is where it ends.
fn login<'l>(service: &'static str, rest: &'l str) -> Option<Login<'l>> {
    let end = [">, method=", ">, rip="].into_iter().filter_map(|mark| rest.rfind(mark)).max()?;
    let (name, fields) = (&rest[..end], &rest[end + ">, ".len()..]);
    let field = |name: &str| fields.split(", ").find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    let address = field("rip")?.parse().ok()?;
    let session = field("session").map_or("", bare);
    (!name.is_empty()).then(|| Login {
        service,
        login: name,
        method: field("method").unwrap_or_default(),
        address,
        session,
    })
}

/// `QUEUEID: client=NAME[ADDRESS], sasl_method=.., sasl_username=..`. The name of a host is one that Postfix has checked;
/// a login is an account of the server's own; what a client says of a sender follows both.
fn sent(message: &str) -> Said<'_> {
    let Some((head, name)) = message.split_once(SENT_BY) else { return Said::Other };
    let Some((queue_id, client)) = head.split_once(": client=") else { return Said::Other };
    if !queue_id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Said::Other;
    }
    let end = BEHIND_A_SENDER.iter().filter_map(|mark| name.find(mark)).min().unwrap_or(name.len());
    let address = client.split_once('[').and_then(|(_, rest)| rest.split_once(']')?.0.parse().ok());
    let method = client.split_once(", sasl_method=").map_or("", |(_, method)| method);
    match (&name[..end], address) {
        ("", _) | (_, None) => Said::Odd,
        (login, Some(address)) => Said::Login(Login { service: SMTP, login, method, address, session: "" }),
    }
}

fn bare(text: &str) -> &str {
    text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text)
}

/// `name=.., version=..: user=<>, rip=.., lip=.., session=<..>`: the words are the client's, what follows is not.
fn name_before_login(rest: &str) -> Option<Said<'_>> {
    let (words, behind) = rest.split_at(rest.rfind(": user=<")?);
    let session = bare(behind.rsplit_once(", session=")?.1);
    Some(Said::Name {
        session: is_session(session).then_some(session)?,
        login: None,
        program: program(words)?,
    })
}

/// `LOGIN)<PID><SESSION>: Info: ID sent: name=..`. The words are the client's and end the line.
fn name_in_session(rest: &str) -> Option<Said<'_>> {
    let (login, rest) = rest.split_once(")<")?;
    let (pid, rest) = rest.split_once("><")?;
    let (session, rest) = rest.split_once(">: ")?;
    let is_plain = !login.is_empty() && !login.contains(['<', '>', '(', ')', ' ']);
    if !is_plain || !is_number(pid) || !is_session(session) {
        return None;
    }
    let words = without_any(without_level(rest), &CALLED)?;
    Some(Said::Name { session, login: Some(login), program: program(words)? })
}

/// Base64 without its padding.
fn is_session(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

fn program(words: &str) -> Option<&str> {
    let named = words.split(", ").find_map(|word| word.strip_prefix("name="))?;
    (!named.trim().is_empty()).then(|| named.trim())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: &str = "2026-11-22T12:00:00Z";

    fn at(line: &str) -> Option<(DateTime<Utc>, Said<'_>)> {
        read(line, NOW.parse().unwrap())
    }

    fn who(line: &str) -> (&str, String, &str) {
        match at(line).unwrap_or_else(|| panic!("{line}")).1 {
            Said::Login(login) => (login.login, login.address.to_string(), login.session),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn logins_of_both_versions_and_of_a_system_log_are_read() {
        for line in [
            "Nov 22 08:34:29 imap-login: Info: Login: user=<bob@e.test>, method=PLAIN, rip=192.0.2.6, lip=127.0.0.1, mpid=5724, session=<i898WNlgU5F/AABC>",
            "Nov 22 08:35:02 imap-login: Info: Logged in: user=<bob@e.test>, method=PLAIN, rip=192.0.2.6, lip=127.0.0.1, mpid=6282, TLS, session=<i898WNlgU5F/AABC>",
            "Nov  2 08:35:02 mx dovecot: pop3-login: Login: user=<bob@e.test>, method=PLAIN, rip=192.0.2.6, lip=127.0.0.1, mpid=1, TLS, session=<i898WNlgU5F/AABC>",
            "2026-11-22T08:35:02.123456+01:00 mx dovecot[77]: submission-login: Login: user=<bob@e.test>, method=PLAIN, rip=192.0.2.6, lip=127.0.0.1, mpid=1, session=<i898WNlgU5F/AABC>",
            "2026-11-22 08:35:02 managesieve-login: Info: Login: user=<bob@e.test>, method=PLAIN, rip=192.0.2.6, lip=127.0.0.1, mpid=1, session=<i898WNlgU5F/AABC>",
        ] {
            assert_eq!(who(line), ("bob@e.test", "192.0.2.6".to_owned(), "i898WNlgU5F/AABC"), "{line}");
        }
        let six = "Nov 22 08:34:29 imap-login: Info: Login: user=<b>, method=PLAIN, rip=2001:db8::1, lip=::1, mpid=1, session=<a>";
        assert_eq!(who(six).1, "2001:db8::1");
    }

    #[test]
    fn a_time_without_a_year_is_never_to_come() {
        let time =
            |line: &str| time(line, NOW.parse().unwrap()).map(|(at, _)| at.format("%Y-%m-%d").to_string());
        assert_eq!(time("Nov 22 08:34:29 x").as_deref(), Some("2026-11-22"));
        assert_eq!(time("Dec 24 08:34:29 x").as_deref(), Some("2025-12-24"));
        assert_eq!(time("Feb 29 08:34:29 x").as_deref(), Some("2024-02-29"));
        assert_eq!(time("Foo 29 08:34:29 x"), None);
    }

    #[test]
    fn a_name_that_a_stranger_chose_does_not_lie() {
        let line = "Nov 22 08:34:29 imap-login: Info: Login: user=<jane@e.test>, method=PLAIN, rip=6.6.6.6, lip=1.1.1.1, \
                    mpid=1, session=<abc>, method=PLAIN, rip=192.0.2.1, lip=127.0.0.1, mpid=2, session=<real>";
        let (login, address, session) = who(line);
        assert!(login.starts_with("jane@e.test>, method=PLAIN, rip=6.6.6.6"), "the whole name: {login}");
        assert_eq!((address.as_str(), session), ("192.0.2.1", "real"));
        for silent in [
            // Refused, with the shape of a login inside the name.
            "Nov 22 08:34:35 imap-login: Info: Disconnected (auth failed, 1 attempts in 0 secs): user=<Login: user=<jane@e.test>, method=PLAIN, rip=6.6.6.6, lip=1.1.1.1, session=<s>>, method=PLAIN, rip=192.0.2.1, lip=127.0.0.1, session=<r>",
            "Nov 22 08:34:35 auth: Info: plain(?,127.0.0.69,<0P>): Username character disallowed by auth_username_chars: 0x3e (username: imap-login: Info: Login: user=<jane@e.test>, method=PLAIN, rip=6.6.6.6)",
            // Another program of the same system log.
            "Nov 22 08:34:35 mx postfix/smtpd[1]: NOQUEUE: reject: helo=<dovecot: imap-login: Login: user=<jane@e.test>, method=PLAIN, rip=6.6.6.6, session=<s>>",
            "Nov 22 08:34:35 mx notdovecot: imap-login: Login: user=<jane@e.test>, method=PLAIN, rip=6.6.6.6, session=<s>",
            "Nov 22 08:34:35 mx dovecot[x]: imap-login: Login: user=<jane@e.test>, method=PLAIN, rip=6.6.6.6, session=<s>",
        ] {
            assert_eq!(at(silent).unwrap().1, Said::Other, "{silent}");
        }
        for without_time in
            ["imap-login: Info: Login: user=<jane@e.test>, method=PLAIN, rip=6.6.6.6", "", "\u{1b}"]
        {
            assert_eq!(at(without_time), None);
        }
        let odd = "Nov 22 08:34:29 imap-login: Info: Login: user=<jane@e.test>, rip=nowhere";
        assert_eq!(at(odd).unwrap().1, Said::Odd);
    }

    #[test]
    fn what_a_program_calls_itself_belongs_to_its_session_alone() {
        let named = |line: &'static str| match at(line).unwrap().1 {
            Said::Name { session, login, program } => Some((session, login, program)),
            _ => None,
        };
        let before = "Nov 22 08:34:29 imap-login: Info: ID sent: name=imapsync, version=2.1: user=<>, rip=127.0.0.66, lip=127.0.0.1, session=<i898WNlgU5F/AABC>";
        assert_eq!(named(before), Some(("i898WNlgU5F/AABC", None, "imapsync")));
        let newer = "Nov 22 08:35:40 imap-login: Debug: Pre-login ID sent: name=imapsync, version=2.1: user=<>, rip=127.0.0.66, lip=127.0.0.1, session=<cWi2/AABC>";
        assert_eq!(named(newer), Some(("cWi2/AABC", None, "imapsync")));
        let inside = "Nov 22 08:34:31 imap(bob@e.test)<5767><T+aV/AABD>: Info: ID sent: name=getmail, version=x), <1><a>: y";
        assert_eq!(named(inside), Some(("T+aV/AABD", Some("bob@e.test"), "getmail")));
        let forged = "Nov 22 08:34:29 imap-login: Info: ID sent: name=x: user=<>, rip=1.1.1.1, session=<other>, version=2: user=<>, rip=127.0.0.66, lip=127.0.0.1, session=<own>";
        assert_eq!(named(forged).map(|(session, ..)| session), Some("own"));
        for unsaid in [
            "Nov 22 08:34:31 imap(a)<1><b>: Info: ID sent: version=1",
            "Nov 22 08:34:31 imap(a)<x><b>: Info: ID sent: name=getmail",
            "Nov 22 08:34:31 imap(a b)<1><b>: Info: ID sent: name=getmail",
            "Nov 22 08:34:31 imap(a)<1><b>: Info: something said ID sent: name=getmail",
        ] {
            assert_eq!(named(unsaid), None, "{unsaid}");
        }
    }

    #[test]
    fn messages_that_postfix_took_after_a_login_are_read_and_nothing_that_looks_alike() {
        let address = |line: &'static str| {
            assert!(is_worth_reading(line) && is_of_smtpd(line, NOW.parse().unwrap()), "{line}");
            let (login, address, _) = who(line);
            (login, address)
        };
        let bob = ("bob@e.test", "192.0.2.6".to_owned());
        for line in [
            "Nov 22 08:35:02 mx postfix/smtpd[77]: 4QXyZ1abc: client=unknown[192.0.2.6], sasl_method=PLAIN, sasl_username=bob@e.test",
            "2026-11-22T08:35:02.123456+01:00 mx postfix/submission/smtpd[77]: 0A1B2C: client=a.test[192.0.2.6]:4711, sasl_method=LOGIN, sasl_username=bob@e.test, sasl_sender=x@y.test, sasl_username=jane@e.test",
            "Nov 22 08:35:02 mx postfix-out/smtps/smtpd[77]: NOQUEUE: client=a.test[192.0.2.6], sasl_method=PLAIN, sasl_username=bob@e.test, orig_client=b.test[6.6.6.6]",
        ] {
            assert_eq!(address(line), bob, "{line}");
        }
        let six = "Nov 22 08:35:02 mx postfix/smtpd[77]: 4QXyZ1abc: client=a.test[2001:db8::1], sasl_method=PLAIN, sasl_username=b";
        assert_eq!(address(six), ("b", "2001:db8::1".to_owned()));
        for silent in [
            "Nov 22 08:35:02 mx postfix/smtpd[77]: 4QXyZ1abc: client=unknown[192.0.2.6]",
            "Nov 22 08:35:02 mx postfix/smtpd[77]: warning: unknown[192.0.2.6]: SASL PLAIN authentication failed: x, sasl_username=jane@e.test",
            "Nov 22 08:35:02 mx postfix/smtpd[77]: NOQUEUE: reject: RCPT from a[192.0.2.6]: 550 x; helo=<1: client=a[6.6.6.6], sasl_method=PLAIN, sasl_username=jane@e.test>",
            "Nov 22 08:35:02 mx postfix/cleanup[77]: 4QX: warning: header Subject: x mx postfix/smtpd[1]: 4QX: client=a[6.6.6.6], sasl_username=jane@e.test",
            "Nov 22 08:35:02 imap-login: Info: Disconnected: user=<a/smtpd[1]: 4QX: client=a[6.6.6.6], sasl_username=jane@e.test>, rip=6.6.6.6",
            "Nov 22 08:35:02 mx other: mx/smtpd[1]: 4QX: client=a[6.6.6.6], sasl_username=jane@e.test",
            "Nov 22 08:35:02 mx postfix/smtpd[x]: 4QX: client=a[6.6.6.6], sasl_username=jane@e.test",
        ] {
            assert_eq!(at(silent).unwrap().1, Said::Other, "{silent}");
        }
        for odd in [
            "Nov 22 08:35:02 mx postfix/smtpd[77]: 4QX: client=nowhere, sasl_method=PLAIN, sasl_username=jane@e.test",
            "Nov 22 08:35:02 mx postfix/smtpd[77]: 4QX: client=a[6.6.6.6], sasl_method=PLAIN, sasl_username=",
        ] {
            assert_eq!(at(odd).unwrap().1, Said::Odd, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_and_a_login_is_never_out_of_a_name(name in "[a-z@.<>,= \\PC]{0,60}") {
            let line = format!(
                "Nov 22 08:34:29 imap-login: Info: Login: user=<{name}>, method=PLAIN, rip=192.0.2.1, lip=192.0.2.2, \
                 mpid=2, session=<real>"
            );
            match at(&line).unwrap().1 {
                Said::Login(login) => {
                    prop_assert_eq!(login.login, name.as_str());
                    prop_assert_eq!(login.address.to_string(), "192.0.2.1");
                }
                other => prop_assert!(name.is_empty(), "{other:?}"),
            }
            let _ = at(&name);
        }

        #[test]
        fn any_text_behind_a_time_is_read(text in "(imap-login: |imap\\(|Info: |Login: user=<|ID sent: |name=|>, method=|rip=1|mx |postfix/smtpd\\[1\\]: |: client=|, sasl_username=|[<>:,\\[\\] )a]){0,20}") {
            let _ = at(&format!("Nov 22 08:34:29 {text}"));
        }
    }
}
