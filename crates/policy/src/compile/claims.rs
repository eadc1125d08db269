//! What each address was first used for, so that no two records have the same.

use std::ops::Range;

/// A place in one of the texts, in twelve bytes: there is one for every address of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    source: u32,
    start: u32,
    end: u32,
}

impl Written {
    /// A place in the text of this number.
    pub(super) fn new(source: usize, span: Range<usize>) -> Self {
        // Texts are bounded far below 4 GiB.
        let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { source: short(source), start: short(span.start), end: short(span.end) }
    }

    pub(super) fn source(self) -> usize {
        self.source as usize
    }

    pub(super) fn span(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Where each address was first used, by its number in the policy's table.
#[derive(Debug, Default)]
pub(super) struct Claims(Vec<Written>);

/// No text has this number.
const UNUSED: Written = Written { source: u32::MAX, start: 0, end: 0 };

impl Claims {
    /// Claims an address, or says where somebody did before.
    pub(super) fn claim(&mut self, number: usize, written: Written) -> Result<(), Written> {
        if let Some(first) = self.first(number) {
            return Err(first);
        }
        if self.0.len() <= number {
            self.0.resize(number + 1, UNUSED);
        }
        self.0[number] = written;
        Ok(())
    }

    /// Where an address was first used.
    pub(super) fn first(&self, number: usize) -> Option<Written> {
        self.0.get(number).copied().filter(|written| *written != UNUSED)
    }
}
