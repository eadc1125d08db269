//! The load: so many connections at once, message after message, every answer checked and timed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use mailwarden_e2e::{Envelope, FilterAddress, Mta};
use tokio::task::JoinSet;

use crate::policy::Vendors;

/// What to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// Connections at once.
    pub(crate) at_once: usize,
    pub(crate) recipients: usize,
    /// Many messages over one connection, or one each as Postfix does for one-message sessions.
    pub(crate) reuse: bool,
    pub(crate) tcp: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    latencies: Vec<u32>,
}

impl Measured {
    pub(crate) fn messages(&self) -> usize {
        self.latencies.len()
    }

    /// The latency in microseconds that so many per mille of the messages do not exceed.
    pub(crate) fn per_mille(&self, share: usize) -> f64 {
        let at = (self.latencies.len() * share / 1_000).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).map_or(f64::NAN, |latency| f64::from(*latency))
    }
}

/// Sends for so long; an answer that belongs to another message ends everything.
pub(crate) fn run(
    shape: &Shape,
    address: &FilterAddress,
    vendors: &Arc<Vendors>,
    length: Duration,
) -> Result<Measured> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (number, ready) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Barrier::new(shape.at_once)));
        let mut workers = JoinSet::new();
        for _ in 0..shape.at_once {
            let worker = Worker {
                shape: *shape,
                address: address.clone(),
                vendors: Arc::clone(vendors),
                number: Arc::clone(&number),
                latencies: Vec::new(),
            };
            let ready = Arc::clone(&ready);
            workers.spawn(async move {
                ready.wait().await;
                worker.send_until(Instant::now() + length).await
            });
        }
        let begin = Instant::now();
        let mut latencies = Vec::new();
        while let Some(worker) = workers.join_next().await {
            latencies.extend(worker??);
        }
        let per_second = latencies.len() as f64 / begin.elapsed().as_secs_f64();
        latencies.sort_unstable();
        Ok(Measured { per_second, latencies })
    })
}

struct Worker {
    shape: Shape,
    address: FilterAddress,
    vendors: Arc<Vendors>,
    number: Arc<AtomicUsize>,
    latencies: Vec<u32>,
}

impl Worker {
    async fn send_until(mut self, end: Instant) -> Result<Vec<u32>> {
        let mut kept = None;
        while Instant::now() < end {
            let begin = Instant::now();
            let mut mta = match kept.take() {
                Some(mta) => mta,
                None => self.connect().await?,
            };
            let envelope = self.envelope();
            mta.message(&envelope).await?.belong_to(&envelope)?;
            if self.shape.reuse {
                kept = Some(mta);
            } else {
                mta.quit().await?;
            }
            self.latencies.push(u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        Ok(self.latencies)
    }

    async fn connect(&self) -> Result<Mta> {
        let mut mta = Mta::connect(&self.address).await?;
        mta.greet().await?;
        Ok(mta)
    }

    fn envelope(&self) -> Envelope {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let recipients =
            (0..self.shape.recipients).map(|at| self.vendors.scattered(number * self.shape.recipients + at));
        Envelope { queue_id: format!("Q{number:09}"), recipients: recipients.collect() }
    }
}
