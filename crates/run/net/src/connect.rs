//! Connections to upstream hosts.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use dragoman_types::Address;
use socket2::{Domain, SockAddr, TcpKeepalive, Type};

use crate::reactor::Reactor;
use crate::socket::Socket;

/// TCP keep-alive of a new connection.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    pub probes: Option<u32>,
    pub time: Option<Duration>,
    pub interval: Option<Duration>,
}

/// Connects. The caller bounds the time.
///
/// # Errors
/// What `connect(2)` gives.
pub async fn connect(
    reactor: &Reactor,
    address: &Address,
    keepalive: Option<Keepalive>,
) -> io::Result<Socket> {
    let (domain, to) = match address {
        Address::Ip(ip) => (Domain::for_address(*ip), SockAddr::from(*ip)),
        Address::Pipe(path) => {
            let name = path.to_string_lossy();
            let path = match name.strip_prefix('@') {
                Some(name) => SockAddr::unix(format!("\0{name}")),
                None => SockAddr::unix(path),
            };
            (Domain::UNIX, path?)
        }
    };
    let tcp = domain != Domain::UNIX;
    // Made non-blocking and not to be inherited.
    let raw = socket2::Socket::new(domain, Type::STREAM.nonblocking(), None)?;
    let under_way = match raw.connect(&to) {
        Ok(()) => false,
        Err(error) if error.raw_os_error() == Some(EINPROGRESS) => true,
        Err(error) => return Err(error),
    };
    let socket = Socket::new(reactor, raw.into(), tcp)?;
    if under_way {
        poll_fn(|cx| socket.poll_write_ready(cx)).await;
        if let Some(error) = socket.options().take_error()? {
            return Err(error);
        }
    }
    socket.set_nodelay();
    if let Some(keepalive) = keepalive.filter(|_| tcp) {
        socket.options().set_tcp_keepalive(&params(keepalive))?;
    }
    Ok(socket)
}

const EINPROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();

fn params(keepalive: Keepalive) -> TcpKeepalive {
    let mut params = TcpKeepalive::new();
    if let Some(time) = keepalive.time {
        params = params.with_time(time);
    }
    if let Some(interval) = keepalive.interval {
        params = params.with_interval(interval);
    }
    match keepalive.probes {
        Some(probes) => params.with_retries(probes),
        None => params,
    }
}
