//! One client connection: waiting, reading heads, handing requests to the exchange, closing well.

mod counts;
mod version;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use dragoman_codec::Limits;
use dragoman_http_connection_manager::Config;
use dragoman_listener::{Passed, Refused};
use dragoman_net::{Buffer, Deadline, Socket};
use dragoman_transport::Stream;
use dragoman_types::{Address, Connection, Hello, Moment, Version};

use counts::Ending;

use crate::context::{Scratch, Worker};
use crate::downstream::Downstream;
use crate::exchange::{After, Exchange, headers_timeout, malformed};
use crate::h1::{Incoming, Server, Wire, style};
use crate::handshake::{Unsecured, pass_filters, pass_secured, shake_hands};
use crate::manager::{Manager, WorkerChain, WorkerListener};

/// Bytes that are read and thrown away while a closing connection waits for its client.
const LINGER_BYTES: u64 = 1 << 20;

/// A connection without a request for so long gives back what only requests need.
const SETTLE: Duration = Duration::from_millis(20);

/// What ended a wait for the next request.
enum Waited {
    Ready,
    Expired,
}

/// A client connection.
struct ClientConnection {
    worker: Rc<Worker>,
    listener: Rc<WorkerListener>,
    chain: Rc<WorkerChain>,
    manager: Rc<Manager>,
    connection: Connection,
    server: Server,
    deadline: Deadline,
    requests: u64,
    /// The last request's end, or the connection's beginning.
    idle_since: Moment,
    /// An idle limit or the maximum duration passed: the next response is the last.
    draining: bool,
    remote_close: bool,
    /// What the client speaks, once that is known.
    version: Option<Version>,
    /// Why it ended, where that is more than its end: for its log line.
    ending: Option<Box<Ending>>,
}

/// A connection whose chain is chosen.
pub(crate) struct Admitted {
    pub(crate) id: u64,
    pub(crate) socket: Socket,
    /// What of its bytes was read already.
    pub(crate) input: Buffer,
    pub(crate) chain: Rc<WorkerChain>,
    pub(crate) hello: Option<Box<Hello>>,
    pub(crate) direct_remote: Address,
    pub(crate) remote: Address,
    pub(crate) direct_local: Address,
    pub(crate) local: Address,
}

/// The address as headers have it; empty for a pipe.
pub(crate) fn ip_text(address: &Address) -> Box<str> {
    address.ip().map(|ip| ip.to_string()).unwrap_or_default().into()
}

/// What is known of a connection that was let in, and its bytes.
pub(crate) fn connection_of(
    worker: &Worker,
    listener: &WorkerListener,
    admitted: Admitted,
) -> (Connection, Socket, Buffer) {
    let Admitted { id, socket, input, chain, hello, .. } = admitted;
    socket.set_nodelay();
    let connection = Connection {
        id,
        direct_remote: admitted.direct_remote,
        remote_ip: ip_text(&admitted.remote),
        remote: admitted.remote,
        direct_local: admitted.direct_local,
        local: admitted.local,
        listener: listener.shared.name.clone(),
        accepted_at: worker.clock.read(),
        hello,
        chain: chain.shared.name.clone(),
        tls: None,
    };
    (connection, socket, input)
}

/// Serves a connection until it ends.
pub(crate) fn serve(
    worker: Rc<Worker>,
    listener: Rc<WorkerListener>,
    manager: Rc<Manager>,
    admitted: Admitted,
) -> impl Future<Output = ()> {
    // Made here, not within: an async function would hold its arguments beside what it makes of them.
    let mut client = ClientConnection::new(worker, listener, manager, admitted);
    client.count_open();
    async move { client.run().await }
}

impl ClientConnection {
    fn new(
        worker: Rc<Worker>,
        listener: Rc<WorkerListener>,
        manager: Rc<Manager>,
        admitted: Admitted,
    ) -> ClientConnection {
        let chain = admitted.chain.clone();
        let (connection, socket, input) = connection_of(&worker, &listener, admitted);
        let config = &manager.shared.config;
        let style = style(config.http1.proper_case);
        let wire = Wire::new(Stream::Plain(socket), input, worker.buffers.clone(), style);
        ClientConnection {
            deadline: worker.reactor.deadline(),
            server: Server::new(wire, config.http1.enable_trailers),
            idle_since: connection.accepted_at,
            worker,
            listener,
            chain,
            manager,
            connection,
            requests: 0,
            draining: false,
            remote_close: false,
            version: None,
            ending: None,
        }
    }

    async fn run(&mut self) {
        let passed = match self.chain.shared.filters.is_empty() {
            true => None,
            false => match Box::pin(self.pass()).await {
                Ok(passed) => Some(Box::new(passed)),
                Err(refused) => return self.turned_away(refused),
            },
        };
        if self.chain.shared.tls.is_some() && !Box::pin(self.secure()).await {
            return;
        }
        if passed.is_some()
            && let Err(refused) = Box::pin(self.pass_secured()).await
        {
            return self.turned_away(refused);
        }
        while self.wait().await {
            if self.version.is_none() {
                match self.find_version().await {
                    Some(Version::Http2) => return Box::pin(self.serve_http2()).await,
                    Some(_) => {}
                    None => return,
                }
            }
            // A request's state is three times a connection's: it's there only while requests come.
            match Box::pin(self.serve_requests()).await {
                After::Keep => self.server.wire.release(),
                After::Close => return self.close().await,
                After::Gone => {
                    self.remote_close = true;
                    return self.count_active_end(true);
                }
                After::Cut => {
                    self.server.wire.mark_cut();
                    return self.count_active_end(false);
                }
            }
        }
    }

    async fn pass(&mut self) -> Result<Passed, Refused> {
        pass_filters(&self.worker, &self.chain, &self.connection, &mut self.deadline).await
    }

    async fn pass_secured(&mut self) -> Result<(), Refused> {
        pass_secured(&self.worker, &self.chain, &self.connection, &mut self.deadline).await
    }

    fn turned_away(&mut self, refused: Refused) {
        let Refused { flags, details, .. } = refused;
        self.ending = Some(Box::new(Ending { flags, details, ..Default::default() }));
    }

    /// TLS's handshake; false: the connection is to end.
    async fn secure(&mut self) -> bool {
        let own = self.idle_until();
        let wire = &mut self.server.wire;
        let Stream::Plain(socket) = std::mem::replace(&mut wire.stream, Stream::Gone) else {
            return false;
        };
        let bytes = (socket, std::mem::take(&mut wire.input));
        // What listener filters read of it were TLS's bytes, which nobody counts.
        wire.served_by_other((0, 0));
        let timer = (&mut self.deadline, self.connection.accepted_at, own);
        match shake_hands(&self.worker, &self.listener, &self.chain, bytes, timer).await {
            Ok(secured) => {
                self.connection.tls = Some(secured.tls);
                self.server.wire.stream = secured.stream;
                true
            }
            Err(why) => {
                match why {
                    Unsecured::ByClient(transport_failure) => {
                        self.remote_close = true;
                        let why = Ending { transport_failure, ..Default::default() };
                        self.ending = Some(Box::new(why));
                    }
                    Unsecured::OwnLimit => self.count_idle_end(),
                    Unsecured::TooSlow => {}
                }
                false
            }
        }
    }

    /// Serves requests for as long as they follow each other.
    async fn serve_requests(&mut self) -> After {
        loop {
            let worker = self.worker.clone();
            let mut scratch = worker.take_scratch();
            let after = self.request(&mut scratch).await;
            worker.give_scratch(scratch);
            self.manager.count_bytes(&mut self.server.wire);
            if after != After::Keep {
                return after;
            }
            self.server.wire.idle();
            self.idle_since = worker.clock.now();
            let until = self.idle_since.after(SETTLE);
            if let Waited::Expired = self.wait_until(Some(until)).await {
                return After::Keep;
            }
        }
    }

    fn config(&self) -> &Config {
        &self.manager.shared.config
    }

    /// Waits for the first byte of a request; false: the connection is to end.
    async fn wait(&mut self) -> bool {
        let mut until = self.idle_until();
        loop {
            match self.wait_until(until).await {
                Waited::Ready => return true,
                // A connection that never served, or was warned already, ends.
                Waited::Expired if self.requests == 0 || self.draining => {
                    self.count_idle_end();
                    return false;
                }
                // One that did gets a moment in which a request on its way is still served.
                Waited::Expired => {
                    self.draining = true;
                    until = Some(self.worker.clock.read().after(self.config().timeouts.drain));
                }
            }
        }
    }

    fn idle_until(&self) -> Option<Moment> {
        let timeouts = &self.config().timeouts;
        let idle = timeouts.connection_idle.map(|t| self.idle_since.after(t));
        let accepted = self.connection.accepted_at;
        let oldest = timeouts.max_connection.map(|t| accepted.after(t));
        idle.into_iter().chain(oldest).min()
    }

    async fn wait_until(&mut self, until: Option<Moment>) -> Waited {
        poll_fn(|cx| {
            if self.server.poll_ready(cx).is_ready() {
                return Poll::Ready(Waited::Ready);
            }
            self.deadline.poll_at(cx, until).map(|()| Waited::Expired)
        })
        .await
    }

    /// Reads and serves one request.
    async fn request(&mut self, x: &mut Scratch) -> After {
        let start = self.worker.clock.read();
        let config = self.config();
        let limits = Limits {
            head_bytes: config.limits.max_request_headers_bytes,
            fields: config.limits.max_headers_count,
        };
        let patience = config.timeouts.request_headers;
        let stream_idle = config.timeouts.stream_idle;
        let until = patience.into_iter().chain(stream_idle).min();
        let until = until.map(|limit| start.after(limit));
        let mut woken = false;
        let incoming = poll_fn(|cx| {
            self.worker.clock.read_when_woken(&mut woken);
            if let Poll::Ready(got) = self.server.poll_head(cx, &limits, &mut x.request) {
                return Poll::Ready(Some(got));
            }
            self.deadline.poll_at(cx, until).map(|()| None)
        })
        .await;
        match incoming {
            Some(Incoming::Request(request)) => {
                self.requests += 1;
                let last = self.is_last();
                let mut exchange = self.exchange(x, request, start);
                exchange.close |= last;
                exchange.serve().await
            }
            Some(Incoming::Closed) => {
                self.remote_close = true;
                After::Close
            }
            Some(Incoming::Cut) => {
                self.remote_close = true;
                self.manager.stats.downstream_cx_protocol_error.inc();
                After::Close
            }
            Some(Incoming::Malformed(error)) => {
                self.count_malformed(error);
                x.request.clear();
                self.refuse(x, start, malformed(error)).await
            }
            None => {
                self.manager.stats.downstream_rq_header_timeout.inc();
                x.request.clear();
                self.refuse(x, start, headers_timeout(patience.unwrap_or(Duration::ZERO))).await
            }
        }
    }

    fn exchange<'a>(
        &'a mut self,
        x: &'a mut Scratch,
        request: dragoman_codec::Request,
        start: Moment,
    ) -> Exchange<'a> {
        Exchange::new(
            &self.worker,
            (&self.listener, &self.manager),
            &self.connection,
            (Downstream::Http1(&mut self.server), &mut self.deadline),
            x,
            request,
            start,
        )
    }

    async fn refuse(
        &mut self,
        x: &mut Scratch,
        start: Moment,
        reply: dragoman_types::LocalReply,
    ) -> After {
        let nothing = dragoman_codec::Request {
            consumed: 0,
            framing: dragoman_codec::Framing::None,
            keep_alive: false,
            expect_continue: false,
            upgrade: false,
            field_bytes: 0,
        };
        self.exchange(x, nothing, start).refuse(reply).await;
        After::Close
    }

    /// The connection's own limits: this request is the last it serves.
    fn is_last(&self) -> bool {
        let max = self.config().limits.max_requests_per_connection;
        let reached = max.is_some_and(|max| self.requests >= u64::from(max));
        let stats = &self.manager.stats;
        if reached {
            stats.downstream_cx_max_requests_reached.inc();
        }
        let oldest = self.config().timeouts.max_connection;
        let age = self.worker.clock.now().since(self.connection.accepted_at);
        let too_old = oldest.is_some_and(|t| age >= t);
        reached || too_old || self.draining
    }

    /// Ends our side, then waits a moment for the client to end its own: closing with unread bytes
    /// would reset the connection and could destroy the response on its way.
    async fn close(&mut self) {
        let Some(patience) = self.config().timeouts.delayed_close else { return };
        if self.remote_close || self.server.wire.eof {
            return;
        }
        let until = Some(self.worker.clock.read().after(patience));
        let before = self.server.wire.bytes_in;
        // A client that is gone is noticed by the reads.
        let _ = self.server.wire.stream.shutdown();
        let timed_out = poll_fn(|cx| {
            loop {
                let unread = self.server.wire.input.len();
                self.server.wire.input.consume(unread);
                match self.server.wire.poll_fill(cx, usize::MAX) {
                    Poll::Ready(Ok(n)) if n > 0 => {}
                    Poll::Ready(_) => return Poll::Ready(false),
                    Poll::Pending => return self.deadline.poll_at(cx, until).map(|()| true),
                }
                if self.server.wire.bytes_in - before > LINGER_BYTES {
                    return Poll::Ready(true);
                }
            }
        })
        .await;
        if timed_out {
            self.manager.stats.downstream_cx_delayed_close_timeout.inc();
        }
    }
}
