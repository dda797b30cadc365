//! A connection to a host while a request uses it.

use std::rc::Rc;
use std::time::Duration;

use dragoman_net::clock;
use dragoman_types::{Moment, Priority};

use crate::client::Client;
use crate::h1;
use crate::h2::{ClientStream, Share};
use crate::upstream::{Gone, WorkerHost, history};

/// A connection in use, or a place on one. However the request ends, the pool hears of it.
pub(crate) struct Leased {
    client: Option<Client>,
    pub(crate) host: Rc<WorkerHost>,
    pub(crate) priority: Priority,
    /// What to count if it isn't given back.
    pub(crate) fate: Gone,
    /// It had served requests before this one.
    pub(crate) reused: bool,
    /// What had gone over it before (taken, sent).
    before: (u64, u64),
}

impl Leased {
    pub(crate) fn new(client: Client, host: Rc<WorkerHost>, priority: Priority) -> Leased {
        let (reused, before) = (client.is_used(), client.wire_bytes());
        host.stats.rq_active.inc();
        Leased { client: Some(client), host, priority, fate: Gone::LocalActive, reused, before }
    }

    /// A place on an HTTP/2 connection.
    pub(crate) fn shared(share: Share, host: Rc<WorkerHost>, priority: Priority) -> Leased {
        Leased::new(Client::Http2(Box::new(ClientStream::new(share))), host, priority)
    }

    /// The connection; there is one until [`Leased::give_back`].
    pub(crate) fn client(&mut self) -> &mut Client {
        // Only `give_back` and `drop` empty it, and both end the lease.
        self.client.as_mut().expect("a lease holds its connection until it ends")
    }

    /// Bytes of this request's answer taken, and of this request sent.
    pub(crate) fn wire_bytes(&self) -> (u64, u64) {
        let Some(client) = &self.client else { return (0, 0) };
        let (taken, sent) = client.wire_bytes();
        (taken - self.before.0, sent - self.before.1)
    }

    /// The host sent something since the request began.
    pub(crate) fn is_answered(&self) -> bool {
        self.client.as_ref().is_some_and(Client::is_answered)
    }

    /// It is a stream of a connection that others share.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.client, Some(Client::Http2(_)))
    }

    /// The request is over: back into the pool if it can serve another one.
    pub(crate) fn give_back(mut self, now: Moment, max_requests: u32, max_age: Option<Duration>) {
        let Some(client) = self.client.take() else { return };
        self.host.stats.rq_active.dec();
        match client {
            Client::Http1(client) => self.give_back_http1(client, now, max_requests, max_age),
            Client::Http2(stream) => {
                let served = stream.channel().served();
                if max_requests > 0 && served >= max_requests && !stream.channel().is_closing() {
                    self.host.cluster.stats.upstream_cx_max_requests.inc();
                    stream.channel().close();
                }
            }
        }
    }

    fn give_back_http1(
        &self,
        mut client: Box<h1::Client>,
        now: Moment,
        max_requests: u32,
        max_age: Option<Duration>,
    ) {
        let mut worn = max_requests > 0 && client.requests >= max_requests;
        let old = max_age.is_some_and(|age| now.since(client.opened) >= age);
        if old {
            self.host.cluster.stats.upstream_cx_max_duration_reached.inc();
        }
        if worn {
            self.host.cluster.stats.upstream_cx_max_requests.inc();
        }
        worn |= old;
        count_bytes(&self.host, &mut client);
        if client.closing {
            self.host.cluster.stats.upstream_cx_close_notify.inc();
        }
        // Whoever waits in line takes it up at once.
        let pool = self.host.pool(self.priority);
        let in_order = !pool.has_line() || !client.wire.stream.has_news();
        if client.is_reusable() && in_order && !worn {
            client.last_used = now;
            client.wire.idle();
            pool.release(client);
        } else {
            let how = if client.wire.eof { Gone::Remote } else { Gone::Local };
            self.host.gone(self.priority, history(&client), how, now);
            self.host.pool(self.priority).closed();
        }
    }

    /// The connection proved dead: it is counted out. `Some`: its place in the pool is kept for a new
    /// one.
    pub(crate) fn into_place(mut self) -> Option<Rc<WorkerHost>> {
        match self.client.take() {
            Some(Client::Http1(mut client)) => {
                self.host.stats.rq_active.dec();
                count_bytes(&self.host, &mut client);
                self.host.gone(self.priority, history(&client), self.fate, clock::now());
                Some(self.host.clone())
            }
            other => {
                self.client = other;
                None
            }
        }
    }

    /// Counts what went over the connection since it was last counted. An HTTP/2 connection's own task
    /// counts for all its streams.
    pub(crate) fn count_bytes(&mut self) {
        if let Some(Client::Http1(client)) = &mut self.client {
            count_bytes(&self.host, client);
        }
    }
}

fn count_bytes(host: &WorkerHost, client: &mut h1::Client) {
    let (read, written) = client.wire.uncounted();
    host.cluster.stats.upstream_cx_rx_bytes_total.add(read);
    host.cluster.stats.upstream_cx_tx_bytes_total.add(written);
}

impl Drop for Leased {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        self.host.stats.rq_active.dec();
        match client {
            Client::Http1(mut client) => {
                count_bytes(&self.host, &mut client);
                let history = history(&client);
                self.host.gone(self.priority, history, self.fate, clock::now());
                self.host.pool(self.priority).closed();
            }
            Client::Http2(stream) if self.fate == Gone::LocalActive => {
                if !stream.is_complete() && !stream.is_ended_by_host() {
                    self.host.cluster.stats.upstream_rq_tx_reset.inc();
                }
            }
            Client::Http2(_) => {}
        }
    }
}
