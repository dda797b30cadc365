//! Where a socket is bound or connects to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// An IP socket address or a pipe (Unix-domain socket). Prints as Envoy does: `127.0.0.1:80`,
/// `[::1]:80`, or the pipe's path (an abstract name begins with `@`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    Ip(SocketAddr),
    Pipe(PathBuf),
}

impl Address {
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Address::Ip(socket) => Some(socket.ip()),
            Address::Pipe(_) => None,
        }
    }

    pub fn port(&self) -> Option<u16> {
        match self {
            Address::Ip(socket) => Some(socket.port()),
            Address::Pipe(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(socket) => fmt::Display::fmt(socket, f),
            Address::Pipe(path) => fmt::Display::fmt(&path.display(), f),
        }
    }
}
