//! The commands and tests that are known, with their arguments and the capability each needs.

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    String,
    Strings,
    Number,
}

use Takes::{Nothing, Number, String as Text, Strings};

/// A tagged argument: name without colon, capability it needs (empty for none), what follows it.
pub(crate) type TagRow = (&'static str, &'static str, Takes);

/// The tests a command or test takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inner {
    None,
    One,
    List,
}

/// A command or a test.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    /// Any one of these allows it; empty for the base language.
    pub(crate) capabilities: &'static [&'static str],
    pub(crate) tags: &'static [&'static [TagRow]],
    pub(crate) positional: &'static [Takes],
    /// How many of the positional arguments may be missing: leading ones for the flag commands and
    /// `specialuse_exists`, trailing ones elsewhere.
    pub(crate) optional: usize,
    pub(crate) inner: Inner,
    pub(crate) block: bool,
}

const fn plain(
    name: &'static str,
    capabilities: &'static [&'static str],
    tags: &'static [&'static [TagRow]],
    positional: &'static [Takes],
) -> Signature {
    Signature { name, capabilities, tags, positional, optional: 0, inner: Inner::None, block: false }
}

const fn optional(signature: Signature, count: usize) -> Signature {
    Signature { optional: count, ..signature }
}

const fn control(name: &'static str, inner: Inner) -> Signature {
    Signature { inner, block: true, ..plain(name, &[], &[], &[]) }
}

const COPY: &[TagRow] = &[("copy", "copy", Nothing)];
const FLAGS: &[TagRow] = &[("flags", "imap4flags", Strings)];
const FCC: &[TagRow] = &[("fcc", "fcc", Text)];
/// RFC 6009 and RFC 8580.
const DELIVERY: &[TagRow] = &[
    ("notify", "redirect-dsn", Text),
    ("ret", "redirect-dsn", Text),
    ("bytimerelative", "redirect-deliverby", Number),
    ("bytimeabsolute", "redirect-deliverby", Text),
    ("bymode", "redirect-deliverby", Text),
    ("bytrace", "redirect-deliverby", Nothing),
    ("list", "extlists", Nothing),
];
const FOLDER: &[TagRow] =
    &[("create", "mailbox", Nothing), ("specialuse", "special-use", Text), ("mailboxid", "mailboxid", Text)];
const MATCH: &[TagRow] = &[
    ("is", "", Nothing),
    ("contains", "", Nothing),
    ("matches", "", Nothing),
    ("regex", "regex", Nothing),
    ("list", "extlists", Nothing),
    ("count", "relational", Text),
    ("value", "relational", Text),
    ("comparator", "", Text),
];
const PART: &[TagRow] = &[
    ("all", "", Nothing),
    ("localpart", "", Nothing),
    ("domain", "", Nothing),
    ("user", "subaddress", Nothing),
    ("detail", "subaddress", Nothing),
];
const INDEX: &[TagRow] = &[("index", "index", Number), ("last", "index", Nothing)];
/// RFC 5293 §5 brings its own, without the index capability.
const HEADER_INDEX: &[TagRow] = &[("index", "", Number), ("last", "", Nothing)];
const MIME: &[TagRow] = &[("mime", "mime", Nothing), ("anychild", "mime", Nothing)];
/// RFC 5703 §4.1: of the header test alone.
const MIME_OPTIONS: &[TagRow] = &[
    ("type", "mime", Nothing),
    ("subtype", "mime", Nothing),
    ("contenttype", "mime", Nothing),
    ("param", "mime", Strings),
];
const ZONE: &[TagRow] = &[("zone", "", Text)];
const ORIGINAL_ZONE: &[TagRow] = &[("originalzone", "", Nothing)];
const VACATION: &[TagRow] = &[
    ("days", "", Number),
    ("seconds", "vacation-seconds", Number),
    ("subject", "", Text),
    ("from", "", Text),
    ("addresses", "", Strings),
    ("mime", "", Nothing),
    ("handle", "", Text),
];
const NOTIFY: &[TagRow] = &[
    ("from", "enotify", Text),
    ("importance", "enotify", Text),
    ("message", "", Text),
    ("options", "", Strings),
    ("method", "notify", Text),
    ("id", "notify", Text),
    ("low", "notify", Nothing),
    ("normal", "notify", Nothing),
    ("high", "notify", Nothing),
];
/// The draft lets a match type and its key name the notification.
const DENOTIFY: &[TagRow] = &[
    ("is", "", Text),
    ("contains", "", Text),
    ("matches", "", Text),
    ("low", "", Nothing),
    ("normal", "", Nothing),
    ("high", "", Nothing),
];
const SET: &[TagRow] = &[
    ("lower", "", Nothing),
    ("upper", "", Nothing),
    ("lowerfirst", "", Nothing),
    ("upperfirst", "", Nothing),
    ("quotewildcard", "", Nothing),
    ("quoteregex", "regex", Nothing),
    ("encodeurl", "enotify", Nothing),
    ("length", "", Nothing),
];
const INCLUDE: &[TagRow] =
    &[("personal", "", Nothing), ("global", "", Nothing), ("once", "", Nothing), ("optional", "", Nothing)];
const EXECUTE: &[TagRow] = &[("input", "", Text), ("pipe", "", Nothing), ("output", "variables", Text)];
const SNOOZE: &[TagRow] = &[
    ("mailbox", "", Text),
    ("addflags", "", Strings),
    ("removeflags", "", Strings),
    ("weekdays", "", Strings),
    ("tzid", "", Text),
];
const CALENDAR: &[TagRow] = &[
    ("allowpublic", "", Nothing),
    ("addresses", "", Strings),
    ("updatesonly", "", Nothing),
    ("calendarid", "", Text),
    ("invitesonly", "", Nothing),
    ("deletecancelled", "", Nothing),
    ("deletecanceled", "", Nothing),
    ("organizers", "", Text),
    ("outcome", "", Text),
    ("reason", "", Text),
    ("errstr", "", Text),
];
const DUPLICATE: &[TagRow] = &[
    ("header", "", Text),
    ("uniqueid", "", Text),
    ("handle", "", Text),
    ("seconds", "", Number),
    ("last", "", Nothing),
];

/// Sorted by name, for binary search.
static COMMANDS: &[Signature] = &[
    optional(plain("addflag", &["imap4flags", "imapflags"], &[], &[Text, Strings]), 1),
    plain("addheader", &["editheader"], &[&[("last", "", Nothing)]], &[Text, Text]),
    plain("break", &["foreverypart"], &[&[("name", "", Text)]], &[]),
    plain("convert", &["convert"], &[], &[Text, Text, Strings]),
    plain("debug_log", &["vnd.dovecot.debug"], &[], &[Text]),
    optional(plain("deleteheader", &["editheader"], &[HEADER_INDEX, MATCH], &[Strings, Strings]), 1),
    plain("denotify", &["notify"], &[DENOTIFY], &[]),
    Signature { capabilities: &["zimbra"], ..control("disabled_if", Inner::One) },
    plain("discard", &[], &[], &[]),
    control("else", Inner::None),
    control("elsif", Inner::One),
    plain("enclose", &["enclose"], &[&[("subject", "", Text), ("headers", "", Strings)]], &[Text]),
    plain("ereject", &["ereject"], &[], &[Text]),
    plain("error", &["ihave"], &[], &[Text]),
    plain("eval", &["vnd.stalwart.expressions"], &[], &[Text]),
    optional(plain("execute", &["vnd.dovecot.execute"], &[EXECUTE], &[Text, Strings]), 1),
    plain("expire", &["vnd.proton.expire"], &[], &[Text, Text]),
    plain("extracttext", &["extracttext"], &[SET, &[("first", "", Number)]], &[Text]),
    plain("fileinto", &["fileinto"], &[COPY, FLAGS, FOLDER], &[Text]),
    optional(plain("filter", &["vnd.dovecot.filter"], &[], &[Text, Strings]), 1),
    plain("flag", &["flag"], &[], &[Text]),
    Signature { block: true, ..plain("foreverypart", &["foreverypart"], &[&[("name", "", Text)]], &[]) },
    plain("global", &["include"], &[], &[Strings]),
    control("if", Inner::One),
    plain("implicit_keep_target", &["vnd.cyrus.implicit_keep_target"], &[FLAGS, FOLDER], &[Text]),
    plain("include", &["include"], &[INCLUDE], &[Text]),
    plain("keep", &[], &[FLAGS], &[]),
    plain("let", &["vnd.stalwart.expressions"], &[], &[Text, Text]),
    plain("log", &["vnd.cyrus.log", "log"], &[], &[Text]),
    plain("mark", &["imapflags"], &[], &[]),
    optional(plain("notify", &["enotify", "notify"], &[NOTIFY, FCC, FOLDER, FLAGS], &[Text]), 1),
    optional(plain("pipe", &["vnd.dovecot.pipe"], &[COPY, &[("try", "", Nothing)]], &[Text, Strings]), 1),
    plain("processcalendar", &["processcalendar"], &[CALENDAR], &[]),
    plain("processimip", &["vnd.cyrus.imip"], &[CALENDAR], &[]),
    plain("redirect", &[], &[COPY, DELIVERY], &[Text]),
    plain("reject", &["reject"], &[], &[Text]),
    optional(plain("removeflag", &["imap4flags", "imapflags"], &[], &[Text, Strings]), 1),
    plain(
        "replace",
        &["replace"],
        &[&[("mime", "", Nothing), ("subject", "", Text), ("from", "", Text)]],
        &[Text],
    ),
    plain(
        "replaceheader",
        &["editheader", "replaceheader"],
        &[&[("newname", "", Text), ("newvalue", "", Text)], HEADER_INDEX, MATCH],
        &[Text, Strings],
    ),
    plain("reply", &["reply"], &[], &[Text]),
    plain("report", &["vnd.dovecot.report"], &[&[("headers_only", "", Nothing)]], &[Text, Text, Text]),
    plain("require", &[], &[], &[Strings]),
    plain("return", &["include"], &[], &[]),
    plain("set", &["variables"], &[SET], &[Text, Text]),
    optional(plain("setflag", &["imap4flags", "imapflags"], &[], &[Text, Strings]), 1),
    plain("snooze", &["snooze", "vnd.cyrus.snooze"], &[SNOOZE, FOLDER], &[Strings]),
    plain("stop", &[], &[], &[]),
    plain("tag", &["tag"], &[], &[Text]),
    plain("unexpire", &["vnd.proton.expire"], &[], &[]),
    plain("unmark", &["imapflags"], &[], &[]),
    plain("vacation", &["vacation", "vacation-seconds"], &[VACATION, FCC, FOLDER, FLAGS], &[Text]),
];

static TESTS: &[Signature] = &[
    plain("address", &[], &[MATCH, PART, INDEX, MIME], &[Strings, Strings]),
    Signature { inner: Inner::List, ..plain("allof", &[], &[], &[]) },
    Signature { inner: Inner::List, ..plain("anyof", &[], &[], &[]) },
    plain(
        "body",
        &["body"],
        &[MATCH, &[("raw", "", Nothing), ("text", "", Nothing), ("content", "", Strings)]],
        &[Strings],
    ),
    plain("currentdate", &["date"], &[MATCH, ZONE], &[Text, Strings]),
    plain("date", &["date"], &[MATCH, ZONE, ORIGINAL_ZONE, INDEX], &[Text, Text, Strings]),
    plain("duplicate", &["duplicate", "vnd.dovecot.duplicate"], &[DUPLICATE], &[]),
    plain("envelope", &["envelope"], &[MATCH, PART], &[Strings, Strings]),
    plain("environment", &["environment"], &[MATCH], &[Text, Strings]),
    optional(plain("execute", &["vnd.dovecot.execute"], &[EXECUTE], &[Text, Strings]), 1),
    plain("exists", &[], &[MIME], &[Strings]),
    plain("false", &[], &[], &[]),
    optional(plain("filter", &["vnd.dovecot.filter"], &[], &[Text, Strings]), 1),
    optional(plain("hasflag", &["imap4flags"], &[MATCH], &[Strings, Strings]), 1),
    plain("header", &[], &[MATCH, INDEX, MIME, MIME_OPTIONS], &[Strings, Strings]),
    plain("ihave", &["ihave"], &[], &[Strings]),
    plain("jmapquery", &["vnd.cyrus.jmapquery"], &[], &[Text]),
    plain("mailboxexists", &["mailbox"], &[], &[Strings]),
    plain("mailboxidexists", &["mailboxid"], &[], &[Strings]),
    plain("metadata", &["mboxmetadata"], &[MATCH], &[Text, Text, Strings]),
    plain("metadataexists", &["mboxmetadata"], &[], &[Text, Strings]),
    Signature { inner: Inner::One, ..plain("not", &[], &[], &[]) },
    plain("notify_method_capability", &["enotify"], &[MATCH], &[Text, Text, Strings]),
    plain("servermetadata", &["servermetadata"], &[MATCH], &[Text, Strings]),
    plain("servermetadataexists", &["servermetadata"], &[], &[Strings]),
    plain("size", &[], &[&[("over", "", Nothing), ("under", "", Nothing)]], &[Number]),
    plain(
        "spamtest",
        &["spamtest", "spamtestplus"],
        &[MATCH, &[("percent", "spamtestplus", Nothing)]],
        &[Text],
    ),
    optional(plain("specialuse_exists", &["special-use"], &[], &[Text, Strings]), 1),
    plain("string", &["variables"], &[MATCH], &[Strings, Strings]),
    plain("true", &[], &[], &[]),
    plain("valid_ext_list", &["extlists"], &[], &[Strings]),
    plain("valid_notify_method", &["enotify"], &[], &[Strings]),
    plain("virustest", &["virustest"], &[MATCH], &[Text]),
];

/// What every Pigeonhole has unless its administrator took it away.
const PIGEONHOLE_DEFAULT: &[&str] = &[
    "fileinto",
    "reject",
    "envelope",
    "encoded-character",
    "vacation",
    "subaddress",
    "comparator-i;octet",
    "comparator-i;ascii-casemap",
    "comparator-i;ascii-numeric",
    "relational",
    "regex",
    "imap4flags",
    "copy",
    "include",
    "variables",
    "body",
    "enotify",
    "environment",
    "mailbox",
    "date",
    "index",
    "ihave",
    "duplicate",
    "mime",
    "foreverypart",
    "extracttext",
];

/// What Pigeonhole ships but does not switch on by itself.
const PIGEONHOLE_OPTIONAL: &[&str] = &[
    "ereject",
    "vacation-seconds",
    "imapflags",
    "notify",
    "editheader",
    "spamtest",
    "spamtestplus",
    "virustest",
    "mboxmetadata",
    "servermetadata",
    "special-use",
    "imapsieve",
    "extlists",
    "vnd.dovecot.duplicate",
    "vnd.dovecot.pipe",
    "vnd.dovecot.filter",
    "vnd.dovecot.execute",
    "vnd.dovecot.report",
    "vnd.dovecot.debug",
    "vnd.dovecot.environment",
    "vnd.dovecot.config",
    "vnd.dovecot.imapsieve",
];

fn pigeonhole() -> impl Iterator<Item = &'static str> {
    PIGEONHOLE_DEFAULT.iter().chain(PIGEONHOLE_OPTIONAL).copied()
}

/// Whether Pigeonhole has a capability of that name.
pub(crate) fn pigeonhole_knows(capability: &[u8]) -> bool {
    pigeonhole().any(|known| known.as_bytes() == capability)
}

/// Whether Pigeonhole has it switched on unless told otherwise.
pub(crate) fn pigeonhole_enables(capability: &[u8]) -> bool {
    PIGEONHOLE_DEFAULT.iter().any(|known| known.as_bytes() == capability)
}

/// Whether the name is a known capability but for its letters' case; capabilities are case-sensitive.
pub(crate) fn differs_only_in_case(capability: &[u8]) -> bool {
    !pigeonhole_knows(capability)
        && pigeonhole().any(|known| known.as_bytes().eq_ignore_ascii_case(capability))
}

/// RFC 5228 §2.4.1, in 64 bits.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    let (digits, shift) = match text.split_last() {
        Some((b'k' | b'K', digits)) => (digits, 10),
        Some((b'm' | b'M', digits)) => (digits, 20),
        Some((b'g' | b'G', digits)) => (digits, 30),
        _ => (text, 0),
    };
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    number.checked_mul(1 << shift)
}

/// Every command, by name.
pub(crate) fn commands() -> &'static [Signature] {
    COMMANDS
}

/// Every test, by name.
pub(crate) fn tests() -> &'static [Signature] {
    TESTS
}

pub(crate) fn command(name: &[u8], fold: bool) -> Option<&'static Signature> {
    find(COMMANDS, name, fold)
}

pub(crate) fn test(name: &[u8], fold: bool) -> Option<&'static Signature> {
    find(TESTS, name, fold)
}

fn find(table: &'static [Signature], name: &[u8], fold: bool) -> Option<&'static Signature> {
    let lowered = |byte: &u8| if fold { byte.to_ascii_lowercase() } else { *byte };
    let order = |row: &Signature| row.name.bytes().cmp(name.iter().map(lowered));
    table.binary_search_by(order).ok().map(|at| &table[at])
}

impl Signature {
    /// The tag of that name, colon not included.
    pub(crate) fn tag(&self, name: &[u8], fold: bool) -> Option<&'static TagRow> {
        let same = |known: &str| {
            if fold { known.as_bytes().eq_ignore_ascii_case(name) } else { known.as_bytes() == name }
        };
        self.tags.iter().flat_map(|group| group.iter()).find(|row| same(row.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_so_that_search_finds_every_row() {
        for table in [COMMANDS, TESTS] {
            for row in table {
                let found = find(table, row.name.to_ascii_uppercase().as_bytes(), true);
                assert_eq!(found.map(|found| found.name), Some(row.name));
            }
        }
        assert!(command(b"REDIRECT", false).is_none());
    }

    #[test]
    fn the_default_capabilities_are_known_ones() {
        assert!(
            pigeonhole_enables(b"fileinto") && pigeonhole_enables(b"regex") && pigeonhole_enables(b"mime")
        );
        assert!(!pigeonhole_enables(b"editheader") && !pigeonhole_enables(b"ereject"));
        assert!(differs_only_in_case(b"COPY") && !differs_only_in_case(b"copy"));
    }
}
