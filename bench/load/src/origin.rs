//! `origin`: answers every request with the same bytes, prepared once. Says what it received of an
//! upload, and gives a serial back, so that the driver can judge the whole way there and back.

use std::fmt::Write;
use std::io;
use std::rc::Rc;

use tokio::net::{TcpListener, TcpStream};

use crate::args::Args;
use crate::body::{Check, pattern};
use crate::http2;
use crate::http2::server::Answer;
use crate::report;
use crate::request::response_lines;
use crate::wire::{Head, RECEIVED, SERIAL, Side, Wire};

const BUFFER_BYTES: usize = 64 * 1024;

/// The answer, whole, and its two parts for when a line must go in between.
struct Response {
    whole: Vec<u8>,
    head: String,
    body: Vec<u8>,
    /// What uploads are compared with; `None` when they are only counted.
    uploads: Option<Vec<u8>>,
    /// HTTP/2 instead, and this to every call.
    grpc: Option<Answer>,
}

impl Response {
    fn new(args: &Args) -> Self {
        let body = pattern(args.response_bytes);
        let mut head = "HTTP/1.1 200 OK\r\n".to_owned();
        head += &response_lines(args.headers);
        let _ = write!(head, "content-length: {}\r\n", body.len());
        let mut whole = format!("{head}\r\n").into_bytes();
        whole.extend_from_slice(&body);
        let uploads = args.check_body.then(|| pattern(64 << 20));
        let grpc = args.grpc.then(|| Answer::new(args));
        Self { whole, head, body, uploads, grpc }
    }

    fn with_echo(&self, head: &Head, received: u64, out: &mut Vec<u8>) {
        let mut lines = String::new();
        if let Some(serial) = head.serial {
            let _ = write!(lines, "{SERIAL}: {serial}\r\n");
        }
        if head.received.is_some() {
            let _ = write!(lines, "{RECEIVED}: {received}\r\n");
        }
        out.clear();
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(lines.as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
    }
}

pub(crate) async fn run(args: &Args) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", args.port)).await?;
    report::line(&format!("{{\"port\":{}}}", listener.local_addr()?.port()))?;
    let response = Rc::new(Response::new(args));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: give connections time to end.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let response = Rc::clone(&response);
        tokio::task::spawn_local(async move {
            // A proxy that ends a connection is its own affair; the driver judges the outcome.
            let _ = match &response.grpc {
                Some(answer) => http2::server::serve(stream, answer).await,
                None => serve(stream, &response).await,
            };
        });
    }
}

async fn serve(stream: TcpStream, response: &Response) -> io::Result<()> {
    let mut wire = Wire::new(stream, BUFFER_BYTES);
    let mut scratch = Vec::new();
    while let Some(head) = wire.head(Side::Origin).await? {
        let mut check = response.uploads.as_deref().map(Check::new);
        let received = wire.body(head.framing, &mut check).await?;
        if check.is_some_and(|check| !check.same()) {
            wire.send(b"HTTP/1.1 422 Other Bytes\r\ncontent-length: 0\r\n\r\n").await?;
        } else if head.serial.is_some() || head.received.is_some() {
            response.with_echo(&head, received, &mut scratch);
            wire.send(&scratch).await?;
        } else {
            wire.send(&response.whole).await?;
        }
        if head.close {
            return Ok(());
        }
    }
    Ok(())
}
