//! `envoy.filters.http.grpc_web`: gRPC for browsers, which see no trailers: they come as the body's last
//! frame, and the body may be base64.
//! Source: grpc/doc/PROTOCOL-WEB.md.

mod text;

use std::sync::Arc;

use dragoman_filter::{Broken, Hold, HttpFilter, Means, StreamFilter, Surroundings};
use dragoman_proto::pb::envoy::extensions::filters::http::grpc_web::v3::GrpcWeb as Message;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::unpack;
use dragoman_types::grpc::{escape, is_grpc, status_of};
use dragoman_types::{Faults, Headers, LocalReply, RequestHead, ResponseHead, id};

use crate::grpc::{self, Messages, MethodStats};
use text::Decoder;

pub const MESSAGE: &str = "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb";

const BINARY: [&[u8]; 2] = [b"application/grpc-web", b"application/grpc-web+proto"];
const TEXT: [&[u8]; 2] = [b"application/grpc-web-text", b"application/grpc-web-text+proto"];

/// How much of an answer that isn't gRPC becomes `grpc-message`, as in Envoy.
const MOST_MESSAGE: usize = 16 << 10;

/// The first byte of the frame that holds the trailers.
const TRAILERS: u8 = 0x80;

#[derive(Debug)]
struct GrpcWeb {
    stats: Arc<MethodStats>,
}

pub fn compile(any: &Any, means: &Means<'_>, faults: &mut Faults) -> Option<Arc<dyn HttpFilter>> {
    let _: Message = unpack(any, faults)?;
    Some(Arc::new(GrpcWeb { stats: Arc::new(MethodStats::new(means)) }))
}

impl HttpFilter for GrpcWeb {
    fn stream(
        &self,
        request: &mut RequestHead,
        around: &Surroundings<'_>,
    ) -> Result<Option<Box<dyn StreamFilter>>, LocalReply> {
        let headers = &mut request.headers;
        let Some(kind) = headers.get(id::CONTENT_TYPE) else { return Ok(None) };
        let decoder = TEXT.contains(&kind).then(Decoder::default);
        if decoder.is_none() && !BINARY.contains(&kind) {
            return Ok(None);
        }
        let as_text = headers.get(id::ACCEPT).is_some_and(|accepted| TEXT.contains(&accepted));
        headers.remove(id::CONTENT_LENGTH);
        headers.set(id::CONTENT_TYPE, b"application/grpc");
        headers.set(id::TE, b"trailers");
        headers.set(id::GRPC_ACCEPT_ENCODING, b"identity");
        let named = grpc::method(request).filter(|_| !around.cluster.is_empty());
        let prefix = named.map(|named| grpc::prefix(around, "grpc-web", Some(named)));
        let (stats, worker) = (self.stats.clone(), around.worker);
        Ok(Some(Box::new(Call {
            stats,
            worker,
            prefix,
            decoder,
            as_text,
            messages: Messages::default(),
        })))
    }
}

/// One call.
#[derive(Debug)]
struct Call {
    stats: Arc<MethodStats>,
    worker: usize,
    /// Of its statistics; `None`: it names no method.
    prefix: Option<String>,
    /// Its body is base64.
    decoder: Option<Decoder>,
    /// Its answer is to be.
    as_text: bool,
    messages: Messages,
}

impl Call {
    fn ended(&self, fields: &Headers) {
        if let (Some(prefix), Some(status)) = (&self.prefix, fields.get(id::GRPC_STATUS)) {
            self.stats.outcome(self.worker, prefix, status);
        }
    }
}

impl StreamFilter for Call {
    fn request_data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), LocalReply> {
        match &mut self.decoder {
            Some(decoder) => {
                decoder.decode(piece, out).map_err(|()| bad("grpc_base_64_decode_failed"))
            }
            None => {
                out.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    fn request_end(&mut self, _: &mut Headers, _: &mut Vec<u8>) -> Result<(), LocalReply> {
        match &self.decoder {
            Some(decoder) if !decoder.is_complete() => {
                Err(bad("grpc_base_64_decode_failed_bad_size"))
            }
            _ => Ok(()),
        }
    }

    fn response(&mut self, response: &mut ResponseHead, bare: bool) -> Hold {
        let was_grpc = is_grpc(&response.headers);
        let kind = if self.as_text { TEXT[1] } else { BINARY[1] };
        response.headers.set(id::CONTENT_TYPE, kind);
        if bare {
            self.ended(&response.headers);
            return Hold::Nothing;
        }
        response.headers.remove(id::CONTENT_LENGTH);
        // What isn't gRPC is told as gRPC tells it.
        if was_grpc { Hold::Nothing } else { Hold::Body(MOST_MESSAGE) }
    }

    fn response_whole(
        &mut self,
        response: &mut ResponseHead,
        body: &mut Vec<u8>,
        _: &Headers,
    ) -> Result<(), LocalReply> {
        let headers = &mut response.headers;
        let mut message = Vec::with_capacity(body.len());
        body.iter().for_each(|byte| escape(*byte, &mut message));
        headers.set(id::GRPC_MESSAGE, &message);
        headers.set(id::GRPC_STATUS, status_of(response.status));
        body.clear();
        Ok(())
    }

    fn response_data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        if !self.as_text {
            out.extend_from_slice(piece);
            return Ok(());
        }
        // A text of its own for each message: nothing of it waits for the next.
        let mut left = piece;
        while !left.is_empty() {
            let (message, next) = left.split_at(self.messages.until_end(left));
            text::encode(message, out);
            left = next;
        }
        Ok(())
    }

    fn response_end(&mut self, trailers: &mut Headers, out: &mut Vec<u8>) -> Result<(), Broken> {
        self.ended(trailers);
        if trailers.is_empty() {
            return Ok(());
        }
        let mut frame = vec![TRAILERS, 0, 0, 0, 0];
        for (_, name, value) in trailers.iter() {
            for part in [name, b":", value, b"\r\n"] {
                frame.extend_from_slice(part);
            }
        }
        let length = (frame.len() - 5) as u32;
        frame[1..5].copy_from_slice(&length.to_be_bytes());
        trailers.clear();
        match self.as_text {
            true => text::encode(&frame, out),
            false => out.extend_from_slice(&frame),
        }
        Ok(())
    }
}

fn bad(details: &'static str) -> LocalReply {
    LocalReply::new(400, details)
        .body("Bad gRPC-web request, invalid base64 data.")
        .cause("the body of a grpc-web-text request isn't base64")
}
