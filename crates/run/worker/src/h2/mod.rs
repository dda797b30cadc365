//! HTTP/2 over a socket: the codec's end of a connection has a task that moves its bytes, and so has each
//! of its requests.

mod carrier;
mod client;
mod hands;
mod keepalive;
mod server;
mod stream;

pub(crate) use carrier::Carrier;
pub(crate) use client::{Channel, ClientStream, Share};
pub(crate) use server::{Ended, Link, serve_connection};
pub(crate) use stream::ServerStream;
