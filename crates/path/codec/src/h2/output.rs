//! Frames on their way out.

use std::collections::VecDeque;
use std::task::{Context, Waker};

use super::frames::{self, Code, HEAD, LARGEST};

/// Bodies wait for the socket beyond so many bytes.
const MOST: usize = 64 << 10;
/// What a connection that has nothing to send keeps.
const KEPT: usize = 4 << 10;

#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    start: usize,
    /// Bytes that went before those of `bytes`.
    gone: u64,
    /// Where each frame that waits ends, and whether it answers or ends something.
    ends: VecDeque<(u64, bool)>,
    control: usize,
    driver: Option<Waker>,
}

impl Output {
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// So many bytes went out.
    pub(super) fn sent(&mut self, n: usize) {
        self.start += n;
        let gone = self.gone + self.start as u64;
        while let Some(&(end, control)) = self.ends.front()
            && end <= gone
        {
            self.ends.pop_front();
            self.control -= usize::from(control);
        }
        if self.start == self.bytes.len() {
            self.forget_sent();
            self.bytes.shrink_to(MOST + LARGEST);
        } else if self.start >= MOST {
            self.forget_sent();
        }
    }

    fn forget_sent(&mut self) {
        self.gone += self.start as u64;
        self.bytes.drain(..self.start);
        self.start = 0;
    }

    /// A frame has been written.
    fn note(&mut self, control: bool) {
        self.ends.push_back((self.gone + self.bytes.len() as u64, control));
        self.control += usize::from(control);
        self.wake();
    }

    /// Nothing will go out for a while.
    pub(super) fn settle(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
            self.ends = VecDeque::new();
        }
    }

    /// Bytes of a body that may be added.
    pub(super) fn room(&self) -> usize {
        MOST.saturating_sub(self.bytes.len() - self.start)
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Frames that wait.
    pub(super) fn frames(&self) -> usize {
        self.ends.len()
    }

    /// Of those, the ones that answer or end something.
    pub(super) fn control(&self) -> usize {
        self.control
    }

    /// Who is to be woken when something is to go out.
    pub(super) fn watch(&mut self, cx: &Context<'_>) {
        if !self.driver.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            self.driver = Some(cx.waker().clone());
        }
    }

    pub(super) fn wake(&mut self) {
        if let Some(driver) = &self.driver {
            driver.wake_by_ref();
        }
    }

    /// What precedes all frames.
    pub(super) fn begin(&mut self, preface: &[u8]) {
        self.bytes.extend_from_slice(preface);
    }

    /// A frame that answers or ends something.
    pub(super) fn control_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        frames::put(&mut self.bytes, kind, flags, stream, payload);
        self.note(true);
    }

    pub(super) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        frames::put(&mut self.bytes, kind, flags, stream, payload);
        self.note(false);
    }

    pub(super) fn reset(&mut self, stream: u32, code: Code) {
        self.control_frame(frames::RST_STREAM, 0, stream, &code.0.to_be_bytes());
    }

    pub(super) fn window_update(&mut self, stream: u32, increment: u32) {
        self.frame(frames::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes());
    }

    pub(super) fn go_away(&mut self, last: u32, code: Code, why: &str) {
        let payload = [&last.to_be_bytes()[..], &code.0.to_be_bytes(), why.as_bytes()].concat();
        self.control_frame(frames::GOAWAY, 0, 0, &payload);
    }

    /// Fields that `write` appends, in as many frames as it takes.
    pub(super) fn fields(&mut self, stream: u32, end: bool, write: impl FnOnce(&mut Vec<u8>)) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEAD]);
        write(&mut self.bytes);
        let length = self.bytes.len() - at - HEAD;
        let end = if end { frames::END_STREAM } else { 0 };
        if length <= LARGEST {
            let flags = end | frames::END_HEADERS;
            let head =
                frames::FrameHead { length: length as u32, kind: frames::HEADERS, flags, stream };
            self.bytes[at..at + HEAD].copy_from_slice(&head.write());
            return self.note(false);
        }
        let block = self.bytes.split_off(at + HEAD);
        self.bytes.truncate(at);
        let mut parts = block.chunks(LARGEST).peekable();
        let (mut kind, mut flags) = (frames::HEADERS, end);
        while let Some(part) = parts.next() {
            let last = if parts.peek().is_none() { frames::END_HEADERS } else { 0 };
            frames::put(&mut self.bytes, kind, flags | last, stream, part);
            (kind, flags) = (frames::CONTINUATION, 0);
        }
        self.note(false);
    }
}
