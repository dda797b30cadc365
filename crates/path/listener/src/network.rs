//! Network filters that stand before what speaks the connection's protocol: they are asked when it has its
//! filter chain, and when its client has come through TLS, before any byte of it is served. Implementations live in
//! `crates/ext/network_filters`.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use dragoman_proto::pb::google::protobuf::Any as PbAny;
use dragoman_types::{Connection, Faults, Flags, Hello, Moment};

use crate::Means;

/// A connection that has its filter chain.
#[derive(Clone, Copy, Debug)]
pub struct Opened<'a> {
    /// What the tls_inspector found.
    pub hello: Option<&'a Hello>,
    /// Which worker serves it.
    pub worker: usize,
    pub now: Moment,
}

/// What a filter says of a connection.
#[derive(Debug)]
pub enum Verdict {
    Pass,
    /// It passes, and something is kept until it ends.
    Hold(Box<dyn Any>),
    /// It passes, and tcp_proxy takes it to this cluster.
    To(Box<str>),
    /// It is closed, after a while in which nothing of it is read.
    Close {
        after: Duration,
        flags: Flags,
    },
}

/// One network filter: compiled once from its message, shared by all workers.
pub trait NetworkFilter: Send + Sync + Debug {
    fn open(&self, opened: &Opened<'_>) -> Verdict;

    /// When all is known of the connection: at once, or after TLS's handshake. Default: it passes.
    ///
    /// # Errors
    /// Why it is closed.
    fn secured(&self, connection: &Connection, worker: usize) -> Result<(), Refused> {
        let _ = (connection, worker);
        Ok(())
    }
}

/// Compiles a filter's message; `None` after a fault.
pub type CompileNetworkFilter =
    fn(&PbAny, &Means<'_>, &mut Faults) -> Option<Arc<dyn NetworkFilter>>;

/// What becomes of a connection that passed all filters.
#[derive(Debug, Default)]
pub struct Passed {
    /// The cluster that a filter chose.
    pub cluster: Option<Box<str>>,
    held: Vec<Box<dyn Any>>,
}

/// A connection that a filter turned away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// How long it waits for its end, while nothing of it is read.
    pub after: Duration,
    pub flags: Flags,
    /// `%CONNECTION_TERMINATION_DETAILS%`
    pub details: Option<String>,
}

/// Asks each filter in turn.
///
/// # Errors
/// The first that turns the connection away; what those before it kept is given back.
pub fn open(filters: &[Arc<dyn NetworkFilter>], opened: &Opened<'_>) -> Result<Passed, Refused> {
    let mut passed = Passed::default();
    for filter in filters {
        match filter.open(opened) {
            Verdict::Pass => {}
            Verdict::Hold(kept) => passed.held.push(kept),
            Verdict::To(cluster) => passed.cluster = Some(cluster),
            Verdict::Close { after, flags } => {
                return Err(Refused { after, flags, details: None });
            }
        }
    }
    Ok(passed)
}
