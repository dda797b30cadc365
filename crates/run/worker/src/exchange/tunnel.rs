//! The tunnel that a request becomes once its host agrees: bytes both ways until a side ends. Between two
//! HTTP/1 connections the bytes are relayed as they are; where one side is a stream of HTTP/2 they are the
//! messages' bodies.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use dragoman_codec::Framing;
use dragoman_types::{Flags, Version};

use super::failure::Failure;
use super::patience::Expired;
use super::{Exchange, Stop};
use crate::h1::ResponseContext;
use crate::lease::Leased;
use crate::relay::{End, Way};
use crate::stream::{PumpError, Sink, pump};
use crate::upstream::Gone;

/// What ended a tunnel.
enum Over {
    /// The client ended its side first.
    ByClient,
    /// The host did.
    ByHost,
    /// The host's connection failed.
    HostFailed,
    /// Both ended what they had to say, which streams can.
    InOrder,
    Expired(Expired),
}

impl Over {
    fn of(expired: Option<Expired>) -> Over {
        expired.map_or(Over::ByClient, Over::Expired)
    }
}

/// Both ways of a tunnel.
struct Ways {
    up: Way,
    down: Way,
    /// What the connections' counts have of them.
    counted: (u64, u64, u64, u64),
    /// The answer's head went out.
    begun: bool,
    /// The client's way was over while the host's went on.
    client_first: bool,
}

impl Ways {
    /// Bytes read and written towards the host, then towards the client.
    fn counts(&self) -> (u64, u64, u64, u64) {
        (self.up.read, self.up.written, self.down.read, self.down.written)
    }
}

/// Both ways of a tunnel through messages' bodies.
#[derive(Default)]
struct Bodies {
    /// Bytes from the client, and from the host.
    up: u64,
    down: u64,
    up_finished: bool,
    up_over: bool,
    /// The client's way was over while the host's went on.
    client_first: bool,
}

impl Exchange<'_> {
    /// The answer is 101, or 2xx to a CONNECT: its head goes to the client, then bytes go both ways
    /// until a side ends.
    pub(super) async fn tunnel(&mut self, mut leased: Leased) -> Result<(), Stop> {
        let http10 = self.info.version == Some(Version::Http10);
        // A POST's bodies keep their frames.
        let posts = self.upgraded.is_none();
        let early = posts && !self.server.is_received();
        if early {
            self.manager.stats.downstream_rq_response_before_rq_complete.inc();
        }
        let context = ResponseContext { to_head: false, http10, close: early, tunnel: !posts };
        let framing = if posts { Framing::Chunked } else { Framing::None };
        self.close = self.server.respond(&mut self.x.response, framing, context);
        self.responded = true;
        if posts {
            return self.tunnel_bodies(leased).await;
        }
        let pool = &self.worker.buffers;
        let (Some(client), Some(host)) = (self.server.wire(), leased.client().wire()) else {
            return self.tunnel_bodies(leased).await;
        };
        let mut ways = Ways {
            up: Way::new(std::mem::take(&mut client.input), pool.clone()),
            down: Way::new(std::mem::take(&mut host.input), pool.clone()),
            counted: (0, 0, 0, 0),
            begun: false,
            client_first: false,
        };
        // What was read already is in the connections' counts.
        ways.counted = ways.counts();
        client.bytes_taken += ways.up.read;
        host.bytes_taken += ways.down.read;
        self.info.bytes_received += ways.up.read;
        self.info.bytes_sent = ways.down.read;
        self.patience.request_goes_on();
        self.patience.moved(self.worker.clock.now());
        let mut woken = false;
        let over = poll_fn(|cx| {
            self.worker.clock.read_when_woken(&mut woken);
            self.poll_tunnel(cx, &mut ways, &mut leased)
        })
        .await;
        (self.info.upstream_wire_received, self.info.upstream_wire_sent) = leased.wire_bytes();
        if let Some(client) = self.server.wire() {
            client.eof |= ways.up.end.is_some_and(|end| end != End::Gone);
        }
        self.tunnel_ended(over, leased)
    }

    fn poll_tunnel(
        &mut self,
        cx: &mut Context<'_>,
        ways: &mut Ways,
        leased: &mut Leased,
    ) -> Poll<Over> {
        // The answer's head goes first; the request's did, or the host wouldn't have answered.
        if !ways.begun {
            match self.server.poll_flush(cx) {
                Poll::Ready(Ok(())) => ways.begun = true,
                Poll::Ready(Err(_)) => return Poll::Ready(Over::ByClient),
                Poll::Pending => return self.poll_limits(cx, None).map(Over::of),
            }
        }
        let Some(client) = self.server.wire() else { return Poll::Ready(Over::ByClient) };
        let Some(host) = leased.client().wire() else { return Poll::Ready(Over::ByHost) };
        let sent = ways.up.poll(cx, &mut client.stream, &mut host.stream);
        ways.client_first |= sent.is_ready() && ways.up.end != Some(End::Gone);
        let answered = ways.down.poll(cx, &mut host.stream, &mut client.stream);
        let now = ways.counts();
        let before = std::mem::replace(&mut ways.counted, now);
        if now != before {
            client.relayed(now.0 - before.0, now.3 - before.3);
            host.relayed(now.2 - before.2, now.1 - before.1);
            self.info.bytes_received += now.0 - before.0;
            self.info.bytes_sent = now.2;
            self.patience.moved(self.worker.clock.now());
            self.manager.count_bytes(client);
            leased.count_bytes();
        }
        match (answered, ways.down.end) {
            // The client is gone: nobody to answer.
            (Poll::Ready(()), Some(End::Gone)) => return Poll::Ready(Over::ByClient),
            (Poll::Ready(()), _) if ways.client_first => return Poll::Ready(Over::ByClient),
            (Poll::Ready(()), _) => return Poll::Ready(Over::ByHost),
            _ => {}
        }
        // A client that failed waits for nothing more.
        if ways.up.end == Some(End::Reset) {
            return Poll::Ready(Over::ByClient);
        }
        self.poll_limits(cx, None).map(Over::of)
    }

    /// A tunnel of which at least one side is a stream of HTTP/2, or a POST.
    async fn tunnel_bodies(&mut self, mut leased: Leased) -> Result<(), Stop> {
        let client = self.server.wire().filter(|_| self.upgraded.is_some());
        for wire in [client, leased.client().wire()].into_iter().flatten() {
            wire.become_raw();
        }
        self.patience.request_goes_on();
        self.patience.moved(self.worker.clock.now());
        let mut bodies = Bodies::default();
        let mut woken = false;
        let over = poll_fn(|cx| {
            self.worker.clock.read_when_woken(&mut woken);
            self.poll_bodies(cx, &mut bodies, &mut leased)
        })
        .await;
        (self.info.upstream_wire_received, self.info.upstream_wire_sent) = leased.wire_bytes();
        self.tunnel_ended(over, leased)
    }

    fn poll_bodies(
        &mut self,
        cx: &mut Context<'_>,
        bodies: &mut Bodies,
        leased: &mut Leased,
    ) -> Poll<Over> {
        let before = (bodies.up, bodies.down);
        let over = self.poll_both(cx, bodies, leased);
        if before != (bodies.up, bodies.down) {
            self.info.bytes_received += bodies.up - before.0;
            self.info.bytes_sent = bodies.down;
            self.patience.moved(self.worker.clock.now());
            self.server.count_bytes(self.manager);
            leased.count_bytes();
        }
        if over.is_ready() {
            return over;
        }
        if self.server.is_http2() && self.server.poll_gone(cx).is_ready() {
            return Poll::Ready(Over::ByClient);
        }
        self.poll_limits(cx, None).map(Over::of)
    }

    /// Moves what there is, both ways.
    fn poll_both(
        &mut self,
        cx: &mut Context<'_>,
        bodies: &mut Bodies,
        leased: &mut Leased,
    ) -> Poll<Over> {
        if !bodies.up_over {
            let (moved, finished) = (&mut bodies.up, &mut bodies.up_finished);
            match pump(&mut self.server, leased.client(), moved, finished, cx) {
                Poll::Ready(Ok(())) => {
                    bodies.up_over = true;
                    // The end of a POST's body is no end of the tunnel.
                    bodies.client_first = self.upgraded.is_some();
                    if let Some(host) = leased.client().wire() {
                        // A host that is gone is noticed by who reads from it.
                        let _ = host.stream.shutdown();
                    }
                }
                Poll::Ready(Err(PumpError::Source(_))) => return Poll::Ready(Over::ByClient),
                Poll::Ready(Err(PumpError::Sink)) => bodies.up_over = true,
                Poll::Pending => {}
            }
        }
        let (moved, finished) = (&mut bodies.down, &mut self.response_finished);
        let answered = ready!(pump(leased.client(), &mut self.server, moved, finished, cx));
        // A host that speaks HTTP/2 ends its stream; one that was sent no head, what it has to say.
        let ends = leased.is_http2() || (self.server.is_http2() && !self.request_sent);
        Poll::Ready(match answered {
            Ok(()) if ends && self.server.is_http2() => Over::InOrder,
            Ok(()) if bodies.client_first => Over::ByClient,
            Ok(()) => Over::ByHost,
            Err(PumpError::Source(_)) if bodies.client_first => Over::ByClient,
            Err(PumpError::Source(_)) => Over::HostFailed,
            Err(PumpError::Sink) => Over::ByClient,
        })
    }

    fn tunnel_ended(&mut self, over: Over, mut leased: Leased) -> Result<(), Stop> {
        let stats = &self.manager.stats;
        let posts = self.upgraded.is_none();
        if !posts {
            stats.downstream_rq_response_before_rq_complete.inc();
        }
        if !posts && !matches!(over, Over::ByClient) {
            stats.downstream_rq_rx_reset.inc();
        }
        match over {
            Over::ByClient => Err(self.stop_for(Failure::ClientGone)),
            Over::Expired(which) => Err(self.stop_for(Failure::Expired(which))),
            // A host that was sent no head is through with its own protocol.
            Over::InOrder | Over::ByHost if posts || !self.request_sent => {
                if posts && self.server.is_received() {
                    leased.fate = Gone::Remote;
                }
                Ok(())
            }
            Over::InOrder => Ok(()),
            Over::HostFailed if posts => {
                leased.fate = Gone::RemoteActive;
                self.host_ended();
                Err(Stop::Cut)
            }
            // All that the host sent has gone out: the connection ends in good order.
            Over::ByHost | Over::HostFailed => {
                // A CONNECT's end is the end of its answer.
                if !self.is_connect() {
                    leased.fate = Gone::RemoteActive;
                }
                self.host_ended();
                Ok(())
            }
        }
    }

    fn host_ended(&mut self) {
        self.info.flags.insert(Flags::UPSTREAM_CONNECTION_TERMINATION);
        let details = "upstream_reset_after_response_started{connection_termination}";
        self.info.details = Some(details.into());
        let stats = &self.manager.stats;
        stats.rq_reset_after_downstream_response_started.inc();
        stats.downstream_rq_tx_reset.inc();
    }
}
