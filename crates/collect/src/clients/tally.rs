//! Logins of many lines, summed up: who, by which service, from where, how often, by which programs.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;

use chrono::{DateTime, Utc};

use super::line::{Login, SMTP, Said};

/// Most combinations of login, service and address.
pub(super) const MAX_USES: usize = 100_000;
/// Sessions whose lines are still expected.
const MAX_SESSIONS: usize = 200_000;
/// Most names of programs, and of methods, of one combination.
const MAX_NAMES: usize = 8;
/// Longest login that is kept, in characters: the longest address.
const MAX_LOGIN: usize = 320;
/// Longest name of a program that is kept, in characters: it is a stranger's own word, before any login.
const MAX_PROGRAM: usize = 64;
/// Longest name of a session, in bytes; Dovecot's have 16 to 24. The lines of a longer one stay alone.
const MAX_SESSION: usize = 64;

/// Who, by what, from where.
pub(super) type Key = (String, &'static str, IpAddr);

/// How often, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) logins: u64,
    pub(super) first: DateTime<Utc>,
    pub(super) last: DateTime<Utc>,
    pub(super) methods: BTreeSet<String>,
    pub(super) programs: BTreeSet<String>,
}

/// What is known of one session.
#[derive(Debug, Default)]
struct Session {
    key: Option<Key>,
    program: Option<String>,
}

/// What the lines said so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) uses: BTreeMap<Key, Use>,
    /// Logins at home: counted, and nothing more.
    pub(super) at_home: u64,
    /// Logins that are written in another form.
    pub(super) odd: u64,
    /// Logins beyond [`MAX_USES`].
    pub(super) beyond: u64,
    /// Messages that were sent after a login; they count among the logins.
    pub(super) sent: u64,
    /// IMAP logins, and programs that said what they are.
    pub(super) imap: u64,
    pub(super) names: u64,
    sessions: HashMap<String, Session>,
    order: VecDeque<String>,
}

impl Tally {
    /// One line, in the order of the log.
    pub(super) fn add(&mut self, at: DateTime<Utc>, said: &Said<'_>, is_at_home: impl Fn(IpAddr) -> bool) {
        match said {
            Said::Login(login) => self.login(at, login, is_at_home(login.address)),
            Said::Name { session, login, program } => self.name(session, *login, program),
            Said::Odd => self.odd += 1,
            Said::Other => {}
        }
    }

    /// All logins that were read.
    pub(super) fn logins(&self) -> u64 {
        self.at_home + self.beyond + self.uses.values().map(|used| used.logins).sum::<u64>()
    }

    fn login(&mut self, at: DateTime<Utc>, login: &Login<'_>, is_at_home: bool) {
        self.imap += u64::from(login.service == "imap");
        self.sent += u64::from(login.service == SMTP);
        if is_at_home {
            self.at_home += 1;
            return;
        }
        let key = (cut(login.login, MAX_LOGIN).to_lowercase(), login.service, login.address);
        if self.uses.len() >= MAX_USES && !self.uses.contains_key(&key) {
            self.beyond += 1;
            return;
        }
        let fresh =
            || Use { logins: 0, first: at, last: at, methods: BTreeSet::new(), programs: BTreeSet::new() };
        let used = self.uses.entry(key.clone()).or_insert_with(fresh);
        used.logins += 1;
        used.first = used.first.min(at);
        used.last = used.last.max(at);
        keep(&mut used.methods, login.method);
        let Some(session) = self.session(login.session) else { return };
        session.key = Some(key.clone());
        if let Some(program) = session.program.clone() {
            self.of_program(&key, &program);
        }
    }

    /// Before the login of its session, or after it.
    fn name(&mut self, session: &str, login: Option<&str>, program: &str) {
        self.names += 1;
        let program = cut(program, MAX_PROGRAM);
        let Some(known) = self.session(session) else { return };
        known.program = Some(program.clone());
        let Some(key) = known.key.clone() else { return };
        if login.is_none_or(|login| cut(login, MAX_LOGIN).to_lowercase() == key.0) {
            self.of_program(&key, &program);
        }
    }

    fn of_program(&mut self, key: &Key, program: &str) {
        if let Some(used) = self.uses.get_mut(key) {
            keep(&mut used.programs, program);
        }
    }

    /// None for a login without one. The oldest is forgotten where there are too many.
    fn session(&mut self, id: &str) -> Option<&mut Session> {
        if id.is_empty() || id.len() > MAX_SESSION {
            return None;
        }
        if !self.sessions.contains_key(id) {
            if self.order.len() >= MAX_SESSIONS
                && let Some(oldest) = self.order.pop_front()
            {
                self.sessions.remove(&oldest);
            }
            self.order.push_back(id.to_owned());
        }
        Some(self.sessions.entry(id.to_owned()).or_default())
    }
}

fn keep(names: &mut BTreeSet<String>, name: &str) {
    if !name.is_empty() && names.len() < MAX_NAMES {
        names.insert(cut(name, MAX_PROGRAM));
    }
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login<'l>(name: &'l str, address: &str, session: &'l str) -> Said<'l> {
        let address = address.parse().unwrap();
        Said::Login(Login { service: "imap", login: name, method: "PLAIN", address, session })
    }

    #[test]
    fn programs_are_told_by_session_before_and_after_the_login() {
        let mut tally = Tally::default();
        let time = |hour: u32| format!("2026-11-22T{hour:02}:00:00Z").parse::<DateTime<Utc>>().unwrap();
        let home: IpAddr = "192.0.2.1".parse().unwrap();
        let mut add = |hour, said: &Said<'_>| tally.add(time(hour), said, |address| address == home);
        add(1, &Said::Name { session: "s1", login: None, program: "imapsync" });
        add(2, &login("Bob@e.test", "203.0.113.9", "s1"));
        add(3, &login("bob@e.test", "203.0.113.9", "s2"));
        add(4, &Said::Name { session: "s2", login: Some("bob@e.test"), program: "getmail" });
        add(5, &Said::Name { session: "s2", login: Some("jane@e.test"), program: "forged" });
        add(6, &login("bob@e.test", "192.0.2.1", "s3"));
        add(7, &Said::Odd);
        assert_eq!((tally.uses.len(), tally.at_home, tally.odd, tally.logins()), (1, 1, 1, 3));
        let used = tally.uses.values().next().unwrap();
        assert_eq!((used.logins, used.first, used.last), (2, time(2), time(3)));
        assert_eq!(used.programs.iter().map(String::as_str).collect::<Vec<_>>(), ["getmail", "imapsync"]);
    }

    #[test]
    fn what_strangers_can_make_grow_is_bounded() {
        let mut tally = Tally::default();
        let now = Utc::now();
        for number in 0..MAX_SESSIONS + 10 {
            let session = format!("s{number}");
            tally.add(now, &Said::Name { session: &session, login: None, program: "x" }, |_| false);
        }
        assert_eq!((tally.sessions.len(), tally.order.len()), (MAX_SESSIONS, MAX_SESSIONS));
        let (long, text) = ("s".repeat(MAX_SESSION + 1), "x".repeat(MAX_LOGIN));
        tally.add(now, &Said::Name { session: &long, login: None, program: "x" }, |_| false);
        assert!(!tally.sessions.contains_key(&long));
        tally.add(now, &Said::Name { session: "two", login: None, program: &text }, |_| false);
        assert_eq!(tally.sessions["two"].program.as_ref().unwrap().len(), MAX_PROGRAM);
        for number in 0..20 {
            let (program, session) = (format!("p{number}"), "one");
            tally.add(now, &login("a", "203.0.113.9", session), |_| false);
            tally.add(now, &Said::Name { session, login: None, program: &program }, |_| false);
        }
        assert_eq!(tally.uses.values().next().unwrap().programs.len(), MAX_NAMES);
    }
}
