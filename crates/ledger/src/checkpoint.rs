//! The key that signs checkpoints; what a checkpoint is, and how it is checked, stands in
//! [`mailwarden_proof::note`].

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding};
use ed25519_dalek::{Signer, SigningKey};
pub use mailwarden_proof::note::{
    Checkpoint, MAX_KEY_NAME_BYTES, MAX_NOTE_BYTES, MAX_NOTE_SIGNATURES, NoteError, SignedNote, Verifier,
    notes_in,
};
use zeroize::Zeroizing;

use crate::error::LedgerError;
use crate::merkle::Hash;
use crate::owner::give_to_owner_of;
use crate::random::random_32;
use crate::secret::read_secret_file;

/// A key that signs checkpoints. Its `Debug` form shows the public half only.
#[derive(Clone)]
pub struct CheckpointKey {
    key: SigningKey,
    verifier: Verifier,
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
        let seed = Zeroizing::new(random_32());
        Self::named(name, SigningKey::from_bytes(&seed))
    }

    /// Reads a PKCS#8 PEM file, which only its owner may read.
    ///
    /// # Errors
    /// The file cannot be read, others can read it, or it holds no Ed25519 key.
    pub fn load(name: &str, path: &Path) -> Result<Self, LedgerError> {
        let pem = read_secret_file("the checkpoint key", path)?;
        let key = SigningKey::from_pkcs8_pem(&pem).map_err(|_| {
            key_file(
                path,
                "this is no Ed25519 key in PKCS#8 PEM; make one with `openssl genpkey -algorithm ed25519`",
            )
        })?;
        Ok(Self::named(name, key)?)
    }

    fn named(name: &str, key: SigningKey) -> Result<Self, NoteError> {
        let verifier = Verifier::new(name, key.verifying_key())?;
        Ok(Self { key, verifier })
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
        path.parent().into_iter().for_each(|directory| give_to_owner_of(directory, &file));
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
        self.verifier.name()
    }

    /// The public half, to be given to auditors.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        self.verifier.clone()
    }

    /// Signs a checkpoint of the ledger of this name.
    #[must_use]
    pub fn sign(&self, size: u64, root: Hash) -> SignedNote {
        let text = Checkpoint { origin: self.name().to_owned(), size, root }.to_string();
        let signature = self.key.sign(text.as_bytes()).to_vec();
        SignedNote::signed(text, &self.verifier, signature)
    }
}

fn key_file(path: &Path, problem: impl Into<String>) -> NoteError {
    NoteError::KeyFile { path: path.display().to_string(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

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
        CheckpointKey::named("ledger.example", SigningKey::from_bytes(&[7; 32])).unwrap()
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
    fn notes_are_found_one_behind_the_other_and_in_the_lines_of_a_log() {
        let notes = [key().sign(1, leaf_hash(b"x")), key().sign(2, leaf_hash(b"y"))];
        let file = format!("{}\n{}\n", notes[0], notes[1]);
        assert_eq!(notes_in(&file).unwrap(), notes);
        let log = format!(
            "Mar  1 09:30:00 mx mailwarden[7]: {}\nMar  1 09:31:00 mx postfix[8]: hello\n<14>mx: {}\n",
            notes[0].to_line(),
            notes[1].to_line()
        );
        assert_eq!(notes_in(&log).unwrap(), notes);
        assert!(notes_in("hello\n").is_err() && notes_in("ledger checkpoint AAA\n").is_err());
    }

    #[test]
    fn a_checkpoint_of_another_ledger_is_named_though_the_key_is_the_same() {
        let other = CheckpointKey::named("other.example", SigningKey::from_bytes(&[7; 32])).unwrap();
        let text = Checkpoint { origin: "other.example".into(), size: 1, root: leaf_hash(b"x") }.to_string();
        let signature = other.key.sign(text.as_bytes()).to_vec();
        let swapped = SignedNote::signed(text, &key().verifier(), signature);
        assert!(matches!(key().verifier().open(&swapped), Err(NoteError::OtherLedger(..))));
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
