//! `mailwarden sweep --surfaces`: every surface of the catalogue, and what this configuration covers of it.

use mailwarden_evidence::{Surface, Tier, catalogue};
use mailwarden_report::Format;
use mailwarden_settings::Settings;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::rounds;

/// One surface, with what this configuration does about it.
#[derive(Debug, Serialize)]
struct Row<'s> {
    id: &'s str,
    tier: Tier,
    covered: bool,
    /// Why it is not covered, and what to do about that; empty where it is.
    reason: String,
    abuse: &'s str,
    enumerate: &'s str,
    remove: &'s str,
    side_effects: &'s str,
    regenerated_by: &'s [String],
    attack: &'s [String],
}

#[derive(Debug, Serialize)]
struct Listing<'s> {
    schema: &'static str,
    attack_version: &'s str,
    surfaces: Vec<Row<'s>>,
}

pub(crate) fn list(settings: &Settings, format: Format) -> Result<Outcome, Failure> {
    let (attack_version, surfaces) = catalogue();
    let looked_at = rounds::covered(settings)?;
    let row = |surface: &'static Surface| {
        let reason = match looked_at.contains(surface.id.as_str()) || surface.tier == Tier::D {
            true => String::new(),
            false => why_not(surface),
        };
        Row {
            id: &surface.id,
            tier: surface.tier,
            covered: reason.is_empty(),
            reason,
            abuse: &surface.abuse,
            enumerate: &surface.enumerate,
            remove: &surface.remove,
            side_effects: &surface.side_effects,
            regenerated_by: &surface.regenerated_by,
            attack: &surface.attack,
        }
    };
    let surfaces = surfaces.iter().map(row).collect();
    let listing = Listing { schema: "mailwarden.surfaces/1", attack_version, surfaces };
    output::answer(format == Format::Json, &listing, text)?;
    Ok(Outcome::Clean)
}

fn why_not(surface: &Surface) -> String {
    match (surface.not_collected.as_str(), surface.needs.as_str()) {
        ("", "") => format!("the configuration has no {}", section(surface)),
        ("", needs) => format!("the configuration has no {needs}"),
        (why, _) => why.to_owned(),
    }
}

/// The part of the configuration that makes somebody look.
fn section(surface: &Surface) -> &'static str {
    match surface.id.split('.').next().unwrap_or_default() {
        "managesieve" => "[managesieve] or [dovecot]",
        "postfix" => "[postfix]",
        _ if surface.tier == Tier::R && surface.on_host => "[imap] or [dovecot]",
        _ if surface.tier == Tier::R => "[imap]",
        _ => "[dovecot]",
    }
}

fn text(listing: &Listing<'_>) -> String {
    let line = |row: &Row<'_>| {
        let tier = format!("{:?}", row.tier);
        let (mark, reason) = if row.covered { ("yes", "") } else { ("no", row.reason.as_str()) };
        let attack = row.attack.join(" ");
        let end = if reason.is_empty() { attack } else { format!("{attack}  {reason}") };
        format!("{:<28} {tier}  {mark:<3}  {}\n", row.id, end.trim())
    };
    let head = format!(
        "surface                      tier  covered, ATT&CK v{}, or why not\n",
        listing.attack_version
    );
    let covered = listing.surfaces.iter().filter(|row| row.covered).count();
    let foot = format!("\n{covered} of {} are covered by this configuration.\n", listing.surfaces.len());
    head + &listing.surfaces.iter().map(line).collect::<String>() + &foot
}
