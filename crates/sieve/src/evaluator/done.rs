//! What a run has done, as far as later actions may conflict with it.

use std::rc::Rc;

/// How many programs a run remembers; Pigeonhole runs 32 actions unless told otherwise.
const MAX_PROGRAMS: usize = 64;

/// Actions that exclude others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Done {
    pub(crate) delivered: bool,
    pub(crate) rejected: bool,
    pub(crate) answered: bool,
    /// The programs that got the message by `pipe`.
    piped: Vec<Rc<[u8]>>,
    /// Any program may have.
    piped_to_all: bool,
}

impl Done {
    /// Everything.
    pub(super) fn anything() -> Self {
        Self { delivered: true, rejected: true, answered: true, piped: Vec::new(), piped_to_all: true }
    }

    pub(super) fn and(mut self, other: &Self) -> Self {
        self.delivered &= other.delivered;
        self.rejected &= other.rejected;
        self.answered &= other.answered;
        self.piped.retain(|program| other.piped_to_all || other.piped.contains(program));
        self.piped_to_all &= other.piped_to_all;
        self
    }

    pub(super) fn or(mut self, other: &Self) -> Self {
        self.delivered |= other.delivered;
        self.rejected |= other.rejected;
        self.answered |= other.answered;
        self.piped_to_all |= other.piped_to_all;
        for program in &other.piped {
            self.pipe(program);
        }
        self
    }

    /// Notes a program; tells whether it had the message already.
    pub(crate) fn pipe(&mut self, program: &[u8]) -> bool {
        let again = self.piped_to_all || self.piped.iter().any(|known| **known == *program);
        if !again && self.piped.len() < MAX_PROGRAMS {
            self.piped.push(program.into());
        }
        again
    }

    /// Nothing that a `reject` conflicts with.
    pub(crate) fn is_nothing(&self) -> bool {
        !(self.delivered || self.rejected || self.answered)
    }
}
