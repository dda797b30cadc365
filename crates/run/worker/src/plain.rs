//! Connections that need no host: `envoy.filters.network.echo` and `envoy.filters.network.direct_response`.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use dragoman_listener::Refused;
use dragoman_net::{Buffer, Deadline, Socket};
use dragoman_transport::Stream;
use dragoman_types::{Connection, Facts, StreamInfo};

use crate::context::Worker;
use crate::handshake::{Unsecured, pass_filters, pass_secured, shake_hands};
use crate::manager::{WorkerChain, WorkerListener};
use crate::serve::{Admitted, connection_of};
use crate::snapshot::Plain;

/// Bytes of a client that are kept until they went back.
const KEPT: usize = 16 << 10;

/// How long a client gets to take what was said, and to end.
const LINGER: Duration = Duration::from_secs(1);

struct Served {
    worker: Rc<Worker>,
    listener: Rc<WorkerListener>,
    chain: Rc<WorkerChain>,
    connection: Connection,
    info: StreamInfo,
    deadline: Deadline,
}

/// Serves a connection until it ends.
pub(crate) fn serve(
    worker: Rc<Worker>,
    listener: Rc<WorkerListener>,
    plain: Plain,
    admitted: Admitted,
) -> impl Future<Output = ()> {
    let chain = admitted.chain.clone();
    let (connection, socket, input) = connection_of(&worker, &listener, admitted);
    listener.count_open();
    worker.connections.set(worker.connections.get() + 1);
    let deadline = worker.reactor.deadline();
    let info = StreamInfo::new(worker.next_id(), connection.accepted_at);
    let mut served = Served { worker, listener, chain, connection, info, deadline };
    async move { served.run(&plain, socket, input).await }
}

impl Served {
    async fn run(&mut self, plain: &Plain, socket: Socket, input: Buffer) {
        let passing = pass_filters(&self.worker, &self.chain, &self.connection, &mut self.deadline);
        let _passed = match passing.await {
            Ok(passed) => passed,
            Err(refused) => return self.turned_away(refused),
        };
        let Some((stream, input)) = self.secure(socket, input).await else { return };
        let passing = pass_secured(&self.worker, &self.chain, &self.connection, &mut self.deadline);
        if let Err(refused) = passing.await {
            return self.turned_away(refused);
        }
        match plain {
            Plain::Echo => self.echo(stream, input).await,
            Plain::DirectResponse(response) => self.answer(stream, response).await,
        }
    }

    fn turned_away(&mut self, refused: Refused) {
        self.info.flags.insert(refused.flags);
        self.info.connection_termination = refused.details.map(Into::into);
    }

    async fn secure(&mut self, socket: Socket, input: Buffer) -> Option<(Stream, Buffer)> {
        if self.chain.shared.tls.is_none() {
            return Some((Stream::Plain(socket), input));
        }
        let timer = (&mut self.deadline, self.connection.accepted_at, None);
        let shaken =
            shake_hands(&self.worker, &self.listener, &self.chain, (socket, input), timer).await;
        match shaken {
            Ok(secured) => {
                self.connection.tls = Some(secured.tls);
                Some((secured.stream, Buffer::default()))
            }
            Err(why) => {
                if let Unsecured::ByClient(reason) = why {
                    self.info.downstream_transport_failure = reason.map(Into::into);
                }
                None
            }
        }
    }

    /// What comes goes back, until the client ends.
    async fn echo(&mut self, mut stream: Stream, mut input: Buffer) {
        let (pool, info) = (&self.worker.buffers, &mut self.info);
        info.bytes_received += input.len() as u64;
        poll_fn(|cx| {
            loop {
                while !input.is_empty() {
                    match ready!(stream.poll_write(cx, input.data())) {
                        Ok(n) => {
                            input.consume(n);
                            info.bytes_sent += n as u64;
                        }
                        Err(_) => return Poll::Ready(()),
                    }
                }
                if ready!(stream.poll_flush(cx)).is_err() {
                    return Poll::Ready(());
                }
                match ready!(stream.poll_read(cx, input.room(pool, KEPT))) {
                    Ok(n) if n > 0 => {
                        input.filled(n);
                        info.bytes_received += n as u64;
                    }
                    _ => return Poll::Ready(()),
                }
            }
        })
        .await;
    }

    /// Says the same to everybody.
    async fn answer(&mut self, mut stream: Stream, response: &[u8]) {
        self.info.details = Some("direct_response".into());
        let mut at = 0;
        let said = poll_fn(|cx| {
            while at < response.len() {
                match ready!(stream.poll_write(cx, &response[at..])) {
                    Ok(n) => {
                        at += n;
                        self.info.bytes_sent += n as u64;
                    }
                    Err(_) => return Poll::Ready(false),
                }
            }
            stream.poll_flush(cx).map(|flushed| flushed.is_ok())
        })
        .await;
        if !said || stream.shutdown().is_err() {
            return;
        }
        // Closed before the client's bytes were read, it would destroy what was said.
        let until = Some(self.worker.clock.read().after(LINGER));
        let mut unread = vec![0; 4096];
        poll_fn(|cx| {
            while let Poll::Ready(read) = stream.poll_read(cx, &mut unread) {
                if !read.is_ok_and(|n| n > 0) {
                    return Poll::Ready(());
                }
            }
            self.deadline.poll_at(cx, until)
        })
        .await;
    }
}

/// However it ends, it is counted and logged.
impl Drop for Served {
    fn drop(&mut self) {
        let now = self.worker.clock.now();
        self.info.end = Some(now);
        self.listener.log(&self.worker, &Facts::of_connection(&self.connection, &self.info));
        let length = now.millis_since(self.connection.accepted_at);
        self.listener.count_closed(self.connection.id, length);
        self.worker.connections.set(self.worker.connections.get() - 1);
    }
}
