//! A running gate.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mailwarden_lab::Lab;
use mailwarden_lab::process::Child;
use rustix::process::Signal;

use crate::programs::milter_program;

const START_LIMIT: Duration = Duration::from_secs(20);
/// Longer than messages in flight take, shorter than a hang.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A `mailwarden-milter` that ends when this is dropped.
#[derive(Debug)]
pub struct Gate {
    child: Child,
}

impl Gate {
    /// Starts the gate in a lab and waits until it is open. `name` is that of its log.
    ///
    /// # Errors
    /// When it does not open; the error shows what it printed.
    pub fn start(lab: &Lab, config: &str, name: &str) -> Result<Gate> {
        let mut command = Command::new(milter_program()?);
        command.args(["--config", config]).env("MAILWARDEN_LOG", "info");
        let child = lab.spawn(name, &mut command).context("starting the gate")?;
        let gate = Gate { child };
        gate.wait_until_says("the gate is open")?;
        Ok(gate)
    }

    /// Starts a gate by a command of the caller's own, without a lab, and waits until it is open.
    ///
    /// # Errors
    /// When it does not open.
    pub fn start_alone(command: &mut Command, log: &Path) -> Result<Gate> {
        let child = Child::spawn_command(command, log).context("starting the gate")?;
        let gate = Gate { child };
        gate.wait_until_says("the gate is open")?;
        Ok(gate)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Waits until it has logged `text`.
    ///
    /// # Errors
    /// When it ends or stays silent.
    pub fn wait_until_says(&self, text: &str) -> Result<()> {
        self.child.wait_for_line(text, START_LIMIT).with_context(|| format!("it said: {}", self.log()))
    }

    /// Everything it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.child.log_text()
    }

    /// Asks it to read its policy again.
    pub fn hang_up(&self) {
        self.child.signal(Signal::HUP);
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.child.is_running()
    }

    /// Asks it to end and does not wait.
    pub fn begin_to_stop(&self) {
        self.child.signal(Signal::TERM);
    }

    /// Asks it to end, and insists that it does so in peace.
    ///
    /// # Errors
    /// When it does not end, or not with exit code 0.
    pub fn stop(self) -> Result<()> {
        self.child.signal(Signal::TERM);
        let status = self.child.wait_for_exit(STOP_LIMIT).with_context(|| self.log())?;
        ensure!(status.code() == Some(0), "the gate ended with {status}: {}", self.log());
        Ok(())
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// When it survives even that.
    pub fn kill(self) -> Result<()> {
        self.child.kill().map(drop).context("killing the gate")
    }
}
