//! A script as webmail writes it.

use std::hint::black_box;

use sieve_analysis::{Dialect, analyse, parser::parse};

use crate::Work;

const SCRIPT: &[u8] = b"require [\"fileinto\", \"copy\", \"variables\"];\r\n# rule:[Lists]\r\n\
if anyof (header :contains \"list-id\" \"dev.example\", address :is \"to\" \"dev@x.example\")\r\n{\r\n\
\tfileinto \"Lists/dev\";\r\n\tstop;\r\n}\r\n# rule:[Copy]\r\nset \"who\" \"boss\";\r\n\
if header :matches \"subject\" [\"*invoice*\", \"*payment*\"]\r\n{\r\n\
\tredirect :copy \"${who}@x.example\";\r\n}\r\nif size :over 10M\r\n{\r\n\tdiscard;\r\n}\r\n";

pub(crate) fn parsed() -> Work {
    Box::new(|| drop(black_box(parse(black_box(SCRIPT), Dialect::Pigeonhole))))
}

pub(crate) fn analysed() -> Work {
    Box::new(|| drop(black_box(analyse(black_box(SCRIPT), Dialect::Pigeonhole, true))))
}
