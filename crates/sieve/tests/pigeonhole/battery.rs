//! Scripts with the verdict of a real Pigeonhole.

/// A script and whether Pigeonhole compiled it when the list was made.
pub(crate) struct Measured {
    pub(crate) line: &'static str,
    pub(crate) script: Vec<u8>,
    pub(crate) accepted: bool,
}

pub(crate) fn measured() -> Vec<Measured> {
    let rows = include_str!("battery.txt")
        .lines()
        .filter(|line| !line.starts_with("# One") && !line.starts_with("# `"));
    rows.map(|line| Measured { line, script: unescape(&line[2..]), accepted: line.starts_with('+') })
        .collect()
}

/// The rows above and those of the file that the environment variable `SIEVE_BATTERY` names, if it does:
/// generated scripts can be compared with the engine without end.
pub(crate) fn measured_and_more() -> Vec<Measured> {
    let mut rows = measured();
    let more = std::env::var_os("SIEVE_BATTERY").map(|path| std::fs::read_to_string(path).unwrap());
    let more: &'static str = Box::leak(more.unwrap_or_default().into_boxed_str());
    let read =
        |line: &'static str| Measured { line, script: unescape(&line[2..]), accepted: line.starts_with('+') };
    rows.extend(more.lines().map(read));
    rows
}

fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let (byte, length) = match (bytes[at], bytes.get(at + 1)) {
            (b'\\', Some(b'n')) => (b'\n', 2),
            (b'\\', Some(b'\\')) => (b'\\', 2),
            (b'\\', Some(b'x')) => (u8::from_str_radix(&text[at + 2..at + 4], 16).unwrap(), 4),
            (byte, _) => (byte, 1),
        };
        plain.push(byte);
        at += length;
    }
    plain
}
