//! Locally made answers: mapped, formatted, and put into the form that the client's protocol wants.
//! Source: `HttpConnectionManager.local_reply_config`.

use std::borrow::Cow;
use std::fmt;

use dragoman_format::{LogFormat, Scratch};
use dragoman_proto::pb::envoy::config::accesslog::v3::AccessLogFilter;
use dragoman_proto::pb::envoy::config::core::v3::DataSource;
use dragoman_proto::pb::envoy::config::core::v3::data_source::Specifier;
use dragoman_proto::pb::envoy::extensions::filters::network::http_connection_manager::v3 as proto;
use dragoman_types::headers::Name;
use dragoman_types::{Facts, Faults, LocalReply, ResponseHead, StreamInfo, id};

use crate::config::Config;
use crate::grpc;
use crate::reply_headers::Additions;

/// Which answers a mapper takes. Access-log filters live a layer above; they come in as these.
pub trait ReplyFilter: Send + Sync {
    fn matches(&self, facts: &Facts<'_>) -> bool;
}

/// Compiles an access-log filter; `None` after a fault.
pub type CompileFilter<'a> =
    &'a dyn Fn(&AccessLogFilter, &mut Faults) -> Option<Box<dyn ReplyFilter>>;

/// `local_reply_config`; empty where there is none.
#[derive(Debug, Default)]
pub(crate) struct ReplyRules {
    mappers: Vec<Mapper>,
    format: Option<LogFormat>,
}

/// Changes the answers that its filter matches; the first that matches is the only one.
struct Mapper {
    filter: Box<dyn ReplyFilter>,
    status: Option<u16>,
    body: Option<String>,
    format: Option<LogFormat>,
    add: Additions,
}

impl fmt::Debug for Mapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Mapper");
        debug.field("status", &self.status).field("body", &self.body);
        debug.field("format", &self.format).field("add", &self.add).finish_non_exhaustive()
    }
}

impl ReplyRules {
    pub(crate) fn compile(
        m: &proto::LocalReplyConfig,
        filter: CompileFilter<'_>,
        faults: &mut Faults,
    ) -> ReplyRules {
        let format = m.body_format.as_ref();
        let mappers = m.mappers.iter().enumerate().filter_map(|(index, mapper)| {
            faults.item("mappers", index, |faults| Mapper::compile(mapper, filter, faults))
        });
        ReplyRules {
            mappers: mappers.collect(),
            format: format.map(|f| faults.field("body_format", |f2| LogFormat::compile(f, f2))),
        }
    }

    fn is_empty(&self) -> bool {
        self.mappers.is_empty() && self.format.is_none()
    }

    /// Applies mapper and format; returns the body's content type.
    fn rewrite(
        &self,
        reply: &LocalReply,
        facts: &Facts<'_>,
        format: &mut Scratch,
        out: &mut ResponseHead,
        body: &mut Vec<u8>,
    ) -> Cow<'_, str> {
        let mut info: StreamInfo = facts.info.clone();
        info.response_code = Some(reply.status);
        info.details = Some(reply.details.clone());
        info.flags.insert(reply.flags);
        let seen = Facts { info: &info, response: Some(out), ..*facts };
        let mapper = self.mappers.iter().find(|mapper| mapper.filter.matches(&seen));
        info.local_reply_body = Some(reply.body.clone());
        if let Some(mapper) = mapper {
            mapper.add.apply(
                &mut out.headers,
                out.status,
                &Facts { info: &info, ..*facts },
                format,
            );
            if let Some(status) = mapper.status {
                out.status = status;
                info.response_code = Some(status);
            }
            if let Some(body) = &mapper.body {
                info.local_reply_body = Some(body.clone().into());
            }
        }
        let rule = mapper.and_then(|mapper| mapper.format.as_ref()).or(self.format.as_ref());
        let Some(rule) = rule else {
            body.extend_from_slice(info.local_reply_body.as_deref().unwrap_or_default().as_bytes());
            return Cow::Borrowed(TEXT);
        };
        let facts = Facts { info: &info, response: Some(out), ..*facts };
        rule.line.write(&facts, format, body);
        Cow::Borrowed(&rule.content_type)
    }
}

impl Mapper {
    fn compile(
        m: &proto::ResponseMapper,
        filter: CompileFilter<'_>,
        faults: &mut Faults,
    ) -> Option<Mapper> {
        let add = Additions::compile(&m.headers_to_add, faults);
        let body = m.body.as_ref().and_then(|b| faults.field("body", |faults| text(b, faults)));
        let format = m.body_format_override.as_ref().map(|format| {
            faults.field("body_format_override", |faults| LogFormat::compile(format, faults))
        });
        let status = m.status_code.as_ref().map(|status| status.value);
        if status.is_some_and(|status| !(200..600).contains(&status)) {
            faults.add_at("status_code", "out-of-range", "must be at least 200 and below 600");
        }
        let Some(condition) = &m.filter else {
            faults.add_at("filter", "missing", "is needed");
            return None;
        };
        let filter = faults.field("filter", |faults| filter(condition, faults))?;
        Some(Mapper { filter, status: status.map(|s| s as u16), body, format, add })
    }
}

fn text(source: &DataSource, faults: &mut Faults) -> Option<String> {
    let read = match source.specifier.as_ref()? {
        Specifier::InlineString(text) => return Some(text.clone()),
        Specifier::InlineBytes(bytes) => {
            String::from_utf8(bytes.clone()).map_err(|e| e.to_string())
        }
        Specifier::Filename(path) => {
            std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))
        }
        Specifier::EnvironmentVariable(name) => {
            std::env::var(name).map_err(|e| format!("{name}: {e}"))
        }
    };
    read.map_err(|why| faults.add("unreadable", why)).ok()
}

const TEXT: &str = "text/plain";

impl Config {
    /// Turns `reply` into head and body (both cleared first); run [`Config::finish_response`] on
    /// the head afterwards. For a HEAD request the head tells the length of a body that stays
    /// empty. `facts.info` may still lack the reply's status, details and flags.
    pub fn shape_reply(
        &self,
        reply: &LocalReply,
        facts: &Facts<'_>,
        format: &mut Scratch,
        out: &mut ResponseHead,
        body: &mut Vec<u8>,
    ) {
        out.clear();
        body.clear();
        out.status = reply.status;
        for (name, value) in &reply.headers {
            out.headers.append(Name::of(name.as_bytes()), value);
        }
        let own_type = out.headers.contains(id::CONTENT_TYPE);
        let content_type = if self.replies.is_empty() {
            body.extend_from_slice(reply.body.as_bytes());
            Cow::Borrowed(TEXT)
        } else {
            self.replies.rewrite(reply, facts, format, out, body)
        };
        let head = facts.request.is_some_and(|request| request.is_head());
        if facts.info.grpc {
            grpc::shape(reply, head, out, body);
            return;
        }
        if body.is_empty() {
            out.headers.remove(id::CONTENT_LENGTH);
            out.headers.remove(id::CONTENT_TYPE);
            return;
        }
        let mut digits = itoa::Buffer::new();
        out.headers.set(id::CONTENT_LENGTH, digits.format(body.len()).as_bytes());
        // A type that came with the reply was meant for the body that came with it.
        let changed = own_type && body.as_slice() != reply.body.as_bytes();
        if changed || !out.headers.contains(id::CONTENT_TYPE) {
            out.headers.set(id::CONTENT_TYPE, content_type.as_bytes());
        }
        if head {
            body.clear();
        }
    }

    /// Whether an HTTP/1 connection ends behind this answer: where the request was malformed, what
    /// follows it can't be trusted.
    pub fn closes(&self, reply: &LocalReply) -> bool {
        reply.close || (reply.status == 400 && !self.stream_error_on_invalid_message)
    }
}
