//! Small changes to the text of a script.

use crate::chance::Chance;
use sieve_analysis::Dialect;
use sieve_analysis::lexer::tokenize;

const TOKENS: [&str; 44] = [
    ";",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ",",
    "\"a\"",
    "\"a@x.example\"",
    "[\"a\", \"b\"]",
    ":copy",
    ":is",
    ":matches",
    ":comparator",
    ":over",
    ":days",
    "1",
    "10K",
    "not",
    "true",
    "false",
    "if",
    "elsif",
    "else",
    "stop",
    "keep",
    "redirect",
    "fileinto",
    "set",
    "anyof",
    "allof",
    "header",
    "exists",
    "require",
    "return",
    "break",
    "text:\na\n.\n",
    "\"${a}\"",
    "\"${hex:61}\"",
    "\"\"",
    ":mime",
    ":flags",
    "foreverypart",
];

/// The script with one to three tokens dropped, doubled, exchanged or put in.
pub(crate) fn mutated(script: &[u8], chance: &mut Chance) -> Vec<u8> {
    let tokens = tokenize(script, Dialect::Pigeonhole);
    let mut pieces: Vec<Vec<u8>> = tokens.iter().map(|token| token.bytes(script).to_vec()).collect();
    for _ in 0..=chance.below(3) {
        change(&mut pieces, chance);
    }
    pieces.concat()
}

fn change(pieces: &mut Vec<Vec<u8>>, chance: &mut Chance) {
    if pieces.is_empty() {
        return;
    }
    let at = chance.below(pieces.len());
    let fresh = format!(" {} ", chance.of(&TOKENS)).into_bytes();
    match chance.below(5) {
        0 => drop(pieces.remove(at)),
        1 => {
            let again = pieces[at].clone();
            pieces.insert(at, again);
        }
        2 => {
            let other = chance.below(pieces.len());
            pieces.swap(at, other);
        }
        3 => pieces[at] = fresh,
        _ => pieces.insert(at, fresh),
    }
}
