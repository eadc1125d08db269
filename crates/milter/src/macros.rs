//! Macros: names with values that the MTA tells before a command, kept per stage and bounded.
//!
//! Keeping them per stage is what stops the queue id of one message, or the recipient of one RCPT, from being
//! read at the next. Macros of the connection stay until the connection ends.

use thiserror::Error;

use crate::command::MacroList;
use crate::stage::{STAGES, Stage};

/// How much a peer may make a session remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MacroLimits {
    /// Macros at one stage.
    pub per_stage: usize,
    /// Octets of names and values over all stages.
    pub total_octets: usize,
}

impl Default for MacroLimits {
    /// Sendmail sends at most 50 per stage. Real lists take a few hundred octets.
    fn default() -> Self {
        Self { per_stage: 64, total_octets: 16 * 1024 }
    }
}

/// The peer sent more macros than a session remembers. Dropping some could hide who authenticated, so the
/// connection is given up instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MacroError {
    /// Too many in one list.
    #[error("the MTA sent more than {0} macros for one stage")]
    TooMany(usize),
    /// Too many octets together.
    #[error("the MTA sent macros of more than {0} octets")]
    TooLong(usize),
}

/// The macros of one session.
#[derive(Debug, Default)]
pub struct Macros {
    /// Per stage, the name-value pairs as they came.
    lists: [Vec<u8>; STAGES],
    /// Stages whose list arrived and whose command has not come yet, one bit each.
    announced: u16,
}

impl Macros {
    /// Remembers a list, instead of the one its stage had.
    ///
    /// # Errors
    /// The list breaks a limit.
    pub fn store(&mut self, list: &MacroList<'_>, limits: &MacroLimits) -> Result<(), MacroError> {
        // A list for a command that is no stage (the end of a session, versions to come) can mean nothing to
        // us.
        let Some(stage) = Stage::from_code(list.command) else { return Ok(()) };
        if list.iter().nth(limits.per_stage).is_some() {
            return Err(MacroError::TooMany(limits.per_stage));
        }
        let kept = self.octets() - self.lists[stage as usize].len();
        if kept + list.pairs.len() > limits.total_octets {
            return Err(MacroError::TooLong(limits.total_octets));
        }
        let slot = &mut self.lists[stage as usize];
        slot.clear();
        slot.extend_from_slice(list.pairs);
        self.announced |= bit(stage);
        Ok(())
    }

    /// The value of a macro as seen from `stage`: its own list first, then the earlier ones back to the
    /// connection. What one recipient brought is visible at RCPT only.
    ///
    /// `name` may be written with or without braces.
    #[must_use]
    pub fn value(&self, stage: Stage, name: &[u8]) -> Option<&[u8]> {
        visible_from(stage).find_map(|scope| self.value_at(scope, name))
    }

    /// The value of a macro in the list of exactly this stage.
    #[must_use]
    pub fn value_at(&self, stage: Stage, name: &[u8]) -> Option<&[u8]> {
        let list = MacroList { command: stage.code(), pairs: &self.lists[stage as usize] };
        let wanted = bare_name(name);
        list.iter().find(|(name, _)| bare_name(name) == wanted).map(|(_, value)| value)
    }

    /// The MTA's queue id, from wherever it was last told for this message. Postfix knows none before its
    /// first accepted recipient.
    #[must_use]
    pub fn queue_id(&self) -> Option<&[u8]> {
        let newest_first = MESSAGE_STAGES.iter().rev();
        newest_first.filter_map(|stage| self.value_at(*stage, b"i")).find(|id| !id.is_empty())
    }

    /// A command of this stage arrived: a list that was not announced for it is that of an earlier command.
    pub(crate) fn begin(&mut self, stage: Stage) {
        let tied_to_one_command = matches!(stage, Stage::Connect | Stage::Helo | Stage::Mail | Stage::Rcpt);
        if tied_to_one_command && self.announced & bit(stage) == 0 {
            self.lists[stage as usize].clear();
        }
        self.announced &= !bit(stage);
    }

    /// Forgets the message. The list of a MAIL that was announced and has not been taken yet is that of the
    /// next message, and stays.
    pub(crate) fn end_message(&mut self) {
        for stage in MESSAGE_STAGES {
            if stage != Stage::Mail || self.announced & bit(Stage::Mail) == 0 {
                self.clear(stage);
            }
        }
    }

    /// Forgets the connection, but for what was announced for the next one.
    pub(crate) fn end_connection(&mut self) {
        self.end_message();
        for stage in [Stage::Connect, Stage::Helo, Stage::Unknown] {
            if self.announced & bit(stage) == 0 {
                self.clear(stage);
            }
        }
    }

    fn clear(&mut self, stage: Stage) {
        self.lists[stage as usize].clear();
        self.announced &= !bit(stage);
    }

    fn octets(&self) -> usize {
        self.lists.iter().map(Vec::len).sum()
    }
}

/// In the order of the conversation.
const MESSAGE_STAGES: [Stage; 7] = [
    Stage::Mail,
    Stage::Rcpt,
    Stage::Data,
    Stage::Header,
    Stage::EndOfHeaders,
    Stage::Body,
    Stage::EndOfMessage,
];

const fn bit(stage: Stage) -> u16 {
    1 << stage as u16
}

fn visible_from(stage: Stage) -> impl Iterator<Item = Stage> {
    let message = MESSAGE_STAGES
        .into_iter()
        .rev()
        .filter(move |scope| stage.is_message() && *scope < stage && !matches!(scope, Stage::Rcpt));
    let connection = [Stage::Helo, Stage::Connect].into_iter().filter(move |scope| *scope < stage);
    std::iter::once(stage).chain(message).chain(connection)
}

fn bare_name(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(macros: &mut Macros, command: u8, pairs: &[u8]) {
        macros.store(&MacroList { command, pairs }, &MacroLimits::default()).unwrap();
    }

    #[test]
    fn later_stages_see_earlier_ones_but_not_the_other_way_round() {
        let mut macros = Macros::default();
        store(&mut macros, b'C', b"j\0mx\0{daemon_name}\0smtpd\0");
        store(&mut macros, b'M', b"{mail_addr}\0a@b\0");
        assert_eq!(macros.value(Stage::EndOfMessage, b"{mail_addr}"), Some(&b"a@b"[..]));
        assert_eq!(macros.value(Stage::EndOfMessage, b"daemon_name"), Some(&b"smtpd"[..]));
        assert_eq!(macros.value(Stage::Mail, b"j"), Some(&b"mx"[..]));
        assert_eq!(macros.value(Stage::Connect, b"mail_addr"), None);
        assert_eq!(macros.value(Stage::Unknown, b"mail_addr"), None);
    }

    #[test]
    fn what_a_recipient_brought_is_not_seen_at_the_next() {
        let mut macros = Macros::default();
        store(&mut macros, b'R', b"{rcpt_addr}\0one\0");
        macros.begin(Stage::Rcpt);
        assert_eq!(macros.value(Stage::Rcpt, b"rcpt_addr"), Some(&b"one"[..]));
        assert_eq!(macros.value(Stage::EndOfMessage, b"rcpt_addr"), None);
        macros.begin(Stage::Rcpt);
        assert_eq!(macros.value(Stage::Rcpt, b"rcpt_addr"), None);
    }

    #[test]
    fn a_bare_list_clears_its_stage() {
        let mut macros = Macros::default();
        store(&mut macros, b'H', b"{tls_version}\0TLSv1.3\0");
        store(&mut macros, b'H', b"");
        assert_eq!(macros.value(Stage::Helo, b"tls_version"), None);
    }

    #[test]
    fn the_queue_id_goes_with_its_message() {
        let mut macros = Macros::default();
        store(&mut macros, b'C', b"j\0mx\0");
        store(&mut macros, b'R', b"i\0Q1\0");
        store(&mut macros, b'L', b"i\0Q2\0");
        assert_eq!(macros.queue_id(), Some(&b"Q2"[..]));
        macros.end_message();
        assert_eq!(macros.queue_id(), None);
        assert_eq!(macros.value(Stage::Mail, b"j"), Some(&b"mx"[..]));
    }

    #[test]
    fn an_announced_mail_survives_the_end_of_the_message_before() {
        let mut macros = Macros::default();
        store(&mut macros, b'E', b"i\0Q1\0");
        store(&mut macros, b'M', b"i\0Q2\0");
        macros.end_message();
        macros.begin(Stage::Mail);
        assert_eq!(macros.queue_id(), Some(&b"Q2"[..]));
    }

    #[test]
    fn limits_hold() {
        let limits = MacroLimits { per_stage: 2, total_octets: 12 };
        let mut macros = Macros::default();
        let mut store = |command, pairs: &[u8]| macros.store(&MacroList { command, pairs }, &limits);
        assert_eq!(store(b'M', b"a\0\0b\0\0c\0\0"), Err(MacroError::TooMany(2)));
        assert_eq!(store(b'M', b"a\0\0b\0\0"), Ok(()));
        assert_eq!(store(b'M', b"a\x001\0b\x002\0"), Ok(()), "a replaced list does not count");
        assert_eq!(store(b'R', b"a\x001\x002\0"), Err(MacroError::TooLong(12)));
        assert_eq!(store(b'?', b"whatever it is that an MTA of the future may tell\0"), Ok(()));
    }
}
