//! A connection's bytes, plain or through TLS, under one interface.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use dragoman_net::Socket;
use dragoman_types::Address;

use crate::tls::TlsStream;

/// A connection to read and write.
#[derive(Debug)]
pub enum Stream {
    /// `envoy.transport_sockets.raw_buffer`.
    Plain(Socket),
    /// `envoy.transport_sockets.tls`, after its handshake.
    Tls(Box<TlsStream>),
    /// Somebody else has it: a handshake, or nobody any more.
    Gone,
}

fn gone<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl Stream {
    fn socket(&self) -> Option<&Socket> {
        match self {
            Stream::Plain(socket) => Some(socket),
            Stream::Tls(tls) => Some(tls.socket()),
            Stream::Gone => None,
        }
    }

    /// Reads into `room`; `Ready(Ok(0))` is the peer's end of stream.
    ///
    /// # Errors
    /// The socket's, and what of the peer's TLS is wrong.
    #[inline]
    pub fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(socket) => socket.poll_read(cx, room),
            Stream::Tls(tls) => tls.poll_read(cx, room),
            Stream::Gone => gone(),
        }
    }

    /// Takes some of `data`. TLS takes it before it has gone out: see [`poll_flush`](Stream::poll_flush).
    ///
    /// # Errors
    /// The socket's.
    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(socket) => socket.poll_write(cx, data),
            Stream::Tls(tls) => tls.poll_write(cx, &[IoSlice::new(data)]),
            Stream::Gone => gone(),
        }
    }

    /// As [`poll_write`](Stream::poll_write), from several pieces.
    ///
    /// # Errors
    /// The socket's.
    #[inline]
    pub fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(socket) => socket.poll_write_vectored(cx, parts),
            Stream::Tls(tls) => tls.poll_write(cx, parts),
            Stream::Gone => gone(),
        }
    }

    /// Ready once all that was taken has gone out.
    ///
    /// # Errors
    /// The socket's.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Tls(tls) => tls.poll_flush(cx),
            Stream::Gone => gone(),
        }
    }

    /// Ready once there may be something to read, or the end. Costs no system call.
    #[inline]
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Stream::Plain(socket) => socket.poll_read_ready(cx),
            Stream::Tls(tls) => tls.poll_read_ready(cx),
            Stream::Gone => Poll::Ready(()),
        }
    }

    /// Whether something (bytes, end or error) is known to wait, without waiting for it. TLS reads what
    /// belongs to itself alone (session tickets).
    #[inline]
    pub fn has_news(&mut self) -> bool {
        match self {
            Stream::Plain(socket) => socket.has_news(),
            Stream::Tls(tls) => tls.has_news(),
            Stream::Gone => true,
        }
    }

    /// Ends our side of the stream; what TLS has to say about it goes out as far as it can.
    ///
    /// # Errors
    /// When the peer is gone already.
    pub fn shutdown(&mut self) -> io::Result<()> {
        if let Stream::Tls(tls) = self {
            tls.say_goodbye();
        }
        self.socket().map_or(Ok(()), Socket::shutdown)
    }

    /// Our own address, where the socket has one.
    pub fn local(&self) -> Option<Address> {
        self.socket()?.local()
    }

    /// Closing tells the peer that something went wrong.
    pub fn reset_on_close(&mut self) {
        match self {
            Stream::Plain(socket) => socket.reset_on_close(),
            Stream::Tls(tls) => tls.cut(),
            Stream::Gone => {}
        }
    }

    /// Small writes leave at once.
    pub fn set_nodelay(&self) {
        if let Some(socket) = self.socket() {
            socket.set_nodelay();
        }
    }
}
