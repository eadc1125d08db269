//! A private certificate authority and one server certificate, made by the `openssl` command.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Result, make_directory, write_file};
use crate::packages::OPENSSL;
use crate::process::{COMMAND_LIMIT, run_ok};

/// Names that clients of the lab may check the certificate against.
const ALTERNATIVE_NAMES: &str = "DNS:mail.example.test,DNS:mx.example.test,DNS:mta-sts.example.test,DNS:rdap.example.test,DNS:localhost,\
     IP:127.0.0.1";
const VALID_DAYS: &str = "30";

/// Paths of the authority's certificate and of a server's certificate and key, all PEM.
#[derive(Debug, Clone)]
pub struct Ca {
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Ca {
    /// Makes both in `directory`.
    pub fn create(directory: &Path) -> Result<Ca> {
        make_directory(directory)?;
        let request = directory.join("openssl.cnf");
        write_file(&request, openssl_configuration())?;
        let ca = Ca {
            authority: directory.join("ca.pem"),
            certificate: directory.join("server.pem"),
            key: directory.join("server.key"),
        };
        let authority_key = directory.join("ca.key");
        issue(&request, "authority", "/CN=Lab CA", &authority_key, &ca.authority, None)?;
        let signer = Some((ca.authority.as_path(), authority_key.as_path()));
        issue(&request, "server", "/CN=mail.example.test", &ca.key, &ca.certificate, signer)?;
        Ok(ca)
    }

    /// What a client has to trust.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// What the server shows.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// The server's private key.
    #[must_use]
    pub fn key(&self) -> &Path {
        &self.key
    }
}

/// Our own file, because what the machine's `openssl.cnf` adds to a certificate is anybody's guess.
fn openssl_configuration() -> String {
    format!(
        "[req]\nprompt = no\ndistinguished_name = name\n[name]\n\
         [authority]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign\n\
         subjectKeyIdentifier = hash\n\
         [server]\nbasicConstraints = critical,CA:FALSE\nkeyUsage = critical,digitalSignature\n\
         extendedKeyUsage = serverAuth\nsubjectAltName = {ALTERNATIVE_NAMES}\n\
         subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n"
    )
}

fn issue(
    request: &Path,
    section: &str,
    subject: &str,
    key: &Path,
    out: &Path,
    signer: Option<(&Path, &Path)>,
) -> Result<()> {
    let mut command = Command::new(OPENSSL);
    command.args([
        "req",
        "-x509",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-noenc",
    ]);
    command.args(["-days", VALID_DAYS, "-extensions", section, "-subj", subject, "-config"]).arg(request);
    command.arg("-keyout").arg(key).arg("-out").arg(out);
    if let Some((authority, authority_key)) = signer {
        command.arg("-CA").arg(authority).arg("-CAkey").arg(authority_key);
    }
    run_ok(&mut command, b"", COMMAND_LIMIT).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_certificate_is_signed_by_the_authority_and_names_loopback() {
        let directory = tempfile::tempdir().unwrap();
        let ca = Ca::create(directory.path()).unwrap();
        let mut verify = Command::new(OPENSSL);
        verify.args([
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-verify_ip",
            "127.0.0.1",
            "-CAfile",
        ]);
        run_ok(verify.arg(ca.authority()).arg(ca.certificate()), b"", COMMAND_LIMIT).unwrap();
    }
}
