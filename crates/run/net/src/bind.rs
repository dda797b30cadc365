//! Listening sockets: one per worker and address, sharing the port (SO_REUSEPORT), so that workers
//! share nothing when they accept.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use dragoman_types::Address;
use socket2::{Domain, Socket, Type};

use crate::reactor::Reactor;
use crate::socket::Listener;

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    pub backlog: i32,
    /// Each worker has a socket of its own; otherwise they share one.
    pub reuse_port: bool,
    /// IPv4 too on an IPv6 any-address.
    pub ipv4_compat: bool,
    /// Permissions of a pipe's file; 0 = as the umask leaves them.
    pub pipe_mode: u32,
}

/// A bound address: one socket a worker, not yet watched by any reactor.
#[derive(Debug)]
pub struct Bound {
    /// With the real port where 0 was asked for.
    pub address: Address,
    sockets: Vec<Socket>,
}

impl Bound {
    /// The socket of `worker`, watched by its reactor.
    ///
    /// # Errors
    /// When the descriptor can't be duplicated or watched.
    pub fn listener(&self, reactor: &Reactor, worker: usize) -> io::Result<Listener> {
        let socket = self.sockets[worker % self.sockets.len()].try_clone()?;
        Listener::new(reactor, socket.into(), matches!(self.address, Address::Ip(_)))
    }
}

/// Binds and listens.
///
/// # Errors
/// What `bind(2)` or `listen(2)` gives.
pub fn bind(address: &Address, workers: usize, options: SocketOptions) -> io::Result<Bound> {
    match address {
        Address::Ip(socket) => bind_ip(*socket, workers, options),
        Address::Pipe(path) => bind_pipe(path, options),
    }
}

fn bind_ip(wanted: SocketAddr, workers: usize, options: SocketOptions) -> io::Result<Bound> {
    let count = if options.reuse_port { workers.max(1) } else { 1 };
    let mut sockets = Vec::with_capacity(count);
    let mut address = wanted;
    for _ in 0..count {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(options.reuse_port)?;
        if address.is_ipv6() {
            socket.set_only_v6(!options.ipv4_compat)?;
        }
        socket.bind(&address.into())?;
        // Port 0: the workers' sockets share the port that the first one was given.
        address = socket.local_addr()?.as_socket().unwrap_or(address);
        sockets.push(socket);
    }
    for socket in &sockets {
        socket.listen(options.backlog)?;
    }
    Ok(Bound { address: Address::Ip(address), sockets })
}

fn bind_pipe(path: &Path, options: SocketOptions) -> io::Result<Bound> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let name = path.to_string_lossy();
    match name.strip_prefix('@') {
        Some(name) => socket.bind(&socket2::SockAddr::unix(format!("\0{name}"))?)?,
        None => {
            remove_stale(path)?;
            socket.bind(&socket2::SockAddr::unix(path)?)?;
            if options.pipe_mode != 0 {
                let mode = std::fs::Permissions::from_mode(options.pipe_mode);
                std::fs::set_permissions(path, mode)?;
            }
        }
    }
    socket.listen(options.backlog)?;
    Ok(Bound { address: Address::Pipe(path.into()), sockets: vec![socket] })
}

/// A pipe left by a process that is gone is in the way; one that answers belongs to somebody, and
/// so does a file that is no pipe.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(found) if !found.file_type().is_socket() => return Err(in_use()),
        Ok(_) => {}
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    match probe.connect(&socket2::SockAddr::unix(path)?) {
        Ok(()) => Err(in_use()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Err(_) => Ok(()),
    }
}

/// What `bind(2)` says, with its number for whoever looks at it.
fn in_use() -> io::Error {
    const EADDRINUSE: i32 = 98;
    io::Error::from_raw_os_error(EADDRINUSE)
}
