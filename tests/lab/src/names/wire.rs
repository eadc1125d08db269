//! Messages of the name service (RFC 1035 §4).

pub(super) const NOERROR: u8 = 0;
pub(super) const SERVFAIL: u8 = 2;
pub(super) const NXDOMAIN: u8 = 3;
pub(super) const REFUSED: u8 = 5;
pub(super) const CNAME: u16 = 5;

const SOA: u16 = 6;
const CLASS: u16 = 1;
const TTL: u32 = 60;
const HEADER: usize = 12;
/// Response, authoritative, recursion available.
const FLAGS: u16 = 0x8480;
const TRUNCATION: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const AUTHENTIC: u16 = 0x0020;

/// A question with the octets of its header and itself.
#[derive(Debug)]
pub(super) struct Question {
    id: [u8; 2],
    recursion: u16,
    octets: Vec<u8>,
    pub(super) name: String,
    pub(super) kind: u16,
}

impl Question {
    pub(super) fn read(message: &[u8]) -> Option<Question> {
        let mut at = HEADER;
        let mut labels = Vec::new();
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_ascii_lowercase());
            at += length;
        }
        let kind = u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?);
        let recursion = u16::from_be_bytes(message.get(2..4)?.try_into().ok()?) & RECURSION_DESIRED;
        let id = message.get(..2)?.try_into().ok()?;
        let octets = message.get(HEADER..at + 4)?.to_vec();
        Some(Question { id, recursion, octets, name: labels.join("."), kind })
    }

    pub(super) fn reply(&self, code: u8) -> Reply {
        let Question { id, recursion, octets, .. } = self;
        Reply { id: *id, flags: FLAGS | recursion, code, question: octets.clone(), answers: Vec::new() }
    }
}

/// An answer that is being made.
#[derive(Debug)]
pub(super) struct Reply {
    id: [u8; 2],
    flags: u16,
    code: u8,
    question: Vec<u8>,
    answers: Vec<Vec<u8>>,
}

impl Reply {
    pub(super) fn add(&mut self, owner: &str, kind: u16, rdata: &[u8]) {
        self.answers.push(record(owner, kind, rdata));
    }

    pub(super) fn set_code(&mut self, code: u8) {
        self.code = code;
    }

    pub(super) fn truncated(mut self) -> Reply {
        self.flags |= TRUNCATION;
        self
    }

    pub(super) fn authenticated(mut self) -> Reply {
        self.flags |= AUTHENTIC;
        self
    }

    /// The message; what does not fit is left out and said to be.
    pub(super) fn finish(mut self, room: usize) -> Vec<u8> {
        let negative = self.answers.iter().all(Vec::is_empty) || self.code == NXDOMAIN;
        // RFC 2308: a negative answer carries the zone's SOA.
        let authority = record("", SOA, &[&[0, 0][..], &[0; 20]].concat());
        let authority = if negative && self.flags & TRUNCATION == 0 { authority } else { Vec::new() };
        let length: usize = self.answers.iter().map(Vec::len).sum();
        if HEADER + self.question.len() + length + authority.len() > room {
            self.answers.clear();
            self.flags |= TRUNCATION;
        }
        let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes();
        let flags = (self.flags | u16::from(self.code)).to_be_bytes();
        let counts =
            [count(1), count(self.answers.len()), count(usize::from(!authority.is_empty())), count(0)];
        [&self.id[..], &flags, &counts.concat(), &self.question, &self.answers.concat(), &authority].concat()
    }
}

fn record(owner: &str, kind: u16, rdata: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&name(owner)[..], &kind.to_be_bytes(), &CLASS.to_be_bytes(), &TTL.to_be_bytes(), &length, rdata].concat()
}

/// A name as it crosses the wire, uncompressed.
pub(super) fn name(text: &str) -> Vec<u8> {
    let labels = text.trim_end_matches('.').split('.').filter(|label| !label.is_empty());
    let mut octets: Vec<u8> = labels
        .flat_map(|label| [&[u8::try_from(label.len()).unwrap_or(63)][..], label.as_bytes()].concat())
        .collect();
    octets.push(0);
    octets
}

/// A name of the wire as text.
pub(super) fn text(octets: &[u8]) -> String {
    let (mut labels, mut rest) = (Vec::new(), octets);
    while let Some((&length, after)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, next) = after.split_at(usize::from(length).min(after.len()));
        labels.push(String::from_utf8_lossy(label).into_owned());
        rest = next;
    }
    labels.join(".")
}
