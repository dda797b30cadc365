//! What all connections of one worker share. Never leaves its thread.

use std::cell::{Cell, RefCell, RefMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use dragoman_format::LogType;
use dragoman_http_connection_manager as hcm;
use dragoman_loggers::{AccessLog, BufferStats, LogBuffers};
use dragoman_net::{BufferPool, Reactor, clock};
use dragoman_router::{Route, RouteTable};
use dragoman_stats::{ScopeHandle, Shard};
use dragoman_types::headers::line_of;
use dragoman_types::{Address, Facts, Headers, Moment, RequestHead, ResponseHead, id};
use rustc_hash::FxHashMap;

use crate::manager::WorkerListener;
use crate::snapshot::{RouteSource, Routes, Snapshot};
use crate::stats::{FilesystemStats, RouteStats};
use crate::upstream::{WorkerCluster, rebuild};

/// What the control thread and all workers read and write at any time.
#[derive(Debug)]
pub struct Shared {
    /// The first address of an interface that isn't a loopback one.
    pub local_interface: Option<Box<str>>,
    /// `--service-cluster`, or the node's cluster.
    pub service_cluster: Box<str>,
    /// `/healthcheck/fail` was called.
    pub health_failed: AtomicBool,
    pub drain: Drain,
    /// The number of the moment when all listeners began to drain; zero: they don't.
    pub draining_since: AtomicU64,
    pub filesystem: ScopeHandle<FilesystemStats>,
}

/// How connections are asked to leave while their listener drains (`--drain-time-s`,
/// `--drain-strategy`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Drain {
    pub time: Duration,
    /// At once, rather than with a probability that grows over `time`.
    pub immediately: bool,
}

impl Drain {
    /// Whether a connection is asked to close so long after the beginning.
    fn closes(self, elapsed: Duration, random: u64) -> bool {
        let (elapsed, whole) = (elapsed.as_millis() as u64, self.time.as_millis() as u64);
        self.immediately || elapsed >= whole || random % whole < elapsed
    }
}

/// Heads and buffers of one exchange, reused by the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) request: RequestHead,
    pub(crate) response: ResponseHead,
    /// Of a response that is over, where somebody logs.
    pub(crate) trailers: Headers,
    pub(crate) hcm: hcm::Scratch,
    pub(crate) body: Vec<u8>,
}

/// A route configuration with this worker's cells.
pub(crate) struct WorkerRoutes {
    pub(crate) shared: Arc<Routes>,
    pub(crate) stats: Vec<Shard<RouteStats>>,
    /// The clusters that the table names, in its order, as of the snapshot of this version. Weak: a
    /// cluster that is gone must not live on here.
    clusters: RefCell<(u64, Vec<Weak<WorkerCluster>>)>,
}

impl WorkerRoutes {
    pub(crate) fn new(shared: &Arc<Routes>, worker: usize) -> WorkerRoutes {
        let stats = shared.stats.iter().map(|handle| handle.shard(worker)).collect();
        WorkerRoutes { shared: shared.clone(), stats, clusters: RefCell::default() }
    }

    /// The cluster of this slot of the table. Names are looked up once a snapshot.
    pub(crate) fn cluster(
        &self,
        slot: usize,
        snapshot: &WorkerSnapshot,
    ) -> Option<Rc<WorkerCluster>> {
        let (version, clusters) = &mut *self.clusters.borrow_mut();
        if *version != snapshot.version {
            let names = self.table().clusters().iter();
            let weak = |name| snapshot.clusters.get(name).map(Rc::downgrade).unwrap_or_default();
            *clusters = names.map(weak).collect();
            *version = snapshot.version;
        }
        clusters.get(slot)?.upgrade()
    }

    pub(crate) fn table(&self) -> &RouteTable {
        &self.shared.table
    }

    pub(crate) fn route(&self, index: usize) -> Option<&Route> {
        self.shared.table.routes().get(index)
    }
}

/// What requests took, not yet told to their routes' statistics. Of thousands of routes each is met
/// rarely, so its cells aren't in the cache; told together, at the end of a turn, they come from
/// memory side by side rather than one request after the other.
#[derive(Default)]
pub(crate) struct RouteTimes(RefCell<Vec<(Rc<WorkerRoutes>, usize, u64)>>);

impl RouteTimes {
    /// More than a turn usually has.
    const MOST: usize = 256;

    pub(crate) fn note(&self, routes: &Rc<WorkerRoutes>, route: usize, us: u64) {
        let mut noted = self.0.borrow_mut();
        noted.push((routes.clone(), route, us));
        if noted.len() >= RouteTimes::MOST {
            tell_routes(&mut noted);
        }
    }

    pub(crate) fn tell(&self) {
        tell_routes(&mut self.0.borrow_mut());
    }
}

fn tell_routes(noted: &mut Vec<(Rc<WorkerRoutes>, usize, u64)>) {
    for (routes, route, us) in noted.drain(..) {
        if let Some(stats) = routes.stats.get(route) {
            stats.upstream_rq_total.inc();
            stats.upstream_rq_time.record(us);
        }
    }
}

/// One version of everything, as this worker sees it. A request keeps the one it began with.
#[derive(Default)]
pub(crate) struct WorkerSnapshot {
    /// Counts up; 0 is the empty one before the first.
    version: u64,
    pub(crate) clusters: FxHashMap<Box<str>, Rc<WorkerCluster>>,
    pub(crate) routes: FxHashMap<Box<str>, Rc<WorkerRoutes>>,
}

/// The version of a listener that takes new connections.
pub(crate) type Present = Rc<RefCell<Rc<WorkerListener>>>;

/// One worker.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) workers: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) reactor: Reactor,
    pub(crate) buffers: Rc<BufferPool>,
    pub(crate) clock: Clock,
    pub(crate) logs: RefCell<LogBuffers>,
    filesystem: Shard<FilesystemStats>,
    /// What of the log buffers' numbers is in `filesystem`.
    logs_counted: Cell<BufferStats>,
    snapshot: RefCell<Rc<WorkerSnapshot>>,
    #[expect(clippy::vec_box, reason = "moving a box is cheaper than moving what is in it")]
    scratch: RefCell<Vec<Box<Scratch>>>,
    /// What HTTP/2 connections read into, one after the other.
    read: RefCell<Box<[u8]>>,
    random: RefCell<fastrand::Rng>,
    next_id: Cell<u64>,
    edits: RefCell<dragoman_router::Scratch>,
    pub(crate) route_times: RouteTimes,
    /// The listeners by their addresses, for connections that are handed over.
    pub(crate) by_address: RefCell<FxHashMap<SocketAddr, Present>>,
    /// Connections that are served now.
    pub(crate) connections: Cell<usize>,
    /// Requests that are served now.
    pub(crate) requests: Cell<usize>,
    /// Bytes of requests' bodies that are kept for another attempt.
    pub(crate) kept: Rc<Cell<usize>>,
}

/// A read of HTTP/2's: a full frame of the usual size and a little.
const READ_BYTES: usize = 32 << 10;

/// Scratches that are kept.
const KEPT: usize = 128;

impl Worker {
    pub(crate) fn new(
        index: usize,
        workers: usize,
        shared: Arc<Shared>,
        reactor: Reactor,
        logs: LogBuffers,
    ) -> Worker {
        Worker {
            index,
            workers,
            filesystem: shared.filesystem.shard(index),
            logs_counted: Cell::default(),
            shared,
            reactor,
            buffers: Rc::default(),
            clock: Clock::new(),
            logs: RefCell::new(logs),
            snapshot: RefCell::default(),
            scratch: RefCell::default(),
            read: RefCell::new(vec![0; READ_BYTES].into()),
            random: RefCell::new(fastrand::Rng::new()),
            next_id: Cell::new(index as u64),
            edits: RefCell::new(dragoman_router::Scratch::new(dragoman_format::Scratch::new(
                SystemTime::now(),
                Moment::START,
            ))),
            route_times: RouteTimes::default(),
            by_address: RefCell::default(),
            connections: Cell::new(0),
            requests: Cell::new(0),
            kept: Rc::default(),
        }
    }

    /// The listener of an address: its own, or one of every address with that port.
    pub(crate) fn listener_at(&self, address: &Address) -> Option<Rc<WorkerListener>> {
        let Address::Ip(address) = address else { return None };
        let by_address = self.by_address.borrow();
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let any = SocketAddr::new(any, address.port());
        let present = by_address.get(address).or_else(|| by_address.get(&any))?;
        Some(present.borrow().clone())
    }

    pub(crate) fn snapshot(&self) -> Rc<WorkerSnapshot> {
        self.snapshot.borrow().clone()
    }

    /// Takes over a new version.
    pub(crate) fn apply(&self, shared: &Snapshot) {
        let old = self.snapshot();
        let seed = || self.random();
        let clusters = rebuild(&shared.clusters, &old.clusters, self.index, self.workers, seed);
        let mut routes: FxHashMap<Box<str>, Rc<WorkerRoutes>> = FxHashMap::default();
        for (name, entry) in &shared.routes {
            let same = old.routes.get(name).filter(|r| Arc::ptr_eq(&r.shared, entry)).cloned();
            let made = || Rc::new(WorkerRoutes::new(entry, self.index));
            routes.insert(name.clone(), same.unwrap_or_else(made));
        }
        *self.snapshot.borrow_mut() =
            Rc::new(WorkerSnapshot { version: old.version + 1, clusters, routes });
    }

    /// The routes of a connection manager in `snapshot`; `None` while they haven't come yet.
    pub(crate) fn routes(
        snapshot: &WorkerSnapshot,
        source: &RouteSource,
        inline: &Option<Rc<WorkerRoutes>>,
    ) -> Option<Rc<WorkerRoutes>> {
        match source {
            RouteSource::Inline(_) => inline.clone(),
            RouteSource::Named(name) => snapshot.routes.get(name).cloned(),
        }
    }

    pub(crate) fn take_scratch(&self) -> Box<Scratch> {
        self.scratch.borrow_mut().pop().unwrap_or_default()
    }

    /// Bytes for one read; not to be kept.
    pub(crate) fn read_buffer(&self) -> RefMut<'_, Box<[u8]>> {
        self.read.borrow_mut()
    }

    pub(crate) fn give_scratch(&self, mut scratch: Box<Scratch>) {
        let mut kept = self.scratch.borrow_mut();
        if kept.len() < KEPT {
            scratch.request.headers.shrink(16 << 10);
            scratch.response.headers.shrink(16 << 10);
            kept.push(scratch);
        }
    }

    /// What route edits and formats work with, set to the present moment.
    pub(crate) fn edits(&self) -> RefMut<'_, dragoman_router::Scratch> {
        let mut edits = self.edits.borrow_mut();
        let now = self.clock.now();
        if edits.format.instant != now {
            edits.format.set_now(self.clock.wall(now), now);
        }
        edits
    }

    /// Writes a line to each of `logs`, also on the way out of a panic: a second one would end the
    /// process.
    pub(crate) fn log(&self, logs: &[AccessLog], kind: LogType, facts: &Facts<'_>) {
        if logs.is_empty() {
            return;
        }
        let write = || {
            let mut buffers = self.logs.borrow_mut();
            let mut edits = self.edits();
            for log in logs {
                log.log(kind, facts, &mut edits.format, &mut buffers);
            }
        };
        match std::thread::panicking() {
            false => write(),
            true => drop(catch_unwind(AssertUnwindSafe(write))),
        }
    }

    /// What happened to the access logs since the last call.
    pub(crate) fn count_logs(&self) {
        let now = self.logs.borrow().stats();
        let before = self.logs_counted.replace(now);
        let stats = &self.filesystem;
        stats.write_buffered.add(now.write_buffered - before.write_buffered);
        stats.flushed_by_timer.add(now.flushed_by_timer - before.flushed_by_timer);
        stats.write_failed.add(now.dropped - before.dropped);
        stats.write_total_buffered.set(now.waiting_bytes as i64);
    }

    pub(crate) fn random(&self) -> u64 {
        self.random.borrow_mut().u64(..)
    }

    /// A number no other connection or stream of the process has.
    pub(crate) fn next_id(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + self.workers as u64);
        id
    }

    /// Whether a connection that came by `listener` should be closed now because of draining; `chain`: since
    /// when its filter chain drains.
    pub(crate) fn drain_close(&self, listener: &WorkerListener, chain: Option<Moment>) -> bool {
        let shared = &self.shared;
        if shared.health_failed.load(Ordering::Relaxed) {
            return true;
        }
        let everybody = Moment::from_number(shared.draining_since.load(Ordering::Relaxed));
        let since = everybody.into_iter().chain(listener.draining_since.get());
        let since = since.chain(chain).min();
        since.is_some_and(|since| shared.drain.closes(self.clock.now().since(since), self.random()))
    }

    /// Closes what idled too long.
    pub(crate) fn sweep(&self, now: Moment) {
        for cluster in self.snapshot().clusters.values() {
            cluster.sweep(now);
        }
    }
}

/// A worker's clock. It is read when a task wakes, not at every question: what is decided in one turn
/// has one time.
pub(crate) struct Clock {
    now: Cell<Moment>,
    base: Cell<(Moment, SystemTime)>,
    /// The line of the `date` field, and until when it holds.
    date: RefCell<(Vec<u8>, Moment)>,
}

impl Clock {
    fn new() -> Clock {
        let now = clock::now();
        Clock {
            now: Cell::new(now),
            base: Cell::new((now, SystemTime::now())),
            date: RefCell::new((Vec::new(), Moment::START)),
        }
    }

    /// The moment of the present turn.
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        self.now.get()
    }

    /// Reads the clock: a task woke.
    pub(crate) fn read(&self) -> Moment {
        self.now.set(clock::now());
        self.now.get()
    }

    /// Reads the clock on every poll of a wait but the first, which belongs to the turn before.
    pub(crate) fn read_when_woken(&self, woken: &mut bool) {
        if std::mem::replace(woken, true) {
            self.read();
        }
    }

    /// Follows steps of the wall clock; called about once a second.
    pub(crate) fn resync(&self) {
        self.base.set((self.read(), SystemTime::now()));
        self.date.borrow_mut().1 = Moment::START;
    }

    pub(crate) fn wall(&self, at: Moment) -> SystemTime {
        let (moment, system) = self.base.get();
        match at.checked_since(moment) {
            Some(after) => system + after,
            None => system - moment.since(at),
        }
    }

    /// Calls `with` with the line of the `date` field of now (RFC 9110 section 6.6.1).
    pub(crate) fn with_date<T>(&self, with: impl FnOnce(&[u8]) -> T) -> T {
        let mut cached = self.date.borrow_mut();
        if self.now() >= cached.1 {
            let wall = self.wall(self.now());
            let since = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let left = Duration::from_secs(1)
                .saturating_sub(Duration::from_nanos(since.subsec_nanos().into()));
            let line = line_of(id::DATE, httpdate::fmt_http_date(wall).as_bytes());
            *cached = (line, self.now().after(left));
        }
        with(&cached.0)
    }
}
