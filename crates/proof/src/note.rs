//! Checkpoints: the size and root of a ledger at one moment, signed.
//!
//! The text is a C2SP tlog-checkpoint (origin, size, base64 root, one a line) in a C2SP signed note: the
//! text, an empty line, and lines `— NAME BASE64`, where the base64 holds a four-byte key id and an Ed25519
//! signature over the text. Any tool that reads signed notes can check one.

use std::fmt;
use std::str::FromStr;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::merkle::Hash;

/// The longest note that is read.
pub const MAX_NOTE_BYTES: usize = 64 * 1024;
/// The most signatures that are looked at.
pub const MAX_NOTE_SIGNATURES: usize = 64;
/// The longest key name, in bytes.
pub const MAX_KEY_NAME_BYTES: usize = 255;

/// C2SP signed-note: the type byte of an Ed25519 key.
const ALGORITHM_ED25519: u8 = 1;
/// A signature line begins with an em dash (U+2014) and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// A note, checkpoint or key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// A key name that the format cannot carry.
    #[error(
        "the key name {0:?} is empty, too long, or holds a space, `+` or a control character; use a name \
         such as `mail.example/ledger`"
    )]
    KeyName(String),
    /// A verifier key that cannot be read.
    #[error("the verifier key does not read as NAME+ID+KEY: {0}")]
    VerifierKey(&'static str),
    /// A private key file that cannot be used.
    #[error("{path}: {problem}")]
    KeyFile {
        /// The file.
        path: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Text that is not a signed note.
    #[error("not a signed note: {0}")]
    NotANote(&'static str),
    /// A note whose text is not a checkpoint.
    #[error("not a checkpoint: {0}")]
    NotACheckpoint(&'static str),
    /// No signature by the key.
    #[error("the note carries no signature by the key {0}")]
    Unsigned(String),
    /// A checkpoint of another ledger than the key's.
    #[error("the checkpoint is of the ledger {0:?}, the key is that of {1:?}: it was put in another's place")]
    OtherLedger(String, String),
    /// A signature that does not belong to the text.
    #[error("the signature by the key {0} does not belong to this text: one of the two was altered")]
    Forged(String),
}

/// The state of a ledger: where it comes from, how many entries it has, and the root over them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Checkpoint {
    /// The name of the ledger; by convention the name of its key.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The RFC 6962 root over them.
    pub root: Hash,
}

impl fmt::Display for Checkpoint {
    /// The text that is signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root.to_base64())
    }
}

impl FromStr for Checkpoint {
    type Err = NoteError;

    /// Reads the three lines; further lines are extensions of the format and are ignored, as it asks.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.lines();
        let origin = lines.next().filter(|line| !line.is_empty());
        let origin = origin.ok_or(NoteError::NotACheckpoint("the first line, the origin, is empty"))?;
        let size =
            lines.next().and_then(decimal).ok_or(NoteError::NotACheckpoint("the size is no number"))?;
        let root = lines.next().and_then(Hash::from_base64);
        let root = root.ok_or(NoteError::NotACheckpoint("the root is not the base64 of 32 bytes"))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

/// C2SP tlog-checkpoint: ASCII decimal without leading zeroes.
fn decimal(text: &str) -> Option<u64> {
    let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    (digits_only && canonical).then(|| text.parse().ok()).flatten()
}

/// The public half of a key, written `NAME+ID+KEY` as signed-note tools do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: VerifyingKey,
}

impl Verifier {
    /// The public half of a key; the name is that of the ledger it signs for.
    ///
    /// # Errors
    /// The name cannot be carried by a signed note.
    pub fn new(name: &str, key: VerifyingKey) -> Result<Self, NoteError> {
        check_key_name(name)?;
        Ok(Self { name: name.to_owned(), key })
    }

    /// The name in the signature lines.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks that the note carries a good signature by this key and reads its checkpoint.
    ///
    /// # Errors
    /// The signature is missing or does not belong to the text, or the text is no checkpoint of the ledger that
    /// the key is named after.
    pub fn open(&self, note: &SignedNote) -> Result<Checkpoint, NoteError> {
        self.check(note)?;
        let checkpoint: Checkpoint = note.text.parse()?;
        // A key that signs for two ledgers must not let one stand in for the other.
        if checkpoint.origin != self.name {
            return Err(NoteError::OtherLedger(checkpoint.origin, self.name.clone()));
        }
        Ok(checkpoint)
    }

    /// Checks that the note carries a good signature by this key.
    ///
    /// # Errors
    /// The signature is missing or does not belong to the text.
    pub fn check(&self, note: &SignedNote) -> Result<(), NoteError> {
        let id = self.id();
        let mut ours =
            note.signatures.iter().filter(|line| line.name == self.name && line.key_id == id).peekable();
        if ours.peek().is_none() {
            return Err(NoteError::Unsigned(self.to_string()));
        }
        // C2SP signed-note: a wrong signature by a known key makes the note invalid, whatever else it
        // carries.
        let all_good = ours.all(|line| self.verifies(&note.text, &line.signature));
        if all_good { Ok(()) } else { Err(NoteError::Forged(self.to_string())) }
    }

    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        // `verify_strict` refuses keys and points of small order, for which one signature fits several texts.
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(text.as_bytes(), &signature).is_ok())
    }

    /// C2SP signed-note: the first four bytes of `SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key)`.
    fn id(&self) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ALGORITHM_ED25519])
            .chain_update(self.key.as_bytes())
            .finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed_key = [&[ALGORITHM_ED25519], self.key.as_bytes().as_slice()].concat();
        let id = u32::from_be_bytes(self.id());
        write!(f, "{}+{id:08x}+{}", self.name, STANDARD.encode(typed_key))
    }
}

impl FromStr for Verifier {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::VerifierKey("it has fewer than three parts"));
        };
        check_key_name(name)?;
        let typed_key = STANDARD.decode(key).map_err(|_| NoteError::VerifierKey("the key is no base64"))?;
        let Some((&ALGORITHM_ED25519, key)) = typed_key.split_first() else {
            return Err(NoteError::VerifierKey("the key is not an Ed25519 key"));
        };
        let key =
            VerifyingKey::try_from(key).map_err(|_| NoteError::VerifierKey("the key is no Ed25519 point"))?;
        let verifier = Self { name: name.to_owned(), key };
        let same_id = id == format!("{:08x}", u32::from_be_bytes(verifier.id()));
        if same_id { Ok(verifier) } else { Err(NoteError::VerifierKey("the id does not belong to the key")) }
    }
}

fn check_key_name(name: &str) -> Result<(), NoteError> {
    let carried = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    if name.is_empty() || name.len() > MAX_KEY_NAME_BYTES || !name.chars().all(carried) {
        return Err(NoteError::KeyName(name.chars().take(MAX_KEY_NAME_BYTES).collect()));
    }
    Ok(())
}

/// A text with signature lines; reading one checks no signature, [`Verifier::open`] does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<SignatureLine>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SignatureLine {
    name: String,
    key_id: [u8; 4],
    signature: Vec<u8>,
}

impl SignedNote {
    /// A note with one signature, made by the private half of `verifier`.
    #[must_use]
    pub fn signed(text: String, verifier: &Verifier, signature: Vec<u8>) -> Self {
        let line = SignatureLine { name: verifier.name.clone(), key_id: verifier.id(), signature };
        Self { text, signatures: vec![line] }
    }

    /// The signed text, with its final newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for line in &self.signatures {
            let signature = STANDARD.encode([&line.key_id, line.signature.as_slice()].concat());
            writeln!(f, "{SIGNATURE_PREFIX}{} {signature}", line.name)?;
        }
        Ok(())
    }
}

impl FromStr for SignedNote {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteError::NotANote("it is longer than 64 KiB"));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::NotANote("it holds control characters"));
        }
        // C2SP signed-note: the last empty line parts the text from the signatures.
        let split = note.rfind("\n\n").ok_or(NoteError::NotANote("no empty line before the signatures"))?;
        let (text, signatures) = (&note[..=split], &note[split + 2..]);
        let lines =
            signatures.strip_suffix('\n').ok_or(NoteError::NotANote("it does not end with a newline"))?;
        let signatures: Vec<SignatureLine> =
            lines.split('\n').take(MAX_NOTE_SIGNATURES + 1).map(signature_line).collect::<Result<_, _>>()?;
        if signatures.len() > MAX_NOTE_SIGNATURES {
            return Err(NoteError::NotANote("it has more than 64 signatures"));
        }
        Ok(Self { text: text.to_owned(), signatures })
    }
}

fn signature_line(line: &str) -> Result<SignatureLine, NoteError> {
    let malformed = NoteError::NotANote("a signature line does not read `— NAME BASE64`");
    let rest = line.strip_prefix(SIGNATURE_PREFIX);
    let Some((name, signature)) = rest.and_then(|rest| rest.split_once(' ')) else {
        return Err(malformed);
    };
    check_key_name(name).map_err(|_| malformed.clone())?;
    let bytes = STANDARD.decode(signature).map_err(|_| malformed.clone())?;
    match bytes.split_first_chunk::<4>() {
        Some((key_id, signature)) if !signature.is_empty() => {
            Ok(SignatureLine { name: name.to_owned(), key_id: *key_id, signature: signature.to_vec() })
        }
        _ => Err(malformed),
    }
}

/// The notes of a text that holds any number of them, one behind the other with empty lines between, or single
/// lines of a system log (see [`SignedNote::to_line`]); other lines of a log are passed over.
///
/// # Errors
/// Something that begins as a note is none.
pub fn notes_in(text: &str) -> Result<Vec<SignedNote>, NoteError> {
    let mut notes = Vec::new();
    let mut pending = String::new();
    let mut signed = false;
    for line in text.lines() {
        if let Some(note) = SignedNote::from_line(line) {
            notes.push(note?);
            continue;
        }
        let is_signature = line.starts_with(SIGNATURE_PREFIX);
        if signed && !is_signature {
            notes.push(std::mem::take(&mut pending).parse()?);
            signed = false;
        }
        if !(pending.is_empty() && line.is_empty()) {
            pending.push_str(line);
            pending.push('\n');
        }
        signed |= is_signature;
    }
    match (signed, notes.is_empty()) {
        (true, _) => notes.push(pending.parse()?),
        (false, true) => return Err(NoteError::NotANote("it holds no signature")),
        (false, false) => {}
    }
    Ok(notes)
}

/// What marks a checkpoint in a line of a system log.
const LINE_MARK: &str = "ledger checkpoint ";

impl SignedNote {
    /// The note as one line, for logs that know nothing else: `ledger checkpoint` and the base64 of the note.
    #[must_use]
    pub fn to_line(&self) -> String {
        format!("{LINE_MARK}{}", STANDARD.encode(self.to_string()))
    }

    /// Reads a line that [`Self::to_line`] wrote, whatever a logger put before it.
    fn from_line(line: &str) -> Option<Result<Self, NoteError>> {
        let (_, encoded) = line.split_once(LINE_MARK)?;
        let bytes = STANDARD.decode(encoded.trim_end()).ok();
        let note = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        Some(note.ok_or(NoteError::NotANote("a line of a log is cut")).and_then(|note| note.parse()))
    }
}
