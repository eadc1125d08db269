//! Which argument is which: tags with what follows them, then the positional ones.

use crate::Dialect;
use crate::tree::{Argument, Tree};
use crate::vocabulary::{Signature, TagRow, Takes};
use std::ops::Range;

/// A tag that was recognised and, if it takes one, its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BoundTag<'t> {
    pub(crate) row: &'static TagRow,
    pub(crate) token: u32,
    pub(crate) value: Option<&'t Argument>,
}

/// The arguments of a command or test, sorted out.
#[derive(Debug, Default)]
pub(crate) struct Bound<'t> {
    pub(crate) tags: Vec<BoundTag<'t>>,
    pub(crate) positional: Vec<&'t Argument>,
    /// Tokens of tags that are not known here.
    pub(crate) unknown_tags: Vec<u32>,
    /// A tag stands after a positional argument.
    pub(crate) late_tag: Option<u32>,
}

/// The script, its tree and the dialect they are read in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'t> {
    pub(crate) script: &'t [u8],
    pub(crate) tree: &'t Tree,
    pub(crate) dialect: Dialect,
}

impl<'t> Reading<'t> {
    pub(crate) fn text(self, token: u32) -> &'t [u8] {
        self.tree.text(self.script, token)
    }

    /// Sorts the arguments in `range` by the signature.
    pub(crate) fn bind(self, signature: &'static Signature, range: &Range<u32>) -> Bound<'t> {
        let mut bound = Bound::default();
        let mut arguments = self.tree.arguments_of(range).iter().peekable();
        while let Some(argument) = arguments.next() {
            let Argument::Tag(token) = argument else {
                bound.positional.push(argument);
                continue;
            };
            if !bound.positional.is_empty() {
                bound.late_tag = bound.late_tag.or(Some(*token));
            }
            match signature.tag(&self.text(*token)[1..], self.dialect.folds_keywords()) {
                Some(row) => {
                    let wanted = row.2 != Takes::Nothing;
                    let value = arguments.next_if(|next| wanted && !matches!(next, Argument::Tag(_)));
                    bound.tags.push(BoundTag { row, token: *token, value });
                }
                None => bound.unknown_tags.push(*token),
            }
        }
        // Pigeonhole looks at the first two and no others (measured).
        if self.dialect == Dialect::Pigeonhole
            && matches!(signature.name, "setflag" | "addflag" | "removeflag")
        {
            bound.positional.truncate(2);
        }
        bound
    }
}

impl<'t> Bound<'t> {
    pub(crate) fn has(&self, tag: &str) -> bool {
        self.tags.iter().any(|bound| bound.row.0 == tag)
    }

    /// What follows the tag; the last one counts where a tag may stand twice.
    pub(crate) fn value(&self, tag: &str) -> Option<&'t Argument> {
        self.tags.iter().rev().find(|bound| bound.row.0 == tag).and_then(|bound| bound.value)
    }

    /// The positional argument of that number, counted from the end for a negative one.
    pub(crate) fn last(&self) -> Option<&'t Argument> {
        self.positional.last().copied()
    }

    pub(crate) fn at(&self, number: usize) -> Option<&'t Argument> {
        self.positional.get(number).copied()
    }
}

/// Whether the argument is of the wanted kind.
pub(crate) fn fits(argument: &Argument, takes: Takes) -> bool {
    match takes {
        Takes::Nothing => false,
        Takes::String => matches!(argument, Argument::String(_)),
        Takes::Strings => matches!(argument, Argument::String(_) | Argument::List { .. }),
        Takes::Number => matches!(argument, Argument::Number(_)),
    }
}
