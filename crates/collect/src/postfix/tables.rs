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
    /// Postfix itself reads the text, key by key.
    Text(PathBuf),
    /// A constant database of this path and, without its `.cdb`, the text it was made from.
    Constant(PathBuf),
    /// A text file of patterns that Postfix itself reads as text.
    Rules(PathBuf),
    /// Patterns inside the parameter.
    InlineRules(Vec<String>),
    /// Networks and addresses (cidr_table(5)), and the same inside the parameter.
    Networks(PathBuf),
    /// Keys with values inside the parameter.
    Inline(Vec<String>),
    /// The same answer for every key.
    Fixed(Vec<String>),
    /// Other tables, all of which are asked.
    Union(Vec<String>),
    /// Other tables, each asked for what the one before answered.
    Pipe(Vec<String>),
    /// Its entries cannot be listed, but it answers questions; why.
    Asked(&'static str),
    /// It answers nothing from here; why.
    Opaque(&'static str),
}

/// Table types that `postmap -s` lists and that are made from a text file of the same name.
const DUMPED: [&str; 5] = ["hash", "btree", "lmdb", "dbm", "sdbm"];

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
    let path = || name.starts_with('/').then(|| PathBuf::from(name));
    let inner = || split_list(unbraced(name));
    match (kind, path()) {
        (_, source) if DUMPED.contains(&kind) => Reading::Dump { spec: spec.to_owned(), source },
        ("texthash", Some(path)) => Reading::Text(path),
        ("cdb", Some(path)) => Reading::Constant(path),
        ("pcre" | "regexp", Some(path)) => Reading::Rules(path),
        ("pcre" | "regexp", None) if name.starts_with('{') => Reading::InlineRules(inner()),
        ("cidr", Some(path)) => Reading::Networks(path),
        ("cidr" | "inline", None) if name.starts_with('{') => Reading::Inline(inner()),
        ("static", _) => Reading::Fixed(vec![unbraced(name).trim().to_owned()]),
        ("randmap", _) => Reading::Fixed(inner()),
        ("unionmap", _) => Reading::Union(inner()),
        ("pipemap", _) => Reading::Pipe(inner()),
        ("fail", _) => Reading::Fixed(Vec::new()),
        ("mysql" | "pgsql" | "sqlite" | "ldap" | "mongodb" | "memcache", _) => {
            Reading::Asked("kept in a database, whose other rows cannot be listed from here")
        }
        ("socketmap" | "tcp" | "nis" | "nisplus" | "netinfo" | "environ" | "unix", _) => {
            Reading::Asked("answered by another program, which lists nothing")
        }
        _ => {
            Reading::Opaque("entries of this table type, or by a path that is not absolute, cannot be listed")
        }
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
fn unbraced(name: &str) -> &str {
    name.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(name)
}

/// `{ key = value }`, or the same without braces, as inline_table(5) writes an entry.
pub(super) fn inline_entry(text: &str) -> Option<(&str, &str)> {
    let (key, value) = unbraced(text.trim()).split_once('=')?;
    Some((key.trim(), value.trim()))
}

/// A rule inside a parameter: `{/pattern/ result}`, its dollar signs doubled for the sake of main.cf.
pub(super) fn inline_rule(text: &str) -> String {
    unbraced(text.trim()).trim().replace("$$", "$")
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
        assert_eq!(
            reading_of("inline:{ {a=b c}, d=e}"),
            Reading::Inline(vec!["{a=b c}".into(), "d=e".into()])
        );
        assert_eq!(reading_of("/etc/v"), dump("/etc/v", Some("/etc/v")));
        assert_eq!(reading_of("pcre:/x"), Reading::Rules("/x".into()));
        assert_eq!(reading_of("pcre:{{/a/ b}}"), Reading::InlineRules(vec!["{/a/ b}".into()]));
        assert_eq!(reading_of("cidr:/x"), Reading::Networks("/x".into()));
        assert_eq!(reading_of("cdb:/x"), Reading::Constant("/x".into()));
        assert_eq!(reading_of("texthash:/x"), Reading::Text("/x".into()));
        assert_eq!(reading_of("static:{a, b}"), Reading::Fixed(vec!["a, b".into()]));
        assert_eq!(reading_of("randmap:{a, b}"), Reading::Fixed(vec!["a".into(), "b".into()]));
        let parts = || vec!["hash:/a".to_owned(), "hash:/b".to_owned()];
        assert_eq!(reading_of("unionmap:{hash:/a,hash:/b}"), Reading::Union(parts()));
        assert_eq!(reading_of("pipemap:{hash:/a,hash:/b}"), Reading::Pipe(parts()));
        for table in ["mysql:/x", "proxy:mysql:/x", "socketmap:unix:/s:n", "tcp:h:1", "ldap:/x", "sqlite:/x"]
        {
            assert!(matches!(reading_of(table), Reading::Asked(_)), "{table}");
        }
        for table in ["relative", "-s", "pcre:relative", "what:/x"] {
            assert!(matches!(reading_of(table), Reading::Opaque(_)), "{table}");
        }
        assert_eq!(inline_entry("{ a@b = c, d }"), Some(("a@b", "c, d")));
        assert_eq!(inline_rule("{/^a$$/ b$$1}"), "/^a$/ b$1");
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
