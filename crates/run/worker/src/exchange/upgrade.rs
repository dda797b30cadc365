//! Upgrades (RFC 9110 section 7.8) and CONNECT (section 9.3.6): a request that asks for another
//! protocol, and the tunnel that its connection becomes once the host agrees.
//!
//! What the client sends behind its request is held back until then: it is the host's only if there
//! is a tunnel, and nobody's otherwise. Sources: `upgrade_configs` of the connection manager and of
//! `RouteAction`.

use dragoman_http_connection_manager::{is_upgrade, upgrade_kind};
use dragoman_router::Forward;
use dragoman_types::id;

use super::{Exchange, Stop};
use crate::lease::Leased;
use crate::manager::Manager;

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

    /// Whether what the request carries goes to the host as it is: of a CONNECT, or of a POST in its stead.
    pub(super) fn ends_here(&self, forward: &Forward) -> bool {
        match self.upgraded.is_some() {
            true => self.is_connect() && forward.terminates_connect(),
            false => forward.terminates_post() && self.x.request.method() == b"POST",
        }
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
        self.info.bytes_received += self.server.wire().map_or(0, |wire| wire.input.len() as u64);
        self.close |= !self.server.is_http2();
        self.manager.stats.downstream_rq_response_before_rq_complete.inc();
        self.manager.stats.downstream_rq_rx_reset.inc();
        if self.x.response.status < 400 && !self.is_connect() {
            self.info.details = Some("websocket_handshake_unsuccessful".into());
            self.x.response.headers.set(id::CONTENT_LENGTH, b"0");
            leased.client().ignore_body();
        }
    }
}
