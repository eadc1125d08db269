//! An isolated Sendmail on loopback that asks a milter and hands everything on to another server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::elsewhere;
use crate::error::{Result, make_directory, write_file};
use crate::lab::Lab;
use crate::ports::Port;
use crate::process::{COMMAND_LIMIT, Child, run_ok};

const TEMPLATE: &str = include_str!("../templates/sendmail.mc");
/// Sendmail sleeps a minute when its host has no full name, and asks /etc/hosts for it: it gets both, in a
/// namespace of its own.
const NAMED: &str = "hostname sm.example.test && mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
const START_LIMIT: Duration = Duration::from_secs(20);

/// A Sendmail that ends when this is dropped.
#[derive(Debug)]
pub struct Sendmail {
    child: Child,
    port: Port,
}

impl Sendmail {
    /// Starts it beside a lab: it asks `milter` and relays to the port `next`. The lab must stand where
    /// nobody else may write above it (not below /tmp): Sendmail takes neither sockets nor files from such
    /// places.
    pub fn start(lab: &Lab, milter: &str, next: u16, progress: &mut dyn FnMut(&str)) -> Result<Sendmail> {
        let tree = elsewhere::sendmail(progress)?;
        let port = Port::claim()?;
        let directory = furnish(lab.path(), &tree, milter, port.number(), next)?;
        let program = tree.join("usr/libexec/sendmail/sendmail");
        let configured = |arguments: &[&str]| {
            let mut command = named(&directory);
            command.arg(&program).args(arguments).arg("-C").arg(directory.join("sendmail.cf"));
            command
        };
        run_ok(&mut configured(&["-bi"]), b"", COMMAND_LIMIT)?;
        let child = lab.spawn("sendmail", &mut configured(&["-bD", "-q1s"]))?;
        child.wait_for_port(port.number(), START_LIMIT)?;
        Ok(Sendmail { child, port })
    }

    /// Where it takes mail.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Everything it has printed.
    #[must_use]
    pub fn log(&self) -> String {
        self.child.log_text()
    }
}

fn furnish(lab: &Path, tree: &Path, milter: &str, port: u16, next: u16) -> Result<PathBuf> {
    let directory = make_directory(&lab.join("sendmail"))?;
    make_directory(&directory.join("queue"))?;
    for empty in ["local-host-names", "aliases", "statistics"] {
        write_file(&directory.join(empty), "")?;
    }
    write_file(&directory.join("hosts"), "127.0.0.1 sm.example.test localhost\n")?;
    let text = TEMPLATE
        .replace("@dir@", &directory.display().to_string())
        .replace("@port@", &port.to_string())
        .replace("@relay@", &next.to_string())
        .replace("@milter@", milter);
    write_file(&directory.join("sendmail.mc"), &text)?;
    let macros = tree.join("usr/share/sendmail/cf");
    let mut m4 = Command::new("/usr/bin/m4");
    m4.arg(format!("-D_CF_DIR_={}/", macros.display()))
        .arg(macros.join("m4/cf.m4"))
        .arg(directory.join("sendmail.mc"));
    let output = run_ok(&mut m4, b"", COMMAND_LIMIT)?;
    write_file(&directory.join("sendmail.cf"), &output.stdout)?;
    Ok(directory)
}

fn named(directory: &Path) -> Command {
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--uts", "--mount", "--propagation", "private", "/bin/sh", "-c", NAMED, "named"]);
    command.arg(directory.join("hosts"));
    command
}
