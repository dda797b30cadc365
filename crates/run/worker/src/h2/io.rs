//! A connection's bytes as `h2` takes and gives them, with an eye on its frames.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use dragoman_codec::h2::frames::{self, FrameHeads};
use dragoman_codec::h2::{Flood, Guard};
use dragoman_net::Buffer;
use dragoman_transport::Stream;
use dragoman_types::Moment;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::context::Worker;
use crate::stats::Http2Stats;

/// What a connection's task wants to know of its bytes.
pub(crate) struct Watch {
    worker: Rc<Worker>,
    incoming: RefCell<FrameHeads>,
    outgoing: RefCell<FrameHeads>,
    /// Peers that may send what they like have none.
    guard: RefCell<Option<Guard>>,
    pub(crate) bytes_in: Cell<u64>,
    pub(crate) bytes_out: Cell<u64>,
    /// Those (in, out) that statistics have counted already.
    counted: Cell<(u64, u64)>,
    /// RST_STREAM and GOAWAY frames; of those, the streams that the peer refused, and those whose messages
    /// broke the protocol.
    resets_in: Cell<u64>,
    refused_in: Cell<u64>,
    resets_out: Cell<u64>,
    malformed_out: Cell<u64>,
    pub(crate) goaways_in: Cell<u64>,
    goaways_out: Cell<u64>,
    pub(crate) eof: Cell<bool>,
    /// Since when the fields have been coming that aren't whole yet.
    pub(crate) fields_since: Cell<Option<Moment>>,
    pub(crate) flood: Cell<Option<Flood>>,
    /// The stream that `h2` was through with.
    left: Cell<Option<Stream>>,
}

fn add(cell: &Cell<u64>, n: u64) {
    cell.set(cell.get() + n);
}

impl Watch {
    /// `preface`: how many bytes of the connection (incoming, outgoing) precede the first frame.
    pub(crate) fn new(
        worker: &Rc<Worker>,
        preface: (usize, usize),
        guard: Option<Guard>,
    ) -> Rc<Watch> {
        Rc::new(Watch {
            worker: worker.clone(),
            incoming: RefCell::new(FrameHeads::new(preface.0)),
            outgoing: RefCell::new(FrameHeads::new(preface.1)),
            guard: RefCell::new(guard),
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            counted: Cell::default(),
            resets_in: Cell::new(0),
            refused_in: Cell::new(0),
            resets_out: Cell::new(0),
            malformed_out: Cell::new(0),
            goaways_in: Cell::new(0),
            goaways_out: Cell::new(0),
            eof: Cell::new(false),
            fields_since: Cell::new(None),
            flood: Cell::new(None),
            left: Cell::new(None),
        })
    }

    /// The stream, once `h2` is through with it.
    pub(crate) fn take_stream(&self) -> Option<Stream> {
        self.left.take()
    }

    pub(crate) fn now(&self) -> Moment {
        self.worker.clock.now()
    }

    /// Bytes (in, out) since the last call.
    pub(crate) fn uncounted(&self) -> (u64, u64) {
        let all = self.all_bytes();
        self.counted.set(all);
        (self.bytes_in.take(), self.bytes_out.take())
    }

    /// Bytes (in, out) since the connection began.
    pub(crate) fn all_bytes(&self) -> (u64, u64) {
        let (read, written) = self.counted.get();
        (read + self.bytes_in.get(), written + self.bytes_out.get())
    }

    /// Counts the frames since the last call.
    pub(crate) fn count(&self, stats: &Http2Stats) {
        stats.rx_reset.add(self.resets_in.take());
        stats.stream_refused_errors.add(self.refused_in.take());
        stats.tx_reset.add(self.resets_out.take());
        stats.rx_messaging_error.add(self.malformed_out.take());
        stats.goaway_sent.add(self.goaways_out.take());
    }

    fn received(&self, mut bytes: &[u8]) -> io::Result<()> {
        add(&self.bytes_in, bytes.len() as u64);
        self.eof.set(self.eof.get() || bytes.is_empty());
        let now = self.now();
        let (mut heads, mut guard) = (self.incoming.borrow_mut(), self.guard.borrow_mut());
        while let Some(head) = heads.next(&mut bytes) {
            match head.kind {
                frames::RST_STREAM => {
                    add(&self.resets_in, 1);
                    add(&self.refused_in, u64::from(head.code == frames::REFUSED_STREAM));
                }
                frames::GOAWAY => add(&self.goaways_in, 1),
                _ => {}
            }
            let seen = guard.as_mut().map(|guard| guard.received(head, now));
            if let Some(Err(flood)) = seen {
                self.flood.set(Some(flood));
                return Err(io::Error::other("too many frames without a use"));
            }
        }
        let since = self.fields_since.get().unwrap_or(now);
        self.fields_since.set(heads.within_fields().then_some(since));
        Ok(())
    }

    fn sent(&self, mut bytes: &[u8]) {
        add(&self.bytes_out, bytes.len() as u64);
        let (mut heads, mut guard) = (self.outgoing.borrow_mut(), self.guard.borrow_mut());
        while let Some(head) = heads.next(&mut bytes) {
            match head.kind {
                frames::RST_STREAM => {
                    add(&self.resets_out, 1);
                    add(&self.malformed_out, u64::from(head.code == frames::PROTOCOL_ERROR));
                }
                frames::GOAWAY => add(&self.goaways_out, 1),
                _ => {}
            }
            if let Some(guard) = &mut *guard {
                guard.sent(head);
            }
        }
    }
}

/// See [`Watch`].
pub(crate) struct Io {
    stream: Stream,
    /// What was read before the protocol was known.
    input: Buffer,
    watch: Rc<Watch>,
}

impl Io {
    pub(crate) fn new(stream: Stream, input: Buffer, watch: Rc<Watch>) -> Io {
        Io { stream, input, watch }
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        self.watch.left.set(Some(std::mem::replace(&mut self.stream, Stream::Gone)));
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.input.is_empty() {
            let n = this.input.len().min(buf.remaining());
            let bytes = &this.input.data()[..n];
            buf.put_slice(bytes);
            this.watch.received(bytes)?;
            this.input.consume(n);
            return Poll::Ready(Ok(()));
        }
        // By way of the worker's bytes: `buf` would have to be filled with zeros before each read.
        let mut taken = this.watch.worker.read_buffer();
        let room = buf.remaining().min(taken.len());
        let n = ready!(this.stream.poll_read(cx, &mut taken[..room]))?;
        let bytes = &taken[..n];
        this.watch.received(bytes)?;
        buf.put_slice(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(self.stream.poll_write(cx, data))?;
        self.watch.sent(&data[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(self.stream.poll_write_vectored(cx, parts))?;
        let mut left = n;
        for part in parts {
            let taken = left.min(part.len());
            self.watch.sent(&part[..taken]);
            left -= taken;
        }
        Poll::Ready(Ok(n))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.shutdown())
    }
}
