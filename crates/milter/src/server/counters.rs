//! What a server counts. Everything only grows, except the connections open now.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::closing::{CloseReason, Garbage};

/// Counters of one server, or of several that share them.
#[derive(Debug, Default)]
pub struct Counters {
    accepted: AtomicU64,
    active: AtomicU64,
    messages: AtomicU64,
    answers_replaced: AtomicU64,
    accept_failures: AtomicU64,
    panics: AtomicU64,
    probes: AtomicU64,
    garbage: [AtomicU64; Garbage::ALL.len()],
    protocol_errors: AtomicU64,
    timeouts: AtomicU64,
    io_errors: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections open now.
    pub active: u64,
    /// Messages that reached their end.
    pub messages: u64,
    /// Answers that could not be given and became temporary refusals.
    pub answers_replaced: u64,
    /// Connections the system could not accept.
    pub accept_failures: u64,
    /// Connections whose filter panicked.
    pub panics: u64,
    /// Peers that connected and left without a word.
    pub probes: u64,
    /// Peers that are no MTAs, in the order of [`Garbage::ALL`].
    pub garbage: [u64; Garbage::ALL.len()],
    /// MTAs that broke the protocol, or with which no agreement was found.
    pub protocol_errors: u64,
    /// Peers that were silent or deaf for too long.
    pub timeouts: u64,
    /// Sockets that failed.
    pub io_errors: u64,
}

impl Snapshot {
    /// How many peers sent this kind of garbage.
    #[must_use]
    pub const fn garbage_of(&self, kind: Garbage) -> u64 {
        self.garbage[kind as usize]
    }
}

impl Counters {
    /// Reads them all.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            accepted: read(&self.accepted),
            active: read(&self.active),
            messages: read(&self.messages),
            answers_replaced: read(&self.answers_replaced),
            accept_failures: read(&self.accept_failures),
            panics: read(&self.panics),
            probes: read(&self.probes),
            garbage: self.garbage.each_ref().map(read),
            protocol_errors: read(&self.protocol_errors),
            timeouts: read(&self.timeouts),
            io_errors: read(&self.io_errors),
        }
    }

    pub(crate) fn opened(&self) {
        add_one(&self.accepted);
        add_one(&self.active);
    }

    /// Called while unwinding too, which is how a panic is noticed.
    pub(crate) fn gone(&self) {
        self.active.fetch_sub(1, Ordering::Relaxed);
        if std::thread::panicking() {
            add_one(&self.panics);
        }
    }

    pub(crate) fn message_ended(&self) {
        add_one(&self.messages);
    }

    pub(crate) fn answer_replaced(&self) {
        add_one(&self.answers_replaced);
    }

    pub(crate) fn accept_failed(&self) {
        add_one(&self.accept_failures);
    }

    pub(crate) fn closed(&self, why: &CloseReason) {
        match why {
            CloseReason::Quit
            | CloseReason::NewConnection
            | CloseReason::PeerClosed
            | CloseReason::Shutdown => {}
            CloseReason::Probe => add_one(&self.probes),
            CloseReason::Garbage(kind) => add_one(&self.garbage[*kind as usize]),
            CloseReason::IdleTimeout | CloseReason::NegotiationTimeout | CloseReason::WriteTimeout => {
                add_one(&self.timeouts);
            }
            CloseReason::Session(_) | CloseReason::Answer(_) => add_one(&self.protocol_errors),
            CloseReason::Io(_) => add_one(&self.io_errors),
        }
    }
}

fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
