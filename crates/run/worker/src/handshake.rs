//! TLS's handshake with a client, where the connection's filter chain has it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use dragoman_net::{Buffer, Deadline, Socket};
use dragoman_transport::Stream;
use dragoman_transport::tls::TlsStream;
use dragoman_types::Moment;
use dragoman_types::tls::Tls;

use crate::context::Worker;
use crate::manager::{WorkerChain, WorkerListener};

/// A connection whose bytes can be read.
pub(crate) struct Secured {
    pub(crate) stream: Stream,
    pub(crate) tls: Box<Tls>,
}

/// Why a connection has no TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unsecured {
    /// The client ended it, or spoke something that we can't accept.
    ByClient,
    /// `transport_socket_connect_timeout`.
    TooSlow,
    /// A limit of the connection itself.
    OwnLimit,
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
    let (Some(tls), Some(stats)) = (&chain.shared.tls, &chain.tls_stats) else {
        return Err(Unsecured::ByClient);
    };
    let chains = chain.shared.connect_timeout.map(|limit| accepted_at.after(limit));
    let until = chains.into_iter().chain(own).min();
    let mut shaking = pin!(TlsStream::accept(socket, input, worker.buffers.clone(), tls));
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
            Err(Unsecured::ByClient)
        }
        None if until == chains => {
            listener.stats.downstream_cx_transport_socket_connect_timeout.inc();
            Err(Unsecured::TooSlow)
        }
        None => Err(Unsecured::OwnLimit),
    }
}
