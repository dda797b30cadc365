//! `envoy.transport_sockets.tls`, by rustls on aws-lc.
//!
//! The contexts are compiled once a configuration and shared by the workers; a connection's TLS is in
//! [`TlsStream`]. What rustls can't do (TLS 1.0 and 1.1, ciphers without forward secrecy, renegotiation)
//! is refused when it's configured.

mod current;
mod downstream;
mod facts;
mod key_log;
mod loaded;
mod material;
mod names;
mod ocsp;
mod parameters;
mod reason;
mod rejected;
mod select;
mod signatures;
mod spiffe;
mod stats;
mod stream;
mod subject;
mod tickets;
mod upstream;
mod validation;
mod verifier;

pub use current::Current;
pub use downstream::{DownstreamTls, Expiry};
pub use loaded::{Certificates, Loaded};
pub use material::{Secrets, check_secret, fetched_key};
pub use stats::{SocketFactoryStats, SslStats, TlsStats};
pub use stream::{Handshake, HandshakeError, TlsStream};
pub use upstream::{Asked, Offer, PeerName, UpstreamTls};
