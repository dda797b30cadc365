//! Bytes from one stream to another.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use dragoman_net::buffer::LARGE;
use dragoman_net::{Buffer, BufferPool};
use dragoman_transport::Stream;

/// How a way ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The source ended, and the sink was told.
    Orderly,
    /// The source failed. What it had sent before went to the sink all the same.
    Reset,
    /// The sink takes no more.
    Gone,
}

/// One way. The sink's back-pressure stops the reading, so one buffer is all that is kept.
#[derive(Debug)]
pub(crate) struct Way {
    buffer: Buffer,
    pool: Rc<BufferPool>,
    /// Bytes that came from the source, and that the sink took.
    pub(crate) read: u64,
    pub(crate) written: u64,
    /// The source's end, and whether it was an orderly one.
    source: Option<End>,
    pub(crate) end: Option<End>,
}

impl Way {
    /// `buffer`: what of the source was read already.
    pub(crate) fn new(buffer: Buffer, pool: Rc<BufferPool>) -> Way {
        Way { read: buffer.len() as u64, buffer, pool, written: 0, source: None, end: None }
    }

    /// Moves what there is; ready once no byte goes this way any more.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> Poll<()> {
        while self.end.is_none() {
            if !self.buffer.is_empty() {
                match ready!(sink.poll_write(cx, self.buffer.data())) {
                    Ok(n) => {
                        self.buffer.consume(n);
                        self.written += n as u64;
                    }
                    Err(_) => self.end = Some(End::Gone),
                }
            } else if let Some(how) = self.source {
                let flushed = ready!(sink.poll_flush(cx)).is_ok();
                if how == End::Orderly {
                    // A sink that is gone already is noticed by who reads from it.
                    let _ = sink.shutdown();
                }
                self.end = Some(if flushed { how } else { End::Gone });
            } else {
                let room = self.buffer.room(&self.pool, LARGE);
                match source.poll_read(cx, room) {
                    Poll::Ready(Ok(0)) => self.source = Some(End::Orderly),
                    Poll::Ready(Ok(n)) => {
                        self.buffer.filled(n);
                        self.read += n as u64;
                    }
                    Poll::Ready(Err(_)) => self.source = Some(End::Reset),
                    Poll::Pending => {
                        self.buffer.release(&self.pool);
                        if let Poll::Ready(Err(_)) = sink.poll_flush(cx) {
                            self.end = Some(End::Gone);
                            continue;
                        }
                        return Poll::Pending;
                    }
                }
            }
        }
        let left = self.buffer.len();
        self.buffer.consume(left);
        self.buffer.release(&self.pool);
        Poll::Ready(())
    }
}
