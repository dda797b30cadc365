//! Edits of a request on its way to the cluster and of the response on its way back.

use dragoman_types::{Facts, LocalReply, RequestHead, ResponseHead};

use crate::forward::{Forward, WeightedEntry};
use crate::rewrite::{HowToKeep, set_authority};
use crate::route::{Action, Route};
use crate::table::RouteTable;
use dragoman_edits::Scratch;

impl RouteTable {
    /// Edits a request that is forwarded: header fields (the drawn weighted cluster's first, then
    /// route, virtual host, table, or the reverse of these three), then host, then path.
    ///
    /// `facts.request` is not read: values see the request as it then stands. With `envoy_headers`
    /// (the router's `suppress_envoy_headers` is off) what was rewritten is kept in
    /// `x-envoy-original-path` and `x-envoy-original-host`.
    pub fn edit_request(
        &self,
        route: &Route,
        entry: Option<&WeightedEntry>,
        request: &mut RequestHead,
        facts: &Facts<'_>,
        envoy_headers: bool,
        scratch: &mut Scratch,
    ) {
        if let Some(entry) = entry {
            if let Some(edits) = &entry.request {
                edits.edit_request(request, facts, scratch);
            }
            if let Some(host) = &entry.host {
                request.headers.set(dragoman_types::id::AUTHORITY, host);
            }
        }
        let host = &self.virtual_hosts[route.virtual_host];
        let mut levels = [&route.request, &host.request, &self.request];
        if self.most_specific_wins {
            levels.reverse();
        }
        for level in levels.into_iter().flatten() {
            level.edit_request(request, facts, scratch);
        }
        if let Action::Forward(forward) = &route.action
            && let Some(rewrite) = &forward.rewrite
        {
            let how =
                HowToKeep { original: envoy_headers, forwarded: forward.append_x_forwarded_host };
            rewrite.host.apply(request, facts, how, scratch);
            rewrite.path.apply(&route.path, request, facts, envoy_headers, scratch);
        }
    }

    /// Edits a response's header fields. A real Envoy does so for proxied responses, for the
    /// router's own answers on a route (redirects, direct responses, upstream failures, a missing
    /// cluster), not for other filters' answers nor for [`crate::answer_require_tls`]; in local
    /// answers it does so before `content-length` and `content-type` are put in.
    pub fn edit_response(
        &self,
        route: &Route,
        entry: Option<&WeightedEntry>,
        response: &mut ResponseHead,
        facts: &Facts<'_>,
        scratch: &mut Scratch,
    ) {
        if let Some(edits) = entry.and_then(|entry| entry.response.as_ref()) {
            edits.edit_response(response, facts, scratch);
        }
        let host = &self.virtual_hosts[route.virtual_host];
        let mut levels = [&route.response, &host.response, &self.response];
        if self.most_specific_wins {
            levels.reverse();
        }
        for level in levels.into_iter().flatten() {
            level.edit_response(response, facts, scratch);
        }
    }

    /// The answer of a route that answers itself; `None` where it forwards. Request header edits
    /// don't apply to such requests. A `body_format` is written here already.
    pub fn answer(
        &self,
        route: &Route,
        request: &mut RequestHead,
        facts: &Facts<'_>,
        envoy_headers: bool,
        scratch: &mut Scratch,
    ) -> Option<LocalReply> {
        match &route.action {
            Action::Forward(_) => None,
            Action::Redirect(redirect) => {
                Some(redirect.reply(&route.path, request, facts, envoy_headers, scratch))
            }
            Action::Direct(direct) => Some(direct.reply(request, facts, &mut scratch.format)),
        }
    }
}

impl Forward {
    /// Makes the picked host's name the authority (`auto_host_rewrite`).
    pub fn use_host_name(
        &self,
        request: &mut RequestHead,
        host_name: &str,
        envoy_headers: bool,
        scratch: &mut Scratch,
    ) {
        scratch.bytes.clear();
        scratch.bytes.extend_from_slice(host_name.as_bytes());
        let how = HowToKeep { original: envoy_headers, forwarded: self.append_x_forwarded_host };
        set_authority(&mut request.headers, how, &mut scratch.bytes);
    }
}
