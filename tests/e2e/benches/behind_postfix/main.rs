//! What a message costs a Postfix with the gate, next to the same Postfix with maps of its own, and with a milter that
//! asks for the same and makes the same edits, but decides nothing: processor time of all its processes, the milter's
//! included, from the first SMTP command to the hand-over to the next server.
//!
//! `cargo bench -p mailwarden-e2e --bench behind_postfix -- [--rounds N] [--messages N]`
#![allow(clippy::print_stdout, reason = "a measurement is printed")]

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use mailwarden_e2e::{FilterAddress, Floor, Gate};
use mailwarden_lab::packages;
use mailwarden_lab::ports::Port;
use mailwarden_lab::postfix::{OutsideMail, Postfix};
use mailwarden_lab::process::{Child, group_members};
use mailwarden_lab::processor::with_ended_programs;

const ENTRIES: usize = 10_000;
const SESSIONS: &str = "20";
const RECIPIENT: &str = "v00004711@saas.client.test";
const LIMIT: Duration = Duration::from_secs(300);
const NO_FILTER: &str = "no filter, no map";
const HASH: &str = "hash maps";
const PCRE: &str = "pcre map, hash map";
const GATE: &str = "the gate";
const FLOOR: &str = "floor, same flags";
const VARIANTS: [&str; 5] = [NO_FILTER, HASH, PCRE, GATE, FLOOR];
const NATIVE: usize = 1;

struct Variant {
    name: &'static str,
    postfix: Postfix,
    milter: Option<Milter>,
}

enum Milter {
    Gate(Gate),
    Floor(Floor),
}

impl Milter {
    fn pid(&self) -> u32 {
        match self {
            Milter::Gate(gate) => gate.pid(),
            Milter::Floor(floor) => floor.pid(),
        }
    }
}

/// Microseconds a message.
#[derive(Clone, Copy)]
struct Cost {
    all: f64,
    milter: f64,
}

impl Variant {
    fn start(name: &'static str, directory: &Path, sink: u16) -> Result<Variant> {
        fs::create_dir_all(directory)?;
        let mut builder = Postfix::builder(directory)?
            .hostname("mx.client.test")
            .outside_mail(OutsideMail::ToPort(sink))
            // A full queue would slow the sender down, and measure waiting.
            .main_cf("in_flow_delay", "0")
            .main_cf("smtp_destination_concurrency_limit", "20");
        let senders = format!("check_sender_access hash:{}", directory.join("senders").display());
        let mut milter = None;
        match name {
            NO_FILTER => {}
            HASH => {
                let map = table(directory, "aliases", |n| format!("{}\tbox@next.test\n", vendor(n)), true)?;
                table(directory, "senders", |n| format!("{}\tREJECT\n", vendor(n)), true)?;
                builder = with_map(builder, &format!("hash:{map}"), &senders);
            }
            PCRE => {
                let pattern = |n| format!("/^{}$/\tbox@next.test\n", vendor(n).replace('.', "\\."));
                let map = table(directory, "aliases", pattern, false)?;
                table(directory, "senders", |n| format!("{}\tREJECT\n", vendor(n)), true)?;
                builder = with_map(builder, &format!("pcre:{map}"), &senders);
            }
            _ => {
                let socket = directory.join("milter.sock");
                milter = Some(start_milter(name, directory, &socket)?);
                builder = builder
                    .milter(&format!("unix:{}", socket.display()))
                    .main_cf("relay_domains", "saas.client.test")
                    .main_cf("relay_transport", "lmtp:unix:/nonexistent/nowhere");
            }
        }
        let postfix = builder.build()?;
        postfix.start()?;
        Ok(Variant { name, postfix, milter })
    }

    /// Processor time of everybody who has to do with mail here: Postfix, the milter.
    fn cpu(&self) -> Result<(Duration, Duration)> {
        let master = self.postfix.pid().context("Postfix does not run")?;
        let of_milter = |milter: &Milter| with_ended_programs(milter.pid());
        let milter = self.milter.as_ref().map_or(Ok(Duration::ZERO), of_milter)?;
        let members = group_members(master).into_iter();
        let postfix = members.filter_map(|pid| with_ended_programs(pid.unsigned_abs()).ok()).sum();
        Ok((postfix, milter))
    }

    fn round(&self, messages: usize) -> Result<Cost> {
        let before = self.cpu()?;
        let recipient = if self.name == NO_FILTER { "box@next.test" } else { RECIPIENT };
        let ran = Command::new("/usr/sbin/smtp-source")
            .args(["-s", SESSIONS, "-m", &messages.to_string(), "-l", "2000", "-f", "news@vendor.test"])
            .args(["-t", recipient, &format!("inet:127.0.0.1:{}", self.postfix.smtp_port())])
            .output()?;
        ensure!(ran.status.success(), "{}: {}", self.name, String::from_utf8_lossy(&ran.stderr));
        self.postfix.wait_until_queue_empty(LIMIT).with_context(|| self.postfix.log())?;
        let after = self.cpu()?;
        let each = |used: Duration| used.as_secs_f64() * 1e6 / messages as f64;
        let milter = each(after.1 - before.1);
        Ok(Cost { all: each(after.0 - before.0) + milter, milter })
    }
}

fn with_map(
    builder: mailwarden_lab::postfix::PostfixBuilder,
    map: &str,
    senders: &str,
) -> mailwarden_lab::postfix::PostfixBuilder {
    builder
        .main_cf("virtual_alias_domains", "saas.client.test")
        .main_cf("virtual_alias_maps", map)
        .main_cf("smtpd_sender_restrictions", senders)
}

fn vendor(number: usize) -> String {
    format!("v{number:08}@saas.client.test")
}

fn table(directory: &Path, name: &str, line: impl Fn(usize) -> String, is_hash: bool) -> Result<String> {
    let path = directory.join(name);
    fs::write(&path, (0..ENTRIES).map(line).collect::<String>())?;
    if is_hash {
        // Without a main.cf of its own postmap would ask the system's.
        fs::write(directory.join("main.cf"), "")?;
        let table = format!("hash:{}", path.display());
        let made = Command::new("/usr/sbin/postmap").arg("-c").arg(directory).arg(table).output()?;
        ensure!(made.status.success(), "postmap: {}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(path.display().to_string())
}

fn start_milter(name: &str, directory: &Path, socket: &Path) -> Result<Milter> {
    if name == GATE {
        return Ok(Milter::Gate(start_gate(directory, socket)?));
    }
    // A gate is asked what it would agree to, and goes again.
    let asked = directory.join("asked.sock");
    let agreement = {
        let _gate = start_gate(directory, &asked)?;
        FilterAddress::Unix(asked).agreement()?
    };
    let floor = Floor::start(&FilterAddress::Unix(socket.into()), &agreement, &directory.join("floor.log"))?;
    fs::set_permissions(socket, Permissions::from_mode(0o666))?;
    Ok(Milter::Floor(floor))
}

/// The policy says of the same addresses what the maps say.
fn start_gate(directory: &Path, socket: &Path) -> Result<Gate> {
    let home = directory.join("mailwarden");
    fs::create_dir_all(home.join("policy"))?;
    let mut policy = "[client]\nname = \"Client\"\nowner = \"jane@client.test\"\n\
         emergency_approver = \"jane@client.test\"\n\
         [[person]]\nname = \"Jane\"\naddresses = [\"jane@client.test\"]\n\
         [[domain]]\nname = \"client.test\"\nprofile = \"sending\"\nadmin_queue = \"box@client.test\"\n\
         [[scope]]\ndomain = \"saas.client.test\"\ndeliver_to = \"box@client.test\"\n\
         [[mailbox]]\naddress = \"box@client.test\"\nkind = \"role\"\nbusiness_owner = \"jane@client.test\"\n"
        .to_owned();
    for number in 0..ENTRIES {
        let _ =
            write!(policy, "[[vendor]]\naddress = \"{}\"\norganisation = \"V{number}\"\n", vendor(number));
    }
    fs::write(home.join("policy/client.toml"), policy)?;
    let config = home.join("mailwarden.toml");
    fs::write(
        &config,
        format!(
            "[ledger]\nurl = \"sqlite:{}\"\n[gate]\nlisten = \"unix:{}\"\nsocket_mode = \"0666\"\n",
            home.join("ledger.db").display(),
            socket.display()
        ),
    )?;
    let mut command = Command::new(mailwarden_e2e::milter_program()?);
    command.arg("--config").arg(&config).env("MAILWARDEN_LOG", "info");
    Gate::start_alone(&mut command, &directory.join("gate.log"))
}

fn main() -> Result<()> {
    if Floor::serve_if_asked()? {
        return Ok(());
    }
    packages::ensure_installed(&mut |step| println!("{step}"))?;
    let (mut rounds, mut messages) = (5, 1_000);
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for pair in words.chunks(2) {
        match pair {
            [flag, value] if flag == "--rounds" => rounds = value.parse()?,
            [flag, value] if flag == "--messages" => messages = value.parse()?,
            other => bail!("not an argument with its value: {other:?}"),
        }
    }
    let directory = tempfile::tempdir()?;
    // Postfix's users have to get to their tables.
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
    let sink = Port::claim()?;
    let mut command = Command::new("/usr/sbin/smtp-sink");
    command.args(["-u", "nobody", "-c", &format!("127.0.0.1:{}", sink.number()), "1000"]);
    let child = Child::spawn_command(&mut command, &directory.path().join("sink.log"))?;
    child.wait_for_port(sink.number(), LIMIT)?;
    let variants = VARIANTS
        .iter()
        .enumerate()
        .map(|(at, name)| Variant::start(name, &directory.path().join(format!("v{at}")), sink.number()))
        .collect::<Result<Vec<_>>>()?;
    measure(&variants, rounds, messages)
}

fn measure(variants: &[Variant], rounds: usize, messages: usize) -> Result<()> {
    let mut costs: Vec<Vec<Cost>> = variants.iter().map(|_| Vec::new()).collect();
    for round in 0..=rounds {
        for (variant, costs) in variants.iter().zip(&mut costs) {
            let cost = variant.round(messages)?;
            // The first round starts processes and fills caches.
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    println!(
        "{rounds} rounds of {messages} messages, {SESSIONS} sessions: CPU us a message, to no filter, to hash, the milter's"
    );
    for (variant, own) in variants.iter().zip(&costs) {
        let to = |other: &[Cost]| median(own.iter().zip(other).map(|(own, other)| own.all / other.all));
        let (cost, milter) =
            (median(own.iter().map(|cost| cost.all)), median(own.iter().map(|cost| cost.milter)));
        println!(
            "  {:22} {cost:>6.0}  {:.2}  {:.2}  {milter:>5.0}",
            variant.name,
            to(&costs[0]),
            to(&costs[NATIVE])
        );
    }
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
