//! One end of an HTTP/2 connection: takes the peer's bytes, keeps the streams, and has bytes for the peer.
//! It knows no socket. Those who hold a stream are woken when something came for it; the connection's
//! driver when something is to go out. Source: RFC 9113.

mod control;
mod fields;
mod hold;
#[cfg(test)]
mod model;
mod receive;
mod send;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::task::Context;

use dragoman_types::Moment;

use super::frames::{self, Code, FrameHead, HEAD};
use super::guard::{Flood, Guard, GuardLimits};
use super::hpack::{Decoder, Encoder};
use super::message::Head;
use super::output::Output;
use super::stream::{Credit, Gone, Key, Streams};
use super::{PREFACE, Seen};
use crate::message::Limits;

/// The window of a connection, and of a stream that no SETTINGS told of (RFC 9113 section 6.9.2).
const FIRST_WINDOW: u32 = 65_535;
/// Streams that we reset, of which frames may still be on their way.
const RECENT: usize = 1024;
/// Bytes for the peer that may wait while it is listened to, or asked for more.
const MANY: usize = 1 << 20;
/// What our last PING but one before the end says.
const LEAVING: [u8; 8] = *b"leaving\0";
/// What our PING that asks for a sign of life says.
const ALIVE: [u8; 8] = *b"alive?\0\0";

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Side {
    Server,
    Client,
}

/// What an end tells its peer, and how much it puts up with. Windows in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub table_size: u32,
    /// That the peer may have open; of a client's end: that it opens.
    pub max_streams: u32,
    pub stream_window: u32,
    pub connection_window: u32,
    /// Extended CONNECT (RFC 8441) is taken.
    pub extended_connect: bool,
    pub limits: Limits,
    /// A malformed message ends its stream alone.
    pub message_ends_stream: bool,
    /// Frames that may wait, and of those the ones that answer or end something.
    pub max_frames: u32,
    pub max_control_frames: u32,
    pub guard: GuardLimits,
}

/// Why a connection ends: its peer broke the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    pub code: Code,
    pub why: &'static str,
    pub flood: Option<Flood>,
}

impl Fault {
    fn new(code: Code, why: &'static str) -> Fault {
        Fault { code, why, flood: None }
    }

    fn protocol(why: &'static str) -> Fault {
        Fault::new(Code::PROTOCOL_ERROR, why)
    }

    /// As Envoy's logs have it.
    fn details(&self) -> &'static str {
        match self.flood {
            Some(Flood::EmptyFrames) => "http2.inbound_empty_frames_flood",
            Some(Flood::Priority) => "codec_error:Too_many_PRIORITY_frames",
            Some(Flood::WindowUpdate) => "codec_error:Too_many_WINDOW_UPDATE_frames",
            _ => "codec_error",
        }
    }
}

/// What came of a request's head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    Request(Key),
    /// More fields, or more bytes of them, than may be. The stream waits for an answer.
    TooLarge(Key),
    /// Nothing is to be answered: Envoy's name for the fault.
    Malformed(Key, &'static str),
}

/// How far the end of the connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leaving {
    No,
    /// The peer was told that it is to come; which streams are taken is told once its answer is here.
    Asked,
    /// Streams beyond this one are not looked at.
    Told(u32),
}

/// What the peer's SETTINGS say.
#[derive(Clone, Copy, Debug)]
struct Peer {
    window: u32,
    max_streams: u32,
}

/// What is being read.
#[derive(Clone, Copy, Debug)]
enum Reading {
    Preface(usize),
    Head,
    Payload(FrameHead),
    Data(receive::Data),
}

/// Fields that go on in another frame.
#[derive(Debug)]
struct Block {
    stream: u32,
    end: bool,
    bytes: Vec<u8>,
    frames: usize,
}

#[derive(Debug)]
pub struct Endpoint {
    side: Side,
    options: Options,
    reading: Reading,
    head: [u8; HEAD],
    have: usize,
    /// A frame's payload that came in pieces.
    payload: Vec<u8>,
    block: Option<Block>,
    fields_since: Option<Moment>,
    decoder: Decoder,
    encoder: Encoder,
    guard: Guard,
    now: Moment,
    peer: Peer,
    /// The peer's first SETTINGS came.
    settled: bool,
    streams: Streams,
    arrivals: VecDeque<Arrival>,
    /// Heads that were taken, for others to come.
    spare: Vec<Head>,
    /// The last stream that the peer opened.
    last: u32,
    /// The next one that we open.
    next: u32,
    recent: VecDeque<u32>,
    credit: Credit,
    /// What the peer still takes on the connection.
    window: i64,
    /// Streams of which something waits for room in the output or in the connection's window.
    line: VecDeque<Key>,
    /// Bytes of all bodies that wait, and who is held up because they are too many.
    kept: usize,
    /// Streams that nobody holds, of which something still goes out.
    flushing: usize,
    held_up: VecDeque<Key>,
    output: Output,
    leaving: Leaving,
    /// The last stream that the peer said it will look at.
    went_away: Option<u32>,
    pong: bool,
    fault: Option<Fault>,
    over: bool,
    /// What statistics want to know; who reads takes it.
    pub seen: Seen,
}

impl Endpoint {
    /// With what begins a connection in its output.
    pub fn new(side: Side, options: Options, now: Moment) -> Endpoint {
        let mut end = Endpoint {
            side,
            options,
            reading: if side == Side::Server { Reading::Preface(0) } else { Reading::Head },
            head: [0; HEAD],
            have: 0,
            payload: Vec::new(),
            block: None,
            fields_since: None,
            decoder: Decoder::new(options.table_size as usize),
            encoder: Encoder::new(options.table_size as usize),
            guard: Guard::new(options.guard, now),
            now,
            peer: Peer { window: FIRST_WINDOW, max_streams: u32::MAX },
            settled: false,
            streams: Streams::default(),
            arrivals: VecDeque::new(),
            spare: Vec::new(),
            last: 0,
            next: 1,
            recent: VecDeque::new(),
            credit: Credit::new(options.connection_window),
            window: i64::from(FIRST_WINDOW),
            line: VecDeque::new(),
            kept: 0,
            flushing: 0,
            held_up: VecDeque::new(),
            output: Output::default(),
            leaving: Leaving::No,
            went_away: None,
            pong: false,
            fault: None,
            over: false,
            seen: Seen::default(),
        };
        end.introduce();
        end
    }

    fn introduce(&mut self) {
        let Options { table_size, max_streams, stream_window, connection_window, .. } =
            self.options;
        if self.side == Side::Client {
            self.output.begin(PREFACE);
        }
        let server = self.side == Side::Server;
        let settings = [
            (1, table_size, table_size != 4096),
            (2, 0, !server),
            (3, max_streams, server),
            (4, stream_window, stream_window != FIRST_WINDOW),
            (6, self.options.limits.head_bytes as u32, true),
            (8, 1, server && self.options.extended_connect),
        ];
        let mut payload = Vec::new();
        for (name, value, _) in settings.into_iter().filter(|(.., told)| *told) {
            payload.extend_from_slice(&u16::to_be_bytes(name));
            payload.extend_from_slice(&value.to_be_bytes());
        }
        self.output.frame(frames::SETTINGS, 0, 0, &payload);
        if connection_window > FIRST_WINDOW {
            self.output.window_update(0, connection_window - FIRST_WINDOW);
        }
    }

    /// Bytes for the peer.
    pub fn output(&self) -> &[u8] {
        self.output.waiting()
    }

    /// So many of them went out.
    pub fn sent(&mut self, bytes: usize) {
        self.output.sent(bytes);
        self.move_up();
    }

    #[cfg(test)]
    fn memory(&mut self) -> usize {
        let kept: usize = self.streams.each().map(|stream| stream.kept.capacity()).sum();
        kept + self.output.capacity()
    }

    /// So much waits for a peer that reads nothing that what it sends is not to be read either. What a client's
    /// end has to say is bounded without that, and two ends that don't listen would wait for each other.
    pub fn is_deaf(&self) -> bool {
        self.side == Side::Server && self.output.waiting().len() > MANY
    }

    /// Whom to wake when there are more.
    pub fn watch_output(&mut self, cx: &Context<'_>) {
        self.output.watch(cx);
    }

    /// Gives back what only streams need.
    pub fn settle(&mut self) {
        self.output.settle();
        self.streams.settle();
        if self.streams.is_empty() {
            self.spare = Vec::new();
            self.arrivals = VecDeque::new();
            self.line = VecDeque::new();
            self.held_up = VecDeque::new();
        }
    }

    /// The next request.
    pub fn accept(&mut self) -> Option<Arrival> {
        self.arrivals.pop_front()
    }

    /// Streams that are open.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// The peer's fault that ended the connection.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Since when fields have been coming that aren't whole yet.
    pub fn fields_since(&self) -> Option<Moment> {
        self.fields_since
    }

    /// The peer's first SETTINGS are here.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Bytes that nobody takes here fill the connection's window, or there: other streams would wait for them.
    pub fn is_clogged(&self) -> bool {
        self.credit.is_used_up() || self.output.waiting().len() > MANY
    }

    /// How many streams may be open here at a time.
    pub fn most_streams(&self) -> usize {
        self.options.max_streams.min(self.peer.max_streams) as usize
    }

    /// Whether streams may still be opened here.
    pub fn may_open(&self) -> bool {
        self.fault.is_none() && !self.over && self.went_away.is_none() && self.next < 1 << 31
    }

    /// The peer opens no more streams, or takes none.
    pub fn went_away(&self) -> bool {
        self.went_away.is_some()
    }

    /// Begins the end: the peer is told twice, so that no request of its is lost on its way.
    pub fn leave(&mut self) {
        if self.leaving == Leaving::No && self.fault.is_none() {
            self.leaving = Leaving::Asked;
            self.output.go_away(u32::MAX >> 1, Code::NO_ERROR, "");
            self.seen.goaways_out += 1;
            self.output.control_frame(frames::PING, 0, 0, &LEAVING);
        }
    }

    /// Nobody wants anything more of the peer.
    pub fn say_goodbye(&mut self) {
        if self.fault.is_none() && !self.over {
            self.output.go_away(self.last_taken(), Code::NO_ERROR, "");
            self.seen.goaways_out += 1;
        }
    }

    /// The peer knows which streams are taken.
    pub fn has_told(&self) -> bool {
        matches!(self.leaving, Leaving::Told(_))
    }

    /// Tells which streams are taken, whether or not the peer has answered what it was told first.
    pub fn tell(&mut self) {
        if self.leaving == Leaving::Asked && self.fault.is_none() {
            self.leaving = Leaving::Told(self.last);
            self.output.go_away(self.last, Code::NO_ERROR, "");
            self.seen.goaways_out += 1;
        }
    }

    /// The peer knows which streams are taken, and all of them are over.
    pub fn has_left(&self) -> bool {
        self.has_told() && self.streams.is_empty()
    }

    /// Asks for a sign of life.
    pub fn ping(&mut self) {
        self.pong = false;
        self.output.control_frame(frames::PING, 0, 0, &ALIVE);
    }

    /// It came.
    pub fn take_pong(&mut self) -> bool {
        std::mem::take(&mut self.pong)
    }

    /// The connection's bytes have ended, or it is given up: whoever holds a stream learns of it behind
    /// what came.
    pub fn close(&mut self) {
        if !self.over {
            self.over = true;
            self.end_all(Gone::Closed);
        }
    }

    fn end_all(&mut self, gone: Gone) {
        for stream in self.streams.each() {
            // What has come as a whole is no worse for it, once ours is out.
            if !(stream.received && stream.sent) {
                stream.end(gone);
            }
        }
    }

    /// The last stream of the peer that is looked at: what it was told once stays true.
    fn last_taken(&self) -> u32 {
        match self.leaving {
            Leaving::Told(last) => last,
            _ => self.last,
        }
    }

    fn fail(&mut self, fault: Fault) {
        self.output.go_away(self.last_taken(), fault.code, fault.why);
        self.seen.goaways_out += 1;
        self.fault = Some(fault);
        self.end_all(Gone::Fault(fault.details()));
    }
}
