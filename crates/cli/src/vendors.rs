//! `mailwarden vendors`: who was given which address, what it heard, and whether it is in use.
//!
//! `activate`, `pause` and `burn` change the policy file by exactly one line. Without `--apply` they only show it;
//! with it the ledger holds the change, and what was there before, before the file changes.

use std::fmt::Write as _;

use chrono::Utc;
use mailwarden_address::Address;
use mailwarden_ledger::{Event, EventKind, Ledger, VendorRecord, VendorRegister};
use mailwarden_policy::{Policy, Recipient, Source, TextEdit, VendorState, add_vendor, set_vendor_state};
use mailwarden_settings::{Settings, SettingsError, load_policy, policy_sources};
use serde::Serialize;
use serde_json::json;

use crate::arguments::{Common, VendorsChange, VendorsList, VendorsShow};
use crate::failure::{Failure, Outcome};
use crate::memory::Recollection;
use crate::output::{self, shown};
use crate::policy_edit::PolicyEdit;

#[derive(Debug, Serialize)]
struct Listing {
    schema: &'static str,
    vendors: Vec<Entry>,
}

/// What the policy and the register have of one address.
#[derive(Debug, Serialize)]
struct Entry {
    schema: &'static str,
    address: String,
    organisation: Option<String>,
    state: &'static str,
    registered: bool,
    sender_domains: Vec<String>,
    delivered_to: Option<String>,
    heard: Option<VendorRecord>,
}

impl Entry {
    fn of(policy: &Policy, address: &Address, heard: Option<VendorRecord>) -> Self {
        let (vendor, route) = match policy.recipient(address) {
            Recipient::Vendor(vendor, scope) => (Some(vendor), Some(policy.vendor_route(vendor, scope))),
            Recipient::InScope(scope) => (None, Some(&scope.deliver_to)),
            Recipient::Mailbox(_) | Recipient::Unknown => (None, None),
        };
        Self {
            schema: "mailwarden.vendor/1",
            address: address.to_string(),
            organisation: vendor.map(|vendor| vendor.organisation.clone()),
            state: vendor.map_or("unregistered", |vendor| vendor.state.as_str()),
            registered: vendor.is_some(),
            sender_domains: vendor
                .map(|vendor| vendor.sender_domains.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            delivered_to: route.map(ToString::to_string),
            heard,
        }
    }

    fn unexpected(&self) -> Vec<&str> {
        let organisations = self.heard.iter().flat_map(|heard| &heard.organisations);
        organisations.filter(|(_, known)| !known.expected).map(|(name, _)| name.as_str()).collect()
    }
}

pub(crate) async fn list(common: &Common, list: &VendorsList) -> Result<Outcome, Failure> {
    let (policy, register) = open(common).await?;
    let mut entries: Vec<Entry> = policy
        .vendors()
        .iter()
        .map(|vendor| Entry::of(&policy, &vendor.address, heard(&register, &vendor.address)))
        .collect();
    let records = register.0.as_ref().map(VendorRegister::vendors).unwrap_or_default();
    for record in records {
        let Ok(address) = record.address.parse::<Address>() else { continue };
        if policy.vendor(&address).is_none() {
            entries.push(Entry::of(&policy, &address, Some(record)));
        }
    }
    entries.retain(|entry| !list.unexpected || !entry.unexpected().is_empty());
    let listing = Listing { schema: "mailwarden.vendors/1", vendors: entries };
    output::answer(list.json, &listing, listing_text)?;
    Ok(Outcome::Clean)
}

pub(crate) async fn show(common: &Common, show: &VendorsShow) -> Result<Outcome, Failure> {
    let address = vendor_address(&show.address)?;
    let (policy, register) = open(common).await?;
    let heard = heard(&register, &address);
    if heard.is_none() && policy.vendor_of(&address).is_none() {
        output::complain(&format!(
            "<{address}> has no record in the policy and never took mail\n  \
             `mailwarden vendors list` shows what there is"
        ));
        return Ok(Outcome::Findings);
    }
    output::answer(show.json, &Entry::of(&policy, &address, heard), entry_text)?;
    Ok(Outcome::Clean)
}

async fn open(common: &Common) -> Result<(Policy, Recollection), Failure> {
    let settings = common.settings()?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    Ok((policy, Recollection::open(&settings).await?))
}

fn heard(register: &Recollection, address: &Address) -> Option<VendorRecord> {
    register.0.as_ref()?.vendor(&address.key())
}

fn vendor_address(text: &str) -> Result<Address, Failure> {
    text.parse().map_err(|error| Failure::Usage(format!("`{}` is not an address: {error}", shown(text))))
}

fn listing_text(listing: &Listing) -> String {
    let mut out = String::new();
    let width = listing.vendors.iter().map(|entry| entry.address.chars().count()).max().unwrap_or(0).min(60);
    for entry in &listing.vendors {
        let last = entry.heard.as_ref().map_or_else(
            || "never heard from anybody".to_owned(),
            |heard| format!("{} messages, last {}", heard.messages, heard.last_seen.format("%Y-%m-%d")),
        );
        let _ = write!(
            out,
            "{:<width$}  {:<12}  {}  {last}",
            shown(&entry.address),
            entry.state,
            shown(entry.organisation.as_deref().unwrap_or("-")),
        );
        let unexpected = entry.unexpected();
        if !unexpected.is_empty() {
            let _ = write!(out, "  UNEXPECTED: {}", shown(&unexpected.join(", ")));
        }
        out.push('\n');
    }
    if listing.vendors.is_empty() {
        out.push_str("no vendor addresses\n");
    }
    out
}

fn entry_text(entry: &Entry) -> String {
    let mut out = format!("{}\n", shown(&entry.address));
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(out, "  {label:<16} {}", shown(value));
    };
    line("given to", entry.organisation.as_deref().unwrap_or("nobody on record"));
    line("state", entry.state);
    line("mail reaches", entry.delivered_to.as_deref().unwrap_or("nobody: it lies in no scope"));
    let declared = entry.sender_domains.join(", ");
    line("expected from", if declared.is_empty() { "the first organisation that writes" } else { &declared });
    let Some(heard) = &entry.heard else {
        line("heard", "nothing yet");
        return out;
    };
    line("first seen", &heard.first_seen.format("%Y-%m-%d %H:%M UTC").to_string());
    line("last seen", &heard.last_seen.format("%Y-%m-%d %H:%M UTC").to_string());
    line("messages", &heard.messages.to_string());
    for (name, known) in &heard.organisations {
        let word = if known.expected { "expected" } else { "UNEXPECTED" };
        let first = known.first_seen.format("%Y-%m-%d");
        line("heard from", &format!("{name}: {} since {first}, {word}", known.messages));
    }
    out
}

/// One file's change.
struct Change {
    source: Source,
    edit: TextEdit,
}

impl Change {
    fn whole(&self) -> PolicyEdit {
        let after = self.edit.apply(&String::from_utf8_lossy(&self.source.bytes));
        PolicyEdit { source: self.source.clone(), after }
    }
}

pub(crate) async fn change(
    common: &Common,
    change: &VendorsChange,
    state: VendorState,
) -> Result<Outcome, Failure> {
    let address = vendor_address(&change.address)?;
    let settings = common.settings()?;
    let sources = policy_sources(&common.policy_directory(&settings))?;
    let (policy, _) = Policy::compile(&sources).map_err(SettingsError::Invalid)?;
    let planned = plan(&policy, &sources, &address, change, state)?;
    if planned.edit.before == Some(state) {
        output::print(&format!("<{address}> is {} already\n", state.as_str()))?;
        return Ok(Outcome::Clean);
    }
    let whole = planned.whole();
    whole.check(&sources)?;
    output::print(&whole.difference())?;
    if !change.apply {
        output::complain("nothing is changed yet: add --apply");
        return Ok(Outcome::Clean);
    }
    record(&settings, &address, change, state, &planned).await?;
    whole.replace()?;
    output::complain("done; the gate takes it up with its next reload (systemctl reload mailwarden-milter)");
    Ok(Outcome::Clean)
}

fn plan(
    policy: &Policy,
    sources: &[Source],
    address: &Address,
    change: &VendorsChange,
    state: VendorState,
) -> Result<Change, Failure> {
    let by_hand = |source: &Source, error| Failure::Usage(format!("{}: {error}", source.name));
    for source in sources {
        match set_vendor_state(source, address, state).map_err(|error| by_hand(source, error))? {
            Some(edit) => return Ok(Change { source: source.clone(), edit }),
            None => continue,
        }
    }
    let Some(scope) = policy.scope(address.domain()) else {
        return Err(Failure::Usage(format!("<{address}> lies in no scope of the policy")));
    };
    let organisation = change.organisation.as_deref().unwrap_or(address.local());
    // The record belongs into the file that has the scope: one file is one client's.
    let source = sources.get(scope.client).ok_or_else(|| {
        Failure::Ours(format!("the text that has the scope {} was not found again", scope.name()))
    })?;
    let edit = add_vendor(source, address, organisation, state).map_err(|error| by_hand(source, error))?;
    Ok(Change { source: source.clone(), edit })
}

async fn record(
    settings: &Settings,
    address: &Address,
    change: &VendorsChange,
    state: VendorState,
    planned: &Change,
) -> Result<(), Failure> {
    let (url, name) = (&settings.ledger.url, mailwarden_ledger::shown_url(&settings.ledger.url));
    let failed = |error| Failure::Ledger(format!("the change is not made: the ledger {name}"), error);
    let kind = match state {
        VendorState::Active => EventKind::VendorActivated,
        VendorState::Paused => EventKind::VendorPaused,
        VendorState::Burned => EventKind::VendorBurned,
    };
    let before = planned.edit.before.map_or("unregistered", VendorState::as_str);
    let actor = format!("mailwarden uid={}", rustix::process::getuid().as_raw());
    let mut event = Event::new(kind, Utc::now(), actor, address.key())
        .replacing(json!({ "state": before }))
        .with(json!({ "state": state.as_str(), "file": &*planned.source.name }));
    event.reason.clone_from(&change.reason);
    let ledger = Ledger::open(url).await.map_err(failed)?;
    ledger.append(event).await.map_err(failed)?;
    ledger.close().await.map_err(failed)
}
