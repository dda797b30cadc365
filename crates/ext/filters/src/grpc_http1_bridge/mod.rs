//! `envoy.filters.http.grpc_http1_bridge`: gRPC for clients of HTTP/1, which needn't know of trailers: an
//! answer is kept until its trailers have come, and those become fields. Bare protobuf becomes a call.
//! Source: grpc/doc/PROTOCOL-HTTP2.md.

use std::sync::Arc;

use dragoman_filter::{Hold, HttpFilter, Means, StreamFilter, Surroundings};
use dragoman_proto::pb::envoy::extensions::filters::http::grpc_http1_bridge::v3::Config as Message;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::unpack;
use dragoman_types::grpc::is_grpc;
use dragoman_types::{Faults, Headers, LocalReply, RequestHead, ResponseHead, Version, id};

use crate::grpc::{FRAME_HEAD, frame_head};

pub const MESSAGE: &str = "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config";

const PROTOBUF: &[u8] = b"application/x-protobuf";
/// How much of an answer, or of a request without a length, is kept: Envoy's buffers have as much.
const MOST_BODY: usize = 1 << 20;

#[derive(Debug)]
struct Bridge {
    upgrades: bool,
    ignores_query: bool,
}

pub fn compile(any: &Any, _: &Means<'_>, faults: &mut Faults) -> Option<Arc<dyn HttpFilter>> {
    let message: Message = unpack(any, faults)?;
    Some(Arc::new(Bridge {
        upgrades: message.upgrade_protobuf_to_grpc,
        ignores_query: message.ignore_query_parameters,
    }))
}

impl HttpFilter for Bridge {
    fn stream(
        &self,
        request: &mut RequestHead,
        _: &Surroundings<'_>,
    ) -> Result<Option<Box<dyn StreamFilter>>, LocalReply> {
        let headers = &mut request.headers;
        let is_protobuf = headers.get(id::CONTENT_TYPE).is_some_and(|kind| kind == PROTOBUF);
        let upgraded = self.upgrades && is_protobuf;
        if !upgraded && (!is_grpc(headers) || request.version == Version::Http2) {
            return Ok(None);
        }
        let mut message = None;
        if upgraded {
            let length = headers.get(id::CONTENT_LENGTH);
            let length = length.and_then(|length| std::str::from_utf8(length).ok()?.parse().ok());
            headers.remove(id::CONTENT_LENGTH);
            headers.set(id::CONTENT_TYPE, b"application/grpc");
            message = Some(length.map_or(Framing::Kept(Vec::new()), Framing::Announced));
        }
        let query = request.headers.get(id::PATH).and_then(|path| memchr::memchr(b'?', path));
        let strips = self.ignores_query && request.version != Version::Http2;
        if let Some(at) = query.filter(|_| strips) {
            let path = request.headers.get(id::PATH).unwrap_or_default()[..at].to_vec();
            request.headers.set(id::PATH, &path);
        }
        Ok(Some(Box::new(Call { unframes: upgraded, message })))
    }
}

/// How a bare message gets its frame's head.
#[derive(Debug)]
enum Framing {
    /// Its length stood in the head.
    Announced(u32),
    /// It is kept until its length is known.
    Kept(Vec<u8>),
}

/// One call.
#[derive(Debug)]
struct Call {
    /// The client wants bare messages.
    unframes: bool,
    /// What is to be framed of the request; `None`: nothing more.
    message: Option<Framing>,
}

impl StreamFilter for Call {
    fn makes_body(&self) -> bool {
        self.message.is_some()
    }

    fn reroutes(&self) -> bool {
        self.unframes
    }

    fn request_data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), LocalReply> {
        match &mut self.message {
            Some(Framing::Kept(kept)) if kept.len() + piece.len() > MOST_BODY => {
                return Err(LocalReply::new(413, "request_payload_too_large")
                    .body("Payload Too Large")
                    .cause("a message without a length is kept until it's whole"));
            }
            Some(Framing::Kept(kept)) => {
                kept.extend_from_slice(piece);
                return Ok(());
            }
            Some(Framing::Announced(length)) => {
                out.extend(frame_head(*length));
                self.message = None;
            }
            None => {}
        }
        out.extend_from_slice(piece);
        Ok(())
    }

    fn request_end(&mut self, _: &mut Headers, out: &mut Vec<u8>) -> Result<(), LocalReply> {
        let kept = match self.message.take() {
            None => return Ok(()),
            Some(Framing::Announced(_)) => Vec::new(),
            Some(Framing::Kept(kept)) => kept,
        };
        out.extend(frame_head(kept.len() as u32));
        out.extend_from_slice(&kept);
        Ok(())
    }

    fn response(&mut self, _: &mut ResponseHead, bare: bool) -> Hold {
        if bare { Hold::Nothing } else { Hold::All(MOST_BODY) }
    }

    fn response_whole(
        &mut self,
        response: &mut ResponseHead,
        body: &mut Vec<u8>,
        trailers: &Headers,
    ) -> Result<(), LocalReply> {
        if let Some(status) = trailers.get(id::GRPC_STATUS) {
            if status != b"0" {
                response.status = 503;
            }
            response.headers.set(id::GRPC_STATUS, status);
        }
        if let Some(message) = trailers.get(id::GRPC_MESSAGE) {
            response.headers.set(id::GRPC_MESSAGE, message);
        }
        if self.unframes && is_grpc(&response.headers) {
            body.drain(..body.len().min(FRAME_HEAD));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(message: Framing, pieces: &[&[u8]]) -> Vec<u8> {
        let mut call = Call { unframes: true, message: Some(message) };
        let mut out = Vec::new();
        for piece in pieces {
            assert!(call.request_data(piece, &mut out).is_ok());
        }
        assert!(call.request_end(&mut Headers::new(), &mut out).is_ok());
        out
    }

    #[test]
    fn a_message_gets_one_head_however_it_comes() {
        let kept = || Framing::Kept(Vec::new());
        for pieces in [&[&b"abc"[..]][..], &[b"a", b"", b"bc"]] {
            assert_eq!(framed(Framing::Announced(3), pieces), b"\0\0\0\0\x03abc");
            assert_eq!(framed(kept(), pieces), b"\0\0\0\0\x03abc");
        }
        assert_eq!(framed(Framing::Announced(0), &[]), b"\0\0\0\0\0");
        assert_eq!(framed(kept(), &[]), b"\0\0\0\0\0");
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        let mut call = Call { unframes: true, message: Some(Framing::Kept(Vec::new())) };
        let mut out = Vec::new();
        assert!(call.request_data(&vec![0; MOST_BODY], &mut out).is_ok());
        assert!(call.request_data(b"x", &mut out).is_err());
        assert!(out.is_empty());
    }
}
