//! What work costs as there is more of it: connections, policy, mailboxes, scripts, ledger. Each is done at growing
//! sizes, drawn as `docs/growth/NAME.svg`, and compared with n log n from its smallest size on.
//!
//! `cargo bench -p mailwarden-e2e --bench growth -- [--only NAME] [--output DIRECTORY]`
//!
//! Cost is processor time, which other programs on the machine lengthen less than the clock; of each size it is the
//! least of some rounds.
#![allow(clippy::print_stdout, reason = "a measurement is printed")]

mod drawing;
mod work;

#[path = "../rounds/place.rs"]
mod place;
#[path = "../gate/policy.rs"]
mod policy;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::drawing::Drawing;

/// A cost that grows no faster than n log n may still seem to: caches are left behind on the way.
const TOLERATED: f64 = 2.0;

/// Sizes of some work, and what each cost in seconds of processor time.
pub(crate) struct Growth {
    /// What is done.
    pub(crate) title: &'static str,
    /// What the sizes count.
    pub(crate) unit: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Growth {
    /// What n log n from the first point on would cost.
    pub(crate) fn allowed(&self, size: f64) -> f64 {
        let (first, cost) = self.points[0];
        cost * (size * size.log2()) / (first * first.log2())
    }

    /// How much more the largest size costs than n log n would.
    fn excess(&self) -> f64 {
        self.points.last().map_or(f64::NAN, |&(size, cost)| cost / self.allowed(size))
    }

    fn told(&self) {
        println!("\n{}", self.title);
        for &(size, cost) in &self.points {
            println!("  {size:>9.0} {}: {cost:>9.4} s, {:>8.2} us each", self.unit, cost * 1e6 / size);
        }
        let verdict = if self.excess() > TOLERATED { "more than n log n" } else { "at most n log n" };
        println!("  the largest to n log n from the smallest: {:.2}, {verdict}", self.excess());
    }
}

fn main() -> Result<()> {
    let (only, output) = arguments()?;
    fs::create_dir_all(&output).with_context(|| output.display().to_string())?;
    for (name, measure) in work::ALL {
        if !name.contains(&only) {
            continue;
        }
        let growth = measure().with_context(|| (*name).to_owned())?;
        growth.told();
        fs::write(output.join(format!("{name}.svg")), Drawing::of(&growth).to_string())?;
    }
    Ok(())
}

fn arguments() -> Result<(String, PathBuf)> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut only, mut output) = (String::new(), project.join("docs/growth"));
    // cargo bench passes --bench on.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for pair in words.chunks(2) {
        let [word, value] = pair else { bail!("{pair:?} needs a value") };
        match word.as_str() {
            "--only" => only.clone_from(value),
            "--output" => output = value.into(),
            _ => bail!("no such argument: {word}"),
        }
    }
    Ok((only, output))
}
