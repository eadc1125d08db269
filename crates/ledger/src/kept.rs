//! The connection that a store writes on. It stays with the store: giving it back to the pool and asking whether it is
//! there are journeys, and what SQLite has in its cache is read anew where another connection has written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Connection, Database, Pool};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// How long a connection may have been idle and still be used without asking whether it is there.
const SURELY_THERE: Duration = Duration::from_secs(1);

/// How long it may take to answer that.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

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
        if let Some((mut connection, used)) = slot.take() {
            if used.elapsed() < SURELY_THERE || is_there::<D>(&mut connection).await {
                return Ok(InUse { connection: Some(connection), slot });
            }
            // Not back to the pool, which would ask it once more.
            drop(connection.detach());
        }
        Ok(InUse { connection: Some(pool.acquire().await?), slot })
    }

    /// Gives it back to its pool, before that is closed.
    pub(crate) async fn let_go(&self) {
        drop(self.0.lock().await.take());
    }
}

/// Silence is no answer: a firewall may have forgotten the connection.
async fn is_there<D: Database>(connection: &mut D::Connection) -> bool {
    tokio::time::timeout(ANSWER_LIMIT, connection.ping()).await.is_ok_and(|answer| answer.is_ok())
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

#[cfg(test)]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
    use sqlx::{Sqlite, raw_sql};

    use super::*;

    /// Only the connection that made it sees it.
    const MINE: &str = "SELECT * FROM mine";

    #[tokio::test]
    async fn a_connection_is_kept_unless_its_user_stopped_half_way() {
        let directory = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(directory.path().join("kept.db"));
        let pool = SqlitePool::connect_with(options.create_if_missing(true)).await.unwrap();
        let kept = Kept::<Sqlite>::default();
        let mut first = kept.take(&pool).await.unwrap();
        let tables = "CREATE TEMP TABLE mine (x); CREATE TABLE ours (x)";
        raw_sql(tables).execute(first.connection().unwrap()).await.unwrap();
        first.keep();

        let mut again = kept.take(&pool).await.unwrap();
        raw_sql(MINE).execute(again.connection().unwrap()).await.unwrap();
        again.keep();
        // Idle for so long that it is asked whether it is there.
        kept.0.lock().await.as_mut().unwrap().1 -= SURELY_THERE;
        let mut midway = kept.take(&pool).await.unwrap();
        raw_sql(MINE).execute(midway.connection().unwrap()).await.unwrap();
        let half = "BEGIN IMMEDIATE; INSERT INTO ours VALUES (1)";
        raw_sql(half).execute(midway.connection().unwrap()).await.unwrap();
        drop(midway);

        let mut other = kept.take(&pool).await.unwrap();
        assert!(raw_sql(MINE).execute(other.connection().unwrap()).await.is_err());
        raw_sql("BEGIN IMMEDIATE; COMMIT").execute(other.connection().unwrap()).await.unwrap();
        let ours =
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM ours").fetch_one(other.connection().unwrap());
        assert_eq!(ours.await.unwrap(), 0);
        other.keep();
        kept.let_go().await;
        pool.close().await;
    }
}
