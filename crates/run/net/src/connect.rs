//! Connections to upstream hosts.

use std::io;
use std::time::Duration;

use dragoman_types::Address;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};

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
pub async fn connect(address: &Address, keepalive: Option<Keepalive>) -> io::Result<Socket> {
    let socket = match address {
        Address::Ip(address) => Socket::Tcp(TcpStream::connect(*address).await?),
        Address::Pipe(path) => {
            let name = path.to_string_lossy();
            match name.strip_prefix('@') {
                Some(name) => Socket::Unix(UnixStream::connect(format!("\0{name}")).await?),
                None => Socket::Unix(UnixStream::connect(path).await?),
            }
        }
    };
    socket.set_nodelay();
    if let (Some(keepalive), Socket::Tcp(stream)) = (keepalive, &socket) {
        SockRef::from(stream).set_tcp_keepalive(&params(keepalive))?;
    }
    Ok(socket)
}

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
