//! Fields that come in: requests, responses, trailers.

use super::receive::flooded;
use super::{Arrival, Block, Endpoint, Fault, Leaving, Side};
use crate::h2::frames::{self, Code, FrameHead, LARGEST};
use crate::h2::message::{BadHead, Head, Part, Taking};
use crate::h2::stream::{Gone, Key, Streams, wants};

/// Interim responses that nobody has taken yet.
const MOST_INTERIM: usize = 16;

/// What comes for a request that was given up.
const LATE_RESPONSE: Part = Part::Response { to_head: false };

impl Endpoint {
    pub(super) fn headers(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let mut block = payload;
        let mut padding = 0;
        let short = Fault::new(Code::FRAME_SIZE_ERROR, "HEADERS that end within their head");
        if head.has(frames::PADDED) {
            let (&length, rest) = block.split_first().ok_or(short)?;
            (padding, block) = (usize::from(length), rest);
        }
        if head.has(frames::WITH_PRIORITY) {
            let (&[s0, s1, s2, s3, _], rest) = block.split_first_chunk::<5>().ok_or(short)?;
            self.check_priority(head.stream, [s0, s1, s2, s3])?;
            block = rest;
        }
        let too_much = Fault::protocol("more padding than its frame has");
        let length = block.len().checked_sub(padding).ok_or(too_much)?;
        block = &block[..length];
        if head.stream == 0 {
            return Err(Fault::protocol("HEADERS of no stream"));
        }
        let end = head.has(frames::END_STREAM);
        if head.has(frames::END_HEADERS) {
            return self.fields(head.stream, block, end);
        }
        self.block = Some(Block { stream: head.stream, end, bytes: block.to_vec(), frames: 1 });
        Ok(())
    }

    pub(super) fn continuation(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let most = self.options.limits.head_bytes;
        let Some(block) = &mut self.block else { return Ok(()) };
        block.bytes.extend_from_slice(payload);
        block.frames += 1;
        // Frames have no need to be small; what is refused for its size is read for its table's sake.
        if block.bytes.len() > 2 * most + LARGEST || block.frames > 8 + most / 1024 {
            return Err(Fault::new(Code::ENHANCE_YOUR_CALM, "fields without end"));
        }
        if head.has(frames::END_HEADERS)
            && let Some(block) = self.block.take()
        {
            return self.fields(block.stream, &block.bytes, block.end);
        }
        Ok(())
    }

    /// A whole block of fields.
    fn fields(&mut self, stream: u32, block: &[u8], end: bool) -> Result<(), Fault> {
        self.fields_since = None;
        match (self.streams.key(stream), self.side) {
            (Some(key), Side::Server) => self.trailers(key, block, end),
            (Some(key), Side::Client) => match self.streams.get(key).answered {
                false => self.response(key, block, end),
                true => self.trailers(key, block, end),
            },
            (None, Side::Server) if stream % 2 == 1 && stream > self.last => {
                self.request(stream, block, end)
            }
            (None, _) if !self.was_opened(stream) => {
                Err(Fault::protocol("HEADERS of no such stream"))
            }
            (None, _) if !self.is_forgiven(stream) => {
                Err(Fault::new(Code::STREAM_CLOSED, "HEADERS of a stream that is closed"))
            }
            (None, Side::Client) => self.read(block, LATE_RESPONSE, end).map(|_| ()),
            (None, Side::Server) => {
                if let Err(BadHead::Malformed(_)) = self.read(block, Part::Trailers, end)? {
                    self.spend_reset()?;
                    self.tell_reset(stream, Code::PROTOCOL_ERROR);
                }
                Ok(())
            }
        }
    }

    /// Reads fields, whatever is to become of them: the next ones may refer to them.
    fn read(
        &mut self,
        block: &[u8],
        part: Part,
        end: bool,
    ) -> Result<Result<Head, BadHead>, Fault> {
        let mut head = self.spare.pop().unwrap_or_default();
        let mut taking = Taking::new(&mut head, part, self.options.limits);
        let read = self.decoder.decode(block, |field| taking.field(field));
        read.map_err(|_| Fault::new(Code::COMPRESSION_ERROR, "fields that can't be read"))?;
        let taken = taking.finish(end);
        Ok(match taken {
            Ok(()) => Ok(head),
            Err(bad) => {
                self.give_back(head);
                Err(bad)
            }
        })
    }

    fn request(&mut self, stream: u32, block: &[u8], end: bool) -> Result<(), Fault> {
        self.last = stream;
        self.check_output()?;
        self.guard.stream_opened();
        let part = Part::Request { extended: self.options.extended_connect };
        let read = self.read(block, part, end)?;
        if matches!(self.leaving, Leaving::Told(last) if stream > last) {
            return Ok(());
        }
        let malformed = matches!(read, Err(BadHead::Malformed(_)));
        if !malformed && !self.has_place_for_peer() {
            self.spend_reset()?;
            self.seen.refused += 1;
            self.tell_reset(stream, Code::REFUSED_STREAM);
            return Ok(());
        }
        let window = i64::from(self.peer.window);
        let (key, opened) = self.streams.insert(stream, self.options.stream_window, window);
        opened.received = end;
        match read {
            Ok(head) => {
                opened.owed = head.length;
                opened.heads.push_back(head);
                self.arrivals.push_back(Arrival::Request(key));
                Ok(())
            }
            Err(bad) => {
                self.arrivals.push_back(match bad {
                    BadHead::Malformed(why) => Arrival::Malformed(key, why),
                    BadHead::TooLarge | BadHead::TooMany => Arrival::TooLarge(key),
                });
                match malformed {
                    true => self.refuse(key, bad),
                    false => {
                        self.seen.too_large += 1;
                        Ok(())
                    }
                }
            }
        }
    }

    /// What is over on the wire may still be held for a moment.
    fn has_place_for_peer(&mut self) -> bool {
        let (held, most) = (self.streams.len(), self.options.max_streams as usize);
        let open =
            |streams: &mut Streams| streams.each().filter(|stream| !stream.is_over()).count();
        held < most || (held < 2 * most && open(&mut self.streams) < most)
    }

    fn response(&mut self, key: Key, block: &[u8], end: bool) -> Result<(), Fault> {
        let stream = self.streams.get(key);
        let (to_head, gone) = (stream.to_head, stream.gone.is_some());
        let read = self.read(block, Part::Response { to_head }, end)?;
        if gone {
            return Ok(());
        }
        match read {
            Ok(head) => {
                let stream = self.streams.get(key);
                stream.answered = !head.is_interim();
                // These have no body, whatever length they tell.
                let bodyless = to_head || matches!(head.status, 204 | 304);
                stream.owed = if bodyless { Some(0) } else { head.length };
                if stream.heads.len() > MOST_INTERIM {
                    return Err(Fault::new(
                        Code::ENHANCE_YOUR_CALM,
                        "interim responses without end",
                    ));
                }
                stream.heads.push_back(head);
                stream.wake(wants::READ);
                if end { self.end_body(key) } else { Ok(()) }
            }
            Err(bad) => self.refuse(key, bad),
        }
    }

    fn trailers(&mut self, key: Key, block: &[u8], end: bool) -> Result<(), Fault> {
        let stream = self.streams.get(key);
        let (gone, received) = (stream.gone, stream.received);
        let read = self.read(block, Part::Trailers, end)?;
        if gone.is_some_and(|gone| !gone.is_by_peer()) {
            return Ok(());
        }
        if received || gone.is_some() {
            return Err(Fault::new(Code::STREAM_CLOSED, "HEADERS behind the end of their stream"));
        }
        self.seen.trailers += 1;
        match read {
            Ok(head) => {
                self.streams.get(key).trailers = Some(head.headers);
                self.end_body(key)
            }
            Err(bad) => self.refuse(key, bad),
        }
    }

    /// Fields that a stream can't go on with.
    fn refuse(&mut self, key: Key, bad: BadHead) -> Result<(), Fault> {
        match bad {
            BadHead::Malformed(why) => {
                self.seen.malformed += 1;
                if !self.options.message_ends_stream {
                    self.streams.get(key).end(Gone::Malformed(why));
                    return Err(Fault::protocol(why));
                }
                self.spend_reset()?;
                self.end_stream(key, Code::PROTOCOL_ERROR, Gone::Malformed(why));
            }
            BadHead::TooLarge | BadHead::TooMany => {
                self.seen.too_large += 1;
                self.spend_reset()?;
                self.end_stream(
                    key,
                    Code::INTERNAL_ERROR,
                    Gone::Malformed("http2.header_overflow"),
                );
            }
        }
        Ok(())
    }

    /// The peer makes us reset a stream: that costs as if it had.
    pub(super) fn spend_reset(&mut self) -> Result<(), Fault> {
        self.guard.reset(self.now).map_err(flooded)
    }
}
