//! One call: its request from JSON to gRPC, its response back.

use std::sync::Arc;

use dragoman_filter::{Broken, Hold, StreamFilter};
use dragoman_types::{Headers, LocalReply, ResponseHead};
use prost::Message;
use prost_reflect::{DynamicMessage, ReflectMessage, Value as Field};
use serde_json::Value;

use super::Shared;
use super::answer::Answer;
use super::elements::{Elements, NoArray};
use super::field::{Binding, FieldPath};
use super::message;
use super::methods::{Body, Rule};
use crate::grpc::frame_head;

#[derive(Debug)]
pub(super) struct Call {
    shared: Arc<Shared>,
    rule: Arc<Rule>,
    /// What the head says of the message; gone with the first one.
    bindings: Vec<Binding>,
    /// `content-type` of the request.
    kind: Option<Vec<u8>>,
    reroutes: bool,
    /// Of a request that is one message.
    kept: Vec<u8>,
    elements: Elements,
    sent: bool,
    answer: Answer,
}

impl Call {
    pub(super) fn new(
        shared: Arc<Shared>,
        rule: Arc<Rule>,
        bindings: Vec<Binding>,
        kind: Option<Vec<u8>>,
        reroutes: bool,
    ) -> Call {
        Call {
            answer: Answer::new(shared.clone(), rule.clone()),
            shared,
            rule,
            bindings,
            kind,
            reroutes,
            kept: Vec::new(),
            elements: Elements::default(),
            sent: false,
        }
    }

    /// Adds the message that this JSON is, with what the head says of the first one.
    fn send_json(&mut self, at: &FieldPath, json: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let body = match json.iter().all(u8::is_ascii_whitespace) {
            true => None,
            false => {
                let body: Value =
                    serde_json::from_slice(json).map_err(|error| error.to_string())?;
                Some(body)
            }
        };
        self.send(at, body, out)
    }

    fn send(
        &mut self,
        at: &FieldPath,
        body: Option<Value>,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let bindings = std::mem::take(&mut self.bindings);
        let made = message::make(&self.rule.input, &bindings, at, body, self.shared.rules)?;
        self.frame(&made, out);
        Ok(())
    }

    fn frame(&mut self, message: &DynamicMessage, out: &mut Vec<u8>) {
        let message = message.encode_to_vec();
        out.extend(frame_head(u32::try_from(message.len()).unwrap_or(u32::MAX)));
        out.extend_from_slice(&message);
        self.sent = true;
    }

    /// Adds a message whose `HttpBody` at `at` has this data.
    fn send_raw(&mut self, at: &FieldPath, data: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let bindings = std::mem::take(&mut self.bindings);
        let mut whole =
            message::make(&self.rule.input, &bindings, &Vec::new(), None, self.shared.rules)?;
        let mut place = &mut whole;
        for field in at {
            if !place.has_field(field)
                && let prost_reflect::Kind::Message(kind) = field.kind()
            {
                place.set_field(field, Field::Message(DynamicMessage::new(kind)));
            }
            let inner = place.get_field_mut(field).as_message_mut();
            place = inner.ok_or("the field holds no message".to_owned())?;
        }
        if let Some(kind) = self.kind.take() {
            let kind = String::from_utf8_lossy(&kind).into_owned();
            set(place, "content_type", Field::String(kind));
        }
        set(place, "data", Field::Bytes(data.to_vec().into()));
        self.frame(&whole, out);
        Ok(())
    }

    fn take_elements(
        &mut self,
        at: &FieldPath,
        piece: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), LocalReply> {
        let most = self.shared.most_request;
        let mut elements = std::mem::take(&mut self.elements);
        let taken = elements.take(piece, |element| match element.len() > most {
            true => Err(Unfit(too_large(most))),
            false => self.send_json(at, element, out).map_err(|why| Unfit(bad(why))),
        });
        self.elements = elements;
        taken.map_err(|unfit| unfit.0)
    }
}

/// What is answered to an element that is no message.
struct Unfit(LocalReply);

impl From<NoArray> for Unfit {
    fn from(no: NoArray) -> Unfit {
        Unfit(bad(no.0.to_owned()))
    }
}

fn set(message: &mut DynamicMessage, name: &str, value: Field) {
    if let Some(field) = message.descriptor().get_field_by_name(name) {
        message.set_field(&field, value);
    }
}

fn bad(why: String) -> LocalReply {
    LocalReply::new(400, "grpc_json_transcode_failure{INVALID_ARGUMENT}").body(why)
}

fn too_large(most: usize) -> LocalReply {
    LocalReply::new(413, "grpc_json_transcode_failure{request_buffer_size_limit_reached}")
        .body(
            "Request rejected because the transcoder's internal buffer size exceeds the configured limit.",
        )
        .cause(format!("max_request_body_size = {most}"))
}

impl StreamFilter for Call {
    fn makes_body(&self) -> bool {
        true
    }

    fn reroutes(&self) -> bool {
        self.reroutes
    }

    fn request_data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), LocalReply> {
        let rule = self.rule.clone();
        let streams = rule.takes_stream;
        match &rule.body {
            Body::Raw(at) if streams => self.send_raw(at, piece, out).map_err(bad)?,
            Body::Json(at) if streams => self.take_elements(at, piece, out)?,
            // Nothing of it is looked at.
            Body::None => {}
            _ => self.kept.extend_from_slice(piece),
        }
        match self.kept.len().max(self.elements.kept()) > self.shared.most_request {
            true => Err(too_large(self.shared.most_request)),
            false => Ok(()),
        }
    }

    fn request_end(&mut self, _: &mut Headers, out: &mut Vec<u8>) -> Result<(), LocalReply> {
        let rule = self.rule.clone();
        let kept = std::mem::take(&mut self.kept);
        match &rule.body {
            Body::Json(_) if rule.takes_stream => {
                self.elements.end().map_err(|no| bad(no.0.to_owned()))
            }
            Body::Raw(_) if rule.takes_stream && self.sent => Ok(()),
            Body::Raw(at) => self.send_raw(at, &kept, out).map_err(bad),
            Body::Json(at) => self.send_json(at, &kept, out).map_err(bad),
            Body::None => self.send(&Vec::new(), None, out).map_err(bad),
        }
    }

    fn response(&mut self, response: &mut ResponseHead, bare: bool) -> Hold {
        self.answer.head(response, bare)
    }

    fn response_started(&mut self, response: &mut ResponseHead) {
        self.answer.started(response);
    }

    fn response_whole(
        &mut self,
        response: &mut ResponseHead,
        body: &mut Vec<u8>,
        trailers: &Headers,
    ) -> Result<(), LocalReply> {
        self.answer.whole(response, body, trailers)
    }

    fn response_too_large(&mut self) -> LocalReply {
        self.answer.too_large()
    }

    fn response_data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        self.answer.data(piece, out)
    }

    fn response_end(&mut self, trailers: &mut Headers, out: &mut Vec<u8>) -> Result<(), Broken> {
        self.answer.end(trailers, out)
    }
}
