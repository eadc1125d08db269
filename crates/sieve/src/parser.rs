//! Tokens to tree, with error recovery.
//!
//! RFC 5228 §8.2:
//! ```text
//! commands  = *command
//! command   = identifier arguments (";" / block)
//! arguments = *argument [ test / test-list ]
//! ```
//! A command that cannot be read is skipped to its `;` or to the end of its balanced block, and the
//! region is kept as unparsed: nothing that an engine might run disappears.

use crate::Dialect;
use crate::lexer::{Token, TokenKind, tokenize};
use crate::span::LineIndex;
use crate::tree::{Argument, Command, CommandId, SyntaxError, Test, TestId, Tree};

/// How deep blocks and tests together may nest before a region is left unparsed. Pigeonhole and Stalwart
/// stop far earlier; the bound keeps the stack small for engines that do not stop.
pub const MAX_NESTING: usize = 200;

/// How many errors are listed; after so many the answer is clear.
const MAX_ERRORS: usize = 1_000;

/// Parses any bytes; never fails.
#[must_use]
pub fn parse(script: &[u8], dialect: Dialect) -> Tree {
    let tokens = tokenize(script, dialect);
    let significant = significant_tokens(&tokens);
    let tree = Tree {
        tokens,
        commands: Vec::with_capacity(significant.len() / 4),
        tests: Vec::with_capacity(significant.len() / 16),
        arguments: Vec::with_capacity(significant.len() / 2),
        strings: Vec::with_capacity(significant.len() / 16),
        first: None,
        errors: Vec::new(),
        unparsed: Vec::new(),
        lines: LineIndex::new(script),
    };
    let mut parser = Parser { tree, significant, at: 0, dialect };
    parser.script();
    parser.tree
}

fn significant_tokens(tokens: &[Token]) -> Vec<u32> {
    let counts = |kind: TokenKind| !kind.is_trivia() && kind != TokenKind::Beyond;
    let mut significant = Vec::with_capacity(tokens.len());
    significant.extend((0..).zip(tokens).filter(|(_, token)| counts(token.kind)).map(|(number, _)| number));
    significant
}

struct Parser {
    tree: Tree,
    significant: Vec<u32>,
    at: usize,
    dialect: Dialect,
}

/// The command could not be read; the caller skips to where the next one may begin.
struct Unreadable;

impl Parser {
    fn script(&mut self) {
        self.tree.first = self.commands(0);
        while self.at < self.significant.len() {
            self.error("a `}` that closes nothing");
            let stray = self.token();
            self.unread(stray.start..stray.end);
            self.at += 1;
            let more = self.commands(0);
            self.append(more);
        }
    }

    /// Hangs commands read after a stray brace behind those before it.
    fn append(&mut self, more: Option<CommandId>) {
        let Some(first_new) = more else { return };
        match self.last_top_level(first_new) {
            Some(last) => self.tree.commands[last as usize].next = more,
            None => self.tree.first = more,
        }
    }

    /// The newest command outside every block that stands before `first_new`.
    fn last_top_level(&self, first_new: CommandId) -> Option<CommandId> {
        (0..first_new).rev().find(|id| self.tree.commands[*id as usize].depth == 0)
    }

    fn kind(&self) -> Option<TokenKind> {
        self.significant.get(self.at).map(|number| self.tree.tokens[*number as usize].kind)
    }

    fn token(&self) -> Token {
        self.tree.tokens[self.significant[self.at] as usize]
    }

    /// Consumes the current token and returns its number.
    fn advance(&mut self) -> u32 {
        let number = self.significant[self.at];
        self.at += 1;
        number
    }

    fn end_of_previous(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |before| self.tree.tokens[self.significant[before] as usize].end)
    }

    fn error(&mut self, message: &'static str) {
        let (start, end) = match self.significant.get(self.at) {
            Some(number) => {
                let token = self.tree.tokens[*number as usize];
                (token.start, token.end)
            }
            None => (self.end_of_previous(), self.end_of_previous()),
        };
        if self.tree.errors.len() < MAX_ERRORS {
            self.tree.errors.push(SyntaxError { start, end, message });
        }
    }

    /// Keeps a region that belongs to no command; neighbours become one.
    fn unread(&mut self, region: std::ops::Range<usize>) {
        match self.tree.unparsed.last_mut() {
            Some(last) if last.end == region.start => last.end = region.end,
            _ => self.tree.unparsed.push(region),
        }
    }

    /// Stalwart compiles parentheses that the grammar does not have.
    fn error_unless_loose(&mut self, message: &'static str) {
        if self.dialect != Dialect::Stalwart {
            self.error(message);
        }
    }

    /// Reads commands up to a `}` or the end; returns the first.
    fn commands(&mut self, depth: usize) -> Option<CommandId> {
        let mut first = None;
        let mut previous: Option<CommandId> = None;
        while !matches!(self.kind(), None | Some(TokenKind::RightBrace)) {
            let Some(id) = self.command(depth) else { continue };
            match previous {
                Some(previous) => self.tree.commands[previous as usize].next = Some(id),
                None => first = Some(id),
            }
            previous = Some(id);
        }
        first
    }

    fn command(&mut self, depth: usize) -> Option<CommandId> {
        if self.kind() != Some(TokenKind::Identifier) {
            self.error("a command was expected here");
            self.skip_region();
            return None;
        }
        let start = self.token().start;
        let name = self.advance();
        let id = self.tree.commands.len() as CommandId;
        let arguments_start = self.tree.arguments.len() as u32;
        self.tree.commands.push(Command {
            name,
            start,
            end: start,
            arguments: arguments_start..arguments_start,
            test: None,
            listed: false,
            has_block: false,
            block: None,
            next: None,
            depth: depth as u32,
            malformed: false,
        });
        self.command_arguments(id, depth);
        self.command_end(id, depth);
        Some(id)
    }

    fn command_arguments(&mut self, id: CommandId, depth: usize) {
        let start = self.tree.arguments.len() as u32;
        let readable = self.arguments();
        self.tree.commands[id as usize].arguments = start..self.tree.arguments.len() as u32;
        let tests = match readable {
            Ok(()) => self.tests(depth),
            Err(Unreadable) => Err(Unreadable),
        };
        match tests {
            Ok((first, listed)) => {
                let command = &mut self.tree.commands[id as usize];
                (command.test, command.listed) = (first, listed);
            }
            Err(Unreadable) => self.malformed(id),
        }
    }

    fn malformed(&mut self, id: CommandId) {
        self.tree.commands[id as usize].malformed = true;
        self.skip_header();
    }

    fn command_end(&mut self, id: CommandId, depth: usize) {
        if !matches!(self.kind(), Some(TokenKind::Semicolon | TokenKind::LeftBrace)) {
            self.error("`;` or a block was expected here");
            self.malformed(id);
        }
        match self.kind() {
            Some(TokenKind::Semicolon) => self.at += 1,
            Some(TokenKind::LeftBrace) => self.block(id, depth),
            _ => {}
        }
        let end = self.end_of_previous();
        let command = &mut self.tree.commands[id as usize];
        command.end = end;
        let (start, name, has_block) = (command.start, command.name, command.has_block);
        if command.malformed {
            let name_end = self.tree.tokens[name as usize].end;
            self.unread(start..if has_block { name_end } else { end });
        }
    }

    fn block(&mut self, id: CommandId, depth: usize) {
        self.tree.commands[id as usize].has_block = true;
        if depth >= MAX_NESTING {
            self.error("nested deeper than this analysis follows");
            self.skip_balanced();
            return;
        }
        self.at += 1;
        let first = self.commands(depth + 1);
        self.tree.commands[id as usize].block = first;
        if self.kind() == Some(TokenKind::RightBrace) {
            self.at += 1;
        } else {
            self.error("a block is not closed");
        }
    }

    fn arguments(&mut self) -> Result<(), Unreadable> {
        loop {
            let argument = match self.kind() {
                Some(TokenKind::Tag) => Argument::Tag(self.advance()),
                Some(TokenKind::Number) => Argument::Number(self.advance()),
                Some(TokenKind::Quoted | TokenKind::MultiLine) => Argument::String(self.advance()),
                Some(TokenKind::LeftBracket) => self.string_list()?,
                _ => return Ok(()),
            };
            self.tree.arguments.push(argument);
        }
    }

    fn string_list(&mut self) -> Result<Argument, Unreadable> {
        let open = self.advance();
        let start = self.tree.strings.len() as u32;
        loop {
            if !matches!(self.kind(), Some(TokenKind::Quoted | TokenKind::MultiLine)) {
                self.error("a string was expected in the list");
                return Err(Unreadable);
            }
            let string = self.advance();
            self.tree.strings.push(string);
            match self.kind() {
                Some(TokenKind::Comma) => self.at += 1,
                Some(TokenKind::RightBracket) => break,
                _ => {
                    self.error("`,` or `]` was expected in the list");
                    return Err(Unreadable);
                }
            }
        }
        let close = self.advance();
        Ok(Argument::List { items: start..self.tree.strings.len() as u32, open, close })
    }

    /// Reads one test or a list of tests, if one begins here; says whether it was a list.
    fn tests(&mut self, depth: usize) -> Result<(Option<TestId>, bool), Unreadable> {
        match self.kind() {
            Some(TokenKind::Identifier) => self.test(depth).map(|id| (Some(id), false)),
            Some(TokenKind::LeftParenthesis) => self.test_list(depth).map(|first| (first, true)),
            _ => Ok((None, false)),
        }
    }

    fn test_list(&mut self, depth: usize) -> Result<Option<TestId>, Unreadable> {
        self.at += 1;
        if self.kind() == Some(TokenKind::RightParenthesis) {
            self.error_unless_loose("an empty list of tests");
            self.at += 1;
            return Ok(None);
        }
        let mut first = None;
        let mut previous: Option<TestId> = None;
        loop {
            let id = self.listed_test(depth)?;
            match previous {
                Some(previous) => self.tree.tests[previous as usize].next = Some(id),
                None => first = Some(id),
            }
            previous = Some(id);
            match self.kind() {
                Some(TokenKind::Comma) => self.at += 1,
                Some(TokenKind::RightParenthesis) => break,
                _ => {
                    self.error("`,` or `)` was expected in the list of tests");
                    return Err(Unreadable);
                }
            }
        }
        self.at += 1;
        Ok(first)
    }

    fn listed_test(&mut self, depth: usize) -> Result<TestId, Unreadable> {
        match self.kind() {
            Some(TokenKind::Identifier) => self.test(depth),
            Some(TokenKind::LeftParenthesis) => {
                self.error_unless_loose("a parenthesis where a test was expected");
                self.bare_parenthesis(depth)
            }
            _ => {
                self.error("a test was expected here");
                Err(Unreadable)
            }
        }
    }

    /// `((a, b), c)`: not in the grammar, but Stalwart reads it.
    fn bare_parenthesis(&mut self, depth: usize) -> Result<TestId, Unreadable> {
        let start = self.token().start;
        let id = self.push_test(None, start);
        self.inner_tests(id, depth)?;
        Ok(id)
    }

    fn test(&mut self, depth: usize) -> Result<TestId, Unreadable> {
        let start = self.token().start;
        let name = self.advance();
        let id = self.push_test(Some(name), start);
        let arguments_start = self.tree.arguments.len() as u32;
        self.arguments()?;
        self.tree.tests[id as usize].arguments = arguments_start..self.tree.arguments.len() as u32;
        self.inner_tests(id, depth)?;
        Ok(id)
    }

    fn push_test(&mut self, name: Option<u32>, start: usize) -> TestId {
        let id = self.tree.tests.len() as TestId;
        let test = Test { name, start, end: start, arguments: 0..0, first: None, listed: false, next: None };
        self.tree.tests.push(test);
        id
    }

    fn inner_tests(&mut self, id: TestId, depth: usize) -> Result<(), Unreadable> {
        if depth >= MAX_NESTING
            && matches!(self.kind(), Some(TokenKind::Identifier | TokenKind::LeftParenthesis))
        {
            self.error("tests nested deeper than this analysis follows");
            return Err(Unreadable);
        }
        let (first, listed) = self.tests(depth + 1)?;
        let end = self.end_of_previous();
        let test = &mut self.tree.tests[id as usize];
        (test.first, test.listed, test.end) = (first, listed, end);
        Ok(())
    }

    /// Skips to what may end the command: `;`, or the `{` of a block; never past a `}`.
    fn skip_header(&mut self) {
        while !matches!(
            self.kind(),
            None | Some(TokenKind::Semicolon | TokenKind::LeftBrace | TokenKind::RightBrace)
        ) {
            self.at += 1;
        }
    }

    /// Skips what begins no command, up to a `;` or a balanced block, and keeps the region.
    fn skip_region(&mut self) {
        let start = self.token().start;
        while !matches!(self.kind(), None | Some(TokenKind::RightBrace | TokenKind::Identifier)) {
            match self.kind() {
                Some(TokenKind::LeftBrace) => {
                    self.skip_balanced();
                    break;
                }
                Some(TokenKind::Semicolon) => {
                    self.at += 1;
                    break;
                }
                _ => self.at += 1,
            }
        }
        self.unread(start..self.end_of_previous());
    }

    /// Skips a block with everything in it and keeps it as unparsed.
    fn skip_balanced(&mut self) {
        let start = self.token().start;
        let mut open = 0_usize;
        while let Some(kind) = self.kind() {
            match kind {
                TokenKind::LeftBrace => open += 1,
                TokenKind::RightBrace => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                break;
            }
        }
        self.unread(start..self.end_of_previous());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(script: &str) -> Vec<String> {
        let tree = parse(script.as_bytes(), Dialect::Pigeonhole);
        tree.commands
            .iter()
            .map(|command| String::from_utf8_lossy(tree.text(script.as_bytes(), command.name)).into_owned())
            .collect()
    }

    #[test]
    fn a_tree_has_commands_tests_and_arguments() {
        let script = b"if anyof (true, header :is [\"a\", \"b\"] \"c\") { redirect :copy \"x@y\"; } stop;";
        let tree = parse(script, Dialect::Pigeonhole);
        assert!(tree.errors.is_empty(), "{:?}", tree.errors);
        assert_eq!(tree.block(tree.first).count(), 2);
        assert_eq!(tree.tests.len(), 3);
        assert_eq!(tree.test_list(tree.tests[0].first).count(), 2);
        let header = &tree.tests[2];
        assert_eq!(tree.arguments_of(&header.arguments).len(), 3);
        assert_eq!(&script[header.start..header.end], b"header :is [\"a\", \"b\"] \"c\"");
        let inner = &tree.commands[1];
        assert_eq!(&script[inner.start..inner.end], b"redirect :copy \"x@y\";");
    }

    #[test]
    fn a_broken_command_does_not_hide_the_next() {
        assert_eq!(names("redirect [\"a\" ; keep;"), ["redirect", "keep"]);
        assert_eq!(names("if ((true)) { stop; } keep;"), ["if", "stop", "keep"]);
        assert_eq!(names("} keep; } stop;"), ["keep", "stop"]);
        assert_eq!(names("if true } keep;"), ["if", "keep"]);
        assert_eq!(names(", ; keep;"), ["keep"]);
    }

    #[test]
    fn commands_after_stray_braces_stay_reachable() {
        let tree = parse(b"keep; } stop; } discard;", Dialect::Pigeonhole);
        assert_eq!(tree.block(tree.first).count(), 3);
        assert_eq!(tree.errors.len(), 2);
    }

    #[test]
    fn nesting_bombs_end_in_unparsed_regions() {
        for bomb in ["{", "if true {", "(", "[", "if not ", "not ", "if anyof(", "}", "if (", ";", "\"", "/*"]
        {
            let script = bomb.repeat(100_000);
            let tree = parse(script.as_bytes(), Dialect::Pigeonhole);
            assert!(!tree.unparsed.is_empty(), "{bomb}");
        }
    }
}
