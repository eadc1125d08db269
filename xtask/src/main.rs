//! The project's own commands: `cargo xtask demo`, `test`, `check-house`, `counts`, `picture`,
//! `package`, `tarball` and `bill`.

mod bill;
mod cargo;
mod check_house;
mod counts;
mod demo;
mod package;
mod picture;
mod talk;
mod tarball;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The whole job on a real Postfix and Dovecot of its own, on loopback; leaves an HTML and a JSON report
    Demo(demo::Options),
    /// Everything a change has to pass; `.ci/run` runs this
    Test(test::Options),
    /// Who may depend on whom, licences, and what files must and must not hold
    CheckHouse,
    /// How many machine instructions the hot paths take, compared with what is expected
    Counts(counts::Options),
    /// What a report looks like, as docs/report.png has it
    Picture(picture::Options),
    /// Debian packages of the command and of the gate
    Package(package::Options),
    /// The programs with what they need to be installed anywhere
    Tarball(tarball::Options),
    /// Every crate in the programs, with version and licence, as CycloneDX
    Bill(bill::Options),
}

fn main() -> ExitCode {
    // `cargo demo -- --keep`, as one is used to from `cargo run`, means the same as `cargo demo --keep`.
    let arguments = std::env::args_os().filter(|argument| argument != "--");
    let outcome = match Arguments::parse_from(arguments).command {
        Task::Demo(options) => demo::run(&options),
        Task::Test(options) => test::run(&options),
        Task::CheckHouse => check_house::run(),
        Task::Counts(options) => counts::run(&options),
        Task::Picture(options) => picture::run(&options),
        Task::Package(options) => package::run(&options),
        Task::Tarball(options) => tarball::run(&options),
        Task::Bill(options) => bill::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            talk::say(&format!("\n{error:#}"));
            ExitCode::FAILURE
        }
    }
}
