//! The driver's side: S streams on a connection, each asking its next request when the last is
//! answered.

use std::io;
use std::rc::Rc;

use bytes::Bytes;
use h2::client;
use h2::client::SendRequest;
use http::{HeaderValue, Method, Request, Uri};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

use super::{WINDOW, invalid, payload};
use crate::args::Args;
use crate::body::Check;
use crate::connect::Stream;
use crate::drive::Run;
use crate::request::{request_headers, scattered, targets};
use crate::tally::End;

/// One request, whole.
pub(crate) struct Asked {
    head: Request<()>,
    body: Bytes,
}

impl Asked {
    /// All requests of a run; empty without HTTP/2.
    pub(crate) fn from_args(args: &Args) -> io::Result<Vec<Self>> {
        if args.streams == 0 {
            return Ok(Vec::new());
        }
        let body = payload(args.body_bytes, args.grpc);
        targets(args)?.iter().map(|target| Self::new(args, target, body.clone())).collect()
    }

    fn new(args: &Args, (host, path): &(String, String), body: Bytes) -> io::Result<Self> {
        let scheme = if args.ca.is_some() { "https" } else { "http" };
        let mut head = Request::new(());
        *head.uri_mut() = format!("{scheme}://{host}{path}").parse::<Uri>().map_err(invalid)?;
        if !body.is_empty() {
            *head.method_mut() = Method::POST;
        }
        for (name, value) in request_headers(args.headers) {
            head.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        if args.grpc {
            head.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            head.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        }
        Ok(Self { head, body })
    }
}

/// All streams of one connection, the first asking request `serial`, until there are no more
/// requests or the connection may not be used any longer.
pub(crate) async fn streams(run: &Rc<Run>, stream: Stream, serial: u64) {
    let mut builder = client::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let (sender, connection) = match builder.handshake(stream).await {
        Ok(both) => both,
        Err(_) => return run.tally.borrow_mut().end(End::Lost),
    };
    let pump = spawn_local(async move {
        // Each stream hears of the connection's end by itself.
        let _ = connection.await;
    });
    let mut tasks = Vec::with_capacity(run.args.streams);
    let mut next = Some(serial);
    while let (true, Some(serial)) = (tasks.len() < run.args.streams, next) {
        tasks.push(spawn_local(one_after_another(Rc::clone(run), sender.clone(), serial)));
        next = if tasks.len() < run.args.streams { run.next() } else { None };
    }
    for task in tasks {
        // A task can't be cancelled here, and a panic ends the process by its own message.
        let _ = task.await;
    }
    pump.abort();
}

async fn one_after_another(run: Rc<Run>, mut sender: SendRequest<Bytes>, mut serial: u64) {
    loop {
        let begun = Instant::now();
        let answer = timeout(run.args.timeout, ask(&run, &mut sender, serial)).await;
        let mut tally = run.tally.borrow_mut();
        let end = match answer {
            Ok(Ok((end, status, length))) => {
                tally.latency.add(begun.elapsed().as_nanos() as u64);
                *tally.statuses.entry(status).or_default() += 1;
                tally.body_bytes += length;
                end
            }
            Ok(Err(error)) if error.is_reset() && error.is_library() => End::Malformed,
            Ok(Err(_)) => End::Lost,
            Err(_) => End::TimedOut,
        };
        tally.end(end);
        drop(tally);
        if matches!(end, End::Lost | End::Malformed) {
            return;
        }
        match run.next() {
            Some(next) => serial = next,
            None => return,
        }
    }
}

/// Asks one request; gives its end, status and the body's length.
async fn ask(
    run: &Run,
    sender: &mut SendRequest<Bytes>,
    serial: u64,
) -> Result<(End, u16, u64), h2::Error> {
    let asked = &run.asked[scattered(serial, run.asked.len())];
    std::future::poll_fn(|context| sender.poll_ready(context)).await?;
    let bare = asked.body.is_empty();
    let (answer, mut upload) = sender.send_request(asked.head.clone(), bare)?;
    if !bare {
        upload.send_data(asked.body.clone(), true)?;
    }
    let answer = answer.await?;
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    let mut check = run.args.check_body.then(|| Check::new(&run.expected));
    let mut length = 0;
    while let Some(piece) = body.data().await {
        let piece = piece?;
        length += piece.len() as u64;
        if let Some(check) = &mut check {
            check.piece(&piece);
        }
        body.flow_control().release_capacity(piece.len())?;
    }
    let trailers = body.trailers().await?;
    let fine = trailers.is_some_and(|all| all.get("grpc-status").is_some_and(|code| code == "0"));
    let end = if status != run.args.expect_status || (run.args.grpc && !fine) {
        End::WrongStatus
    } else if length != run.args.expect_bytes {
        End::WrongLength
    } else if check.is_some_and(|check| !check.same()) {
        End::WrongBody
    } else {
        End::Ok
    };
    Ok((end, status, length))
}
