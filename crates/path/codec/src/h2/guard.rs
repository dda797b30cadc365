//! Frames that cost work and are of no use, counted against what a connection does.
//! Source: the limits of `envoy.config.core.v3.Http2ProtocolOptions`, hostile inputs B.

use std::time::Duration;

use dragoman_types::Moment;

use super::frames::{self, FrameHead};

/// What was sent too often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flood {
    /// DATA, HEADERS and CONTINUATION without a byte and without an end.
    EmptyFrames,
    Priority,
    WindowUpdate,
    /// Streams that are opened and reset.
    Resets,
    /// Answers that the peer doesn't take: of all frames, and of those that answer or end something.
    Outbound,
    OutboundControl,
}

/// Limits on a peer's frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GuardLimits {
    /// `max_consecutive_inbound_frames_with_empty_payload`
    pub empty_frames: u32,
    /// `max_inbound_priority_frames_per_stream`
    pub priority_per_stream: u32,
    /// `max_inbound_window_update_frames_per_data_frame_sent`
    pub window_updates_per_data: u32,
    /// `stream_reset_burst`, `stream_reset_rate` (a second)
    pub reset_burst: u32,
    pub reset_rate: u32,
}

impl Default for GuardLimits {
    fn default() -> GuardLimits {
        GuardLimits {
            empty_frames: 1,
            priority_per_stream: 100,
            window_updates_per_data: 10,
            reset_burst: 1000,
            reset_rate: 33,
        }
    }
}

/// One connection's counts.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    limits: GuardLimits,
    empty_frames: u32,
    priority: u64,
    window_updates: u64,
    streams: u64,
    /// DATA frames that we sent.
    data_sent: u64,
    /// Resets that may still come, in thousandths.
    resets: u64,
    refilled: Moment,
}

impl Guard {
    pub(super) fn new(limits: GuardLimits, now: Moment) -> Guard {
        Guard {
            limits,
            empty_frames: 0,
            priority: 0,
            window_updates: 0,
            streams: 0,
            data_sent: 0,
            resets: u64::from(limits.reset_burst) * 1000,
            refilled: now,
        }
    }

    /// Either side opened a stream.
    pub(super) fn stream_opened(&mut self) {
        self.streams += 1;
    }

    /// A DATA frame went out.
    pub(super) fn sent_data(&mut self) {
        self.data_sent += 1;
    }

    /// A frame came in.
    ///
    /// # Errors
    /// What there is too much of: the connection is to end.
    pub(super) fn received(&mut self, head: FrameHead, now: Moment) -> Result<(), Flood> {
        match head.kind {
            frames::DATA | frames::HEADERS | frames::CONTINUATION => {
                let end = match head.kind {
                    frames::CONTINUATION => frames::END_HEADERS,
                    _ => frames::END_STREAM,
                };
                self.empty(head.length == 0 && head.flags & end == 0)
            }
            frames::PRIORITY => {
                self.priority += 1;
                let most = u64::from(self.limits.priority_per_stream) * (1 + self.streams);
                if self.priority > most { Err(Flood::Priority) } else { Ok(()) }
            }
            frames::WINDOW_UPDATE => {
                self.window_updates += 1;
                // A stream needs some even if it is sent nothing.
                let per_data = u64::from(self.limits.window_updates_per_data);
                let most = 5 + 2 * (self.streams + per_data * self.data_sent);
                if self.window_updates > most { Err(Flood::WindowUpdate) } else { Ok(()) }
            }
            frames::RST_STREAM => self.reset(now),
            _ => Ok(()),
        }
    }

    fn empty(&mut self, empty: bool) -> Result<(), Flood> {
        self.empty_frames = if empty { self.empty_frames + 1 } else { 0 };
        match self.empty_frames > self.limits.empty_frames {
            true => Err(Flood::EmptyFrames),
            false => Ok(()),
        }
    }

    /// A stream was reset by the peer, or for what it did.
    ///
    /// # Errors
    /// [`Flood::Resets`]
    pub(super) fn reset(&mut self, now: Moment) -> Result<(), Flood> {
        let most = u64::from(self.limits.reset_burst) * 1000;
        let elapsed = now.since(self.refilled).min(Duration::from_secs(86_400));
        let refill = elapsed.as_millis() as u64 * u64::from(self.limits.reset_rate);
        if refill > 0 {
            self.resets = (self.resets + refill).min(most);
            self.refilled = now;
        }
        match self.resets.checked_sub(1000) {
            Some(left) => {
                self.resets = left;
                Ok(())
            }
            None => Err(Flood::Resets),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::START;

    fn head(kind: u8, length: u32, flags: u8, stream: u32) -> FrameHead {
        FrameHead { length, kind, flags, stream }
    }

    /// Sends `head` until it is too much; how often it was let through.
    fn most(guard: &mut Guard, head: FrameHead) -> (u32, Flood) {
        for n in 0..100_000 {
            if let Err(flood) = guard.received(head, NOW) {
                return (n, flood);
            }
        }
        panic!("no limit")
    }

    #[test]
    fn frames_without_a_byte_are_few() {
        let mut guard = Guard::new(GuardLimits::default(), NOW);
        assert_eq!(most(&mut guard, head(frames::DATA, 0, 0, 1)), (1, Flood::EmptyFrames));
        let mut guard = Guard::new(GuardLimits::default(), NOW);
        for _ in 0..10 {
            guard.received(head(frames::DATA, 0, 0, 1), NOW).unwrap();
            guard.received(head(frames::DATA, 1, 0, 1), NOW).unwrap();
            guard.received(head(frames::DATA, 0, frames::END_STREAM, 1), NOW).unwrap();
        }
    }

    #[test]
    fn priorities_and_window_updates_are_counted_against_streams_and_data() {
        let mut guard = Guard::new(GuardLimits::default(), NOW);
        guard.stream_opened();
        assert_eq!(most(&mut guard, head(frames::PRIORITY, 5, 0, 1)), (200, Flood::Priority));
        let mut guard = Guard::new(GuardLimits::default(), NOW);
        guard.stream_opened();
        guard.sent_data();
        let update = head(frames::WINDOW_UPDATE, 4, 0, 0);
        assert_eq!(most(&mut guard, update), (5 + 2 * (1 + 10), Flood::WindowUpdate));
    }

    #[test]
    fn resets_have_a_burst_and_a_rate() {
        let limits = GuardLimits { reset_burst: 10, reset_rate: 2, ..GuardLimits::default() };
        let mut guard = Guard::new(limits, NOW);
        let reset = head(frames::RST_STREAM, 4, 0, 1);
        assert_eq!(most(&mut guard, reset), (10, Flood::Resets));
        let later = NOW.after(Duration::from_secs(1));
        assert_eq!(guard.received(reset, later), Ok(()));
        assert_eq!(guard.received(reset, later), Ok(()));
        assert_eq!(guard.received(reset, later), Err(Flood::Resets));
    }
}
