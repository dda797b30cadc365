//! The server's end of an HTTP/2 connection: takes requests in, each with a task of its own, and moves
//! the frames of all.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use dragoman_codec::h2::head::BadHead;
use dragoman_codec::h2::{Flood, Guard, GuardLimits, head};
use dragoman_codec::{Limits, Request};
use dragoman_net::Deadline;
use dragoman_types::{Connection, Moment, RequestHead};
use h2::server::{Builder, Handshake, SendResponse};
use h2::{Reason, RecvStream};

use super::hands::Hands;
use super::io::{Io, Watch};
use super::keepalive::Asking;
use super::stream::ServerStream;
use crate::context::{Scratch, Worker};
use crate::downstream::Downstream;
use crate::exchange::{After, Exchange, too_large};
use crate::manager::{Manager, WorkerListener};
use crate::stream::Source;

/// Response bytes that one stream may keep until the socket takes them.
const SEND_BUFFER: usize = 128 << 10;

/// A connection without a request for so long gives back what only requests need.
const SETTLE: Duration = Duration::from_millis(20);

/// Streams that a client reset, of which frames may still be on their way.
const RESET_STREAMS: usize = 256;

/// What a connection's task and its requests' share.
pub(crate) struct Link {
    pub(crate) worker: Rc<Worker>,
    pub(crate) listener: Rc<WorkerListener>,
    pub(crate) manager: Rc<Manager>,
    pub(crate) connection: Connection,
    pub(crate) watch: Rc<Watch>,
    active: Cell<u32>,
    /// The last request's end, or the connection's beginning.
    idle_since: Cell<Moment>,
    /// A request asked for the connection's end.
    leave: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    hands: Hands<Job>,
}

/// A request that somebody is to serve.
type Job = (http::Request<RecvStream>, SendResponse<Bytes>, InStream);

impl Link {
    pub(crate) fn new(
        (worker, listener, manager): (&Rc<Worker>, &Rc<WorkerListener>, &Rc<Manager>),
        connection: Connection,
    ) -> Rc<Link> {
        let options = &manager.shared.config.http2;
        let limits = GuardLimits {
            empty_frames: options.max_consecutive_inbound_frames_with_empty_payload,
            priority_per_stream: options.max_inbound_priority_frames_per_stream,
            window_updates_per_data: options.max_inbound_window_update_frames_per_data_frame_sent,
            ..GuardLimits::default()
        };
        let guard = Guard::new(limits, worker.clock.now());
        let preface = (dragoman_codec::h2::PREFACE.len(), 0);
        Rc::new(Link {
            worker: worker.clone(),
            listener: listener.clone(),
            manager: manager.clone(),
            idle_since: Cell::new(connection.accepted_at),
            connection,
            watch: Watch::new(worker, preface, Some(guard)),
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
    Protocol(Option<Flood>),
    /// The fields of a request didn't come in time.
    HeadLate,
    /// The client answered no PING.
    NoAnswer,
    /// `idle_timeout` or `max_connection_duration`, for which a client got its time.
    OwnLimit,
}

enum State {
    Beginning(Handshake<Io, Bytes>),
    Serving(h2::server::Connection<Io, Bytes>),
}

/// One connection's task.
struct Serving<'a> {
    link: &'a Rc<Link>,
    state: State,
    asking: Option<Asking>,
    requests: u64,
    /// GOAWAY was sent; since when.
    leaving: Option<Moment>,
    /// What made it leave was a limit of the connection's own.
    own_limit: bool,
}

/// Serves a connection until it ends. `io` gives its stream back through `link.watch`.
pub(crate) async fn serve_connection(link: &Rc<Link>, io: Io, deadline: &mut Deadline) -> Ended {
    let config = &link.manager.shared.config;
    let options = &config.http2;
    let mut builder = Builder::new();
    builder
        .initial_window_size(options.initial_stream_window_size)
        .initial_connection_window_size(options.initial_connection_window_size)
        .max_concurrent_streams(options.max_concurrent_streams)
        .max_header_list_size(config.limits.max_request_headers_bytes as u32)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESET_STREAMS)
        // How many may come at once is the guard's to say: a browser leaves a page with all its requests.
        .max_pending_accept_reset_streams(GuardLimits::default().reset_burst as usize)
        .header_table_size(options.hpack_table_size);
    if options.allow_connect {
        builder.enable_connect_protocol();
    }
    let state = State::Beginning(builder.handshake(io));
    let mut serving =
        Serving { link, state, asking: None, requests: 0, leaving: None, own_limit: false };
    std::future::poll_fn(|cx| {
        link.worker.clock.read();
        let ended = serving.poll(cx, deadline);
        let (read, written) = link.watch.uncounted();
        link.manager.stats.downstream_cx_rx_bytes_total.add(read);
        link.manager.stats.downstream_cx_tx_bytes_total.add(written);
        link.watch.count(&link.manager.http2);
        ended
    })
    .await
}

/// However the connection ends, nobody waits for its requests any more.
impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.link.hands.dismiss();
    }
}

impl Serving<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, deadline: &mut Deadline) -> Poll<Ended> {
        loop {
            let link = self.link;
            let connection = match &mut self.state {
                State::Serving(connection) => connection,
                State::Beginning(handshake) => match std::pin::Pin::new(handshake).poll(cx) {
                    Poll::Ready(Ok(mut connection)) => {
                        let settings = link.manager.shared.config.http2.keepalive;
                        self.asking = Asking::new(&link.worker, settings, connection.ping_pong());
                        self.state = State::Serving(connection);
                        continue;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(self.ended(&error)),
                    Poll::Pending => return self.poll_limits(cx, deadline),
                },
            };
            if link.leave.get() && self.leaving.is_none() {
                self.leaving = Some(link.worker.clock.now());
                connection.graceful_shutdown();
            }
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.accept(request, respond),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(self.ended(&error)),
                Poll::Ready(None) if self.own_limit => return Poll::Ready(Ended::OwnLimit),
                Poll::Ready(None) if link.watch.eof.get() => return Poll::Ready(Ended::ByClient),
                Poll::Ready(None) => return Poll::Ready(Ended::Orderly),
                Poll::Pending => {
                    if !link.leave.get() || self.leaving.is_some() {
                        return self.poll_limits(cx, deadline);
                    }
                }
            }
        }
    }

    fn accept(&mut self, request: http::Request<RecvStream>, respond: SendResponse<Bytes>) {
        let link = self.link;
        self.requests += 1;
        let max = link.manager.shared.config.limits.max_requests_per_connection;
        if max.is_some_and(|max| self.requests >= u64::from(max)) && !link.leave.get() {
            link.manager.stats.downstream_cx_max_requests_reached.inc();
            link.leave.set(true);
        }
        let job = (request, respond, InStream::new(link));
        if let Err(job) = link.hands.give(job) {
            // A panic ends the request alone: its task is the boundary.
            link.worker.reactor.spawn(serve_streams(link.clone(), job));
        }
    }

    /// The connection's own limits: once one has passed, the client is told and gets a while.
    fn poll_limits(&mut self, cx: &mut Context<'_>, deadline: &mut Deadline) -> Poll<Ended> {
        let link = self.link;
        *link.waker.borrow_mut() = Some(cx.waker().clone());
        if self.asking.as_mut().is_some_and(|asking| asking.poll(cx).is_ready()) {
            link.manager.http2.keepalive_timeout.inc();
            return Poll::Ready(Ended::NoAnswer);
        }
        let timeouts = &link.manager.shared.config.timeouts;
        // Fields that don't come whole hold up all other frames, so they end the connection.
        let patience = timeouts.request_headers.into_iter().chain(timeouts.stream_idle).min();
        let since = link.watch.fields_since.get().zip(patience);
        let fields = since.map(|(since, patience)| since.after(patience));
        if fields.is_some() && deadline.poll_at(cx, fields).is_ready() {
            link.manager.stats.downstream_rq_header_timeout.inc();
            return Poll::Ready(Ended::HeadLate);
        }
        if let Some(since) = self.leaving {
            if link.active() > 0 {
                return Poll::Pending;
            }
            let until = since.max(link.idle_since.get()).after(timeouts.drain);
            std::task::ready!(deadline.poll_at(cx, Some(until)));
            return Poll::Ready(if self.own_limit { Ended::OwnLimit } else { Ended::Orderly });
        }
        if link.active() == 0 && !link.hands.is_empty() {
            let settled = link.idle_since.get().after(SETTLE);
            if deadline.poll_at(cx, Some(settled)).is_ready() {
                link.hands.dismiss();
            }
        }
        let age = timeouts.max_connection.map(|t| link.connection.accepted_at.after(t));
        let idle = timeouts.connection_idle.map(|t| link.idle_since.get().after(t));
        let idle = idle.filter(|_| link.active() == 0);
        // One timer for all.
        let first = age.into_iter().chain(idle).chain(fields).min();
        std::task::ready!(deadline.poll_at(cx, first));
        self.own_limit = true;
        if matches!(self.state, State::Beginning(_)) || self.requests == 0 {
            return Poll::Ready(Ended::OwnLimit);
        }
        link.leave.set(true);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn ended(&self, error: &h2::Error) -> Ended {
        let flood = self.link.watch.flood.get();
        let protocol = error.is_library() && error.reason().is_some_and(|r| r != Reason::NO_ERROR);
        if flood.is_some() || protocol {
            return Ended::Protocol(flood);
        }
        Ended::ByClient
    }
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
    while let Some((request, respond, within)) = next {
        let (parts, body) = request.into_parts();
        let mut stream = ServerStream::new(body, respond);
        let mut x = worker.take_scratch();
        let taken = take_head(&link, &parts, &mut stream, &mut x.request);
        // What is needed of the head is ours now.
        drop(parts);
        let (incoming, refused) = match taken {
            Ok(incoming) => (incoming, None),
            Err(bad) => (nothing(), Some(bad)),
        };
        let after = exchange(&link, incoming, refused, &mut stream, &mut deadline, &mut x).await;
        worker.give_scratch(x);
        match after {
            After::Close => link.leave(),
            After::Cut => stream.reset(Reason::INTERNAL_ERROR),
            After::Keep | After::Gone => {}
        }
        if stream.trailers().is_some() {
            link.manager.http2.trailers.inc();
        }
        drop(stream);
        drop(within);
        next = link.hands.next().await;
    }
}

async fn exchange(
    link: &Link,
    incoming: Request,
    refused: Option<BadHead>,
    stream: &mut ServerStream,
    deadline: &mut Deadline,
    x: &mut Scratch,
) -> After {
    let start = link.worker.clock.now();
    let mut exchange = Exchange::new(
        &link.worker,
        (&link.listener, &link.manager),
        &link.connection,
        (Downstream::Http2(stream), deadline),
        x,
        incoming,
        start,
    );
    match refused {
        None => exchange.serve().await,
        Some(BadHead::Malformed) => {
            exchange.break_off("http2.invalid.header.field");
            drop(exchange);
            stream.reset(Reason::PROTOCOL_ERROR);
            After::Keep
        }
        Some(BadHead::TooManyFields | BadHead::Unsayable) => {
            link.manager.http2.header_overflow.inc();
            exchange.refuse(too_large()).await;
            After::Keep
        }
    }
}

fn nothing() -> Request {
    Request {
        consumed: 0,
        framing: dragoman_codec::Framing::None,
        keep_alive: true,
        expect_continue: false,
        upgrade: false,
        field_bytes: 0,
    }
}

fn take_head(
    link: &Link,
    parts: &http::request::Parts,
    stream: &mut ServerStream,
    head: &mut RequestHead,
) -> Result<Request, BadHead> {
    let config = &link.manager.shared.config.limits;
    let limits =
        Limits { head_bytes: config.max_request_headers_bytes, fields: config.max_headers_count };
    let protocol = parts.extensions.get::<h2::ext::Protocol>();
    let protocol = protocol.map(|protocol| protocol.as_str().as_bytes());
    let end = stream.is_received();
    let taken = head::request_head(parts, protocol, end, &limits, head);
    match &taken {
        Ok(incoming) => stream.note_fields(incoming.field_bytes),
        Err(_) => head.clear(),
    }
    taken
}
