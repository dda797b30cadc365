//! HTTP filters: what may happen to a request between the connection manager and the router, and to
//! its response on the way back. Implementations live in `crates/ext/filters`.
//!
//! Life of a filter: compiled once from its message ([`CompileFilter`]), frozen, shared by all
//! workers; asked once a request. It keeps nothing about a request: what the way back needs to know
//! is read off the request, which it gets again. One that looks at bodies, or has to keep something,
//! has a [`StreamFilter`] in each request that concerns it.

mod stream;

use std::fmt::Debug;
use std::sync::Arc;

use dragoman_proto::pb::google::protobuf::Any;
use dragoman_stats::{Group, Registry, Shard};
use dragoman_types::{Connection, Faults, LocalReply, RequestHead, ResponseHead, StreamInfo};

pub use stream::{Broken, Hold, StreamFilter, Streams};

/// What surrounds a request.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    pub connection: &'a Connection,
    /// Which worker serves the request.
    pub worker: usize,
    /// `--service-cluster`, or the node's cluster.
    pub service_cluster: &'a str,
    /// The route's, as statistics know it; empty where there is none.
    pub cluster: &'a str,
    /// `/healthcheck/fail` was called.
    pub health_failed: bool,
}

/// One HTTP filter.
pub trait HttpFilter: Send + Sync + Debug {
    /// When the request's head is here, before it is routed. An error is answered to the client; no
    /// later filter and no router sees the request. Default: go on.
    ///
    /// # Errors
    /// The answer that ends the request here.
    fn request(
        &self,
        request: &mut RequestHead,
        info: &mut StreamInfo,
        around: &Surroundings<'_>,
    ) -> Result<(), LocalReply> {
        let _ = (request, info, around);
        Ok(())
    }

    /// The filter's own part in the request, asked for after [`HttpFilter::request`]; it may change the
    /// head too. Default: none, which costs nothing.
    ///
    /// # Errors
    /// As [`HttpFilter::request`].
    fn stream(
        &self,
        request: &mut RequestHead,
        around: &Surroundings<'_>,
    ) -> Result<Option<Box<dyn StreamFilter>>, LocalReply> {
        let _ = (request, around);
        Ok(None)
    }

    /// When the response's head is about to be written, the last filter first; for local replies
    /// too. Default: nothing.
    fn response(
        &self,
        response: &mut ResponseHead,
        request: &RequestHead,
        around: &Surroundings<'_>,
    ) {
        let _ = (response, request, around);
    }
}

/// What a filter is compiled with besides its message.
#[derive(Clone, Copy, Debug)]
pub struct Means<'a> {
    pub registry: &'a Registry,
    /// Where the connection manager's statistics stand: `http.<stat_prefix>.`
    pub stat_prefix: &'a str,
}

/// Compiles a filter's message; `None` after a fault.
pub type CompileFilter = fn(&Any, &Means<'_>, &mut Faults) -> Option<Arc<dyn HttpFilter>>;

/// A filter's counters, a block for each worker.
#[derive(Debug)]
pub struct Stats<G>(Box<[Shard<G>]>);

impl<G: Group> Stats<G> {
    /// Under `http.<stat_prefix>.<name>.`
    pub fn new(means: &Means<'_>, name: &str) -> Stats<G> {
        let scope = means.registry.scope(&format!("{}{name}.", means.stat_prefix));
        Stats((0..means.registry.shards()).map(|at| scope.shard(at)).collect())
    }

    /// The counters of the worker that serves the request.
    pub fn of(&self, around: &Surroundings<'_>) -> &G {
        &self.0[around.worker]
    }
}

/// The filters of a connection manager, in their order, without the router.
#[derive(Clone, Debug, Default)]
pub struct Chain(pub Arc<[Arc<dyn HttpFilter>]>);

impl Chain {
    /// Asks each filter in turn.
    ///
    /// # Errors
    /// The first answer that a filter gives.
    pub fn request(
        &self,
        request: &mut RequestHead,
        info: &mut StreamInfo,
        around: &Surroundings<'_>,
        streams: &mut Streams,
    ) -> Result<(), LocalReply> {
        for (place, filter) in self.0.iter().enumerate() {
            filter.request(request, info, around)?;
            if let Some(stream) = filter.stream(request, around)? {
                streams.add(place, stream);
            }
        }
        Ok(())
    }

    /// Lets each filter edit the response, the last one first; `bare`: it has no body. Says whether it
    /// waits for its body.
    pub fn response(
        &self,
        response: &mut ResponseHead,
        request: &RequestHead,
        around: &Surroundings<'_>,
        streams: Option<&mut Streams>,
        bare: bool,
    ) -> Hold {
        let Some(streams) = streams else {
            self.0.iter().rev().for_each(|filter| filter.response(response, request, around));
            return Hold::Nothing;
        };
        let mut held = Hold::Nothing;
        for (place, filter) in self.0.iter().enumerate().rev() {
            filter.response(response, request, around);
            held = held.and(streams.response(place, response, bare));
        }
        held
    }
}
