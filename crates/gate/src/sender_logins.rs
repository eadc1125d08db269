//! Which login may use which sender address, in the words of Postfix's `smtpd_sender_login_maps`.

use std::collections::{HashMap, HashSet};

use mailwarden_address::{Address, Domain};

/// The table, read from the text that `postmap` reads: `address  login, login`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SenderLogins {
    addresses: HashMap<Address, Vec<String>>,
    domains: HashMap<Domain, Vec<String>>,
    logins: HashSet<String>,
}

/// A line that is no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct BadEntry {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub problem: String,
}

impl SenderLogins {
    /// Adds the entries of a text. The first entry of an address counts, as when Postfix asks one table after the
    /// other.
    ///
    /// # Errors
    /// The first line that cannot be understood; a table that is half read would refuse people their own address.
    pub fn add(&mut self, text: &str) -> Result<(), BadEntry> {
        for (line, entry) in logical_lines(text) {
            self.entry(&entry).map_err(|problem| BadEntry { line, problem })?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &str) -> Result<(), String> {
        let (key, value) = entry
            .split_once(char::is_whitespace)
            .ok_or("write the address, white space, and the logins that may use it")?;
        let logins: Vec<String> =
            value.split([',', ' ', '\t']).filter(|login| !login.is_empty()).map(str::to_lowercase).collect();
        let owners = match key.strip_prefix('@') {
            Some(domain) => {
                let domain = Domain::parse(domain).map_err(|error| format!("`{key}`: {error}"))?;
                self.domains.entry(domain).or_default()
            }
            None => {
                let address = Address::parse(key).map_err(|error| format!("`{key}`: {error}"))?;
                self.addresses.entry(address).or_default()
            }
        };
        if owners.is_empty() {
            self.logins.extend(logins.iter().cloned());
            *owners = logins;
        }
        Ok(())
    }

    /// The logins that own an address; none when the table does not speak of it. A whole address is asked for
    /// first, then without its extension, then its domain.
    pub fn owners(&self, address: &Address) -> Option<&[String]> {
        let whole = self.addresses.get(address);
        let plain = || {
            let (local, _) = address.local().split_once('+')?;
            self.addresses.get(&Address::parse(&format!("{local}@{}", address.domain())).ok()?)
        };
        whole.or_else(plain).or_else(|| self.domains.get(address.domain())).map(Vec::as_slice)
    }

    /// Whether a login owns an address.
    pub fn owns(&self, login: &str, address: &Address) -> bool {
        let login = login.to_lowercase();
        self.owners(address).is_some_and(|owners| owners.contains(&login))
    }

    /// Whether the table names a login at all.
    pub fn names(&self, login: &str) -> bool {
        self.logins.contains(&login.to_lowercase())
    }
}

/// postmap(1): a line that begins with white space goes on with the one before; `#` begins a comment line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let is_silent = line.trim().is_empty() || line.trim_start().starts_with('#');
        match lines.last_mut() {
            _ if is_silent => {}
            Some((_, entry)) if line.starts_with([' ', '\t']) => {
                entry.push(' ');
                entry.push_str(line.trim());
            }
            _ => lines.push((at + 1, line.trim().to_owned())),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).expect("address")
    }

    #[test]
    fn the_table_is_read_as_postmap_reads_it() {
        let mut logins = SenderLogins::default();
        let text = "# who\nsales@a.example\tomar@a.example, Jane@a.example\n  kim\n\n@b.example  kim\n\
                    sales@a.example late\n";
        logins.add(text).expect("good");
        for login in ["OMAR@a.example", "jane@a.example", "kim"] {
            assert!(logins.owns(login, &address("Sales@A.example")), "{login}");
        }
        assert!(logins.owns("kim", &address("sales+x@a.example")));
        assert!(logins.owns("kim", &address("any@b.example")));
        assert!(!logins.owns("late", &address("sales@a.example")));
        assert_eq!(logins.owners(&address("any@c.example")), None);
        assert!(logins.names("Kim") && !logins.names("late"));
    }

    #[test]
    fn a_line_that_is_no_entry_is_named() {
        for (text, line) in [("a@a.example x\nsales@a.example\n", 2), ("bare kim\n", 1), ("\n@-x kim\n", 2)] {
            assert_eq!(SenderLogins::default().add(text).expect_err("bad").line, line, "{text}");
        }
    }
}
