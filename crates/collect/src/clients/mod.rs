//! Who fetches mail from outside, and who sends with a login, as the servers' logs say: Dovecot's of logins by IMAP, POP3,
//! ManageSieve and submission, with the name that an IMAP program gives itself, and Postfix's of messages after a login.
//! The logs are read, within bounds, and nothing else.

mod files;
mod line;
mod tally;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use mailwarden_evidence::{ClientLogins, CoverageState, Fact, SYSTEM};

use crate::dovecot::DovecotPlan;
use crate::error::shown;
use crate::harvest::{Place, named};
use crate::postfix::PostfixPlan;
use crate::{CollectError, Harvest};
use files::{Part, Parts};
use tally::{Key, MAX_USES, Tally, Use};

/// The surface of programs that log in from outside.
pub const SURFACE: &str = "pull.clients";
/// Longest time that is looked back.
pub const MAX_DAYS: u32 = 400;
/// What is read.
const LOGS: &str = "the log of logins";
/// Settings of doveconf that name the log of logins, the more telling one first.
const LOG_SETTINGS: [&str; 2] = ["info_log_path", "log_path"];
/// Where a log goes that is no file.
const NO_FILES: [&str; 3] = ["syslog", "/dev/stderr", "/dev/stdout"];

/// Whether an address lies in a set of networks.
pub type Within = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// Where is looked, and what is at home.
#[derive(Clone)]
pub struct ClientsPlan {
    /// The logs.
    pub logs: Vec<PathBuf>,
    /// Who is asked for its log where none is named.
    pub dovecot: Option<DovecotPlan>,
    /// Who is asked for its log as well. Where there is a Postfix, logs without a line of its smtpd are a gap.
    pub postfix: Option<PostfixPlan>,
    /// How many days are looked back.
    pub days: u32,
    /// One's own networks. Without them nobody can tell what is outside.
    pub own: Option<Within>,
    /// Networks of services that fetch mail, by the service's name.
    pub fetchers: BTreeMap<String, Within>,
}

impl fmt::Debug for ClientsPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fetchers: Vec<&String> = self.fetchers.keys().collect();
        f.debug_struct("ClientsPlan")
            .field("logs", &self.logs)
            .field("dovecot", &self.dovecot)
            .field("postfix", &self.postfix)
            .field("days", &self.days)
            .field("own", &self.own.is_some())
            .field("fetchers", &fetchers)
            .finish()
    }
}

impl ClientsPlan {
    /// What is surely at home: of an unconfigured sweep this machine alone.
    fn is_at_home(&self, address: IpAddr) -> bool {
        match &self.own {
            Some(own) => own(address),
            None => address.to_canonical().is_loopback(),
        }
    }

    fn fetcher(&self, address: IpAddr) -> Option<String> {
        self.fetchers.iter().find(|(_, within)| within(address)).map(|(name, _)| name.clone())
    }
}

/// Reads the logs of the plan, or those that Dovecot and Postfix write.
pub async fn collect(plan: &ClientsPlan) -> Harvest {
    let logs = match logs(plan).await {
        Ok(logs) => logs,
        Err(error) => return Harvest::failed(SYSTEM, &[SURFACE], LOGS, &error),
    };
    let plan = plan.clone();
    // Half a gigabyte of text takes a while, in which others have something to do.
    let read = tokio::task::spawn_blocking(move || read(&plan, &logs, Utc::now())).await;
    read.unwrap_or_else(|_| {
        let error = CollectError::misbehaved(LOGS, "reading them", "the lines made the reader fail");
        Harvest::failed(SYSTEM, &[SURFACE], LOGS, &error)
    })
}

/// The logs that are named, or those that Dovecot and Postfix name.
async fn logs(plan: &ClientsPlan) -> Result<Vec<PathBuf>, CollectError> {
    if !plan.logs.is_empty() {
        return Ok(plan.logs.clone());
    }
    let next = "name the file that holds Dovecot's lines as `logs` of [clients]";
    let unknown = |cause: &str| CollectError::configuration("Dovecot's log", "finding it", cause, next);
    let dovecot = plan.dovecot.as_ref().ok_or_else(|| unknown("there is no [dovecot] to ask"))?;
    let named = match dovecot.setting(&LOG_SETTINGS).await? {
        Some(named) => named,
        None => return Err(unknown("Dovecot writes to the system log (log_path is not set)")),
    };
    if NO_FILES.contains(&named.as_str()) || !named.starts_with('/') {
        return Err(unknown(&format!("Dovecot writes to {} and to no file", shown(named.as_bytes()))));
    }
    let mut logs = vec![PathBuf::from(named)];
    // Where Postfix names none, or cannot be asked, its lines are missed below; its own surfaces tell why.
    let postfix = match &plan.postfix {
        Some(postfix) => postfix.log_file().await.unwrap_or(None),
        None => None,
    };
    logs.extend(postfix);
    logs.dedup();
    Ok(logs)
}

/// Everything that the logs hold of these days.
fn read(plan: &ClientsPlan, logs: &[PathBuf], now: DateTime<Utc>) -> Harvest {
    let since = now - TimeDelta::days(i64::from(plan.days.min(MAX_DAYS)));
    let mut look = Look {
        plan,
        now,
        since,
        tally: Tally::default(),
        gaps: Vec::new(),
        earliest: Vec::new(),
        has_smtpd: false,
    };
    let mut octets = files::MAX_OCTETS;
    for log in logs {
        let Parts { parts, gaps } = files::parts(log, since.into(), &mut octets);
        look.gaps.extend(gaps);
        let earliest = parts.iter().filter_map(|part| look.part(part)).min();
        look.earliest.push((log.clone(), earliest));
    }
    look.finish(&named(&logs.iter().map(|log| log.display().to_string()).collect::<Vec<_>>()))
}

struct Look<'p> {
    plan: &'p ClientsPlan,
    now: DateTime<Utc>,
    since: DateTime<Utc>,
    tally: Tally,
    gaps: Vec<String>,
    /// The first time in each log: one may reach further back than another.
    earliest: Vec<(PathBuf, Option<DateTime<Utc>>)>,
    /// A line of Postfix's smtpd was read.
    has_smtpd: bool,
}

impl Look<'_> {
    /// The first time that stands in it.
    fn part(&mut self, part: &Part) -> Option<DateTime<Utc>> {
        let mut first = None;
        let read = files::lines(part, |line| {
            self.has_smtpd = self.has_smtpd || line::is_of_smtpd(line, self.now);
            if first.is_none() {
                first = line::time(line, self.now).map(|(at, _)| at);
            }
            if line::is_worth_reading(line) {
                self.line(line);
            }
        });
        let mut gap = |what: &dyn fmt::Display| self.gaps.push(format!("{} ({what})", part.path.display()));
        match read {
            Ok(read) => {
                if read.was_long {
                    gap(&"a line of more than is looked at");
                }
                if read.goes_on {
                    gap(&"packed in several pieces; unpack a copy beside it");
                }
            }
            Err(error) => gap(&error),
        }
        if part.from > 0 && first.is_none_or(|first| first > self.since) {
            let from = first
                .map_or_else(String::new, |first| format!(" (read since {}; fewer `days` fit)", day(first)));
            self.gaps.push(format!("{} before its octet {}{from}", part.path.display(), part.from));
        }
        first
    }

    fn line(&mut self, line: &str) {
        let Some((at, said)) = line::read(line, self.now) else { return };
        if at >= self.since {
            let plan = self.plan;
            self.tally.add(at, &said, |address| plan.is_at_home(address));
        }
    }

    fn finish(mut self, logs: &str) -> Harvest {
        let source = format!("{LOGS} {logs}");
        let place = Place { mailbox: SYSTEM, surface: SURFACE, source: &source };
        self.doubts();
        let mut harvest = Harvest::default();
        for (key, used) in &self.tally.uses {
            observe(self.plan, &mut harvest, &place, key, used);
        }
        harvest.notes.push(self.summary());
        match self.gaps.is_empty() {
            true => harvest.cover(&place, CoverageState::Collected, ""),
            false => {
                let reason = format!("not or not wholly told: {}", named(&self.gaps));
                harvest.cover(&place, CoverageState::Partial, reason);
            }
        }
        harvest
    }

    /// What the lines themselves leave open.
    fn doubts(&mut self) {
        let tally = &self.tally;
        let mut doubt = |is_so: bool, what: String| self.gaps.extend(is_so.then_some(what));
        doubt(
            self.plan.own.is_none(),
            "what is outside ([clients] has no own_networks, so a login from far away looks like one from the next \
             room)"
            .to_owned(),
        );
        doubt(
            tally.logins() == tally.sent,
            "any login at all (is this the log that Dovecot writes?)".to_owned(),
        );
        doubt(
            self.plan.postfix.is_some() && !self.has_smtpd,
            "who sent mail through Postfix with a login (no line of its smtpd is there; name the file that holds them as \
             one of `logs` of [clients])"
                .to_owned(),
        );
        doubt(
            tally.odd > 0,
            format!(
                "{} logins in another form (login_log_format_elements has to hold user, method, rip and session)",
                tally.odd
            ),
        );
        doubt(tally.beyond > 0, format!("{} logins beyond the first {MAX_USES} combinations", tally.beyond));
        doubt(
            tally.imap > 0 && tally.names == 0,
            "what programs call themselves (Dovecot 2.3 logs it with `imap_id_log = *`, 2.4 with `log_debug = \
             event=imap_id_received`)"
            .to_owned(),
        );
    }

    /// A log reaches as far back as it does.
    fn summary(&self) -> String {
        let reach = |(log, earliest): &(PathBuf, Option<DateTime<Utc>>)| match earliest {
            Some(earliest) => format!("since {} in {}", day(*earliest.max(&self.since)), log.display()),
            None => format!("none in {}", log.display()),
        };
        let reaches = named(&self.earliest.iter().map(reach).collect::<Vec<_>>());
        let (all, at_home) = (self.tally.logins(), self.tally.at_home);
        format!("{all} logins {reaches}; {at_home} of them from our own networks")
    }
}

fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d").to_string()
}

fn observe(
    plan: &ClientsPlan,
    harvest: &mut Harvest,
    place: &Place<'_>,
    (login, service, address): &Key,
    used: &Use,
) {
    let excerpt = format!(
        "{login} by {service} from {address}, {} times, {} to {}",
        used.logins, used.first, used.last
    );
    let fact = Fact::ClientLogins(Box::new(ClientLogins {
        login: login.clone(),
        service: (*service).to_owned(),
        address: address.to_string(),
        outside: plan.own.is_some(),
        fetcher: plan.fetcher(*address),
        programs: used.programs.iter().cloned().collect(),
        methods: used.methods.iter().cloned().collect(),
        logins: used.logins,
        first: used.first,
        last: used.last,
    }));
    harvest.observe(place, fact, excerpt.as_bytes(), &excerpt);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-22T12:00:00Z";

    fn plan(own: bool) -> ClientsPlan {
        let home: Within = Arc::new(|address| address == "192.0.2.1".parse::<IpAddr>().unwrap());
        let cloud: Within = Arc::new(|address| address == "198.51.100.7".parse::<IpAddr>().unwrap());
        ClientsPlan {
            logs: Vec::new(),
            dovecot: None,
            postfix: None,
            days: 30,
            own: own.then_some(home),
            fetchers: [("a cloud".to_owned(), cloud)].into(),
        }
    }

    fn login(day: u32, service: &str, address: &str) -> String {
        format!(
            "2026-11-{day:02}T08:00:00Z mx dovecot: {service}-login: Login: user=<bob@e.test>, method=PLAIN, \
             rip={address}, lip=192.0.2.2, mpid=1, TLS, session=<s{day}>\n"
        )
    }

    fn looked(own: bool, text: &str) -> Harvest {
        looked_by(&plan(own), text)
    }

    fn looked_by(plan: &ClientsPlan, text: &str) -> Harvest {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("mail.log");
        std::fs::write(&log, text).unwrap();
        read(plan, &[log], NOW.parse().unwrap())
    }

    #[test]
    fn where_there_is_a_postfix_its_lines_are_missed() {
        let plan = ClientsPlan { postfix: Some(PostfixPlan::new("/etc/postfix")), ..plan(true) };
        let pop3 = login(20, "pop3", "203.0.113.9");
        let row = looked_by(&plan, &pop3).coverage.remove(0);
        assert_eq!(row.state, CoverageState::Partial);
        assert!(row.reason.contains("no line of its smtpd"), "{}", row.reason);
        let sent = "2026-11-21T08:00:00Z mx postfix/smtpd[1]: 4QX: client=a.test[203.0.113.9], sasl_method=PLAIN, \
                    sasl_username=bob@e.test\n";
        let only_sent = looked_by(&plan, sent).coverage.remove(0);
        assert!(only_sent.reason.contains("any login at all"), "{}", only_sent.reason);
        let harvest = looked_by(&plan, &[&pop3, sent].concat());
        assert_eq!(harvest.coverage[0].state, CoverageState::Collected, "{}", harvest.coverage[0].reason);
        let services: Vec<&str> = harvest
            .observations
            .iter()
            .filter_map(|seen| match &seen.fact {
                Fact::ClientLogins(told) => Some(told.service.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(services, ["pop3", "smtp"]);
    }

    #[test]
    fn logins_from_outside_are_told_and_those_at_home_are_counted() {
        let named = "2026-11-20T07:59:59Z mx dovecot: imap-login: ID sent: name=imapsync: user=<>, rip=203.0.113.9, \
                     lip=192.0.2.2, session=<s20>\n";
        let text = [
            "2026-09-01T08:00:00Z mx dovecot: pop3-login: Login: user=<old@e.test>, method=PLAIN, rip=203.0.113.9, \
             lip=1, session=<x>\n",
            named,
            &login(20, "imap", "203.0.113.9"),
            &login(21, "pop3", "198.51.100.7"),
            &login(21, "imap", "192.0.2.1"),
        ]
        .concat();
        let harvest = looked(true, &text);
        let told: Vec<&ClientLogins> = harvest
            .observations
            .iter()
            .filter_map(|seen| match &seen.fact {
                Fact::ClientLogins(told) => Some(told.as_ref()),
                _ => None,
            })
            .collect();
        let [by_imap, by_pop3] = told.as_slice() else { panic!("{told:#?}") };
        assert!(by_imap.outside && by_imap.fetcher.is_none(), "{by_imap:#?}");
        assert_eq!(
            (by_imap.service.as_str(), by_imap.programs.as_slice()),
            ("imap", &["imapsync".to_owned()][..])
        );
        assert_eq!(by_pop3.fetcher.as_deref(), Some("a cloud"));
        assert_eq!(harvest.coverage[0].state, CoverageState::Collected, "{}", harvest.coverage[0].reason);
        assert!(harvest.notes[0].starts_with("3 logins since 2026-10-23"), "{}", harvest.notes[0]);
    }

    #[test]
    fn how_far_back_each_log_reaches_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("a.log"), login(2, "pop3", "203.0.113.9")).unwrap();
        std::fs::write(at("b.log"), login(21, "pop3", "203.0.113.9")).unwrap();
        std::fs::write(at("c.log"), "").unwrap();
        let logs = [at("a.log"), at("b.log"), at("c.log")];
        let note = read(&plan(true), &logs, NOW.parse().unwrap()).notes.remove(0);
        let [a, b, c] = logs.map(|log| log.display().to_string());
        let expected =
            format!("2 logins since 2026-11-02 in {a}, since 2026-11-21 in {b}, none in {c}; 0 of them");
        assert!(note.starts_with(&expected), "{note}");
    }

    #[test]
    fn what_cannot_be_told_is_said() {
        let reason = |own, text: &str| {
            let row = looked(own, text).coverage.remove(0);
            assert_eq!(row.state, CoverageState::Partial);
            row.reason
        };
        assert!(reason(false, &login(20, "pop3", "203.0.113.9")).contains("no own_networks"));
        assert!(reason(true, "").contains("any login at all"));
        assert!(reason(true, &login(20, "imap", "203.0.113.9")).contains("imap_id_log"));
        let odd = "2026-11-20T08:00:00Z mx dovecot: imap-login: Login: user=<a>, somewhere\n";
        assert!(reason(true, odd).contains("1 logins in another form"));
    }

    #[tokio::test]
    async fn without_a_file_the_next_step_is_named() {
        let row = collect(&plan(true)).await.coverage.remove(0);
        assert_eq!(row.state, CoverageState::Error);
        assert!(row.reason.contains("`logs` of [clients]"), "{}", row.reason);
    }
}
