//! Which upgrades (`websocket`, `CONNECT`) are let through. Asked once a route is known, because a
//! request without one is a 404 whatever it wanted to become.
//! Source: `HttpConnectionManager.upgrade_configs`, `RouteAction.upgrade_configs`.

use dragoman_proto::bool_or;
use dragoman_proto::pb::envoy::extensions::filters::network::http_connection_manager::v3 as proto;
use dragoman_types::{Faults, LocalReply, RequestHead, id};

use crate::config::Config;

/// One kind of upgrade that the configuration names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upgrade {
    pub kind: Box<str>,
    pub enabled: bool,
}

pub(crate) fn compile(
    configs: &[proto::http_connection_manager::UpgradeConfig],
    faults: &mut Faults,
) -> Vec<Upgrade> {
    let mut out: Vec<Upgrade> = Vec::new();
    for (index, config) in configs.iter().enumerate() {
        faults.item("upgrade_configs", index, |faults| {
            if out.iter().any(|other| other.kind.eq_ignore_ascii_case(&config.upgrade_type)) {
                faults.add_at("upgrade_type", "duplicate", "is listed twice");
            }
        });
        let enabled = bool_or(config.enabled.as_ref(), true);
        out.push(Upgrade { kind: config.upgrade_type.as_str().into(), enabled });
    }
    out
}

/// What a request wants to become; only for requests accepted with `upgrade`.
pub fn upgrade_kind(head: &RequestHead) -> &[u8] {
    match head.method() {
        b"CONNECT" => b"CONNECT",
        _ => head.headers.get(id::UPGRADE).unwrap_or_default(),
    }
}

impl Config {
    /// As [`Config::check_upgrade`], for an upgrade to `kind`.
    pub fn allows_upgrade(&self, kind: &[u8], route: Option<bool>) -> bool {
        let named = self.upgrades.iter().find(|u| u.kind.as_bytes().eq_ignore_ascii_case(kind));
        route.or(named.map(|u| u.enabled)).unwrap_or(false)
    }

    /// Whether a request that asks for an upgrade may have it. `route`: what the route's own
    /// `upgrade_configs` say of this kind.
    ///
    /// # Errors
    /// 403 `upgrade_failed`; the connection ends, for what follows on it may be the payload of an
    /// upgrade that never came to be.
    pub fn check_upgrade(&self, head: &RequestHead, route: Option<bool>) -> Result<(), LocalReply> {
        if self.allows_upgrade(upgrade_kind(head), route) {
            return Ok(());
        }
        let cause = "upgrade_configs doesn't list this upgrade";
        Err(LocalReply::new(403, "upgrade_failed").cause(cause).close())
    }
}
