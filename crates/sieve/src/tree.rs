//! The syntax tree: flat vectors of commands, tests and arguments over the tokens.

use crate::lexer::Token;
use crate::span::LineIndex;
use std::ops::Range;

/// Index of a command in [`Tree::commands`].
pub type CommandId = u32;
/// Index of a test in [`Tree::tests`].
pub type TestId = u32;

/// A parsed script. Never fails: what could not be read is in `errors` and in `unparsed`.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Every token, trivia included.
    pub tokens: Vec<Token>,
    /// Every command, in the order of their first bytes.
    pub commands: Vec<Command>,
    /// Every test, in the order of their first bytes.
    pub tests: Vec<Test>,
    /// The arguments of all commands and tests.
    pub arguments: Vec<Argument>,
    /// Token numbers of the strings in string lists.
    pub strings: Vec<u32>,
    /// The first command of the script.
    pub first: Option<CommandId>,
    /// What is wrong with the grammar.
    pub errors: Vec<SyntaxError>,
    /// Byte ranges that belong to no understood command.
    pub unparsed: Vec<Range<usize>>,
    /// Lines and columns.
    pub lines: LineIndex,
}

/// A deviation from the grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Offset of the first byte concerned.
    pub start: usize,
    /// Offset after the last.
    pub end: usize,
    /// What was wrong.
    pub message: &'static str,
}

/// A command: name, arguments, tests, then `;` or a block.
#[derive(Debug, Clone)]
pub struct Command {
    /// Token of the name.
    pub name: u32,
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the `;`, or after the `}` of the block.
    pub end: usize,
    /// Its arguments in [`Tree::arguments`].
    pub arguments: Range<u32>,
    /// Its first test; the others follow by [`Test::next`].
    pub test: Option<TestId>,
    /// Whether its tests stand in parentheses.
    pub listed: bool,
    /// Whether a block follows, even an empty one.
    pub has_block: bool,
    /// The first command inside its block.
    pub block: Option<CommandId>,
    /// The command after this one in the same block.
    pub next: Option<CommandId>,
    /// How many blocks are around it.
    pub depth: u32,
    /// Whether something before the block or the `;` could not be understood.
    pub malformed: bool,
}

/// A test: name, arguments, then tests inside it.
#[derive(Debug, Clone)]
pub struct Test {
    /// Token of the name, none for a bare parenthesis.
    pub name: Option<u32>,
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last.
    pub end: usize,
    /// Its arguments in [`Tree::arguments`].
    pub arguments: Range<u32>,
    /// The first test inside it.
    pub first: Option<TestId>,
    /// Whether the tests inside stand in parentheses.
    pub listed: bool,
    /// The test after this one in the same list.
    pub next: Option<TestId>,
}

/// An argument of a command or test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A tag such as `:copy`.
    Tag(u32),
    /// A number.
    Number(u32),
    /// One string.
    String(u32),
    /// A bracketed list: its strings in [`Tree::strings`], and the tokens of its brackets.
    List {
        /// Range in [`Tree::strings`].
        items: Range<u32>,
        /// Token of `[`.
        open: u32,
        /// Token of `]`.
        close: u32,
    },
}

impl Tree {
    /// The byte ranges that were not understood, in order and without overlap.
    #[must_use]
    pub fn unread(&self) -> Vec<(usize, usize)> {
        let tokens = self.tokens.iter().filter(|token| token.kind.is_unreadable());
        let mut ranges: Vec<(usize, usize)> = tokens.map(|token| (token.start, token.end)).collect();
        ranges.extend(self.unparsed.iter().map(|range| (range.start, range.end)));
        ranges.sort_unstable();
        let mut merged: Vec<(usize, usize)> = Vec::new();
        for (start, end) in ranges {
            match merged.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        merged
    }

    /// The commands of a block, from its first one on.
    pub fn block(&self, first: Option<CommandId>) -> impl Iterator<Item = CommandId> + '_ {
        std::iter::successors(first, |id| self.commands[*id as usize].next)
    }

    /// The tests of a list, from its first one on.
    pub fn test_list(&self, first: Option<TestId>) -> impl Iterator<Item = TestId> + '_ {
        std::iter::successors(first, |id| self.tests[*id as usize].next)
    }

    /// The tokens of the strings an argument holds; none for tags and numbers.
    #[must_use]
    pub fn strings_of<'a>(&'a self, argument: &'a Argument) -> &'a [u32] {
        match argument {
            Argument::String(token) => std::slice::from_ref(token),
            Argument::List { items, .. } => &self.strings[items.start as usize..items.end as usize],
            Argument::Tag(_) | Argument::Number(_) => &[],
        }
    }

    /// The arguments in a range.
    #[must_use]
    pub fn arguments_of(&self, range: &Range<u32>) -> &[Argument] {
        &self.arguments[range.start as usize..range.end as usize]
    }

    /// The bytes of token `token`.
    #[must_use]
    pub fn text<'a>(&self, script: &'a [u8], token: u32) -> &'a [u8] {
        self.tokens[token as usize].bytes(script)
    }
}
