//! Talking to one server in a task of its own.

use tokio::task::JoinSet;

use crate::{CollectError, Credentials, Dialer};

/// Runs `talk` so that a panic in a library on bytes of the server ends this connection only.
///
/// # Errors
/// Those of `talk`; [`CollectError::PeerMisbehaved`] after a panic.
pub(crate) async fn apart<T, F>(
    (dialer, credentials, mailbox): (&Dialer, &Credentials, &str),
    doing: &str,
    talk: impl FnOnce(Dialer, Credentials, String) -> F,
) -> Result<T, CollectError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, CollectError>> + Send + 'static,
{
    // A set aborts its task when it is dropped, so a deadline around this call ends the connection too.
    let mut task = JoinSet::new();
    task.spawn(talk(dialer.clone(), credentials.clone(), mailbox.to_owned()));
    match task.join_next().await {
        Some(Ok(told)) => told,
        _ => Err(CollectError::misbehaved(dialer.label(), doing, "the answers made the reader fail")),
    }
}
