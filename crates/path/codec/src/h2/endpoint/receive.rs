//! What comes in: every frame that there is, and what the peer may not do.

use dragoman_types::Moment;

use super::{Endpoint, Fault, Leaving, Reading, Side};
use crate::h2::PREFACE;
use crate::h2::frames::{self, Code, FrameHead, HEAD, LARGEST};
use crate::h2::guard::Flood;
use crate::h2::stream::{Gone, Key, Stream, wants};

/// A DATA frame of which `left` bytes are to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    /// Whose they are; `None`: nobody's.
    key: Option<Key>,
    left: u32,
    /// The padding's length is still to come.
    padded: bool,
    padding: u32,
    end: bool,
}

/// What Envoy says of a body whose length isn't the one that was told.
const WRONG_LENGTH: &str = "http2.remote_reset";

impl Endpoint {
    /// Takes bytes of the peer; see [`Endpoint::fault`].
    pub fn receive(&mut self, bytes: &[u8], now: Moment) {
        self.now = now;
        if self.fault.is_some() || self.over {
            return;
        }
        if let Err(fault) = self.take(bytes) {
            self.fail(fault);
        }
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        loop {
            match self.reading {
                Reading::Preface(have) => {
                    let taken = bytes.len().min(PREFACE.len() - have);
                    if bytes[..taken] != PREFACE[have..have + taken] {
                        return Err(Fault::protocol("no preface of HTTP/2"));
                    }
                    bytes = &bytes[taken..];
                    self.reading = match have + taken {
                        whole if whole == PREFACE.len() => Reading::Head,
                        have => Reading::Preface(have),
                    };
                }
                Reading::Head => {
                    let taken = bytes.len().min(HEAD - self.have);
                    self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
                    self.have += taken;
                    bytes = &bytes[taken..];
                    if self.have == HEAD {
                        self.have = 0;
                        self.reading = self.begin(FrameHead::read(self.head))?;
                        continue;
                    }
                }
                Reading::Data(data) => {
                    let (left, data) = self.take_data(data, bytes)?;
                    bytes = left;
                    self.reading = match data.left {
                        0 => Reading::Head,
                        _ => Reading::Data(data),
                    };
                }
                Reading::Payload(head) => {
                    let wanted = head.length as usize - self.payload.len();
                    let Some((part, rest)) = bytes.split_at_checked(wanted) else {
                        self.payload.extend_from_slice(bytes);
                        return Ok(());
                    };
                    bytes = rest;
                    self.reading = Reading::Head;
                    if self.payload.is_empty() {
                        self.frame(head, part)?;
                    } else {
                        let mut payload = std::mem::take(&mut self.payload);
                        payload.extend_from_slice(part);
                        self.frame(head, &payload)?;
                    }
                }
            }
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    /// A frame begins.
    fn begin(&mut self, head: FrameHead) -> Result<Reading, Fault> {
        if head.length as usize > LARGEST {
            return Err(Fault::new(Code::FRAME_SIZE_ERROR, "too large frame size"));
        }
        if !self.settled && (head.kind != frames::SETTINGS || head.has(frames::ACK)) {
            return Err(Fault::protocol("the first frame must be SETTINGS"));
        }
        let goes_on = self.block.as_ref().map(|block| block.stream);
        let continues = (head.kind == frames::CONTINUATION).then_some(head.stream);
        if goes_on != continues {
            return Err(Fault::protocol("fields must come whole before anything else"));
        }
        if let Err(flood) = self.guard.received(head, self.now) {
            return Err(flooded(flood));
        }
        if head.kind == frames::HEADERS {
            self.fields_since = Some(self.now);
        }
        if head.kind == frames::DATA {
            return Ok(Reading::Data(self.begin_data(head)?));
        }
        if head.length == 0 {
            self.frame(head, &[])?;
            return Ok(Reading::Head);
        }
        Ok(Reading::Payload(head))
    }

    /// What is known of a stream that isn't there. False: it hasn't been opened.
    pub(super) fn was_opened(&self, stream: u32) -> bool {
        let theirs = (stream % 2 == 1) == (self.side == Side::Server);
        if theirs { stream <= self.last } else { stream < self.next && stream % 2 == 1 }
    }

    fn begin_data(&mut self, head: FrameHead) -> Result<Data, Fault> {
        let FrameHead { length, stream, .. } = head;
        if stream == 0 {
            return Err(Fault::protocol("DATA of no stream"));
        }
        if !self.credit.take(length) {
            return Err(Fault::new(
                Code::FLOW_CONTROL_ERROR,
                "more DATA than the connection's window",
            ));
        }
        let mut key = self.streams.key(stream);
        match key {
            Some(known) => {
                let stream = self.streams.get(known);
                if let Some(gone) = stream.gone {
                    if gone.is_by_peer() {
                        let why = "DATA behind the reset of its stream";
                        return Err(Fault::new(Code::STREAM_CLOSED, why));
                    }
                    key = None;
                } else if !stream.answered && self.side == Side::Client {
                    return Err(Fault::protocol("DATA before the head of its response"));
                } else if stream.received {
                    return Err(Fault::new(
                        Code::STREAM_CLOSED,
                        "DATA behind the end of its stream",
                    ));
                } else if !stream.credit.take(length) {
                    let why = "more DATA than the stream's window";
                    return Err(Fault::new(Code::FLOW_CONTROL_ERROR, why));
                }
            }
            None if !self.was_opened(stream) => {
                return Err(Fault::protocol("DATA of a stream that isn't open"));
            }
            None if !self.is_forgiven(stream) => {
                return Err(Fault::new(Code::STREAM_CLOSED, "DATA of a stream that is closed"));
            }
            None => {}
        }
        let padded = head.has(frames::PADDED);
        if padded && length == 0 {
            return Err(Fault::new(Code::FRAME_SIZE_ERROR, "padding without its length"));
        }
        let end = head.has(frames::END_STREAM);
        Ok(Data { key, left: length, padded, padding: 0, end })
    }

    /// Frames of it may have been on their way when it was reset.
    pub(super) fn is_forgiven(&self, stream: u32) -> bool {
        let untaken = matches!(self.leaving, Leaving::Told(last) if stream > last);
        self.side == Side::Client || untaken || self.recent.contains(&stream)
    }

    fn take_data<'b>(
        &mut self,
        mut data: Data,
        mut bytes: &'b [u8],
    ) -> Result<(&'b [u8], Data), Fault> {
        // It may have been given up since its frame began.
        data.key = data.key.filter(|key| self.streams.key(key.id()) == Some(*key));
        if data.padded
            && let Some((&padding, rest)) = bytes.split_first()
        {
            (data.padded, data.padding, bytes) = (false, u32::from(padding), rest);
            data.left -= 1;
            if data.padding > data.left {
                return Err(Fault::protocol("more padding than its frame has"));
            }
            self.give_credit(data.key, 1);
        }
        let body = bytes.len().min((data.left - data.padding) as usize);
        let (body, rest) = bytes.split_at(body);
        data.left -= body.len() as u32;
        if !body.is_empty() {
            self.take_body(data.key, body)?;
        }
        let padding = rest.len().min(data.left as usize);
        let (padding, rest) = match data.left == data.padding {
            true => rest.split_at(padding),
            false => (&rest[..0], rest),
        };
        data.left -= padding.len() as u32;
        data.padding = data.padding.min(data.left);
        if !padding.is_empty() {
            self.give_credit(data.key, padding.len());
        }
        if data.left == 0
            && data.end
            && let Some(key) = data.key
        {
            self.end_body(key)?;
        }
        Ok((rest, data))
    }

    fn take_body(&mut self, key: Option<Key>, body: &[u8]) -> Result<(), Fault> {
        let live = |stream: &Stream| stream.gone.is_none() && !stream.released;
        let Some(key) = key.filter(|key| live(self.streams.get(*key))) else {
            self.give_credit(None, body.len());
            return Ok(());
        };
        let stream = self.streams.get(key);
        let left = stream.owed.map(|owed| owed.checked_sub(body.len() as u64));
        if left == Some(None) {
            self.give_credit(None, body.len());
            return self.wrong_length(key);
        }
        stream.owed = left.flatten();
        stream.body.extend_from_slice(body);
        stream.wake(wants::READ);
        Ok(())
    }

    /// The peer has sent all of a stream.
    pub(super) fn end_body(&mut self, key: Key) -> Result<(), Fault> {
        let stream = self.streams.get(key);
        if stream.gone.is_some() {
            return Ok(());
        }
        if stream.owed.is_some_and(|owed| owed > 0) {
            return self.wrong_length(key);
        }
        stream.received = true;
        stream.wake(wants::READ);
        Ok(())
    }

    fn wrong_length(&mut self, key: Key) -> Result<(), Fault> {
        self.spend_reset()?;
        self.end_stream(key, Code::PROTOCOL_ERROR, Gone::Malformed(WRONG_LENGTH));
        Ok(())
    }

    /// A frame other than DATA, as a whole.
    fn frame(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fault> {
        match head.kind {
            frames::HEADERS => self.headers(head, payload),
            frames::CONTINUATION => self.continuation(head, payload),
            frames::PRIORITY => {
                let [s0, s1, s2, s3, _] = *payload else {
                    return Err(Fault::new(Code::FRAME_SIZE_ERROR, "PRIORITY has five bytes"));
                };
                self.check_priority(head.stream, [s0, s1, s2, s3])
            }
            frames::RST_STREAM => self.reset_by_peer(head, payload),
            frames::SETTINGS => self.settings(head, payload),
            frames::PUSH_PROMISE => Err(Fault::protocol("nobody asked for PUSH_PROMISE")),
            frames::PING => self.ping_by_peer(head, payload),
            frames::GOAWAY => self.go_away_by_peer(head, payload),
            frames::WINDOW_UPDATE => self.window_update(head, payload),
            _ => Ok(()),
        }
    }
}

pub(super) fn flooded(flood: Flood) -> Fault {
    let why = "too many frames without a use";
    Fault { code: Code::ENHANCE_YOUR_CALM, why, flood: Some(flood) }
}
