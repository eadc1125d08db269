//! A small ManageSieve client (RFC 5804) that plants and lists scripts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::Result;
use crate::wire::{LogicalLine, Wire, string, unquote};

const SERVER: &str = "Dovecot (ManageSieve)";
/// More scripts than any quota allows.
const MOST_LINES: usize = 100_000;

/// One entry of LISTSCRIPTS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// Whether it is the one that runs.
    pub active: bool,
}

/// One ManageSieve session.
#[derive(Debug)]
pub struct ManageSieve {
    wire: Wire,
}

impl ManageSieve {
    /// Connects to a loopback port and reads the greeting, which is a list of capabilities.
    pub fn connect(port: u16) -> Result<ManageSieve> {
        let mut session = ManageSieve { wire: Wire::connect(SERVER, port)? };
        session.answer("reading the greeting")?;
        Ok(session)
    }

    /// Connects and logs in.
    pub fn open(port: u16, user: &str, password: &str) -> Result<ManageSieve> {
        let mut session = ManageSieve::connect(port)?;
        session.login(user, password)?;
        Ok(session)
    }

    /// AUTHENTICATE PLAIN; `alice@example.test*sweeper` with the master's password logs in as alice.
    pub fn login(&mut self, user: &str, password: &str) -> Result<()> {
        let response = STANDARD.encode(format!("\0{user}\0{password}"));
        self.command(&format!("AUTHENTICATE \"PLAIN\" \"{response}\""), &format!("logging in as {user}"))
            .map(drop)
    }

    /// PUTSCRIPT.
    pub fn putscript(&mut self, name: &str, script: &str) -> Result<()> {
        // Always counted octets: RFC 5804 §4 bounds quoted strings, scripts are not bounded.
        let command = format!("PUTSCRIPT {} {{{}+}}\r\n{script}", string(name), script.len());
        self.command(&command, &format!("PUTSCRIPT {name}")).map(drop)
    }

    /// SETACTIVE; an empty name deactivates.
    pub fn setactive(&mut self, name: &str) -> Result<()> {
        self.simple("SETACTIVE", name).map(drop)
    }

    /// DELETESCRIPT.
    pub fn deletescript(&mut self, name: &str) -> Result<()> {
        self.simple("DELETESCRIPT", name).map(drop)
    }

    /// GETSCRIPT.
    pub fn getscript(&mut self, name: &str) -> Result<String> {
        let lines = self.simple("GETSCRIPT", name)?;
        let script = lines.into_iter().find_map(|line| line.literals.into_iter().next());
        Ok(String::from_utf8_lossy(&script.unwrap_or_default()).into_owned())
    }

    /// LISTSCRIPTS.
    pub fn listscripts(&mut self) -> Result<Vec<Script>> {
        Ok(self.command("LISTSCRIPTS", "LISTSCRIPTS")?.iter().filter_map(listed).collect())
    }

    fn simple(&mut self, verb: &str, name: &str) -> Result<Vec<LogicalLine>> {
        self.command(&format!("{verb} {}", string(name)), &format!("{verb} {name}"))
    }

    fn command(&mut self, command: &str, doing: &str) -> Result<Vec<LogicalLine>> {
        self.wire.send(format!("{command}\r\n").as_bytes())?;
        self.answer(doing)
    }

    /// The lines before OK; NO and BYE are errors that show what the server said.
    fn answer(&mut self, doing: &str) -> Result<Vec<LogicalLine>> {
        let mut lines = Vec::new();
        while lines.len() < MOST_LINES {
            let line = self.wire.logical_line()?;
            match line.text.split([' ', '(']).next() {
                Some("OK") => return Ok(lines),
                Some("NO" | "BYE") => return Err(self.wire.answer(doing, &shown(&line))),
                _ => lines.push(line),
            }
        }
        Err(self.wire.answer(doing, "an answer without end"))
    }
}

/// Compiler messages come as counted octets behind the NO.
fn shown(line: &LogicalLine) -> String {
    let literals = line.literals.iter().map(|octets| String::from_utf8_lossy(octets).into_owned());
    std::iter::once(line.text.clone()).chain(literals).collect::<Vec<_>>().join("\n")
}

fn listed(line: &LogicalLine) -> Option<Script> {
    if let Some(literal) = line.literals.first() {
        let active = line.text.ends_with(" ACTIVE");
        return Some(Script { name: String::from_utf8_lossy(literal).into_owned(), active });
    }
    let (name, rest) = unquote(&line.text)?;
    Some(Script { name, active: rest.trim() == "ACTIVE" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_scripts_keep_odd_names_apart_from_the_active_mark() {
        let line = |text: &str, literals: &[&[u8]]| LogicalLine {
            text: text.to_owned(),
            literals: literals.iter().map(|octets| octets.to_vec()).collect(),
        };
        let script = |name: &str, active| Some(Script { name: name.to_owned(), active });
        assert_eq!(listed(&line("\"main\" ACTIVE", &[])), script("main", true));
        assert_eq!(listed(&line(r#""a \" ACTIVE""#, &[])), script("a \" ACTIVE", false));
        assert_eq!(listed(&line("{3} ACTIVE", &[b"x\"y"])), script("x\"y", true));
    }
}
