//! What goes out: messages, as far as the peer's windows and the socket take them.

use std::task::{Context, Poll};
use std::time::Duration;

use dragoman_types::{HeaderId, Headers, Moment, RequestHead, ResponseHead, id};

use super::Endpoint;
use crate::h2::frames::{self, Code, LARGEST};
use crate::h2::hpack::Encoder;
use crate::h2::stream::{Ending, Gone, Key, Stream, wants};

/// What concerns an HTTP/1 connection alone.
fn is_of_connection(id: HeaderId) -> bool {
    matches!(
        id,
        id::HOST
            | id::CONNECTION
            | id::KEEP_ALIVE
            | id::PROXY_CONNECTION
            | id::TRANSFER_ENCODING
            | id::UPGRADE
    )
}

fn put_fields(encoder: &mut Encoder, headers: &Headers, out: &mut Vec<u8>) {
    for (id, name, value) in headers.iter() {
        let passes = id != id::TE || value == b"trailers";
        if passes && !id.is_pseudo() && !is_of_connection(id) {
            encoder.put(id, name, value, out);
        }
    }
}

impl Endpoint {
    /// Opens a stream with a request, if there is a place. `protocol`: it's an upgrade, told as an extended
    /// CONNECT. `scheme`: of a request that names none. `end`: no body follows.
    pub fn open(
        &mut self,
        head: &RequestHead,
        protocol: Option<&[u8]>,
        scheme: &[u8],
        end: bool,
    ) -> Option<Key> {
        if !self.may_open() {
            return None;
        }
        let stream = self.next;
        self.next += 2;
        self.guard.stream_opened();
        let window = i64::from(self.peer.window);
        let (key, opened) = self.streams.insert(stream, self.options.stream_window, window);
        (opened.sent, opened.to_head) = (end, head.is_head());
        let encoder = &mut self.encoder;
        self.output.fields(stream, end, |out| {
            encoder.begin(out);
            let mut put = |id: HeaderId, value: &[u8]| encoder.put(id, id.name(), value, out);
            let connect = head.method() == b"CONNECT";
            put(id::METHOD, if protocol.is_some() { b"CONNECT" } else { head.method() });
            if !connect {
                put(id::SCHEME, head.headers.get(id::SCHEME).unwrap_or(scheme));
            }
            if !head.authority().is_empty() {
                put(id::AUTHORITY, head.authority());
            }
            if !connect {
                put(id::PATH, if head.path().is_empty() { b"/" } else { head.path() });
            }
            if let Some(protocol) = protocol {
                put(id::PROTOCOL, protocol);
            }
            put_fields(encoder, &head.headers, out);
        });
        Some(key)
    }

    /// A response's head, or one before it. `tunnel`: a 101 is told as 200, which is what agrees in HTTP/2.
    pub fn respond(&mut self, key: Key, head: &ResponseHead, tunnel: bool, end: bool) {
        let stream = self.streams.get(key);
        if stream.gone.is_some() || stream.sent {
            return;
        }
        stream.sent = end;
        let encoder = &mut self.encoder;
        self.output.fields(key.id(), end, |out| {
            encoder.begin(out);
            encoder.put_status(if tunnel && head.status == 101 { 200 } else { head.status }, out);
            put_fields(encoder, &head.headers, out);
        });
    }

    /// Takes some of `data`, at least a byte; `end`: nothing follows it. What the peer's windows or the socket
    /// don't take yet is kept, up to a limit: a host is not held up by a client that reads slowly.
    pub fn poll_send(
        &mut self,
        key: Key,
        cx: &Context<'_>,
        data: &[u8],
        end: bool,
    ) -> Poll<Result<usize, Gone>> {
        let stream = self.streams.get(key);
        if let Some(gone) = stream.gone {
            return Poll::Ready(Err(gone));
        }
        // Nothing follows the end.
        if stream.sent || stream.ending.is_some() {
            return Poll::Ready(Ok(data.len()));
        }
        // Who waits longer goes first.
        let direct = stream.waiting() == 0 && self.line.is_empty();
        let mut sent = if direct { self.send_frames(key, data, end) } else { 0 };
        let rest = &data[sent..];
        let stream = self.streams.get(key);
        let most = KEPT.saturating_sub(stream.waiting()).min(ALL_KEPT.saturating_sub(self.kept));
        let kept = &rest[..rest.len().min(most)];
        if !kept.is_empty() {
            if stream.framed > KEPT {
                stream.kept.drain(..stream.framed);
                stream.framed = 0;
            }
            stream.kept.extend_from_slice(kept);
            self.kept += kept.len();
            sent += kept.len();
            if end && sent == data.len() {
                stream.ending = Some(Ending::Plain);
            }
            self.stand_in_line(key);
        }
        if sent == 0 && !data.is_empty() {
            let stream = self.streams.get(key);
            stream.watch(cx, wants::WRITE);
            if stream.waiting() == 0 && !stream.held_up {
                stream.held_up = true;
                self.held_up.push_back(key);
            }
            return Poll::Pending;
        }
        // What it left is another's.
        self.wake_held_up();
        Poll::Ready(Ok(sent))
    }

    /// Writes what there is room for. Says how much that is.
    fn send_frames(&mut self, key: Key, data: &[u8], end: bool) -> usize {
        let mut sent = 0;
        while sent < data.len() {
            let most = self.room_for(key);
            let part = &data[sent..data.len().min(sent + most)];
            if part.is_empty() {
                break;
            }
            sent += part.len();
            self.send_frame(key, part, end && sent == data.len());
        }
        sent
    }

    /// Bytes that one frame of the stream may have now.
    fn room_for(&mut self, key: Key) -> usize {
        let room = self.output.room().min(self.window.max(0) as usize);
        room.min(self.streams.get(key).window.max(0) as usize).min(LARGEST)
    }

    fn send_frame(&mut self, key: Key, part: &[u8], last: bool) {
        let stream = self.streams.get(key);
        stream.window -= part.len() as i64;
        stream.sent = last;
        self.window -= part.len() as i64;
        self.guard.sent_data();
        let flags = if last { frames::END_STREAM } else { 0 };
        self.output.frame(frames::DATA, flags, key.id(), part);
    }

    /// What is kept of a stream goes when its turn comes; one without a window of its own waits for that.
    pub(super) fn stand_in_line(&mut self, key: Key) {
        let stream = self.streams.get(key);
        if stream.waiting() > 0 && stream.window > 0 && !stream.in_line {
            stream.in_line = true;
            self.line.push_back(key);
            // Its driver sees to it that the line moves.
            self.output.wake();
        }
    }

    /// Lets those in line go on, a frame each in turn, as far as there is room.
    pub(super) fn move_up(&mut self) {
        while let Some(&key) = self.line.front() {
            let there = self.streams.key(key.id()) == Some(key);
            if there && (self.output.room() == 0 || self.window <= 0) {
                return;
            }
            self.line.pop_front();
            if there {
                self.send_kept(key);
            }
        }
        self.wake_held_up();
    }

    /// Sends a frame of what is kept of a stream.
    fn send_kept(&mut self, key: Key) {
        let most = self.room_for(key);
        let stream = self.streams.get(key);
        stream.in_line = false;
        if stream.gone.is_some() || most == 0 {
            return;
        }
        let length = stream.waiting().min(most);
        let whole = length == stream.waiting();
        let kept = std::mem::take(&mut stream.kept);
        let from = stream.framed;
        stream.moved = None;
        let last = whole && matches!(stream.ending, Some(Ending::Plain));
        self.send_frame(key, &kept[from..from + length], last);
        self.let_go(length);
        let stream = self.streams.get(key);
        (stream.kept, stream.framed) = (kept, from + length);
        if !whole {
            return self.stand_in_line(key);
        }
        stream.kept.clear();
        stream.framed = 0;
        match stream.ending.take() {
            None => stream.wake(wants::WRITE),
            Some(Ending::Plain) => self.sent_all(key),
            Some(Ending::Trailers(trailers)) => {
                self.send_end(key, Some(&trailers));
                self.sent_all(key);
            }
        }
    }

    /// So many bytes are kept no more.
    pub(super) fn let_go(&mut self, bytes: usize) {
        self.kept -= bytes;
        self.wake_held_up();
    }

    /// Lets as many go on as there is room to send a frame of, or place to keep one.
    fn wake_held_up(&mut self) {
        if self.held_up.is_empty() {
            return;
        }
        let room = self.output.room().min(self.window.max(0) as usize);
        let mut frames = if self.line.is_empty() { room.div_ceil(LARGEST) } else { 0 };
        let mut places = ALL_KEPT.saturating_sub(self.kept) / LARGEST;
        for _ in 0..self.held_up.len() {
            if frames + places == 0 {
                return;
            }
            let Some(key) = self.held_up.pop_front() else { return };
            if self.streams.key(key.id()) != Some(key) {
                continue;
            }
            let stream = self.streams.get(key);
            match stream.window > 0 {
                true if frames > 0 => frames -= 1,
                _ if places > 0 => places -= 1,
                _ => {
                    self.held_up.push_back(key);
                    continue;
                }
            }
            stream.held_up = false;
            stream.wake(wants::WRITE);
        }
    }

    /// Streams that are over don't fill what those stand in that wait.
    pub(super) fn thin_out(&mut self) {
        let most = 2 * self.streams.len() + 16;
        for waiting in [&mut self.line, &mut self.held_up] {
            if waiting.len() > most {
                waiting.retain(|key| self.streams.key(key.id()) == Some(*key));
            }
        }
    }

    /// The end of a message has gone out.
    fn sent_all(&mut self, key: Key) {
        let stream = self.streams.get(key);
        match stream.released {
            true if stream.is_over() => self.remove(key),
            // Nobody wants what the peer still has to say; with that it is gone.
            true => self.end_stream(key, Code::NO_ERROR, Gone::Local),
            false => {}
        }
    }

    /// Nothing follows but these fields.
    pub fn finish(&mut self, key: Key, trailers: Option<&Headers>) {
        let stream = self.streams.get(key);
        if stream.gone.is_some() || stream.sent || stream.ending.is_some() {
            return;
        }
        if stream.waiting() > 0 {
            let with = trailers.map(|fields| Ending::Trailers(fields.clone()));
            stream.ending = Some(with.unwrap_or(Ending::Plain));
            return;
        }
        self.send_end(key, trailers);
    }

    fn send_end(&mut self, key: Key, trailers: Option<&Headers>) {
        self.streams.get(key).sent = true;
        let Some(trailers) = trailers else {
            return self.output.frame(frames::DATA, frames::END_STREAM, key.id(), &[]);
        };
        let encoder = &mut self.encoder;
        self.output.fields(key.id(), true, |out| {
            encoder.begin(out);
            put_fields(encoder, trailers, out);
        });
    }

    /// Since when the last bytes of a stream that nobody holds have waited, of the one that waits longest.
    /// One begins to wait when it is first asked for.
    pub fn flushing_since(&mut self, now: Moment) -> Option<Moment> {
        if self.flushing == 0 {
            return None;
        }
        for stream in self.streams.each().filter(|stream| stream.released) {
            stream.moved.get_or_insert(now);
        }
        self.streams.each().filter(|stream| stream.released).filter_map(|stream| stream.moved).min()
    }

    /// Gives up those of which nothing has gone for so long. Says how many.
    pub fn give_up_flushing(&mut self, now: Moment, limit: Duration) -> u64 {
        let is_late = |stream: &&mut Stream| {
            stream.released && stream.moved.is_some_and(|moved| moved.after(limit) <= now)
        };
        let late: Vec<u32> = self.streams.each().filter(is_late).map(|stream| stream.id).collect();
        for id in &late {
            if let Some(key) = self.streams.key(*id) {
                self.end_stream(key, Code::NO_ERROR, Gone::Local);
            }
        }
        late.len() as u64
    }
}

/// Bytes that are kept of one stream, and of all together.
const KEPT: usize = 64 << 10;
const ALL_KEPT: usize = 1 << 20;
