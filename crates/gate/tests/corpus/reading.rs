//! Reads the corpora: one message a file with an index of how each comes, and the hostile ones in one text.
//! The decisions of the gate and the gate behind a real Postfix are tried on the same.

use std::net::IpAddr;
use std::path::Path;

/// One message and the way it takes.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) name: String,
    pub(crate) sender: String,
    pub(crate) recipient: String,
    pub(crate) how: How,
    pub(crate) message: Vec<u8>,
}

/// Who brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum How {
    Stranger,
    Login(String),
    Client(IpAddr),
    Local,
}

/// The messages of `ordinary/`.
pub(crate) fn ordinary(corpus: &Path) -> Vec<Letter> {
    let index = std::fs::read_to_string(corpus.join("ordinary/index.txt")).expect("the index");
    index.lines().filter(|line| !line.starts_with('#')).map(|line| letter(corpus, line)).collect()
}

fn letter(corpus: &Path, line: &str) -> Letter {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let [name, sender, recipient, how] = columns.as_slice() else { panic!("not an entry: {line}") };
    let how = match how.split_once('=') {
        Some(("auth", login)) => How::Login(login.to_owned()),
        Some(("client", address)) => How::Client(address.parse().expect(line)),
        None if *how == "local" => How::Local,
        None if how.is_empty() => How::Stranger,
        _ => panic!("not a way to come: {line}"),
    };
    let message = std::fs::read(corpus.join(format!("ordinary/{name}.eml"))).expect("the message");
    let (sender, recipient) = ((*sender).to_owned(), (*recipient).to_owned());
    Letter { name: (*name).to_owned(), sender, recipient, how, message }
}

/// The messages of `hostile.txt`, with their names.
pub(crate) fn hostile(corpus: &Path) -> Vec<(String, Vec<u8>)> {
    let text = std::fs::read_to_string(corpus.join("hostile.txt")).expect("the corpus");
    let mut messages: Vec<(String, Vec<u8>)> = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix("== ") {
            messages.push((name.trim().to_owned(), Vec::new()));
        } else if let Some((_, message)) = messages.last_mut() {
            unescape(line, message);
        }
    }
    messages
}

fn unescape(line: &str, message: &mut Vec<u8>) {
    let mut rest = line;
    while let Some((before, escape)) = rest.split_once('\\') {
        message.extend_from_slice(before.as_bytes());
        rest = match escape.as_bytes() {
            [b'\\', ..] => {
                message.push(b'\\');
                &escape[1..]
            }
            [b'x', ..] => {
                message.push(u8::from_str_radix(&escape[1..3], 16).expect("two digits"));
                &escape[3..]
            }
            _ => {
                let (digits, after) = escape[2..].split_once('}').expect("closed");
                let character = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
                message.extend_from_slice(character.expect("a character").to_string().as_bytes());
                after
            }
        };
    }
    message.extend_from_slice(rest.as_bytes());
}
