//! What a map parameter names, and how each kind of table can be read.

use std::path::PathBuf;

/// How a table is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// `postmap -s` prints it; its source text, if it has one, is at this path.
    Dump {
        /// The table as `postmap` wants it.
        spec: String,
        /// The text it was made from.
        source: Option<PathBuf>,
    },
    /// A text file of patterns that Postfix itself reads as text.
    Rules(PathBuf),
    /// The same answer for every key.
    Fixed(String),
    /// Its entries cannot be listed; why.
    Opaque(&'static str),
}

/// Table types that `postmap -s` lists and that are made from a text file of the same name.
const DUMPED: [&str; 6] = ["hash", "btree", "lmdb", "texthash", "dbm", "sdbm"];

/// The tables of a map parameter: separated by commas and blanks, but not inside braces.
pub(super) fn split_list(value: &str) -> Vec<String> {
    let mut tables = Vec::new();
    let mut table = String::new();
    let mut depth = 0_usize;
    for c in value.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && (c == ',' || c.is_ascii_whitespace()) {
            tables.extend((!table.is_empty()).then(|| std::mem::take(&mut table)));
        } else {
            table.push(c);
        }
    }
    tables.extend((!table.is_empty()).then_some(table));
    tables
}

/// How to read a table.
pub(super) fn reading_of(table: &str) -> Reading {
    // Going through proxymap(8) changes who opens the table, not what is in it.
    let mut spec = table;
    while let Some(rest) = spec.strip_prefix("proxy:") {
        spec = rest;
    }
    let Some((kind, name)) = spec.split_once(':').filter(|(kind, _)| is_type(kind)) else {
        return untyped(spec);
    };
    match kind {
        _ if DUMPED.contains(&kind) => {
            let source = name.starts_with('/').then(|| PathBuf::from(name));
            Reading::Dump { spec: spec.to_owned(), source }
        }
        "inline" => Reading::Dump { spec: spec.to_owned(), source: None },
        "pcre" | "regexp" if name.starts_with('/') => Reading::Rules(PathBuf::from(name)),
        "pcre" | "regexp" => {
            Reading::Opaque("rules written inside the parameter, or a path that is not absolute")
        }
        "static" => Reading::Fixed(fixed_value(name)),
        "cdb" => Reading::Opaque("cdb tables cannot be listed; convert it to lmdb or hash"),
        "mysql" | "pgsql" | "sqlite" | "ldap" | "mongodb" => {
            Reading::Opaque("kept in a database; review it there")
        }
        "socketmap" | "tcp" => Reading::Opaque("answered by another program; review it there"),
        "unionmap" | "pipemap" | "randmap" => Reading::Opaque("a combination of tables; review its parts"),
        _ => Reading::Opaque("entries of this table type cannot be listed"),
    }
}

fn is_type(kind: &str) -> bool {
    !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A name without a type has the type `default_database_type`, which `postmap` knows.
fn untyped(spec: &str) -> Reading {
    if spec.starts_with('/') {
        return Reading::Dump { spec: spec.to_owned(), source: Some(PathBuf::from(spec)) };
    }
    Reading::Opaque("neither type:name nor an absolute path")
}

/// `static:{a, b}` may hold blanks, `static:a` may not.
fn fixed_value(name: &str) -> String {
    let inner = name.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inner.unwrap_or(name).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_are_split_outside_braces() {
        let value = "hash:/a, lmdb:/b\n  inline:{ {a@b = c, d} , x=y },static:{a, b}";
        let tables = split_list(value);
        assert_eq!(tables, ["hash:/a", "lmdb:/b", "inline:{ {a@b = c, d} , x=y }", "static:{a, b}"]);
        assert!(split_list(" ,\t").is_empty());
    }

    #[test]
    fn every_type_is_read_or_named() {
        let dump = |spec: &str, source: Option<&str>| Reading::Dump {
            spec: spec.into(),
            source: source.map(PathBuf::from),
        };
        assert_eq!(reading_of("hash:/etc/aliases"), dump("hash:/etc/aliases", Some("/etc/aliases")));
        assert_eq!(reading_of("proxy:lmdb:/v"), dump("lmdb:/v", Some("/v")));
        assert_eq!(reading_of("inline:{a=b}"), dump("inline:{a=b}", None));
        assert_eq!(reading_of("/etc/v"), dump("/etc/v", Some("/etc/v")));
        assert_eq!(reading_of("pcre:/x"), Reading::Rules("/x".into()));
        assert_eq!(reading_of("static:{a, b}"), Reading::Fixed("a, b".into()));
        let opaque = [
            "cdb:/x",
            "mysql:/x",
            "proxy:mysql:/x",
            "socketmap:unix:/s:n",
            "tcp:h:1",
            "nis:mail.aliases",
            "pipemap:{hash:/a,hash:/b}",
            "pcre:{{/a/ b}}",
            "ldap:/x",
            "relative",
            "-s",
        ];
        for table in opaque {
            assert!(matches!(reading_of(table), Reading::Opaque(_)), "{table}");
        }
    }

    proptest! {
        #[test]
        fn nothing_but_separators_is_lost(value in "[a-z:/{}, \t]{0,60}") {
            let kept: String = split_list(&value).concat();
            let is_separator = |c: &char| c.is_whitespace() || *c == ',';
            let bare = |text: &str| text.chars().filter(|c| !is_separator(c)).collect::<String>();
            prop_assert_eq!(bare(&kept), bare(&value));
        }

        #[test]
        fn an_option_is_never_made_of_a_table(table in "\\PC{0,30}") {
            if let Reading::Dump { spec, .. } = reading_of(&table) {
                prop_assert!(!spec.starts_with('-'));
            }
        }
    }
}
