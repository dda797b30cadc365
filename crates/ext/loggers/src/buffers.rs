//! A worker's lines that aren't handed over yet, one buffer for each sink.

use std::sync::Arc;

use crate::sink::Sink;

/// Envoy's minimum flush size (`--file-flush-min-size-kb`).
pub const FLUSH_AT: usize = 64 * 1024;
/// Room for the line that passes that mark.
const SPARE: usize = 8 * 1024;

/// What one worker counted since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BufferStats {
    /// `filesystem.write_buffered`: lines.
    pub write_buffered: u64,
    /// `filesystem.flushed_by_timer`: buffers handed over by [`LogBuffers::flush`].
    pub flushed_by_timer: u64,
    /// Lines thrown away because a file's thread was too far behind.
    pub dropped: u64,
    /// Bytes that wait in the worker: its share of `filesystem.write_total_buffered`.
    pub waiting_bytes: u64,
}

/// One per worker.
#[derive(Debug)]
pub struct LogBuffers {
    buffers: Vec<Buffer>,
    /// A buffer of so many bytes is handed over at once.
    flush_at: usize,
    stats: BufferStats,
}

#[derive(Debug)]
struct Buffer {
    sink: Arc<Sink>,
    bytes: Vec<u8>,
    lines: u64,
}

impl LogBuffers {
    /// `flush_at`: bytes, [`FLUSH_AT`] in Envoy.
    pub fn new(flush_at: usize) -> LogBuffers {
        LogBuffers { buffers: Vec::new(), flush_at, stats: BufferStats::default() }
    }

    pub fn stats(&self) -> BufferStats {
        let waiting = self.buffers.iter().map(|buffer| buffer.bytes.len() as u64).sum();
        BufferStats { waiting_bytes: waiting, ..self.stats }
    }

    /// Appends one line that `line` writes.
    pub(crate) fn write(&mut self, sink: &Arc<Sink>, line: impl FnOnce(&mut Vec<u8>)) {
        let known = self.buffers.iter().position(|buffer| Arc::ptr_eq(&buffer.sink, sink));
        let index = known.unwrap_or_else(|| {
            let bytes = Vec::with_capacity(self.flush_at + SPARE);
            self.buffers.push(Buffer { sink: Arc::clone(sink), bytes, lines: 0 });
            self.buffers.len() - 1
        });
        let buffer = &mut self.buffers[index];
        line(&mut buffer.bytes);
        buffer.lines += 1;
        self.stats.write_buffered += 1;
        if buffer.bytes.len() >= self.flush_at {
            buffer.hand_over(self.flush_at, &mut self.stats);
        }
    }

    /// Hands over everything: from time to time (`--file-flush-interval-msec`, 10 s) and at the end. A sink
    /// without a line since the last time is let go, so that files which no configuration names close.
    pub fn flush(&mut self) {
        self.buffers.retain(|buffer| buffer.lines > 0);
        for buffer in &mut self.buffers {
            buffer.hand_over(self.flush_at, &mut self.stats);
            self.stats.flushed_by_timer += 1;
        }
    }
}

impl Buffer {
    fn hand_over(&mut self, flush_at: usize, stats: &mut BufferStats) {
        if !self.sink.send(&mut self.bytes, flush_at + SPARE) {
            stats.dropped += self.lines;
        }
        self.lines = 0;
    }
}
