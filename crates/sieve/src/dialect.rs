//! The servers whose reading of Sieve is modelled, and where they part ways.
//!
//! One grammar for all servers would be unsound: a script can be silent on one and redirect on another.

use std::fmt;

/// An engine that runs Sieve scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// Pigeonhole, the Sieve of Dovecot.
    Pigeonhole,
    /// Cyrus IMAP.
    Cyrus,
    /// Stalwart.
    Stalwart,
}

impl Dialect {
    /// Every dialect, in the order in which reports name them.
    pub const ALL: [Self; 3] = [Self::Pigeonhole, Self::Cyrus, Self::Stalwart];

    /// The lower-case name used on command lines and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pigeonhole => "pigeonhole",
            Self::Cyrus => "cyrus",
            Self::Stalwart => "stalwart",
        }
    }

    /// The dialect of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name().eq_ignore_ascii_case(name))
    }

    /// RFC 5228 §2.4: identifiers are case-insensitive. Cyrus compares them exactly.
    pub(crate) fn folds_keywords(self) -> bool {
        self != Self::Cyrus
    }

    /// A NUL ends a Cyrus string, because it is a C string there.
    pub(crate) fn nul_ends_strings(self) -> bool {
        self == Self::Cyrus
    }

    /// Cyrus 3.6 ends the script, without an error, at a NUL or a byte beyond ASCII outside strings and
    /// comments.
    pub(crate) fn non_ascii_ends_script(self) -> bool {
        self == Self::Cyrus
    }

    /// Cyrus reads a block comment by longest match, so `**/` does not surely end one.
    pub(crate) fn longest_comments(self) -> bool {
        self == Self::Cyrus
    }

    /// Stalwart lets a backslash protect the next quote even when it is itself protected, and turns
    /// `\n`, `\r`, `\t` into the control characters.
    pub(crate) fn loose_escapes(self) -> bool {
        self == Self::Stalwart
    }

    /// Stalwart decodes encoded characters and expands variables without `require`.
    pub(crate) fn expands_without_require(self) -> bool {
        self == Self::Stalwart
    }

    /// Pigeonhole ends each line of a multi-line string with CRLF.
    pub(crate) fn ends_lines_with_crlf(self) -> bool {
        self == Self::Pigeonhole
    }

    /// Pigeonhole compares only as many letters of `hex` and `unicode` as were written, none included.
    pub(crate) fn abbreviates_encodings(self) -> bool {
        self == Self::Pigeonhole
    }

    /// Where `ihave` is required, Cyrus takes commands and tests it does not know: one that is false may
    /// stand before them (measured).
    pub(crate) fn tolerates_unknown_with_ihave(self) -> bool {
        self == Self::Cyrus
    }

    /// Pigeonhole reads names of capabilities and variables as they stand: nothing in them is decoded or
    /// expanded (measured).
    pub(crate) fn reads_names_raw(self) -> bool {
        self == Self::Pigeonhole
    }

    /// How many digits may name a byte in `${hex:...}`.
    pub(crate) fn hex_digits(self) -> usize {
        if self == Self::Pigeonhole { 2 } else { usize::MAX }
    }

    /// The longest name between dots that `${...}` refers to; longer ones stay text.
    pub(crate) fn variable_name_limit(self) -> usize {
        if self == Self::Pigeonhole { 64 } else { usize::MAX }
    }

    /// The highest match variable that ever holds anything.
    pub(crate) fn match_limit(self) -> usize {
        if self == Self::Pigeonhole { 31 } else { usize::MAX }
    }

    /// Pigeonhole looks at a string only up to a NUL when it names a folder or an address.
    pub(crate) fn nul_ends_targets(self) -> bool {
        self == Self::Pigeonhole
    }

    /// Stalwart ignores what stands between `text:` and the end of its line.
    pub(crate) fn ignores_text_junk(self) -> bool {
        self == Self::Stalwart
    }

    /// How many blocks may enclose a command, where the engine has a limit.
    pub(crate) fn block_limit(self) -> usize {
        match self {
            Self::Pigeonhole => 31,
            Self::Cyrus => usize::MAX,
            Self::Stalwart => 15,
        }
    }

    /// How many tests may stand inside one another, where the engine has a limit.
    pub(crate) fn test_limit(self) -> usize {
        match self {
            Self::Pigeonhole => 31,
            Self::Cyrus | Self::Stalwart => usize::MAX,
        }
    }

    /// How many `foreverypart` may stand inside one another.
    pub(crate) fn loop_limit(self) -> usize {
        match self {
            Self::Pigeonhole => 4,
            Self::Cyrus => usize::MAX,
            Self::Stalwart => 3,
        }
    }

    /// How many redirects one run may make before the engine gives up, where it is known to count; what a
    /// server is told otherwise is not in the script.
    pub(crate) fn redirect_limit(self) -> Option<usize> {
        match self {
            Self::Pigeonhole => Some(4),
            Self::Cyrus => None,
            Self::Stalwart => Some(1),
        }
    }

    /// The longest string, in bytes, that compiles.
    pub(crate) fn string_limit(self) -> usize {
        match self {
            Self::Pigeonhole => 1 << 20,
            Self::Cyrus => usize::MAX,
            Self::Stalwart => 4096,
        }
    }

    /// The longest value a variable can hold before it is cut.
    pub(crate) fn value_limit(self) -> usize {
        match self {
            Self::Pigeonhole => 4096,
            Self::Cyrus | Self::Stalwart => usize::MAX,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
