//! What goes wrong when a panel's database is asked.

/// Whose fault it is, what was being done, what to do next.
#[derive(Debug, thiserror::Error)]
pub enum PanelError {
    /// The configuration names something that is not there.
    #[error("{0}")]
    Configuration(String),
    /// The database could not be reached, or broke off.
    #[error("{panel}: {doing}: {cause}; check the address and that the database runs")]
    Unreachable {
        /// The panel as it is configured.
        panel: String,
        /// What was being done.
        doing: String,
        /// The driver's words.
        cause: String,
    },
    /// The database refused.
    #[error("{panel}: {doing}: {cause}; grant the user SELECT on the panel's tables and nothing else")]
    Denied {
        /// The panel as it is configured.
        panel: String,
        /// What was being done.
        doing: String,
        /// The database's words.
        cause: String,
    },
}
