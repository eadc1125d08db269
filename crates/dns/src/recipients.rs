//! Required addresses and the catch-all, as our own mail hosts answer them.

use mailwarden_evidence::dns::{Answer, Name, Question};

use crate::case::{Case, Draft};
use crate::checks;
use crate::subject::PROBE;
use crate::text::quoted;
use crate::transport::own_hosts;

/// RFC 2142 §4 and §5.
const REQUIRED: [&str; 2] = ["postmaster", "abuse"];
/// Mail hosts of one domain that are asked.
const MAX_ASKED: usize = 3;

/// What a host said to a recipient.
enum Said {
    Taken,
    Refused(String),
}

pub(crate) fn look(case: &mut Case<'_>) {
    if !case.subject.receives() {
        return;
    }
    let mut hosts = own_hosts(case);
    hosts.truncate(MAX_ASKED);
    for host in hosts {
        for local in REQUIRED {
            required(case, &host, local);
        }
        catch_all(case, &host);
    }
}

fn ask(case: &mut Case<'_>, host: &Name, local: &str) -> Option<(Question, Said)> {
    let address = format!("{local}@{}", case.subject.asked());
    let question = Question::Recipient { host: host.clone(), address };
    let Some(Answer::Recipient { code, text }) = case.ask(question.clone()) else { return None };
    let said = match code {
        200..300 => Said::Taken,
        500..600 => Said::Refused(format!("{code} {text}")),
        _ => {
            case.gap(format!("{question}: refused for now with {}", quoted(&format!("{code} {text}"))));
            return None;
        }
    };
    Some((question, said))
}

fn required(case: &mut Case<'_>, host: &Name, local: &str) {
    let Some((question, Said::Refused(reply))) = ask(case, host, local) else { return };
    let domain = case.subject.label();
    let title = format!("{host} refuses {local}@{domain}: {}.", quoted(&reply));
    let fix = format!("deliver {local}@{domain} to the domain's admin queue");
    let draft = Draft::new(title).found(reply).fix(fix).answered(question);
    case.found(&checks::REQUIRED_REFUSED, format!("{local}@{domain} {host}"), draft);
}

fn catch_all(case: &mut Case<'_>, host: &Name) {
    let Some(meant) = case.subject.catch_all else { return };
    let Some((question, said)) = ask(case, host, PROBE) else { return };
    let domain = case.subject.label();
    let (check, title, fix, reply) = match (meant, said) {
        (false, Said::Taken) => (
            &checks::CATCH_ALL,
            format!("{host} takes any local part at {domain}; the policy says that there is no catch-all."),
            format!("remove the catch-all of {domain} on {host}, or write `catch_all = true`"),
            String::new(),
        ),
        (true, Said::Refused(reply)) => (
            &checks::NO_CATCH_ALL,
            format!("{host} refuses an unknown local part at {domain}: {}.", quoted(&reply)),
            format!("let {host} take every local part of {domain} (`mailwarden postfix check`)"),
            reply,
        ),
        _ => return,
    };
    let draft = Draft::new(title).found(reply).fix(fix).answered(question);
    case.found(check, format!("{domain} {host}"), draft);
}
