//! The interface of listener filters.
//!
//! Laws, for who runs them:
//! 1. The filters of a listener are asked in their order, each until it says `Done`. The first question
//!    comes with the bytes at hand, which may be none.
//! 2. After `More` the same filter is asked again with all bytes from the same beginning and at least
//!    one more. Until so many are there as it said, asking is allowed and useless.
//! 3. `Done` drops what was consumed; the next filter's bytes begin behind that.
//! 4. When the peer ends while a filter wants more, or the filters' time is over, the connection is
//!    closed (Envoy counts `downstream_listener_filter_remote_close` and `downstream_pre_cx_timeout`).
//! 5. No more than `max_bytes` are ever needed, so no more need be kept.

use std::fmt::Debug;
use std::sync::Arc;

use dragoman_proto::pb::google::protobuf::Any;
use dragoman_stats::{Group, Registry, Shard};
use dragoman_types::Faults;

use crate::Arrival;

/// What a filter found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inspected {
    /// Nothing can be said before so many bytes are there, counted from where this filter's begin.
    /// More than it was shown, and never more than its `max_bytes`.
    More { until: usize },
    /// The filter is through. `consumed` bytes belong to it and to nobody else.
    Done { consumed: usize },
    /// The connection is closed; the cause is for the log.
    Close(&'static str),
}

/// How far a filter came with the bytes of one connection, so that bytes which drip in one by one
/// aren't read again each time. Zero when the filter is asked first; what it means is the filter's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Bytes that needn't be looked at again.
    pub at: usize,
    /// What was found in them.
    pub found: usize,
}

/// One listener filter: compiled once from its message, frozen, shared by all workers.
pub trait ListenerFilter: Send + Sync + Debug {
    /// How many bytes it may have to see; 0: it looks at none and is `Done` when asked first.
    fn max_bytes(&self) -> usize;

    /// Whether it needs [`Arrival::original_destination`], which costs a system call.
    fn asks_original_destination(&self) -> bool {
        false
    }

    /// Looks at the connection's first bytes. Leaves `arrival` as it was when it wants `More`.
    ///
    /// Whatever the bytes, it must not panic, and its work over all questions must grow with the
    /// number of bytes, not with its square.
    fn inspect(
        &self,
        data: &[u8],
        progress: &mut Progress,
        arrival: &mut Arrival,
        worker: usize,
    ) -> Inspected;
}

/// What a filter is compiled with besides its message.
#[derive(Clone, Copy, Debug)]
pub struct Means<'a> {
    pub registry: &'a Registry,
}

/// Compiles a filter's message; `None` after a fault.
pub type CompileListenerFilter =
    fn(&Any, &Means<'_>, &mut Faults) -> Option<Arc<dyn ListenerFilter>>;

/// A filter's counters, a block for each worker.
#[derive(Debug)]
pub struct Stats<G>(Box<[Shard<G>]>);

impl<G: Group> Stats<G> {
    /// Under `prefix`, which ends with a dot or is empty. Envoy's listener filters count for the whole
    /// process, not by listener.
    pub fn new(means: &Means<'_>, prefix: &str) -> Stats<G> {
        let scope = means.registry.scope(prefix);
        Stats((0..means.registry.shards()).map(|at| scope.shard(at)).collect())
    }

    /// The counters of the worker that has the connection.
    pub fn of(&self, worker: usize) -> &G {
        &self.0[worker]
    }
}
