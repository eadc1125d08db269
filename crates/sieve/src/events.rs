//! What a script learns about the IMAP event that runs it (RFC 6785 §4.3).

use crate::arguments::Bound;
use crate::evaluator::Run;
use crate::matching::Comparator;
use crate::matching::MatchType;
use crate::outcomes::{Outcome, match_type};
use crate::store::MatchState;
use crate::value::Value;

/// RFC 6785 §4.3.1.
const CAUSES: [&[u8]; 3] = [b"APPEND", b"COPY", b"FLAG"];

impl Run<'_, '_> {
    /// Decided where every event of the folder gives the same answer.
    pub(crate) fn event_environment(&mut self, bound: &Bound<'_>) -> Option<Outcome> {
        let folder = self.world.event_folder?;
        let item = self.argument(bound.at(0)?);
        let item = item.as_constant()?.to_ascii_lowercase();
        let possible: Vec<Value> = match item.as_slice() {
            b"imap.cause" => CAUSES.iter().map(|cause| Value::constant(cause)).collect(),
            b"imap.mailbox" => vec![Value::constant(folder.as_bytes())],
            _ => return None,
        };
        let keys = self.members(bound.at(1)?);
        let answers: Vec<bool> = possible
            .iter()
            .map(|value| {
                let decided =
                    self.decide(std::slice::from_ref(value), &keys, bound, Comparator::AsciiCasemap);
                decided.map(|captured| captured.is_some())
            })
            .collect::<Option<_>>()?;
        match (answers.iter().all(|holds| *holds), answers.iter().any(|holds| *holds)) {
            (true, _) => {
                if matches!(match_type(bound), MatchType::Matches | MatchType::Regex) {
                    self.state.matches = MatchState::UNSURE;
                }
                Some(Outcome::True)
            }
            (_, false) => Some(Outcome::False),
            _ => None,
        }
    }
}
