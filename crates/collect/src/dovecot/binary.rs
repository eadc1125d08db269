//! Whether a compiled script does what its source says. Pigeonhole believes a compiled form by its age and
//! path alone, so one that was made from another source runs while ManageSieve shows the innocent text.

use std::path::Path;

use super::doveadm::DovecotPlan;
use crate::error::shown;

/// Most differing instructions that are repeated.
const MAX_SHOWN: usize = 5;

/// What the compiled form does beyond its source; `None` where both are the same. An error is a gap.
pub(super) async fn difference(
    plan: &DovecotPlan,
    login: Option<&str>,
    binary: &Path,
    script: &Path,
) -> Result<Option<String>, String> {
    let dump = plan.run("sieve-dump", [binary.as_os_str(), "-".as_ref()]).await;
    let dump = dump.map_err(|error| error.to_string())?;
    if !dump.success {
        // The server cannot load it either, and compiles the source again.
        return Ok(None);
    }
    let mut arguments: Vec<std::ffi::OsString> = vec!["-d".into()];
    if let Some(login) = login {
        arguments.extend(["-u".into(), login.into()]);
    }
    arguments.extend([script.as_os_str().to_owned(), "-".into()]);
    let made = plan.run("sievec", arguments).await.map_err(|error| error.to_string())?;
    if !made.success {
        return Ok(Some(format!("its source does not compile: {}", made.complaint())));
    }
    let (running, expected) = (lossy(&dump.stdout), lossy(&made.stdout));
    Ok(beyond(&running, &expected))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The instructions of a dump without addresses, line numbers and the header, which hold paths and offsets.
fn instructions(dump: &str) -> Vec<&str> {
    let body = dump.find("* Main program").map_or(dump, |at| &dump[at..]);
    body.lines().filter_map(instruction).collect()
}

/// `00000006:    2: REDIRECT` is `REDIRECT`; lines of other shapes stand as they are.
fn instruction(line: &str) -> Option<&str> {
    let line = line.trim();
    let after_address = match line.split_once(':') {
        Some((address, rest)) if is_hexadecimal(address) => rest.trim_start(),
        _ => line,
    };
    let text = match after_address.split_once(':') {
        Some((number, rest)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => after_address,
    };
    let text = text.trim();
    let is_place = text.starts_with("location =") || text.starts_with("DEBUG BLOCK");
    (!text.is_empty() && !is_place).then_some(text)
}

fn is_hexadecimal(word: &str) -> bool {
    word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What one dump holds and the other does not.
fn beyond(running: &str, expected: &str) -> Option<String> {
    let (running, expected) = (instructions(running), instructions(expected));
    if running == expected {
        return None;
    }
    let more: Vec<String> = running
        .iter()
        .filter(|line| !expected.contains(line))
        .take(MAX_SHOWN)
        .map(|line| shown(line.as_bytes()))
        .collect();
    Some(if more.is_empty() { "it leaves out part of its source".to_owned() } else { more.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "location = /a\n* Main program (block: 2):\n\nAddress   Line  Code\n\
        00000000:       DEBUG BLOCK: 3\n00000006:    2: REDIRECT\n\
        0000000b:         address: STR[19] \"thief@gmail.example\"\n00000021:    2: [End of code]\n";
    const GOOD: &str = "location = /b\n* Main program (block: 2):\n\nAddress   Line  Code\n\
        00000000:       DEBUG BLOCK: 3\n00000002:    1: KEEP\n00000003:    1: [End of code]\n";

    #[test]
    fn the_difference_names_what_the_binary_does() {
        assert_eq!(beyond(GOOD, &GOOD.replace("/b", "/c")), None);
        let said = beyond(EVIL, GOOD).unwrap();
        assert!(said.contains("REDIRECT") && said.contains("thief@gmail.example"), "{said}");
        let less = GOOD.replace("00000002:    1: KEEP\n", "");
        assert_eq!(beyond(&less, GOOD).unwrap(), "it leaves out part of its source");
    }
}
