//! What Envoy's HTTP connection manager decides: everything done to a request head between the
//! codec and the filters ([`Config::accept`]), to a response head before it is written
//! ([`Config::finish_response`]), and to locally made answers ([`Config::shape_reply`]).
//!
//! It knows no sockets, clocks, routes or filters; addresses, randomness and the date come in.

pub mod accept;
mod canonical;
pub mod client_address;
mod client_cert;
pub mod config;
mod grpc;
mod hop_by_hop;
pub mod host;
mod ids;
mod mutate;
pub mod path;
pub mod reply;
mod reply_headers;
pub mod request_id;
mod response;
mod sanitize;
mod target;
pub mod upgrade;

pub use accept::{Accepted, Arrival, Scratch};
pub use client_cert::ForwardClientCert;
pub use config::{Config, Http1Options, Limits, Node, Timeouts};
pub use hop_by_hop::is_upgrade;
pub use reply::{CompileFilter, ReplyFilter};
pub use upgrade::upgrade_kind;
