//! `mailwarden`: arguments in, exit code out. One file a command; what a command decides, a library decides.

mod approve;
mod arguments;
mod changing;
mod check;
mod checks;
mod collect;
mod control;
mod dns;
mod elsewhere;
mod explain;
mod failure;
mod gate_show;
mod judge;
mod ledger;
mod manual;
mod memory;
mod notify;
mod output;
mod policy_edit;
mod postfix_check;
mod postfix_render;
mod probing;
mod reach;
mod remembered;
mod rerender;
mod restore;
mod revoke;
mod rounds;
mod seen;
mod sharing;
mod sieve_arguments;
mod sieve_audit;
mod sieve_disable;
mod sieve_text;
mod spool;
mod surfaces;
mod sweep;
mod vendors;
mod who;

use std::process::ExitCode;

use clap::Parser as _;
use mailwarden_policy::VendorState;

use crate::arguments::{Arguments, Command, GateCommand, LedgerCommand, PostfixCommand, VendorsCommand};
use crate::failure::{Failure, Outcome};
use crate::sieve_arguments::SieveCommand;

/// The analysis of a mailbox is made of many small texts: a fifth less time than with the C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(outcome) => outcome.exit_code(),
        // Whoever closed our output has seen enough: `mailwarden ledger show | head` is no failure.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.render(output::colour_on_stderr()));
            failure.exit_code()
        }
    }
}

fn run(arguments: Arguments) -> Result<Outcome, Failure> {
    let common = arguments.common;
    match arguments.command {
        Command::Check(check) => check::run(&common, &check),
        Command::Checks(checks) => checks::run(&checks),
        Command::Who(who) => on_runtime(who::run(&common, &who)),
        Command::Policy(command) => control::policy::run(&command),
        Command::Factsheet(factsheet) => on_runtime(control::factsheet::run(&common, &factsheet)),
        Command::Reset(command) => on_runtime(control::reset::run(&common, &command)),
        Command::Access(command) => on_runtime(control::access::run(&common, &command)),
        Command::Offboard(command) => on_runtime(control::offboard::run(&common, &command)),
        Command::Review(review) => on_runtime(control::review::run(&common, &review)),
        Command::Record(record) => on_runtime(control::record::run(&common, &record)),
        Command::Explain(explain) => on_runtime(explain::run(&common, &explain)),
        Command::Dns(command) => on_runtime(dns::run(&common, &command)),
        Command::Postfix(PostfixCommand::Render(render)) => postfix_render::run(&common, &render),
        Command::Postfix(PostfixCommand::Check(check)) => on_runtime(postfix_check::run(&common, &check)),
        Command::Sieve(SieveCommand::Audit(audit)) => sieve_audit::run(&audit),
        Command::Sieve(SieveCommand::Explain(explain)) => sieve_audit::explain(&explain),
        Command::Sieve(SieveCommand::Disable(disable)) => sieve_disable::run(&disable),
        Command::Sieve(SieveCommand::Undo(undo)) => sieve_disable::undo(&undo),
        Command::Sweep(sweep) => on_runtime(sweep::run(&common, &sweep)),
        Command::Collect(collect) => on_runtime(collect::run(&common, &collect)),
        Command::Judge(judge) => on_runtime(judge::run(&common, &judge)),
        Command::Reach(reach) => on_runtime(reach::run(&common, &reach)),
        Command::Revoke(revoke) => on_runtime(revoke::run(&common, &revoke)),
        Command::Restore(restore) => on_runtime(restore::run(&common, &restore)),
        Command::Ledger(LedgerCommand::Show(show)) => on_runtime(ledger::show(&common, &show)),
        Command::Ledger(LedgerCommand::Verify(verify)) => on_runtime(ledger::verify(&common, &verify)),
        Command::Ledger(LedgerCommand::Checkpoint(sign)) => on_runtime(ledger::checkpoint(&common, &sign)),
        Command::Ledger(LedgerCommand::Anchor(anchor)) => on_runtime(ledger::anchor(&common, &anchor)),
        Command::Ledger(LedgerCommand::Export(export)) => on_runtime(ledger::export(&common, &export)),
        Command::Ledger(LedgerCommand::Erase(erase)) => on_runtime(ledger::erase(&common, &erase)),
        Command::Ledger(LedgerCommand::Key) => ledger::key(&common),
        Command::Gate(GateCommand::Show(show)) => on_runtime(gate_show::run(&common, &show)),
        Command::Vendors(VendorsCommand::List(list)) => on_runtime(vendors::list(&common, &list)),
        Command::Vendors(VendorsCommand::Show(show)) => on_runtime(vendors::show(&common, &show)),
        Command::Vendors(VendorsCommand::Activate(change)) => {
            on_runtime(vendors::change(&common, &change, VendorState::Active))
        }
        Command::Vendors(VendorsCommand::Pause(change)) => {
            on_runtime(vendors::change(&common, &change, VendorState::Paused))
        }
        Command::Vendors(VendorsCommand::Burn(change)) => {
            on_runtime(vendors::change(&common, &change, VendorState::Burned))
        }
        Command::Report(report) => rerender::run(&report),
        Command::Notify(notify) => on_runtime(notify::run(&common, &notify)),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man(page) => manual::run(&page),
    }
}

/// One thread: what a command waits for are servers and databases, and beside a Dovecot on a host of two cores a second
/// thread costs more by waking the first than it does itself.
fn on_runtime(command: impl Future<Output = Result<Outcome, Failure>>) -> Result<Outcome, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Ours(format!("cannot start: {error}")))?
        .block_on(command)
}
