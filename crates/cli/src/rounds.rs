//! From configuration and options to the rounds: what is wanted, who is asked, what is said on the way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use indicatif::{ProgressBar, ProgressStyle};
use mailwarden_collect::accounts::AccountsPlan;
use mailwarden_collect::clients::{self, ClientsPlan, Within};
use mailwarden_collect::dovecot::{self, Api, ApiSecret, DovecotPlan};
use mailwarden_collect::mailman::{self, MailmanPlan};
use mailwarden_collect::postfix::{self, PostfixPlan};
use mailwarden_collect::probe;
use mailwarden_collect::pulls::{self, PullsPlan};
use mailwarden_collect::{
    Credentials, Harvest, LoginStyle, Plan, Progress, Server, TlsMode, imap, managesieve, run_into,
};
use mailwarden_evidence::{
    COLLECTION_SCHEMA, Coverage, CoverageState, Head, Profile, SYSTEM, catalogue, surface,
};
use mailwarden_policy::Policy;
use mailwarden_settings::{Clients, Dovecot, MailServer, Network, Settings, Tls, is_within};
use secrecy::SecretString;

use crate::arguments::Looking;
use crate::elsewhere::Elsewhere;
use crate::failure::Failure;
use crate::output::{complain, shown};
use crate::probing;
use crate::spool::Spool;

/// How long the command that lists the accounts may take.
const ACCOUNTS_TIMEOUT: Duration = Duration::from_secs(60);

/// What the options ask for.
pub(crate) struct Wanted {
    profile: Option<Profile>,
    surfaces: BTreeSet<String>,
    system: bool,
    /// What the configuration adds to the mail server.
    elsewhere: Elsewhere,
}

impl Wanted {
    /// The surfaces of the options, after a look at their names.
    pub(crate) fn of(settings: &Settings, looking: &Looking) -> Result<Self, Failure> {
        if let Some(unknown) = looking.surface.iter().find(|id| surface(id).is_none()) {
            let known: Vec<&str> = catalogue().1.iter().map(|surface| surface.id.as_str()).collect();
            let (unknown, known) = (shown(unknown), known.join(", "));
            return Err(Failure::Usage(format!("no surface is called `{unknown}`; known: {known}")));
        }
        let profile = looking.profile.map(Profile::from);
        let elsewhere = Elsewhere::of(settings)?;
        let mut surfaces: BTreeSet<String> = match profile {
            Some(profile) => profile.surfaces().map(|surface| surface.id.clone()).collect(),
            None => looking.surface.iter().cloned().collect(),
        };
        // Whoever names a panel or the places of jobs wants them looked at before anything is called clean.
        if matches!(profile, Some(Profile::Host | Profile::Full)) {
            let pulls = settings.pulls.iter().flat_map(|_| pulls::SURFACES);
            let clients = settings.clients.iter().map(|_| clients::SURFACE);
            let mailman = settings.mailman.iter().map(|_| mailman::SURFACE);
            let elsewhere = elsewhere.surfaces().into_iter();
            surfaces.extend(elsewhere.chain(pulls).chain(clients).chain(mailman).map(str::to_owned));
        }
        surfaces
            .extend(settings.probe.iter().filter(|_| profile.is_some()).map(|_| probe::SURFACE.to_owned()));
        let system = looking.all || looking.system;
        let mut wanted = Self { profile, surfaces, system, elsewhere: Elsewhere::default() };
        let is_asked = wanted.system && wanted.on_host();
        wanted.elsewhere = elsewhere.only(|id| is_asked && wanted.has(id));
        Ok(wanted)
    }

    /// Whether a surface is asked for; without a profile and without names all are that can be looked at.
    fn has(&self, id: &str) -> bool {
        self.surfaces.is_empty() || self.surfaces.contains(id)
    }

    fn has_any<'s>(&self, ids: impl IntoIterator<Item = &'s str>) -> bool {
        ids.into_iter().any(|id| self.has(id))
    }

    /// Whether a profile looks from there. Surfaces by name do not say from where.
    fn remotely(&self) -> bool {
        !matches!(self.profile, Some(Profile::Host))
    }

    fn on_host(&self) -> bool {
        !matches!(self.profile, Some(Profile::Remote))
    }

    /// What there is to see of the system beside the mail server.
    pub(crate) async fn elsewhere(&self) -> Harvest {
        self.elsewhere.collect().await
    }

    /// What the profile promises of one mailbox, or of the mail system.
    fn promised(&self, mailbox: &str) -> impl Iterator<Item = &String> {
        let is_here: fn(&str) -> bool = if mailbox == SYSTEM { is_of_system } else { is_of_mailbox };
        let bound = self.profile.is_some() && (mailbox != SYSTEM || (self.system && self.on_host()));
        self.surfaces.iter().filter(move |id| bound && is_here(id))
    }
}

fn is_of_mailbox(id: &str) -> bool {
    id == managesieve::SURFACE || imap::SURFACES.contains(&id) || dovecot::MAILBOX_SURFACES.contains(&id)
}

fn is_of_system(id: &str) -> bool {
    let is_elsewhere = surface(id).is_some_and(|row| !row.needs.is_empty());
    is_elsewhere || dovecot::SYSTEM_SURFACES.contains(&id) || postfix::SURFACES.contains(&id)
}

/// The first line of a collection.
pub(crate) fn head(wanted: &Wanted, plan: &Plan) -> Head {
    let looked_at = plan.mailbox_surfaces().into_iter().chain(plan.system_surfaces());
    let looked_at = looked_at.chain(wanted.elsewhere.surfaces());
    let looked_at = looked_at.filter(|id| wanted.has(id)).map(str::to_owned);
    let surfaces: BTreeSet<String> = looked_at.chain(wanted.surfaces.iter().cloned()).collect();
    Head {
        schema: COLLECTION_SCHEMA.to_owned(),
        tool: concat!("mailwarden ", env!("CARGO_PKG_VERSION")).to_owned(),
        started: Utc::now(),
        profile: wanted.profile,
        surfaces: surfaces.into_iter().collect(),
    }
}

/// Everybody that the configuration names, and how to log in.
pub(crate) fn everybody(settings: &Settings) -> Result<Plan, Failure> {
    let mut plan = Plan::new(credentials(settings)?);
    plan.own_passwords = own_passwords(settings)?;
    plan.imap = settings.imap.as_ref().map(|imap| server(settings, imap));
    plan.managesieve = settings.managesieve.as_ref().map(|sieve| server(settings, sieve));
    plan.dovecot = dovecot_plan(settings)?;
    plan.postfix = settings.postfix.as_ref().map(|postfix| {
        let directory = settings.resolve(&postfix.config_directory);
        if postfix.exported { PostfixPlan::exported(directory) } else { PostfixPlan::new(directory) }
    });
    plan.accounts = accounts(settings)?;
    plan.pulls = settings.pulls.as_ref().map(|pulls| {
        let root = pulls.root.as_ref().map(|root| settings.resolve(root));
        PullsPlan::new(root.as_deref(), pulls.files.clone())
    });
    plan.clients = settings.clients.as_ref().map(|clients| clients_plan(settings, clients, &plan));
    plan.mailman = mailman_plan(settings)?;
    Ok(plan)
}

fn mailman_plan(settings: &Settings) -> Result<Option<MailmanPlan>, Failure> {
    let Some(configured) = &settings.mailman else { return Ok(None) };
    let login = (configured.user.clone(), configured.password.read(&settings.directory)?);
    let ca_file = configured.ca_file.as_ref().map(|file| settings.resolve(file));
    let tls = (configured.tls_name.clone(), ca_file);
    let plan = MailmanPlan::new(&configured.url, login, tls, configured.timeout);
    plan.map(Some).map_err(|error| Failure::Usage(format!("[mailman] {error}")))
}

/// The logs of Dovecot and of Postfix, and which addresses are at home.
fn clients_plan(settings: &Settings, clients: &Clients, plan: &Plan) -> ClientsPlan {
    let within = |networks: &[Network]| -> Within {
        let networks = networks.to_vec();
        Arc::new(move |address| is_within(&networks, address))
    };
    ClientsPlan {
        logs: clients.logs.iter().map(|log| settings.resolve(log)).collect(),
        dovecot: plan.dovecot.clone(),
        postfix: plan.postfix.clone(),
        days: clients.days,
        own: (!clients.own_networks.is_empty()).then(|| within(&clients.own_networks)),
        fetchers: clients.fetchers.iter().map(|(name, of)| (name.clone(), within(of))).collect(),
    }
}

/// The surfaces that somebody is configured to look at.
pub(crate) fn covered(settings: &Settings) -> Result<BTreeSet<&'static str>, Failure> {
    let imap = settings.imap.iter().flat_map(|_| imap::SURFACES);
    let managesieve = settings.managesieve.iter().map(|_| managesieve::SURFACE);
    let of_dovecot = || dovecot::MAILBOX_SURFACES.into_iter().chain(dovecot::SYSTEM_SURFACES);
    let dovecot = settings.dovecot.iter().flat_map(|_| of_dovecot());
    let postfix = settings.postfix.iter().flat_map(|_| postfix::SURFACES);
    let pulls = settings.pulls.iter().flat_map(|_| pulls::SURFACES);
    let elsewhere = Elsewhere::of(settings)?.surfaces();
    let probe = settings.probe.iter().map(|_| probe::SURFACE);
    let clients = settings.clients.iter().map(|_| clients::SURFACE);
    let mailman = settings.mailman.iter().map(|_| mailman::SURFACE);
    Ok(imap
        .chain(managesieve)
        .chain(dovecot)
        .chain(postfix)
        .chain(pulls)
        .chain(probe)
        .chain(clients)
        .chain(mailman)
        .chain(elsewhere)
        .collect())
}

/// Who is asked about what.
pub(crate) fn plan(
    settings: &Settings,
    policy: &Policy,
    looking: &Looking,
    wanted: &Wanted,
) -> Result<Plan, Failure> {
    let mut plan = everybody(settings)?;
    let of_dovecot = dovecot::MAILBOX_SURFACES.into_iter().chain(dovecot::SYSTEM_SURFACES);
    let (remotely, on_host) = (wanted.remotely(), wanted.on_host());
    plan.imap.take_if(|_| !(remotely && wanted.has_any(imap::SURFACES)));
    plan.managesieve.take_if(|_| !(remotely && wanted.has(managesieve::SURFACE)));
    plan.dovecot.take_if(|_| !(on_host && wanted.has_any(of_dovecot)));
    plan.postfix.take_if(|_| !(on_host && wanted.system && wanted.has_any(postfix::SURFACES)));
    plan.pulls.take_if(|_| !(on_host && wanted.system && wanted.has_any(pulls::SURFACES)));
    plan.clients.take_if(|_| !(on_host && wanted.system && wanted.has(clients::SURFACE)));
    plan.mailman.take_if(|_| !(on_host && wanted.system && wanted.has(mailman::SURFACE)));
    plan.accounts.take_if(|_| !(looking.all && wanted.has("account")));
    if wanted.system && wanted.has(probe::SURFACE) {
        plan.probe = probing::plan(settings, policy, &plan.credentials)?;
    }
    plan.mailboxes = mailboxes(policy, looking);
    pace(&mut plan, settings, looking);
    let nothing = plan.imap.is_none() && plan.managesieve.is_none() && plan.postfix.is_none();
    let nothing = nothing && plan.pulls.is_none() && plan.clients.is_none() && wanted.elsewhere.is_empty();
    let nothing = nothing && plan.probe.is_none() && plan.mailman.is_none();
    if nothing && plan.accounts.is_none() && plan.dovecot.is_none() {
        return Err(Failure::Usage(
            "there is nothing to look at\n  \
             the configuration needs [imap], [managesieve], [dovecot] or [postfix] for the surfaces asked for"
                .to_owned(),
        ));
    }
    Ok(plan)
}

fn pace(plan: &mut Plan, settings: &Settings, looking: &Looking) {
    let sweep = &settings.sweep;
    plan.connections = sweep.connections;
    plan.server_connections = sweep.server_connections;
    plan.retries = sweep.retries;
    plan.mailbox_deadline = sweep.mailbox_deadline;
    let rate = looking.limit_rate.unwrap_or(sweep.limit_rate);
    plan.pace = (rate.is_finite() && rate > 0.0).then(|| Duration::from_secs_f64((1.0 / rate).min(3600.0)));
}

fn dovecot_plan(settings: &Settings) -> Result<Option<DovecotPlan>, Failure> {
    let Some(configured) = settings.dovecot.as_ref() else { return Ok(None) };
    let sweeper = settings.login.as_ref().map_or("", |login| &login.user);
    let config = configured.config.as_ref().map(|path| settings.resolve(path));
    let mut plan = DovecotPlan::new(config, sweeper);
    plan.program_dir = configured.program_directory.as_ref().map(|path| settings.resolve(path));
    Ok(Some(match api(settings, configured)? {
        Some(api) => plan.through(api),
        None => plan,
    }))
}

/// doveadm's HTTP API, where it is asked instead of the programs of this host.
fn api(settings: &Settings, dovecot: &Dovecot) -> Result<Option<Api>, Failure> {
    let Some(configured) = &dovecot.api else { return Ok(None) };
    if dovecot.config.is_some() || dovecot.program_directory.is_some() {
        return Err(Failure::Usage(
            "[dovecot] names both this host's programs and an API\n  \
             on the mail host leave `api` out: its programs show more; elsewhere leave the others out"
                .to_owned(),
        ));
    }
    let secret = match (&configured.key, &configured.password) {
        (Some(key), None) => ApiSecret::Key(key.read(&settings.directory)?),
        (None, Some(password)) => ApiSecret::Password(password.read(&settings.directory)?),
        _ => {
            return Err(Failure::Usage(
                "[dovecot.api] needs one secret\n  give either `key` (doveadm_api_key) or `password` \
                 (doveadm_password), as `{ file = \"...\" }` or `{ credential = \"...\" }`"
                    .to_owned(),
            ));
        }
    };
    let ca_file = configured.ca_file.as_ref().map(|file| settings.resolve(file));
    let api = Api::new(&configured.url, secret, configured.tls_name.clone(), ca_file);
    api.map(Some).map_err(|error| Failure::Usage(error.to_string()))
}

/// The command of the configuration, or doveadm where there is a Dovecot.
fn accounts(settings: &Settings) -> Result<Option<AccountsPlan>, Failure> {
    if let Some(accounts) = &settings.accounts {
        let argv = accounts.command.clone();
        return Ok(Some(AccountsPlan::Command { argv, timeout: ACCOUNTS_TIMEOUT }));
    }
    let Some(dovecot) = settings.dovecot.as_ref() else { return Ok(None) };
    if let Some(api) = api(settings, dovecot)? {
        return Ok(Some(AccountsPlan::Api(Box::new(api))));
    }
    let config = dovecot.config.as_ref().map(|path| settings.resolve(path));
    let mut plan = AccountsPlan::doveadm(config.as_deref());
    if let (Some(directory), AccountsPlan::Command { argv, .. }) = (&dovecot.program_directory, &mut plan)
        && let Some(program) = argv.first_mut()
    {
        *program = settings.resolve(directory).join(&program).display().to_string();
    }
    Ok(Some(plan))
}

fn own_passwords(
    settings: &Settings,
) -> Result<Arc<std::collections::BTreeMap<String, SecretString>>, Failure> {
    let Some(source) = &settings.mailbox_passwords else { return Ok(Arc::default()) };
    Ok(Arc::new(source.read_table(&settings.directory)?))
}

/// Those named on the command line, or all of the policy; the accounts that the server lists come on top.
fn mailboxes(policy: &Policy, looking: &Looking) -> Vec<String> {
    if !looking.all {
        return looking.mailboxes.clone();
    }
    policy.mailboxes().iter().map(|mailbox| mailbox.address.to_string()).collect()
}

/// The master login; none where every mailbox has its own.
fn credentials(settings: &Settings) -> Result<Credentials, Failure> {
    let Some(login) = &settings.login else {
        let asks_servers = settings.imap.is_some() || settings.managesieve.is_some();
        if asks_servers && settings.mailbox_passwords.is_none() {
            return Err(Failure::Usage(
                "[imap] and [managesieve] need a master user\n  \
                 add [login] with `user` and `password = { file = \"...\" }`, or [mailbox_passwords]"
                    .to_owned(),
            ));
        }
        let nobody = SecretString::from("");
        return Ok(Credentials {
            master_user: String::new(),
            master_password: nobody,
            style: LoginStyle::Authzid,
        });
    };
    Ok(Credentials {
        master_user: login.user.clone(),
        master_password: login.password.read(&settings.directory)?,
        style: login.separator.map_or(LoginStyle::Authzid, LoginStyle::Separator),
    })
}

pub(crate) fn server(settings: &Settings, configured: &MailServer) -> Server {
    let tls = match configured.tls {
        Tls::Starttls => TlsMode::StartTls,
        Tls::Implicit => TlsMode::Implicit,
        Tls::None => TlsMode::Plain,
    };
    let mut server = Server::new(configured.host.clone(), configured.port, tls);
    server.tls_name.clone_from(&configured.tls_name);
    server.default_domain.clone_from(&configured.default_domain);
    server.ca_file = configured.ca_file.as_ref().map(|file| settings.resolve(file));
    server
}

/// Makes the rounds into a spool.
pub(crate) async fn make(plan: Plan, wanted: &Wanted, mut spool: Spool) -> Result<Spool, Failure> {
    let done = spool.done().clone();
    let progress = progress_bar(plan.mailboxes.len(), done.len());
    let mut elsewhere = match done.contains(SYSTEM) {
        true => Harvest::default(),
        false => wanted.elsewhere().await,
    };
    let take = |mailbox: &str, mut harvest: Harvest| {
        if mailbox == SYSTEM {
            harvest.absorb(std::mem::take(&mut elsewhere));
        }
        keep_and_tell(wanted, mailbox, &mut harvest, &progress);
        spool.take(mailbox, harvest)
    };
    let made = run_into(plan, &done, take, |event| show_progress(&progress, &event)).await;
    progress.finish_and_clear();
    made.map_err(|error| Failure::Ours(format!("cannot write down what was collected: {error}")))?;
    Ok(spool)
}

/// What stands of a mailbox after a look at it, with what a reader should know said at once.
pub(crate) fn keep_and_tell(wanted: &Wanted, mailbox: &str, harvest: &mut Harvest, progress: &ProgressBar) {
    keep_promise(wanted, mailbox, harvest);
    for note in &harvest.notes {
        progress.suspend(|| complain(&format!("note: {}", shown(note))));
    }
}

/// Leaves what was asked for, and says of every surface that the profile promises why it was not looked at.
fn keep_promise(wanted: &Wanted, mailbox: &str, harvest: &mut Harvest) {
    // What Dovecot's host tells of the system is learned on the way, and was not asked for.
    let here = mailbox != SYSTEM || wanted.system;
    harvest.observations.retain(|observation| here && wanted.has(&observation.surface));
    harvest.coverage.retain(|row| here && wanted.has(&row.surface));
    let missing: Vec<String> =
        wanted.promised(mailbox).filter(|id| harvest.coverage_of(mailbox, id).is_none()).cloned().collect();
    harvest.coverage.extend(missing.into_iter().map(|surface| Coverage {
        mailbox: mailbox.to_owned(),
        surface,
        state: CoverageState::Skipped,
        reason: "the profile wants it, but nobody is configured to look: add [imap], [managesieve], [dovecot] \
                 or [postfix]"
            .to_owned(),
        source: "mailwarden".to_owned(),
    }));
}

/// Drawn on a terminal only; `indicatif` hides it elsewhere.
pub(crate) fn progress_bar(mailboxes: usize, done: usize) -> ProgressBar {
    let bar = ProgressBar::new(mailboxes as u64);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {pos}/{len} mailboxes, {per_sec}, {eta} left  {msg}")
    {
        bar.set_style(style);
    }
    // What an earlier run did says nothing about the speed of this one.
    bar.set_position(done as u64);
    bar.reset_eta();
    bar
}

pub(crate) fn show_progress(bar: &ProgressBar, event: &Progress) {
    match event {
        Progress::Started { mailbox } => bar.set_message(shown(mailbox)),
        Progress::Retrying { mailbox, error, pause } => {
            bar.println(shown(&format!("{mailbox}: {error}; trying again in {pause:?}")));
        }
        Progress::Finished { done, total, .. } => {
            bar.set_length(*total as u64);
            bar.set_position(*done as u64);
        }
    }
}
