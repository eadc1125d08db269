//! Processor time, to more than a hundredth of a second.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// What all threads of a process have used that are still there.
pub(crate) fn of_process(pid: u32) -> Result<Duration> {
    let mut used = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that ended meanwhile is no error.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
        used += Duration::from_nanos(nanoseconds.context("no number in schedstat")?);
    }
    Ok(used)
}

/// What this process has used.
pub(crate) fn of_ours() -> Result<Duration> {
    of_process(std::process::id())
}

/// What the programs have used that this process ran and saw the end of.
pub(crate) fn of_ended_programs() -> Result<Duration> {
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').context("no name in /proc/self/stat")?.1;
    let ticks: u32 = after_name
        .split_ascii_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|number| number.parse::<u32>().ok())
        .sum();
    Ok(TICK * ticks)
}
