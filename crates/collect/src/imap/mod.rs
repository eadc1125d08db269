//! IMAP: folder grants and annotations.
//!
//! async-imap drives the connection: tags, AUTHENTICATE, STARTTLS, matching of completions. It never sees
//! what a server says in between, because its parser (imap-proto 0.17) closes the connection at every line
//! outside its grammar (NAMESPACE, METADATA with an unquoted folder, ESEARCH), panics on `[CODE]` followed
//! by a byte that is not ASCII, and exhausts the stack on nested parentheses. `guard` stands before it:
//! it frames what arrives, hands async-imap only completions rebuilt from their tag and status, and keeps
//! everything else for `wire`, which reads the few answers the rounds need without recursion and without
//! leaving raw bytes behind.

mod collect;
mod guard;
mod lexer;
mod login;
pub(crate) mod mutf7;
mod session;
mod wire;

pub use collect::{METADATA_ENTRY, SURFACES, collect, try_login};
pub use session::FolderStore;
