//! Every address that can be picked out of a text around its `@`, `%` and `!`.
//!
//! This is what a careless reader does: it does not parse, it looks for something that resembles an address.

use crate::characters::{is_dot, is_unprintable};
use crate::readings::Readings;
use crate::{Address, Domain, MAX_LOCAL_PART};

/// The longest run of host characters that is read; a longer one cannot be a domain but may end in one.
const MAX_HOST_RUN: usize = 1024;
/// What looking at one candidate costs beside the text itself.
const CANDIDATE_COST: usize = 512;
/// What each byte of a candidate's local part costs: it is walked, trimmed, copied and hashed several times.
const LOCAL_BYTE_COST: usize = 16;
/// What one domain outside ASCII costs: the IDNA tables are some fifty times slower than a comparison.
const UNICODE_DOMAIN_COST: usize = 4_096;
/// UTS #46 deviation characters under the transitional (IDNA 2003) mapping, which old readers still use.
const TRANSITIONAL: [(char, &str); 2] = [('ß', "ss"), ('ς', "σ")];

/// Adds every `local@domain` in the text, and every percent hack and bang path.
pub(crate) fn collect(text: &str, readings: &mut Readings) {
    for (at, mark) in text.match_indices(['@', '%', '!']) {
        if !readings.spend(CANDIDATE_COST) {
            return;
        }
        let (before, after) = (&text[..at], &text[at + 1..]);
        match mark {
            "@" => mailbox_around(before, after, readings),
            "%" => percent_hack(before, after, readings),
            _ => bang_path(before, after, readings),
        }
    }
    in_angles(text, readings);
}

/// Adds the percent hacks and bang paths alone: `any%scope` and `scope!any` reach an MTA as `any@scope`.
pub(crate) fn collect_rerouted(text: &str, readings: &mut Readings) {
    for (at, mark) in text.match_indices(['%', '!']) {
        if !readings.spend(CANDIDATE_COST) {
            return;
        }
        let (before, after) = (&text[..at], &text[at + 1..]);
        if mark == "%" { percent_hack(before, after, readings) } else { bang_path(before, after, readings) }
    }
}

/// Adds `text` cut at its last `@`, as a reader does that trusts it to be one address.
pub(crate) fn collect_whole(text: &str, readings: &mut Readings) {
    if let Some((local, host)) = text.rsplit_once('@')
        && readings.spend(CANDIDATE_COST + text.len())
    {
        let local = local.trim().trim_matches('"');
        for domain in domains_at_start(host.trim_start(), readings) {
            add(local, &domain, readings);
        }
    }
}

fn mailbox_around(before: &str, after: &str, readings: &mut Readings) {
    let domains = domains_at_start(after, readings);
    if domains.is_empty() {
        return;
    }
    let run = last_run(before, is_local_character);
    let chained = last_run(before, |c| c == '@' || is_local_character(c));
    if !readings.spend(LOCAL_BYTE_COST * chained.len()) {
        return;
    }
    let quoted = quoted_before(before);
    for domain in &domains {
        if let Some(content) = &quoted {
            add(content, domain, readings);
        }
        add(run, domain, readings);
        add(run.trim_matches(|c: char| !c.is_alphanumeric()), domain, readings);
        add(chained, domain, readings);
    }
}

fn percent_hack(before: &str, after: &str, readings: &mut Readings) {
    let user = last_run(before, |c| c != '%' && c != '!' && is_local_character(c));
    add_qualified(user, &domains_at_start(after, readings), readings);
}

/// `host!host!user`: every host is a hop on the way to the user at the end.
fn bang_path(before: &str, after: &str, readings: &mut Readings) {
    let window = limited(after, after.len());
    let path = &window[..window.find(|c| c == '%' || !is_local_character(c)).unwrap_or(window.len())];
    if !readings.spend(LOCAL_BYTE_COST * path.len()) {
        return;
    }
    let user = path.rsplit('!').next().unwrap_or(path);
    let host = last_run(before, is_host_character);
    add_qualified(user, &domains_in(host, readings), readings);
}

/// A rerouted host needs a dot: `50%off` names no domain.
fn add_qualified(user: &str, domains: &[Domain], readings: &mut Readings) {
    for domain in domains.iter().filter(|domain| domain.as_str().contains('.')) {
        add(user, domain, readings);
    }
}

/// The first and the last `<..>`, whatever stands in them.
fn in_angles(text: &str, readings: &mut Readings) {
    for open in [text.find('<'), text.rfind('<')].into_iter().flatten() {
        let inside = &text[open + 1..];
        let inside = &inside[..inside.find('>').unwrap_or(inside.len())];
        collect_whole(inside, readings);
    }
}

fn add(local: &str, domain: &Domain, readings: &mut Readings) {
    let start = local.len().saturating_sub(MAX_LOCAL_PART);
    let tail = &local[ceil_boundary(local, start)..];
    let printable: String = tail.chars().filter(|&c| !is_unprintable(c)).collect();
    if let Some(address) = Address::from_parts(&printable, domain.clone()) {
        readings.add(address);
    }
}

fn domains_at_start(text: &str, readings: &mut Readings) -> Vec<Domain> {
    let text = text.strip_prefix('[').unwrap_or(text);
    let end = text.find(|c| !is_host_character(c)).unwrap_or(text.len());
    if end > MAX_HOST_RUN {
        readings.mark_truncated();
    }
    domains_in(limited(text, end), readings)
}

fn domains_in(run: &str, readings: &mut Readings) -> Vec<Domain> {
    if run.is_ascii() || readings.spend(UNICODE_DOMAIN_COST) { domains_of(run) } else { Vec::new() }
}

/// Every domain that a run of host characters can be taken for.
fn domains_of(run: &str) -> Vec<Domain> {
    let mut domains = Vec::new();
    let mut offer = |text: &str| {
        let found = Domain::parse(text.trim_matches(is_dot)).map_or_else(|_| valid_parts(text), |d| vec![d]);
        domains.extend(found);
    };
    offer(run);
    if run.ends_with(['-', '_']) || run.starts_with(['-', '_']) {
        offer(run.trim_matches(['-', '_', '.']));
    }
    if !run.is_ascii() {
        offer(&run[..run.find(|c: char| !c.is_ascii()).unwrap_or(run.len())]);
        offer(&run.chars().filter(|&c| c.is_alphanumeric() || is_dot(c) || c == '-').collect::<String>());
        offer(&transitional(run));
    }
    domains
}

/// The longest stretches of valid labels in something that is no valid domain as a whole: `-.scope.example`
/// still ends in a domain that a reader may show.
fn valid_parts(text: &str) -> Vec<Domain> {
    let labels: Vec<Option<Domain>> = text
        .split(is_dot)
        .map(|label| label.trim_matches('-'))
        .filter(|label| !label.is_empty())
        .map(|label| Domain::parse(label).ok())
        .collect();
    labels.split(Option::is_none).filter_map(join_from_the_right).collect()
}

/// As many labels as fit, counted from the top-level domain.
fn join_from_the_right(labels: &[Option<Domain>]) -> Option<Domain> {
    let mut joined: Option<Domain> = None;
    for label in labels.iter().rev().flatten() {
        let longer = match &joined {
            Some(rest) => Domain::parse(&format!("{label}.{rest}")),
            None => Ok(label.clone()),
        };
        match longer {
            Ok(longer) => joined = Some(longer),
            Err(_) => break,
        }
    }
    joined
}

fn transitional(run: &str) -> String {
    TRANSITIONAL.iter().fold(run.to_lowercase(), |text, (from, to)| text.replace(*from, to))
}

/// The quoted string that ends right before the `@`, its content.
fn quoted_before(before: &str) -> Option<String> {
    let content = before.strip_suffix('"')?;
    let window = &content[ceil_boundary(content, content.len().saturating_sub(MAX_LOCAL_PART))..];
    let open = window
        .bytes()
        .enumerate()
        .rfind(|&(at, b)| b == b'"' && window.as_bytes().get(at.wrapping_sub(1)) != Some(&b'\\'))?
        .0;
    let mut chars = window[open + 1..].chars();
    let mut local = String::new();
    while let Some(c) = chars.next() {
        local.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    Some(local)
}

/// The run of characters at the end of the text, at most [`MAX_LOCAL_PART`] bytes of it.
fn last_run(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    let window = &text[ceil_boundary(text, text.len().saturating_sub(MAX_LOCAL_PART))..];
    let start = window.char_indices().rev().take_while(|&(_, c)| belongs(c)).last();
    start.map_or("", |(at, _)| &window[at..])
}

fn is_local_character(c: char) -> bool {
    !c.is_whitespace() && !is_unprintable(c) && !"<>(),;:\"\\[]@".contains(c)
}

fn is_host_character(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    }
    !c.is_whitespace() && !is_unprintable(c)
}

fn limited(text: &str, end: usize) -> &str {
    let mut end = end.min(MAX_HOST_RUN);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn ceil_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}
