//! Upgrades (RFC 9110 section 7.8) and CONNECT (section 9.3.6): a request that asks for another
//! protocol, and the tunnel that its connection becomes once the host agrees.
//!
//! What the client sends behind its request is held back until then: it is the host's only if there
//! is a tunnel, and nobody's otherwise. Sources: `upgrade_configs` of the connection manager and of
//! `RouteAction`.

use std::future::poll_fn;
use std::task::{Context, Poll};

use dragoman_codec::h1::Framing;
use dragoman_http_connection_manager::{is_upgrade, upgrade_kind};
use dragoman_router::Forward;
use dragoman_types::{Flags, Version, id};

use super::leg::Failure;
use super::patience::Expired;
use super::{Exchange, Stop};
use crate::h1::ResponseContext;
use crate::manager::Manager;
use crate::relay::{End, Way};
use crate::stream::Sink;
use crate::upstream::{Gone, Leased};

/// What ended a tunnel.
enum Over {
    /// The client ended its side first.
    ByClient,
    /// The host did.
    ByHost,
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

/// An upgrade that was let through, counted however it ends.
pub(super) struct Upgraded<'a>(&'a Manager);

impl<'a> Upgraded<'a> {
    fn new(manager: &'a Manager) -> Upgraded<'a> {
        manager.stats.downstream_cx_upgrades_total.inc();
        manager.stats.downstream_cx_upgrades_active.inc();
        Upgraded(manager)
    }
}

impl Drop for Upgraded<'_> {
    fn drop(&mut self) {
        self.0.stats.downstream_cx_upgrades_active.dec();
    }
}

impl Exchange<'_> {
    /// Upgrades are refused unless configuration allows them.
    pub(super) fn check_upgrade(&mut self, forward: &Forward) -> Result<(), Stop> {
        if !self.wants_upgrade {
            return Ok(());
        }
        let allowed = forward.upgrade(upgrade_kind(&self.x.request));
        self.manager.shared.config.check_upgrade(&self.x.request, allowed)?;
        self.upgraded = Some(Upgraded::new(self.manager));
        if self.is_connect() {
            self.patience.request_goes_on();
        }
        // What follows on the connection is part of it.
        self.info.phases.request_end = None;
        Ok(())
    }

    /// Whether the host may answer with the 101 that is here: the upgrade was let through, the host has
    /// the whole request, and says what it switches to (RFC 9110 section 7.8).
    pub(super) fn may_switch(&self) -> bool {
        self.upgraded.is_some() && self.request_sent && is_upgrade(&self.x.response.headers)
    }

    /// Whether the host's answer makes the connection a tunnel.
    pub(super) fn switches(&self) -> bool {
        match self.x.response.status {
            101 => self.upgraded.is_some(),
            200..=299 => self.upgraded.is_some() && self.is_connect(),
            _ => false,
        }
    }

    pub(super) fn is_connect(&self) -> bool {
        self.x.request.method() == b"CONNECT"
    }

    /// A CONNECT ends here: the host speaks no HTTP, so the answer is our own.
    pub(super) fn agree(&mut self, leased: &Leased) {
        self.x.response.clear();
        self.x.response.status = 200;
        self.answered(leased);
    }

    /// The host declined: its answer goes to the client, and the connection ends behind it, for what
    /// the client sent already was meant for the tunnel. Of an answer that is
    /// no error the body, as in Envoy, isn't passed on.
    pub(super) fn decline(&mut self, leased: &mut Leased) {
        if self.upgraded.is_none() || self.switches() {
            return;
        }
        self.info.bytes_received += self.server.wire.input.len() as u64;
        self.close = true;
        self.manager.stats.downstream_rq_response_before_rq_complete.inc();
        self.manager.stats.downstream_rq_rx_reset.inc();
        if self.x.response.status < 400 && !self.is_connect() {
            self.info.details = Some("websocket_handshake_unsuccessful".into());
            self.x.response.headers.set(id::CONTENT_LENGTH, b"0");
            let client = leased.client();
            client.wire.receive(Framing::None, client.limits);
        }
    }

    /// The answer is 101, or 2xx to a CONNECT: its head goes to the client, then bytes go both ways until a side ends.
    pub(super) async fn tunnel(&mut self, mut leased: Leased) -> Result<(), Stop> {
        let http10 = self.info.version == Some(Version::Http10);
        let context = ResponseContext { to_head: false, http10, close: false, tunnel: true };
        self.close = self.server.respond(&mut self.x.response, Framing::None, context);
        self.responded = true;
        let pool = &self.worker.buffers;
        let (client, host) = (&mut self.server.wire, &mut leased.client().wire);
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
        self.patience.request_goes_on();
        self.patience.moved(self.worker.clock.now());
        let mut woken = false;
        let over = poll_fn(|cx| {
            self.worker.clock.read_when_woken(&mut woken);
            self.poll_tunnel(cx, &mut ways, &mut leased)
        })
        .await;
        self.info.bytes_received += ways.up.read;
        self.info.bytes_sent = ways.down.read;
        (self.info.upstream_wire_received, self.info.upstream_wire_sent) = leased.wire_bytes();
        self.server.wire.eof |= ways.up.end.is_some_and(|end| end != End::Gone);
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
        let (client, host) = (&mut self.server.wire, &mut leased.client().wire);
        let sent = ways.up.poll(cx, &mut client.stream, &mut host.stream);
        ways.client_first |= sent.is_ready() && ways.up.end != Some(End::Gone);
        let answered = ways.down.poll(cx, &mut host.stream, &mut client.stream);
        let now = ways.counts();
        let before = std::mem::replace(&mut ways.counted, now);
        if now != before {
            client.relayed(now.0 - before.0, now.3 - before.3);
            host.relayed(now.2 - before.2, now.1 - before.1);
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

    fn tunnel_ended(&mut self, over: Over, mut leased: Leased) -> Result<(), Stop> {
        let stats = &self.manager.stats;
        stats.downstream_rq_response_before_rq_complete.inc();
        if !matches!(over, Over::ByClient) {
            stats.downstream_rq_rx_reset.inc();
        }
        match over {
            Over::ByClient => Err(self.stop_for(Failure::ClientGone)),
            Over::Expired(which) => Err(self.stop_for(Failure::Expired(which))),
            // A host that was sent no head is through with its own protocol.
            Over::ByHost if !self.request_sent => Ok(()),
            // All that the host sent has gone out: the connection ends in good order.
            Over::ByHost => {
                // A CONNECT's end is the end of its answer.
                if !self.is_connect() {
                    leased.fate = Gone::RemoteActive;
                }
                self.info.flags.insert(Flags::UPSTREAM_CONNECTION_TERMINATION);
                let details = "upstream_reset_after_response_started{connection_termination}";
                self.info.details = Some(details.into());
                stats.rq_reset_after_downstream_response_started.inc();
                stats.downstream_rq_tx_reset.inc();
                Ok(())
            }
        }
    }
}
