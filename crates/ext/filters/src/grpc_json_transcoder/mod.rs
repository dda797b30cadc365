//! `envoy.filters.http.grpc_json_transcoder`: gRPC for clients of JSON over HTTP, as the annotations of a
//! protobuf service tell. Sources: google/api/http.proto, protobuf's JSON mapping, the message's fields.

mod answer;
mod call;
mod elements;
mod field;
mod message;
mod methods;
mod print;
mod template;
mod uri;

use std::sync::Arc;

use dragoman_filter::{HttpFilter, Means, StreamFilter, Surroundings};
use dragoman_proto::pb::envoy::extensions::filters::http::grpc_json_transcoder::v3::{
    GrpcJsonTranscoder as Message,
    grpc_json_transcoder::{DescriptorSet, UrlUnescapeSpec},
};
use dragoman_proto::pb::google::protobuf::{Any, UInt32Value};
use dragoman_proto::unpack;
use dragoman_types::grpc::is_grpc;
use dragoman_types::{Faults, LocalReply, RequestHead, id};
use prost_reflect::{DescriptorPool, SerializeOptions};

use call::Call;
use field::{Binding, resolve};
use message::Rules;
use methods::Rule;
use print::Printer;
use template::Tree;
use uri::{Kept, unescape};

pub const MESSAGE: &str =
    "envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder";

/// How much of a body is kept, unless said else: Envoy's buffers have as much.
const MOST_BODY: usize = 1 << 20;
const ORIGINAL_METHOD: &[u8] = b"x-envoy-original-method";

#[derive(Debug)]
struct Transcoder {
    shared: Arc<Shared>,
    rules: Tree<Arc<Rule>>,
    kept: Kept,
    plus_is_space: bool,
    ignored: Vec<String>,
    ignores_unknown: bool,
    rejects_unknown_method: bool,
    rejects_unknown_query: bool,
    keeps_route: bool,
}

/// What every call needs.
#[derive(Debug)]
struct Shared {
    /// Where messages within others are looked up.
    pool: DescriptorPool,
    rules: Rules,
    printer: Printer,
    framing: Framing,
    converts_status: bool,
    most_request: usize,
    most_response: usize,
}

/// How the messages of an answer that is a stream follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    Array,
    Lines,
    /// Server-sent events.
    Events,
}

pub fn compile(any: &Any, _: &Means<'_>, faults: &mut Faults) -> Option<Arc<dyn HttpFilter>> {
    let message: Message = unpack(any, faults)?;
    let pool = pool(message.descriptor_set.as_ref(), faults)?;
    let validation = message.request_validation_options.unwrap_or_default();
    let auto = message.auto_mapping;
    let any_verb = message.match_unregistered_custom_verb;
    let rules = methods::compile(&pool, &message.services, auto, any_verb, faults);
    let print = message.print_options.unwrap_or_default();
    let most = |field: Option<UInt32Value>| field.map_or(MOST_BODY, |most| most.value as usize);
    let shared = Shared {
        pool,
        rules: Rules {
            any_case_enums: message.case_insensitive_enum_parsing,
            no_conflicts: validation.reject_binding_body_field_collisions,
        },
        printer: Printer {
            options: SerializeOptions::new()
                .skip_default_fields(!print.always_print_primitive_fields)
                .use_enum_numbers(print.always_print_enums_as_ints)
                .use_proto_field_name(print.preserve_proto_field_names),
            whitespace: print.add_whitespace,
        },
        framing: match (print.stream_sse_style_delimited, print.stream_newline_delimited) {
            (true, _) => Framing::Events,
            (false, true) => Framing::Lines,
            (false, false) => Framing::Array,
        },
        converts_status: message.convert_grpc_status,
        most_request: most(message.max_request_body_size),
        most_response: most(message.max_response_body_size),
    };
    Some(Arc::new(Transcoder {
        shared: Arc::new(shared),
        rules,
        kept: match UrlUnescapeSpec::try_from(message.url_unescape_spec).unwrap_or_default() {
            UrlUnescapeSpec::AllCharactersExceptReserved => Kept::Reserved,
            UrlUnescapeSpec::AllCharactersExceptSlash => Kept::Slash,
            UrlUnescapeSpec::AllCharacters => Kept::Nothing,
        },
        plus_is_space: message.query_param_unescape_plus,
        ignored: message.ignored_query_parameters,
        ignores_unknown: message.ignore_unknown_query_parameters,
        rejects_unknown_method: validation.reject_unknown_method,
        rejects_unknown_query: validation.reject_unknown_query_parameters,
        keeps_route: message.match_incoming_request_route,
    }))
}

fn pool(source: Option<&DescriptorSet>, faults: &mut Faults) -> Option<DescriptorPool> {
    let (field, bytes) = match source {
        Some(DescriptorSet::ProtoDescriptor(name)) => match std::fs::read(name) {
            Ok(bytes) => ("proto_descriptor", bytes),
            Err(error) => {
                faults.add_at("proto_descriptor", "unreadable", format!("{name}: {error}"));
                return None;
            }
        },
        Some(DescriptorSet::ProtoDescriptorBin(bytes)) => ("proto_descriptor_bin", bytes.clone()),
        None => {
            faults.add("missing", "proto_descriptor or proto_descriptor_bin is required");
            return None;
        }
    };
    DescriptorPool::decode(bytes.as_slice())
        .map_err(|error| {
            let hint = "make it by protoc --include_imports --descriptor_set_out=…";
            faults.add_at(field, "broken", format!("no set of descriptors: {error}; {hint}"));
        })
        .ok()
}

/// Why a request is no call.
enum NoCall {
    /// It goes on as it is.
    Passes,
    Refused(LocalReply),
}

impl HttpFilter for Transcoder {
    fn stream(
        &self,
        request: &mut RequestHead,
        _: &Surroundings<'_>,
    ) -> Result<Option<Box<dyn StreamFilter>>, LocalReply> {
        if is_grpc(&request.headers) {
            return Ok(None);
        }
        let (rule, texts) = match self.find(request) {
            Ok(found) => found,
            Err(NoCall::Passes) => return Ok(None),
            Err(NoCall::Refused(reply)) => return Err(reply),
        };
        let kind = request.headers.get(id::CONTENT_TYPE).map(<[u8]>::to_vec);
        rewrite(request, &rule);
        let any_case = self.shared.rules.any_case_enums;
        let bindings = texts.into_iter().map(|(path, text)| {
            let text = text.ok_or("a field of text isn't UTF-8".to_owned())?;
            Binding::new(&path, text, any_case)
        });
        let bindings = bindings.collect::<Result<_, _>>().map_err(early)?;
        let (shared, reroutes) = (self.shared.clone(), !self.keeps_route);
        Ok(Some(Box::new(Call::new(shared, rule, bindings, kind, reroutes))))
    }
}

/// Fields and their texts; `None`: no UTF-8.
type Texts = Vec<(field::FieldPath, Option<String>)>;

impl Transcoder {
    /// The rule that the request meets, and what its path and its query say of fields.
    fn find(&self, request: &RequestHead) -> Result<(Arc<Rule>, Texts), NoCall> {
        let whole = std::str::from_utf8(request.path()).map_err(|_| NoCall::Passes)?;
        let (path, query) = whole.split_once('?').unwrap_or((whole, ""));
        let method = std::str::from_utf8(request.method()).map_err(|_| NoCall::Passes)?;
        let cut = self.rules.cut(path);
        let Some(rule) = self.rules.find(method, &cut) else {
            return Err(match self.rejects_unknown_method {
                true => NoCall::Refused(unknown(path)),
                false => NoCall::Passes,
            });
        };
        let of_path = rule.variables.iter().map(|(variable, path)| {
            let kept = if variable.is_long() { self.kept } else { Kept::Nothing };
            (path.clone(), unescape(&variable.of(&cut), kept, false))
        });
        let mut texts: Texts = of_path.collect();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(name) = unescape(name, Kept::Nothing, self.plus_is_space) else { continue };
            if name.is_empty() || self.ignored.contains(&name) {
                continue;
            }
            match resolve(&rule.input, &name) {
                Ok(path) => {
                    let value = unescape(value, Kept::Nothing, self.plus_is_space);
                    texts.push((path, value));
                }
                Err(_) if self.ignores_unknown => {}
                Err(why) if self.rejects_unknown_query => return Err(NoCall::Refused(early(why))),
                Err(_) => return Err(NoCall::Passes),
            }
        }
        Ok((rule.clone(), texts))
    }
}

/// The head as gRPC has it.
fn rewrite(request: &mut RequestHead, rule: &Rule) {
    let (path, method) = (request.path().to_vec(), request.method().to_vec());
    let headers = &mut request.headers;
    headers.remove(id::CONTENT_LENGTH);
    headers.set(id::CONTENT_TYPE, b"application/grpc");
    headers.set(id::X_ENVOY_ORIGINAL_PATH, &path);
    headers.set(ORIGINAL_METHOD, &method);
    headers.set(id::PATH, rule.path.as_bytes());
    headers.set(id::METHOD, b"POST");
    headers.set(id::TE, b"trailers");
}

fn unknown(path: &str) -> LocalReply {
    LocalReply::new(404, "early_grpc_json_transcode_failure{NOT_FOUND}")
        .body(format!("Could not resolve {path} to a method."))
        .cause("request_validation_options.reject_unknown_method")
}

/// The request's head is no call's.
fn early(why: String) -> LocalReply {
    LocalReply::new(400, "early_grpc_json_transcode_failure{INVALID_ARGUMENT}").body(why)
}
