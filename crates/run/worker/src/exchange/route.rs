//! Where a request goes: its route, its cluster, or an answer that the route gives itself.

use std::borrow::Cow;
use std::rc::Rc;

use dragoman_router::{
    Action, Asked, Certificate, Cluster, Forward, Found, Route, WeightedEntry, answer_require_tls,
};
use dragoman_types::Facts;
use dragoman_types::tls::Tls;

use super::{Exchange, Stop};
use crate::context::{Worker, WorkerRoutes, WorkerSnapshot};

/// Where a request is to go, before anything is done about it.
pub(super) struct Chosen<'r> {
    pub(super) found: Found<'r>,
    /// The cluster's name, if the route or the request names one.
    pub(super) cluster: Option<Cow<'r, str>>,
    /// The weighted entry that was drawn.
    pub(super) entry: Option<&'r WeightedEntry>,
}

impl Exchange<'_> {
    pub(super) fn find_routes(&mut self, snapshot: &WorkerSnapshot) -> Option<Rc<WorkerRoutes>> {
        let manager = self.manager;
        self.routes = Worker::routes(snapshot, &manager.shared.routes, &manager.inline_routes);
        self.routes.clone()
    }

    /// Looks up route and cluster; nothing is answered or counted yet.
    pub(super) fn choose<'r>(
        &mut self,
        routes: &'r WorkerRoutes,
        snapshot: &WorkerSnapshot,
    ) -> Chosen<'r> {
        let asked = Asked {
            tls: self.connection.tls.is_some(),
            certificate: certificate(self.connection.tls.as_deref()),
            random: self.worker.random(),
        };
        let found = routes.table().find(&self.x.request, &asked);
        let mut chosen = Chosen { found, cluster: None, entry: None };
        let Found::Route(route, _) = found else { return chosen };
        self.route = Some(route.index());
        let Some(target) = route.target(&self.x.request, asked.random) else { return chosen };
        chosen.entry = target.entry;
        match target.cluster {
            Cluster::Named { name, slot } => {
                self.cluster = routes.cluster(slot, snapshot);
                chosen.cluster = Some(Cow::Borrowed(name));
            }
            Cluster::Header(name) => {
                let name = String::from_utf8(name.into()).ok();
                self.cluster = name.as_deref().and_then(|n| snapshot.clusters.get(n)).cloned();
                chosen.cluster = name.map(Cow::Owned);
            }
            Cluster::Missing => {}
        }
        chosen
    }

    /// As [`Exchange::choose`], for the request that filters made of it.
    pub(super) fn choose_again<'r>(
        &mut self,
        routes: &'r WorkerRoutes,
        snapshot: &WorkerSnapshot,
    ) -> Chosen<'r> {
        (self.route, self.cluster) = (None, None);
        self.choose(routes, snapshot)
    }

    pub(super) fn find_route<'r>(&mut self, found: Found<'r>) -> Result<&'r Route, Stop> {
        match found {
            Found::Route(route, _) => Ok(route),
            Found::NoHost => Err(self.no_route("no virtual host has this domain")),
            Found::NoRoute(_) => Err(self.no_route("no route of the virtual host matches")),
            Found::RequireTls(_) => Err(answer_require_tls(&self.x.request).into()),
        }
    }

    pub(super) fn answer_or_forward<'r>(
        &mut self,
        routes: &WorkerRoutes,
        route: &'r Route,
    ) -> Result<&'r Forward, Stop> {
        let stats = &self.manager.stats;
        match route.action() {
            Action::Forward(forward) => return Ok(forward),
            // A real Envoy counts both so.
            Action::Redirect(_) | Action::Direct(_) => stats.rq_direct_response.inc(),
        }
        let keep = self.envoy_headers();
        let facts = Facts::new(self.connection, &self.info);
        let mut edits = self.worker.edits();
        match routes.table().answer(route, &mut self.x.request, &facts, keep, &mut edits) {
            Some(reply) => Err(reply.into()),
            None => Err(self.no_route("the route has no action")),
        }
    }
}

/// What the routes' `tls_context` asks for.
fn certificate(tls: Option<&Tls>) -> Certificate {
    match tls {
        Some(tls) if tls.validated => Certificate::Validated,
        Some(tls) if tls.peer.is_some() => Certificate::Presented,
        _ => Certificate::Absent,
    }
}
