//! A connected stream, whatever carries it, and what it is accepted from.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use dragoman_types::Address;
use mio::Interest;
use rustix::io::Errno;
use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketAddrAny, SocketAddrUnix,
    SocketFlags, acceptfrom_with, getsockname, recv, send, sendmsg, shutdown,
};
use socket2::SockRef;

use crate::reactor::{Direction, Reactor, Source};

/// A byte stream to a peer.
#[derive(Debug)]
pub struct Socket {
    source: Source,
    fd: OwnedFd,
    tcp: bool,
}

impl Socket {
    /// A stream that isn't known to be connected yet.
    pub(crate) fn new(reactor: &Reactor, fd: OwnedFd, tcp: bool) -> io::Result<Socket> {
        let source = reactor.watch(fd.as_fd(), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Socket { source, fd, tcp })
    }

    /// Calls `act` until it does something or is known to be in vain; `whole` is what it does when it
    /// leaves nothing behind.
    #[inline]
    fn poll(
        &self,
        cx: &Context<'_>,
        direction: Direction,
        whole: usize,
        act: &mut dyn FnMut() -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.source.poll_ready(cx, direction));
            match act() {
                Ok(n) => {
                    // The next call would be refused: one system call less.
                    if n < whole && n > 0 {
                        self.source.exhausted(direction);
                    }
                    return Poll::Ready(Ok(n));
                }
                Err(Errno::AGAIN) => self.source.refused(direction),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Reads into `room`; `Ready(Ok(0))` is the peer's end of stream. A short read remembers that
    /// the socket is drained, so the next call waits without a system call.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, Direction::Read, room.len(), &mut || {
            recv(&self.fd, &mut *room, RecvFlags::empty()).map(|(n, _)| n)
        })
    }

    pub fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, Direction::Write, data.len(), &mut || {
            send(&self.fd, data, SendFlags::NOSIGNAL)
        })
    }

    pub fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let whole = parts.iter().map(|part| part.len()).sum();
        self.poll(cx, Direction::Write, whole, &mut || {
            sendmsg(&self.fd, parts, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
        })
    }

    /// Ready once there is something to read, or the end. Costs no system call.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.source.poll_ready(cx, Direction::Read)
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.source.poll_ready(cx, Direction::Write)
    }

    /// Whether something (bytes, end or error) is known to wait, without waiting for it. Costs no
    /// system call and registers nobody.
    pub fn has_news(&self) -> bool {
        self.source.is_ready(Direction::Read)
    }

    /// Lets the next few calls through, whatever is left of the turn's budget: what is to happen at once,
    /// with nobody to be woken later, can't wait for the next turn.
    pub fn grant(&self) {
        self.source.reactor().grant();
    }

    /// Ends our side of the stream.
    ///
    /// # Errors
    /// When the peer is gone already.
    pub fn shutdown(&self) -> io::Result<()> {
        Ok(shutdown(&self.fd, Shutdown::Write)?)
    }

    /// Where the connection was for before the packet filter redirected it to us, if it was.
    pub fn original_destination(&self) -> Option<Address> {
        let Some(Address::Ip(local)) = self.local() else { return None };
        let socket = SockRef::from(&self.fd);
        let asked = match local {
            SocketAddr::V4(_) => socket.original_dst_v4(),
            SocketAddr::V6(_) => socket.original_dst_v6(),
        };
        let original = asked.ok()?.as_socket()?;
        (original != local).then_some(Address::Ip(original))
    }

    /// Our own address, where the socket has one.
    pub fn local(&self) -> Option<Address> {
        getsockname(&self.fd).ok().map(address)
    }

    /// Closing tells the peer that something went wrong.
    pub fn reset_on_close(&self) {
        if self.tcp {
            // A socket that can't be tuned is closed all the same.
            let _ = SockRef::from(&self.fd).set_linger(Some(Duration::ZERO));
        }
    }

    /// Small writes leave at once.
    pub fn set_nodelay(&self) {
        if self.tcp {
            // A socket that can't be tuned still works.
            let _ = set_tcp_nodelay(&self.fd, true);
        }
    }

    pub(crate) fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.fd)
    }
}

fn address(found: SocketAddrAny) -> Address {
    if let Ok(ip) = SocketAddr::try_from(found.clone()) {
        // IPv4 on a socket of IPv6 (`ipv4_compat`) is IPv4 to everybody else.
        return Address::Ip(SocketAddr::new(ip.ip().to_canonical(), ip.port()));
    }
    Address::Pipe(SocketAddrUnix::try_from(found).map(|unix| pipe(&unix)).unwrap_or_default())
}

/// The path of a pipe's end; empty for an unnamed one, `@name` for an abstract one.
fn pipe(found: &SocketAddrUnix) -> PathBuf {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    match (found.path_bytes(), found.abstract_name()) {
        (Some(path), _) => Path::new(OsStr::from_bytes(path)).into(),
        (None, Some(name)) if !name.is_empty() => {
            Path::new(OsStr::from_bytes(&[b"@", name].concat())).into()
        }
        _ => PathBuf::new(),
    }
}

/// Something that connections come from.
#[derive(Debug)]
pub struct Listener {
    source: Source,
    fd: OwnedFd,
    tcp: bool,
}

impl Listener {
    pub(crate) fn new(reactor: &Reactor, fd: OwnedFd, tcp: bool) -> io::Result<Listener> {
        let source = reactor.watch(fd.as_fd(), Interest::READABLE)?;
        Ok(Listener { source, fd, tcp })
    }

    /// The next connection and its peer's address.
    ///
    /// # Errors
    /// What `accept(2)` gives, e.g. too many open files.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, Address)>> {
        loop {
            ready!(self.source.poll_ready(cx, Direction::Read));
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match acceptfrom_with(&self.fd, flags) {
                Ok((fd, peer)) => {
                    let peer = peer.map_or(Address::Pipe("".into()), address);
                    let socket = Socket::new(self.source.reactor(), fd, self.tcp)?;
                    // A new connection takes what is written to it.
                    socket.source.assume_ready(Direction::Write);
                    return Poll::Ready(Ok((socket, peer)));
                }
                Err(Errno::AGAIN) => self.source.exhausted(Direction::Read),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The descriptor is a copy: closing it ends no watch.
        self.source.reactor().unwatch(self.fd.as_fd());
    }
}
