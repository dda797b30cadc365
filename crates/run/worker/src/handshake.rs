//! TLS's handshake with a client, where the connection's filter chain has it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use dragoman_listener::{Opened, Passed, Refused};
use dragoman_net::{Buffer, Deadline, Socket};
use dragoman_transport::Stream;
use dragoman_transport::tls::TlsStream;
use dragoman_types::tls::Tls;
use dragoman_types::{Connection, Moment};

use crate::context::Worker;
use crate::manager::{WorkerChain, WorkerListener};

/// A connection whose bytes can be read.
pub(crate) struct Secured {
    pub(crate) stream: Stream,
    pub(crate) tls: Box<Tls>,
}

/// Why a connection has no TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Unsecured {
    /// The client ended it, or spoke something that we can't accept, for which there may be words
    /// (`%DOWNSTREAM_TRANSPORT_FAILURE_REASON%`).
    ByClient(Option<String>),
    /// `transport_socket_connect_timeout`.
    TooSlow,
    /// A limit of the connection itself.
    OwnLimit,
}

/// Asks the network filters of the connection's chain. A connection that one turns away is to be closed
/// when this ends.
pub(crate) async fn pass_filters(
    worker: &Worker,
    chain: &WorkerChain,
    connection: &Connection,
    deadline: &mut Deadline,
) -> Result<Passed, Refused> {
    let now = worker.clock.now();
    let opened = Opened { hello: connection.hello.as_deref(), worker: worker.index, now };
    let passed = dragoman_listener::open(&chain.shared.filters, &opened);
    if let Err(refused) = &passed {
        wait(now, refused, deadline).await;
    }
    passed
}

/// Asks them again once the client has come through TLS.
pub(crate) async fn pass_secured(
    worker: &Worker,
    chain: &WorkerChain,
    connection: &Connection,
    deadline: &mut Deadline,
) -> Result<(), Refused> {
    for filter in chain.shared.filters.iter() {
        if let Err(refused) = filter.secured(connection, worker.index) {
            wait(worker.clock.read(), &refused, deadline).await;
            return Err(refused);
        }
    }
    Ok(())
}

async fn wait(now: Moment, refused: &Refused, deadline: &mut Deadline) {
    if !refused.after.is_zero() {
        let until = Some(now.after(refused.after));
        poll_fn(|cx| deadline.poll_at(cx, until)).await;
    }
}

/// Serves the handshake of a chain that has TLS, counts it, and bounds its time. `own`: when the
/// connection's own limits end it, which hold for its handshake too.
pub(crate) async fn shake_hands(
    worker: &Worker,
    listener: &WorkerListener,
    chain: &WorkerChain,
    (socket, input): (Socket, Buffer),
    (deadline, accepted_at, own): (&mut Deadline, Moment, Option<Moment>),
) -> Result<Secured, Unsecured> {
    let (Some(factory), Some(stats)) = (&chain.shared.tls, &chain.tls_stats) else {
        return Err(Unsecured::ByClient(None));
    };
    let Some(tls) = factory.context.get() else {
        factory.stats.shard(worker.index).downstream_context_secrets_not_ready.inc();
        return Err(Unsecured::ByClient(None));
    };
    let chains = chain.shared.connect_timeout.map(|limit| accepted_at.after(limit));
    let until = chains.into_iter().chain(own).min();
    let mut shaking = pin!(TlsStream::accept(socket, input, worker.buffers.clone(), &tls));
    let shaken = poll_fn(|cx| match shaking.as_mut().poll(cx) {
        Poll::Ready(shaken) => Poll::Ready(Some(shaken)),
        Poll::Pending => deadline.poll_at(cx, until).map(|()| None),
    })
    .await;
    match shaken {
        Some(Ok(done)) => {
            stats.done(&done.facts);
            Ok(Secured { stream: Stream::Tls(done.stream), tls: done.facts })
        }
        Some(Err(error)) => {
            stats.failed(&error);
            Err(Unsecured::ByClient(error.reason()))
        }
        None if until == chains => {
            listener.stats.downstream_cx_transport_socket_connect_timeout.inc();
            Err(Unsecured::TooSlow)
        }
        None => Err(Unsecured::OwnLimit),
    }
}
