//! Frames that come in and carry no message.

use super::receive::flooded;
use super::{ALIVE, Endpoint, Fault, LEAVING, Leaving, Side};
use crate::h2::frames::{self, Code, FrameHead, LARGEST};
use crate::h2::guard::Flood;
use crate::h2::stream::{Gone, wants};

impl Endpoint {
    pub(super) fn check_priority(&mut self, stream: u32, on: [u8; 4]) -> Result<(), Fault> {
        if stream == 0 {
            return Err(Fault::protocol("the priority of no stream"));
        }
        if u32::from_be_bytes(on) & (u32::MAX >> 1) == stream {
            return Err(Fault::protocol("a stream that depends on itself"));
        }
        Ok(())
    }

    pub(super) fn reset_by_peer(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let Ok(code) = <[u8; 4]>::try_from(payload) else {
            return Err(Fault::new(Code::FRAME_SIZE_ERROR, "RST_STREAM has four bytes"));
        };
        let code = Code(u32::from_be_bytes(code));
        self.seen.resets_in += 1;
        if let Some(key) = self.streams.key(head.stream) {
            let refused = code == Code::REFUSED_STREAM && self.side == Side::Client;
            let stream = self.streams.get(key);
            if !stream.is_over() {
                stream.end(if refused { Gone::Refused } else { Gone::Reset(code) });
            }
            if stream.released {
                self.remove(key);
            }
            return Ok(());
        }
        match self.was_opened(head.stream) && head.stream != 0 {
            true => Ok(()),
            false => Err(Fault::protocol("RST_STREAM of a stream that isn't open")),
        }
    }

    pub(super) fn settings(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(Fault::protocol("SETTINGS of a stream"));
        }
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() || (head.has(frames::ACK) && !payload.is_empty()) {
            return Err(Fault::new(Code::FRAME_SIZE_ERROR, "SETTINGS of a wrong length"));
        }
        if head.has(frames::ACK) {
            return Ok(());
        }
        self.settled = true;
        let mut window = None;
        for &[n0, n1, v0, v1, v2, v3] in settings {
            let value = u32::from_be_bytes([v0, v1, v2, v3]);
            match u16::from_be_bytes([n0, n1]) {
                4 if value > u32::MAX >> 1 => {
                    let why = "SETTINGS_INITIAL_WINDOW_SIZE";
                    return Err(Fault::new(Code::FLOW_CONTROL_ERROR, why));
                }
                // The last one counts: each would be work for every stream.
                4 => window = Some(value),
                name => self.setting(name, value)?,
            }
        }
        if let Some(window) = window {
            self.resize_windows(window)?;
        }
        self.output.control_frame(frames::SETTINGS, frames::ACK, 0, &[]);
        self.check_output()
    }

    fn setting(&mut self, name: u16, value: u32) -> Result<(), Fault> {
        match name {
            1 => self.encoder.limit(value as usize),
            2 if value > 1 || (value == 1 && self.side == Side::Client) => {
                return Err(Fault::protocol("SETTINGS_ENABLE_PUSH"));
            }
            3 => {
                self.peer.max_streams = value;
                self.output.wake();
            }
            5 if !(LARGEST as u32..=0xff_ffff).contains(&value) => {
                return Err(Fault::protocol("SETTINGS_MAX_FRAME_SIZE"));
            }
            8 if value > 1 => return Err(Fault::protocol("SETTINGS_ENABLE_CONNECT_PROTOCOL")),
            _ => {}
        }
        Ok(())
    }

    fn resize_windows(&mut self, value: u32) -> Result<(), Fault> {
        let change = i64::from(value) - i64::from(self.peer.window);
        self.peer.window = value;
        let mut ready = Vec::new();
        for stream in self.streams.each() {
            stream.window += change;
            if stream.window > i64::from(u32::MAX >> 1) {
                let why = "a window larger than windows are";
                return Err(Fault::new(Code::FLOW_CONTROL_ERROR, why));
            }
            if stream.waiting() > 0 && stream.window > 0 {
                ready.push(stream.id);
            }
        }
        for id in ready {
            if let Some(key) = self.streams.key(id) {
                self.stand_in_line(key);
            }
        }
        self.move_up();
        Ok(())
    }

    pub(super) fn ping_by_peer(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(Fault::protocol("PING of a stream"));
        }
        if payload.len() != 8 {
            return Err(Fault::new(Code::FRAME_SIZE_ERROR, "PING has eight bytes"));
        }
        if !head.has(frames::ACK) {
            self.output.control_frame(frames::PING, frames::ACK, 0, payload);
            return self.check_output();
        }
        if payload == LEAVING && self.leaving == Leaving::Asked {
            self.tell();
        }
        if payload == ALIVE {
            self.pong = true;
        }
        Ok(())
    }

    pub(super) fn go_away_by_peer(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(Fault::protocol("GOAWAY of a stream"));
        }
        let last = frames::word(payload).filter(|_| payload.len() >= 8);
        let last = last.ok_or(Fault::new(Code::FRAME_SIZE_ERROR, "GOAWAY has eight bytes"))?;
        self.seen.goaways_in += 1;
        let last = last & (u32::MAX >> 1);
        self.went_away = Some(self.went_away.map_or(last, |before| before.min(last)));
        if self.side == Side::Client {
            for stream in self.streams.each().filter(|stream| stream.id > last) {
                stream.end(Gone::Unseen);
            }
        }
        Ok(())
    }

    pub(super) fn window_update(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let Ok(increment) = <[u8; 4]>::try_from(payload) else {
            return Err(Fault::new(Code::FRAME_SIZE_ERROR, "WINDOW_UPDATE has four bytes"));
        };
        let increment = i64::from(u32::from_be_bytes(increment) & (u32::MAX >> 1));
        let most = i64::from(u32::MAX >> 1);
        let too_large = Fault::new(Code::FLOW_CONTROL_ERROR, "a window larger than windows are");
        if increment == 0 {
            return Err(Fault::protocol("WINDOW_UPDATE by nothing"));
        }
        if head.stream == 0 {
            self.window += increment;
            if self.window > most {
                return Err(too_large);
            }
            self.move_up();
            return Ok(());
        }
        let Some(key) = self.streams.key(head.stream) else {
            return match self.was_opened(head.stream) {
                true => Ok(()),
                false => Err(Fault::protocol("WINDOW_UPDATE of a stream that isn't open")),
            };
        };
        let stream = self.streams.get(key);
        stream.window += increment;
        if stream.window > most {
            self.spend_reset()?;
            self.end_stream(key, Code::FLOW_CONTROL_ERROR, Gone::Fault("codec_error"));
            return Ok(());
        }
        self.stand_in_line(key);
        let stream = self.streams.get(key);
        match stream.in_line {
            true => self.move_up(),
            false => stream.wake(wants::WRITE),
        }
        Ok(())
    }

    /// What waits to be sent is bounded by what the peer may ask for.
    pub(super) fn check_output(&self) -> Result<(), Fault> {
        if self.output.control() > self.options.max_control_frames as usize {
            return Err(flooded(Flood::OutboundControl));
        }
        if self.output.frames() > self.options.max_frames as usize {
            return Err(flooded(Flood::Outbound));
        }
        Ok(())
    }
}
