//! The vocabulary of the rounds: which surfaces exist, what a collector saw on them, and what it could not see.
//!
//! Collectors produce [`Observation`]s and [`Coverage`]; the judge turns both into findings. Neither side invents
//! facts of the other: an observation is raw and carries a digest, and coverage says "could not look" as plainly
//! as an observation says "this is there".

mod coverage;
mod observation;
mod surface;
mod text_or_base64;

pub use coverage::{Coverage, CoverageState, SYSTEM};
pub use observation::{AclIdentifier, Evidence, Fact, Observation};
pub use surface::{Surface, SurfaceId, Tier, catalogue, surface};
