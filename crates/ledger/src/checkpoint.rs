//! Checkpoints: the size and root of the ledger at one moment, signed.
//!
//! The text is a C2SP tlog-checkpoint (origin, size, base64 root, one a line) in a C2SP signed note: the
//! text, an empty line, and lines `— NAME BASE64`, where the base64 holds a four-byte key id and an Ed25519
//! signature over the text. Any tool that reads signed notes can check one.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::LedgerError;
use crate::merkle::Hash;
use crate::random::random_32;

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
    /// The name in the signature lines.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks that the note carries a good signature by this key and reads its checkpoint.
    ///
    /// # Errors
    /// The signature is missing or does not belong to the text, or the text is no checkpoint.
    pub fn open(&self, note: &SignedNote) -> Result<Checkpoint, NoteError> {
        self.check(note)?;
        note.text.parse()
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

/// A key that signs checkpoints. Its `Debug` form shows the public half only.
#[derive(Clone)]
pub struct CheckpointKey {
    name: String,
    key: SigningKey,
}

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CheckpointKey").field(&self.verifier().to_string()).finish()
    }
}

impl CheckpointKey {
    /// A new key that exists in memory only.
    ///
    /// # Errors
    /// The name cannot be carried by a signed note.
    pub fn generate(name: &str) -> Result<Self, NoteError> {
        check_key_name(name)?;
        let seed = Zeroizing::new(random_32());
        Ok(Self { name: name.to_owned(), key: SigningKey::from_bytes(&seed) })
    }

    /// Reads a PKCS#8 PEM file, which only its owner may read.
    ///
    /// # Errors
    /// The file cannot be read, others can read it, or it holds no Ed25519 key.
    pub fn load(name: &str, path: &Path) -> Result<Self, LedgerError> {
        check_key_name(name)?;
        let failed = |source| LedgerError::File {
            doing: "reading the checkpoint key",
            path: path.into(),
            source: Arc::new(source),
        };
        let mode = fs::metadata(path).map_err(failed)?.mode();
        if mode & 0o077 != 0 {
            let problem = format!("others can read this key (mode {:03o}); chmod 600 it", mode & 0o777);
            return Err(key_file(path, problem).into());
        }
        let pem = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
        let key = SigningKey::from_pkcs8_pem(&pem).map_err(|_| {
            key_file(
                path,
                "this is no Ed25519 key in PKCS#8 PEM; make one with `openssl genpkey -algorithm ed25519`",
            )
        })?;
        Ok(Self { name: name.to_owned(), key })
    }

    /// Reads the key file, or makes it (mode 0600) if there is none; its directory must exist.
    ///
    /// # Errors
    /// As [`Self::load`], or the file cannot be made.
    pub fn load_or_create(name: &str, path: &Path) -> Result<Self, LedgerError> {
        let made = Self::generate(name)?;
        match made.write_new(path) {
            Ok(()) => Ok(made),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::load(name, path),
            Err(error) => Err(LedgerError::File {
                doing: "making the checkpoint key",
                path: path.into(),
                source: Arc::new(error),
            }),
        }
    }

    /// Writes beside the final name first, so that another process never reads half a key.
    fn write_new(&self, path: &Path) -> std::io::Result<()> {
        if path.try_exists()? {
            return Err(ErrorKind::AlreadyExists.into());
        }
        // Without the public half this is PKCS#8 version 1, which every OpenSSL reads.
        let pair = KeypairBytes { secret_key: self.key.to_bytes(), public_key: None };
        let pem = pair.to_pkcs8_pem(LineEnding::LF).map_err(std::io::Error::other)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", uuid::Uuid::new_v4().simple()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        let linked = file
            .write_all(pem.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::hard_link(&beside, path));
        fs::remove_file(&beside)?;
        linked
    }

    /// The name in the signature lines, and the origin of the checkpoints.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public half, to be given to auditors.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// Signs a checkpoint of the ledger of this name.
    #[must_use]
    pub fn sign(&self, size: u64, root: Hash) -> SignedNote {
        let text = Checkpoint { origin: self.name.clone(), size, root }.to_string();
        let signature = self.key.sign(text.as_bytes()).to_vec();
        let line = SignatureLine { name: self.name.clone(), key_id: self.verifier().id(), signature };
        SignedNote { text, signatures: vec![line] }
    }
}

fn key_file(path: &Path, problem: impl Into<String>) -> NoteError {
    NoteError::KeyFile { path: path.display().to_string(), problem: problem.into() }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;
    use crate::merkle::leaf_hash;

    /// The note that the documentation of Go's `sumdb/note` package signs.
    const KNOWN_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN\
        1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const KNOWN_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    fn key() -> CheckpointKey {
        CheckpointKey { name: "ledger.example".into(), key: SigningKey::from_bytes(&[7; 32]) }
    }

    #[test]
    fn a_note_signed_elsewhere_verifies_and_writes_back() {
        let note: SignedNote = KNOWN_NOTE.parse().unwrap();
        let verifier: Verifier = KNOWN_KEY.parse().unwrap();
        assert_eq!(verifier.check(&note), Ok(()));
        assert_eq!(note.to_string(), KNOWN_NOTE);
        assert_eq!(verifier.to_string(), KNOWN_KEY);
        assert!(matches!(verifier.open(&note), Err(NoteError::NotACheckpoint(_))));
    }

    #[test]
    fn a_checkpoint_is_three_lines_and_survives_signing() {
        let root = leaf_hash(b"x");
        let note = key().sign(42, root);
        assert_eq!(note.text(), format!("ledger.example\n42\n{}\n", root.to_base64()));
        let read: SignedNote = note.to_string().parse().unwrap();
        let checkpoint = key().verifier().open(&read).unwrap();
        assert_eq!(checkpoint, Checkpoint { origin: "ledger.example".into(), size: 42, root });
    }

    #[test]
    fn another_size_another_key_and_a_wrong_signature_are_told_apart() {
        let note = key().sign(42, leaf_hash(b"x")).to_string();
        let altered: SignedNote = note.replace("\n42\n", "\n41\n").parse().unwrap();
        assert!(matches!(key().verifier().open(&altered), Err(NoteError::Forged(_))));
        let other = CheckpointKey::generate("ledger.example").unwrap();
        assert!(matches!(other.verifier().open(&note.parse().unwrap()), Err(NoteError::Unsigned(_))));
    }

    #[test]
    fn malformed_notes_are_refused() {
        let good = key().sign(1, leaf_hash(b"x")).to_string();
        let cut = good.trim_end().to_owned();
        let no_signature = good.split("\n\n").next().unwrap().to_owned() + "\n";
        let carriage = good.replace('\n', "\r\n");
        let hyphen = good.replace('\u{2014}', "-");
        let many = good.clone() + &good.lines().last().map(|l| format!("{l}\n")).unwrap().repeat(64);
        for bad in [cut, no_signature, carriage, hyphen, many, String::new(), "x".repeat(MAX_NOTE_BYTES + 1)]
        {
            assert!(matches!(bad.parse::<SignedNote>(), Err(NoteError::NotANote(_))), "{bad:?}");
        }
        for bad in ["", "o\n", "o\n01\nAAAA\n", "o\n+1\n", "o\n1\nAAAA\n", "\n1\n"] {
            assert!(matches!(bad.parse::<Checkpoint>(), Err(NoteError::NotACheckpoint(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_verifier_key_whose_id_does_not_fit_is_refused() {
        assert!(KNOWN_KEY.replace("c74f20a3", "c74f20a4").parse::<Verifier>().is_err());
        assert!(KNOWN_KEY.replace("PeterNeumann", "Peter").parse::<Verifier>().is_err());
        assert!("PeterNeumann+c74f20a3".parse::<Verifier>().is_err());
        assert!(CheckpointKey::generate("two words").is_err());
    }

    #[test]
    fn the_key_file_is_made_once_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("checkpoint.pem");
        let made = CheckpointKey::load_or_create("ledger.example", &path).unwrap();
        let again = CheckpointKey::load_or_create("ledger.example", &path).unwrap();
        assert_eq!(made.verifier(), again.verifier());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        assert!(fs::read_to_string(&path).unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("checkpoint.pem");
        CheckpointKey::load_or_create("ledger.example", &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = CheckpointKey::load("ledger.example", &path).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn debug_does_not_show_the_private_half() {
        let shown = format!("{:?}", key());
        assert!(shown.contains("ledger.example+") && !shown.contains("7, 7"), "{shown}");
    }

    proptest! {
        #[test]
        fn what_reads_as_a_note_writes_back_unchanged(text in "[ -~\n\u{2014}]{0,200}") {
            if let Ok(note) = text.parse::<SignedNote>() {
                prop_assert_eq!(note.to_string(), text);
            }
        }

        #[test]
        fn a_flipped_byte_never_verifies(at in any::<prop::sample::Index>(), bit in 0_u8..7) {
            let note = key().sign(42, leaf_hash(b"x")).to_string();
            let mut bytes = note.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let opened = String::from_utf8(bytes).ok().and_then(|text| text.parse().ok())
                .and_then(|note: SignedNote| key().verifier().open(&note).ok());
            prop_assert_eq!(opened, None);
        }
    }
}
