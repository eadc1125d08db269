//! Query sets: what is asked of a panel's database, and what the answers mean. Built in, or an administrator's own.

use std::collections::{BTreeMap, BTreeSet};

use mailwarden_evidence::{PanelMeaning, RowPlace, surface};
use serde::Deserialize;

use crate::row::Columns;
use crate::{Engine, by_hand};

/// Most queries of one set.
const MAX_QUERIES: usize = 100;
/// Longest query, in bytes.
const MAX_SQL: usize = 8 * 1024;

/// Everything that is asked of one kind of panel.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuerySet {
    /// Its name, e.g. `postfixadmin`.
    pub name: String,
    /// The version of this set; another number asks other things.
    pub version: u32,
    /// The versions of the panel that it was written for.
    pub panel_versions: String,
    /// The queries.
    #[serde(rename = "query")]
    pub queries: Vec<Query>,
}

/// One query.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Its name within the set, usually that of the table.
    pub id: String,
    /// The surface its rows lie on.
    pub surface: String,
    /// What a row gives; what is picked out of JSON says so itself.
    pub means: PanelMeaning,
    /// A SELECT of columns named `owner`, `target`, `label`, `active` and `row_key`; those that are not there are
    /// empty, and `active` true. `{prefix}` stands for the prefix of table names.
    pub sql: String,
    /// The same for MariaDB and MySQL, where it has to be written otherwise.
    pub mysql: Option<String>,
    /// The same for PostgreSQL.
    pub postgresql: Option<String>,
    /// Why this cannot be asked of an SQLite database; the surface is then not whole. Empty where it can.
    #[serde(default)]
    pub not_in_sqlite: String,
    /// What a row means that says nothing of its owner: its rows are counted and told as a note.
    #[serde(default)]
    pub counted: String,
    /// The table came with a later version, or belongs to a part that need not be installed.
    #[serde(default)]
    pub optional: bool,
    /// Several targets in one column.
    #[serde(default)]
    pub list: bool,
    /// How a filter is written where it is no Sieve script.
    pub form: Option<Form>,
    /// How what a row gives is taken away; by hand where it does not say.
    pub revoke: Option<Revoke>,
    /// The statement that takes away what a row gives, for an administrator to type: `{prefix}` stands for the prefix of
    /// table names, `{owner}`, `{target}` and `{row_key}` for values of the row, quoted. Never executed from here.
    pub by_hand: Option<String>,
    /// What to take out of `target` where that is a JSON document.
    #[serde(default)]
    pub pick: Vec<Pick>,
}

/// How a filter is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Rules of SOGo, in the JSON of a profile.
    Sogo,
}

/// Which cells of a row are changed to take away what it gives. Nothing is deleted, so that nothing has to be kept
/// elsewhere to bring it back.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// The table, without its prefix.
    pub table: String,
    /// The columns that name the row, each with the column of the query that holds its value: `owner`,
    /// `target` or `row_key`.
    pub by: BTreeMap<String, Named>,
    /// The column that lists several targets; one is taken out of it.
    pub list: Option<String>,
    /// The column that is switched off, where there is no list or nothing else in it.
    pub switch: String,
    /// Columns that the database would write anew on every change (a time), and that keep what they hold.
    #[serde(default)]
    pub keep: Vec<String>,
}

/// A column of a query's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    /// The owner.
    Owner,
    /// Who gains, where that is one name.
    Target,
    /// What tells the row from others.
    RowKey,
}

impl Revoke {
    /// Where a row is.
    pub fn place(&self, query: &str, prefix: &str, owner: &str, target: &str, row_key: &str) -> RowPlace {
        let value = |named: &Named| {
            let value = match named {
                Named::Owner => owner,
                Named::Target => target,
                Named::RowKey => row_key,
            };
            value.to_owned()
        };
        RowPlace {
            query: query.to_owned(),
            table: format!("{prefix}{}", self.table),
            by: self.by.iter().map(|(column, named)| (column.clone(), value(named))).collect(),
            list: self.list.clone(),
            switch: self.switch.clone(),
            keep: self.keep.clone(),
        }
    }

    fn check(&self) -> Result<(), String> {
        let names = [&self.table, &self.switch].into_iter().chain(&self.list).chain(&self.keep);
        match names.chain(self.by.keys()).find(|name| !is_name(name)) {
            Some(name) => Err(format!("`{name}` is no plain name of a table or column")),
            None if self.by.is_empty() => Err("nothing names the row that is changed".to_owned()),
            None => Ok(()),
        }
    }
}

/// A name that needs no quotes in any database, and can hide nothing.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.len() <= 64 && name.chars().all(plain)
}

/// Places in a JSON document: as RFC 6901, and `*` for every element of a list or object.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pick {
    /// What stands there gives.
    pub means: PanelMeaning,
    /// Where the targets stand: a text, a list of texts, or objects with `field`.
    pub at: String,
    /// The field of each object.
    pub field: Option<String>,
    /// Only objects where fields hold these words.
    #[serde(default)]
    pub only: BTreeMap<String, String>,
    /// Where it stands whether that is in force; in force where there is no such place. A `*` stands for the same
    /// element as in `at`.
    pub active: Option<String>,
    /// Where its name stands, in the same way.
    pub label: Option<String>,
}

/// What is wrong with a set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSet {
    /// It is no set at all.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// A query is not what it should be.
    #[error("query `{0}`: {1}")]
    Query(String, String),
}

/// The sets of the program, by name.
pub fn built_in(name: &str) -> Option<QuerySet> {
    let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
    QuerySet::parse(text).ok()
}

/// Every built-in set.
const BUILT_IN: [(&str, &str); 6] = [
    ("postfixadmin", include_str!("sets/postfixadmin.toml")),
    ("mailcow", include_str!("sets/mailcow.toml")),
    ("modoboa", include_str!("sets/modoboa.toml")),
    ("iredmail", include_str!("sets/iredmail.toml")),
    ("roundcube", include_str!("sets/roundcube.toml")),
    ("sogo", include_str!("sets/sogo.toml")),
];

impl QuerySet {
    /// Reads a set and checks every query of it.
    ///
    /// # Errors
    /// It is no set, or a query of it is none.
    pub fn parse(text: &str) -> Result<Self, BadSet> {
        let set: Self = toml::from_str(text).map_err(|error| BadSet::Unreadable(error.to_string()))?;
        if set.queries.len() > MAX_QUERIES {
            return Err(BadSet::Unreadable(format!("more than {MAX_QUERIES} queries")));
        }
        let mut known = BTreeSet::new();
        for query in &set.queries {
            let bad = |why: String| BadSet::Query(query.id.clone(), why);
            if !known.insert(&query.id) {
                return Err(bad("the name stands twice".to_owned()));
            }
            query.check().map_err(bad)?;
        }
        Ok(set)
    }

    /// The surfaces that the set covers.
    pub fn surfaces(&self) -> BTreeSet<&'static str> {
        self.queries.iter().filter_map(|query| surface(&query.surface)).map(|row| row.id.as_str()).collect()
    }
}

impl Query {
    /// The text for an engine.
    pub(crate) fn text(&self, engine: Engine, prefix: &str) -> String {
        let special = match engine {
            Engine::Sqlite => None,
            Engine::MySql => self.mysql.as_ref(),
            Engine::PostgreSql => self.postgresql.as_ref(),
        };
        special.unwrap_or(&self.sql).replace("{prefix}", prefix)
    }

    fn check_by_hand(&self) -> Result<(), String> {
        let Some(template) = &self.by_hand else { return Ok(()) };
        let value = || "x".to_owned();
        let row = Columns { owner: value(), row_key: value(), ..Columns::default() };
        let made = by_hand::statement(template, (Engine::Sqlite, ""), &row, "x");
        made.map(drop)
            .ok_or_else(|| "`by_hand` knows {prefix}, {owner}, {target} and {row_key} only".to_owned())
    }

    fn check(&self) -> Result<(), String> {
        if surface(&self.surface).is_none() {
            return Err(format!("no surface is called `{}`", self.surface));
        }
        self.revoke.as_ref().map_or(Ok(()), Revoke::check)?;
        self.check_by_hand()?;
        let all = [Some(&self.sql), self.mysql.as_ref(), self.postgresql.as_ref()];
        all.into_iter().flatten().try_for_each(|sql| only_selects(sql))
    }
}

/// The database is told to allow nothing but reading; a query that would need more is refused before it is sent.
fn only_selects(sql: &str) -> Result<(), String> {
    // INTO writes files and variables, the rest changes data, rights, or what a session may do.
    const FORBIDDEN: [&str; 24] = [
        "into",
        "insert",
        "update",
        "delete",
        "replace",
        "merge",
        "drop",
        "alter",
        "create",
        "truncate",
        "grant",
        "revoke",
        "attach",
        "detach",
        "pragma",
        "copy",
        "call",
        "do",
        "execute",
        "set",
        "load_file",
        "pg_read_file",
        "lo_export",
        "load_extension",
    ];
    if sql.len() > MAX_SQL {
        return Err(format!("it is longer than {MAX_SQL} bytes"));
    }
    let bare = without_strings(sql);
    if bare.contains(';') {
        return Err("it holds a semicolon; one query is one SELECT".to_owned());
    }
    let lower = bare.to_ascii_lowercase();
    let mut words = lower.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    if !words.clone().next().is_some_and(|word| word == "select" || word == "with") {
        return Err("it does not begin with SELECT".to_owned());
    }
    match words.find(|word| FORBIDDEN.contains(word)) {
        Some(word) => Err(format!("it holds {}, and only reading is allowed", word.to_uppercase())),
        None => Ok(()),
    }
}

/// A text without what stands in quotes.
fn without_strings(sql: &str) -> String {
    let (mut text, mut quote) = (String::new(), None);
    for c in sql.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if ['\'', '"', '`'].contains(&c) => quote = Some(c),
            None => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_set_is_valid_and_named_as_it_is_called() {
        for (name, text) in BUILT_IN {
            let set = QuerySet::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(set.name, name);
            assert!(!set.surfaces().is_empty() && !set.panel_versions.is_empty());
            assert!(built_in(name).is_some());
        }
        assert!(built_in("unknown").is_none());
    }

    /// A password, a hash, a token or a key is never an answer.
    #[test]
    fn no_built_in_query_selects_a_secret() {
        for (name, text) in BUILT_IN {
            for query in QuerySet::parse(text).unwrap().queries {
                for sql in [Some(query.sql), query.mysql, query.postgresql].into_iter().flatten() {
                    let lower = sql.to_ascii_lowercase();
                    let columns = lower.split(" from ").next().unwrap_or_default();
                    for secret in [
                        "password",
                        "api_key",
                        "hash",
                        "secret",
                        "access_token",
                        "sess_id",
                        "c_id",
                        "c_value",
                    ] {
                        assert!(!columns.contains(secret), "{name}.{}: {secret} in {columns}", query.id);
                    }
                }
            }
        }
    }

    #[test]
    fn a_query_that_could_write_is_refused() {
        for (sql, word) in [
            ("DELETE FROM alias", "SELECT"),
            ("SELECT 1; DROP TABLE alias", "semicolon"),
            ("SELECT a INTO OUTFILE '/tmp/x' FROM b", "INTO"),
            ("WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", "DELETE"),
            ("SELECT load_file('/etc/passwd')", "LOAD_FILE"),
            ("", "SELECT"),
        ] {
            assert!(only_selects(sql).unwrap_err().contains(word), "{sql}");
        }
        assert_eq!(only_selects("SELECT 'a; delete', \"update\" FROM t WHERE b = ';'"), Ok(()));
    }
}
