//! A lossless, dialect-aware Sieve parser, evaluator and editor.
//!
//! [`audit`] says what a script can do on each of several mail servers, where in its bytes, to whom and
//! under what condition, without running it. The layers below can be used by themselves: [`lexer`] cuts
//! any bytes into tokens that join to the same bytes, [`parser`] makes a [`tree`] of them and recovers
//! from errors, [`edit`] switches single effects off and proves it.
//!
//! ```
//! use sieve_analysis::{Dialect, audit};
//!
//! let script = br#"require "variables"; set "d" "x.example"; redirect "a@${d}";"#;
//! let result = audit(script, &Dialect::ALL, true);
//! let pigeonhole = &result.dialects[&Dialect::Pigeonhole];
//! assert_eq!(pigeonhole.effects[0].targets[0].text(), "a@x.example");
//! ```
//!
//! What a script holds is never trusted and never refused for being strange: any bytes give a tree, what
//! is not understood becomes an effect of kind `unknown`, and everything that could grow has a bound.

pub mod destination;
pub mod edit;
pub mod effects;
pub mod lexer;
pub mod parser;
pub mod span;
pub mod tree;

mod actions;
mod arguments;
mod audit;
mod check;
mod classes;
mod conditions;
mod constant;
mod content;
mod dialect;
mod differences;
mod evaluator;
mod events;
mod expressions;
mod failing;
mod flags;
mod identity;
mod keep;
mod matching;
mod modifiers;
mod outcomes;
mod pigeonhole_address;
mod pigeonhole_mailto;
mod provenance;
mod questions;
mod reference;
mod regular;
mod relation;
#[cfg(feature = "serde")]
mod serialise;
mod store;
mod strings;
mod ui;
mod value;
mod vocabulary;

pub use audit::{
    Analysis, Audit, Mailbox, Script, analyse, analyse_at_event, analyse_mailbox, audit, audit_at_event,
    audit_in, hides_code_behind_carriage_return,
};
pub use dialect::Dialect;
pub use differences::Difference;
pub use effects::{
    ConditionClass, Content, Diagnostic, Effect, EffectKind, Form, LocalCopy, Reach, Role, Severity, Step,
    Target, TimeWindow, UiRule, UiView, Visible,
};
pub use reference::reference_page;
pub use span::{LineIndex, Span};
