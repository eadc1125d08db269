//! Reading one table, of whatever kind, into rows.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::look::{Look, Row};
use super::source::{Dialect, LogicalLines, Rules, SourceText, comparable, split_entry};
use super::tables::{Reading, inline_entry, inline_rule, reading_of};
use super::{MAX_KEYS, MAX_TABLE, cdb};
use crate::command;
use crate::harvest::named;

/// Tables inside tables inside tables.
const MAX_NESTING: u32 = 5;
/// Largest text of a table that is read as text.
const MAX_TEXT: u64 = 256 * 1024 * 1024;
/// Rows that `postalias` adds for its own use (NIS and Sendmail compatibility).
const ALIAS_MARKERS: [&str; 4] = ["@", "YP_LAST_MODIFIED", "YP_MASTER_NAME", "YP_SECURE"];

/// One table of one parameter.
#[derive(Clone, Copy)]
pub(super) struct TableReader<'a> {
    pub(super) surface: &'static str,
    /// The parameter as it is shown, with its service.
    pub(super) parameter: &'a str,
    pub(super) dialect: Dialect,
    /// The table as the parameter names it.
    pub(super) table: &'a str,
}

impl TableReader<'_> {
    /// Reads the table; each error names what stays unknown of it.
    pub(super) async fn read(&self, look: &mut Look<'_>) -> Result<(), String> {
        self.read_part(look, self.table, MAX_NESTING).await
    }

    async fn read_part(&self, look: &mut Look<'_>, table: &str, depth: u32) -> Result<(), String> {
        if look.left == 0 {
            return Err("rows beyond those that are taken in one run".to_owned());
        }
        match reading_of(table) {
            Reading::Dump { spec, source } => self.dump(look, &spec, source.as_deref()).await,
            Reading::Text(path) => self.text(look, &path),
            Reading::Constant(path) => self.constant(look, &path),
            Reading::Rules(path) => {
                let rules = Rules::read(&look.plan.files, &path, look.left)?;
                self.rules(look, rules)
            }
            Reading::InlineRules(texts) => {
                let lines: Vec<String> = texts.iter().map(|text| inline_rule(text)).collect();
                let mut rules = Rules::of(lines.join("\n").as_bytes(), look.left);
                rules.rules.iter_mut().for_each(|rule| rule.line = None);
                self.rules(look, rules)
            }
            Reading::Networks(path) => self.networks(look, &path),
            Reading::Inline(entries) => self.inline(look, &entries),
            Reading::Fixed(values) => {
                values.iter().for_each(|value| self.row(look, "*", value, None, self.table.as_bytes(), ""));
                Ok(())
            }
            Reading::Union(parts) | Reading::Pipe(parts) if depth == 0 || parts.is_empty() => {
                Err("too many tables inside tables".to_owned())
            }
            Reading::Union(parts) => self.parts(look, &parts, depth).await,
            Reading::Pipe(parts) => self.pipe(look, table, &parts, depth).await,
            Reading::Asked(why) => self.ask(look, table, why).await,
            Reading::Opaque(why) => Err(why.to_owned()),
        }
    }

    async fn parts(&self, look: &mut Look<'_>, parts: &[String], depth: u32) -> Result<(), String> {
        let mut gaps = Vec::new();
        for part in parts {
            // A row stands where it is written, not in the union that leads there.
            let reader = TableReader { table: part, ..*self };
            if let Err(gap) = Box::pin(reader.read_part(look, part, depth - 1)).await {
                gaps.push(format!("{part}: {gap}"));
            }
        }
        if gaps.is_empty() { Ok(()) } else { Err(named(&gaps)) }
    }

    /// What the first table answers is the question to the next: keys of the first lead to results of the last, and
    /// only asking says which. All parts are shown, so that no target hides in the last.
    async fn pipe(
        &self,
        look: &mut Look<'_>,
        table: &str,
        parts: &[String],
        depth: u32,
    ) -> Result<(), String> {
        let asked = self.ask(look, table, "a chain of tables").await;
        let read = self.parts(look, parts, depth).await;
        look.note(format!(
            "{}: {table} is a chain; the rows of its parts are listed as if each were asked by itself",
            self.parameter
        ));
        match (asked, read) {
            // Where every part could be listed nothing can hide.
            (_, Ok(())) => Ok(()),
            (_, Err(gap)) => Err(gap),
        }
    }

    // --- tables that Postfix made from a text ---------------------------------------------------------------------

    async fn dump(&self, look: &mut Look<'_>, spec: &str, source: Option<&Path>) -> Result<(), String> {
        if look.plan.export.is_some() {
            return self.exported(look, source);
        }
        let program = if self.dialect == Dialect::Aliases { "postalias" } else { "postmap" };
        let asked = look.plan.ask(program, &["-s", spec], MAX_TABLE).await;
        let output = asked.map_err(|error| error.to_string())?;
        let most = look.left;
        let mut rows = output.split(|byte| *byte == b'\n').filter_map(|line| self.row_of(line));
        let taken: Vec<(String, String)> = rows.by_ref().take(most).collect();
        let is_cut = rows.next().is_some();
        self.in_force(look, taken, is_cut, source, program)
    }

    fn row_of(&self, line: &[u8]) -> Option<(String, String)> {
        let row = String::from_utf8_lossy(line);
        let (key, result) = row_of(&row, self.dialect == Dialect::Aliases)?;
        Some((key.to_owned(), result.to_owned()))
    }

    fn constant(&self, look: &mut Look<'_>, path: &Path) -> Result<(), String> {
        let mut database = path.as_os_str().to_owned();
        database.push(".cdb");
        let read = look.plan.files.read(Path::new(&database), MAX_TABLE as u64);
        let (bytes, is_long) = match read {
            Ok(read) => read,
            Err(_) if look.plan.export.is_some() => return self.exported(look, Some(path)),
            Err(error) => return Err(error.to_string()),
        };
        if is_long {
            return Err(format!("it is longer than {MAX_TABLE} bytes"));
        }
        let (rows, is_cut) = cdb::rows(&bytes, look.left)?;
        let is_alias = self.dialect == Dialect::Aliases;
        let wanted = |row: &(String, String)| !(is_alias && ALIAS_MARKERS.contains(&row.0.as_str()));
        let rows = rows.into_iter().filter(wanted).collect();
        self.in_force(look, rows, is_cut, Some(path), "postmap")
    }

    /// Rows in force, each with its line in the source text, and what stands in the text alone.
    fn in_force(
        &self,
        look: &mut Look<'_>,
        rows: Vec<(String, String)>,
        is_cut: bool,
        source: Option<&Path>,
        program: &str,
    ) -> Result<(), String> {
        let most = look.plan.most_entries;
        let text = source.and_then(|path| SourceText::read(&look.plan.files, path, self.dialect, most));
        for (key, result) in &rows {
            let (at, note) = text.as_ref().map_or((None, ""), |text| text.find(key, result));
            self.row(look, key, result, at, format!("{key}\t{result}").as_bytes(), note);
        }
        if let Some(text) = text.filter(|text| !text.is_cut && !is_cut) {
            self.pending(look, &rows, &text, program);
        }
        if is_cut { Err(format!("rows beyond the first {}", rows.len())) } else { Ok(()) }
    }

    /// Edited and not built: nothing of it acts, until somebody runs the program for another reason.
    fn pending(&self, look: &mut Look<'_>, rows: &[(String, String)], text: &SourceText, program: &str) {
        let known: HashMap<String, String> =
            rows.iter().map(|(key, result)| comparable(key, result)).collect();
        let waiting = text.pending(&known);
        if waiting.is_empty() && text.len() == known.len() {
            return;
        }
        look.note(format!(
            "{}: {} differs from its source text ({} entries in force, {} in {}); the next {program} will change \
             what happens to mail",
            self.parameter,
            self.table,
            known.len(),
            text.len(),
            text.path()
        ));
        for (line, key, result) in waiting.into_iter().take(look.left) {
            let note = " (not in force: only in the source text)";
            let raw = format!("{key}\t{result}");
            look.row(&Row { pending: true, ..self.shape(key, result, Some(line), raw.as_bytes(), note) });
        }
    }

    /// A copied table: its dump where that was copied too, else its text, which need not be what is in force.
    fn exported(&self, look: &mut Look<'_>, source: Option<&Path>) -> Result<(), String> {
        let path = source.ok_or("its text is at no absolute path")?;
        let mut dump = path.as_os_str().to_owned();
        dump.push(".postmap-s");
        if let Ok((bytes, is_long)) = look.plan.files.read(Path::new(&dump), MAX_TABLE as u64) {
            let rows: Vec<_> = bytes
                .split(|byte| *byte == b'\n')
                .filter_map(|line| self.row_of(line))
                .take(look.left)
                .collect();
            let is_cut = is_long || rows.len() == look.left;
            return self.in_force(look, rows, is_cut, Some(path), "postmap");
        }
        self.text(look, path)?;
        Err(format!("the text was read, what is in force was not copied; add {}", Path::new(&dump).display()))
    }

    // --- tables that are texts ------------------------------------------------------------------------------------

    fn text(&self, look: &mut Look<'_>, path: &Path) -> Result<(), String> {
        let (bytes, is_long) =
            look.plan.files.read(path, MAX_TEXT).map_err(|error| format!("{}: {error}", path.display()))?;
        let (mut taken, mut known, most) = (0_usize, BTreeSet::new(), look.left);
        for line in LogicalLines::of(&bytes) {
            let Some((key, result)) = split_entry(&line.text, self.dialect) else { continue };
            if taken == most {
                return Err(format!("rows beyond the first {taken}"));
            }
            // Postfix keeps the first of two equal keys.
            let key = key.trim().trim_matches('"').to_lowercase();
            taken += 1;
            if known.insert(key.clone()) {
                self.row(look, &key, result.trim(), Some(line.number), line.text.as_bytes(), "");
            }
        }
        if is_long { Err(format!("text beyond the first {MAX_TEXT} bytes")) } else { Ok(()) }
    }

    fn rules(&self, look: &mut Look<'_>, rules: Rules) -> Result<(), String> {
        for rule in &rules.rules {
            self.row(look, &rule.pattern, &rule.result, rule.line, rule.text.as_bytes(), "");
        }
        if rules.conditionals > 0 {
            look.note(format!(
                "{}: {} has {} if/endif blocks; their rules are listed as if the conditions always held",
                self.parameter, self.table, rules.conditionals
            ));
        }
        match rules.unreadable.as_slice() {
            [] if rules.is_cut => Err(format!("rules beyond the first {}", rules.rules.len())),
            [] => Ok(()),
            lines => Err(format!("lines that are no rule: {}", named(lines))),
        }
    }

    /// `pattern result`, with `if` and `endif` (cidr_table(5)).
    fn networks(&self, look: &mut Look<'_>, path: &Path) -> Result<(), String> {
        let (bytes, is_long) =
            look.plan.files.read(path, MAX_TEXT).map_err(|error| format!("{}: {error}", path.display()))?;
        let most = look.left;
        for (taken, line) in LogicalLines::of(&bytes).enumerate() {
            if taken == most {
                return Err(format!("rows beyond the first {taken}"));
            }
            let Some((key, result)) = line.text.split_once([' ', '\t']) else { continue };
            if !key.eq_ignore_ascii_case("if") {
                self.row(look, key, result.trim(), Some(line.number), line.text.as_bytes(), "");
            }
        }
        if is_long { Err(format!("text beyond the first {MAX_TEXT} bytes")) } else { Ok(()) }
    }

    fn inline(&self, look: &mut Look<'_>, entries: &[String]) -> Result<(), String> {
        let mut unread = Vec::new();
        for entry in entries {
            let pair = inline_entry(entry).or_else(|| entry.trim_matches(['{', '}', ' ']).split_once(' '));
            match pair {
                Some((key, result)) => {
                    self.row(look, &key.to_lowercase(), result.trim(), None, entry.as_bytes(), "");
                }
                None => unread.push(entry.clone()),
            }
        }
        if unread.is_empty() { Ok(()) } else { Err(format!("no entries: {}", named(&unread))) }
    }

    // --- tables that only answer ----------------------------------------------------------------------------------

    /// Asks for everybody who is known. What else is in there stays unknown.
    async fn ask(&self, look: &mut Look<'_>, table: &str, why: &str) -> Result<(), String> {
        if look.plan.export.is_some() {
            return Err(format!("{why}; it cannot be asked from a copy"));
        }
        let keys = keys(&look.plan.known);
        if keys.is_empty() {
            return Err(format!("{why}; no address is known to ask for"));
        }
        let program = if self.dialect == Dialect::Aliases { "postalias" } else { "postmap" };
        // proxymap(8) would open the same table, and answers only while Postfix runs.
        let mut direct = table;
        while let Some(rest) = direct.strip_prefix("proxy:") {
            direct = rest;
        }
        let argv = look.plan.argv(program, &["-q", "-", direct]);
        let (mut answered, mut asked) = (0_usize, 0_usize);
        for batch in keys.chunks(MAX_KEYS) {
            let question = batch.join("\n") + "\n";
            let ran = command::run_with(&argv, question.into_bytes(), look.plan.timeout, MAX_TABLE).await;
            let ran = ran.map_err(|error| error.to_string())?;
            // A batch without any hit ends with 1 and says nothing.
            if !ran.success && !ran.complaint().is_empty() {
                return Err(format!("{why}; asking for known addresses: {}", ran.complaint()));
            }
            for (key, result) in ran.stdout.split(|byte| *byte == b'\n').filter_map(|line| self.row_of(line))
            {
                answered += 1;
                self.row(look, &key, &result, None, format!("{key}\t{result}").as_bytes(), "");
            }
            asked += batch.len();
        }
        Err(format!("{why}; {asked} keys of known addresses were asked for, {answered} had an answer"))
    }

    // --- rows -----------------------------------------------------------------------------------------------------

    fn shape<'r>(
        &'r self,
        key: &'r str,
        result: &'r str,
        line: Option<u32>,
        raw: &'r [u8],
        note: &'r str,
    ) -> Row<'r> {
        let (surface, parameter, table) = (self.surface, self.parameter, self.table);
        Row { surface, parameter, table, key, result, line, pending: false, raw, note }
    }

    fn row(&self, look: &mut Look<'_>, key: &str, result: &str, line: Option<u32>, raw: &[u8], note: &str) {
        look.row(&self.shape(key, result, line, raw, note));
    }
}

/// What Postfix would ask for: the address, its local part, its domain.
fn keys(addresses: &[String]) -> Vec<String> {
    let mut keys = BTreeSet::new();
    for address in addresses {
        if address.contains(['\n', '\r', '\0']) {
            continue;
        }
        let address = address.to_lowercase();
        if let Some((local, domain)) = address.rsplit_once('@') {
            keys.extend([local.to_owned(), domain.to_owned(), format!("@{domain}")]);
        }
        keys.insert(address);
    }
    keys.into_iter().filter(|key| !key.trim().is_empty()).collect()
}

/// A row of a dump. `postalias` prints `key:<TAB>value`; without a value in the rows of its own.
fn row_of(row: &str, is_alias: bool) -> Option<(&str, &str)> {
    if row.is_empty() {
        return None;
    }
    let (key, result) = row.split_once('\t').unwrap_or((row, ""));
    if !is_alias {
        return Some((key, result.trim()));
    }
    let key = key.trim_end().strip_suffix(':').unwrap_or(key);
    (!ALIAS_MARKERS.contains(&key)).then_some((key, result.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_both_programs() {
        assert_eq!(row_of("a@b.test\tc@d.test", false), Some(("a@b.test", "c@d.test")));
        assert_eq!(row_of("@b.test\tx", false), Some(("@b.test", "x")));
        assert_eq!(row_of("root:\t\"|/bin/cat\"", true), Some(("root", "\"|/bin/cat\"")));
        assert_eq!(row_of("@:\t@", true), None);
        assert_eq!(row_of("YP_LAST_MODIFIED:\t123", true), None);
    }

    #[test]
    fn everybody_who_is_known_is_asked_for_in_every_way_postfix_asks() {
        let known = ["Bob@a.test".to_owned(), "x\ny@a.test".to_owned(), "root".to_owned()];
        assert_eq!(keys(&known), ["@a.test", "a.test", "bob", "bob@a.test", "root"]);
    }
}
