//! The connection that a store writes on. It stays with the store: giving it back to the pool and asking whether it is
//! there are journeys, and what SQLite has in its cache is read anew where another connection has written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Connection, Database, Pool};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// How long a connection may have been idle and still be used without asking whether it is there.
const SURELY_THERE: Duration = Duration::from_secs(1);

type Slot<D> = Option<(PoolConnection<D>, Instant)>;

/// A connection that is used by one after the other.
#[derive(Debug)]
pub(crate) struct Kept<D: Database>(Arc<Mutex<Slot<D>>>);

impl<D: Database> Clone for Kept<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Database> Default for Kept<D> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<D: Database> Kept<D> {
    /// Waits until nobody else uses it; one that is gone is replaced.
    pub(crate) async fn take(&self, pool: &Pool<D>) -> Result<InUse<D>, sqlx::Error> {
        let mut slot = Arc::clone(&self.0).lock_owned().await;
        if let Some((mut connection, used)) = slot.take()
            && (used.elapsed() < SURELY_THERE || connection.ping().await.is_ok())
        {
            return Ok(InUse { connection: Some(connection), slot });
        }
        Ok(InUse { connection: Some(pool.acquire().await?), slot })
    }

    /// Gives it back to its pool, before that is closed.
    pub(crate) async fn let_go(&self) {
        drop(self.0.lock().await.take());
    }
}

/// The connection, for one user. It ends with the use, and all that was not committed with it, unless it is kept: so
/// does that of somebody who stops waiting half-way.
pub(crate) struct InUse<D: Database> {
    connection: Option<PoolConnection<D>>,
    slot: OwnedMutexGuard<Slot<D>>,
}

impl<D: Database> InUse<D> {
    /// The connection, fit for the next user.
    pub(crate) fn keep(mut self) {
        *self.slot = self.connection.take().map(|connection| (connection, Instant::now()));
    }

    /// None after its end, which nobody sees.
    pub(crate) fn connection(&mut self) -> Result<&mut D::Connection, sqlx::Error> {
        self.connection.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }
}

impl<D: Database> Drop for InUse<D> {
    fn drop(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
    }
}
