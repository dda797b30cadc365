//! All resources compiled and checked against each other. Nothing here has effects: a publish that
//! fails leaves no trace.

use std::sync::Arc;

use dragoman_balancers::Builtins;
use dragoman_cluster::{Cluster, Endpoints};
use dragoman_router::RouteTable;
use dragoman_transport::UpstreamTls;
use dragoman_types::{Fault, Faults};
use indexmap::IndexMap;

use crate::listener::ListenerPlan;
use crate::network::{Means, NetworkPlan, RouteRef};
use crate::resources::{Kind, ResourceFault, Resources};
use crate::transport_socket;

/// Everything compiled. What came from an unchanged message is the same object as before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) clusters: IndexMap<String, Arc<Cluster>>,
    /// By cluster; those without TLS are missing.
    pub(crate) upstream_tls: IndexMap<String, Arc<UpstreamTls>>,
    pub(crate) routes: IndexMap<String, Arc<RouteTable>>,
    pub(crate) listeners: IndexMap<String, Arc<ListenerPlan>>,
}

/// Compiles `next`, reusing from `plan` what `previous` had alike.
pub(crate) fn compile(
    next: &Resources,
    previous: &Resources,
    plan: &Plan,
    means: &Means<'_>,
    faults: &mut Vec<ResourceFault>,
) -> Plan {
    let mut out = Plan::default();
    // What is made from a secret is made anew when any secret changes: they rarely do.
    let secrets_same = next.secrets == previous.secrets;
    for (name, message) in &next.clusters {
        let assigned = next.endpoints.get(name);
        let same = same(previous.clusters.get(name), Some(message))
            && same(previous.endpoints.get(name), assigned)
            && (secrets_same || message.transport_socket.is_none());
        let kept = plan.clusters.get(name).filter(|_| same).cloned();
        let kept = kept.map(|cluster| (cluster, plan.upstream_tls.get(name).cloned()));
        let compiled = kept.or_else(|| {
            gather(Kind::Cluster, name, faults, |f| {
                let mut cluster = Cluster::compile(message, &Builtins, f)?;
                if let Some(assigned) = assigned {
                    cluster.endpoints = Endpoints::compile(assigned, false, f);
                }
                let tls = transport_socket::upstream(message.transport_socket.as_ref(), next, f);
                Some((Arc::new(cluster), tls))
            })
        });
        if let Some((cluster, tls)) = compiled {
            out.clusters.insert(name.clone(), cluster);
            out.upstream_tls.extend(tls.map(|tls| (name.clone(), tls)));
        }
    }
    for (name, message) in &next.routes {
        let same = same(previous.routes.get(name), Some(message));
        let kept = plan.routes.get(name).filter(|_| same).cloned();
        let compiled = kept.or_else(|| {
            gather(Kind::Route, name, faults, |f| Some(Arc::new(RouteTable::compile(message, f))))
        });
        if let Some(table) = compiled {
            out.routes.insert(name.clone(), table);
        }
    }
    for (name, message) in &next.listeners {
        let has_tls = crate::listener::has_transport_socket(message);
        let same = same(previous.listeners.get(name), Some(message)) && (secrets_same || !has_tls);
        let kept = plan.listeners.get(name).filter(|_| same).cloned();
        let compiled = kept.or_else(|| {
            gather(Kind::Listener, name, faults, |f| {
                crate::listener::compile(name, message, next, means, f).map(Arc::new)
            })
        });
        if let Some(listener) = compiled {
            out.listeners.insert(name.clone(), listener);
        }
    }
    check(&out, next, faults);
    out
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
