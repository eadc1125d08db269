//! Hours of load in small: mail, and clients that hang, trickle and vanish. Memory and descriptors stay flat.
//!
//! `MAILWARDEN_SOAK_SECONDS=3600 cargo nextest run -p mailwarden-e2e --test soak` soaks for an hour.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mailwarden_e2e::{
    Envelope, FilterAddress, Gate, Installation, Mta, SOON, Scrape, Wire, frame, milter_program,
};
use mailwarden_lab::ports::Port;
use mailwarden_lab::wait::wait_for;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep_until};

const SECONDS_VARIABLE: &str = "MAILWARDEN_SOAK_SECONDS";
const DEFAULT_SECONDS: u64 = 20;
const SENDERS: usize = 8;
const HANGING: usize = 100;
const TRICKLING: usize = 20;
const VANISHING: usize = 4;
/// Every so often the gate is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Allocators keep what they may need again, and SQLite fills its caches; a leak of a few octets a message is more
/// than this after some minutes, and one of a session after seconds.
const SLACK_KIB: u64 = 6 * 1_024;
/// As many addresses hear mail, again and again: what the register learns is not what is looked for.
const VENDORS: usize = 100;

/// What the system says of a process.
#[derive(Debug, Clone, Copy)]
struct Size {
    resident_kib: u64,
    descriptors: usize,
}

fn size(gate: &Gate) -> Size {
    let status = fs::read_to_string(format!("/proc/{}/status", gate.pid())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    Size {
        resident_kib: resident.split_ascii_whitespace().next().unwrap().parse().unwrap(),
        descriptors: fs::read_dir(format!("/proc/{}/fd", gate.pid())).unwrap().count(),
    }
}

#[derive(Debug, Default)]
struct Done {
    messages: AtomicUsize,
    cut_off: AtomicUsize,
    trickled: AtomicUsize,
    vanished: AtomicUsize,
}

fn count(counter: &AtomicUsize) -> usize {
    counter.fetch_add(1, Ordering::Relaxed)
}

async fn send(address: FilterAddress, done: Arc<Done>, end: Instant) {
    while Instant::now() < end {
        let mut mta = Mta::connect(&address).await.unwrap();
        mta.greet().await.unwrap();
        let number = count(&done.messages);
        let envelope = Envelope {
            queue_id: format!("Q{number}"),
            recipients: vec![format!("v{}@saas.example.test", number % VENDORS)],
        };
        mta.message(&envelope).await.unwrap().belong_to(&envelope).unwrap();
        mta.quit().await.unwrap();
    }
}

/// Stays silent after HELO until the gate has had enough.
async fn hang(address: FilterAddress, done: Arc<Done>, end: Instant) {
    while Instant::now() < end {
        let mut mta = Mta::connect(&address).await.unwrap();
        mta.greet().await.unwrap();
        tokio::select! {
            () = mta.closed() => { count(&done.cut_off); }
            () = sleep_until(end.into()) => {}
        }
    }
}

/// The beginning of a message.
fn beginning() -> Vec<u8> {
    let offer: Vec<u8> = [6_u32, 0x1ff, 0x1f_ffff].iter().flat_map(|number| number.to_be_bytes()).collect();
    [
        frame(b'O', &[&offer]),
        frame(b'C', &[b"slow.test\0", b"4\x30\x39", b"203.0.113.9\0"]),
        frame(b'M', &[b"<news@vendor.test>\0"]),
        frame(b'R', &[b"<slow@saas.example.test>\0"]),
        frame(b'L', &[b"From\0", b"news@vendor.test\0"]),
    ]
    .concat()
}

/// Octet by octet.
async fn trickle(address: FilterAddress, done: Arc<Done>, end: Instant) {
    let mut ticks = interval(Duration::from_millis(2));
    while Instant::now() < end {
        let mut wire: Box<dyn Wire> = address.connect().await.unwrap();
        for octet in beginning() {
            wire.write_all(&[octet]).await.unwrap();
            ticks.tick().await;
        }
        count(&done.trickled);
    }
}

/// Gone in the middle of anything.
async fn vanish(address: FilterAddress, done: Arc<Done>, end: Instant) {
    let whole = beginning();
    let mut ticks = interval(Duration::from_millis(5));
    while Instant::now() < end {
        let mut wire = address.connect().await.unwrap();
        let number = count(&done.vanished);
        wire.write_all(&whole[..number * 7 % whole.len()]).await.unwrap();
        ticks.tick().await;
    }
}

fn gate_of(directory: &Path, metrics: u16) -> (Gate, FilterAddress) {
    let path = directory.join("gate.sock");
    let listen = format!("unix:{}", path.display());
    let settings = format!("idle_timeout = \"2s\"\n[metrics]\nlisten = \"127.0.0.1:{metrics}\"\n");
    let installation = Installation::create(&directory.join("home"), &listen, &settings, "").unwrap();
    let mut command = Command::new(milter_program().unwrap());
    // A line of log a message would measure the disk.
    command.args(["--config", &installation.config()]).env("MAILWARDEN_LOG", "info,decision=warn");
    (Gate::start_alone(&mut command, &directory.join("gate.log")).unwrap(), FilterAddress::Unix(path))
}

/// Everybody at once until the end; what the gate looked like all along.
async fn soak(gate: &Gate, address: &FilterAddress, done: &Arc<Done>, length: Duration) -> Vec<Size> {
    let end = Instant::now() + length;
    let mut clients = JoinSet::new();
    let own = || (address.clone(), Arc::clone(done), end);
    for (number, (address, done, end)) in std::iter::repeat_with(own).enumerate() {
        match number {
            _ if number < SENDERS => drop(clients.spawn(send(address, done, end))),
            _ if number < SENDERS + HANGING => drop(clients.spawn(hang(address, done, end))),
            _ if number < SENDERS + HANGING + TRICKLING => drop(clients.spawn(trickle(address, done, end))),
            _ if number < SENDERS + HANGING + TRICKLING + VANISHING => {
                drop(clients.spawn(vanish(address, done, end)));
            }
            _ => break,
        }
    }
    let (mut sizes, mut ticks) = (Vec::new(), interval(LOOK));
    while Instant::now() < end {
        ticks.tick().await;
        sizes.push(size(gate));
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    sizes
}

#[test]
fn memory_and_descriptors_stay_flat_under_load_and_strange_clients() {
    let seconds = std::env::var(SECONDS_VARIABLE).map_or(DEFAULT_SECONDS, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let metrics = Port::claim().unwrap();
    let (gate, address) = gate_of(directory.path(), metrics.number());
    let at_rest = size(&gate);
    let done = Arc::new(Done::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sizes = runtime.block_on(soak(&gate, &address, &done, Duration::from_secs(seconds)));

    let everybody = [&done.messages, &done.cut_off, &done.trickled, &done.vanished];
    assert!(everybody.iter().all(|counter| counter.load(Ordering::Relaxed) > 0), "{done:?}");
    let (beginning, rest) = sizes.split_at(sizes.len() / 2);
    let most = |sizes: &[Size]| sizes.iter().map(|size| size.resident_kib).max().unwrap();
    let (early, late) = (most(beginning), most(rest));
    assert!(late < early + SLACK_KIB, "{early} KiB became {late} KiB: {done:?}");
    let back =
        wait_for(SOON, "as many descriptors as at rest", || size(&gate).descriptors <= at_rest.descriptors);
    back.unwrap_or_else(|error| panic!("{error}: {at_rest:?} became {:?}", size(&gate)));
    let counted = Scrape::take(metrics.number()).unwrap();
    assert_eq!(counted.value("mailwarden_gate_panics_total"), 0, "{}", gate.log());
    assert!(counted.value("mailwarden_gate_timeouts_total") >= done.cut_off.load(Ordering::Relaxed) as u64);
    assert_eq!(
        counted.value("mailwarden_gate_messages_accepted_total"),
        done.messages.load(Ordering::Relaxed) as u64
    );
    println!("{done:?}; {early} KiB in the first half, {late} KiB in the second; {at_rest:?} at rest");
    gate.stop().unwrap();
}
