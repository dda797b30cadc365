//! Transport sockets: what lies between a connection's bytes and its protocol (`envoy.transport_sockets.*`).
//! One stream to read and write, whatever carries it.

mod proxy_protocol;
mod stream;
pub mod tls;

pub use proxy_protocol::ProxyProtocol;
pub use stream::Stream;
pub use tls::{DownstreamTls, UpstreamTls};
