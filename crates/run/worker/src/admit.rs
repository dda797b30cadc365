//! A new connection, up to whoever serves it: listener filters look at its first bytes, then its filter
//! chain is chosen.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use dragoman_listener::{Arrival, Inspected, Progress};
use dragoman_net::{Buffer, Socket, Task};
use dragoman_types::{Address, Connection, Facts, Flags, Hello, Metadata, StreamInfo};

use crate::context::Worker;
use crate::manager::{Served, WorkerChain, WorkerListener, WorkerNetwork};
use crate::plain;
use crate::serve::{Admitted, ip_text, serve};
use crate::tcp::proxy;

/// Takes a connection in. Its task is known to the listener by `id` until it ends.
pub(crate) fn admit(
    worker: &Rc<Worker>,
    listener: &Rc<WorkerListener>,
    socket: Socket,
    (peer, local): (Address, Address),
) {
    let id = worker.next_id();
    // A client of a pipe has no address of its own: it is known by the pipe's.
    let peer = if peer == Address::Pipe("".into()) { local.clone() } else { peer };
    let chain = listener.only_chain().cloned();
    let task = match chain.clone() {
        Some(chain) => {
            let input = Buffer::default();
            let (direct_remote, remote) = (peer.clone(), peer);
            let admitted = Admitted {
                id,
                socket,
                input,
                chain,
                hello: None,
                direct_remote,
                remote,
                direct_local: local.clone(),
                local,
            };
            begin(worker, listener, admitted)
        }
        None => {
            let arrival = Arrival::new(local.clone(), peer);
            let input = Buffer::default();
            let incoming = Incoming { socket, input, arrival, direct_local: local };
            let waiting = Waiting::new(worker, listener, id, listener.shared.hands_off);
            worker.reactor.spawn(waiting.choose(incoming))
        }
    };
    listener.connections.borrow_mut().insert(id, Served { task, chain });
}

/// Envoy's filter state of TLVs that have names.
const NAMED_TLVS: &str = "envoy.network.proxy_protocol.tlv";

/// What listener filters found, if anything.
fn hello_of(arrival: &mut Arrival) -> Option<Box<Hello>> {
    let (server_name, ja3) = (arrival.server_name.take(), arrival.ja3.take());
    let header = arrival.proxy.take();
    let proxied = header.is_some();
    let (tlvs, named) = header.map(|header| (header.tlvs, header.named)).unwrap_or_default();
    let field = |(key, value)| Metadata { namespace: NAMED_TLVS.into(), key, value };
    let filter_state = named.into_iter().map(field).collect();
    let metadata = std::mem::take(&mut arrival.metadata);
    let hello =
        Hello { server_name, ja3, ja4: arrival.ja4.take(), proxied, tlvs, metadata, filter_state };
    (hello != Hello::default()).then(|| Box::new(hello))
}

/// Hands a connection to what speaks its protocol. A panic ends it alone: the task is its boundary.
fn begin(worker: &Rc<Worker>, listener: &Rc<WorkerListener>, admitted: Admitted) -> Task {
    let (own, listener) = (worker.clone(), listener.clone());
    match &admitted.chain.network {
        WorkerNetwork::Http(manager) => {
            let manager = manager.clone();
            worker.reactor.spawn(serve(own, listener, manager, admitted))
        }
        WorkerNetwork::Tcp(tcp) => {
            let tcp = tcp.clone();
            worker.reactor.spawn(proxy(own, listener, tcp, admitted))
        }
        WorkerNetwork::Plain(plain) => {
            let plain = plain.clone();
            worker.reactor.spawn(plain::serve(own, listener, plain, admitted))
        }
    }
}

/// A connection that has no chain yet.
struct Waiting {
    worker: Rc<Worker>,
    listener: Rc<WorkerListener>,
    id: u64,
    /// It may go on at another listener.
    hands_off: bool,
    /// Its task is another's now.
    admitted: bool,
}

/// What is known of it, and what was read.
struct Incoming {
    socket: Socket,
    input: Buffer,
    arrival: Arrival,
    /// The socket's own end.
    direct_local: Address,
}

impl Incoming {
    fn admitted(mut self, id: u64, chain: Rc<WorkerChain>) -> Admitted {
        Admitted {
            id,
            socket: self.socket,
            input: self.input,
            chain,
            hello: hello_of(&mut self.arrival),
            direct_remote: self.arrival.direct_source,
            remote: self.arrival.source,
            direct_local: self.direct_local,
            local: self.arrival.destination,
        }
    }
}

/// The filters' verdict.
enum Seen {
    Through,
    /// A filter turned the connection away.
    Refused,
    /// The peer ended.
    Ended,
    /// The socket failed.
    Failed,
    TimeOver,
}

impl Waiting {
    fn new(
        worker: &Rc<Worker>,
        listener: &Rc<WorkerListener>,
        id: u64,
        hands_off: bool,
    ) -> Waiting {
        listener.stats.downstream_pre_cx_active.inc();
        let (worker, listener) = (worker.clone(), listener.clone());
        Waiting { worker, listener, id, hands_off, admitted: false }
    }

    async fn choose(mut self, mut incoming: Incoming) {
        let accepted_at = self.worker.clock.read();
        let seen = self.inspect(&mut incoming).await;
        if !self.goes_on(&seen) {
            return self.log(&mut incoming.arrival, StreamInfo::new(self.id, accepted_at));
        }
        if let Some(other) = self.other_listener(&incoming) {
            return self.hand_off(&other, incoming);
        }
        let Some(chain) = self.listener.find_chain(&incoming.arrival).cloned() else {
            self.listener.stats.no_filter_chain_match.inc();
            let mut info = StreamInfo::new(self.id, accepted_at);
            info.flags = Flags::NO_ROUTE_FOUND;
            info.details = Some("filter_chain_not_found".into());
            return self.log(&mut incoming.arrival, info);
        };
        // Another task: what was needed until here needn't live as long as the connection.
        let admitted = incoming.admitted(self.id, chain.clone());
        let task = begin(&self.worker, &self.listener, admitted);
        let served = Served { task, chain: Some(chain) };
        self.listener.connections.borrow_mut().insert(self.id, served);
        self.admitted = true;
    }

    /// Who has the connection's destination, where that isn't the socket's own.
    /// Source: `Listener.use_original_dst`.
    fn other_listener(&self, incoming: &Incoming) -> Option<Rc<WorkerListener>> {
        let destination = &incoming.arrival.destination;
        let redirected = self.hands_off && *destination != incoming.direct_local;
        redirected.then(|| self.worker.listener_at(destination)).flatten()
    }

    /// The connection goes on as if `other` had accepted it; what was read and not consumed goes along.
    /// It is handed on once, so that it comes to an end.
    fn hand_off(mut self, other: &Rc<WorkerListener>, incoming: Incoming) {
        let chain = other.only_chain().cloned();
        let task = match chain.clone() {
            Some(chain) => begin(&self.worker, other, incoming.admitted(self.id, chain)),
            None => {
                let waiting = Waiting::new(&self.worker, other, self.id, false);
                self.worker.reactor.spawn(waiting.choose(incoming))
            }
        };
        self.listener.connections.borrow_mut().remove(&self.id);
        other.connections.borrow_mut().insert(self.id, Served { task, chain });
        // The other may be the same one: this one's end mustn't forget it.
        self.admitted = true;
    }

    /// Counts what the filters said; whether the connection may go on.
    fn goes_on(&self, seen: &Seen) -> bool {
        let stats = &self.listener.stats;
        match seen {
            Seen::Through => return true,
            // Who refused it has counted it.
            Seen::Refused => {}
            Seen::Failed => stats.downstream_listener_filter_error.inc(),
            Seen::Ended => stats.downstream_listener_filter_remote_close.inc(),
            Seen::TimeOver => {
                stats.downstream_pre_cx_timeout.inc();
                return self.listener.shared.filters.continue_on_timeout;
            }
        }
        false
    }

    /// The line of a connection that no chain served.
    fn log(&self, arrival: &mut Arrival, mut info: StreamInfo) {
        if !self.listener.logs() {
            return;
        }
        info.end = Some(self.worker.clock.read());
        let connection = Connection {
            id: self.id,
            direct_remote: arrival.direct_source.clone(),
            remote: arrival.source.clone(),
            remote_ip: ip_text(&arrival.source),
            direct_local: arrival.destination.clone(),
            local: arrival.destination.clone(),
            listener: self.listener.shared.name.clone(),
            accepted_at: info.start,
            hello: hello_of(arrival),
            chain: "".into(),
            tls: None,
        };
        self.listener.log(&self.worker, &Facts::of_connection(&connection, &info));
    }

    /// Asks the filters in their order, each until it's through.
    async fn inspect(&self, Incoming { socket, input, arrival, .. }: &mut Incoming) -> Seen {
        let filters = &self.listener.shared.filters;
        let limit = filters.timeout;
        let until = limit.map(|limit| self.worker.clock.read().after(limit));
        let mut deadline = self.worker.reactor.deadline();
        for filter in &filters.list {
            if filter.asks_original_destination() {
                arrival.original_destination = socket.original_destination();
            }
            let mut progress = Progress::default();
            loop {
                let data = input.data();
                let wanted = match filter.inspect(data, &mut progress, arrival, self.worker.index) {
                    Inspected::More { until } => until,
                    Inspected::Done { consumed } => {
                        input.consume(consumed);
                        break;
                    }
                    Inspected::Close(_) => return Seen::Refused,
                };
                while input.len() < wanted {
                    let limit = filter.max_bytes().max(wanted);
                    let read = poll_fn(|cx| {
                        let room = input.room(&self.worker.buffers, limit);
                        match socket.poll_read(cx, room) {
                            Poll::Ready(read) => Poll::Ready(Some(read)),
                            Poll::Pending => deadline.poll_at(cx, until).map(|()| None),
                        }
                    });
                    match read.await {
                        Some(Ok(n)) if n > 0 => input.filled(n),
                        Some(Ok(_)) => return Seen::Ended,
                        Some(Err(_)) => return Seen::Failed,
                        None => return Seen::TimeOver,
                    }
                }
            }
        }
        Seen::Through
    }
}

/// However it ends: by its chain, by a filter, with its listener.
impl Drop for Waiting {
    fn drop(&mut self) {
        self.listener.stats.downstream_pre_cx_active.dec();
        if !self.admitted {
            self.listener.connections.borrow_mut().remove(&self.id);
        }
    }
}
