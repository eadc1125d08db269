//! Findings to changes: what exactly would change, what that does, who may let it happen, and the way back.
//!
//! A [`Change`] goes from one [`State`] of one [`Object`] to another, and [`steps`] names the smallest
//! operations between two states. Undoing is the same with the states exchanged, so there is one piece of
//! code for both. Nothing here touches a server; [`Authorised`] can only be made by [`authorise`], so that
//! whoever applies a change has asked first.

mod assume;
mod authority;
mod diff;
mod object;
mod plan;
mod row;
mod script;
mod table;

pub use assume::assume;
pub use authority::{ACTION, Approval, Authorised, Mandate, Unauthorised, authorise};
pub use object::{AclRow, Object, State, Step, steps};
pub use plan::{ByHand, Change, FindingRef, Planned, Way, panel_row_of, plan, table_text};
