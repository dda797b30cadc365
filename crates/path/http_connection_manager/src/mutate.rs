//! The forwarding and identifying fields of a request that was let in: what is taken off, what is
//! written, in the order in which Envoy's fields stand.

use dragoman_types::{Address, Headers, RequestHead, StreamInfo, id};

use crate::accept::{Accepted, Arrival, CANDIDATES, Scratch, is_dropped};
use crate::client_address::{Client, write_ip};
use crate::config::Config;
use crate::ids::Seen;
use crate::{hop_by_hop, sanitize, target};

impl Config {
    #[allow(clippy::too_many_arguments)] // one call site; a struct would only rename them
    pub(crate) fn mutate(
        &self,
        head: &mut RequestHead,
        arrival: &Arrival<'_>,
        info: &mut StreamInfo,
        seen: &Seen,
        accepted: &mut Accepted,
        random: &mut impl FnMut() -> u64,
        scratch: &mut Scratch,
    ) {
        let text = scratch.text();
        let client = self.client.apply(&mut head.headers, arrival, text);
        self.take_off(head, arrival, seen, accepted.upgrade, &client);
        if client.internal {
            head.headers.set(id::X_ENVOY_INTERNAL, b"true");
        }
        self.identify(head);
        self.append_via(&mut head.headers);
        if let (true, Address::Ip(socket)) = (client.edge, &client.address) {
            let shown = match client.is_peer {
                true => arrival.connection.remote_ip.as_bytes(),
                false => {
                    write_ip(socket.ip(), text);
                    text
                }
            };
            head.headers.set(id::X_ENVOY_EXTERNAL_ADDRESS, shown);
        }
        self.request_id.apply(&mut head.headers, client.edge, random);
        accepted.internal = client.internal;
        info.remote = Some(client.address);
    }

    /// One pass takes off all that must go; mostly there is nothing and no pass.
    fn take_off(
        &self,
        head: &mut RequestHead,
        arrival: &Arrival<'_>,
        seen: &Seen,
        upgrade: bool,
        client: &Client,
    ) {
        if seen.any.meets(CANDIDATES) {
            let mut drop = sanitize::ALWAYS.union(hop_by_hop::REQUEST);
            if !upgrade {
                drop = drop.union(hop_by_hop::NOT_UPGRADE);
            }
            if !client.internal {
                drop = drop.union(sanitize::EXTERNAL);
            }
            if client.edge {
                drop = drop.union(sanitize::EDGE);
            }
            head.headers.retain(|id, _, _| !is_dropped(drop, id));
        }
        if seen.any.has(id::TE) {
            hop_by_hop::sanitize_te(&mut head.headers);
        }
        if seen.any.has(id::REFERER)
            && head.headers.get(id::REFERER).is_some_and(|value| !target::is_referer(value))
        {
            head.headers.remove(id::REFERER);
        }
        let tls = arrival.connection.tls.as_deref();
        if tls.is_some() || seen.any.has(id::X_FORWARDED_CLIENT_CERT) {
            self.forward_client_cert.apply(&mut head.headers, tls);
        }
        if !client.internal {
            for name in arrival.internal_only_headers {
                head.headers.remove(name);
            }
        }
    }

    /// `add_user_agent`: who is in front, for the next Envoy.
    fn identify(&self, head: &mut RequestHead) {
        let Some(agent) = &self.user_agent else { return };
        head.headers.set(id::X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER, &agent.cluster);
        if head.headers.get(id::USER_AGENT).is_none_or(<[u8]>::is_empty) {
            head.headers.set(id::USER_AGENT, &agent.cluster);
        }
        if !agent.node.is_empty() {
            head.headers.set(id::X_ENVOY_DOWNSTREAM_SERVICE_NODE, &agent.node);
        }
    }

    pub(crate) fn append_via(&self, headers: &mut Headers) {
        if !self.via.is_empty() {
            headers.join(id::VIA, b", ", &self.via);
        }
    }
}
