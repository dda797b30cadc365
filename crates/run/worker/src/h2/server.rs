//! The server's end of an HTTP/2 connection: takes requests in, each with a task of its own, and moves
//! the frames of all.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use dragoman_codec::h2::{Arrival, Code, Endpoint, Fault, Side};
use dragoman_codec::{Framing, Limits, Request};
use dragoman_net::Deadline;
use dragoman_types::{Connection, Moment, Version};

use super::carrier::{self, Carrier, Over};
use super::hands::Hands;
use super::keepalive::Asking;
use super::options;
use super::stream::ServerStream;
use crate::context::{Scratch, Worker};
use crate::downstream::Downstream;
use crate::exchange::{After, Exchange, too_large};
use crate::manager::{Manager, WorkerListener};

/// A connection without a request for so long gives back what only requests need.
const SETTLE: Duration = Duration::from_millis(20);

/// What a connection's task and its requests' share.
pub(crate) struct Link {
    pub(crate) worker: Rc<Worker>,
    pub(crate) listener: Rc<WorkerListener>,
    pub(crate) manager: Rc<Manager>,
    pub(crate) connection: Connection,
    pub(crate) end: Rc<RefCell<Endpoint>>,
    active: Cell<u32>,
    /// The last request's end, or the connection's beginning.
    idle_since: Cell<Moment>,
    /// A request asked for the connection's end.
    leave: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    hands: Hands<Job>,
}

/// A request that somebody is to serve.
type Job = (Arrived, ServerStream, InStream);

/// What came of its head.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrived {
    Whole,
    TooLarge,
    /// Envoy's name for the fault.
    Malformed(&'static str),
}

impl Link {
    pub(crate) fn new(
        (worker, listener, manager): (&Rc<Worker>, &Rc<WorkerListener>, &Rc<Manager>),
        connection: Connection,
    ) -> Rc<Link> {
        let config = &manager.shared.config;
        let limits = Limits {
            head_bytes: config.limits.max_request_headers_bytes,
            fields: config.limits.max_headers_count,
        };
        let options = options(&config.http2, limits);
        let end = Endpoint::new(Side::Server, options, worker.clock.now());
        Rc::new(Link {
            worker: worker.clone(),
            listener: listener.clone(),
            manager: manager.clone(),
            idle_since: Cell::new(connection.accepted_at),
            connection,
            end: Rc::new(RefCell::new(end)),
            active: Cell::new(0),
            leave: Cell::new(false),
            waker: RefCell::new(None),
            hands: Hands::default(),
        })
    }

    /// Requests that are being served.
    pub(crate) fn active(&self) -> u32 {
        self.active.get()
    }

    /// Asks the connection to end once its requests are served.
    fn leave(&self) {
        self.leave.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// Everything was served, and the peers agreed.
    Orderly,
    /// The client ended it, or its transport failed.
    ByClient,
    /// The client broke the protocol, or sent too much that is of no use.
    Protocol(Fault),
    /// The fields of a request didn't come in time.
    HeadLate,
    /// The client answered no PING.
    NoAnswer,
    /// `idle_timeout` or `max_connection_duration`, for which a client got its time.
    OwnLimit,
}

/// One connection's task.
struct Serving<'a> {
    link: &'a Rc<Link>,
    carrier: &'a mut Carrier,
    asking: Option<Asking>,
    requests: u64,
    /// GOAWAY was sent; since when.
    leaving: Option<Moment>,
    /// What made it leave was a limit of the connection's own.
    own_limit: bool,
}

/// Serves a connection until it ends.
pub(crate) async fn serve_connection(
    link: &Rc<Link>,
    carrier: &mut Carrier,
    deadline: &mut Deadline,
) -> Ended {
    let asking = Asking::new(&link.worker, link.manager.shared.config.http2.keepalive);
    let mut serving =
        Serving { link, carrier, asking, requests: 0, leaving: None, own_limit: false };
    std::future::poll_fn(|cx| {
        link.worker.clock.read();
        let ended = serving.poll(cx, deadline);
        let (read, written) = serving.carrier.uncounted();
        link.manager.stats.downstream_cx_rx_bytes_total.add(read);
        link.manager.stats.downstream_cx_tx_bytes_total.add(written);
        carrier::count(&link.end, &link.manager.http2);
        ended
    })
    .await
}

/// However the connection ends, nobody waits for its requests any more.
impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.link.end.borrow_mut().close();
        self.link.hands.close();
    }
}

impl Serving<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, deadline: &mut Deadline) -> Poll<Ended> {
        let link = self.link;
        loop {
            if link.leave.get() && self.leaving.is_none() {
                self.leaving = Some(link.worker.clock.now());
                link.end.borrow_mut().leave();
            }
            let over = self.carrier.poll(cx);
            loop {
                let arrival = link.end.borrow_mut().accept();
                let Some(arrival) = arrival else { break };
                self.accept(arrival);
            }
            match over {
                Poll::Ready(Over::Fault(fault)) => return Poll::Ready(Ended::Protocol(fault)),
                Poll::Ready(Over::ByPeer) => return Poll::Ready(Ended::ByClient),
                Poll::Pending if self.has_left() => {
                    return Poll::Ready(match self.own_limit {
                        true => Ended::OwnLimit,
                        false => Ended::Orderly,
                    });
                }
                Poll::Pending if link.leave.get() && self.leaving.is_none() => {}
                Poll::Pending => return self.poll_limits(cx, deadline),
            }
        }
    }

    /// The client knows that it's over, and has all that was to go to it.
    fn has_left(&self) -> bool {
        let end = self.link.end.borrow();
        end.has_left() && end.output().is_empty()
    }

    fn accept(&mut self, arrival: Arrival) {
        let link = self.link;
        let (arrived, key) = match arrival {
            Arrival::Request(key) => (Arrived::Whole, key),
            Arrival::TooLarge(key) => (Arrived::TooLarge, key),
            Arrival::Malformed(key, why) => (Arrived::Malformed(why), key),
        };
        self.requests += 1;
        let max = link.manager.shared.config.limits.max_requests_per_connection;
        if max.is_some_and(|max| self.requests >= u64::from(max)) && !link.leave.get() {
            link.manager.stats.downstream_cx_max_requests_reached.inc();
            link.leave.set(true);
        }
        let job = (arrived, ServerStream::new(&link.end, key), InStream::new(link));
        if let Err(job) = link.hands.give(job) {
            // A panic ends the request alone: its task is the boundary.
            link.worker.reactor.spawn(serve_streams(link.clone(), job));
        }
    }

    /// Requests are served, or answers are on their way.
    fn is_busy(&self) -> bool {
        self.link.active() > 0 || self.link.end.borrow().streams() > 0
    }

    /// The connection's own limits: once one has passed, the client is told and gets a while.
    fn poll_limits(&mut self, cx: &mut Context<'_>, deadline: &mut Deadline) -> Poll<Ended> {
        let link = self.link;
        *link.waker.borrow_mut() = Some(cx.waker().clone());
        if self.asking.as_mut().is_some_and(|asking| asking.poll(cx, &link.end).is_ready()) {
            link.manager.http2.keepalive_timeout.inc();
            return Poll::Ready(Ended::NoAnswer);
        }
        loop {
            // One timer for all.
            let first = self.limits().into_iter().flatten().min();
            let Some((at, limit)) = first else { return Poll::Pending };
            std::task::ready!(deadline.poll_at(cx, Some(at)));
            let own = if self.own_limit { Ended::OwnLimit } else { Ended::Orderly };
            match limit {
                Limit::Fields => {
                    link.manager.stats.downstream_rq_header_timeout.inc();
                    return Poll::Ready(Ended::HeadLate);
                }
                Limit::Drain => return Poll::Ready(own),
                Limit::Tell => {
                    link.end.borrow_mut().tell();
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Limit::Settle => {
                    link.hands.dismiss();
                    link.end.borrow_mut().settle();
                }
                Limit::Flush(limit) => {
                    let now = link.worker.clock.now();
                    let late = link.end.borrow_mut().give_up_flushing(now, limit);
                    link.manager.http2.tx_flush_timeout.add(late);
                }
                Limit::Own if self.requests == 0 => return Poll::Ready(Ended::OwnLimit),
                Limit::Own => {
                    self.own_limit = true;
                    link.leave.set(true);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }

    /// What limits the connection now, and when it has passed.
    fn limits(&self) -> [Option<(Moment, Limit)>; 4] {
        let link = self.link;
        let timeouts = &link.manager.shared.config.timeouts;
        // Fields that don't come whole hold up all other frames, so they end the connection.
        let patience = timeouts.request_headers.into_iter().chain(timeouts.stream_idle).min();
        let fields = link.end.borrow().fields_since().zip(patience);
        let now = link.worker.clock.now();
        let flushing = link.end.borrow_mut().flushing_since(now).zip(timeouts.stream_flush);
        let idle_since = link.idle_since.get();
        let (own, settle) = match self.leaving {
            Some(since) if !link.end.borrow().has_told() => {
                (Some((since.after(timeouts.drain), Limit::Tell)), None)
            }
            Some(_) if self.is_busy() => (None, None),
            Some(since) => {
                (Some((since.max(idle_since).after(timeouts.drain), Limit::Drain)), None)
            }
            None => {
                let age = timeouts.max_connection.map(|t| link.connection.accepted_at.after(t));
                let idle = timeouts.connection_idle.map(|t| idle_since.after(t));
                let idle = idle.filter(|_| !self.is_busy());
                let own = age.into_iter().chain(idle).min().map(|at| (at, Limit::Own));
                let unsettled = !self.is_busy() && !link.hands.is_empty();
                (own, unsettled.then(|| (idle_since.after(SETTLE), Limit::Settle)))
            }
        };
        [
            fields.map(|(since, patience)| (since.after(patience), Limit::Fields)),
            flushing.map(|(since, limit)| (since.after(limit), Limit::Flush(limit))),
            own,
            settle,
        ]
    }
}

/// A limit of a connection that has passed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Limit {
    Fields,
    /// The client was told of the end, and hasn't answered.
    Tell,
    /// It knows which of its requests are served, and had its time.
    Drain,
    /// Nothing was asked for a while.
    Settle,
    /// Answers are taken too slowly.
    Flush(Duration),
    /// The connection's own idle time, or its age.
    Own,
}

/// A request that its connection knows of until it is over.
struct InStream(Rc<Link>);

impl InStream {
    fn new(link: &Rc<Link>) -> InStream {
        link.active.set(link.active.get() + 1);
        link.manager.http2.streams_active.inc();
        InStream(link.clone())
    }
}

impl Drop for InStream {
    fn drop(&mut self) {
        let link = &self.0;
        link.active.set(link.active.get() - 1);
        link.manager.http2.streams_active.dec();
        if link.active.get() == 0 {
            link.idle_since.set(link.worker.clock.now());
            link.wake();
        }
    }
}

/// Requests, one after the other, for as long as there is one.
async fn serve_streams(link: Rc<Link>, first: Job) {
    let worker = &link.worker;
    let mut deadline = worker.reactor.deadline();
    let mut next = Some(first);
    while let Some((arrived, mut stream, within)) = next {
        let mut x = worker.take_scratch();
        let after = exchange(&link, arrived, &mut stream, &mut deadline, &mut x).await;
        worker.give_scratch(x);
        match after {
            After::Close => link.leave(),
            After::Cut => stream.reset(Code::INTERNAL_ERROR),
            After::Keep | After::Gone => {}
        }
        drop(stream);
        drop(within);
        next = link.hands.next().await;
    }
}

async fn exchange(
    link: &Link,
    arrived: Arrived,
    stream: &mut ServerStream,
    deadline: &mut Deadline,
    x: &mut Scratch,
) -> After {
    let start = link.worker.clock.now();
    x.request.clear();
    x.request.version = Version::Http2;
    let incoming = stream.take_head(&mut x.request).unwrap_or(NOTHING);
    let mut exchange = Exchange::new(
        &link.worker,
        (&link.listener, &link.manager),
        &link.connection,
        (Downstream::Http2(stream), deadline),
        x,
        incoming,
        start,
    );
    match arrived {
        Arrived::Whole => return exchange.serve().await,
        Arrived::TooLarge => exchange.refuse(too_large()).await,
        Arrived::Malformed(why) => exchange.break_off(why),
    }
    After::Keep
}

/// What is known of a head that can't be read.
const NOTHING: Request = Request {
    consumed: 0,
    framing: Framing::None,
    keep_alive: true,
    expect_continue: false,
    upgrade: false,
    field_bytes: 0,
};
