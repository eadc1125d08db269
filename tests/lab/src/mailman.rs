//! An isolated Mailman core: its REST interface on loopback, its lists in a file. No mail goes in or out.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::directory::LabDirectory;
use crate::elsewhere;
use crate::error::{LabError, Result, make_directory, write_file};
use crate::ports::Port;
use crate::process::Child;

const NAME: &str = "Mailman";
/// Its administrator.
pub const USER: &str = "restadmin";
/// The administrator's password.
pub const PASSWORD: &str = "restpw";
/// The program that serves the interface and nothing else.
const RUNNER: &str = "from mailman.bin.runner import main; main()";
const START_LIMIT: Duration = Duration::from_secs(60);
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A Mailman that ends, and whose files go, when this is dropped.
#[derive(Debug)]
pub struct Mailman {
    // Dropped before the directory that it works in.
    child: Child,
    port: Port,
    _directory: LabDirectory,
}

impl Mailman {
    /// Starts one with a domain and no lists.
    ///
    /// # Errors
    /// When it cannot be installed or does not start.
    pub fn start(domain: &str, progress: &mut dyn FnMut(&str)) -> Result<Mailman> {
        let tree = elsewhere::mailman(progress)?;
        let directory = LabDirectory::new(None)?;
        let port = Port::claim()?;
        let lab = directory.path();
        let root = make_directory(&lab.join("mailman"))?;
        let conf = root.join("mailman.cfg");
        write_file(&conf, configuration(&root, &tree, port.number()))?;
        let mut command = Command::new(tree.join("bin/python3"));
        command.args(["-c", RUNNER, "-C"]).arg(&conf).args(["-r", "rest:0:1"]).current_dir(&root);
        let pids = lab.join("pids/mailman.pid");
        let child = Child::spawn_in_lab(&mut command, &lab.join("mailman.log"), lab, pids)?;
        child.wait_for_port(port.number(), START_LIMIT)?;
        let mailman = Mailman { child, port, _directory: directory };
        mailman.say("POST", "/domains", &[("mail_host", domain)])?;
        Ok(mailman)
    }

    /// The URL of its interface.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/3.1", self.port.number())
    }

    /// Makes a list.
    ///
    /// # Errors
    /// When it refuses.
    pub fn list(&self, address: &str) -> Result<()> {
        self.say("POST", "/lists", &[("fqdn_listname", address)])
    }

    /// Puts an address on a list, as `member`, `owner`, `moderator` or `nonmember`.
    ///
    /// # Errors
    /// When it refuses.
    pub fn join(&self, list: &str, address: &str, role: &str) -> Result<()> {
        let list_id = list.replacen('@', ".", 1);
        let sure = ["pre_verified", "pre_confirmed", "pre_approved"].map(|word| (word, "true"));
        let who = [("list_id", list_id.as_str()), ("subscriber", address), ("role", role)];
        self.say("POST", "/members", &[&who[..], &sure].concat())
    }

    /// Says something to its interface, by a path below its URL, and expects it done.
    ///
    /// # Errors
    /// When it refuses.
    pub fn say(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Result<()> {
        let body = form
            .iter()
            .map(|(name, value)| format!("{name}={}", value.replace('@', "%40")))
            .collect::<Vec<_>>();
        let body = body.join("&");
        let request = format!(
            "{method} /3.1{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            STANDARD.encode(format!("{USER}:{PASSWORD}")),
            body.len()
        );
        let doing = format!("{method} {path}");
        let answer = self.exchange(&request).map_err(|source| LabError::Unreachable {
            server: NAME,
            doing: doing.clone(),
            source,
        })?;
        match answer.split(' ').nth(1) {
            Some(status) if status.starts_with('2') => Ok(()),
            _ => Err(LabError::Answer {
                server: NAME,
                doing,
                answer: format!("{answer}\n{}", self.child.log_text()),
            }),
        }
    }

    fn exchange(&self, request: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number())))?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

fn configuration(root: &Path, tree: &Path, port: u16) -> String {
    format!(
        "[mailman]\nlayout: here\nsite_owner: root@example.test\n[paths.here]\nvar_dir: {}/var\nbin_dir: {}/bin\n\
         [webservice]\nhostname: 127.0.0.1\nport: {port}\nadmin_user: {USER}\nadmin_pass: {PASSWORD}\n\
         [mta]\nincoming: mailman.mta.null.NullMTA\n",
        root.display(),
        tree.display()
    )
}
