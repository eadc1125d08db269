//! Rules as Roundcube writes and disables them.
//!
//! An enabled rule is `# rule:[NAME]`, then `if TEST` on one line, then a block. A disabled one begins with
//! `if false # TEST`: the test becomes a comment up to the end of its line.

use super::insertion;
use super::proof::{Change, Fate};
use crate::Dialect;
use crate::parser::parse;
use crate::ui::Ui;

const DISABLED: &[u8] = b"false # ";

/// The change that disables the rule around `offset`; none when there is no such rule.
pub(super) fn rule_change(script: &[u8], dialect: Dialect, offset: usize) -> Option<Change> {
    let tree = parse(script, dialect);
    let rule = Ui::of("", script, &tree).rule_at(offset)?;
    let around = |id: &u32| {
        let command = &tree.commands[*id as usize];
        command.start <= offset && offset < command.end
    };
    let command = &tree.commands[tree.block(tree.first).find(around)? as usize];
    let is_if = tree.text(script, command.name).eq_ignore_ascii_case(b"if") && command.has_block;
    let test = &tree.tests[command.test? as usize];
    let opening = tree.tokens.iter().find(|token| token.start >= test.end && token.bytes(script) == b"{")?;
    let one_line = !script[test.start..test.end].contains(&b'\n');
    let own_line = script[test.end..opening.start].contains(&b'\n');
    (rule.ui == "roundcube" && is_if && one_line && own_line).then(|| Change {
        edits: vec![insertion(test.start, DISABLED)],
        dying: command.start..command.end,
        fate: Fate::RuleOff { block: opening.end },
    })
}
