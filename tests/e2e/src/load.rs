//! Mail in numbers, from several strangers at once, and what became of each message.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use mailwarden_lab::smtp::Smtp;
use mailwarden_lab::wait::wait_until;
use mailwarden_lab::{LabError, OUTSIDE_ADDRESS, OUTSIDE_NAME};

use crate::letters::letter;

const SENDER: &str = "news@vendor.test";
/// No outage of a test lasts longer.
const OUTAGE: Duration = Duration::from_secs(120);
/// Messages of one session, as a mail server with a queue would send them.
const PER_SESSION: usize = 5;

/// What a client was told about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// 250 at the end: the message is the server's now, with this queue id.
    Accepted(String),
    /// Refused, by this code.
    Refused(u16),
    /// Nothing, or a session that broke off: the client would try again.
    Nothing,
}

/// One message of the load.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its subject, which no other message has.
    pub subject: String,
    /// Its one recipient.
    pub recipient: String,
    /// What the client was told.
    pub told: Told,
    /// How long that took, connecting included where it came first.
    pub took: Duration,
}

/// Strangers who send until they are stopped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    sent: Arc<Mutex<Vec<Sent>>>,
    senders: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts `senders` strangers who write to `recipients` in turn.
    #[must_use]
    pub fn start(port: u16, senders: usize, recipients: &[&str]) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicUsize::new(0));
        let sent = Arc::new(Mutex::new(Vec::new()));
        let recipients: Arc<[String]> = recipients.iter().map(|one| (*one).to_owned()).collect();
        let begin = |number| {
            let sender = Sender { number, port, recipients: Arc::clone(&recipients), written: 0 };
            let (stop, accepted, sent) = (Arc::clone(&stop), Arc::clone(&accepted), Arc::clone(&sent));
            std::thread::spawn(move || sender.send_until(&stop, &accepted, &sent))
        };
        let senders = (0..senders).map(begin).collect();
        Load { stop, accepted, sent, senders }
    }

    /// Messages accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Stops the senders after the message at hand and hands over what became of all.
    ///
    /// # Errors
    /// When a sender panicked.
    pub fn stop(mut self) -> Result<Vec<Sent>> {
        self.stop.store(true, Ordering::Relaxed);
        for sender in self.senders.drain(..) {
            sender.join().map_err(|_| anyhow!("a sender panicked"))?;
        }
        Ok(std::mem::take(&mut *self.sent.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Sender {
    number: usize,
    port: u16,
    recipients: Arc<[String]>,
    written: usize,
}

impl Sender {
    fn send_until(mut self, stop: &AtomicBool, accepted: &AtomicUsize, sent: &Mutex<Vec<Sent>>) {
        while !stop.load(Ordering::Relaxed) {
            let begin = Instant::now();
            let Some(mut session) = self.connect(stop) else { return };
            let mut begin = Some(begin);
            for _ in 0..PER_SESSION {
                let message = self.write(&mut session, begin.take().unwrap_or_else(Instant::now));
                let is_accepted = matches!(message.told, Told::Accepted(_));
                accepted.fetch_add(usize::from(is_accepted), Ordering::Relaxed);
                let broke_off = message.told == Told::Nothing;
                sent.lock().unwrap_or_else(PoisonError::into_inner).push(message);
                if broke_off || stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
    }

    /// Tries until somebody listens, as a client with a queue does; nothing when it is told to stop
    /// meanwhile.
    fn connect(&self, stop: &AtomicBool) -> Option<Smtp> {
        let attempt = || match Smtp::from_outside(self.port, OUTSIDE_ADDRESS, OUTSIDE_NAME) {
            Ok(session) => Some(Some(session)),
            Err(_) => stop.load(Ordering::Relaxed).then_some(None),
        };
        wait_until(OUTAGE, "somebody who takes mail", attempt).ok().flatten()
    }

    fn write(&mut self, session: &mut Smtp, begin: Instant) -> Sent {
        let subject = format!("load {}-{}", self.number, self.written);
        let recipient = self.recipients[(self.number + self.written) % self.recipients.len()].clone();
        self.written += 1;
        let outcome = session.send(SENDER, &[&recipient], letter(SENDER, &subject));
        Sent { subject, recipient, told: told(outcome), took: begin.elapsed() }
    }
}

fn told(outcome: Result<mailwarden_lab::smtp::Outcome, LabError>) -> Told {
    let Ok(outcome) = outcome else { return Told::Nothing };
    match (outcome.queue_id(), outcome.refusal()) {
        (Some(id), None) => Told::Accepted(id),
        // 421 and the 451 of a dead gate: the session is of no use any more.
        (_, Some(refusal)) if refusal.is_temporary() => Told::Nothing,
        (_, Some(refusal)) => Told::Refused(refusal.code),
        (None, None) => Told::Nothing,
    }
}
