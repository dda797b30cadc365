//! Read buffers: a window over a fixed block, taken from the worker's pool when bytes are expected
//! and given back when a connection idles.

use std::cell::RefCell;

/// The usual block: a request or response head with a small body fits.
pub const SMALL: usize = 16 << 10;
/// The block for bodies that keep filling a small one.
pub const LARGE: usize = 64 << 10;

/// Bytes that were read and not yet consumed. Without a block until something is read.
#[derive(Debug, Default)]
pub struct Buffer {
    block: Vec<u8>,
    start: usize,
    end: usize,
    /// The last read filled all the room there was: more is waiting than a small block holds.
    hungry: bool,
}

impl Buffer {
    pub fn data(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    pub fn len(&self) -> usize {
        self.end - self.start
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops the first `n` bytes.
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Room behind the data, at least one byte: takes a block, moves data to its front, or grows up
    /// to `limit` bytes. Empty if the data fills `limit`.
    pub fn room(&mut self, pool: &BufferPool, limit: usize) -> &mut [u8] {
        if self.hungry && self.is_empty() && limit >= LARGE && self.block.len() < LARGE {
            pool.give(std::mem::replace(&mut self.block, pool.take_large()));
        }
        if self.block.is_empty() {
            self.block = pool.take();
        }
        // A short tail would mean short reads.
        if self.block.len() - self.end < self.block.len() / 4 {
            if self.start > 0 {
                self.block.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else if self.end == self.block.len() && self.block.len() < limit {
                let size = (self.block.len() * 2).min(limit.max(SMALL));
                self.block.resize(size, 0);
            }
        }
        &mut self.block[self.end..]
    }

    /// `n` bytes were written into the room.
    pub fn filled(&mut self, n: usize) {
        self.hungry = n > 0 && self.end + n >= self.block.len();
        self.end = (self.end + n).min(self.block.len());
    }

    /// Gives the block back if nothing is buffered.
    pub fn release(&mut self, pool: &BufferPool) {
        if self.is_empty() && !self.block.is_empty() {
            (self.start, self.end) = (0, 0);
            self.hungry = false;
            pool.give(std::mem::take(&mut self.block));
        }
    }
}

/// A worker's free blocks. Not shared between threads.
#[derive(Debug, Default)]
pub struct BufferPool {
    free: RefCell<Vec<Vec<u8>>>,
    large: RefCell<Vec<Vec<u8>>>,
}

/// Free blocks that are kept; more are returned to the allocator.
const KEPT: usize = 256;
const KEPT_LARGE: usize = 16;

impl BufferPool {
    fn take(&self) -> Vec<u8> {
        self.free.borrow_mut().pop().unwrap_or_else(|| vec![0; SMALL])
    }

    fn take_large(&self) -> Vec<u8> {
        self.large.borrow_mut().pop().unwrap_or_else(|| vec![0; LARGE])
    }

    fn give(&self, block: Vec<u8>) {
        let (list, kept) = match block.len() {
            SMALL => (&self.free, KEPT),
            LARGE => (&self.large, KEPT_LARGE),
            _ => return,
        };
        let mut list = list.borrow_mut();
        if list.len() < kept {
            list.push(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_moves_before_it_grows() {
        let pool = BufferPool::default();
        let mut buffer = Buffer::default();
        assert_eq!(buffer.room(&pool, SMALL).len(), SMALL);
        buffer.filled(SMALL);
        buffer.consume(10);
        assert_eq!(buffer.room(&pool, SMALL).len(), 10);
        buffer.filled(10);
        assert!(buffer.room(&pool, SMALL).is_empty());
        assert_eq!(buffer.len(), SMALL);
        assert_eq!(buffer.room(&pool, LARGE).len(), SMALL);
        buffer.consume(buffer.len());
        assert!(buffer.is_empty());
    }

    #[test]
    fn idle_blocks_go_back() {
        let pool = BufferPool::default();
        let mut buffer = Buffer::default();
        buffer.room(&pool, SMALL);
        buffer.filled(1);
        buffer.release(&pool);
        assert_eq!(pool.free.borrow().len(), 0);
        buffer.consume(1);
        buffer.release(&pool);
        assert_eq!(pool.free.borrow().len(), 1);
    }
}
