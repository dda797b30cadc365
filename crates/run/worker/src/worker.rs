//! A worker's thread: its runtime, its listeners, and what the control thread tells it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel, sync_channel};
use std::time::Duration;

use dragoman_loggers::LogBuffers;
use dragoman_net::{Bound, Caller, Listener as Accepting, Reactor, Task};
use dragoman_types::{Address, Moment};
use rustc_hash::FxHashMap;

use crate::admit::admit;
use crate::context::{Present, Shared, Worker};
use crate::manager::WorkerListener;
use crate::snapshot::{Listener, Snapshot};

/// What the control thread tells a worker.
#[derive(Debug)]
pub enum Command {
    /// A new version, with the sockets of its listeners by name.
    Apply(Arc<Snapshot>, FxHashMap<Arc<str>, Arc<Vec<Bound>>>),
    /// Stop accepting; `true`: only listeners of inbound traffic.
    StopListeners {
        inbound_only: bool,
    },
    /// Hand what was logged to the writer, then say so.
    FlushLogs(Sender<()>),
    Stop,
}

/// What a worker tells of itself.
#[derive(Debug, Default)]
pub struct Load {
    pub connections: AtomicU64,
    pub requests: AtomicU64,
}

/// Where a worker is told something, from any thread.
#[derive(Clone, Debug)]
pub struct Orders {
    sender: Sender<Command>,
    caller: Caller,
}

impl Orders {
    /// Tells the worker something; a worker that ended hears nothing.
    pub fn tell(&self, command: Command) {
        if self.sender.send(command).is_ok() {
            self.caller.call();
        }
    }
}

/// A running worker.
#[derive(Debug)]
pub struct Handle {
    orders: Orders,
    pub load: Arc<Load>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Handle {
    /// Starts worker `index` of `workers`.
    ///
    /// # Errors
    /// When the thread or its runtime can't be made.
    pub fn start(
        index: usize,
        workers: usize,
        shared: Arc<Shared>,
        logs: LogBuffers,
        flush: Duration,
    ) -> std::io::Result<Handle> {
        let (sender, inbox) = channel();
        let load = Arc::new(Load::default());
        let seen = load.clone();
        let (begun, began) = sync_channel(1);
        let thread =
            std::thread::Builder::new().name(format!("wrk:worker_{index}")).spawn(move || {
                let reactor = match Reactor::new() {
                    Ok(reactor) => reactor,
                    Err(error) => return drop(begun.send(Err(error))),
                };
                // Whoever starts the worker waits for this.
                let _ = begun.send(Ok(reactor.caller()));
                let worker = Rc::new(Worker::new(index, workers, shared, reactor.clone(), logs));
                run(&reactor, &worker, &inbox, &seen, flush);
                // What is still being served ends here, and is logged.
                reactor.end();
                worker.route_times.tell();
                worker.logs.borrow_mut().flush();
            })?;
        let caller = began.recv().unwrap_or_else(|gone| Err(std::io::Error::other(gone)))?;
        Ok(Handle { orders: Orders { sender, caller }, load, thread: Some(thread) })
    }

    pub fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Ends the worker and waits for its thread.
    pub fn stop(&mut self) {
        self.orders.tell(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One listener as this worker runs it.
struct Running {
    present: Present,
    /// Versions before it whose connections live on: only filter chains have changed since.
    older: Vec<Rc<WorkerListener>>,
    sockets: Arc<Vec<Bound>>,
    tasks: Vec<Task>,
}

/// The listeners of this worker.
#[derive(Default)]
struct Listeners {
    running: FxHashMap<Arc<str>, Running>,
    /// Removed or replaced ones, and when their last connections end.
    leaving: Vec<(Moment, Rc<WorkerListener>)>,
}

/// How often idle connections are looked through and the load is told.
const TICK: Duration = Duration::from_millis(500);

fn run(
    reactor: &Reactor,
    worker: &Rc<Worker>,
    inbox: &Receiver<Command>,
    load: &Load,
    flush: Duration,
) {
    let mut listeners = Listeners::default();
    let mut tick = worker.clock.now();
    let mut flushed = tick;
    loop {
        reactor.poll_woken();
        worker.route_times.tell();
        // A kernel that doesn't answer any more ends the worker.
        let Ok(turn) = reactor.wait(tick) else { return };
        let ticked = reactor.turned() >= tick;
        if !turn.called && !ticked {
            continue;
        }
        worker.clock.read();
        loop {
            match inbox.try_recv() {
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return,
                Ok(command) => obey(worker, &mut listeners, command),
                Err(TryRecvError::Empty) => break,
            }
        }
        if ticked {
            worker.clock.resync();
            let now = worker.clock.now();
            tick = now.after(TICK);
            listeners.end_leaving(now);
            worker.sweep(now);
            if now.since(flushed) >= flush {
                flushed = now;
                worker.logs.borrow_mut().flush();
            }
            worker.count_logs();
        }
        load.connections.store(worker.connections.get() as u64, Ordering::Relaxed);
        load.requests.store(worker.requests.get() as u64, Ordering::Relaxed);
    }
}

fn obey(worker: &Rc<Worker>, listeners: &mut Listeners, command: Command) {
    match command {
        Command::Apply(snapshot, sockets) => {
            worker.apply(&snapshot);
            listeners.apply(worker, &snapshot, &sockets);
        }
        Command::StopListeners { inbound_only } => {
            for running in listeners.running.values_mut() {
                let listener = running.present.borrow().clone();
                if !inbound_only || listener.shared.inbound {
                    stop(running, worker.clock.now());
                    // While a descriptor is open, the kernel goes on queueing connections.
                    running.sockets = Arc::default();
                }
            }
            listeners.tell_addresses(worker);
        }
        Command::FlushLogs(done) => {
            worker.logs.borrow_mut().flush();
            // Nobody may be waiting any more.
            let _ = done.send(());
        }
        Command::Stop => {}
    }
}

fn stop(running: &Running, now: Moment) {
    for listener in running.versions() {
        listener.drain(now);
    }
    for task in &running.tasks {
        task.abort();
    }
}

impl Running {
    fn versions(&self) -> impl Iterator<Item = Rc<WorkerListener>> {
        let present = self.present.borrow().clone();
        self.older.iter().cloned().chain([present])
    }

    /// New connections come by the new version. Gives those of whose connections some are asked to leave.
    fn replace(
        &mut self,
        shared: &Arc<Listener>,
        worker: usize,
        now: Moment,
    ) -> Vec<Rc<WorkerListener>> {
        let old = self.present.borrow().clone();
        let in_place = shared.succeeds == Some(old.shared.config_id);
        let next = Rc::new(WorkerListener::new(shared, worker, in_place.then_some(&old)));
        *self.present.borrow_mut() = next.clone();
        self.older.retain(|listener| !listener.connections.borrow().is_empty());
        self.older.push(old);
        for listener in &self.older {
            match in_place {
                true => listener.drain_lost(&next, now),
                false => listener.drain(now),
            }
        }
        if in_place { self.older.clone() } else { std::mem::take(&mut self.older) }
    }
}

impl Listeners {
    fn apply(
        &mut self,
        worker: &Rc<Worker>,
        snapshot: &Snapshot,
        sockets: &FxHashMap<Arc<str>, Arc<Vec<Bound>>>,
    ) {
        let now = worker.clock.now();
        let end = now.after(worker.shared.drain.time);
        self.running.retain(|name, running| {
            // One that was told to stop has no sockets and keeps its connections.
            let stopped = running.sockets.is_empty();
            let kept = snapshot.listeners.iter().any(|l| l.name == *name)
                && (stopped || sockets.get(name).is_some_and(|s| Arc::ptr_eq(s, &running.sockets)));
            if !kept {
                stop(running, now);
                self.leaving.extend(running.versions().map(|listener| (end, listener)));
            }
            kept
        });
        for shared in &snapshot.listeners {
            let Some(bound) = sockets.get(&shared.name) else { continue };
            match self.running.get_mut(&shared.name) {
                Some(running) if Arc::ptr_eq(&running.present.borrow().shared, shared) => {}
                Some(running) => {
                    let leaving = running.replace(shared, worker.index, now);
                    self.leaving.extend(leaving.into_iter().map(|listener| (end, listener)));
                }
                None => {
                    let present = Rc::new(WorkerListener::new(shared, worker.index, None));
                    let present = Rc::new(RefCell::new(present));
                    let accepting = bound.iter().map(|b| accept_on(worker, &present, b));
                    let tasks = accepting.collect();
                    let (sockets, older) = (bound.clone(), Vec::new());
                    let running = Running { present, older, sockets, tasks };
                    self.running.insert(shared.name.clone(), running);
                }
            }
        }
        self.tell_addresses(worker);
    }

    /// Connections may be handed to a listener by its address, unless it was stopped.
    fn tell_addresses(&self, worker: &Worker) {
        let mut by_address = worker.by_address.borrow_mut();
        by_address.clear();
        for running in self.running.values() {
            let present = running.present.borrow();
            if present.draining_since.get().is_some() {
                continue;
            }
            let listener = &present.shared;
            for address in &listener.addresses {
                let Address::Ip(address) = address else { continue };
                by_address.insert(*address, running.present.clone());
                if listener.takes_ipv4 && address.ip() == Ipv6Addr::UNSPECIFIED {
                    let ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
                    by_address.entry(ipv4).or_insert_with(|| running.present.clone());
                }
            }
        }
    }

    /// The drain time of some is over.
    fn end_leaving(&mut self, now: Moment) {
        self.leaving.retain(|(end, listener)| {
            if now >= *end {
                listener.cut();
            }
            now < *end && !listener.connections.borrow().is_empty()
        });
    }
}

fn accept_on(worker: &Rc<Worker>, present: &Present, bound: &Bound) -> Task {
    let (worker, present) = (worker.clone(), present.clone());
    let reactor = worker.reactor.clone();
    let listener = bound.listener(&reactor, worker.index);
    let address = bound.address.clone();
    reactor.spawn(async move {
        let Ok(listener) = listener else { return };
        accept(worker, present, listener, address).await;
    })
}

/// Wait this long after accept failed (out of descriptors): trying at once would only spin.
const BACK_OFF: Duration = Duration::from_millis(50);

async fn accept(worker: Rc<Worker>, present: Present, listener: Accepting, address: Address) {
    loop {
        match poll_fn(|cx| listener.poll_accept(cx)).await {
            Ok((socket, peer)) => {
                let local = socket.local().unwrap_or_else(|| address.clone());
                let config = present.borrow().clone();
                admit(&worker, &config, socket, (peer, local));
            }
            // The client that was to be accepted is gone already.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(_) => {
                present.borrow().stats.downstream_global_cx_overflow.inc();
                worker.reactor.sleep(BACK_OFF).await;
            }
        }
    }
}
