//! A client and an origin of HTTP/2, one request at a time.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::task::{Context, Poll, Waker};

use dragoman_codec::Limits;
use dragoman_codec::h2::{Arrival, Code, Endpoint, GuardLimits, Options, Side};
use dragoman_types::{Moment, RequestHead, ResponseHead, id};

use crate::{Replay, invalid};

fn options() -> Options {
    Options {
        table_size: 4096,
        max_streams: 100,
        stream_window: 1 << 20,
        connection_window: 1 << 24,
        extended_connect: false,
        limits: Limits { head_bytes: 60 << 10, fields: 100 },
        message_ends_stream: false,
        max_frames: 10_000,
        max_control_frames: 1000,
        guard: GuardLimits { reset_burst: u32::MAX, ..GuardLimits::default() },
    }
}

/// An end with its socket.
struct Line {
    end: Endpoint,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Line {
    fn new(side: Side, stream: TcpStream) -> io::Result<Line> {
        stream.set_nodelay(true)?;
        let end = Endpoint::new(side, options(), Moment::START);
        Ok(Line { end, stream, buffer: vec![0; 64 << 10] })
    }

    /// Sends what there is, then reads once. False: the peer has ended.
    fn turn(&mut self) -> io::Result<bool> {
        self.stream.write_all(self.end.output())?;
        self.end.sent(self.end.output().len());
        let n = self.stream.read(&mut self.buffer)?;
        self.end.receive(&self.buffer[..n], Moment::START);
        match self.end.fault() {
            Some(fault) => Err(invalid(fault.why)),
            None => Ok(n > 0),
        }
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Asks for every target in turn.
pub(crate) fn ask(replay: &Replay) -> io::Result<()> {
    let heads = replay.targets()?.into_iter().map(|(host, path)| {
        let mut head = RequestHead::default();
        head.headers.append(id::METHOD, b"GET");
        head.headers.append(id::PATH, path.as_bytes());
        head.headers.append(id::AUTHORITY, host.as_bytes());
        head.headers.append(id::USER_AGENT, b"replay");
        replay.each_field(|name, value| head.headers.push(name.as_bytes(), value.as_bytes()));
        head
    });
    let heads: Vec<_> = heads.collect();
    let stream = TcpStream::connect(("127.0.0.1", replay.listen))?;
    let mut line = Line::new(Side::Client, stream)?;
    for head in heads.iter().cycle().take(replay.requests) {
        let key = line.end.open(head, None, b"http", true).ok_or(invalid("no stream"))?;
        let mut answered = false;
        while !(answered && line.end.is_received(key)) {
            if !line.turn()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Poll::Ready(head) = line.end.poll_head(key, &context()) {
                let head = head.map_err(|_| invalid("no answer"))?;
                answered = head.status == 200;
                line.end.give_back(head);
            }
            let mut chunk = Vec::new();
            if let Poll::Ready(Ok(true)) = line.end.poll_body(key, &context(), &mut chunk) {
                line.end.consumed(key, chunk.len());
            }
        }
        line.end.release(key, 0, Code::CANCEL);
    }
    Ok(())
}

/// Answers every request of every connection alike.
pub(crate) fn serve(origin: &TcpListener, replay: &Replay) {
    let mut head = ResponseHead { status: 200, ..ResponseHead::default() };
    head.headers.append(id::CONTENT_TYPE, b"text/plain");
    replay.each_field(|name, value| head.headers.push(name.as_bytes(), value.as_bytes()));
    let body = vec![b'x'; replay.response_bytes];
    for stream in origin.incoming() {
        let Ok(mut line) = stream.and_then(|stream| Line::new(Side::Server, stream)) else {
            return;
        };
        while let Ok(true) = line.turn() {
            while let Some(Arrival::Request(key)) = line.end.accept() {
                drop(line.end.take_head(key));
                line.end.respond(key, &head, false, false);
                let _ = line.end.poll_send(key, &context(), &body, true);
                line.end.release(key, 0, Code::NO_ERROR);
            }
        }
    }
}
