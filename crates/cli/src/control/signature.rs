//! SSH signatures of approvals, verified with ssh-keygen(1): the tool that made them, on any machine an
//! auditor has.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use mailwarden_address::Address;
use mailwarden_casework::Signed;
use mailwarden_casework::approval::NAMESPACE;
use mailwarden_policy::Policy;

use crate::failure::Failure;
use crate::output::shown;

/// A signature is a few hundred bytes; those of long RSA keys a few thousand.
const MAX_SIGNATURE_BYTES: u64 = 64 << 10;

/// Verifies that one of the approver's keys signed exactly this text for Mailwarden.
pub(crate) fn verify(
    policy: &Policy,
    approver: &Address,
    text: &str,
    file: &Path,
) -> Result<Signed, Failure> {
    let keys = policy.person(approver).map(|person| person.ssh_keys.as_slice()).unwrap_or_default();
    if keys.is_empty() {
        return Err(Failure::Usage(format!(
            "no SSH key of {approver} is on record\n  add `ssh_keys = [\"ssh-ed25519 AAAA...\"]` to their [[person]]"
        )));
    }
    let signature = read(file)?;
    for key in keys {
        if is_signed_by(approver, key, text, file)? {
            return Ok(Signed { text: text.to_owned(), signature, key: key.clone() });
        }
    }
    Err(Failure::Usage(format!(
        "the signature in {} is not by {approver} under this text\n  \
         sign exactly what --print-text prints: ssh-keygen -Y sign -n {NAMESPACE} -f KEY FILE",
        shown(&file.display().to_string())
    )))
}

fn read(file: &Path) -> Result<String, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::Usage(format!("cannot read the signature {}: {error}", shown(&file.display().to_string())))
    };
    let metadata = fs::metadata(file).map_err(|error| unreadable(&error))?;
    if metadata.len() > MAX_SIGNATURE_BYTES {
        return Err(unreadable(&"it is too large for a signature"));
    }
    fs::read_to_string(file).map_err(|error| unreadable(&error))
}

fn is_signed_by(approver: &Address, key: &str, text: &str, file: &Path) -> Result<bool, Failure> {
    let failed =
        |error: std::io::Error| Failure::Ours(format!("cannot run ssh-keygen: {error}\n  install OpenSSH"));
    // Given as a file that only this process names: `allowed signers` takes no other form.
    let allowed = tempfile_with(&format!("* namespaces=\"{NAMESPACE}\" {key}\n")).map_err(failed)?;
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-n", NAMESPACE, "-I", &approver.to_string(), "-f"])
        .arg(&allowed.path)
        .arg("-s")
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // Where it ends before it has read everything, its exit code says what it thinks.
        let _ = input.write_all(text.as_bytes());
    }
    Ok(child.wait().map_err(failed)?.success())
}

/// A file that goes when this does.
struct Temporary {
    path: std::path::PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn tempfile_with(text: &str) -> std::io::Result<Temporary> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = std::env::temp_dir().join(format!("mailwarden-signers-{}", uuid::Uuid::now_v7()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let temporary = Temporary { path };
    file.write_all(text.as_bytes())?;
    Ok(temporary)
}
