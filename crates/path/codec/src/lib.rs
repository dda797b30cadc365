//! Wire formats as pure functions over bytes: no sockets, no clocks, no policy beyond framing.
//! One folder a protocol. Whatever a peer sends is either understood in exactly one way or refused.

pub mod h1;
pub mod h2;
mod message;
mod scan;

pub use message::{Framing, Limits, Request, Response};
