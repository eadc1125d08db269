//! How long it takes to compile a large policy, what its address table holds, and how long one question takes:
//!
//! `cargo run --release -p mailwarden-policy --example lookup -- CLIENTS ADDRESSES_PER_CLIENT`

#![allow(clippy::print_stdout, reason = "a measurement is printed")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use mailwarden_address::Address;
use mailwarden_policy::{Policy, Recipient, Source, render};

/// Enough questions for a mean that does not hop about.
const QUESTIONS: usize = 2_000_000;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|number| number.parse::<usize>().expect("a number"));
    let clients = arguments.next().unwrap_or(1_000);
    let each = arguments.next().unwrap_or(100);
    let sources: Vec<Source> = (0..clients)
        .map(|client| Source::new(format!("{client}.toml"), text(client, each).into_bytes()))
        .collect();
    let bytes: usize = sources.iter().map(|source| source.bytes.len()).sum();
    let before = resident();
    let began = Instant::now();
    let (policy, _) = Policy::compile(&sources).unwrap_or_else(|bad| panic!("{}", render(&bad[..1], false)));
    println!("{clients} clients, {each} addresses each, {} MiB of text", bytes >> 20);
    println!("compiled in {:.2} s", began.elapsed().as_secs_f64());
    let (addresses, table) = policy.address_table();
    println!("address table: {addresses} addresses, {:.1} MiB", table as f64 / f64::from(1 << 20));
    println!("whole policy, records included: {} MiB resident", (resident() - before) >> 20);

    let known: Vec<Address> = (0..4096).map(|n| vendor(n * 7919 % clients, n * 104_729 % each)).collect();
    let unknown: Vec<Address> = known
        .iter()
        .map(|address| {
            Address::parse(&format!("x{}@{}", address.local(), address.domain())).expect("address")
        })
        .collect();
    println!(
        "a vendor's record:   {:.0} ns",
        nanoseconds(&known, |address| policy.vendor(address).is_some())
    );
    println!(
        "no record:           {:.0} ns",
        nanoseconds(&unknown, |address| policy.vendor(address).is_some())
    );
    let routed = |address: &Address| matches!(policy.recipient(address), Recipient::Vendor(..));
    println!("where mail goes:     {:.0} ns", nanoseconds(&known, routed));
    println!(
        "may it send at all:  {:.0} ns",
        nanoseconds(&known, |address| policy.receive_only(address).is_some())
    );
}

fn nanoseconds(addresses: &[Address], ask: impl Fn(&Address) -> bool) -> f64 {
    let began = Instant::now();
    for n in 0..QUESTIONS {
        black_box(ask(black_box(&addresses[n % addresses.len()])));
    }
    began.elapsed().as_nanos() as f64 / QUESTIONS as f64
}

fn vendor(client: usize, at: usize) -> Address {
    // Local parts as people make them, scattered so that neighbours in the text are no neighbours in memory.
    let name = at.wrapping_mul(2_654_435_761) % 0xff_ffff;
    Address::parse(&format!("vendor-{name:06x}-{at}@saas.client{client}.example")).expect("address")
}

fn text(client: usize, each: usize) -> String {
    let domain = format!("client{client}.example");
    let mut text = format!(
        "[client]\nname = \"Client {client}\"\nowner = \"jane@{domain}\"\nemergency_approver = \"jane@{domain}\"\n\
         [[person]]\nname = \"Jane\"\naddresses = [\"jane@{domain}\"]\n\
         [[domain]]\nname = \"{domain}\"\nprofile = \"sending\"\nadmin_queue = \"ops@{domain}\"\n\
         [[scope]]\ndomain = \"saas.{domain}\"\ndeliver_to = \"ops@{domain}\"\n\
         [[mailbox]]\naddress = \"ops@{domain}\"\nkind = \"role\"\nbusiness_owner = \"jane@{domain}\"\n"
    );
    for at in 0..each {
        let address = vendor(client, at);
        let _ = write!(text, "[[vendor]]\naddress = \"{address}\"\norganisation = \"Vendor {at}\"\n");
    }
    text
}

/// Resident memory of this process in bytes, as Linux counts it.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    pages.and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok()).unwrap_or(0) * 4096
}
