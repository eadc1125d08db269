//! What evaluating an SPF record costs a receiver (RFC 7208 §4.6.4), in the worst case: nothing matches before
//! the end.

use mailwarden_evidence::dns::{Name, Rdata, RecordType};

use super::is_spf;
use super::record::{Mechanism, Record, Target, Term};
use crate::case::{Case, Draft, Found};
use crate::checks::{self, Check};
use crate::text::quoted;

/// Terms that ask the name service.
const MAX_LOOKUPS: usize = 10;
/// Lookups that find nothing.
const MAX_VOIDS: usize = 2;
/// Names behind one MX term.
const MAX_MX_NAMES: usize = 10;
/// Most records that are followed; the count is wrong enough long before.
const MAX_RECORDS: usize = 40;

struct Walk<'w> {
    owner: &'w str,
    draft: &'w dyn Fn(String) -> Draft,
    /// The names from the first record to the one being read.
    trail: Vec<Name>,
    records: usize,
    lookups: usize,
    voids: Vec<String>,
}

pub(super) fn cost(
    case: &mut Case<'_>,
    owner: &str,
    name: &Name,
    record: &Record,
    draft: &dyn Fn(String) -> Draft,
) {
    let mut walk =
        Walk { owner, draft, trail: vec![name.clone()], records: 1, lookups: 0, voids: Vec::new() };
    walk.record(case, name, record);
    if walk.lookups > MAX_LOOKUPS {
        let title = format!(
            "The SPF record of {owner} needs {} lookups; receivers stop at {MAX_LOOKUPS}.",
            walk.lookups
        );
        case.found(&checks::SPF_LOOKUPS, owner, draft(title));
    }
    if walk.voids.len() > MAX_VOIDS {
        let title = format!(
            "{} lookups of the SPF record of {owner} find nothing ({}); receivers stop at {MAX_VOIDS}.",
            walk.voids.len(),
            walk.voids.join(", ")
        );
        case.found(&checks::SPF_VOIDS, owner, draft(title));
    }
}

impl Walk<'_> {
    fn record(&mut self, case: &mut Case<'_>, name: &Name, record: &Record) {
        for term in &record.terms {
            let Term::Directive(_, mechanism) = term else { continue };
            match mechanism {
                Mechanism::All => return,
                Mechanism::Ip => {}
                Mechanism::Include(target) => self.follow(case, target, "includes"),
                Mechanism::A(target) => self.host(case, name, target.as_ref()),
                Mechanism::Exists(target) => self.host(case, name, Some(target)),
                Mechanism::Mx(target) => self.mail_hosts(case, name, target.as_ref()),
                Mechanism::Ptr(_) => self.lookups += 1,
            }
        }
        if let Some(target) = record.redirect() {
            self.follow(case, target, "redirects to");
        }
    }

    fn wrong(&self, case: &mut Case<'_>, check: &'static Check, subject: &str, clause: &str) {
        let title = format!("The SPF record of {} {clause}.", self.owner);
        case.found(check, subject, (self.draft)(title));
    }

    /// A name made by a macro costs a lookup; where it leads nobody can say beforehand.
    fn follow(&mut self, case: &mut Case<'_>, target: &Target, how: &str) {
        self.lookups += 1;
        let Some(text) = target else { return };
        let Some(name) = Name::parse(text) else {
            self.wrong(
                case,
                &checks::SPF_BROKEN_INCLUDE,
                text,
                &format!("{how} {}, which is no name", quoted(text)),
            );
            return;
        };
        if self.trail.contains(&name) {
            self.wrong(case, &checks::SPF_LOOP, text, &format!("{how} {name}, which leads back to it"));
            return;
        }
        if self.records >= MAX_RECORDS {
            return;
        }
        self.records += 1;
        let nothing = matches!(case.records(&name, RecordType::Txt), Found::NoRecords | Found::NoSuchName);
        let Some(texts) = case.texts(&name) else { return };
        if nothing {
            self.voids.push(name.to_string());
        }
        let records: Vec<&String> = texts.iter().filter(|text| is_spf(text)).collect();
        let broken = match records.as_slice() {
            [] => Err("has no SPF record".to_owned()),
            [text] => Record::parse(text).map_err(|reason| format!("cannot be read: {reason}")),
            several => Err(format!("has {} SPF records", several.len())),
        };
        match broken {
            Ok(record) => {
                self.trail.push(name.clone());
                self.record(case, &name, &record);
                self.trail.pop();
            }
            Err(why) => {
                let clause = format!("{how} {name}, which {why}");
                self.wrong(case, &checks::SPF_BROKEN_INCLUDE, name.as_str(), &clause);
            }
        }
    }

    fn host(&mut self, case: &mut Case<'_>, own: &Name, target: Option<&Target>) {
        self.lookups += 1;
        let Some(name) = named(own, target) else { return };
        if case.addresses(&name).is_some_and(|addresses| addresses.is_empty()) {
            self.voids.push(name.to_string());
        }
    }

    fn mail_hosts(&mut self, case: &mut Case<'_>, own: &Name, target: Option<&Target>) {
        self.lookups += 1;
        let Some(name) = named(own, target) else { return };
        let Some(records) = case.records(&name, RecordType::Mx).known() else { return };
        let hosts = records.iter().filter(|record| matches!(record, Rdata::Mx { .. })).count();
        if hosts == 0 {
            self.voids.push(name.to_string());
        }
        if hosts > MAX_MX_NAMES {
            let clause = format!("names the {hosts} mail hosts of {name}; receivers stop at {MAX_MX_NAMES}");
            self.wrong(case, &checks::SPF_LOOKUPS, name.as_str(), &clause);
        }
    }
}

/// The name of a term: its own, or that of the record it stands in.
fn named(own: &Name, target: Option<&Target>) -> Option<Name> {
    match target {
        None => Some(own.clone()),
        Some(target) => target.as_deref().and_then(Name::parse),
    }
}
