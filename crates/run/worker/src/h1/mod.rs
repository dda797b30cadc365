//! HTTP/1.1 over a socket: the codec's decisions carried out with as few system calls as possible.

mod client;
mod server;
mod wire;

pub(crate) use client::{Client, Head};
pub(crate) use server::{Incoming, ResponseContext, Server, style};
pub(crate) use wire::Wire;
