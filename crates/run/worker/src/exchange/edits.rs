//! What becomes of the heads: the request's on its way to the host, the response's on its way back.

use dragoman_filter::Hold;
use dragoman_router::{Route, VirtualHost, WeightedEntry};
use dragoman_types::{Facts, id};

use super::Exchange;
use crate::context::WorkerRoutes;

impl Exchange<'_> {
    /// The router's own headers are added unless the configuration suppresses them.
    pub(super) fn envoy_headers(&self) -> bool {
        !self.manager.shared.suppress_envoy_headers
    }

    pub(super) fn edit_request(
        &mut self,
        routes: &WorkerRoutes,
        route: &Route,
        entry: Option<&WeightedEntry>,
    ) {
        let keep = self.envoy_headers();
        let mut facts = Facts::new(self.connection, &self.info);
        facts.cluster = self.cluster.as_ref().map(|c| &*c.config().stat_name);
        facts.route_name = Some(route.name()).filter(|name| !name.is_empty());
        let x = &mut *self.x;
        let mut edits = self.worker.edits();
        routes.table().edit_request(route, entry, &mut x.request, &facts, keep, &mut edits);
        drop(edits);
        self.tell_timeout();
        let x = &mut *self.x;
        let host = routes.table().virtual_hosts().get(route.virtual_host());
        if host.is_some_and(VirtualHost::include_request_attempt_count) {
            x.request.headers.set(id::X_ENVOY_ATTEMPT_COUNT, b"1");
        }
    }

    /// The host is told how long it has (`x-envoy-expected-rq-timeout-ms`).
    pub(super) fn tell_timeout(&mut self) {
        let Some(left) = self.patience.told(self.worker.clock.now()) else { return };
        if self.envoy_headers() {
            let mut digits = itoa::Buffer::new();
            let value = digits.format(left.as_millis() as u64).as_bytes();
            self.x.request.headers.set(id::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, value);
        }
        if self.patience.told_grpc {
            let value = format!("{}m", left.as_millis());
            self.x.request.headers.set(id::GRPC_TIMEOUT, value.as_bytes());
        }
    }

    /// The client is told how often a host was asked (`include_attempt_count_in_response`).
    pub(super) fn tell_attempts(&mut self, routes: &WorkerRoutes, route: &Route) {
        let host = routes.table().virtual_hosts().get(route.virtual_host());
        if host.is_some_and(VirtualHost::include_attempt_count_in_response) {
            let mut digits = itoa::Buffer::new();
            let count = digits.format(self.info.attempts.max(1)).as_bytes();
            self.x.response.headers.set(id::X_ENVOY_ATTEMPT_COUNT, count);
        }
    }

    /// Says whether the response waits for its body.
    pub(super) fn edit_response(
        &mut self,
        routes: &WorkerRoutes,
        route: &Route,
        entry: Option<&WeightedEntry>,
        bare: bool,
    ) -> Hold {
        if self.envoy_headers()
            && let Some(waited) = self.upstream_service_time()
        {
            let mut digits = itoa::Buffer::new();
            let value = digits.format(waited).as_bytes();
            self.x.response.headers.set(id::X_ENVOY_UPSTREAM_SERVICE_TIME, value);
        }
        self.tell_attempts(routes, route);
        let mut facts = Facts::new(self.connection, &self.info);
        let x = &mut *self.x;
        facts.request = Some(&x.request);
        facts.upstream_host = self.host.as_ref().map(|h| &h.host.address);
        facts.cluster = self.cluster.as_ref().map(|c| &*c.config().stat_name);
        facts.route_name = Some(route.name()).filter(|name| !name.is_empty());
        let mut edits = self.worker.edits();
        routes.table().edit_response(route, entry, &mut x.response, &facts, &mut edits);
        drop(edits);
        self.finish_response(bare)
    }

    /// The filters' edits, then what the connection manager adds to every response.
    pub(super) fn finish_response(&mut self, bare: bool) -> Hold {
        let held = match self.filtered {
            Some(filters) => self.filter_response(filters, bare),
            None => Hold::Nothing,
        };
        let (request, response) = (&self.x.request, &mut self.x.response);
        let config = &self.manager.shared.config;
        self.worker.clock.with_date(|date| {
            config.finish_response(response, Some(request), date);
        });
        held
    }
}
