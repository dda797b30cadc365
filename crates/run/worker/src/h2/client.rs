//! The client's end of HTTP/2: a connection to a host that many requests share, and one request on it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use dragoman_cluster::Cluster;
use dragoman_codec::h2::{Code, Endpoint, Side};
use dragoman_codec::{Framing, Limits, Response};
use dragoman_net::{Buffer, clock};
use dragoman_transport::Stream;
use dragoman_types::tls::Tls;
use dragoman_types::{Address, Headers, Moment, Priority, RequestHead, ResponseHead, Version, id};

use super::carrier::{self, Carrier, Over};
use super::keepalive::Asking;
use super::options;
use super::stream::{Half, take_response};
use crate::context::Worker;
use crate::h1::Head;
use crate::stream::{Body, Sink, Source, StreamError};
use crate::upstream::{ClusterCells, Gone, WorkerHost};

/// A connection to a host. It closes itself once nobody has it any more.
pub(crate) struct Channel {
    end: Rc<RefCell<Endpoint>>,
    pub(crate) id: u64,
    pub(crate) opened: Moment,
    pub(crate) local: Option<Address>,
    pub(crate) tls: Option<Arc<Tls>>,
    active: Cell<usize>,
    served: Cell<u32>,
    last_used: Cell<Moment>,
    /// It is its host's: those in line may have a place.
    offered: Cell<bool>,
    /// It takes no more requests.
    closing: Cell<bool>,
    /// What to count at its end.
    fate: Cell<Gone>,
    /// How long it had idled before the request that comes now.
    used: Cell<Option<Duration>>,
    /// Its task's.
    driver: RefCell<Option<Waker>>,
    /// Of who waits for the host's SETTINGS.
    opener: RefCell<Option<Waker>>,
    worker: Rc<Worker>,
    host: Weak<WorkerHost>,
    cells: Rc<ClusterCells>,
    priority: Priority,
}

impl Channel {
    /// Speaks HTTP/2 over `stream`: a task of its own moves the frames. It is open once the host's SETTINGS
    /// are here: before that nobody knows how many requests have a place. `None`: it ended before.
    pub(crate) async fn open(
        worker: &Rc<Worker>,
        stream: Stream,
        tls: Option<Arc<Tls>>,
        host: &Rc<WorkerHost>,
        (priority, cluster): (Priority, &Cluster),
    ) -> Option<Rc<Channel>> {
        let (now, local) = (worker.clock.now(), stream.local());
        let limits = Limits {
            head_bytes: cluster.http.max_response_headers_bytes,
            fields: cluster.http.max_headers_count,
        };
        let mut options = options(&cluster.http.http2, limits);
        // A host may refuse what it likes.
        options.guard.reset_burst = u32::MAX;
        let end = Rc::new(RefCell::new(Endpoint::new(Side::Client, options, now)));
        let channel = Rc::new(Channel {
            end: end.clone(),
            id: worker.next_id(),
            opened: now,
            local,
            tls,
            active: Cell::new(0),
            served: Cell::new(0),
            last_used: Cell::new(now),
            offered: Cell::new(false),
            closing: Cell::new(false),
            fate: Cell::new(Gone::Local),
            used: Cell::new(None),
            driver: RefCell::new(None),
            opener: RefCell::new(None),
            worker: worker.clone(),
            host: Rc::downgrade(host),
            cells: host.cluster.clone(),
            priority,
        });
        let driver = Driver {
            worker: worker.clone(),
            carrier: Carrier::new(worker, stream, Buffer::default(), end),
            asking: Asking::new(worker, cluster.http.http2.keepalive),
            channel: Rc::downgrade(&channel),
            cells: host.cluster.clone(),
        };
        worker.reactor.spawn(driver.drive());
        poll_fn(|cx| {
            let end = channel.end.borrow();
            if end.is_settled() || !end.may_open() {
                return Poll::Ready(());
            }
            *channel.opener.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        (!channel.is_closing()).then_some(channel)
    }

    /// A place for one request, if there is one.
    pub(crate) fn share(self: &Rc<Self>) -> Option<Share> {
        let end = self.end.borrow();
        // Where slow readers' answers fill the window another request would only wait for them.
        if self.is_closing() || self.active.get() >= end.most_streams() || end.is_clogged() {
            return None;
        }
        drop(end);
        if self.active.get() == 0 {
            self.used.set(Some(self.worker.clock.now().since(self.last_used.get())));
            if let Some(waker) = self.driver.take() {
                waker.wake();
            }
        }
        self.active.set(self.active.get() + 1);
        self.cells.http2.streams_active.inc();
        Some(Share(self.clone()))
    }

    /// Those in line may have its places from now on.
    pub(crate) fn offer(&self) {
        self.offered.set(true);
    }

    /// It takes no more requests.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get() || !self.end.borrow().may_open()
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
        // Its task has nobody to work for any more.
        if let Some(waker) = self.driver.take() {
            waker.wake();
        }
        // One that never was its host's is counted by who opened it, and a host that is gone has counted its
        // connections out.
        if self.offered.get()
            && let Some(host) = self.host.upgrade()
        {
            let history = (self.served.get(), self.opened);
            host.gone(self.priority, history, self.fate.get(), clock::now());
            host.pool(self.priority).closed();
        }
    }
}

/// Moves a connection's frames until it ends.
struct Driver {
    worker: Rc<Worker>,
    carrier: Carrier,
    asking: Option<Asking>,
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
            let (read, written) = self.carrier.uncounted();
            self.cells.stats.upstream_cx_rx_bytes_total.add(read);
            self.cells.stats.upstream_cx_tx_bytes_total.add(written);
            carrier::count(&self.carrier.end, &self.cells.http2);
            ended
        })
        .await;
        let mut end = self.carrier.end.borrow_mut();
        end.close();
        if end.went_away() {
            self.cells.stats.upstream_cx_close_notify.inc();
        }
        drop(end);
        let Some(channel) = self.channel.upgrade() else { return };
        channel.close();
        channel.wake_opener();
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
        match self.carrier.poll(cx) {
            Poll::Ready(Over::ByPeer) => return Poll::Ready(Ended::ByHost),
            Poll::Ready(Over::Fault(_)) => {
                self.cells.stats.upstream_cx_protocol_error.inc();
                return Poll::Ready(Ended::ByUs);
            }
            Poll::Pending => {}
        }
        let Some(channel) = self.channel.upgrade() else {
            self.carrier.end.borrow_mut().say_goodbye();
            let _ = self.carrier.poll(cx);
            return Poll::Ready(Ended::ByUs);
        };
        *channel.driver.borrow_mut() = Some(cx.waker().clone());
        if self.carrier.end.borrow().is_settled() {
            channel.wake_opener();
        }
        // Nobody is given it any more: once its requests are over it ends.
        if self.carrier.end.borrow().went_away()
            && let Some(host) = channel.host.upgrade()
        {
            host.forget(channel.priority, &channel);
        }
        // The host may take more than it did.
        if channel.offered.get()
            && let Some(host) = channel.host.upgrade()
        {
            host.pool(channel.priority).share(|| channel.share());
        }
        let Some(asking) = &mut self.asking else { return Poll::Pending };
        if let Some(idle) = channel.used.take() {
            asking.used(idle);
        }
        ready!(asking.poll(cx, &self.carrier.end));
        self.cells.http2.keepalive_timeout.inc();
        Poll::Ready(Ended::ByUs)
    }
}

impl Channel {
    fn wake_opener(&self) {
        if let Some(waker) = self.opener.take() {
            waker.wake();
        }
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
        channel.last_used.set(channel.worker.clock.now());
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
    half: Option<Half>,
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
            half: None,
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
        let channel = self.share.channel();
        let scheme: &[u8] = if channel.tls.is_some() { b"https" } else { b"http" };
        let key = channel.end.borrow_mut().open(head, self.extended.as_deref(), scheme, end);
        self.half = key.map(|key| {
            let mut half = Half::new(channel.end.clone(), key);
            half.begin(length, end);
            half
        });
        self.sent_field_bytes = head.headers.byte_size();
        self.sent_field_bytes
    }

    /// The next head of the response.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<Head, StreamError>> {
        // The connection took no more requests when this one came to it.
        let Some(half) = &mut self.half else { return Poll::Ready(Err(StreamError::Unseen)) };
        let polled = half.end.borrow_mut().poll_head(half.key, cx);
        let taken = ready!(polled)?;
        self.answered = true;
        let found = Response {
            consumed: 0,
            framing: taken.framing(),
            keep_alive: true,
            interim: taken.is_interim(),
            field_bytes: taken.bytes,
        };
        take_response(&half.end, taken, head);
        if found.interim {
            return Poll::Ready(Ok(Head::Interim));
        }
        if let Some(protocol) = self.extended.as_deref().filter(|_| head.status == 200) {
            agree(head, protocol);
        }
        self.received_field_bytes = found.field_bytes;
        Poll::Ready(Ok(Head::Final(found)))
    }

    /// What follows of the response is nobody's.
    pub(crate) fn ignore_body(&mut self) {
        if let Some(half) = &mut self.half {
            half.ignore();
        }
    }

    /// Both messages went as a whole.
    pub(crate) fn is_complete(&self) -> bool {
        self.half.as_ref().is_some_and(|half| half.is_ended() && half.is_received())
    }

    /// The host, or its connection, ended the stream.
    pub(crate) fn is_ended_by_host(&self) -> bool {
        self.half.as_ref().is_none_or(Half::is_ended_by_peer)
    }

    /// Fields and bodies, without what frames and compression make of them: (taken, sent).
    pub(crate) fn wire_bytes(&self) -> (u64, u64) {
        let (taken, sent) = self.half.as_ref().map_or((0, 0), |half| half.bytes);
        (self.received_field_bytes + taken, self.sent_field_bytes + sent)
    }
}

/// A host's 200 to an extended CONNECT becomes HTTP/1's 101.
fn agree(head: &mut ResponseHead, protocol: &[u8]) {
    head.status = 101;
    head.headers.append(id::CONNECTION, b"upgrade");
    head.headers.append(id::UPGRADE, protocol);
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if let Some(half) = &mut self.half {
            half.release(Code::CANCEL);
        }
    }
}

impl Source for ClientStream {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Body, StreamError>> {
        match &mut self.half {
            Some(half) => half.poll_body(cx),
            None => Poll::Ready(Ok(Body::End)),
        }
    }
    fn data(&self) -> &[u8] {
        self.half.as_ref().map_or(&[], Source::data)
    }
    fn consume(&mut self, n: usize) {
        if let Some(half) = &mut self.half {
            half.consume(n);
        }
    }
    fn trailers(&self) -> Option<&Headers> {
        self.half.as_ref()?.trailers()
    }
}

impl Sink for ClientStream {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, StreamError>> {
        match &mut self.half {
            Some(half) => half.poll_write(cx, data),
            None => Poll::Ready(Err(StreamError::Unseen)),
        }
    }
    fn finish(&mut self, trailers: Option<&Headers>) {
        if let Some(half) = &mut self.half {
            half.finish(trailers);
        }
    }
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        match &mut self.half {
            Some(half) => half.poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
