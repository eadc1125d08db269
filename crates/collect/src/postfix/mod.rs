//! Postfix tables in force, read on the mail host with Postfix's own programs.

pub mod instance;
mod source;
mod tables;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mailwarden_evidence::{CoverageState, Fact, SYSTEM};

use self::source::{Dialect, Rules, SourceText};
use self::tables::{Reading, reading_of, split_list};
use crate::harvest::{Place, named};
use crate::{CollectError, Harvest, command};

/// The surfaces this collector covers, one row each.
pub const SURFACES: [&str; 4] =
    ["postfix.alias_maps", "postfix.virtual_alias_maps", "postfix.bcc_maps", "postfix.sender_login_maps"];
/// The parameters read, each with its surface.
const PARAMETERS: [(&str, &str); 6] = [
    ("alias_maps", SURFACES[0]),
    ("virtual_alias_maps", SURFACES[1]),
    ("recipient_bcc_maps", SURFACES[2]),
    ("sender_bcc_maps", SURFACES[2]),
    ("always_bcc", SURFACES[2]),
    ("smtpd_sender_login_maps", SURFACES[3]),
];
/// Most bytes of one table.
const MAX_TABLE: usize = 256 * 1024 * 1024;
/// Most entries of one table.
const MAX_ENTRIES: usize = 1_000_000;
/// Most bytes of a parameter, or of all per-service overrides.
const MAX_PARAMETER: usize = 4 * 1024 * 1024;
/// Most tables one parameter may name.
const MAX_TABLES: usize = 200;
/// Rows `postalias` adds for its own use (NIS and Sendmail compatibility).
const ALIAS_MARKERS: [&str; 4] = ["@", "YP_LAST_MODIFIED", "YP_MASTER_NAME", "YP_SECURE"];

/// Which Postfix instance is read, and how.
#[derive(Debug, Clone)]
pub struct PostfixPlan {
    /// The instance's configuration directory; always passed on, so that no other instance is read by
    /// mistake.
    pub config_dir: PathBuf,
    /// Directory of `postconf`, `postmap` and `postalias`, where they are not on the PATH.
    pub program_dir: Option<PathBuf>,
    /// How long one program may run.
    pub timeout: Duration,
}

impl PostfixPlan {
    /// The instance with this configuration directory, its programs from the PATH.
    pub fn new(config_dir: impl Into<PathBuf>) -> Self {
        Self { config_dir: config_dir.into(), program_dir: None, timeout: Duration::from_secs(60) }
    }

    fn source(&self) -> String {
        format!("postfix {}", self.config_dir.display())
    }

    fn argv(&self, program: &str, arguments: &[&str]) -> Vec<OsString> {
        let program = match &self.program_dir {
            Some(directory) => directory.join(program).into_os_string(),
            None => program.into(),
        };
        let mut argv = vec![program, "-c".into(), self.config_dir.clone().into_os_string()];
        argv.extend(arguments.iter().map(OsString::from));
        argv
    }

    /// What a program of this instance prints, if it succeeds.
    async fn ask(&self, program: &str, arguments: &[&str], most: usize) -> Result<Vec<u8>, CollectError> {
        let ran = command::run(&self.argv(program, arguments), self.timeout, most).await?;
        if ran.success {
            return Ok(ran.stdout);
        }
        let doing = format!("running {program} {}", arguments.join(" "));
        let next = "run the same command by hand and correct what it complains about";
        Err(CollectError::configuration(&self.source(), &doing, ran.complaint(), next))
    }
}

/// Reads the alias, copy and sender tables of one instance.
pub async fn collect(plan: &PostfixPlan) -> Harvest {
    let mut findings: Vec<SurfaceState> = SURFACES.iter().map(|surface| SurfaceState::new(surface)).collect();
    let mut harvest = Harvest::default();
    let source = plan.source();
    for (name, surface) in PARAMETERS {
        let place = Place { mailbox: SYSTEM, surface, source: &source };
        let value = plan.ask("postconf", &["-hx", name], MAX_PARAMETER).await;
        let state = state_of(&mut findings, surface);
        match value {
            Ok(value) => {
                let value = String::from_utf8_lossy(&value).trim().to_owned();
                read_parameter(plan, &place, name, name, &value, &mut harvest, state).await;
            }
            Err(error) => state.failed(&error),
        }
    }
    read_overrides(plan, &source, &mut harvest, &mut findings).await;
    for state in findings {
        state.cover(&mut harvest, &source);
    }
    harvest
}

/// How one surface fares while its parameters are read.
struct SurfaceState {
    surface: &'static str,
    gaps: Vec<String>,
    failure: Option<String>,
}

impl SurfaceState {
    fn new(surface: &'static str) -> Self {
        Self { surface, gaps: Vec::new(), failure: None }
    }

    fn failed(&mut self, error: &CollectError) {
        self.failure.get_or_insert_with(|| error.to_string());
    }

    fn cover(self, harvest: &mut Harvest, source: &str) {
        let place = Place { mailbox: SYSTEM, surface: self.surface, source };
        match (self.failure, self.gaps.is_empty()) {
            (Some(failure), _) => harvest.cover(&place, CoverageState::Error, failure),
            (None, true) => harvest.cover(&place, CoverageState::Collected, ""),
            (None, false) => {
                let reason = format!("not or not wholly read: {}", named(&self.gaps));
                harvest.cover(&place, CoverageState::Partial, reason);
            }
        }
    }
}

fn state_of<'a>(states: &'a mut [SurfaceState], surface: &str) -> &'a mut SurfaceState {
    let at = states.iter().position(|state| state.surface == surface).unwrap_or_default();
    &mut states[at]
}

/// Services of master.cf may override a parameter (`-o name=value`); mail that passes them follows other
/// tables.
async fn read_overrides(
    plan: &PostfixPlan,
    source: &str,
    harvest: &mut Harvest,
    states: &mut [SurfaceState],
) {
    let output = match plan.ask("postconf", &["-Px"], MAX_PARAMETER).await {
        Ok(output) => output,
        Err(error) => return states.iter_mut().for_each(|state| state.failed(&error)),
    };
    for (service, name, value) in overrides(&String::from_utf8_lossy(&output)) {
        let Some((name, surface)) = PARAMETERS.iter().find(|(known, _)| *known == name) else { continue };
        let place = Place { mailbox: SYSTEM, surface, source };
        let shown_name = format!("{service}:{name}");
        let state = state_of(states, surface);
        read_parameter(plan, &place, name, &shown_name, &value, harvest, state).await;
    }
}

/// `service/type/parameter = value`. The service itself may hold slashes, the parameter cannot.
fn overrides(output: &str) -> Vec<(String, String, String)> {
    let split = |line: &str| {
        let (left, value) = line.split_once('=')?;
        let (service, name) = left.trim().rsplit_once('/')?;
        Some((service.to_owned(), name.to_owned(), value.trim().to_owned()))
    };
    output.lines().filter_map(split).collect()
}

async fn read_parameter(
    plan: &PostfixPlan,
    place: &Place<'_>,
    name: &str,
    shown_name: &str,
    value: &str,
    harvest: &mut Harvest,
    state: &mut SurfaceState,
) {
    if name == "always_bcc" {
        if !value.is_empty() {
            let fact = Fact::Parameter { name: shown_name.to_owned(), value: value.to_owned() };
            harvest.observe(place, fact, value.as_bytes(), &format!("{shown_name} = {value}"));
        }
        return;
    }
    let tables = split_list(value);
    if tables.len() > MAX_TABLES {
        state.gaps.push(format!("{shown_name}: tables beyond the first {MAX_TABLES}"));
    }
    for table in tables.iter().take(MAX_TABLES) {
        let reader =
            TableReader { plan, place, parameter: shown_name, is_alias: name == "alias_maps", table };
        if let Err(gap) = reader.read(harvest).await {
            state.gaps.push(format!("{shown_name}: {table} ({gap})"));
        }
    }
}

/// One table of one parameter.
struct TableReader<'a> {
    plan: &'a PostfixPlan,
    place: &'a Place<'a>,
    parameter: &'a str,
    is_alias: bool,
    table: &'a str,
}

impl TableReader<'_> {
    /// Reads the table; an error names what stays unknown of it.
    async fn read(&self, harvest: &mut Harvest) -> Result<(), String> {
        match reading_of(self.table) {
            Reading::Dump { spec, source } => self.dump(harvest, &spec, source.as_deref()).await,
            Reading::Rules(path) => self.rules(harvest, &path).await,
            Reading::Fixed(value) => {
                self.observe(harvest, "*", &value, None, self.table.as_bytes(), "");
                Ok(())
            }
            Reading::Opaque(why) => Err(why.to_owned()),
        }
    }

    async fn dump(&self, harvest: &mut Harvest, spec: &str, source: Option<&Path>) -> Result<(), String> {
        let program = if self.is_alias { "postalias" } else { "postmap" };
        let output =
            self.plan.ask(program, &["-s", spec], MAX_TABLE).await.map_err(|error| error.to_string())?;
        let dialect = if self.is_alias { Dialect::Aliases } else { Dialect::Table };
        let text = match source {
            Some(path) => SourceText::read(path, dialect).await,
            None => None,
        };
        let mut stale = 0_usize;
        let mut entries = 0_usize;
        for line in output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let row = String::from_utf8_lossy(line);
            let Some((key, result)) = row_of(&row, self.is_alias) else { continue };
            entries += 1;
            if entries > MAX_ENTRIES {
                return Err(format!("entries beyond the first {MAX_ENTRIES}"));
            }
            let (at, note) = text.as_ref().map_or((None, ""), |text| text.find(key, result));
            stale += usize::from(!note.is_empty());
            self.observe(harvest, key, result, at, line, note);
        }
        if let Some(text) = text.filter(|text| stale > 0 || text.len() != entries) {
            harvest.notes.push(format!(
                "{}: {} differs from its source text ({entries} entries in force, {} in {}); the next \
                 {program} will change what happens to mail",
                self.parameter,
                self.table,
                text.len(),
                text.path()
            ));
        }
        Ok(())
    }

    async fn rules(&self, harvest: &mut Harvest, path: &Path) -> Result<(), String> {
        let rules = Rules::read(path).await?;
        for rule in &rules.rules {
            self.observe(harvest, &rule.pattern, &rule.result, Some(rule.line), rule.text.as_bytes(), "");
        }
        if rules.conditionals > 0 {
            harvest.notes.push(format!(
                "{}: {} has {} if/endif blocks; their rules are listed as if the conditions always held",
                self.parameter, self.table, rules.conditionals
            ));
        }
        match rules.unreadable.as_slice() {
            [] => Ok(()),
            lines => Err(format!("lines that are no rule: {}", named(lines))),
        }
    }

    fn observe(
        &self,
        harvest: &mut Harvest,
        key: &str,
        result: &str,
        line: Option<u32>,
        raw: &[u8],
        note: &str,
    ) {
        let excerpt = format!("{}: {key} -> {result}{note}", self.table);
        let fact = Fact::MapEntry {
            parameter: self.parameter.to_owned(),
            table: self.table.to_owned(),
            key: key.to_owned(),
            result: result.to_owned(),
            line,
        };
        harvest.observe(self.place, fact, raw, &excerpt);
    }
}

/// A row of a dump. `postalias` prints `key:<TAB>value`; without a value in the rows of its own.
fn row_of(row: &str, is_alias: bool) -> Option<(&str, &str)> {
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
    fn overrides_name_their_service() {
        let output =
            "127.0.0.1:2525/inet/virtual_alias_maps = hash:/a\nsubmission/inet/syslog_name = x=y\nodd\n";
        let got = overrides(output);
        assert_eq!(got[0].0, "127.0.0.1:2525/inet");
        assert_eq!((got[0].1.as_str(), got[0].2.as_str()), ("virtual_alias_maps", "hash:/a"));
        assert_eq!(got[1].2, "x=y");
        assert_eq!(got.len(), 2);
    }
}
