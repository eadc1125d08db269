//! The sums of refusals in the database, and their way into the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::append::{Appending, Receipt};
use crate::error::LedgerError;
use crate::event::Draft;
use crate::refusals::{Hour, MAX_OBJECTS_PER_HOUR, OTHER, RefusalSum, hour_event, hour_start};
use crate::store::{Access, Store, Transaction, read_all};

/// How long sums stay in their table after they were entered into the ledger: a quarter.
const REFUSAL_SUMS_KEPT_HOURS: Hour = 92 * 24;
/// The most hours entered in one transaction; the rest follow with the next.
const HOURS_PER_TRANSACTION: i64 = 48;

/// A count of refusals: hour, rule, object, how many.
pub(crate) type Count = (Hour, String, String, u64);

/// Adds to the sums of refusals.
pub(crate) async fn add(store: &Arc<dyn Store>, counts: &[Count]) -> Result<(), LedgerError> {
    let doing = "adding refusals to";
    // The right edge is the lock for everything that is written: here it guards the limit of objects.
    let mut appending = Appending::begin(store, doing).await?;
    let counts = limited(store.as_ref(), appending.transaction.as_mut(), counts).await?;
    let dialect = store.dialect();
    let sql = format!(
        "INSERT INTO refusal_sums (hour, rule, object, refusals)
         SELECT {}, value ->> 1, value ->> 2, {} FROM {} WHERE true
         ON CONFLICT (hour, rule, object)
         DO UPDATE SET refusals = refusal_sums.refusals + excluded.refusals",
        dialect.integer_at(0),
        dialect.integer_at(3),
        dialect.elements
    );
    appending.transaction.execute(doing, &sql, vec![counts.to_string().into()]).await?;
    appending.commit(doing).await.map(drop)
}

/// The limit of objects is kept here once more, because every process counts only its own.
async fn limited(
    store: &dyn Store,
    transaction: &mut dyn Transaction,
    counts: &[Count],
) -> Result<Value, LedgerError> {
    let mut known: BTreeMap<Hour, BTreeSet<(String, String)>> = BTreeMap::new();
    let mut sums: BTreeMap<(Hour, String, String), u64> = BTreeMap::new();
    for (hour, rule, object, count) in counts {
        if !known.contains_key(hour) {
            known.insert(*hour, objects(store, transaction, *hour).await?);
        }
        let named = known.entry(*hour).or_default();
        let pair = (rule.clone(), object.clone());
        let has_room = named.contains(&pair) || named.len() < MAX_OBJECTS_PER_HOUR;
        let object = if has_room { object.as_str() } else { OTHER };
        named.insert((rule.clone(), object.to_owned()));
        *sums.entry((*hour, rule.clone(), object.to_owned())).or_default() += count;
    }
    Ok(sums.into_iter().map(|((hour, rule, object), count)| json!([hour, rule, object, count])).collect())
}

async fn objects(
    store: &dyn Store,
    transaction: &mut dyn Transaction,
    hour: Hour,
) -> Result<BTreeSet<(String, String)>, LedgerError> {
    let sql = "SELECT rule, object FROM refusal_sums WHERE hour = $1";
    let rows = transaction.fetch("reading the refusals from", sql, vec![hour.into()]).await?;
    let names = read_all(store, rows, |mut row| Some((row.text()?, row.text()?)))?;
    Ok(names.into_iter().collect())
}

/// Appends one event for each hour before `open` with refusals not yet in the ledger.
pub(crate) async fn close_hours(store: &Arc<dyn Store>, open: Hour) -> Result<Vec<Receipt>, LedgerError> {
    let doing = "entering the refusals of past hours into";
    let mut appending = Appending::begin(store, doing).await?;
    let sql = "SELECT DISTINCT hour FROM refusal_sums WHERE hour < $1 AND refusals > entered
               ORDER BY hour LIMIT $2";
    let arguments = vec![open.into(), HOURS_PER_TRANSACTION.into()];
    let rows = appending.transaction.fetch(doing, sql, arguments).await?;
    let mut receipts = Vec::new();
    for hour in read_all(store.as_ref(), rows, |mut row| row.integer())? {
        receipts.extend(enter_hour(store.as_ref(), &mut appending, hour).await?);
    }
    let sql = "DELETE FROM refusal_sums WHERE hour < $1 AND refusals = entered";
    appending.transaction.execute(doing, sql, vec![(open - REFUSAL_SUMS_KEPT_HOURS).into()]).await?;
    appending.commit(doing).await?;
    Ok(receipts)
}

async fn enter_hour(
    store: &dyn Store,
    appending: &mut Appending,
    hour: Hour,
) -> Result<Vec<Receipt>, LedgerError> {
    let doing = "entering the refusals of an hour into";
    let sql = "SELECT rule, object, refusals - entered FROM refusal_sums
               WHERE hour = $1 AND refusals > entered ORDER BY rule, object";
    let rows = appending.transaction.fetch(doing, sql, vec![hour.into()]).await?;
    let sums = read_all(store, rows, |mut row| Some((row.text()?, row.text()?, row.number()?)))?;
    let receipts = appending.append(&[Draft::new(&hour_event(hour, &sums))?]).await?;
    let sql = "UPDATE refusal_sums SET entered = refusals WHERE hour = $1";
    appending.transaction.execute(doing, sql, vec![hour.into()]).await?;
    Ok(receipts)
}

/// The sums of refusals from an hour on.
pub(crate) async fn since(store: &dyn Store, since: Hour) -> Result<Vec<RefusalSum>, LedgerError> {
    let doing = "reading the refusals from";
    let mut transaction = store.begin(doing, Access::Reading).await?;
    let sql = "SELECT hour, rule, object, refusals FROM refusal_sums WHERE hour >= $1
               ORDER BY hour, rule, object";
    let rows = transaction.fetch(doing, sql, vec![since.into()]).await?;
    read_all(store, rows, |mut row| {
        let hour = hour_start(row.integer()?);
        Some(RefusalSum { hour, rule: row.text()?, object: row.text()?, count: row.number()? })
    })
}
