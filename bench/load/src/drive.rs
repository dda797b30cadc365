//! `drive`: C connections, each asking its next request when the last is answered, until N requests
//! were started or the time is up. A request that fails is counted, never sent again.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::args::{Args, Until};
use crate::body::{Check, pattern};
use crate::connect::{Door, Stream};
use crate::http2::client::{Asked, streams};
use crate::report;
use crate::request::Requests;
use crate::tally::{End, Tally};
use crate::wire::{Side, Wire};

const BUFFER_BYTES: usize = 128 * 1024;

/// What all connections of a run share. One thread, so a `RefCell` and never a borrow across await.
pub(crate) struct Run {
    pub(crate) args: Args,
    door: Door,
    requests: Requests,
    /// The same requests for HTTP/2; empty without it.
    pub(crate) asked: Vec<Asked>,
    pub(crate) expected: Vec<u8>,
    until: Option<Instant>,
    pub(crate) tally: RefCell<Tally>,
}

impl Run {
    fn new(args: &Args) -> io::Result<Self> {
        Ok(Self {
            door: Door::new(args)?,
            requests: Requests::from_args(args)?,
            asked: Asked::from_args(args)?,
            expected: pattern(args.expect_bytes as usize),
            until: match args.until {
                Until::Elapsed(time) => Some(Instant::now() + time),
                Until::Requests(_) => None,
            },
            args: args.clone(),
            tally: RefCell::new(Tally::new()),
        })
    }

    /// The number of the next request; `None` when there is nothing left to start.
    pub(crate) fn next(&self) -> Option<u64> {
        let mut tally = self.tally.borrow_mut();
        let more = match self.args.until {
            Until::Requests(total) => tally.started < total,
            Until::Elapsed(_) => self.until.is_some_and(|until| Instant::now() < until),
        };
        if !more || tally.failures() >= self.args.max_failures {
            return None;
        }
        tally.started += 1;
        Some(tally.started - 1)
    }
}

/// One lazy deadline per connection: a timer is touched once per limit, not once per request.
struct Deadline {
    sleep: Pin<Box<Sleep>>,
    at: Instant,
    limit: Duration,
}

impl Deadline {
    fn new(limit: Duration) -> Self {
        let at = Instant::now() + limit;
        Self { sleep: Box::pin(sleep_until(at)), at, limit }
    }

    fn start(&mut self, now: Instant) {
        self.at = now + self.limit;
    }

    async fn guard<T>(&mut self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            while self.sleep.as_mut().poll(context).is_ready() {
                if Instant::now() >= self.at {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                self.sleep.as_mut().reset(self.at);
            }
            Poll::Pending
        })
        .await
    }
}

pub(crate) async fn run(args: &Args) -> io::Result<()> {
    let run = Rc::new(Run::new(args)?);
    let begun = Instant::now();
    let tasks: Vec<_> =
        (0..args.connections).map(|_| tokio::task::spawn_local(client(Rc::clone(&run)))).collect();
    for task in tasks {
        task.await.map_err(io::Error::other)?;
    }
    let wall = begun.elapsed();
    let tally = run.tally.borrow();
    tally.check_invariants()?;
    report::line(&report::render(&tally, wall))
}

/// One client: a connection after the other, as long as there are requests.
async fn client(run: Rc<Run>) {
    let mut deadline = Deadline::new(run.args.timeout);
    let mut next = run.next();
    while let Some(serial) = next {
        deadline.start(Instant::now());
        match deadline.guard(run.door.connect()).await {
            Ok(stream) => {
                run.tally.borrow_mut().connections += 1;
                if run.args.streams == 0 {
                    connection(&run, stream, &mut deadline, serial).await;
                } else {
                    streams(&run, stream, serial).await;
                }
            }
            Err(_) => {
                run.tally.borrow_mut().end(End::NotConnected);
                // A proxy that is away is asked again soon, not in a busy loop.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        next = run.next();
    }
}

/// Requests on one connection, from `serial` on, until it may not be used any longer.
async fn connection(run: &Run, stream: Stream, deadline: &mut Deadline, mut serial: u64) {
    let mut wire = Wire::new(stream, BUFFER_BYTES);
    let mut scratch = Vec::new();
    let mut asked = 0;
    loop {
        let begun = Instant::now();
        deadline.start(begun);
        let bytes = run.requests.bytes(serial, &mut scratch);
        let answer = deadline.guard(exchange(run, &mut wire, bytes, serial)).await;
        let mut tally = run.tally.borrow_mut();
        let again = match answer {
            Ok(answer) => {
                tally.latency.add(begun.elapsed().as_nanos() as u64);
                *tally.statuses.entry(answer.status).or_default() += 1;
                tally.body_bytes += answer.length;
                tally.end(answer.end);
                answer.reusable
            }
            Err(error) => {
                tally.end(End::of(&error));
                false
            }
        };
        drop(tally);
        asked += 1;
        if !again || asked == run.args.per_connection {
            return;
        }
        match run.next() {
            Some(next) => serial = next,
            None => return,
        }
    }
}

struct Answer {
    end: End,
    status: u16,
    length: u64,
    reusable: bool,
}

async fn exchange(
    run: &Run,
    wire: &mut Wire<Stream>,
    bytes: &[u8],
    serial: u64,
) -> io::Result<Answer> {
    wire.send(bytes).await?;
    let head = wire.head(Side::Driver).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut check = run.args.check_body.then(|| Check::new(&run.expected));
    let length = wire.body(head.framing, &mut check).await?;
    let upload = run.args.body_bytes as u64;
    let end = if wire.surplus() > 0 {
        End::Malformed
    } else if head.status != run.args.expect_status {
        End::WrongStatus
    } else if length != run.args.expect_bytes {
        End::WrongLength
    } else if check.is_some_and(|check| !check.same()) {
        End::WrongBody
    } else if run.args.serials && head.serial != Some(serial) {
        End::WrongSerial
    } else if upload > 0 && head.received != Some(upload) {
        End::WrongUpload
    } else {
        End::Ok
    };
    let reusable = !head.close && end != End::Malformed;
    Ok(Answer { end, status: head.status, length, reusable })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    const SHORT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nh";
    const SURPLUS: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi!";
    const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n";
    const CUT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nh";

    /// A server that gives one connection each of the answers in turn and then closes it.
    fn serve(answers: &'static [&'static [u8]]) -> io::Result<u16> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        std::thread::spawn(move || {
            for answer in answers {
                let Ok((mut stream, _)) = listener.accept() else { return };
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(answer);
            }
        });
        Ok(port)
    }

    fn ends(words: &str, answers: &'static [&'static [u8]]) -> io::Result<Vec<(End, u64)>> {
        let port = serve(answers)?;
        let line = format!("drive --port {port} --connections 1 {words}");
        let args = Args::parse(line.split_whitespace().map(str::to_owned)).expect("a good line");
        let run = Rc::new(Run::new(&args)?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(client(Rc::clone(&run)));
        let tally = run.tally.borrow();
        tally.check_invariants()?;
        let counts = End::ALL.into_iter().map(|end| (end, tally.count(end)));
        Ok(counts.filter(|(_, count)| *count > 0).collect())
    }

    #[test]
    fn every_request_ends_in_one_count() -> io::Result<()> {
        let words = "--expect-bytes 2 --per-connection 1 --requests 6";
        let got = ends(words, &[OK, SHORT, SURPLUS, UNAVAILABLE, CUT, b""])?;
        let wanted = [
            (End::Ok, 1),
            (End::Lost, 2),
            (End::Malformed, 1),
            (End::WrongStatus, 1),
            (End::WrongLength, 1),
        ];
        assert_eq!(got, wanted);
        Ok(())
    }

    #[test]
    fn the_wrong_body_and_a_missing_echo_are_seen() -> io::Result<()> {
        let words = "--expect-bytes 2 --requests 1 --check-body 1";
        assert_eq!(ends(words, &[OK])?, [(End::WrongBody, 1)]);
        assert_eq!(
            ends("--expect-bytes 2 --requests 1 --serials 1", &[OK])?,
            [(End::WrongSerial, 1)]
        );
        assert_eq!(
            ends("--expect-bytes 2 --requests 1 --body-bytes 9", &[OK])?,
            [(End::WrongUpload, 1)]
        );
        Ok(())
    }
}
