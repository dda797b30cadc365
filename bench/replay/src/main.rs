//! One worker, one client, one origin in one process: each request is answered before the next is
//! sent, so the worker does the same work in the same order every time. `bench/instructions.py` runs
//! it under callgrind.

mod http2;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use dragoman_server::{Change, Drain, Engine, Kind, Options};

const USAGE: &str = "RESOURCES TARGETS LISTEN ORIGIN REQUESTS HEADERS RESPONSE_BYTES CLIENT_HTTP ORIGIN_HTTP are wanted";

/// What is replayed. Arguments: as in [`USAGE`].
#[derive(Clone)]
struct Replay {
    /// Lines of `kind name payload`, the payload in hexadecimal.
    resources: PathBuf,
    /// Lines of `host path`, asked for in turn.
    targets: PathBuf,
    listen: u16,
    origin: u16,
    requests: usize,
    /// Fields on each request and answer besides the necessary ones.
    headers: usize,
    response_bytes: usize,
    /// 1 or 2: what the client speaks, and the origin.
    client_http: u8,
    origin_http: u8,
}

fn main() -> io::Result<()> {
    let replay = Replay::from_arguments().ok_or_else(|| invalid(USAGE))?;
    let origin = TcpListener::bind(("127.0.0.1", replay.origin))?;
    let origins = replay.clone();
    std::thread::spawn(move || match origins.origin_http {
        1 => serve(&origin, &origins.answer()),
        _ => http2::serve(&origin, &origins),
    });
    let engine = start(&replay.changes()?)?;
    match replay.client_http {
        1 => ask(&replay)?,
        _ => http2::ask(&replay)?,
    }
    engine.stop();
    Ok(())
}

fn ask(replay: &Replay) -> io::Result<()> {
    let requests = replay.messages()?;
    let mut client = TcpStream::connect(("127.0.0.1", replay.listen))?;
    client.set_nodelay(true)?;
    let mut answer = vec![0; 64 << 10];
    for request in requests.iter().cycle().take(replay.requests) {
        client.write_all(request)?;
        read_answer(&mut client, &mut answer, replay.response_bytes)?;
    }
    Ok(())
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.to_owned())
}

impl Replay {
    fn from_arguments() -> Option<Replay> {
        let mut words = std::env::args().skip(1);
        let mut word = || words.next();
        Some(Replay {
            resources: word()?.into(),
            targets: word()?.into(),
            listen: word()?.parse().ok()?,
            origin: word()?.parse().ok()?,
            requests: word()?.parse().ok()?,
            headers: word()?.parse().ok()?,
            response_bytes: word()?.parse().ok()?,
            client_http: word()?.parse().ok()?,
            origin_http: word()?.parse().ok()?,
        })
    }

    fn changes(&self) -> io::Result<Vec<Change>> {
        let text = std::fs::read_to_string(&self.resources)?;
        let change = |line: &str| {
            let mut words = line.split(' ');
            let kind = Kind::from_name(words.next()?)?;
            let name = words.next()?.to_owned();
            Some(Change { kind, name, payload: Some(bytes(words.next()?)?) })
        };
        text.lines().map(|line| change(line).ok_or_else(|| invalid(line))).collect()
    }

    fn each_field(&self, mut each: impl FnMut(&str, &str)) {
        for n in 0..self.headers {
            each(&format!("x-field-{n:02}"), &format!("some value of a usual length, number {n}"));
        }
    }

    fn fields(&self) -> String {
        let mut lines = String::new();
        self.each_field(|name, value| lines += &format!("{name}: {value}\r\n"));
        lines
    }

    /// Host and path of each.
    fn targets(&self) -> io::Result<Vec<(String, String)>> {
        let text = std::fs::read_to_string(&self.targets)?;
        let pair = |line: &str| {
            let (host, path) = line.split_once(' ').unwrap_or(("a", "/"));
            (host.to_owned(), path.to_owned())
        };
        Ok(text.lines().map(pair).collect())
    }

    fn messages(&self) -> io::Result<Vec<Vec<u8>>> {
        let fields = self.fields();
        let message = |(host, path): &(String, String)| {
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: replay\r\n{fields}\r\n")
                .into_bytes()
        };
        Ok(self.targets()?.iter().map(message).collect())
    }

    fn answer(&self) -> Vec<u8> {
        let (fields, length) = (self.fields(), self.response_bytes);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n{fields}content-length: {length}\r\n\r\n"
        );
        [head.into_bytes(), vec![b'x'; length]].concat()
    }
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let pairs = (0..hexadecimal.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(hexadecimal.get(at..at + 2)?, 16).ok()).collect()
}

fn start(changes: &[Change]) -> io::Result<Engine> {
    let engine = Engine::new(Options {
        workers: 1,
        drain: Drain { time: Duration::from_secs(600), immediately: false },
        log_flush_interval: Duration::from_secs(10),
        log_flush_bytes: 64 << 10,
        service_cluster: String::new(),
        service_node: String::new(),
    })?;
    engine.publish(changes).map_err(|error| io::Error::other(format!("{error:?}")))?;
    engine.start()?;
    Ok(engine)
}

/// Answers every request of every connection with the same bytes.
fn serve(origin: &TcpListener, answer: &[u8]) {
    let mut buffer = vec![0; 64 << 10];
    for stream in origin.incoming() {
        let Ok(mut stream) = stream else { return };
        let mut filled = 0;
        while let Ok(n) = stream.read(&mut buffer[filled..]) {
            filled += n;
            if n == 0 {
                break;
            }
            if buffer[..filled].ends_with(b"\r\n\r\n") {
                filled = 0;
                if stream.write_all(answer).is_err() {
                    break;
                }
            }
        }
    }
}

fn read_answer(client: &mut TcpStream, buffer: &mut [u8], body: usize) -> io::Result<()> {
    let mut filled = 0;
    loop {
        let n = client.read(&mut buffer[filled..])?;
        filled += n;
        let head = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n");
        match head {
            _ if n == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(at) if filled >= at + 4 + body => break,
            _ => {}
        }
    }
    if buffer.starts_with(b"HTTP/1.1 200 ") { Ok(()) } else { Err(invalid("not a 200")) }
}
