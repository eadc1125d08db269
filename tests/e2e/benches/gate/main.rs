//! The gate under load, next to servers that decide nothing. Interleaved rounds on one machine: the ratios are the
//! result, the absolute figures belong to the machine and the moment.
//!
//! `cargo bench -p mailwarden-e2e --bench gate -- [--each N] [--rounds N] [--seconds S] [--only NAME]`
//!
//! A thousand clients with `--each` vendor addresses (100) are the policy; the ledger is on. `--only` runs the loads
//! whose name holds NAME.
#![allow(clippy::print_stdout, reason = "a measurement is printed")]

mod load;
mod policy;
mod servers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mailwarden_e2e::{FilterAddress, Floor, Mta};

use crate::load::{Measured, Shape};
use crate::policy::Vendors;
use crate::servers::Server;

const CLIENTS: usize = 1_000;
const HELD: usize = 2_000;

const fn shape(name: &'static str, at_once: usize, reuse: bool) -> Shape {
    Shape { name, at_once, recipients: 1, reuse, tcp: false }
}

const SHAPES: [Shape; 8] = [
    shape("a connection a message, 1 at once", 1, false),
    shape("a connection a message, 8 at once", 8, false),
    shape("a connection a message, 64 at once", 64, false),
    shape("many messages a connection, 1 at once", 1, true),
    shape("many messages a connection, 64 at once", 64, true),
    shape("many messages a connection, 2000 at once", 2_000, true),
    Shape { recipients: 10, ..shape("10 recipients, 64 at once", 64, false) },
    Shape { tcp: true, ..shape("tcp, a connection a message, 64 at once", 64, false) },
];

struct Arguments {
    each: usize,
    rounds: usize,
    length: Duration,
    only: String,
}

fn arguments(words: &[String]) -> Result<Arguments> {
    let mut found =
        Arguments { each: 100, rounds: 5, length: Duration::from_millis(1_500), only: String::new() };
    // cargo bench passes --bench on.
    let mut words = words.iter().filter(|word| *word != "--bench");
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--each" => found.each = value.parse()?,
            "--rounds" => found.rounds = value.parse()?,
            "--seconds" => found.length = Duration::from_secs_f64(value.parse()?),
            "--only" => found.only.clone_from(value),
            _ => bail!("no such argument: {word}"),
        }
    }
    Ok(found)
}

fn main() -> Result<()> {
    if Floor::serve_if_asked()? {
        return Ok(());
    }
    let arguments = arguments(&std::env::args().skip(1).collect::<Vec<_>>())?;
    let vendors = Arc::new(Vendors { clients: CLIENTS, each: arguments.each });
    println!("{CLIENTS} clients, {} vendor addresses each; the ledger is on", vendors.each);
    for tcp in [false, true] {
        let chosen = |shape: &&Shape| shape.tcp == tcp && shape.name.contains(&arguments.only);
        let shapes: Vec<&Shape> = SHAPES.iter().filter(chosen).collect();
        if !shapes.is_empty() {
            let directory = tempfile::tempdir()?;
            side_by_side(directory.path(), &vendors, &shapes, &arguments)?;
        }
    }
    Ok(())
}

fn side_by_side(
    directory: &Path,
    vendors: &Arc<Vendors>,
    shapes: &[&Shape],
    arguments: &Arguments,
) -> Result<()> {
    let servers = servers::start(directory, vendors, shapes[0].tcp)?;
    if !shapes[0].tcp {
        held(&servers)?;
    }
    for shape in shapes {
        println!("\n{}: messages/s, ratio to it; p50 / p99 ms; CPU us/message", shape.name);
        let mut rounds: Vec<Vec<Round>> = servers.iter().map(|_| Vec::new()).collect();
        for _ in 0..arguments.rounds {
            for (server, rounds) in servers.iter().zip(&mut rounds) {
                rounds.push(round(shape, server, vendors, arguments.length)?);
            }
        }
        for (server, own) in servers.iter().zip(&rounds) {
            // The gate's rate as a multiple of this server's, round by round.
            let ratio = median(rounds[0].iter().zip(own).map(|(gate, other)| gate.rate / other.rate));
            println!(
                "  {:24} {:>8.0}  {ratio:>5.2}  {:>7.2} / {:>7.2}  {:>6.1}",
                server.name,
                median(own.iter().map(|round| round.rate)),
                median(own.iter().map(|round| round.p50)) / 1_000.0,
                median(own.iter().map(|round| round.p99)) / 1_000.0,
                median(own.iter().map(|round| round.cpu)),
            );
        }
    }
    Ok(())
}

struct Round {
    rate: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
}

fn round(shape: &Shape, server: &Server, vendors: &Arc<Vendors>, length: Duration) -> Result<Round> {
    let before = server.cpu()?;
    let measured: Measured =
        load::run(shape, &server.address, vendors, length).with_context(|| server.name)?;
    let spent = server.cpu()?.saturating_sub(before);
    Ok(Round {
        rate: measured.per_second,
        p50: measured.per_mille(500),
        p99: measured.per_mille(990),
        cpu: spent.as_secs_f64() * 1e6 / measured.messages() as f64,
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What a connection costs that says nothing any more.
fn held(servers: &[Server]) -> Result<()> {
    println!("\n{HELD} held connections: KiB each");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for server in servers {
        let before = server.resident_kib()?;
        let open = runtime.block_on(open(&server.address))?;
        let after = server.resident_kib()?;
        println!("  {:24} {:.1}", server.name, after.saturating_sub(before) as f64 / open.len() as f64);
    }
    Ok(())
}

async fn open(address: &FilterAddress) -> Result<Vec<Mta>> {
    let mut open = Vec::with_capacity(HELD);
    for _ in 0..HELD {
        let mut mta = Mta::connect(address).await?;
        mta.greet().await?;
        open.push(mta);
    }
    Ok(open)
}
