//! Manual pages and shell completions, written from the command line itself.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _};

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
use crate::output::print;

#[derive(Debug, Args)]
pub(crate) struct Manual {
    /// Write a page for every command into this directory
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// One page to read, or all of them to install.
pub(crate) fn run(manual: &Manual) -> Result<Outcome, Failure> {
    match &manual.output {
        Some(directory) => write_pages(directory)?,
        None => print(&page()?)?,
    }
    Ok(Outcome::Clean)
}

fn page() -> Result<String, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn write_pages(directory: &Path) -> Result<(), Failure> {
    let failed =
        |error| Failure::Ours(format!("cannot write the manual pages into {}: {error}", directory.display()));
    std::fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(Arguments::command().disable_help_subcommand(true), directory).map_err(failed)
}

/// The script that completes our commands in a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "mailwarden", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Clean)
}
