//! One connection: bytes into the session, events to the filter, answers back in one write per read.
//!
//! What an idle connection holds is what matters at thousands of them, so octets are read onto the stack and
//! kept on the heap only while a frame is incomplete, and the clock is one timer that is moved rarely instead
//! of one per read.

use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::{Counters, PeerAddress, Shared, told_to_stop};
use crate::closing::{CloseReason, is_negotiation};
use crate::filter::{Filter, dispatch};
use crate::frame::{Frame, FrameDecoder};
use crate::reply::Reply;
use crate::session::{AnswerError, Event, Session, SessionError};

/// Octets taken from the socket at once.
const READ_OCTETS: usize = 16 * 1024;
/// A reply buffer larger than this is given back once written.
const KEPT_REPLY_OCTETS: usize = 512;

pub(crate) struct Connection<S, F, M> {
    stream: S,
    decoder: FrameDecoder,
    session: Session,
    /// Made once the peer has negotiated: strangers never cost a filter.
    filter: Option<F>,
    replies: Vec<u8>,
    peer: PeerAddress,
    shared: Arc<Shared<M>>,
    _counted: Counted,
}

/// Counts a connection as open for as long as it lives, however it ends.
struct Counted(Arc<Counters>);

impl Counted {
    fn new(counters: &Arc<Counters>) -> Self {
        counters.opened();
        Self(Arc::clone(counters))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.gone();
    }
}

/// What ended a wait.
enum Woken {
    Read(io::Result<usize>),
    Stop,
    Clock,
}

impl<S, F, M> Connection<S, F, M>
where
    S: AsyncRead + AsyncWrite + Unpin,
    M: Fn(&PeerAddress) -> F,
    F: Filter,
{
    pub(crate) fn new(stream: S, peer: PeerAddress, shared: Arc<Shared<M>>) -> Self {
        Self {
            stream,
            decoder: FrameDecoder::new(shared.options.frame_cap),
            session: Session::new(Arc::clone(&shared.wanted), shared.options.macro_limits),
            filter: None,
            replies: Vec::new(),
            peer,
            _counted: Counted::new(&shared.counters),
            shared,
        }
    }

    /// An `async` block uses the connection where it was captured; an `async fn` would hold it twice.
    #[allow(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
    pub(crate) fn run(mut self, mut stop: watch::Receiver<bool>) -> impl Future<Output = ()> {
        async move {
            let why = self.converse(&mut stop).await;
            self.shared.counters.closed(&why);
            self.shared.events.connection_closed(&self.peer, &why);
            if let Some(filter) = &mut self.filter {
                if self.session.message_open() {
                    filter.abort();
                }
                filter.closed(&why);
            }
        }
    }

    async fn converse(&mut self, stop: &mut watch::Receiver<bool>) -> CloseReason {
        let mut stop = pin!(told_to_stop(stop));
        let mut deadline = Instant::now() + self.shared.options.negotiation_timeout;
        let mut clock = pin!(sleep_until(deadline));
        let mut stopping = false;
        loop {
            self.decoder.release();
            match self.wait(stop.as_mut(), stopping, clock.as_mut()).await {
                Woken::Read(Ok(0)) => return self.end_of_input(),
                Woken::Read(Err(error)) => return CloseReason::Io(error),
                Woken::Read(Ok(_)) => match self.take_frames().await {
                    Ok(0) => {}
                    Ok(_) => {
                        deadline = Instant::now() + self.shared.options.idle_timeout;
                        // Only where silence is allowed for less long than negotiating may take.
                        if deadline < clock.deadline() {
                            clock.as_mut().reset(deadline);
                        }
                    }
                    Err(why) => return why,
                },
                Woken::Stop => stopping = true,
                Woken::Clock if Instant::now() >= deadline => return self.out_of_time(),
                Woken::Clock => clock.as_mut().reset(deadline),
            }
            if stopping && !self.session.message_open() {
                return CloseReason::Shutdown;
            }
        }
    }

    async fn wait(
        &mut self,
        mut stop: Pin<&mut impl Future<Output = ()>>,
        stopping: bool,
        mut clock: Pin<&mut Sleep>,
    ) -> Woken {
        poll_fn(|task| {
            if let Poll::Ready(read) = poll_read(&mut self.stream, &mut self.decoder, task) {
                return Poll::Ready(Woken::Read(read));
            }
            if !stopping && stop.as_mut().poll(task).is_ready() {
                return Poll::Ready(Woken::Stop);
            }
            clock.as_mut().poll(task).map(|()| Woken::Clock)
        })
        .await
    }

    /// Handles every complete frame, then writes all replies at once; says how many frames there were.
    async fn take_frames(&mut self) -> Result<usize, CloseReason> {
        if self.session.negotiated().is_none() {
            match is_negotiation(self.decoder.buffered()) {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(garbage) => return Err(CloseReason::Garbage(garbage)),
            }
        }
        // Nearly every message is answered within this; growing to it step by step costs more than any answer.
        self.replies.reserve(KEPT_REPLY_OCTETS);
        let handled = self.handle_frames().await;
        let write_timeout = self.shared.options.write_timeout;
        let written = write_replies(&mut self.stream, &mut self.replies, write_timeout).await;
        let frames = handled?;
        written.map(|()| frames)
    }

    async fn handle_frames(&mut self) -> Result<usize, CloseReason> {
        let Self { stream, decoder, session, filter, replies, peer, shared, .. } = self;
        let mut frames = 0;
        while let Some(frame) = decoder.next_frame().map_err(SessionError::from)? {
            frames += 1;
            let mut side = FilterSide { stream, session, filter, replies, peer, shared };
            side.handle(frame).await?;
            if let (1, Some(agreed)) = (frames, session.negotiated()) {
                decoder.raise_cap(agreed.frame_cap(shared.options.frame_cap));
            }
        }
        Ok(frames)
    }

    fn end_of_input(&self) -> CloseReason {
        let spoke = self.session.negotiated().is_some() || !self.decoder.buffered().is_empty();
        if spoke { CloseReason::PeerClosed } else { CloseReason::Probe }
    }

    fn out_of_time(&self) -> CloseReason {
        match self.session.negotiated() {
            Some(_) => CloseReason::IdleTimeout,
            None => CloseReason::NegotiationTimeout,
        }
    }
}

/// A connection without its decoder, which lends the frame at hand.
struct FilterSide<'c, S, F, M> {
    stream: &'c mut S,
    session: &'c mut Session,
    filter: &'c mut Option<F>,
    replies: &'c mut Vec<u8>,
    peer: &'c PeerAddress,
    shared: &'c Shared<M>,
}

impl<S, F, M> FilterSide<'_, S, F, M>
where
    S: AsyncWrite + Unpin,
    M: Fn(&PeerAddress) -> F,
    F: Filter,
{
    async fn handle(&mut self, frame: Frame<'_>) -> Result<(), CloseReason> {
        let received = self.session.receive(frame, self.replies)?;
        if let (true, Some(filter)) = (received.message_abandoned, self.filter.as_mut()) {
            filter.abort();
        }
        match received.event {
            Event::Handled => Ok(()),
            Event::Quit => Err(CloseReason::Quit),
            Event::Negotiated => {
                self.new_filter();
                Ok(())
            }
            Event::NewConnection => {
                if let Some(filter) = self.filter {
                    filter.closed(&CloseReason::NewConnection);
                }
                self.new_filter();
                Ok(())
            }
            event => self.ask_filter(&event).await,
        }
    }

    fn new_filter(&mut self) {
        *self.filter = Some((self.shared.make_filter)(self.peer));
    }

    async fn ask_filter(&mut self, event: &Event<'_>) -> Result<(), CloseReason> {
        let Some(filter) = self.filter.as_mut() else { return Ok(()) };
        let answered = if matches!(event, Event::EndOfMessage { .. }) {
            self.shared.counters.message_ended();
            let options = &self.shared.options;
            write_replies(self.stream, self.replies, options.write_timeout).await?;
            let decision = pin!(dispatch(filter, self.session, event, self.replies));
            with_progress(self.stream, decision, options.progress_interval, options.write_timeout).await?
        } else {
            dispatch(filter, self.session, event, self.replies).await
        };
        self.check(answered)
    }

    /// An edit that was not negotiated became a temporary refusal; the other mistakes leave an event without
    /// its answer, and the types of the verdicts rule them out.
    fn check(&self, answered: Result<(), AnswerError>) -> Result<(), CloseReason> {
        match answered {
            Ok(()) => Ok(()),
            Err(why @ AnswerError::EditNotNegotiated(_)) => {
                self.shared.counters.answer_replaced();
                self.shared.events.answer_replaced(self.peer, &why);
                Ok(())
            }
            Err(why) => Err(CloseReason::Answer(why)),
        }
    }
}

/// Waits for a decision and tells the MTA from time to time that one is coming. An MTA that has left is
/// noticed by the write that fails.
async fn with_progress<S, D>(
    stream: &mut S,
    mut decision: Pin<&mut D>,
    interval: Duration,
    write_timeout: Duration,
) -> Result<D::Output, CloseReason>
where
    S: AsyncWrite + Unpin,
    D: Future,
{
    if let Poll::Ready(decided) = poll_fn(|task| Poll::Ready(decision.as_mut().poll(task))).await {
        return Ok(decided);
    }
    loop {
        if let Ok(decided) = timeout(interval, decision.as_mut()).await {
            return Ok(decided);
        }
        let mut progress = Vec::new();
        Reply::Progress.encode(&mut progress);
        write_replies(stream, &mut progress, write_timeout).await?;
    }
}

async fn write_replies<S: AsyncWrite + Unpin>(
    stream: &mut S,
    replies: &mut Vec<u8>,
    limit: Duration,
) -> Result<(), CloseReason> {
    if replies.is_empty() {
        return Ok(());
    }
    let mut writing = pin!(stream.write_all(replies));
    // Nearly every write fits the socket's buffer; only one that does not is worth a timer.
    let at_once = poll_fn(|task| Poll::Ready(writing.as_mut().poll(task))).await;
    let written = match at_once {
        Poll::Ready(written) => Ok(written),
        Poll::Pending => timeout(limit, writing).await,
    };
    match written {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(CloseReason::Io(error)),
        Err(_) => return Err(CloseReason::WriteTimeout),
    }
    replies.clear();
    if replies.capacity() > KEPT_REPLY_OCTETS {
        *replies = Vec::new();
    }
    Ok(())
}

fn poll_read<S: AsyncRead + Unpin>(
    stream: &mut S,
    decoder: &mut FrameDecoder,
    task: &mut TaskContext<'_>,
) -> Poll<io::Result<usize>> {
    let mut space = [const { MaybeUninit::uninit() }; READ_OCTETS];
    let mut octets = ReadBuf::uninit(&mut space);
    ready!(Pin::new(stream).poll_read(task, &mut octets))?;
    decoder.feed(octets.filled());
    Poll::Ready(Ok(octets.filled().len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::negotiate::Wanted;

    struct Nothing;
    impl Filter for Nothing {}

    /// The task of a connection is allocated whole and moved when spawned, so its size is what each of
    /// thousands of idle connections costs, and part of what each short one costs.
    #[tokio::test]
    async fn a_connection_task_is_small() {
        let shared = Shared {
            wanted: Arc::new(Wanted::new()),
            make_filter: |_: &PeerAddress| Nothing,
            options: super::super::Options::default(),
            counters: Arc::default(),
            events: Arc::new(()),
        };
        let (_keep, stop) = watch::channel(false);
        let (ours, _theirs) = tokio::net::UnixStream::pair().unwrap();
        let connection = Connection::new(ours, PeerAddress::Unix, Arc::new(shared));
        let held = size_of_val(&connection);
        let task = size_of_val(&connection.run(stop));
        assert!(task <= 2_048, "{task} octets, {held} of them held");
    }
}
