//! HTTP/2 over a socket. Frames, HPACK, windows and the states of streams are the `h2` crate's; a
//! connection has a task, and so has each of its requests.

mod client;
mod hands;
mod io;
mod keepalive;
mod server;
mod stream;

pub(crate) use client::{Channel, ClientStream, Share};
pub(crate) use io::{Io, Watch};
pub(crate) use server::{Ended, Link, serve_connection};
pub(crate) use stream::ServerStream;
