//! What can be reached, and what leads there.

use serde::Serialize;

/// A node of the access graph. Two spellings of one thing are one node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Node {
    /// Mail to an address: in lower case, or a local name without a domain.
    Address {
        /// The address.
        value: String,
    },
    /// Mail from an address.
    Sender {
        /// The address.
        value: String,
    },
    /// All mail that passes the server.
    AllMail,
    /// A mailbox on the server.
    Mailbox {
        /// Its login.
        value: String,
    },
    /// Somebody who is logged in.
    Login {
        /// The login.
        value: String,
    },
    /// A person of the policy.
    Person {
        /// Their name.
        value: String,
        /// Their first address, which tells people of one name apart.
        known_as: String,
    },
    /// A group whose members are kept outside the mailbox.
    Group {
        /// Its name.
        value: String,
    },
    /// Whoever connects.
    Anyone,
    /// Whoever is logged in.
    Everyone,
    /// A Sieve script.
    Script {
        /// The mailbox that holds it.
        mailbox: String,
        /// Its name.
        value: String,
    },
    /// A row of a Postfix table, or a parameter.
    MapEntry {
        /// The parameter, table and line.
        value: String,
        /// Its key.
        key: String,
    },
    /// A program that gets messages.
    Program {
        /// The command.
        value: String,
    },
    /// A file that gets messages, or names further recipients.
    File {
        /// The path.
        value: String,
    },
    /// Recipients that are made up when a message comes.
    Computed {
        /// As it stands in the rule.
        value: String,
    },
}

impl Node {
    pub(super) fn address(text: &str) -> Self {
        Self::Address { value: text.trim().to_lowercase() }
    }

    pub(super) fn mailbox(text: &str) -> Self {
        Self::Mailbox { value: text.to_lowercase() }
    }

    pub(super) fn login(text: &str) -> Self {
        Self::Login { value: text.to_lowercase() }
    }

    /// The node in a path.
    pub fn text(&self) -> String {
        match self {
            Self::Address { value } | Self::Mailbox { value } | Self::Login { value } => value.clone(),
            Self::Sender { value } => format!("mail from {value}"),
            Self::AllMail => "all mail".to_owned(),
            Self::Person { value, .. } => value.clone(),
            Self::Group { value } => format!("group \"{value}\""),
            Self::Anyone => "anyone who connects".to_owned(),
            Self::Everyone => "everyone who can log in".to_owned(),
            Self::Script { value, .. } => format!("Sieve script \"{value}\""),
            Self::MapEntry { value, .. } => value.clone(),
            Self::Program { value } => format!("program {value}"),
            Self::File { value } => format!("file {value}"),
            Self::Computed { value } => format!("an address made up at delivery: {value}"),
        }
    }

    /// Whether a path names it only by the link that leads on.
    pub(super) fn is_between(&self) -> bool {
        matches!(self, Self::Script { .. } | Self::MapEntry { .. })
    }

    /// Whether somebody or something gains here, whatever leads on.
    pub(super) fn is_end(&self) -> bool {
        !matches!(
            self,
            Self::Address { .. }
                | Self::Sender { .. }
                | Self::AllMail
                | Self::Script { .. }
                | Self::MapEntry { .. }
        )
    }

    /// Whether it is something that can be read, received, sent as or logged in as.
    pub(super) fn is_asset(&self) -> bool {
        matches!(
            self,
            Self::Address { .. }
                | Self::Sender { .. }
                | Self::AllMail
                | Self::Mailbox { .. }
                | Self::Login { .. }
        )
    }
}
