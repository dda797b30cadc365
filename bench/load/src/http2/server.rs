//! The origin's side: the same answer to every call, message and trailers prepared once.

use std::io;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, server};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::TcpStream;

use super::{WINDOW, payload};
use crate::args::Args;
use crate::request::response_headers;

/// A unary call's answer.
#[derive(Clone)]
pub(crate) struct Answer {
    headers: HeaderMap,
    message: Bytes,
    trailers: HeaderMap,
}

impl Answer {
    pub(crate) fn new(args: &Args) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in response_headers(args.headers) {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Self { headers, message: payload(args.response_bytes, true), trailers }
    }
}

/// Answers one connection's calls, each when its message has come whole.
pub(crate) async fn serve(stream: TcpStream, answer: &Answer) -> io::Result<()> {
    let mut builder = server::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let mut connection = builder.handshake::<_, Bytes>(stream).await.map_err(io::Error::other)?;
    while let Some(call) = connection.accept().await {
        let (request, respond) = call.map_err(io::Error::other)?;
        let answer = answer.clone();
        tokio::task::spawn_local(async move {
            // A call that the proxy takes back is its own affair; the driver judges the outcome.
            let _ = reply(request, respond, answer).await;
        });
    }
    Ok(())
}

async fn reply(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    answer: Answer,
) -> Result<(), h2::Error> {
    let mut body = request.into_body();
    while let Some(piece) = body.data().await {
        let length = piece?.len();
        body.flow_control().release_capacity(length)?;
    }
    let mut response = Response::new(());
    *response.headers_mut() = answer.headers;
    let mut stream = respond.send_response(response, false)?;
    stream.send_data(answer.message, false)?;
    stream.send_trailers(answer.trailers)
}
