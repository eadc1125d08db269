//! Talk goes to standard error, results to standard output.

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// One line of talk.
pub(crate) fn say(line: &str) {
    // Nobody listens any more: the work goes on all the same.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Lines of the result.
pub(crate) fn show(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Numbers the steps of a long job, and says how long each took.
pub(crate) struct Steps {
    total: usize,
    begun: usize,
}

impl Steps {
    pub(crate) fn of(total: usize) -> Steps {
        Steps { total, begun: 0 }
    }

    /// Announces a step, does it, and says how long it took. A failing step is named in its error.
    pub(crate) fn step<T>(
        &mut self,
        what: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.begun += 1;
        say(&format!("[{:>2}/{}] {what} ...", self.begun, self.total));
        let begin = Instant::now();
        let outcome =
            work().map_err(|error| error.context(format!("step {}, {what}, failed", self.begun)))?;
        note(&format!("done in {}", seconds(begin.elapsed())));
        Ok(outcome)
    }
}

/// A remark under the step at work.
pub(crate) fn note(line: &str) {
    say(&format!("        {line}"));
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// `1 message`, `2 messages`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
