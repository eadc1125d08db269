//! A web server with the lab's certificate that answers with files, for policies and registrations.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::ca::Ca;
use crate::error::{Result, make_directory, write_file};
use crate::packages::OPENSSL;
use crate::ports::Port;
use crate::process::Child;

/// `openssl s_server` answers at once or not at all.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Web {
    port: Port,
    root: PathBuf,
    child: Child,
}

impl Web {
    /// Starts a server whose files lie below `directory`.
    ///
    /// # Errors
    /// When no port is free or the server does not start.
    pub fn start(directory: &Path, ca: &Ca) -> Result<Web> {
        let root = directory.join("web");
        make_directory(&root)?;
        let port = Port::claim()?;
        let mut command = Command::new(OPENSSL);
        command.current_dir(&root).args(["s_server", "-quiet", "-HTTP", "-accept"]);
        command.arg(format!("127.0.0.1:{}", port.number())).arg("-cert").arg(ca.certificate());
        command.arg("-key").arg(ca.key());
        let child = Child::spawn_command(&mut command, &directory.join("web.log"))?;
        child.wait_for_port(port.number(), START_LIMIT)?;
        Ok(Web { port, root, child })
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Answers this path, whatever the host, with this.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn answer(&self, path: &str, status: u16, content_type: &str, body: &str) -> Result<()> {
        let file = self.root.join(path.trim_start_matches('/'));
        if let Some(directory) = file.parent() {
            make_directory(directory)?;
        }
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n");
        write_file(&file, format!("{head}Connection: close\r\n\r\n{body}"))
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.child.is_running()
    }
}
