//! The work, at growing sizes.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use chrono::DateTime;
use mailwarden_e2e::{Envelope, FilterAddress, Gate, Mta};
use mailwarden_ledger::{Event, EventKind, Ledger, verify};
use mailwarden_policy::{Policy, Source};
use serde_json::json;
use sieve_analysis::{Dialect, analyse};
use tokio::task::JoinSet;

use crate::Growth;
use crate::place::Place;
use crate::policy::Vendors;
use mailwarden_lab::processor::{of_ended_programs, of_ours, of_process};

/// How often each size is done.
const ROUNDS: usize = 3;
/// The kernel tells processor time in steps of some milliseconds: what is shorter is done so often that they do not
/// show.
const LONG_ENOUGH: Duration = Duration::from_millis(100);
const MESSAGES_A_CONNECTION: usize = 20;
const ENTRIES_A_CALL: usize = 1_000;
const ADDRESSES_A_CLIENT: usize = 1_000;

type Measure = fn() -> Result<Growth>;

/// Everything, by name.
pub(crate) const ALL: [(&str, Measure); 6] = [
    ("connections", connections),
    ("policy", policy),
    ("mailboxes", mailboxes),
    ("scripts", scripts),
    ("ledger", ledger),
    ("verification", verification),
];

/// The least cost of some rounds, in seconds: what others took of the machine is no cost of ours.
fn least(mut round: impl FnMut() -> Result<Duration>) -> Result<f64> {
    let mut costs =
        (0..ROUNDS).map(|_| round().map(|cost| cost.as_secs_f64())).collect::<Result<Vec<_>>>()?;
    costs.sort_by(f64::total_cmp);
    costs.first().copied().ok_or_else(|| anyhow!("no rounds"))
}

/// What some work in this process costs, in seconds, by as many repetitions as it takes to see it.
fn repeated(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    work()?;
    least(|| {
        let (before, mut times) = (of_ours()?, 0);
        loop {
            work()?;
            times += 1;
            let used = of_ours()?.saturating_sub(before);
            if used >= LONG_ENOUGH {
                return Ok(used / times);
            }
        }
    })
}

fn at_sizes(sizes: &[usize], mut cost: impl FnMut(usize) -> Result<f64>) -> Result<Vec<(f64, f64)>> {
    sizes.iter().map(|&size| Ok((size as f64, cost(size)?))).collect()
}

// --- the gate ---------------------------------------------------------------------------------------------------

fn connections() -> Result<Growth> {
    let directory = tempfile::tempdir()?;
    let vendors = Arc::new(Vendors { clients: 100, each: 100 });
    let (gate, address) = started(directory.path(), &vendors)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let points = at_sizes(&[8, 32, 128, 512, 2_048], |size| {
        least(|| {
            let before = of_process(gate.pid())?;
            runtime.block_on(talk(&address, &vendors, size))?;
            Ok(of_process(gate.pid())?.saturating_sub(before))
        })
    })?;
    let title = "the gate: connections at once, 20 messages on each";
    Ok(Growth { title, unit: "connections", points })
}

fn started(directory: &Path, vendors: &Vendors) -> Result<(Gate, FilterAddress)> {
    let home = directory.join("mailwarden");
    vendors.write(&home.join("policy"))?;
    let (socket, config) = (directory.join("gate.sock"), home.join("mailwarden.toml"));
    let (listen, ledger) = (socket.display(), home.join("ledger.db"));
    let text =
        format!("[ledger]\nurl = \"sqlite:{}\"\n[gate]\nlisten = \"unix:{listen}\"\n", ledger.display());
    std::fs::write(&config, text)?;
    let mut command = Command::new(mailwarden_e2e::milter_program()?);
    command.arg("--config").arg(&config);
    let gate = Gate::start_alone(&mut command, &directory.join("gate.log"))?;
    Ok((gate, FilterAddress::Unix(socket)))
}

async fn talk(address: &FilterAddress, vendors: &Arc<Vendors>, size: usize) -> Result<()> {
    let mut open = Vec::with_capacity(size);
    for _ in 0..size {
        let mut mta = Mta::connect(address).await?;
        mta.greet().await?;
        open.push(mta);
    }
    let mut talking = JoinSet::new();
    for (number, mut mta) in open.into_iter().enumerate() {
        let vendors = Arc::clone(vendors);
        talking.spawn(async move {
            for message in 0..MESSAGES_A_CONNECTION {
                let at = number * MESSAGES_A_CONNECTION + message;
                let envelope =
                    Envelope { queue_id: format!("Q{at:09}"), recipients: vec![vendors.scattered(at)] };
                mta.message(&envelope).await?.belong_to(&envelope)?;
            }
            mta.quit().await
        });
    }
    while let Some(said) = talking.join_next().await {
        said??;
    }
    Ok(())
}

// --- policy -----------------------------------------------------------------------------------------------------

fn policy() -> Result<Growth> {
    let points = at_sizes(&[1_000, 4_000, 16_000, 64_000, 256_000, 1_024_000], |size| {
        let vendors = Vendors { clients: size / ADDRESSES_A_CLIENT, each: ADDRESSES_A_CLIENT };
        let source = |client| Source::new(format!("{client}.toml"), vendors.text(client).into_bytes());
        let sources: Vec<Source> = (0..vendors.clients).map(source).collect();
        repeated(|| {
            let compiled = Policy::compile(&sources).map_err(|_| anyhow!("the policy has mistakes"))?;
            ensure!(compiled.0.vendors().len() == size, "vendors are missing");
            Ok(())
        })
    })?;
    Ok(Growth { title: "compiling a policy", unit: "addresses", points })
}

// --- the rounds -------------------------------------------------------------------------------------------------

fn mailboxes() -> Result<Growth> {
    let points = at_sizes(&[50, 100, 200, 400], |size| {
        let place = Place::of(size, "")?;
        least(|| {
            let before = of_ended_programs()?;
            place.sweep()?;
            Ok(of_ended_programs()?.saturating_sub(before))
        })
    })?;
    let title = "the rounds: IMAP and ManageSieve, five folders and a script each";
    Ok(Growth { title, unit: "mailboxes", points })
}

// --- Sieve ------------------------------------------------------------------------------------------------------

const REQUIRED: &str = "require [\"fileinto\", \"copy\", \"variables\"];\r\n";

fn rule(number: usize) -> String {
    format!(
        "# rule:[Rule {number}]\r\nif anyof (header :contains \"list-id\" \"list{number}.example\",\r\n\
         \x20         address :is \"to\" \"list{number}@x.example\")\r\n{{\r\n\tfileinto \"Lists/{number}\";\r\n\
         }}\r\nif header :matches \"subject\" \"*invoice {number}*\"\r\n{{\r\n\
         \tset \"who\" \"boss{number}\";\r\n\tredirect :copy \"${{who}}@x.example\";\r\n}}\r\n"
    )
}

fn scripts() -> Result<Growth> {
    let points = at_sizes(&[4, 16, 64, 256, 1_024, 4_096], |size| {
        let script: String = std::iter::once(REQUIRED.to_owned()).chain((0..size).map(rule)).collect();
        repeated(|| {
            std::hint::black_box(analyse(script.as_bytes(), Dialect::Pigeonhole, true));
            Ok(())
        })
    })?;
    let title = "analysing one Sieve script, two rules of 320 octets for each counted";
    Ok(Growth { title, unit: "pairs of rules", points })
}

// --- the ledger -------------------------------------------------------------------------------------------------

fn held(number: usize) -> Event {
    let subject = format!("mailbox-{number}@acme.example");
    Event::new(EventKind::GateHeld, DateTime::UNIX_EPOCH, "gate", subject).with(json!({"number": number}))
}

async fn filled(url: &str, size: usize) -> Result<Ledger> {
    let ledger = Ledger::open(url).await?;
    for first in (0..size).step_by(ENTRIES_A_CALL) {
        ledger.append_all((first..size.min(first + ENTRIES_A_CALL)).map(held).collect()).await?;
    }
    Ok(ledger)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn at_ledgers(
    cost: impl Fn(&tokio::runtime::Runtime, &str, usize) -> Result<f64>,
) -> Result<Vec<(f64, f64)>> {
    let runtime = runtime()?;
    at_sizes(&[1_000, 4_000, 16_000, 64_000, 256_000], |size| {
        let directory = tempfile::tempdir()?;
        cost(&runtime, &format!("sqlite:{}", directory.path().join("ledger.db").display()), size)
    })
}

fn ledger() -> Result<Growth> {
    let points = at_ledgers(|runtime, url, size| {
        runtime.block_on(async {
            let before = of_ours()?;
            // The threads of the database are counted while they are there.
            let ledger = filled(url, size).await?;
            let used = of_ours()?.saturating_sub(before);
            ledger.close().await?;
            Ok(used.as_secs_f64())
        })
    })?;
    let title = "appending to a ledger in SQLite, 1,000 entries a call";
    Ok(Growth { title, unit: "entries", points })
}

fn verification() -> Result<Growth> {
    let points = at_ledgers(|runtime, url, size| {
        runtime.block_on(async {
            let ledger = filled(url, size).await?;
            let before = of_ours()?;
            let problems = verify(&ledger, &[], &[]).await?;
            let used = of_ours()?.saturating_sub(before);
            ensure!(!problems.iter().any(mailwarden_ledger::Problem::is_damage), "{problems:?}");
            ledger.close().await?;
            Ok(used.as_secs_f64())
        })
    })?;
    let title = "verifying the whole of a ledger in SQLite";
    Ok(Growth { title, unit: "entries", points })
}
