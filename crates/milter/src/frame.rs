//! The outermost layer: a 32-bit big-endian length, a command byte, a payload.
//!
//! The length counts the command byte, so the shortest frame says 1. There is no checksum and no sequence
//! number: a wrong length cannot be survived, only noticed, and the connection given up.

use thiserror::Error;

/// Octets of the length prefix.
pub const LENGTH_OCTETS: usize = 4;

/// The largest body chunk of the plain protocol, without a negotiated larger size.
pub const BODY_CHUNK: u32 = 65_535;

/// Room above the largest body chunk: the command byte and a little tolerance for long headers.
pub const FRAME_SLACK: u32 = 1_025;

/// The default for the largest length a peer may announce.
pub const DEFAULT_FRAME_CAP: u32 = BODY_CHUNK + FRAME_SLACK;

/// A drained buffer larger than this is given back, so that an idle connection stays small.
const KEPT_CAPACITY: usize = 1_024;

/// One frame: a command (or reply) byte and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The byte that says what this is.
    pub code: u8,
    /// Everything after it.
    pub payload: &'a [u8],
}

/// The length prefix cannot be right. The peer speaks something else, or the two sides lost step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A length of zero leaves no room for the command byte.
    #[error("the peer announced a frame of length 0; it does not speak milter, or lost step")]
    Empty,
    /// The announced length is above the cap; nothing of it was stored.
    #[error("the peer announced a frame of {length} octets, more than the {cap} allowed")]
    TooLong {
        /// What the peer announced.
        length: u32,
        /// What is allowed.
        cap: u32,
    },
}

/// Collects bytes as they come and cuts them into frames.
///
/// Holds at most one incomplete frame plus whatever was fed in one go, so its memory is bounded by the cap.
#[derive(Debug)]
pub struct FrameDecoder {
    pending: Vec<u8>,
    start: usize,
    cap: u32,
}

impl FrameDecoder {
    /// A decoder that refuses announced lengths above `cap`.
    #[must_use]
    pub fn new(cap: u32) -> Self {
        Self { pending: Vec::new(), start: 0, cap }
    }

    /// Raises the cap, as a negotiated larger body size demands. Never lowers it.
    pub fn raise_cap(&mut self, cap: u32) {
        self.cap = self.cap.max(cap);
    }

    /// Adds bytes read from the peer.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.compact();
        if self.pending.capacity() == 0 {
            // What is read at once is mostly small, and more of it follows.
            self.pending.reserve(bytes.len().max(KEPT_CAPACITY));
        }
        self.pending.extend_from_slice(bytes);
    }

    /// The next complete frame, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// An impossible length. The stream cannot be resynchronised; the same error comes again.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let Some(length) = self.announced_length()? else { return Ok(None) };
        let begin = self.start + LENGTH_OCTETS;
        let Some(&[code, ref payload @ ..]) = self.pending.get(begin..begin + length) else {
            return Ok(None);
        };
        self.start = begin + length;
        Ok(Some(Frame { code, payload }))
    }

    /// Bytes that are waiting, complete frames or not.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        &self.pending[self.start..]
    }

    /// Gives memory back when nothing is waiting.
    pub fn release(&mut self) {
        if self.start < self.pending.len() {
            return;
        }
        self.start = 0;
        if self.pending.capacity() > KEPT_CAPACITY {
            self.pending = Vec::new();
        } else {
            self.pending.clear();
        }
    }

    fn announced_length(&self) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = self.buffered().first_chunk::<LENGTH_OCTETS>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix);
        match length {
            0 => Err(FrameError::Empty),
            _ if length > self.cap => Err(FrameError::TooLong { length, cap: self.cap }),
            // At most the cap, a u32: fits every platform tokio runs on.
            _ => Ok(Some(length as usize)),
        }
    }

    fn compact(&mut self) {
        if self.start == self.pending.len() {
            self.pending.clear();
        } else if self.start > 0 {
            self.pending.drain(..self.start);
        }
        self.start = 0;
    }
}

/// Appends one frame to `out`; `payload` writes what follows the command byte.
pub(crate) fn write_frame(out: &mut Vec<u8>, code: u8, payload: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, code]);
    payload(out);
    // Everything written here is capped far below 4 GiB by its own constructors; saturate rather than wrap.
    let length = u32::try_from(out.len() - begin - LENGTH_OCTETS).unwrap_or(u32::MAX);
    out[begin..begin + LENGTH_OCTETS].copy_from_slice(&length.to_be_bytes());
}

/// Appends a NUL-terminated string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder_with(bytes: &[u8]) -> FrameDecoder {
        let mut decoder = FrameDecoder::new(DEFAULT_FRAME_CAP);
        decoder.feed(bytes);
        decoder
    }

    #[test]
    fn a_frame_is_seen_only_when_complete() {
        let mut decoder = decoder_with(&[0, 0, 0, 3, b'H']);
        assert_eq!(decoder.next_frame(), Ok(None));
        decoder.feed(b"x");
        assert_eq!(decoder.next_frame(), Ok(None));
        decoder.feed(&[0, 0]);
        assert_eq!(decoder.next_frame(), Ok(Some(Frame { code: b'H', payload: b"x\0" })));
        assert_eq!(decoder.buffered(), [0]);
    }

    #[test]
    fn impossible_lengths_are_refused_at_once() {
        assert_eq!(decoder_with(&[0; 4]).next_frame(), Err(FrameError::Empty));
        let too_long = FrameError::TooLong { length: u32::MAX, cap: DEFAULT_FRAME_CAP };
        assert_eq!(decoder_with(&[0xff; 4]).next_frame(), Err(too_long));
    }

    #[test]
    fn the_cap_itself_is_allowed_and_can_be_raised() {
        let mut decoder = FrameDecoder::new(2);
        decoder.feed(&[0, 0, 0, 2, b'H', 0, 0, 0, 0, 3, b'H', b'a', 0]);
        assert_eq!(decoder.next_frame(), Ok(Some(Frame { code: b'H', payload: &[0] })));
        assert_eq!(decoder.next_frame(), Err(FrameError::TooLong { length: 3, cap: 2 }));
        decoder.raise_cap(3);
        assert_eq!(decoder.next_frame(), Ok(Some(Frame { code: b'H', payload: b"a\0" })));
    }

    #[test]
    fn a_large_buffer_is_given_back_once_drained() {
        let mut decoder = FrameDecoder::new(DEFAULT_FRAME_CAP);
        let mut bytes = Vec::new();
        write_frame(&mut bytes, b'B', |out| out.resize(out.len() + 60_000, b'x'));
        decoder.feed(&bytes);
        decoder.release();
        assert_eq!(decoder.buffered().len(), bytes.len(), "what waits is never dropped");
        assert!(decoder.next_frame().unwrap().is_some());
        decoder.release();
        assert_eq!(decoder.pending.capacity(), 0);
    }
}
