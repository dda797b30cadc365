//! Moves a connection's bytes between its socket and its end of HTTP/2.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

use dragoman_codec::h2::{Endpoint, Fault};
use dragoman_net::Buffer;
use dragoman_transport::Stream;

use crate::context::Worker;
use crate::stats::Http2Stats;

/// Reads in a row before others have their turn.
const READS: usize = 8;

/// Why nothing is moved any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    /// The peer ended the connection, or its transport failed.
    ByPeer,
    Fault(Fault),
}

pub(crate) struct Carrier {
    worker: Rc<Worker>,
    pub(crate) stream: Stream,
    /// What was read before the protocol was known.
    input: Buffer,
    pub(crate) end: Rc<RefCell<Endpoint>>,
    eof: bool,
    /// (in, out) since the connection began, and how much of that statistics have counted.
    all: (u64, u64),
    counted: (u64, u64),
}

impl Carrier {
    pub(crate) fn new(
        worker: &Rc<Worker>,
        stream: Stream,
        input: Buffer,
        end: Rc<RefCell<Endpoint>>,
    ) -> Carrier {
        Carrier {
            worker: worker.clone(),
            stream,
            input,
            end,
            eof: false,
            all: (0, 0),
            counted: (0, 0),
        }
    }

    /// Bytes (in, out) since the last call.
    pub(crate) fn uncounted(&mut self) -> (u64, u64) {
        let before = std::mem::replace(&mut self.counted, self.all);
        (self.all.0 - before.0, self.all.1 - before.1)
    }

    /// Bytes (in, out) since the connection began.
    pub(crate) fn all_bytes(&self) -> (u64, u64) {
        self.all
    }

    pub(crate) fn is_eof(&self) -> bool {
        self.eof
    }

    /// Moves what there is to move; ready once that is over.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        self.end.borrow_mut().watch_output(cx);
        let deaf = self.end.borrow().is_deaf();
        let failed = self.poll_read(cx) | self.poll_write(cx);
        if deaf && !self.end.borrow().is_deaf() {
            cx.waker().wake_by_ref();
        }
        let fault = self.end.borrow().fault();
        if let Some(fault) = fault {
            return Poll::Ready(Over::Fault(fault));
        }
        if failed || self.eof {
            self.end.borrow_mut().close();
            return Poll::Ready(Over::ByPeer);
        }
        Poll::Pending
    }

    /// Says whether the transport failed.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.end.borrow().is_deaf() {
            return false;
        }
        if !self.input.is_empty() {
            let input = std::mem::take(&mut self.input);
            self.receive(input.data());
        }
        for _ in 0..READS {
            let worker = self.worker.clone();
            let mut room = worker.read_buffer();
            match self.stream.poll_read(cx, &mut room) {
                Poll::Pending => return false,
                Poll::Ready(Err(_)) => return true,
                Poll::Ready(Ok(0)) => {
                    self.eof = true;
                    return false;
                }
                Poll::Ready(Ok(n)) => self.receive(&room[..n]),
            }
            if self.end.borrow().fault().is_some() {
                return false;
            }
        }
        cx.waker().wake_by_ref();
        false
    }

    fn receive(&mut self, bytes: &[u8]) {
        let now = self.worker.clock.now();
        self.all.0 += bytes.len() as u64;
        self.end.borrow_mut().receive(bytes, now);
    }

    /// Says whether the transport failed.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let end = self.end.borrow();
            let waiting = end.output();
            if waiting.is_empty() {
                break;
            }
            let written = self.stream.poll_write(cx, waiting);
            drop(end);
            match written {
                Poll::Pending => return false,
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.all.1 += n as u64;
                    self.end.borrow_mut().sent(n);
                }
                Poll::Ready(_) => return true,
            }
        }
        matches!(self.stream.poll_flush(cx), Poll::Ready(Err(_)))
    }
}

/// Counts what an end has seen since the last call.
pub(crate) fn count(end: &RefCell<Endpoint>, stats: &Http2Stats) {
    let seen = std::mem::take(&mut end.borrow_mut().seen);
    stats.rx_reset.add(seen.resets_in);
    stats.stream_refused_errors.add(seen.refused);
    stats.tx_reset.add(seen.resets_out);
    stats.goaway_sent.add(seen.goaways_out);
    stats.rx_messaging_error.add(seen.malformed);
    stats.header_overflow.add(seen.too_large);
    stats.trailers.add(seen.trailers);
}
