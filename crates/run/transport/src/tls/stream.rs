//! A connection's TLS: bytes of the socket in, bytes of the application out, and back.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use dragoman_net::buffer::SMALL;
use dragoman_net::{Buffer, BufferPool, Socket};
use dragoman_types::tls::{Certificate, Tls};
use rustls::pki_types::CertificateDer;
use rustls::server::{Accepted, Acceptor};
use rustls::{
    AlertDescription, ClientConnection, Connection, Error, HandshakeKind, ProtocolVersion,
    SignatureScheme,
};

use super::parameters::{group_name, suite_name};
use super::signatures::{name_of, proved_by};
use super::{Asked, DownstreamTls, Offer, UpstreamTls, facts};

/// A stream behind its handshake.
pub struct TlsStream {
    socket: Socket,
    session: Connection,
    /// What came from the socket and isn't deciphered yet.
    input: Buffer,
    pool: Rc<BufferPool>,
    /// Something deciphered may wait to be read.
    more: bool,
    eof: bool,
    /// What was wrong with the peer's TLS; what came before it may still wait to be read.
    broken: Option<Error>,
    /// The algorithm by which the peer proved itself.
    proved_by: Option<SignatureScheme>,
    /// The end isn't to look like an orderly one.
    cut: bool,
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// A finished handshake.
#[derive(Debug)]
pub struct Handshake {
    pub stream: Box<TlsStream>,
    pub facts: Box<Tls>,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum HandshakeError {
    /// The peer ended the connection.
    Closed,
    Io(io::Error),
    /// The peer answered our hello with the alert handshake_failure: we have nothing in common.
    HelloRefused,
    /// The peer speaks HTTP without TLS; or, to a proxy, CONNECT.
    PlainHttp {
        connect: bool,
    },
    /// What is wrong with the peer's TLS, or with ours in its eyes.
    Tls(Error),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::Closed => {
                f.write_str("the peer closed the connection in the handshake")
            }
            HandshakeError::Io(error) => error.fmt(f),
            HandshakeError::HelloRefused => f.write_str(
                "the peer has no version, cipher or group in common with us (alert handshake_failure)",
            ),
            HandshakeError::PlainHttp { .. } => f.write_str("the peer speaks HTTP without TLS"),
            HandshakeError::Tls(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HandshakeError {}

/// The socket as rustls reads and writes it: "would block" where a task waits.
struct Plain<'a, 'c> {
    socket: &'a mut Socket,
    cx: &'a mut Context<'c>,
}

fn blocking(polled: Poll<io::Result<usize>>) -> io::Result<usize> {
    match polled {
        Poll::Ready(done) => done,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Write for Plain<'_, '_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        blocking(self.socket.poll_write(self.cx, data))
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        blocking(self.socket.poll_write_vectored(self.cx, parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TlsStream {
    /// Serves a client's handshake. `input` is what of it was read already.
    ///
    /// # Errors
    /// What ended it; the peer was told by an alert where TLS has one.
    pub async fn accept(
        socket: Socket,
        input: Buffer,
        pool: Rc<BufferPool>,
        tls: &DownstreamTls,
    ) -> Result<Handshake, HandshakeError> {
        let mut wire = Wire { socket, input, pool };
        let accepted = wire.client_hello().await?;
        let hello = accepted.client_hello();
        let server_name: Option<Box<str>> = hello.server_name().map(Into::into);
        let (config, local) = tls.choose(&hello);
        if tls.require_sni && server_name.is_none() {
            return Err(HandshakeError::Tls(Error::General("no server name (SNI)".into())));
        }
        let session = match accepted.into_connection(config) {
            Ok(session) => session,
            Err((error, mut alert)) => {
                wire.tell(|socket| alert.write_all(socket)).await;
                return Err(HandshakeError::Tls(error));
            }
        };
        let mut stream = wire.into_stream(session.into());
        stream.shake_hands().await?;
        let mut facts = stream.facts(tls.checks_peer, |chain| tls.forgives(chain), local);
        facts.server_name = server_name;
        Ok(Handshake { stream, facts })
    }

    /// Opens TLS on a connection to the host at `address`. `http`: that is what it's going to speak.
    ///
    /// # Errors
    /// What ended the handshake.
    pub async fn connect(
        socket: Socket,
        pool: Rc<BufferPool>,
        tls: &Arc<UpstreamTls>,
        asked: Asked<'_>,
        offer: Offer,
    ) -> Result<Handshake, HandshakeError> {
        let session = ClientConnection::new(tls.config(offer, &asked), tls.name(&asked));
        let session = session.map_err(HandshakeError::Tls)?;
        let wire = Wire { socket, input: Buffer::default(), pool };
        let mut stream = wire.into_stream(session.into());
        stream.shake_hands().await?;
        let facts = stream.facts(tls.checks_peer, |chain| tls.forgives(chain), None);
        Ok(Handshake { stream, facts })
    }

    async fn shake_hands(&mut self) -> Result<(), HandshakeError> {
        poll_fn(|cx| {
            loop {
                ready!(self.poll_flush(cx)).map_err(HandshakeError::Io)?;
                if !self.session.is_handshaking() {
                    return Poll::Ready(Ok(()));
                }
                ready!(self.poll_more(cx)).map_err(|error| self.refined(error))?;
                if self.eof {
                    return Poll::Ready(Err(HandshakeError::Closed));
                }
            }
        })
        .await
    }

    fn refined(&self, error: HandshakeError) -> HandshakeError {
        let refused = Error::AlertReceived(AlertDescription::HandshakeFailure);
        match error {
            HandshakeError::Tls(error)
                if error == refused && self.session.negotiated_cipher_suite().is_none() =>
            {
                HandshakeError::HelloRefused
            }
            other => other,
        }
    }

    /// `forgives` tells whether a chain that got in fails its check.
    fn facts(
        &self,
        validated: bool,
        forgives: impl Fn(&[CertificateDer<'_>]) -> bool,
        local: Option<Arc<Certificate>>,
    ) -> Box<Tls> {
        let session = &self.session;
        let leaf = session.peer_certificates().and_then(|chain| chain.first());
        // A certificate that passed its checks can be read, or nothing of it is known.
        let peer = leaf.and_then(|leaf| facts::certificate(leaf).ok()).map(Arc::new);
        let forgiven = session.peer_certificates().is_some_and(forgives);
        let suite = session.negotiated_cipher_suite();
        let group = session.negotiated_key_exchange_group();
        Box::new(Tls {
            version: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "TLSv1.2",
            },
            cipher: suite.map_or("", |suite| suite_name(suite.suite())),
            group: group.map_or("", group_name),
            proved_by: self.proved_by.map_or("", name_of),
            server_name: None,
            application: session.alpn_protocol().map(Into::into),
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            validated: validated && peer.is_some() && !forgiven,
            forgiven,
            peer,
            local,
        })
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Takes in one lot of bytes of the socket.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandshakeError>> {
        if self.input.is_empty() {
            let room = self.input.room(&self.pool, SMALL);
            let n = match self.socket.poll_read(cx, room) {
                Poll::Ready(Ok(n)) => n,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(HandshakeError::Io(error))),
                Poll::Pending => {
                    self.input.release(&self.pool);
                    return Poll::Pending;
                }
            };
            self.eof |= n == 0;
            self.input.filled(n);
        }
        // Nothing, at the end, tells rustls of it.
        let n = self.session.read_tls(&mut self.input.data()).map_err(HandshakeError::Io)?;
        self.input.consume(n);
        self.input.release(&self.pool);
        let shaking = self.session.is_handshaking();
        let processed = self.session.process_new_packets();
        if shaking && let Some(scheme) = proved_by() {
            self.proved_by = Some(scheme);
        }
        // What TLS itself has to answer (an alert, a new key) goes out as far as it can.
        if self.session.wants_write() && !self.session.is_handshaking() || processed.is_err() {
            let _ = self.poll_flush(cx);
        }
        match processed {
            Ok(state) => self.more = state.plaintext_bytes_to_read() > 0,
            Err(error) => {
                // What was deciphered before is still there.
                self.more = true;
                self.broken = Some(error.clone());
                return Poll::Ready(Err(HandshakeError::Tls(error)));
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.session.reader().read(room) {
                Ok(n) => {
                    self.more = n == room.len();
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.more = false,
                // The peer ended without saying so: what it sent is there all the same.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(0));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
            if let Some(error) = &self.broken {
                return Poll::Ready(Err(io::Error::other(error.clone())));
            }
            match ready!(self.poll_more(cx)) {
                // The next round gives what came before, then the error.
                Ok(()) | Err(HandshakeError::Tls(_)) => {}
                Err(HandshakeError::Io(error)) => return Poll::Ready(Err(error)),
                Err(error) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // What was taken before must be gone: that bounds what is kept.
        ready!(self.poll_flush(cx))?;
        let n = self.session.writer().write_vectored(parts)?;
        if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(n))
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Plain { socket: &mut self.socket, cx }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.more || self.broken.is_some() || !self.input.is_empty() {
            return Poll::Ready(());
        }
        self.socket.poll_read_ready(cx)
    }

    pub(crate) fn has_news(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        self.socket.grant();
        // "More" may be a guess.
        if self.more && self.broken.is_none() {
            let state = self.session.process_new_packets();
            self.more = state.map_or(true, |state| state.plaintext_bytes_to_read() > 0);
        }
        while !self.more
            && self.broken.is_none()
            && (!self.input.is_empty() || self.socket.has_news())
        {
            match self.poll_more(&mut nobody) {
                Poll::Pending => return false,
                Poll::Ready(Err(_)) => return true,
                Poll::Ready(Ok(())) => {}
            }
            let state = self.session.process_new_packets();
            if self.eof || state.map_or(true, |state| state.peer_has_closed()) {
                return true;
            }
        }
        self.more || self.broken.is_some()
    }

    /// Closing tells the peer that something went wrong.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
        self.socket.reset_on_close();
    }

    pub(crate) fn say_goodbye(&mut self) {
        self.session.send_close_notify();
        self.socket.grant();
        // As far as it can: a peer that doesn't read isn't waited for.
        let _ = self.poll_flush(&mut Context::from_waker(Waker::noop()));
    }
}

/// However the connection ends, its peer is told that it does.
impl Drop for TlsStream {
    fn drop(&mut self) {
        if !self.cut && !self.session.is_handshaking() {
            self.say_goodbye();
        }
    }
}

/// A socket before it's known which session serves it.
struct Wire {
    socket: Socket,
    input: Buffer,
    pool: Rc<BufferPool>,
}

impl Wire {
    async fn client_hello(&mut self) -> Result<Accepted, HandshakeError> {
        let mut acceptor = Acceptor::default();
        let mut plain = None;
        loop {
            if self.input.is_empty() {
                let n = poll_fn(|cx| {
                    let room = self.input.room(&self.pool, SMALL);
                    let read = self.socket.poll_read(cx, room);
                    if read.is_pending() {
                        // A client that is silent holds no buffer.
                        self.input.release(&self.pool);
                    }
                    read
                })
                .await
                .map_err(HandshakeError::Io)?;
                if n == 0 {
                    return Err(HandshakeError::Closed);
                }
                self.input.filled(n);
            }
            plain = plain.or_else(|| plain_http(self.input.data()));
            let n = acceptor.read_tls(&mut self.input.data()).map_err(HandshakeError::Io)?;
            self.input.consume(n);
            match acceptor.accept() {
                Ok(Some(accepted)) => return Ok(accepted),
                Ok(None) => {}
                Err((error, mut alert)) => {
                    // Who speaks HTTP can't read an alert.
                    if plain.is_none() {
                        self.tell(|socket| alert.write_all(socket)).await;
                    }
                    return Err(plain.unwrap_or(HandshakeError::Tls(error)));
                }
            }
        }
    }

    /// Writes an alert, as far as it goes out at once.
    async fn tell(&mut self, mut write: impl FnMut(&mut dyn Write) -> io::Result<()>) {
        poll_fn(|cx| {
            let _ = write(&mut Plain { socket: &mut self.socket, cx });
            Poll::Ready(())
        })
        .await;
    }

    fn into_stream(self, session: Connection) -> Box<TlsStream> {
        let Wire { socket, input, pool } = self;
        Box::new(TlsStream {
            socket,
            session,
            input,
            pool,
            more: false,
            eof: false,
            broken: None,
            proved_by: None,
            cut: false,
        })
    }
}

/// What bytes that aren't TLS's are, as BoringSSL tells them apart.
fn plain_http(bytes: &[u8]) -> Option<HandshakeError> {
    let methods: [&[u8]; 4] = [b"GET ", b"POST ", b"HEAD ", b"PUT "];
    if bytes.starts_with(b"CONNE") {
        return Some(HandshakeError::PlainHttp { connect: true });
    }
    let found = methods.iter().any(|method| bytes.starts_with(method));
    found.then_some(HandshakeError::PlainHttp { connect: false })
}
