//! HTTP/2 (RFC 9113). Frames and HPACK are the `h2` crate's; what is here is what it leaves open: how
//! its heads become ours and back, and how many frames without a use a peer may send.

pub mod frames;
pub mod guard;
pub mod head;

pub use frames::{FrameHead, FrameHeads};
pub use guard::{Flood, Guard, GuardLimits};

/// What a client begins a connection with (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
