//! The vocabulary of the rounds: which surfaces exist, what a collector saw on them, and what it could not see.
//!
//! Collectors produce [`Observation`]s and [`Coverage`]; the judge turns both into findings. Neither side invents
//! facts of the other: an observation is raw and carries a digest, and coverage says "could not look" as plainly
//! as an observation says "this is there".

mod collection;
mod coverage;
pub mod dns;
mod observation;
mod profile;
mod surface;
pub mod text_or_base64;

pub use collection::{
    COLLECTION_SCHEMA, Collection, CollectionReader, End, Head, Outline, Record, Tally, Unreadable,
};
pub use coverage::{Coverage, CoverageState, SYSTEM};
pub use observation::{
    AclIdentifier, ClientLogins, Evidence, Fact, ListMember, ListRole, LoginTrial, Observation, PanelMeaning,
    RowPlace, SieveOddity, TrialCredential,
};
pub use profile::Profile;
pub use surface::{Surface, SurfaceId, Tier, catalogue, reference, surface};
