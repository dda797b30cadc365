//! A host of a cluster on one worker: its connections, who gets them, and what is counted of them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dragoman_cluster::{Cluster, Host, RequestNames, Thresholds};
use dragoman_net::clock;
use dragoman_pool::{Acquired, Pool, Room};
use dragoman_stats::Shard;
use dragoman_transport::tls::PeerName;
use dragoman_types::{Moment, Priority};
use rustc_hash::FxHashMap;

use super::ClusterCells;
use crate::dial::Speaks;
use crate::h1;
use crate::h2::{Channel, Share};
use crate::stats::HostStats;

/// How many names requests may give one host, who gets connections of its own for each.
pub(crate) const MAX_NAMES: usize = 1000;

/// One host on this worker. Outlives the host set that it came with while its address stays.
pub(crate) struct WorkerHost {
    pub(crate) host: Arc<Host>,
    /// By priority: they share no connections.
    pools: [Pool<h1::Client, Share>; 2],
    /// HTTP/2 connections, by priority.
    channels: [RefCell<Vec<Rc<Channel>>>; 2],
    /// HTTP/2 connections that are being opened, by priority.
    opening: [Cell<u32>; 2],
    /// What the host picked when it was last offered both.
    picked_http1: Cell<bool>,
    pub(crate) stats: Shard<HostStats>,
    /// Every worker's cells, for policies that ask how busy the host is.
    shards: Rc<[Shard<HostStats>]>,
    pub(crate) cluster: Rc<ClusterCells>,
    /// What requests call it whose connections these are.
    peer: Option<PeerName>,
    /// What tells it the client whose connections these are.
    header: Vec<u8>,
    /// The same host as requests mean it.
    meant: RefCell<Meant>,
}

#[derive(Default)]
struct Meant {
    hosts: FxHashMap<Box<[u8]>, Rc<WorkerHost>>,
    /// When so many are there, those that no request is at go.
    most: usize,
}

impl WorkerHost {
    pub(super) fn new(
        host: Arc<Host>,
        stats: Shard<HostStats>,
        shards: Rc<[Shard<HostStats>]>,
        cluster: Rc<ClusterCells>,
    ) -> WorkerHost {
        WorkerHost {
            host,
            pools: Default::default(),
            channels: Default::default(),
            opening: Default::default(),
            picked_http1: Cell::new(false),
            stats,
            shards,
            cluster,
            peer: None,
            header: Vec::new(),
            meant: RefCell::default(),
        }
    }

    /// Requests that all workers have at it.
    pub(super) fn active_requests(&self) -> u64 {
        let shards = self.shards.iter();
        shards.map(|shard| shard.rq_active.value()).sum::<i64>().max(0) as u64
    }

    pub(crate) fn peer(&self) -> Option<&PeerName> {
        self.peer.as_ref()
    }

    /// What its new connections send before all else.
    pub(crate) fn header(&self) -> &[u8] {
        &self.header
    }

    /// The host as a request means it, with connections of its own: by the name that it calls it, and behind a
    /// header that tells its client. `None`: requests are at it under too many names.
    pub(crate) fn meant(
        &self,
        name: Option<(&str, &RequestNames)>,
        header: Vec<u8>,
    ) -> Option<Rc<WorkerHost>> {
        let mut key = header.clone();
        key.push(0);
        // Names of hosts have no case: RFC 9110 section 4.2.3.
        key.extend(name.iter().flat_map(|(name, _)| name.bytes()).map(|b| b.to_ascii_lowercase()));
        let mut meant = self.meant.borrow_mut();
        if let Some(known) = meant.hosts.get(&*key) {
            return Some(known.clone());
        }
        // Clients are limited by their listeners; what names they make up is not.
        let limited = name.is_some() && header.is_empty();
        let most = if limited { MAX_NAMES } else { meant.most.max(MAX_NAMES) };
        if meant.hosts.len() >= most {
            // Their idle connections end.
            meant.hosts.retain(|_, host| host.is_busy());
            meant.most = 2 * meant.hosts.len();
        }
        if limited && meant.hosts.len() >= MAX_NAMES {
            return None;
        }
        let (stats, shards) = (self.stats.clone(), self.shards.clone());
        let mut host = WorkerHost::new(self.host.clone(), stats, shards, self.cluster.clone());
        let peer = |(name, how): (&str, &RequestNames)| {
            PeerName::new(name, how.auto_sni, how.auto_san_validation)
        };
        (host.peer, host.header) = (name.map(peer), header);
        let host = Rc::new(host);
        meant.hosts.insert(key.into(), host.clone());
        Some(host)
    }

    /// A request is at it.
    fn is_busy(self: &Rc<Self>) -> bool {
        Rc::strong_count(self) > 1
    }

    /// No request is at it, and it has no connection.
    pub(super) fn is_unused(self: &Rc<Self>) -> bool {
        let idle =
            |at: usize| self.pools[at].counts().0 == 0 && self.channels[at].borrow().is_empty();
        let meant = self.meant.borrow();
        !self.is_busy() && idle(0) && idle(1) && meant.hosts.values().all(WorkerHost::is_unused)
    }

    pub(crate) fn pool(&self, priority: Priority) -> &Pool<h1::Client, Share> {
        &self.pools[priority as usize]
    }

    /// A place on an HTTP/2 connection that is there.
    pub(crate) fn share(&self, priority: Priority) -> Option<Share> {
        self.channels[priority as usize].borrow().iter().find_map(Channel::share)
    }

    /// Asks the pool, within the cluster's limits.
    pub(crate) fn acquire(
        &self,
        priority: Priority,
        limits: &Thresholds,
        now: Moment,
        cluster: &Cluster,
    ) -> Acquired<h1::Client, Share> {
        let room = || Room {
            // Who comes while a connection is opened that all can share waits for that one.
            may_connect: !self.is_opening(priority) && self.has_room(priority, limits),
            may_wait: self.cluster.sum(priority, |load| &load.pending)
                < u64::from(limits.max_pending_requests),
        };
        let idle_limit = cluster.http.idle_timeout;
        let alive = |client: &mut h1::Client| {
            let stale = idle_limit.is_some_and(|t| now.since(client.last_used) >= t);
            !stale && !client.wire.stream.has_news()
        };
        self.pool(priority).acquire(room, alive, |client| {
            let how = match idle_limit.is_some_and(|t| now.since(client.last_used) >= t) {
                true => {
                    self.cluster.stats.upstream_cx_idle_timeout.inc();
                    Gone::Local
                }
                false => Gone::Remote,
            };
            self.gone(priority, history(&client), how, now);
        })
    }

    /// A connection that several requests may share begins to be opened.
    pub(crate) fn begin_channel(&self, priority: Priority) {
        let opening = &self.opening[priority as usize];
        opening.set(opening.get() + 1);
    }

    /// A connection that several requests may share is being opened.
    pub(crate) fn is_opening(&self, priority: Priority) -> bool {
        self.opening[priority as usize].get() > 0
    }

    /// Nobody waits for it any more, for it is open or never will be.
    pub(crate) fn end_channel(&self, priority: Priority) {
        let opening = &self.opening[priority as usize];
        opening.set(opening.get() - 1);
    }

    /// Takes an HTTP/2 connection in; who opened it gets the first place, those in line the next.
    pub(crate) fn opened(
        &self,
        priority: Priority,
        channel: Rc<Channel>,
        limits: &Thresholds,
    ) -> Option<Share> {
        self.cluster.stats.upstream_cx_http2_total.inc();
        let first = channel.share()?;
        channel.offer();
        self.channels[priority as usize].borrow_mut().push(channel.clone());
        self.pool(priority).share(|| channel.share());
        // Of those that it has no place for one opens the next connection, and so on.
        let mut room =
            self.opening[priority as usize].get() <= 1 && self.has_room(priority, limits);
        self.pool(priority).spread(|| std::mem::take(&mut room));
        Some(first)
    }

    /// An HTTP/2 connection takes no more requests.
    pub(crate) fn forget(&self, priority: Priority, channel: &Rc<Channel>) {
        let mut channels = self.channels[priority as usize].borrow_mut();
        let place = channels.iter().position(|known| Rc::ptr_eq(known, channel));
        let known = place.map(|place| channels.swap_remove(place));
        drop(channels);
        // Its end may be counted now, which asks the pool.
        drop(known);
    }

    /// Whether the host is known to pick HTTP/1 where it is offered both.
    pub(crate) fn picks_http1(&self) -> bool {
        self.picked_http1.get()
    }

    /// The host was offered both versions.
    pub(crate) fn picked(&self, http2: bool) {
        self.picked_http1.set(!http2);
        if !http2 {
            self.cluster.stats.upstream_cx_http1_total.inc();
        }
    }

    /// The connection that all in line waited for can't be shared: each opens one of its own, within
    /// the cluster's limits.
    pub(crate) fn spread(&self, priority: Priority, limits: &Thresholds) {
        let open = self.cluster.sum(priority, |load| &load.connections);
        let mut room = u64::from(limits.max_connections).saturating_sub(open);
        self.pool(priority).spread(|| {
            let any = room > 0;
            room = room.saturating_sub(1);
            any
        });
    }

    /// Whether the cluster may have one connection more.
    pub(crate) fn has_room(&self, priority: Priority, limits: &Thresholds) -> bool {
        let open = self.cluster.sum(priority, |load| &load.connections);
        open < u64::from(limits.max_connections)
    }

    /// A connection beside the pool's own, which counts among them until it is gone.
    pub(crate) fn take_place(&self, priority: Priority) {
        self.pool(priority).take_place();
    }

    /// Counts a connection that begins to be opened.
    pub(crate) fn opening(&self, priority: Priority, speaks: Speaks) {
        self.cluster.load(priority).connections.inc();
        let stats = &self.cluster.stats;
        stats.upstream_cx_total.inc();
        if speaks == Speaks::Http1 {
            stats.upstream_cx_http1_total.inc();
        }
        stats.upstream_cx_active.inc();
        self.stats.cx_total.inc();
        self.stats.cx_active.inc();
    }

    /// Counts a connection that could not be opened, and gives its place in the pool back.
    pub(crate) fn failed(&self, priority: Priority, timeout: bool) {
        self.cluster.load(priority).connections.dec();
        let stats = &self.cluster.stats;
        stats.upstream_cx_active.dec();
        stats.upstream_cx_connect_fail.inc();
        stats.upstream_cx_destroy.inc();
        if timeout {
            stats.upstream_cx_connect_timeout.inc();
            stats.upstream_cx_destroy_local.inc();
        } else {
            stats.upstream_cx_destroy_remote.inc();
        }
        self.stats.cx_active.dec();
        self.stats.cx_connect_fail.inc();
        self.pool(priority).closed();
    }

    /// Counts a connection that nobody waits for any more, and gives its place in the pool back.
    pub(crate) fn cancelled(&self, priority: Priority) {
        self.cluster.load(priority).connections.dec();
        let stats = &self.cluster.stats;
        stats.upstream_cx_active.dec();
        stats.upstream_cx_destroy.inc();
        stats.upstream_cx_destroy_local.inc();
        self.stats.cx_active.dec();
        self.pool(priority).closed();
    }

    /// Counts the end of a connection that is no longer in the pool's lists.
    pub(crate) fn gone(
        &self,
        priority: Priority,
        (requests, opened): (u32, Moment),
        how: Gone,
        now: Moment,
    ) {
        self.cluster.load(priority).connections.dec();
        let stats = &self.cluster.stats;
        stats.upstream_cx_active.dec();
        self.stats.cx_active.dec();
        stats.upstream_cx_destroy.inc();
        let active = how == Gone::LocalActive || how == Gone::RemoteActive;
        match how {
            Gone::Local | Gone::LocalActive => stats.upstream_cx_destroy_local.inc(),
            Gone::Remote | Gone::RemoteActive => stats.upstream_cx_destroy_remote.inc(),
        }
        if active {
            stats.upstream_cx_destroy_with_active_rq.inc();
            match how {
                Gone::LocalActive => stats.upstream_cx_destroy_local_with_active_rq.inc(),
                _ => stats.upstream_cx_destroy_remote_with_active_rq.inc(),
            }
        }
        stats.upstream_rq_per_cx.record(u64::from(requests));
        stats.upstream_cx_length_ms.record(now.millis_since(opened));
    }

    /// Closes idle connections that their host closed, or that idled too long.
    pub(crate) fn sweep(&self, now: Moment, cluster: &Cluster) {
        let limit = cluster.http.idle_timeout;
        let idle = |c: &mut h1::Client| limit.is_some_and(|t| now.since(c.last_used) >= t);
        let old = |c: &mut h1::Client| {
            let limit = cluster.http.max_connection_duration;
            limit.is_some_and(|t| now.since(c.opened) >= t)
        };
        for priority in Priority::ALL {
            let pool = self.pool(priority);
            pool.sweep(idle, |client| {
                self.cluster.stats.upstream_cx_idle_timeout.inc();
                self.gone(priority, history(&client), Gone::Local, now);
            });
            pool.sweep(old, |client| {
                self.cluster.stats.upstream_cx_max_duration_reached.inc();
                self.gone(priority, history(&client), Gone::Local, now);
            });
            pool.sweep(
                |client| client.wire.stream.has_news(),
                |client| self.gone(priority, history(&client), Gone::Remote, now),
            );
            self.sweep_channels(priority, now, cluster);
        }
        let mut meant = self.meant.borrow_mut();
        meant.hosts.values().for_each(|host| host.sweep(now, cluster));
        meant.hosts.retain(|_, host| !host.is_unused());
    }

    fn sweep_channels(&self, priority: Priority, now: Moment, cluster: &Cluster) {
        let http = &cluster.http;
        let passed = |limit: Option<Duration>, since| limit.is_some_and(|t| now.since(since) >= t);
        let all = self.channels[priority as usize].borrow().clone();
        for channel in all {
            let idle = channel.idle_since().is_some_and(|since| passed(http.idle_timeout, since));
            let old = passed(http.max_connection_duration, channel.opened);
            if idle {
                self.cluster.stats.upstream_cx_idle_timeout.inc();
            } else if old {
                self.cluster.stats.upstream_cx_max_duration_reached.inc();
            }
            if idle || old {
                self.forget(priority, &channel);
            }
        }
    }
}

/// Requests that a connection served, and since when it was open.
pub(crate) fn history(client: &h1::Client) -> (u32, Moment) {
    (client.requests, client.opened)
}

/// A host that is gone takes its idle connections along.
impl Drop for WorkerHost {
    fn drop(&mut self) {
        let now = clock::now();
        for priority in Priority::ALL {
            let end = |client: Box<_>| self.gone(priority, history(&client), Gone::Local, now);
            self.pool(priority).sweep(|_| true, end);
            // Nobody is on them: who has a place on one has its host too. They find no host when they end.
            for channel in self.channels[priority as usize].take() {
                let history = (channel.served(), channel.opened);
                self.gone(priority, history, Gone::Local, now);
            }
        }
    }
}

/// Who ended an upstream connection, and whether a request was on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gone {
    Local,
    Remote,
    LocalActive,
    RemoteActive,
}
