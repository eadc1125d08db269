//! The demonstration as an admin runs it: to its end, and broken off with Ctrl-C.
//!
//! Run through `cargo xtask test`, which names the two programs; without it the demonstration builds them first.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use mailwarden_lab::process::living_under;
use mailwarden_lab::wait::{wait_for, wait_until};
use rustix::process::{Pid, Signal, kill_process};

/// Long enough for a build, where the programs are not named.
const BUILT: Duration = Duration::from_secs(150);
const CLEANED: Duration = Duration::from_secs(15);

struct Demo {
    process: Child,
    directory: tempfile::TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Demo {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = |name: &str| File::create(directory.path().join(name)).expect("a new file");
        let process = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg("demo")
            .args(arguments)
            .arg("--output")
            .arg(directory.path().join("reports"))
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .process_group(0)
            .spawn()
            .expect("xtask starts");
        Demo { process, directory }
    }

    fn printed(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).expect("what it printed")
    }

    fn everything(&self) -> String {
        self.printed("stdout") + &self.printed("stderr")
    }

    fn wait_until_printed(&mut self, text: &str) {
        let outcome = wait_until(BUILT, text, || {
            let ended = self.ended().is_some();
            if self.everything().contains(text) { Some(true) } else { ended.then_some(false) }
        });
        assert!(outcome.expect("in time"), "ended before it printed {text:?}:\n{}", self.everything());
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("a child of ours")
    }

    /// The directory in which its servers work, which is where the gate's socket is.
    fn lab(&self) -> PathBuf {
        let text = self.everything();
        let socket = text.split("unix:").nth(1).and_then(|rest| rest.split_whitespace().next());
        let lab = socket.and_then(|socket| Path::new(socket).ancestors().nth(2));
        lab.expect("the gate's socket in the guide").to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it still runs");
    }
}

#[test]
fn the_whole_job_succeeds_leaves_its_reports_and_nothing_running() {
    let mut demo = Demo::start(&[]);
    let status = wait_until(BUILT, "the end of the demonstration", || demo.ended());
    let everything = demo.everything();
    assert!(status.unwrap().success(), "{everything}");
    assert!(!everything.contains("!!"), "{everything}");
    for name in ["report.html", "report.json"] {
        let report = demo.directory.path().join("reports").join(name);
        assert!(fs::read_to_string(&report).unwrap().contains("bob@gmail.example"), "{}", report.display());
        assert!(demo.printed("stdout").contains(&report.display().to_string()));
    }
    // The reply of a refusal names rule, address and a reference.
    assert!(everything.contains("vendor-state: <burnt@saas.example.test>"), "{everything}");
}

#[test]
fn an_interrupted_visit_leaves_no_process_and_no_file() {
    let mut demo = Demo::start(&["--keep"]);
    demo.wait_until_printed("To stop it from elsewhere");
    let lab = demo.lab();
    assert!(lab.join("mailwarden.toml").exists(), "{}", lab.display());
    assert!(!living_under(&lab).is_empty());
    demo.signal(Signal::INT);
    assert!(!demo.process.wait().unwrap().success());
    wait_for(CLEANED, "the end of all servers", || !lab.exists() && living_under(&lab).is_empty()).unwrap();
}
