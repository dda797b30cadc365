//! All resources compiled and checked against each other. Nothing here has effects: a publish that
//! fails leaves no trace.

use std::sync::Arc;

use dragoman_balancers::Builtins;
use dragoman_cluster::{Cluster, Endpoints, UpstreamProtocol};
use dragoman_proto::pb::envoy::config::core::v3::TransportSocket;
use dragoman_router::RouteTable;
use dragoman_transport::tls::{Current, check_secret};
use dragoman_transport::{DownstreamTls, UpstreamTls};
use dragoman_types::{Fault, Faults};
use indexmap::IndexMap;

use crate::listener::{self, Before, ListenerPlan};
use crate::network::{Means, NetworkPlan, RouteRef};
use crate::resources::{Kind, ResourceFault, Resources};
use crate::transport_socket::{self, UpstreamSocket};

/// Everything compiled. What came from an unchanged message is the same object as before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) clusters: IndexMap<String, Arc<Cluster>>,
    /// By cluster.
    pub(crate) upstream_sockets: IndexMap<String, UpstreamSocket>,
    pub(crate) routes: IndexMap<String, Arc<RouteTable>>,
    pub(crate) listeners: IndexMap<String, Arc<ListenerPlan>>,
    /// What secrets that were fetched make anew, to be taken over with the plan.
    pub(crate) renewals: Vec<Renewal>,
}

/// Compiles `next`, reusing from `plan` what `previous` had alike.
pub(crate) fn compile(
    next: &Resources,
    previous: &Resources,
    plan: &Plan,
    means: &Means<'_>,
    faults: &mut Vec<ResourceFault>,
) -> Plan {
    let step = Step { next, previous, plan };
    let mut out = Plan::default();
    step.check_secrets(faults);
    // Each context that uses a bad secret would say the same.
    if !faults.is_empty() {
        return out;
    }
    step.clusters(&mut out, faults);
    step.routes(&mut out, faults);
    step.listeners(&mut out, means, faults);
    check(&out, next, faults);
    out
}

/// From one version to the next.
struct Step<'a> {
    next: &'a Resources,
    previous: &'a Resources,
    plan: &'a Plan,
}

impl Step<'_> {
    fn check_secrets(&self, faults: &mut Vec<ResourceFault>) {
        for (key, secret) in &self.next.sds {
            if !same(self.previous.sds.get(key), Some(secret)) {
                gather(Kind::Sds, key, faults, |f| {
                    check_secret(secret, f);
                    Some(())
                });
            }
        }
    }

    /// Static secrets change rarely: what is made from one is made anew when any of them has.
    fn secrets_same(&self) -> bool {
        self.next.secrets == self.previous.secrets
    }

    fn clusters(&self, out: &mut Plan, faults: &mut Vec<ResourceFault>) {
        let (next, previous) = (self.next, self.previous);
        let secrets_same = self.secrets_same();
        for (name, message) in &next.clusters {
            let assigned = next.endpoints.get(name);
            let socket = message.transport_socket.as_ref();
            let same = same(previous.clusters.get(name), Some(message))
                && same(previous.endpoints.get(name), assigned)
                && (secrets_same || socket.is_none());
            let before = self.plan.upstream_sockets.get(name);
            let kept = self.plan.clusters.get(name).filter(|_| same).cloned().zip(before.cloned());
            if let Some(tls) = kept.as_ref().and_then(|(_, socket)| socket.tls.as_ref())
                && changed(socket, next, previous)
            {
                out.renewals.extend(gather(Kind::Cluster, name, faults, |f| {
                    let fresh = transport_socket::upstream(socket, next, f).tls?;
                    Some(Renewal::Upstream(tls.clone(), fresh))
                }));
            }
            let compiled = kept.or_else(|| {
                gather(Kind::Cluster, name, faults, |f| {
                    let mut cluster = Cluster::compile(message, &Builtins, f)?;
                    if let Some(assigned) = assigned {
                        cluster.endpoints = Endpoints::compile(assigned, false, f);
                    }
                    let socket = transport_socket::upstream(socket, next, f);
                    check_auto(&cluster, socket.tls.is_some(), f);
                    Some((Arc::new(cluster), socket))
                })
            });
            if let Some((cluster, socket)) = compiled {
                out.clusters.insert(name.clone(), cluster);
                out.upstream_sockets.insert(name.clone(), socket);
            }
        }
    }

    fn routes(&self, out: &mut Plan, faults: &mut Vec<ResourceFault>) {
        for (name, message) in &self.next.routes {
            let same = same(self.previous.routes.get(name), Some(message));
            let kept = self.plan.routes.get(name).filter(|_| same).cloned();
            let compiled = kept.or_else(|| {
                gather(Kind::Route, name, faults, |f| {
                    Some(Arc::new(RouteTable::compile(message, f)))
                })
            });
            out.routes.extend(compiled.map(|table| (name.clone(), table)));
        }
    }

    fn listeners(&self, out: &mut Plan, means: &Means<'_>, faults: &mut Vec<ResourceFault>) {
        let (next, previous) = (self.next, self.previous);
        let secrets_same = self.secrets_same();
        for (name, message) in &next.listeners {
            let has_tls = listener::has_transport_socket(message);
            let same =
                same(previous.listeners.get(name), Some(message)) && (secrets_same || !has_tls);
            let kept = self.plan.listeners.get(name).filter(|_| same).cloned();
            if let Some(kept) = &kept {
                let renewed = gather(Kind::Listener, name, faults, |f| {
                    Some(listener::renewals(message, kept, (next, previous), f))
                });
                out.renewals.extend(renewed.into_iter().flatten());
            }
            let before = previous.listeners.get(name).zip(self.plan.listeners.get(name));
            let before = before.filter(|_| secrets_same).map(|(message, plan)| Before {
                message,
                plan,
                resources: previous,
            });
            let compiled = kept.or_else(|| {
                gather(Kind::Listener, name, faults, |f| {
                    let with = (next, means);
                    listener::compile(name, message, before.as_ref(), with, f).map(Arc::new)
                })
            });
            out.listeners.extend(compiled.map(|listener| (name.clone(), listener)));
        }
    }
}

/// A context that connections will use in place of another.
#[derive(Clone, Debug)]
pub(crate) enum Renewal {
    Downstream(Arc<Current<DownstreamTls>>, Arc<Current<DownstreamTls>>),
    Upstream(Arc<Current<UpstreamTls>>, Arc<Current<UpstreamTls>>),
}

impl Renewal {
    pub(crate) fn take_over(self) {
        match self {
            Renewal::Downstream(current, fresh) => current.renew(&fresh),
            Renewal::Upstream(current, fresh) => current.renew(&fresh),
        }
    }
}

/// Whether a secret that the socket's context fetches has changed.
pub(crate) fn changed(
    socket: Option<&TransportSocket>,
    next: &Resources,
    previous: &Resources,
) -> bool {
    let keys = transport_socket::fetches(socket);
    keys.iter().any(|key| !same(previous.sds.get(key), next.sds.get(key)))
}

fn same<M>(a: Option<&Arc<M>>, b: Option<&Arc<M>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

/// Runs `compile` and files its faults under the resource.
fn gather<T>(
    kind: Kind,
    name: &str,
    faults: &mut Vec<ResourceFault>,
    compile: impl FnOnce(&mut Faults) -> Option<T>,
) -> Option<T> {
    let mut found = Faults::new();
    let compiled = compile(&mut found);
    let any = !found.is_empty();
    let file = |fault| ResourceFault { kind, name: name.to_owned(), fault };
    faults.extend(found.into_vec().into_iter().map(file));
    compiled.filter(|_| !any)
}

/// What only all resources together can tell.
fn check(plan: &Plan, resources: &Resources, faults: &mut Vec<ResourceFault>) {
    for (name, listener) in &plan.listeners {
        for (path, chain) in listener.all_chains() {
            // Static route configurations are checked unless they say otherwise, as in Envoy. A
            // tcp_proxy may name a cluster that isn't there yet.
            if let NetworkPlan::Http(manager) = &chain.network
                && let RouteRef::Inline(table) = &manager.routes
                && table.validate_clusters().unwrap_or(true)
            {
                let prefix = format!("{path}.filters[0].typed_config.route_config.");
                check_clusters(Kind::Listener, name, &prefix, table, resources, faults);
            }
        }
    }
    for (name, table) in &plan.routes {
        if table.validate_clusters().unwrap_or(false) {
            check_clusters(Kind::Route, name, "", table, resources, faults);
        }
    }
}

fn check_clusters(
    kind: Kind,
    name: &str,
    prefix: &str,
    table: &RouteTable,
    resources: &Resources,
    faults: &mut Vec<ResourceFault>,
) {
    for (path, cluster) in table.cluster_names() {
        if resources.clusters.contains_key(cluster) {
            continue;
        }
        let message = format!("route: unknown cluster '{cluster}'");
        let fault = Fault { path: format!("{prefix}{path}"), code: "unknown-cluster", message };
        faults.push(ResourceFault { kind, name: name.to_owned(), fault });
    }
}

/// The host is asked by ALPN which version it speaks; Envoy refuses the same.
fn check_auto(cluster: &Cluster, tls: bool, faults: &mut Faults) {
    if cluster.http.protocol == UpstreamProtocol::Auto && !tls {
        let why = "auto_config asks hosts by ALPN, so it needs a TLS transport socket";
        faults.add_at("transport_socket", "no-alpn", why);
    }
}
