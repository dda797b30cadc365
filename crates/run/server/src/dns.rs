//! Names to addresses, again and again: one task a cluster, all on one thread of their own.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use dragoman_cluster::{DnsFamily, DnsOptions, DnsTarget};
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::{Resolver, TokioResolver};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinSet};

/// What one resolution of a cluster's names gave.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) cluster: Box<str>,
    /// By target; `Err` = the lookup failed and the addresses of before stay.
    pub(crate) answers: Vec<(DnsTarget, Result<Vec<SocketAddr>, String>)>,
}

/// Where results go.
pub(crate) trait Sink: Send + Sync {
    fn resolved(&self, resolved: Resolved);
}

/// What a cluster wants resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wanted {
    pub(crate) options: DnsOptions,
    pub(crate) targets: Vec<DnsTarget>,
}

/// The resolving thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Dns {
    wanted: UnboundedSender<FxHashMap<Box<str>, Wanted>>,
}

impl Dns {
    pub(crate) fn start(sink: Weak<dyn Sink>) -> std::io::Result<Dns> {
        let (wanted, inbox) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("dns".into()).spawn(move || {
            runtime.block_on(follow(inbox, sink));
        })?;
        Ok(Dns { wanted })
    }

    /// From now on these clusters are resolved and no others.
    pub(crate) fn set(&self, wanted: FxHashMap<Box<str>, Wanted>) {
        let _ = self.wanted.send(wanted);
    }
}

/// Keeps one task running for each wanted cluster.
async fn follow(mut inbox: UnboundedReceiver<FxHashMap<Box<str>, Wanted>>, sink: Weak<dyn Sink>) {
    let mut running: FxHashMap<Box<str>, (Wanted, AbortHandle)> = FxHashMap::default();
    while let Some(wanted) = inbox.recv().await {
        running.retain(|name, (was, task)| {
            let same = wanted.get(name) == Some(was);
            if !same {
                task.abort();
            }
            same
        });
        for (name, wanted) in wanted {
            running.entry(name.clone()).or_insert_with(|| {
                let task = tokio::spawn(resolve(name, wanted.clone(), sink.clone()));
                (wanted, task.abort_handle())
            });
        }
    }
}

/// After a failed lookup the next follows sooner than after a good one, but not at once.
const RETRY: Duration = Duration::from_secs(1);

async fn resolve(cluster: Box<str>, wanted: Wanted, sink: Weak<dyn Sink>) {
    let family = wanted.options.family;
    let mut resolver = Err(String::new());
    loop {
        if resolver.is_err() {
            resolver = make_resolver(family).map(Arc::new);
        }
        // Side by side: one dead name must not keep the others waiting.
        let mut lookups = JoinSet::new();
        for target in wanted.targets.iter().cloned() {
            let resolver = resolver.clone();
            lookups.spawn(async move {
                let answer = lookup(resolver, &target, family).await;
                (target, answer)
            });
        }
        let mut answers = Vec::with_capacity(wanted.targets.len());
        let (mut failed, mut expires) = (false, None::<Instant>);
        for (target, answer) in lookups.join_all().await {
            failed |= answer.is_err();
            if let Ok((_, until)) = &answer {
                expires = Some(expires.map_or(*until, |e| e.min(*until)));
            }
            answers.push((target, answer.map(|(addresses, _)| addresses)));
        }
        let Some(sink) = sink.upgrade() else { return };
        sink.resolved(Resolved { cluster: cluster.clone(), answers });
        drop(sink);
        let mut pause = wanted.options.refresh;
        if wanted.options.respect_ttl
            && let Some(until) = expires
        {
            pause = until.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        }
        if failed {
            pause = pause.min(RETRY);
        }
        let jitter = wanted.options.jitter.mul_f64(fastrand::f64());
        tokio::time::sleep(pause + jitter).await;
    }
}

fn make_resolver(family: DnsFamily) -> Result<TokioResolver, String> {
    let mut builder = Resolver::builder_tokio().map_err(|error| error.to_string())?;
    let options = builder.options_mut();
    options.ip_strategy = match family {
        DnsFamily::V4Only => LookupIpStrategy::Ipv4Only,
        DnsFamily::V6Only => LookupIpStrategy::Ipv6Only,
        DnsFamily::All => LookupIpStrategy::Ipv4AndIpv6,
        DnsFamily::V4Preferred => LookupIpStrategy::Ipv4thenIpv6,
        DnsFamily::Auto => LookupIpStrategy::Ipv6thenIpv4,
    };
    // The refresh rate says when to ask again; a cache would make it a lie.
    options.cache_size = 0;
    builder.build().map_err(|error| error.to_string())
}

async fn lookup(
    resolver: Result<Arc<TokioResolver>, String>,
    target: &DnsTarget,
    family: DnsFamily,
) -> Result<(Vec<SocketAddr>, Instant), String> {
    let resolver = resolver?;
    let found = match resolver.lookup_ip(&*target.name).await {
        Ok(found) => found,
        // An answer, too: there are no addresses.
        Err(error) if error.is_nx_domain() || error.is_no_records_found() => {
            return Ok((Vec::new(), Instant::now()));
        }
        Err(error) => return Err(error.to_string()),
    };
    let fits = |ip: &IpAddr| match family {
        DnsFamily::V4Only => ip.is_ipv4(),
        DnsFamily::V6Only => ip.is_ipv6(),
        _ => true,
    };
    let mut addresses: Vec<SocketAddr> =
        found.iter().filter(fits).map(|ip| SocketAddr::new(ip, target.port)).collect();
    addresses.sort();
    addresses.dedup();
    Ok((addresses, found.valid_until()))
}

/// Turns a weak handle of a concrete sink into one of the trait.
pub(crate) fn weak_sink<S: Sink + 'static>(sink: &Arc<S>) -> Weak<dyn Sink> {
    let weak: Weak<S> = Arc::downgrade(sink);
    weak
}
