//! Processor time: what work cost, which other programs on the machine lengthen less than the clock.
//!
//! Time of one's own is counted in nanoseconds by the scheduler (`schedstat`, the first number: Linux,
//! Documentation/scheduler/sched-stats); that of threads and of children that ended stands in ticks only (proc(5)).

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::process::{Stat, parse_stat};

/// In milliseconds (`sysconf(_SC_CLK_TCK)` is 100 on every Linux).
const TICK: u64 = 10;

/// What all threads of a process have used that are still there.
///
/// # Errors
/// There is no such process.
pub fn of_process(pid: u32) -> io::Result<Duration> {
    let mut used = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that ended meanwhile is no error.
        let Ok(had) = scheduled(&task?.path().join("schedstat")) else { continue };
        used += had;
    }
    Ok(used)
}

/// What this process has used.
///
/// # Errors
/// /proc is not there.
pub fn of_ours() -> io::Result<Duration> {
    of_process(std::process::id())
}

/// What this thread has used.
///
/// # Errors
/// /proc is not there.
pub fn of_this_thread() -> io::Result<Duration> {
    scheduled(Path::new("/proc/thread-self/schedstat"))
}

/// What the programs have used that this process ran and saw the end of.
///
/// # Errors
/// /proc is not there.
pub fn of_ended_programs() -> io::Result<Duration> {
    stat("self").map(|stat| ticks(stat.ended_children))
}

/// What all threads of a process have used, those that ended too, to a hundredth of a second.
///
/// # Errors
/// There is no such process.
pub fn with_ended_threads(pid: u32) -> io::Result<Duration> {
    stat(&pid.to_string()).map(|stat| ticks(stat.own))
}

/// The same with the programs that it ran and saw the end of.
///
/// # Errors
/// There is no such process.
pub fn with_ended_programs(pid: u32) -> io::Result<Duration> {
    stat(&pid.to_string()).map(|stat| ticks(stat.own + stat.ended_children))
}

/// Does the work, and says what it took of this thread's; by the clock where the kernel counts no such time.
pub fn spent<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let (begun, before) = (Instant::now(), of_this_thread());
    let done = work();
    let by_clock = begun.elapsed();
    let counted = before.and_then(|before| Ok(of_this_thread()?.saturating_sub(before)));
    (done, counted.unwrap_or(by_clock))
}

/// Does the work, which may take no more of this thread's than that.
///
/// # Panics
/// It took more.
pub fn within<T>(limit: Duration, work: impl FnOnce() -> T) -> T {
    let (done, took) = spent(work);
    assert!(took < limit, "{took:?} of processor time");
    done
}

fn scheduled(path: &Path) -> io::Result<Duration> {
    let text = fs::read_to_string(path)?;
    let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
    nanoseconds.map(Duration::from_nanos).ok_or_else(|| unreadable(&text))
}

fn stat(process: &str) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    parse_stat(&text).ok_or_else(|| unreadable(&text))
}

fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * TICK)
}

fn unreadable(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the kernel says {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_takes_too_long_is_said() {
        let begun = Instant::now();
        let busy = || while begun.elapsed() < Duration::from_millis(50) {};
        assert!(spent(busy).1 <= begun.elapsed());
        assert_eq!(within(Duration::from_secs(60), || 1), 1);
        let said = std::panic::catch_unwind(|| within(Duration::ZERO, || ()));
        assert!(said.is_err());
    }

    #[test]
    fn threads_and_programs_that_ended_are_counted() {
        let busy = "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done";
        let us = std::process::id();
        let used = with_ended_threads(us).unwrap() + Duration::from_millis(30);
        std::thread::spawn(move || while with_ended_threads(us).unwrap() < used {}).join().unwrap();
        assert!(std::process::Command::new("sh").args(["-c", busy]).status().unwrap().success());
        assert!(with_ended_threads(us).unwrap() >= used);
        assert!(of_ended_programs().unwrap() >= Duration::from_millis(10));
        assert!(with_ended_programs(us).unwrap() > with_ended_threads(us).unwrap());
    }
}
