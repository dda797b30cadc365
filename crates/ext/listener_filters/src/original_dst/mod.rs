//! `envoy.filters.listener.original_dst`: the address that a connection was for before the system's
//! packet filter redirected it here (`SO_ORIGINAL_DST`). Whoever runs the filters asks the socket.

use std::sync::Arc;

use dragoman_listener::{Arrival, Inspected, ListenerFilter, Means, Progress};
use dragoman_proto::pb::envoy::extensions::filters::listener::original_dst::v3::OriginalDst as Message;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::unpack;
use dragoman_types::Faults;

pub const MESSAGE: &str = "envoy.extensions.filters.listener.original_dst.v3.OriginalDst";

#[derive(Debug)]
struct OriginalDst;

/// The message has no fields.
pub fn compile(any: &Any, _: &Means<'_>, faults: &mut Faults) -> Option<Arc<dyn ListenerFilter>> {
    let _: Message = unpack(any, faults)?;
    Some(filter())
}

/// The filter that `Listener.use_original_dst` adds.
pub fn filter() -> Arc<dyn ListenerFilter> {
    Arc::new(OriginalDst)
}

impl ListenerFilter for OriginalDst {
    fn max_bytes(&self) -> usize {
        0
    }

    fn asks_original_destination(&self) -> bool {
        true
    }

    fn inspect(&self, _: &[u8], _: &mut Progress, arrival: &mut Arrival, _: usize) -> Inspected {
        if let Some(original) = arrival.original_destination.take() {
            arrival.destination = original;
        }
        Inspected::Done { consumed: 0 }
    }
}
