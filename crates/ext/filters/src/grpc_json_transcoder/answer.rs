//! A call's answer on its way to JSON.

use std::sync::Arc;

use base64::alphabet::STANDARD;
use dragoman_filter::{Broken, Hold};
use dragoman_types::grpc::{http_status, is_grpc};
use dragoman_types::{Headers, LocalReply, ResponseHead, id};
use prost_reflect::DynamicMessage;
use serde_json::{Map, Value, json};

use super::elements::{Frames, Unreadable};
use super::field::unbase64;
use super::methods::Rule;
use super::uri::{Kept, unescape};
use super::{Framing, Shared};

const JSON: &[u8] = b"application/json";
const EVENTS: &[u8] = b"text/event-stream";
const STATUS_DETAILS: &[u8] = b"grpc-status-details-bin";

#[derive(Debug)]
pub(super) struct Answer {
    shared: Arc<Shared>,
    rule: Arc<Rule>,
    mode: Mode,
    frames: Frames,
    /// Messages of a stream so far.
    written: u64,
    /// The body that a head without one gets.
    made: Vec<u8>,
    /// What a raw stream is, as its first message says.
    raw_kind: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// It isn't gRPC, or it is an answer of this filter's.
    Passes,
    Whole,
    Streams,
}

/// A message that can't be said, in words.
type Unsayable = String;

impl Answer {
    pub(super) fn new(shared: Arc<Shared>, rule: Arc<Rule>) -> Answer {
        Answer {
            shared,
            rule,
            mode: Mode::Passes,
            frames: Frames::default(),
            written: 0,
            made: Vec::new(),
            raw_kind: None,
        }
    }

    pub(super) fn head(&mut self, response: &mut ResponseHead, bare: bool) -> Hold {
        self.mode = Mode::Passes;
        let headers = &mut response.headers;
        if !is_grpc(headers) || !bare && response.status != 200 {
            return Hold::Nothing;
        }
        if bare {
            if self.rule.gives_stream {
                headers.set(id::CONTENT_TYPE, self.stream_kind());
            }
            let trailers = headers.clone();
            let mut body = Vec::new();
            if trailers.contains(id::GRPC_STATUS) {
                self.settle(response, &mut body, &trailers);
            }
            if body.is_empty() {
                return Hold::Nothing;
            }
            self.made = body;
            self.mode = Mode::Whole;
            return Hold::All(self.shared.most_response);
        }
        headers.remove(id::CONTENT_LENGTH);
        if self.rule.gives_stream {
            self.mode = Mode::Streams;
            headers.set(id::CONTENT_TYPE, self.stream_kind());
            // Its first message says what it is.
            return if self.rule.raw_answer.is_some() { Hold::Start } else { Hold::Nothing };
        }
        self.mode = Mode::Whole;
        headers.set(id::CONTENT_TYPE, JSON);
        Hold::All(self.shared.most_response)
    }

    fn stream_kind(&self) -> &'static [u8] {
        if self.shared.framing == Framing::Events { EVENTS } else { JSON }
    }

    /// The first bytes of a stream are there, or its end.
    pub(super) fn started(&self, response: &mut ResponseHead) {
        if let Some(kind) = &self.raw_kind {
            response.headers.set(id::CONTENT_TYPE, kind.as_bytes());
        }
    }

    pub(super) fn whole(
        &mut self,
        response: &mut ResponseHead,
        body: &mut Vec<u8>,
        trailers: &Headers,
    ) -> Result<(), LocalReply> {
        if self.mode != Mode::Whole {
            return Ok(());
        }
        if !self.made.is_empty() {
            *body = std::mem::take(&mut self.made);
            return Ok(());
        }
        self.frames.take(body);
        body.clear();
        match self.frames.next(self.shared.most_response) {
            Ok(Some(message)) => {
                let said = self.say(&message, body).map_err(|why| self.unsayable(why))?;
                if let Some(kind) = said {
                    response.headers.set(id::CONTENT_TYPE, kind.as_bytes());
                }
            }
            Ok(None) => {}
            Err(Unreadable::TooLarge) => return Err(self.too_large()),
            Err(Unreadable::Compressed) => {
                return Err(self.unsayable("a compressed message".to_owned()));
            }
        }
        if !self.frames.is_complete() {
            return Err(self.unsayable("not one whole message".to_owned()));
        }
        if !trailers.is_empty() {
            self.settle(response, body, trailers);
        }
        Ok(())
    }

    /// What the call's status makes of the head, and of a body that is empty.
    fn settle(&self, response: &mut ResponseHead, body: &mut Vec<u8>, trailers: &Headers) {
        let (Some(number), Some(status)) = (number_of(trailers), trailers.get(id::GRPC_STATUS))
        else {
            response.status = 503;
            return;
        };
        response.status = http_status(number);
        let headers = &mut response.headers;
        if number != 0
            && body.is_empty()
            && self.shared.converts_status
            && let Some(json) = self.status_as_json(number, trailers)
        {
            *body = json;
            headers.set(id::CONTENT_TYPE, JSON);
            headers.remove(id::GRPC_STATUS);
            headers.remove(id::GRPC_MESSAGE);
            headers.remove(STATUS_DETAILS);
            return;
        }
        headers.set(id::GRPC_STATUS, status);
        if let Some(message) = trailers.get(id::GRPC_MESSAGE) {
            headers.set(id::GRPC_MESSAGE, message);
        }
    }

    /// `google.rpc.Status`, from its own field or from the status and its message.
    fn status_as_json(&self, number: u32, trailers: &Headers) -> Option<Vec<u8>> {
        let details = trailers.get(STATUS_DETAILS).filter(|details| !details.is_empty());
        if let Some(status) = details.and_then(decode) {
            return self.details_as_json(&status);
        }
        let mut fields = Map::from_iter([("code".to_owned(), json!(number))]);
        let message = trailers.get(id::GRPC_MESSAGE).unwrap_or_default();
        let message = String::from_utf8_lossy(message);
        match unescape(&message, Kept::Nothing, false) {
            Some(message) if !message.is_empty() => {
                fields.insert("message".to_owned(), message.into());
            }
            _ => {}
        }
        Some(Value::Object(fields).to_string().into_bytes())
    }

    fn details_as_json(&self, status: &Status) -> Option<Vec<u8>> {
        let mut fields = Map::new();
        if status.code != 0 {
            fields.insert("code".to_owned(), status.code.into());
        }
        if !status.message.is_empty() {
            fields.insert("message".to_owned(), status.message.clone().into());
        }
        let mut text = Value::Object(fields).to_string().into_bytes();
        if status.details.is_empty() {
            return Some(text);
        }
        text.pop();
        let first = if text.len() > 1 { "," } else { "" };
        text.extend_from_slice(format!("{first}\"details\":[").as_bytes());
        for (at, any) in status.details.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            self.detail(any, &mut text)?;
        }
        text.extend_from_slice(b"]}");
        Some(text)
    }

    /// A message of any kind that the descriptors know.
    fn detail(
        &self,
        any: &dragoman_proto::pb::google::protobuf::Any,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let name = dragoman_proto::type_name(any);
        let kind = self.shared.pool.get_message_by_name(name)?;
        let message = DynamicMessage::decode(kind, any.value.as_slice()).ok()?;
        let mut inner = Vec::new();
        self.shared.printer.print(&message, &mut inner).ok()?;
        let url = Value::from(any.type_url.as_str()).to_string();
        let behind = inner.trim_ascii().strip_prefix(b"{")?;
        out.extend_from_slice(format!("{{\"@type\":{url}").as_bytes());
        if behind != b"}" {
            out.push(b',');
        }
        out.extend_from_slice(behind);
        Some(())
    }

    /// Type and data of a message's `HttpBody`, where the answer is one.
    fn raw(&self, message: &[u8]) -> Result<Option<(String, Vec<u8>)>, Unsayable> {
        let Some(path) = &self.rule.raw_answer else { return Ok(None) };
        let whole = DynamicMessage::decode(self.rule.output.clone(), message)
            .map_err(|error| error.to_string())?;
        let mut place = whole;
        for field in path {
            let inner = place.get_field(field).as_message().cloned();
            place = inner.ok_or("no HttpBody where one should be".to_owned())?;
        }
        let text = |value: Option<std::borrow::Cow<'_, prost_reflect::Value>>| {
            value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let data = place.get_field_by_name("data");
        let data = data.and_then(|value| value.as_bytes().map(|bytes| bytes.to_vec()));
        Ok(Some((text(place.get_field_by_name("content_type")), data.unwrap_or_default())))
    }

    /// Adds a message as the client is to have it; says of what type it is, unless it's JSON.
    fn say(&self, message: &[u8], out: &mut Vec<u8>) -> Result<Option<String>, Unsayable> {
        if let Some((kind, data)) = self.raw(message)? {
            out.extend_from_slice(&data);
            return Ok(Some(kind));
        }
        let message = DynamicMessage::decode(self.rule.output.clone(), message)
            .map_err(|error| error.to_string())?;
        self.shared.printer.print(&message, out)?;
        Ok(None)
    }

    /// The answer instead of one that can't be said; it passes as it is.
    fn unsayable(&mut self, why: Unsayable) -> LocalReply {
        self.mode = Mode::Passes;
        LocalReply::new(502, "grpc_json_transcode_failure{INVALID_ARGUMENT}")
            .cause(format!("the answer of {}: {why}", self.rule.path))
            .body(why)
    }

    pub(super) fn too_large(&mut self) -> LocalReply {
        self.mode = Mode::Passes;
        LocalReply::new(500, "grpc_json_transcode_failure{response_buffer_size_limit_reached}")
            .body("Response not transcoded because the transcoder's internal buffer size exceeds the configured limit.")
            .cause(format!("max_response_body_size = {}", self.shared.most_response))
    }

    pub(super) fn data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        if self.mode != Mode::Streams {
            out.extend_from_slice(piece);
            return Ok(());
        }
        self.frames.take(piece);
        let most = self.shared.most_response;
        while let Some(message) = self.frames.next(most).map_err(|why| broken(&why))? {
            let raw = self.rule.raw_answer.is_some();
            let (before, behind) = match self.shared.framing {
                _ if raw => ("", ""),
                Framing::Array if self.written == 0 => ("[", ""),
                Framing::Array => (",", ""),
                Framing::Lines => ("", "\n"),
                Framing::Events => ("data: ", "\n\n"),
            };
            out.extend_from_slice(before.as_bytes());
            let unsayable = Broken("grpc_json_transcode_failure{INVALID_ARGUMENT}");
            let said = self.say(&message, out).map_err(|_| unsayable)?;
            self.raw_kind = self.raw_kind.take().or(said);
            out.extend_from_slice(behind.as_bytes());
            self.written += 1;
        }
        Ok(())
    }

    pub(super) fn end(&mut self, trailers: &Headers, out: &mut Vec<u8>) -> Result<(), Broken> {
        if self.mode != Mode::Streams {
            return Ok(());
        }
        if !self.frames.is_complete() {
            return Err(Broken("grpc_json_transcode_failure{INVALID_ARGUMENT}"));
        }
        if self.written == 0 && self.shared.converts_status {
            let number = number_of(trailers).filter(|number| *number != 0);
            if let Some(json) = number.and_then(|number| self.status_as_json(number, trailers)) {
                out.extend_from_slice(&json);
                return Ok(());
            }
        }
        if self.shared.framing == Framing::Array && self.rule.raw_answer.is_none() {
            out.extend_from_slice(if self.written == 0 { b"[]" } else { b"]" });
        }
        Ok(())
    }
}

fn broken(why: &Unreadable) -> Broken {
    Broken(match why {
        Unreadable::TooLarge => "grpc_json_transcode_failure{response_buffer_size_limit_reached}",
        Unreadable::Compressed => "grpc_json_transcode_failure{INVALID_ARGUMENT}",
    })
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<dragoman_proto::pb::google::protobuf::Any>,
}

fn decode(details: &[u8]) -> Option<Status> {
    prost::Message::decode(unbase64(&STANDARD, details)?.as_slice()).ok()
}

/// `grpc-status`.
fn number_of(trailers: &Headers) -> Option<u32> {
    std::str::from_utf8(trailers.get(id::GRPC_STATUS)?).ok()?.parse().ok()
}
