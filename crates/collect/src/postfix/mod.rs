//! Postfix as it is configured, read on the mail host with Postfix's own programs, or from a copy of its
//! configuration: tables, parameters, services, `.forward` files, and where the queue shall go.

mod cdb;
mod config;
mod forward;
mod include;
pub mod instance;
mod look;
mod parameters;
mod queue;
mod reader;
mod sasl;
mod source;
mod tables;
mod text;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use mailwarden_evidence::{Fact, SYSTEM};

use self::config::Config;
use self::look::Look;
use self::parameters::{Kind, PARAMETERS, Parameter, Restriction, restrictions_of, surface};
use self::reader::TableReader;
use self::source::Dialect;
use self::tables::split_list;
pub use self::text::TextStore;
use crate::disk::Tree;
use crate::{CollectError, Harvest, command};

/// The surfaces this collector covers, one row each.
pub const SURFACES: [&str; 11] = [
    surface::ALIASES,
    surface::VIRTUAL,
    surface::BCC,
    surface::SENDERS,
    surface::REWRITING,
    surface::TRANSPORT,
    surface::CHECKS,
    surface::FILTERS,
    surface::FORWARD,
    surface::QUEUE,
    surface::SASL,
];
/// Most bytes of one table.
const MAX_TABLE: usize = 256 * 1024 * 1024;
/// Most entries of all tables together.
const MAX_ENTRIES: usize = 1_000_000;
/// Most bytes of a parameter, or of all per-service overrides.
const MAX_PARAMETER: usize = 4 * 1024 * 1024;
/// Most tables one parameter may name.
const MAX_TABLES: usize = 200;
/// Most keys that one program is asked for at once.
const MAX_KEYS: usize = 20_000;

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
    /// Addresses that are asked for in tables that cannot be listed.
    pub known: Vec<String>,
    /// Most rows taken of all tables together.
    pub most_entries: usize,
    export: Option<PathBuf>,
    files: Tree,
}

impl PostfixPlan {
    /// The instance with this configuration directory, its programs from the PATH.
    pub fn new(config_dir: impl Into<PathBuf>) -> Self {
        Self {
            config_dir: config_dir.into(),
            program_dir: None,
            timeout: Duration::from_secs(60),
            known: Vec::new(),
            most_entries: MAX_ENTRIES,
            export: None,
            files: Tree::default(),
        }
    }

    /// A copy of an instance's configuration: `postconf-n.txt`, `postconf-M.txt` and `postconf-P.txt` as these
    /// commands print them, and every file that they name at its own path below the directory. No program is run.
    pub fn exported(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        let files = Tree::below(&directory);
        Self { export: Some(directory.clone()), files, ..Self::new(directory) }
    }

    /// The file that Postfix itself writes its log to (`maillog_file`, postconf(5)). None where it has the system log
    /// do that, and of a copy.
    ///
    /// # Errors
    /// postconf cannot be run, or complains.
    pub(crate) async fn log_file(&self) -> Result<Option<PathBuf>, CollectError> {
        if self.export.is_some() {
            return Ok(None);
        }
        let printed = self.ask("postconf", &["-hx", "maillog_file"], MAX_PARAMETER).await?;
        let named = String::from_utf8_lossy(&printed).trim_end().to_owned();
        // /dev/stdout, of a Postfix in a container, is no file that anybody can read again.
        Ok((named.starts_with('/') && !named.starts_with("/dev/")).then(|| named.into()))
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

/// Looks at one instance.
pub async fn collect(plan: &PostfixPlan) -> Harvest {
    let config = match Config::read(plan).await {
        Ok(config) => config,
        Err(error) => return Harvest::failed(SYSTEM, &SURFACES, &plan.source(), &error),
    };
    let mut look = Look::new(plan, config);
    for parameter in PARAMETERS {
        let value = look.config.value(parameter.name).to_owned();
        read_parameter(&mut look, parameter, parameter.name, &value).await;
    }
    read_overrides(&mut look).await;
    read_restrictions(&mut look).await;
    read_services(&mut look);
    include::follow(&mut look);
    forward::read(&mut look).await;
    include::follow(&mut look);
    queue::read(&mut look).await;
    sasl::read(&mut look).await;
    look.finish()
}

/// Services of master.cf may override a parameter (`-o name=value`); mail that passes them follows other
/// tables.
async fn read_overrides(look: &mut Look<'_>) {
    for (service, name, value) in look.config.overrides.clone() {
        if let Some(parameter) = parameters::named(&name) {
            read_parameter(look, parameter, &format!("{service}:{name}"), &value).await;
        }
    }
}

async fn read_parameter(look: &mut Look<'_>, parameter: Parameter, shown_name: &str, value: &str) {
    let dialect = match parameter.kind {
        // What lists of restrictions name is read once for all of them.
        Kind::Restrictions => return,
        Kind::Plain => return plain(look, parameter.surface, shown_name, value),
        Kind::Maps => Dialect::Table,
        Kind::Aliases => Dialect::Aliases,
    };
    // Postfix checks parts of a message by the rules of its header unless it is told otherwise.
    let inherits = ["mime_header_checks", "nested_header_checks"].contains(&shown_name);
    if inherits && value == look.config.value("header_checks") {
        return;
    }
    let tables = split_list(value);
    if tables.len() > MAX_TABLES {
        look.gap(parameter.surface, format!("{shown_name}: tables beyond the first {MAX_TABLES}"));
    }
    for table in tables.iter().take(MAX_TABLES) {
        read_table(look, parameter.surface, shown_name, dialect, table).await;
    }
}

async fn read_table(
    look: &mut Look<'_>,
    surface: &'static str,
    parameter: &str,
    dialect: Dialect,
    table: &str,
) {
    if let Err(gap) = (TableReader { surface, parameter, dialect, table }).read(look).await {
        look.gap(surface, format!("{parameter}: {table} ({gap})"));
    }
}

fn plain(look: &mut Look<'_>, surface: &str, name: &str, value: &str) {
    if !value.is_empty() {
        let fact = Fact::Parameter { name: name.to_owned(), value: value.to_owned() };
        look.observe(surface, fact, value.as_bytes(), &format!("{name} = {value}"));
    }
}

/// Tables and services of every list of restrictions, of services' own lists and of classes (smtpd_restriction_classes),
/// each once.
async fn read_restrictions(look: &mut Look<'_>) {
    let is_list = |name: &str| parameters::named(name).is_some_and(|known| known.kind == Kind::Restrictions);
    let classes = split_list(look.config.value("smtpd_restriction_classes"));
    let lists = PARAMETERS.iter().filter(|known| known.kind == Kind::Restrictions).map(|known| known.name);
    let of_main = lists.chain(classes.iter().map(String::as_str)).map(|name| look.config.value(name));
    let of_services = look.config.overrides.iter().filter(|(_, name, _)| is_list(name));
    let of_services = of_services.map(|(_, _, value)| value.as_str());
    let named: Vec<Restriction> = of_main.chain(of_services).flat_map(restrictions_of).collect();
    let mut known = BTreeSet::new();
    for restriction in named {
        if !known.insert(format!("{restriction:?}")) {
            continue;
        }
        match restriction {
            Restriction::Table { by, table } => {
                read_table(look, surface::CHECKS, &by, Dialect::Table, &table).await;
            }
            Restriction::Service(service) => plain(look, surface::FILTERS, "check_policy_service", &service),
        }
    }
}

/// Services that hand mail to a program, by the name that transports and filters call them.
fn read_services(look: &mut Look<'_>) {
    if !look.config.knows_services {
        look.gap(surface::FILTERS, "the services of master.cf (add postconf-M.txt)");
    }
    for service in look.config.services.clone() {
        let program = service.command.split(' ').next().unwrap_or_default();
        if ["pipe", "spawn"].contains(&program.rsplit('/').next().unwrap_or_default()) {
            plain(look, surface::FILTERS, &format!("master.cf/{}", service.name), &service.command);
        }
    }
}
