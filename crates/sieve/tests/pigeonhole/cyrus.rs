//! What Cyrus takes, we analyse: its own compiler against the Cyrus dialect.
//!
//! Debian's packages are unpacked, never installed: `cyrus-imapd` would push Dovecot out.

use crate::battery::measured;
use crate::differential::seeds;
use crate::generate::case;
use sieve_analysis::{Dialect, Severity, analyse};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `sievec` of Cyrus needs beyond a Debian with Dovecot.
const PACKAGES: [&str; 3] = ["cyrus-imapd", "cyrus-common", "libpcre3"];

struct Cyrus {
    root: PathBuf,
    work: tempfile::TempDir,
}

impl Cyrus {
    /// Unpacks once; later runs find it.
    fn unpacked() -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cyrus");
        if !root.join("usr/lib/cyrus/bin/sievec").exists() {
            let fetched = tempfile::tempdir().unwrap();
            run(Command::new("apt-get").arg("download").args(PACKAGES).current_dir(fetched.path()));
            fs::create_dir_all(&root).unwrap();
            for package in fs::read_dir(fetched.path()).unwrap() {
                run(Command::new("dpkg").arg("-x").arg(package.unwrap().path()).arg(&root));
            }
        }
        let work = tempfile::tempdir().unwrap();
        let configuration = format!("configdirectory: {}\n", work.path().display());
        fs::write(work.path().join("imapd.conf"), configuration).unwrap();
        Self { root, work }
    }

    fn compiles(&self, script: &[u8]) -> bool {
        let path = |name: &str| self.work.path().join(name);
        fs::write(path("script"), script).unwrap();
        let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu"]
            .map(|folder| self.root.join(folder).display().to_string());
        let mut command = Command::new(self.root.join("usr/lib/cyrus/bin/sievec"));
        command.env("LD_LIBRARY_PATH", libraries.join(":"));
        command.arg("-C").arg(path("imapd.conf")).arg(path("script")).arg(path("bytecode"));
        let output = command.output().unwrap();
        assert!(output.status.code() != Some(127), "{}", String::from_utf8_lossy(&output.stderr));
        output.status.success()
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Why we would refuse a script that the engine takes.
fn refusal(script: &[u8]) -> Option<String> {
    let analysis = analyse(script, Dialect::Cyrus, true);
    let error = analysis.diagnostics.into_iter().find(|one| one.severity == Severity::Error)?;
    Some(format!("{}\n    {}", error.message, String::from_utf8_lossy(script)))
}

#[test]
#[ignore = "slow: fetches and unpacks Cyrus, then runs its compiler on every script"]
fn every_script_that_cyrus_takes_is_analysed() {
    let cyrus = Cyrus::unpacked();
    let recorded = measured().into_iter().map(|row| row.script);
    let generated = seeds().map(case).map(|case| case.text(0, None));
    let (mut taken, mut wrong) = (0, Vec::new());
    for script in recorded.chain(generated) {
        if cyrus.compiles(&script) {
            taken += 1;
            wrong.extend(refusal(&script));
        }
    }
    println!("Cyrus took {taken}");
    assert!(taken > 50, "Cyrus took only {taken}");
    assert!(wrong.is_empty(), "{} refused by us:\n{}", wrong.len(), wrong.join("\n"));
}

/// The rows of the table of differences that concern what is taken.
#[test]
#[ignore = "slow: fetches and unpacks Cyrus"]
fn the_measured_verdicts_of_cyrus_are_ours() {
    let cyrus = Cyrus::unpacked();
    let deep = format!("{}keep;{}", "if true {".repeat(40), "}".repeat(40));
    let nots = format!("if {}true {{ keep; }}", "not ".repeat(100));
    let rows: [(&[u8], bool); 16] = [
        (b"redirect \"a@x.example\";", true),
        (b"ReDiReCt \"a@x.example\";", false),
        (b"IF TRUE { keep; }", false),
        (b"redirect TEXT:\na@x.example\n.\n;", false),
        (b"/***/ frob; /**/", true),
        (b"/* x **/ frob; /* y */", true),
        (b"keep; \xc3\xa9 frob", true),
        (b"if frob { keep; }", false),
        (b"if (true) { keep; }", false),
        (b"if allof () { keep; }", false),
        (b"keep; require \"fileinto\";", false),
        (b"redirect text: junk\na@x.example\n.\n;", false),
        (b"keep;\rstop;", true),
        (b"keep", false),
        (deep.as_bytes(), true),
        (nots.as_bytes(), true),
    ];
    for (script, verdict) in rows {
        let shown = String::from_utf8_lossy(script);
        assert_eq!(cyrus.compiles(script), verdict, "Cyrus: {shown}");
        assert_eq!(analyse(script, Dialect::Cyrus, true).accepted, verdict, "ours: {shown}");
    }
}
