//! The servers that are compared, each in a process of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mailwarden_e2e::{FilterAddress, Floor, Gate};
use mailwarden_lab::ports::Port;
use mailwarden_lab::process::Child;
use mailwarden_lab::processor;
use mailwarden_lab::wait::wait_for;

use crate::policy::Vendors;

const START_LIMIT: Duration = Duration::from_secs(120);
/// What a server that decides nothing asks for: version 6, the rights for its edits, and every event.
const EVERY_EVENT: [u8; 12] = [0, 0, 0, 6, 0, 0, 0, 0x0d, 0, 0, 0, 0];

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
    Floor(Floor),
    Reference(Child),
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        match &self.process {
            Process::Gate(gate) => gate.pid(),
            Process::Floor(floor) => floor.pid(),
            Process::Reference(child) => child.pid(),
        }
    }

    /// User and system time spent so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        Ok(processor::with_ended_threads(self.pid())?)
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
    let same = floor(directory, "floor, same flags", tcp, &gate.address.agreement()?)?;
    let every = floor(directory, "floor, every event", tcp, &EVERY_EVENT)?;
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

fn floor(directory: &Path, name: &'static str, tcp: bool, agreement: &[u8]) -> Result<Server> {
    let address = address(directory, name, tcp)?;
    let floor = Floor::start(&address, agreement, &directory.join(format!("{name}.log")))?;
    Ok(Server { name, address, process: Process::Floor(floor) })
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
    let child =
        Child::spawn_command(Command::new(&program).arg(listen), &directory.join(format!("{name}.log")))?;
    wait_for(START_LIMIT, name, || address.agreement().is_ok()).with_context(|| child.log_text())?;
    Ok(Server { name, address, process: Process::Reference(child) })
}
