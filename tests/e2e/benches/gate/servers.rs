//! The servers that are compared, each in a process of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mailwarden_e2e::{FilterAddress, Gate, Mta};
use mailwarden_lab::ports::Port;
use mailwarden_lab::process::Child;

use crate::policy::Vendors;

const START_LIMIT: Duration = Duration::from_secs(120);
/// What a server that decides nothing asks for: the rights for its edits, and every event.
const EDITS_ONLY: u32 = 0x0d;
const EVERYTHING: u32 = 0;

/// One server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: FilterAddress,
    process: Process,
}

#[derive(Debug)]
enum Process {
    Gate(Gate),
    Other(Child),
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        match &self.process {
            Process::Gate(gate) => gate.pid(),
            Process::Other(child) => child.pid(),
        }
    }

    /// User and system time spent so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let after_name = stat.rsplit_once(')').context("no name in /proc/PID/stat")?.1;
        let ticks: u64 =
            after_name.split_ascii_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    pub(crate) fn resident_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        line.split_ascii_whitespace().next().and_then(|number| number.parse().ok()).context("no number")
    }
}

/// Starts the gate, then what it is compared with.
pub(crate) fn start(directory: &Path, vendors: &Vendors, tcp: bool) -> Result<Vec<Server>> {
    let gate = gate(directory, vendors, tcp)?;
    let (actions, protocol) = negotiated(&gate.address)?;
    let same = floor(directory, "floor, same flags", tcp, actions, protocol)?;
    let every = floor(directory, "floor, every event", tcp, EDITS_ONLY, EVERYTHING)?;
    Ok(vec![gate, same, every, reference(directory, tcp)?])
}

fn address(directory: &Path, name: &str, tcp: bool) -> Result<FilterAddress> {
    if !tcp {
        return Ok(FilterAddress::Unix(directory.join(format!("{}.sock", name.replace([',', ' '], "-")))));
    }
    // The port is free again when the claim ends; nobody else on this machine takes it within the moment.
    let port = Port::claim()?.number();
    Ok(FilterAddress::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
}

fn gate(directory: &Path, vendors: &Vendors, tcp: bool) -> Result<Server> {
    let address = address(directory, "gate", tcp)?;
    let home = directory.join("mailwarden");
    vendors.write(&home.join("policy"))?;
    let listen = match &address {
        FilterAddress::Unix(path) => format!("unix:{}", path.display()),
        FilterAddress::Tcp(address) => format!("inet:{address}"),
    };
    let config = home.join("mailwarden.toml");
    let ledger = home.join("ledger.db");
    fs::write(
        &config,
        format!("[ledger]\nurl = \"sqlite:{}\"\n[gate]\nlisten = \"{listen}\"\n", ledger.display()),
    )?;
    let mut command = Command::new(mailwarden_e2e::milter_program()?);
    command.arg("--config").arg(&config).env("MAILWARDEN_LOG", "info");
    let gate = Gate::start_alone(&mut command, &directory.join("gate.log"))?;
    Ok(Server { name: "the gate", address, process: Process::Gate(gate) })
}

fn negotiated(address: &FilterAddress) -> Result<(u32, u32)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mta = Mta::connect(address).await?;
        let negotiated = mta.negotiated();
        mta.quit().await?;
        Ok(negotiated)
    })
}

/// This program itself, in another process.
fn floor(directory: &Path, name: &'static str, tcp: bool, actions: u32, protocol: u32) -> Result<Server> {
    let address = address(directory, name, tcp)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--floor", &shown(&address), &actions.to_string(), &protocol.to_string()]);
    started(directory, name, address, &mut command)
}

/// The reference library with the same edits.
fn reference(directory: &Path, tcp: bool) -> Result<Server> {
    let (name, source) = ("libmilter, every event", include_str!("filter.c"));
    let program = directory.join("filter");
    if !program.exists() {
        let text = directory.join("filter.c");
        fs::write(&text, source)?;
        let built = Command::new("/usr/bin/cc")
            .args(["-O2", "-o"])
            .arg(&program)
            .arg(&text)
            .args(["-lmilter", "-lpthread"])
            .status()?;
        ensure!(built.success(), "the C compiler refused the filter of the reference library");
    }
    let address = address(directory, name, tcp)?;
    let listen = match &address {
        FilterAddress::Unix(path) => format!("unix:{}", path.display()),
        FilterAddress::Tcp(address) => format!("inet:{}@{}", address.port(), address.ip()),
    };
    started(directory, name, address, Command::new(&program).arg(listen))
}

fn shown(address: &FilterAddress) -> String {
    match address {
        FilterAddress::Unix(path) => path.display().to_string(),
        FilterAddress::Tcp(address) => address.to_string(),
    }
}

/// As [`shown`] wrote it.
pub(crate) fn read_address(text: &str) -> FilterAddress {
    text.parse().map_or_else(|_| FilterAddress::Unix(text.into()), FilterAddress::Tcp)
}

fn started(
    directory: &Path,
    name: &'static str,
    address: FilterAddress,
    command: &mut Command,
) -> Result<Server> {
    let child = Child::spawn_command(command, &directory.join(format!("{name}.log")))?;
    mailwarden_lab::wait::wait_for(START_LIMIT, name, || negotiated(&address).is_ok())
        .with_context(|| child.log_text())?;
    Ok(Server { name, address, process: Process::Other(child) })
}
