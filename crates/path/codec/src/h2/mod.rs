//! HTTP/2 (RFC 9113): an end of a connection over bytes, without a socket.

pub mod endpoint;
mod frames;
mod guard;
mod hpack;
mod message;
mod output;
mod stream;

pub use endpoint::{Arrival, Endpoint, Fault, Options, Side};
pub use frames::Code;
pub use guard::{Flood, GuardLimits};
pub use message::{Head, VERSION};
pub use stream::{Gone, Key};

/// What a client begins a connection with (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What an end has seen since somebody last looked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    pub resets_in: u64,
    pub resets_out: u64,
    /// Of those, streams beyond what the peer may have.
    pub refused: u64,
    pub goaways_out: u64,
    pub goaways_in: u64,
    /// Messages that broke the protocol.
    pub malformed: u64,
    pub too_large: u64,
    pub trailers: u64,
}
