//! What Envoy's HTTP connection manager decides: everything done to a request head between the
//! codec and the filters ([`Config::accept`]), and to a response head before it is written
//! ([`Config::finish_response`]).
//!
//! It knows no sockets, clocks, routes or filters; addresses, randomness and the date come in.

pub mod accept;
mod canonical;
pub mod client_address;
pub mod config;
mod hop_by_hop;
pub mod host;
mod ids;
mod mutate;
pub mod path;
pub mod request_id;
mod response;
mod sanitize;
mod target;
pub mod upgrade;

pub use accept::{Accepted, Arrival, Scratch};
pub use config::{Config, Http1Options, Limits, Node, Timeouts};
pub use sanitize::ForwardClientCert;
pub use upgrade::upgrade_kind;
