//! The syntax of an SPF record (RFC 7208 §12).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::text::quoted;

/// Most terms of one record that are read; a record of 4096 octets holds fewer that mean anything.
const MAX_TERMS: usize = 256;

/// What a match means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Qualifier {
    Pass,
    Fail,
    SoftFail,
    Neutral,
}

/// A name to look up; `None` where a macro makes it out of the message.
pub(crate) type Target = Option<String>;

/// What a sender is compared with. An absent name means the domain itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mechanism {
    All,
    Include(Target),
    A(Option<Target>),
    Mx(Option<Target>),
    Ptr(Option<Target>),
    Ip,
    Exists(Target),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Term {
    Directive(Qualifier, Mechanism),
    Redirect(Target),
    /// `exp=` and unknown modifiers: they decide nothing.
    Other,
}

/// A record that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) terms: Vec<Term>,
}

impl Record {
    /// Reads a record that begins with its version. The error is a clause that says which term is wrong and
    /// why.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if !text.is_ascii() {
            return Err("it holds characters outside ASCII".to_owned());
        }
        if text.contains(['\t', '\r', '\n']) {
            return Err("terms are parted by something other than spaces".to_owned());
        }
        let words: Vec<&str> = text.split(' ').skip(1).filter(|word| !word.is_empty()).collect();
        if words.len() > MAX_TERMS {
            return Err(format!("it has {} terms", words.len()));
        }
        let terms = words.into_iter().map(term).collect::<Result<Vec<_>, _>>()?;
        let redirects = terms.iter().filter(|term| matches!(term, Term::Redirect(_))).count();
        if redirects > 1 { Err("`redirect` stands twice".to_owned()) } else { Ok(Self { terms }) }
    }

    /// What `all` says, where the record has it.
    pub(crate) fn all(&self) -> Option<Qualifier> {
        self.terms.iter().find_map(|term| match term {
            Term::Directive(qualifier, Mechanism::All) => Some(*qualifier),
            _ => None,
        })
    }

    /// Where the rest is, where no `all` makes it ignored (RFC 7208 §6.1).
    pub(crate) fn redirect(&self) -> Option<&Target> {
        if self.all().is_some() {
            return None;
        }
        self.terms.iter().find_map(|term| match term {
            Term::Redirect(target) => Some(target),
            _ => None,
        })
    }

    pub(crate) fn has_terms_behind_all(&self) -> bool {
        let all = self.terms.iter().position(|term| matches!(term, Term::Directive(_, Mechanism::All)));
        let ignored = |term: &Term| matches!(term, Term::Directive(..) | Term::Redirect(_));
        all.is_some_and(|at| self.terms[at + 1..].iter().any(ignored))
            || all.is_some() && self.terms.iter().any(|term| matches!(term, Term::Redirect(_)))
    }
}

fn term(word: &str) -> Result<Term, String> {
    if word.eq_ignore_ascii_case("v=spf1") {
        return Err("`v=spf1` stands in the middle: two records were joined".to_owned());
    }
    let name_end = word.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
    match name_end {
        Some(at) if at > 0 && word[at..].starts_with('=') => modifier(&word[..at], &word[at + 1..]),
        _ => directive(word),
    }
}

fn modifier(name: &str, value: &str) -> Result<Term, String> {
    match name.to_ascii_lowercase().as_str() {
        "redirect" => Ok(Term::Redirect(target(value)?)),
        "exp" => target(value).map(|_| Term::Other),
        "ip4" | "ip6" | "include" | "a" | "mx" | "exists" => {
            Err(format!("{} has `=` where a colon belongs", quoted(&format!("{name}={value}"))))
        }
        _ => Ok(Term::Other),
    }
}

fn directive(word: &str) -> Result<Term, String> {
    let (qualifier, rest) = match word.as_bytes().first() {
        Some(b'+') => (Qualifier::Pass, &word[1..]),
        Some(b'-') => (Qualifier::Fail, &word[1..]),
        Some(b'~') => (Qualifier::SoftFail, &word[1..]),
        Some(b'?') => (Qualifier::Neutral, &word[1..]),
        _ => (Qualifier::Pass, word),
    };
    let end = rest.find([':', '/']).unwrap_or(rest.len());
    let (name, argument) = rest.split_at(end);
    let wrong = |why: &str| Err(format!("{} {why}", quoted(word)));
    let mechanism = match name.to_ascii_lowercase().as_str() {
        "all" if argument.is_empty() => Mechanism::All,
        "include" => Mechanism::Include(target(after_colon(word, argument)?)?),
        "exists" => Mechanism::Exists(target(after_colon(word, argument)?)?),
        "a" => Mechanism::A(host(word, argument)?),
        "mx" => Mechanism::Mx(host(word, argument)?),
        "ptr" if argument.is_empty() => Mechanism::Ptr(None),
        "ptr" => Mechanism::Ptr(Some(target(after_colon(word, argument)?)?)),
        "ip4" => network::<Ipv4Addr>(word, after_colon(word, argument)?, 32)?,
        "ip6" => network::<Ipv6Addr>(word, after_colon(word, argument)?, 128)?,
        "ipv4" => return wrong("is no term; `ip4:` is meant"),
        "ipv6" => return wrong("is no term; `ip6:` is meant"),
        _ => return wrong("is no term"),
    };
    Ok(Term::Directive(qualifier, mechanism))
}

fn after_colon<'w>(word: &str, argument: &'w str) -> Result<&'w str, String> {
    argument.strip_prefix(':').ok_or_else(|| format!("{} lacks what belongs behind a colon", quoted(word)))
}

/// `a` and `mx`: an optional name, then optional prefix lengths of both families.
fn host(word: &str, argument: &str) -> Result<Option<Target>, String> {
    let (name, lengths) = argument.split_at(argument.find('/').unwrap_or(argument.len()));
    let (four, six) = match lengths.split_once("//") {
        Some((four, six)) => (four.strip_prefix('/').unwrap_or(four), six),
        None => (lengths.strip_prefix('/').unwrap_or(lengths), ""),
    };
    for (length, most) in [(four, 32), (six, 128)] {
        if !length.is_empty() && !fits(length, most) {
            return Err(format!("{} has a wrong prefix length", quoted(word)));
        }
    }
    if name.is_empty() { Ok(None) } else { Ok(Some(target(after_colon(word, name)?)?)) }
}

fn network<T: std::str::FromStr>(word: &str, text: &str, most: u32) -> Result<Mechanism, String> {
    let (address, length) = text.split_once('/').unwrap_or((text, "0"));
    if address.parse::<T>().is_err() {
        return Err(format!("{} holds no address of its family", quoted(word)));
    }
    if fits(length, most) {
        Ok(Mechanism::Ip)
    } else {
        Err(format!("{} has a wrong prefix length", quoted(word)))
    }
}

fn fits(length: &str, most: u32) -> bool {
    let plain = length.bytes().all(|c| c.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    plain && length.parse::<u32>().is_ok_and(|length| length <= most)
}

/// A domain-spec (RFC 7208 §7.1).
fn target(text: &str) -> Result<Target, String> {
    if text.contains('%') {
        check_macros(text)?;
        return Ok(None);
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let top = name.rsplit('.').next().unwrap_or_default();
    let top_is_name = top.bytes().any(|c| c.is_ascii_alphabetic());
    if name.contains('.') && top_is_name && !name.contains(['/', ':', '=']) {
        Ok(Some(name.to_ascii_lowercase()))
    } else {
        Err(format!("{} is no domain name", quoted(text)))
    }
}

fn check_macros(text: &str) -> Result<(), String> {
    let wrong = || format!("{} holds a macro that cannot be read", quoted(text));
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        let next = rest.chars().next().ok_or_else(wrong)?;
        rest = match next {
            '%' | '_' | '-' => &rest[1..],
            '{' => {
                let (inside, after) = rest[1..].split_once('}').ok_or_else(wrong)?;
                if !is_macro(inside) {
                    return Err(wrong());
                }
                after
            }
            _ => return Err(wrong()),
        };
    }
    Ok(())
}

/// A letter, digits, an `r`, delimiters.
fn is_macro(inside: &str) -> bool {
    let mut characters = inside.chars();
    let letter = characters.next().is_some_and(|c| "slodiphcrtv".contains(c.to_ascii_lowercase()));
    let rest = characters.as_str().trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = rest.strip_prefix(['r', 'R']).unwrap_or(rest);
    letter && rest.chars().all(|c| ".-+,/_=".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_records_are_read() {
        for text in [
            "v=spf1 -all",
            "v=spf1",
            "V=SPF1 +MX a:mail.example.test/24//64 ip4:192.0.2.0/24 ip6:2001:db8::/32 ~ALL",
            "v=spf1 include:_spf.example.net exists:%{i}._spf.%{d2} redirect=_spf.example.net",
            "v=spf1 a/24 mx//64 ptr exp=explain.%{d} unknown=x -all",
            "v=spf1 exists:%{ir}.%{l1r-}.%%.%_.%-.example.net -all",
        ] {
            assert!(Record::parse(text).is_ok(), "{text}: {:?}", Record::parse(text));
        }
    }

    #[test]
    fn every_mistake_names_its_term() {
        for (text, expected) in [
            ("v=spf1 ipv4:192.0.2.1 -all", "`ipv4:192.0.2.1` is no term; `ip4:` is meant"),
            ("v=spf1 ip4=192.0.2.1 -all", "`ip4=192.0.2.1` has `=` where a colon belongs"),
            ("v=spf1 ip4:192.0.2.256 -all", "`ip4:192.0.2.256` holds no address of its family"),
            ("v=spf1 ip4:192.0.2.1/33 -all", "`ip4:192.0.2.1/33` has a wrong prefix length"),
            ("v=spf1 ip6:192.0.2.1 -all", "`ip6:192.0.2.1` holds no address of its family"),
            ("v=spf1 include -all", "`include` lacks what belongs behind a colon"),
            ("v=spf1 include:localhost -all", "`localhost` is no domain name"),
            ("v=spf1 all:x", "`all:x` is no term"),
            ("v=spf1 exists:%{q}.example.net", "`%{q}.example.net` holds a macro that cannot be read"),
            ("v=spf1 exists:%x.example.net", "`%x.example.net` holds a macro that cannot be read"),
            ("v=spf1 -all v=spf1 mx -all", "`v=spf1` stands in the middle: two records were joined"),
            ("v=spf1 redirect=a.test redirect=b.test", "`redirect` stands twice"),
            ("v=spf1\tmx -all", "terms are parted by something other than spaces"),
            ("v=spf1 \u{2013}all", "it holds characters outside ASCII"),
            ("v=spf1 -al", "`-al` is no term"),
        ] {
            assert_eq!(Record::parse(text).unwrap_err(), expected, "{text}");
        }
        assert!(Record::parse(&format!("v=spf1 {}", "mx ".repeat(300))).is_err());
    }

    #[test]
    fn what_stands_behind_all_is_seen() {
        let behind = |text: &str| Record::parse(text).unwrap().has_terms_behind_all();
        assert!(behind("v=spf1 -all mx"));
        assert!(behind("v=spf1 redirect=a.test -all"));
        assert!(!behind("v=spf1 mx -all exp=a.test"));
        assert!(!behind("v=spf1 mx redirect=a.test"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_ends_the_reader(text in "v=spf1 [ -~]{0,200}") {
            let _ = Record::parse(&text);
        }
    }
}
