//! A plan made into a snapshot: statistics are registered here, and what didn't change stays the same
//! object, so that the workers keep its connections.

use std::sync::{Arc, Mutex};

use dragoman_cluster::{Cluster, Discovery, EndpointAddress, Host, Hosts};
use dragoman_net::Bound;
use dragoman_proto::bool_or;
use dragoman_router::RouteTable;
use dragoman_transport::tls::{Current, Expiry};
use dragoman_transport::{DownstreamTls, UpstreamTls};
use dragoman_types::Address;
use dragoman_worker::snapshot::{
    ClusterEntry, ConnectionManager, FilterChain, Listener, ListenerFilters, Network, RouteSource,
    Routes, Shown, Snapshot, SocketFactory, TcpProxy,
};

use crate::control::{Control, State, dns_options, lock};
use crate::listener::{ChainPlan, ListenerPlan};
use crate::network::{ManagerPlan, NetworkPlan, RouteRef};

impl Control {
    /// Makes a snapshot of the plan and hands it to the workers. What didn't change is the same
    /// object as before.
    pub(crate) fn rebuild(&self, state: &mut State) {
        let old = state.snapshot.clone();
        let mut next = Snapshot { version: old.version + 1, ..Snapshot::default() };
        state.unresolved.retain(|name| state.plan.clusters.contains_key(&**name));
        for cluster in state.plan.clusters.values().cloned().collect::<Vec<_>>() {
            let entry = self.cluster(state, &cluster, old.clusters.get(&cluster.name));
            next.clusters.insert(cluster.name.clone(), entry);
        }
        let kept =
            |stat_name: &str| state.plan.clusters.values().any(|c| &*c.stat_name == stat_name);
        state.metrics.keep_clusters(kept);
        for (name, table) in &state.plan.routes {
            let name: Box<str> = name.as_str().into();
            let same = old.routes.get(&name).filter(|r| Arc::ptr_eq(&r.table, table)).cloned();
            next.routes.insert(name, same.unwrap_or_else(|| self.routes(table)));
        }
        for plan in state.plan.listeners.values() {
            let sockets = state.sockets.get(&plan.name);
            let before = old.listeners.iter().find(|l| l.name == plan.name);
            let same = before.filter(|l| l.config_id == Arc::as_ptr(plan) as usize).cloned();
            if let Some(same) = &same {
                for chain in same.chains.iter().chain(&same.default_chain) {
                    let tls = chain.tls.as_deref();
                    self.show_tls(tls, DownstreamTls::expiries, &same.stat_prefix);
                }
            }
            let before = before.filter(|_| plan.succeeds).map(Arc::as_ref);
            next.listeners.push(same.unwrap_or_else(|| self.listener(plan, sockets, before)));
        }
        state.snapshot = Arc::new(next);
        state.tell_snapshot();
    }

    fn cluster(
        &self,
        state: &mut State,
        config: &Arc<Cluster>,
        old: Option<&Arc<ClusterEntry>>,
    ) -> Arc<ClusterEntry> {
        let hosts = self.hosts(state, config);
        let prefix = format!("cluster.{}.", config.stat_name);
        if let Some(old) = old
            && Arc::ptr_eq(&old.config, config)
            && old.hosts.all() == hosts.as_slice()
        {
            self.show_tls(old.tls.as_deref(), UpstreamTls::expiries, &prefix);
            return old.clone();
        }
        let hosts = Arc::new(Hosts::new(hosts, config.panic_percent));
        let balancing = config.policy.over(&hosts);
        if old.is_some() || !hosts.all().is_empty() {
            state.metrics.membership(&config.stat_name, &hosts);
        }
        state.metrics.balancing(&config.stat_name, balancing.gauges());
        let host_stats = hosts.all().iter().map(|host| {
            let address = host.address.to_string().replace(':', "_");
            self.registry.scope(&format!("{prefix}endpoint.{address}."))
        });
        let socket = state.plan.upstream_sockets.get(&*config.name).cloned().unwrap_or_default();
        let tls = socket.tls.as_ref().map(|context| {
            let before = old.and_then(|old| old.tls.clone());
            let same = before.filter(|before| Arc::ptr_eq(&before.context, context));
            same.unwrap_or_else(|| self.socket_factory(context, &prefix, "client"))
        });
        self.show_tls(tls.as_deref(), UpstreamTls::expiries, &prefix);
        Arc::new(ClusterEntry {
            config: config.clone(),
            stats: self.registry.scope(&prefix),
            responses: self.registry.scope(&prefix),
            internal: self.registry.scope(&format!("{prefix}internal.")),
            retry: self.registry.scope(&format!("{prefix}retry.")),
            external: self.registry.scope(&format!("{prefix}external.")),
            // Counts go on while the name stays, as those in the registry do.
            loads: match old {
                Some(old) => old.loads.clone(),
                None => std::array::from_fn(|_| self.registry.unlisted()),
            },
            host_stats: host_stats.collect(),
            proxy_protocol: socket.proxy_protocol,
            http_proxy: socket.http_proxy,
            tls,
            registry: self.registry.clone(),
            hosts,
            balancing,
        })
    }

    /// The hosts of a cluster as far as they are known.
    fn hosts(&self, state: &mut State, config: &Arc<Cluster>) -> Vec<Arc<Host>> {
        let mut hosts = config.endpoints.known_hosts();
        if dns_options(config).is_none() {
            return hosts;
        }
        let resolved = state.resolved.get(&config.name);
        for endpoint in &config.endpoints.list {
            let EndpointAddress::Name(target) = &endpoint.address else { continue };
            let key = format!("{}:{}", target.name, target.port);
            match resolved.and_then(|names| names.get(&key)) {
                Some(addresses) => {
                    let one = matches!(config.discovery, Discovery::LogicalDns(_));
                    let take = if one { 1 } else { usize::MAX };
                    let found = addresses.iter().take(take);
                    hosts.extend(found.map(|a| endpoint.host(Address::Ip(*a))));
                }
                None => {
                    state.unresolved.insert(config.name.clone());
                }
            }
        }
        hosts
    }

    fn routes(&self, table: &Arc<RouteTable>) -> Arc<Routes> {
        let stats = table.routes().iter().map(|route| {
            let host = table.virtual_hosts().get(route.virtual_host()).map_or("", |v| v.name());
            self.registry.scope(&format!("vhost.{host}.route.{}.", route.label()))
        });
        Arc::new(Routes { stats: stats.collect(), table: table.clone() })
    }

    fn listener(
        &self,
        plan: &Arc<ListenerPlan>,
        sockets: Option<&Arc<Vec<Bound>>>,
        before: Option<&Listener>,
    ) -> Arc<Listener> {
        let bound = sockets.filter(|_| plan.binds);
        let bound = bound.map(|s| s.iter().map(|b| b.address.clone()).collect::<Vec<_>>());
        let addresses = bound.unwrap_or_else(|| plan.addresses.clone());
        // Named as configured: `_0` where the kernel chose the port, as in Envoy.
        let stat_name = match (&*plan.stat_prefix, plan.addresses.first()) {
            ("", Some(address)) => address.to_string().replace(':', "_"),
            ("", None) => plan.name.to_string(),
            (prefix, _) => prefix.to_owned(),
        };
        let prefix = format!("listener.{stat_name}.");
        let chain = |chain: &Arc<ChainPlan>| {
            let mut known = before.iter().flat_map(|b| b.chains.iter().chain(&b.default_chain));
            let same = known.find(|known| known.config_id == Arc::as_ptr(chain) as usize);
            same.cloned().unwrap_or_else(|| self.filter_chain(chain, &prefix))
        };
        let handler = |worker: usize| self.registry.scope(&format!("{prefix}worker_{worker}."));
        Arc::new(Listener {
            config_id: Arc::as_ptr(plan) as usize,
            succeeds: before.map(|before| before.config_id),
            name: plan.name.clone(),
            addresses,
            takes_ipv4: plan.options.ipv4_compat,
            hands_off: plan.hands_off,
            buffer_limit: plan.buffer_limit,
            inbound: plan.inbound,
            filters: ListenerFilters {
                list: plan.filters.list.clone(),
                timeout: plan.filters.timeout,
                continue_on_timeout: plan.filters.continue_on_timeout,
            },
            access_logs: plan.access_logs.clone(),
            matcher: plan.matcher.clone(),
            chains: plan.chains.iter().map(chain).collect(),
            default_chain: plan.default_chain.as_ref().map(chain),
            registry: self.registry.clone(),
            stat_prefix: prefix.as_str().into(),
            stats: self.registry.scope(&prefix),
            handlers: (0..self.workers).map(handler).collect(),
        })
    }

    /// `side`: "client" or "server".
    fn socket_factory<T>(
        &self,
        context: &Arc<Current<T>>,
        prefix: &str,
        side: &str,
    ) -> Arc<SocketFactory<T>> {
        Arc::new(SocketFactory {
            context: context.clone(),
            stats: self.registry.scope(&format!("{prefix}{side}_ssl_socket_factory.")),
            shown: Mutex::default(),
        })
    }

    /// Shows what a context has that is new or was renewed: when its certificates expire
    /// (`ssl.certificate.<name>.expiration_unix_time_seconds`), and that it was.
    fn show_tls<T>(
        &self,
        factory: Option<&SocketFactory<T>>,
        expiries: impl Fn(&T) -> &[Expiry],
        prefix: &str,
    ) {
        let Some(factory) = factory else { return };
        let renewals = factory.context.renewals();
        let mut shown = lock(&factory.shown);
        if shown.renewals == renewals && !shown.expiries.is_empty() {
            return;
        }
        let stats = factory.stats.shard(self.workers);
        stats.ssl_context_update_by_sds.add(renewals - shown.renewals);
        let Some(context) = factory.context.get() else { return };
        let gauges = expiries(&context).iter().map(|(name, at)| {
            let name = format!("{prefix}ssl.certificate.{name}.expiration_unix_time_seconds");
            let gauge = self.registry.gauge(&name);
            // The control thread's shard.
            gauge.shard(self.workers).set(*at);
            gauge
        });
        *shown = Shown { renewals, expiries: gauges.collect() };
    }

    /// `prefix`: the listener's statistics.
    fn filter_chain(&self, plan: &Arc<ChainPlan>, prefix: &str) -> Arc<FilterChain> {
        let network = match &plan.network {
            NetworkPlan::Http(manager) => Network::Http(self.manager(manager, prefix)),
            NetworkPlan::Plain(plain) => Network::Plain(plain.clone()),
            NetworkPlan::Tcp(tcp) => Network::Tcp(Arc::new(TcpProxy {
                config: tcp.config.clone(),
                access_logs: tcp.access_logs.clone(),
                stats: self.registry.scope(&format!("tcp.{}.", stat_text(&tcp.config.stat_prefix))),
            })),
        };
        let tls = plan.tls.as_ref().map(|context| self.socket_factory(context, prefix, "server"));
        self.show_tls(tls.as_deref(), DownstreamTls::expiries, prefix);
        Arc::new(FilterChain {
            config_id: Arc::as_ptr(plan) as usize,
            name: plan.name.clone(),
            tls,
            connect_timeout: plan.connect_timeout,
            filters: plan.filters.clone(),
            network,
        })
    }

    /// `prefix`: the listener's statistics.
    fn manager(&self, manager: &ManagerPlan, prefix: &str) -> Arc<ConnectionManager> {
        let http = stat_text(&manager.config.stat_prefix);
        let routes = match &manager.routes {
            RouteRef::Inline(table) => RouteSource::Inline(self.routes(table)),
            RouteRef::Named(name) => RouteSource::Named(name.clone()),
        };
        Arc::new(ConnectionManager {
            config: manager.config.clone(),
            filters: manager.filters.clone(),
            upgrade_filters: manager.upgrade_filters.clone(),
            routes,
            access_logs: manager.access_logs.clone(),
            suppress_envoy_headers: manager.router.suppress_envoy_headers,
            dynamic_stats: bool_or(manager.router.dynamic_stats.as_ref(), true),
            respect_expected_timeout: manager.router.respect_expected_rq_timeout,
            stats: self.registry.scope(&format!("http.{http}.")),
            codec: self.registry.scope("http1."),
            http2: self.registry.scope("http2."),
            listener_http: self.registry.scope(&format!("{prefix}http.{http}.")),
        })
    }
}

/// A configured name as it stands in the names of statistics.
fn stat_text(name: &str) -> String {
    name.replace(':', "_")
}
