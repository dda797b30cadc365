//! The driver: one thread that accepts, decides by the path crates, and moves the bytes.
//!
//! The request's way, in files: `worker` (accept) → `admit` (the filter chain) → `serve` (a connection's requests) → `exchange`
//! (one request, step by step) → `upstream` (pools) → `h1` (bytes). Shares nothing with other
//! workers but the frozen [`snapshot`].

mod admit;
mod client;
mod connect;
mod context;
mod dial;
mod downstream;
mod exchange;
mod h1;
mod h2;
mod handshake;
mod lease;
mod manager;
mod plain;
mod relay;
mod serve;
pub mod snapshot;
pub mod stats;
mod stream;
mod tcp;
mod upstream;
mod worker;

pub use context::{Drain, Shared};
pub use worker::{Command, Handle, Load, Orders};
