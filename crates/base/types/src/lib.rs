//! Plain data that every layer speaks of. No I/O, no clock, no protobuf, no policy.

pub mod address;
pub mod back_off;
pub mod fault;
pub mod flags;
pub mod grpc;
pub mod hash;
pub mod head;
pub mod header_id;
pub mod headers;
pub mod id_set;
pub mod moment;
pub mod priority;
pub mod reply;
pub mod stream;
pub mod tls;

pub use address::Address;
pub use back_off::{BackOff, Pauses, random_part};
pub use fault::{Fault, Faults};
pub use flags::Flags;
pub use hash::{hash_of, hash_of_client, hash_with, murmur_hash_of};
pub use head::{RequestHead, ResponseHead, Version};
pub use header_id::{HeaderId, id};
pub use headers::Headers;
pub use id_set::IdSet;
pub use moment::Moment;
pub use priority::Priority;
pub use reply::LocalReply;
pub use stream::{Connection, Details, Facts, Hello, Metadata, Phases, StreamInfo};
