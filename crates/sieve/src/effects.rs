//! What a script can do: the records that analysis hands out.

use crate::span::Span;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal),+ $(,)?) => {
        /// What an effect does, named as the standard names the action.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EffectKind { $($(#[$doc])* $kind),+ }

        impl EffectKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The name used in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),+ }
            }

            /// The kind of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.name() == name)
            }
        }
    };
}

kinds! {
    /// RFC 5228 §4.2, RFC 3894: the message goes to another address.
    Redirect = "redirect",
    /// RFC 5435 and the older draft: a notification goes out.
    Notify = "notify",
    /// The older notify draft: notifications are withdrawn.
    Denotify = "denotify",
    /// RFC 5230: the sender gets an automatic answer.
    Vacation = "vacation",
    /// RFC 5429: the message is refused with a text.
    Reject = "reject",
    /// RFC 5429: the message is refused during SMTP.
    Ereject = "ereject",
    /// RFC 5228 §4.4: the message vanishes.
    Discard = "discard",
    /// RFC 5228 §4.1: the message goes to a folder.
    Fileinto = "fileinto",
    /// RFC 5228 §4.3: the message is kept.
    Keep = "keep",
    /// RFC 5232: flags are set.
    Setflag = "setflag",
    /// RFC 5232: flags are added.
    Addflag = "addflag",
    /// RFC 5232: flags are taken away.
    Removeflag = "removeflag",
    /// The older imapflags draft: the message is flagged.
    Mark = "mark",
    /// The older imapflags draft: the message is unflagged.
    Unmark = "unmark",
    /// vnd.dovecot.pipe: a program receives the message.
    Pipe = "pipe",
    /// vnd.dovecot.filter: a program rewrites the message.
    Filter = "filter",
    /// vnd.dovecot.execute: a program runs.
    Execute = "execute",
    /// vnd.dovecot.report: an abuse report with the message goes out.
    Report = "report",
    /// RFC 5293: a header field is added.
    Addheader = "addheader",
    /// RFC 5293: header fields are removed.
    Deleteheader = "deleteheader",
    /// Zimbra: header fields are rewritten.
    Replaceheader = "replaceheader",
    /// RFC 5703: a MIME part is replaced.
    Replace = "replace",
    /// RFC 5703: the message is wrapped.
    Enclose = "enclose",
    /// RFC 6558: a MIME part is converted.
    Convert = "convert",
    /// RFC 6609: another script runs.
    Include = "include",
    /// draft-ietf-extra-sieve-snooze: the message is hidden until later.
    Snooze = "snooze",
    /// RFC 9671: calendar objects are changed.
    Processcalendar = "processcalendar",
    /// vnd.cyrus.imip: calendar objects are changed.
    Processimip = "processimip",
    /// vnd.cyrus.implicit_keep_target: unfiled mail goes to another folder.
    ImplicitKeepTarget = "implicit_keep_target",
    /// Zimbra: the message is tagged.
    Tag = "tag",
    /// Zimbra: the message is flagged.
    Flag = "flag",
    /// Zimbra: the sender gets an answer.
    Reply = "reply",
    /// vnd.stalwart.expressions: a variable gets the value of an expression.
    Let = "let",
    /// vnd.stalwart.expressions: an expression is run for its effects.
    Eval = "eval",
    /// vnd.proton.expire: the message is deleted later.
    Expire = "expire",
    /// vnd.proton.expire: the deletion is called off.
    Unexpire = "unexpire",
    /// vnd.dovecot.debug: text goes to the log.
    DebugLog = "debug_log",
    /// vnd.cyrus.log: text goes to the log.
    Log = "log",
    /// Something this library does not understand: assume anything.
    Unknown = "unknown",
}

macro_rules! named {
    ($(#[$outer:meta])* $type:ident { $($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type { $($(#[$doc])* $variant),+ }

        impl $type {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name used in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

impl EffectKind {
    /// Whether it happens when the engine gets there, and is not undone by a failure behind it: programs run
    /// and logs are written at once (measured), and what is not understood may be of that kind.
    pub(crate) fn is_immediate(self) -> bool {
        use EffectKind::{DebugLog, Eval, Execute, Filter, Include, Log, Unknown};
        matches!(self, DebugLog | Eval | Execute | Filter | Include | Log | Unknown)
    }
}

named! {
    /// How well the targets are known.
    Form {
        /// Every target is known, and all of them apply.
        Exact = "exact",
        /// One or some of a known, finite set.
        Set = "set",
        /// Known text around parts that only a message, or the server, fills in.
        Template = "template",
        /// An external list (RFC 6134) whose members are stored elsewhere.
        List = "list",
        /// Nothing useful is known.
        Unbounded = "unbounded",
    }
}

named! {
    /// Whether the engine gets there.
    Reach {
        /// On every message.
        Always = "always",
        /// On some messages.
        Conditional = "conditional",
        /// On none: after `stop`, under `if false`, or the like.
        Dead = "dead",
        /// The script is not the active one, and no active script includes it.
        Inactive = "inactive",
    }
}

named! {
    /// Whether, when the effect happens, the owner's store also receives the message: by implicit keep,
    /// `keep` or `fileinto`.
    LocalCopy {
        /// Always.
        Kept = "kept",
        /// Never.
        Lost = "lost",
        /// On some messages only, or not known.
        Depends = "depends",
    }
}

named! {
    /// What a target is to its effect.
    Role {
        /// An address that receives something.
        Recipient = "recipient",
        /// The same by `cc`.
        Cc = "cc",
        /// The same by `bcc`.
        Bcc = "bcc",
        /// An address `vacation` answers for.
        AnswersFor = "answers_for",
        /// The sender that is shown.
        From = "from",
        /// A folder.
        Mailbox = "mailbox",
        /// An IMAP flag.
        Flag = "flag",
        /// A program.
        Program = "program",
        /// A header field.
        Header = "header",
        /// A script.
        Script = "script",
        /// An external list.
        List = "list",
        /// Another URI or method of notification.
        Method = "method",
        /// An unknown command or region.
        Code = "code",
    }
}

named! {
    /// What a condition on the way to an effect asks about.
    ConditionClass {
        /// Who sent the message.
        Sender = "sender",
        /// To whom it was sent.
        Recipient = "recipient",
        /// What it says.
        Keyword = "keyword",
        /// How large it is.
        Size = "size",
        /// What time it is.
        Time = "time",
        /// The server, the mailbox, its flags, or what came before.
        Environment = "environment",
        /// A test this library does not know.
        Other = "other",
    }
}

named! {
    /// Whether the program that wrote a script shows an effect to its user.
    Visible {
        /// It does.
        Yes = "yes",
        /// It does not.
        No = "no",
        /// That cannot be told from the script.
        Unknown = "unknown",
    }
}

/// The days between which an effect can happen, as the script writes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TimeWindow {
    /// It sleeps before.
    pub not_before: Option<String>,
    /// It is over afterwards.
    pub not_after: Option<String>,
}

/// The text that an answer, a refusal or a notification carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Content {
    /// How well the text is known.
    pub form: Form,
    /// Whether parts of the message that is answered are in it.
    pub from_message: bool,
    /// Addresses and links in it.
    pub mentions: Vec<String>,
}

/// A step by which a target came to be what it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    /// The script that holds it; empty for a single unnamed script.
    pub script: String,
    /// Where.
    pub span: Span,
    /// What happens there.
    pub what: &'static str,
}

/// How the program that wrote a script treats an effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UiView {
    /// The program family.
    pub ui: &'static str,
    /// Whether its user sees the effect.
    pub visible: Visible,
    /// Why not, or why that is not known; empty when it is shown.
    pub why: &'static str,
    /// Whether the rule is switched on there.
    pub enabled: bool,
    /// Whether the program writes the script from a database of its own, so that a removed effect comes back.
    pub rewritten: bool,
}

/// Whom or what an effect concerns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The value after evaluation, `${name}` where a part is unknown. Never trusted: escape it to show it.
    pub raw: String,
    /// The bare address, its domain in lower case, when the value holds exactly one.
    pub address: Option<String>,
    /// What it is to the effect.
    pub role: Role,
}

impl Target {
    /// The address where there is one, else the value.
    #[must_use]
    pub fn text(&self) -> &str {
        self.address.as_deref().unwrap_or(&self.raw)
    }
}

/// The name a mail program shows for a rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UiRule {
    /// The program family that writes such rules.
    pub ui: &'static str,
    /// The name as its user sees it.
    pub name: String,
}

/// One thing a script can do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Effect {
    /// A name that survives a new layout of the script: what it does to whom, and which of several alike.
    pub id: String,
    /// What it does.
    pub kind: EffectKind,
    /// Whom or what it concerns.
    pub targets: Vec<Target>,
    /// How well the targets are known.
    pub form: Form,
    /// Whether the engine gets there.
    pub reach: Reach,
    /// Whether the owner's store receives the message too.
    pub local_copy: LocalCopy,
    /// The command, from its name to its `;`, in the script named by `script`.
    pub span: Span,
    /// What the tests passed on the way ask about; empty for always.
    pub classes: Vec<ConditionClass>,
    /// The days between which it can happen.
    pub window: TimeWindow,
    /// The text it sends, where it sends one of its own.
    pub content: Option<Content>,
    /// The steps that made its targets what they are.
    pub steps: Vec<Step>,
    /// When it happens, as normalised text of the tests passed on the way; empty for always.
    pub conditions: String,
    /// The rule as a mail program shows it.
    pub rule_name: Option<UiRule>,
    /// How the program that wrote the script treats it; none when no such program is known.
    pub ui: Option<UiView>,
    /// Whether whoever sends a message chooses a target or part of one.
    pub sender_controlled: bool,
    /// The scripts that led here by `include`, outermost first; empty in the script itself.
    pub via: Vec<String>,
    /// The script that holds the command; empty when a single unnamed script was analysed.
    pub script: String,
}

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The engine refuses the script.
    Error,
    /// The engine accepts it, or may.
    Warning,
}

/// Something wrong or notable in a script.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// Where.
    pub span: Span,
    /// What, in a sentence without the script's own text.
    pub message: String,
}
