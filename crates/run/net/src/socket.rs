//! A connected stream, whatever carries it, and what it is accepted from.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use std::time::Duration;

use dragoman_types::Address;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A byte stream to a peer.
#[derive(Debug)]
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! each {
    ($self:expr, $stream:ident => $body:expr) => {
        match $self {
            Socket::Tcp($stream) => $body,
            Socket::Unix($stream) => $body,
        }
    };
}

impl Socket {
    /// Reads into `room`; `Ready(Ok(0))` is the peer's end of stream. A short read remembers that
    /// the socket is drained, so the next call waits without a system call.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(room);
        match each!(self, s => Pin::new(s).poll_read(cx, &mut buf)) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(buf.filled().len())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    pub fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, s => Pin::new(s).poll_write(cx, data))
    }

    pub fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, s => Pin::new(s).poll_write_vectored(cx, parts))
    }

    /// Ready once there is something to read, or the end. Costs no system call.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, s => s.poll_read_ready(cx))
    }

    /// Whether something (bytes, end or error) is known to wait, without waiting for it. Costs no
    /// system call and registers nobody.
    pub fn has_news(&self) -> bool {
        each!(self, s => s.try_io(Interest::READABLE, || Ok(()))).is_ok()
    }

    /// Ends our side of the stream.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, s => Pin::new(s).poll_shutdown(cx))
    }

    /// Our own address, where the socket has one.
    pub fn local(&self) -> Option<Address> {
        match self {
            Socket::Tcp(s) => s.local_addr().ok().map(Address::Ip),
            Socket::Unix(s) => s.local_addr().ok().map(|a| pipe(&a)),
        }
    }

    /// Closing tells the peer that something went wrong.
    pub fn reset_on_close(&self) {
        if let Socket::Tcp(stream) = self {
            // A socket that can't be tuned is closed all the same.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// Small writes leave at once.
    pub fn set_nodelay(&self) {
        if let Socket::Tcp(stream) = self {
            // A socket that can't be tuned still works.
            let _ = stream.set_nodelay(true);
        }
    }
}

/// The path of a pipe's end; empty for an unnamed one, `@name` for an abstract one.
fn pipe(address: &tokio::net::unix::SocketAddr) -> Address {
    Address::Pipe(address.as_pathname().map(Into::into).unwrap_or_default())
}

/// Something that connections come from.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// The next connection and its peer's address.
    ///
    /// # Errors
    /// What `accept(2)` gives, e.g. too many open files.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, Address)>> {
        match self {
            Listener::Tcp(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, peer)| (Socket::Tcp(stream), Address::Ip(peer))),
            Listener::Unix(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, peer)| (Socket::Unix(stream), pipe(&peer))),
        }
    }
}
