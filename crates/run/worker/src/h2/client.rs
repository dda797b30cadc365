//! The client's end of HTTP/2: a connection to a host that many requests share, and one request on it.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use dragoman_cluster::Cluster;
use dragoman_codec::h2::head;
use dragoman_codec::{Framing, Limits};
use dragoman_net::{Buffer, clock};
use dragoman_transport::Stream;
use dragoman_types::tls::Tls;
use dragoman_types::{Address, Headers, Moment, Priority, RequestHead, ResponseHead, Version, id};
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Reason, SendStream};

use super::io::{Io, Watch};
use super::keepalive::Asking;
use super::stream::{Receiver, Sender};
use crate::context::Worker;
use crate::h1::Head;
use crate::stream::{Body, Sink, Source, StreamError};
use crate::upstream::{ClusterCells, Gone, WorkerHost};

/// Request bytes that one stream may keep until the socket takes them.
const SEND_BUFFER: usize = 128 << 10;

/// A connection to a host. It closes itself once nobody has it any more.
pub(crate) struct Channel {
    requests: RefCell<SendRequest<Bytes>>,
    pub(crate) id: u64,
    pub(crate) opened: Moment,
    pub(crate) local: Option<Address>,
    pub(crate) tls: Option<Arc<Tls>>,
    limits: Limits,
    /// `max_concurrent_streams`; the host may allow fewer.
    most: usize,
    active: Cell<usize>,
    served: Cell<u32>,
    last_used: Cell<Moment>,
    /// It takes no more requests.
    closing: Cell<bool>,
    /// What to count at its end.
    fate: Cell<Gone>,
    /// How long it had idled before the request that comes now.
    used: Cell<Option<Duration>>,
    waker: RefCell<Option<Waker>>,
    watch: Rc<Watch>,
    host: Weak<WorkerHost>,
    cells: Rc<ClusterCells>,
    priority: Priority,
}

impl Channel {
    /// Speaks HTTP/2 over `stream`: a task of its own moves the frames.
    pub(crate) async fn open(
        worker: &Rc<Worker>,
        stream: Stream,
        tls: Option<Arc<Tls>>,
        host: &Rc<WorkerHost>,
        (priority, cluster): (Priority, &Cluster),
    ) -> Result<Rc<Channel>, h2::Error> {
        let options = &cluster.http.http2;
        let local = stream.local();
        let watch = Watch::new(worker, (0, dragoman_codec::h2::PREFACE.len()), None);
        let io = Io::new(stream, Buffer::default(), watch.clone());
        let (requests, mut connection) = Builder::new()
            .initial_window_size(options.initial_stream_window_size)
            .initial_connection_window_size(options.initial_connection_window_size)
            .max_header_list_size(cluster.http.max_response_headers_bytes as u32)
            .max_send_buffer_size(SEND_BUFFER)
            .header_table_size(options.hpack_table_size)
            .initial_max_send_streams(options.max_concurrent_streams as usize)
            .enable_push(false)
            .handshake(io)
            .await?;
        let now = worker.clock.now();
        let channel = Rc::new(Channel {
            requests: RefCell::new(requests),
            id: worker.next_id(),
            opened: now,
            local,
            tls,
            limits: Limits {
                head_bytes: cluster.http.max_response_headers_bytes,
                fields: cluster.http.max_headers_count,
            },
            most: options.max_concurrent_streams as usize,
            active: Cell::new(0),
            served: Cell::new(0),
            last_used: Cell::new(now),
            closing: Cell::new(false),
            fate: Cell::new(Gone::Local),
            used: Cell::new(None),
            waker: RefCell::new(None),
            watch: watch.clone(),
            host: Rc::downgrade(host),
            cells: host.cluster.clone(),
            priority,
        });
        let known = Rc::downgrade(&channel);
        let asking = Asking::new(worker, options.keepalive, connection.ping_pong());
        let driver = Driver {
            worker: worker.clone(),
            connection,
            asking,
            watch,
            channel: known,
            cells: host.cluster.clone(),
        };
        worker.reactor.spawn(driver.drive());
        Ok(channel)
    }

    /// A place for one request, if there is one.
    pub(crate) fn share(self: &Rc<Self>) -> Option<Share> {
        if self.is_closing() {
            return None;
        }
        let most = self.most.min(self.requests.borrow().current_max_send_streams());
        if self.active.get() >= most {
            return None;
        }
        if self.active.get() == 0 {
            self.used.set(Some(self.watch.now().since(self.last_used.get())));
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
        self.active.set(self.active.get() + 1);
        self.cells.http2.streams_active.inc();
        Some(Share(self.clone()))
    }

    /// It takes no more requests.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get() || self.watch.eof.get() || self.watch.goaways_in.get() > 0
    }

    pub(crate) fn close(&self) {
        self.closing.set(true);
    }

    /// Nothing was asked of it since; `None`: it's busy.
    pub(crate) fn idle_since(&self) -> Option<Moment> {
        (self.active.get() == 0).then(|| self.last_used.get())
    }

    /// Requests that it has served.
    pub(crate) fn served(&self) -> u32 {
        self.served.get()
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // A host that is gone has counted its connections out.
        if let Some(host) = self.host.upgrade() {
            let history = (self.served.get(), self.opened);
            host.gone(self.priority, history, self.fate.get(), clock::now());
            host.pool(self.priority).closed();
        }
    }
}

/// Moves a connection's frames until it ends.
struct Driver {
    worker: Rc<Worker>,
    connection: Connection<Io, Bytes>,
    asking: Option<Asking>,
    watch: Rc<Watch>,
    channel: Weak<Channel>,
    cells: Rc<ClusterCells>,
}

/// How a host's connection ended.
enum Ended {
    /// By the host, or with its transport.
    ByHost,
    /// Nobody needs it any more, or the host broke the protocol.
    ByUs,
}

impl Driver {
    async fn drive(mut self) {
        let mut woken = false;
        let ended = poll_fn(|cx| {
            self.worker.clock.read_when_woken(&mut woken);
            let ended = self.poll(cx);
            self.cells.stats.upstream_cx_rx_bytes_total.add(self.watch.bytes_in.take());
            self.cells.stats.upstream_cx_tx_bytes_total.add(self.watch.bytes_out.take());
            self.watch.count(&self.cells.http2);
            ended
        })
        .await;
        if self.watch.goaways_in.get() > 0 {
            self.cells.stats.upstream_cx_close_notify.inc();
        }
        let Some(channel) = self.channel.upgrade() else { return };
        channel.close();
        channel.fate.set(match (ended, channel.active.get() > 0) {
            (Ended::ByUs, true) => Gone::LocalActive,
            (Ended::ByUs, false) => Gone::Local,
            (Ended::ByHost, true) => Gone::RemoteActive,
            (Ended::ByHost, false) => Gone::Remote,
        });
        if let Some(host) = channel.host.upgrade() {
            host.forget(channel.priority, &channel);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        match Pin::new(&mut self.connection).poll(cx) {
            Poll::Ready(Ok(())) if self.watch.eof.get() => return Poll::Ready(Ended::ByHost),
            Poll::Ready(Ok(())) => return Poll::Ready(Ended::ByUs),
            Poll::Ready(Err(error)) if error.is_library() => {
                self.cells.stats.upstream_cx_protocol_error.inc();
                return Poll::Ready(Ended::ByUs);
            }
            Poll::Ready(Err(_)) => return Poll::Ready(Ended::ByHost),
            Poll::Pending => {}
        }
        let Some(asking) = &mut self.asking else { return Poll::Pending };
        if let Some(channel) = self.channel.upgrade() {
            if let Some(idle) = channel.used.take() {
                asking.used(idle);
            }
            *channel.waker.borrow_mut() = Some(cx.waker().clone());
        }
        ready!(asking.poll(cx));
        self.cells.http2.keepalive_timeout.inc();
        Poll::Ready(Ended::ByUs)
    }
}

/// One request's place on a connection.
pub(crate) struct Share(Rc<Channel>);

impl Share {
    pub(crate) fn channel(&self) -> &Channel {
        &self.0
    }

    /// The request is over: whether another one may follow is judged by the connection's limits.
    fn count(&self) {
        self.0.served.set(self.0.served.get() + 1);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let channel = &self.0;
        channel.active.set(channel.active.get() - 1);
        channel.cells.http2.streams_active.dec();
        channel.last_used.set(channel.watch.now());
        if let Some(host) = channel.host.upgrade() {
            if channel.is_closing() {
                host.forget(channel.priority, channel);
            } else {
                host.pool(channel.priority).share(|| channel.share());
            }
        }
    }
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Share").field(&self.0.id).finish()
    }
}

/// A request to a host and its answer.
#[derive(Debug)]
pub(crate) struct ClientStream {
    share: Share,
    response: Option<ResponseFuture>,
    sender: Option<Sender>,
    receiver: Option<Receiver>,
    /// Why there is no stream.
    failed: Option<StreamError>,
    /// A head came.
    pub(crate) answered: bool,
    /// The protocol of an extended CONNECT.
    extended: Option<Box<[u8]>>,
    sent_field_bytes: u64,
    received_field_bytes: u64,
}

impl ClientStream {
    pub(crate) fn new(share: Share) -> ClientStream {
        ClientStream {
            share,
            response: None,
            sender: None,
            receiver: None,
            failed: None,
            answered: false,
            extended: None,
            sent_field_bytes: 0,
            received_field_bytes: 0,
        }
    }

    pub(crate) fn channel(&self) -> &Channel {
        self.share.channel()
    }

    /// Begins the request; returns the bytes of its fields. `tunnel`: its body has no end of its own.
    pub(crate) fn request(&mut self, head: &RequestHead, body: Framing, tunnel: bool) -> u64 {
        self.share.count();
        let end = !tunnel && matches!(body, Framing::None | Framing::Length(0));
        // Trailers may follow a body of HTTP/2 whatever its length.
        let length = match body {
            Framing::Length(length) if head.version <= Version::Http11 => Some(length),
            _ => None,
        };
        let upgrade = head.headers.get(id::UPGRADE).filter(|_| tunnel);
        self.extended = upgrade.map(Into::into);
        match self.send(head, end) {
            Ok((response, stream)) => {
                self.response = Some(response);
                self.sender = Some(Sender::new(stream, length, end));
            }
            Err(error) => self.failed = Some(error),
        }
        self.sent_field_bytes = head.headers.byte_size();
        self.sent_field_bytes
    }

    fn send(
        &self,
        head: &RequestHead,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), StreamError> {
        let channel = self.channel();
        let scheme: &[u8] = if channel.tls.is_some() { b"https" } else { b"http" };
        let protocol = self.extended.as_deref();
        let request = head::request(head, protocol, scheme).map_err(|_| StreamError::Unsayable)?;
        let sent = channel.requests.borrow_mut().send_request(request, end);
        sent.map_err(StreamError::of_h2)
    }

    /// The next head of the response.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<Head, StreamError>> {
        let Some(response) = &mut self.response else {
            return Poll::Ready(Err(self.failed.take().unwrap_or(StreamError::Closed)));
        };
        let limits = self.share.channel().limits;
        if let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
            let (parts, ()) = interim.map_err(StreamError::of_h2)?.into_parts();
            self.answered = true;
            let taken = head::response_head(&parts, true, &limits, head);
            return Poll::Ready(match taken {
                Ok(_) => Ok(Head::Interim),
                Err(_) => Err(StreamError::Http2),
            });
        }
        let found = ready!(Pin::new(response).poll(cx)).map_err(StreamError::of_h2)?;
        self.answered = true;
        let (parts, body) = found.into_parts();
        let receiver = Receiver::new(body);
        let end = receiver.is_received();
        self.receiver = Some(receiver);
        Poll::Ready(match head::response_head(&parts, end, &limits, head) {
            Ok(found) => {
                if let Some(protocol) = self.extended.as_deref().filter(|_| head.status == 200) {
                    head::agree(head, protocol);
                }
                self.received_field_bytes = found.field_bytes;
                Ok(Head::Final(found))
            }
            Err(_) => Err(StreamError::Http2),
        })
    }

    /// What follows of the response is nobody's.
    pub(crate) fn ignore_body(&mut self) {
        self.receiver = None;
    }

    /// Both messages went as a whole.
    pub(crate) fn is_complete(&self) -> bool {
        self.sender.as_ref().is_some_and(Sender::is_ended)
            && self.receiver.as_ref().is_some_and(Receiver::is_received)
    }

    /// Fields and bodies, without what frames and compression make of them: (taken, sent).
    pub(crate) fn wire_bytes(&self) -> (u64, u64) {
        let taken = self.receiver.as_ref().map_or(0, Receiver::received);
        let sent = self.sender.as_ref().map_or(0, Sender::sent);
        (self.received_field_bytes + taken, self.sent_field_bytes + sent)
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if self.trailers().is_some() {
            self.channel().cells.http2.trailers.inc();
        }
        if self.response.is_some()
            && !self.is_complete()
            && let Some(sender) = &mut self.sender
        {
            sender.reset(Reason::CANCEL);
        }
    }
}

impl Source for ClientStream {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, StreamError>> {
        match &mut self.receiver {
            Some(receiver) => receiver.poll_body(cx),
            None => Poll::Ready(Ok(Body::End)),
        }
    }
    fn data(&self) -> &[u8] {
        self.receiver.as_ref().map_or(&[], Source::data)
    }
    fn consume(&mut self, n: usize) {
        if let Some(receiver) = &mut self.receiver {
            receiver.consume(n);
        }
    }
    fn trailers(&self) -> Option<&Headers> {
        self.receiver.as_ref()?.trailers()
    }
}

impl Sink for ClientStream {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, StreamError>> {
        match &mut self.sender {
            Some(sender) => sender.poll_write(cx, data),
            None => Poll::Ready(Err(StreamError::Closed)),
        }
    }
    fn finish(&mut self, trailers: Option<&Headers>) {
        if let Some(sender) = &mut self.sender {
            sender.finish(trailers);
        }
    }
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        match &mut self.sender {
            Some(sender) => sender.poll_flush(cx),
            None => Poll::Ready(Err(StreamError::Closed)),
        }
    }
}
