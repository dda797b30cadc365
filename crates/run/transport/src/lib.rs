//! Transport sockets: what lies between a connection's bytes and its protocol (`envoy.transport_sockets.*`).
//! One stream to read and write, whatever carries it.

mod stream;
pub mod tls;

pub use stream::Stream;
pub use tls::{DownstreamTls, UpstreamTls};
