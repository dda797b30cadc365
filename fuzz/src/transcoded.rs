//! Requests in JSON and answers in gRPC, as `grpc_json_transcoder` reads them.

use std::sync::{Arc, LazyLock};

use dragoman_filter::{HttpFilter, Means, StreamFilter, Surroundings};
use dragoman_filters::find;
use dragoman_filters::grpc_json_transcoder::MESSAGE;
use dragoman_proto::Message;
use dragoman_proto::pb::envoy::extensions::filters::http::grpc_json_transcoder::v3::{
    GrpcJsonTranscoder, grpc_json_transcoder::DescriptorSet,
};
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_stats::Registry;
use dragoman_types::{Faults, Headers, RequestHead, ResponseHead, id};

use crate::heads::CONNECTION;

const SERVICES: &[u8] = include_bytes!("../../tests/differential/files/grpc/library.binpb");

/// Whatever the path and the body (behind the first line), nothing panics, and what comes of a body is
/// the same however it comes, and so with an answer of the same bytes.
pub fn transcoded(bytes: &[u8]) {
    let (line, body) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[][..]),
    };
    let whole = run(line, body, body.len().max(1));
    for step in [1, 7] {
        assert_eq!(run(line, body, step), whole, "{step} at a time");
    }
}

static FILTER: LazyLock<Arc<dyn HttpFilter>> = LazyLock::new(|| {
    let message = GrpcJsonTranscoder {
        descriptor_set: Some(DescriptorSet::ProtoDescriptorBin(SERVICES.to_vec())),
        services: vec!["library.Library".to_owned()],
        convert_grpc_status: true,
        ..GrpcJsonTranscoder::default()
    };
    let type_url = format!("type.googleapis.com/{MESSAGE}");
    let message = Any { type_url, value: message.encode_to_vec() };
    let mut faults = Faults::new();
    let means = Means { registry: &Registry::new(1), stat_prefix: "" };
    let compile = find(MESSAGE).expect("it is listed");
    compile(&message, &means, &mut faults).expect("it is valid")
});

/// The request's and the answer's body, unless one can't be transcoded.
type Outcome = Option<(Option<Vec<u8>>, Option<Vec<u8>>)>;

/// `line`: method and path; `None`: it is no call.
fn run(line: &[u8], body: &[u8], step: usize) -> Outcome {
    let at = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let mut request = RequestHead::default();
    request.headers.set(id::METHOD, &line[..at]);
    request.headers.set(id::PATH, line.get(at + 1..).unwrap_or_default());
    let around = Surroundings {
        connection: &CONNECTION,
        worker: 0,
        service_cluster: "",
        cluster: "",
        health_failed: false,
    };
    let mut call = FILTER.stream(&mut request, &around).ok().flatten()?;
    Some((requested(call.as_mut(), body, step), answered(call.as_mut(), body, step)))
}

fn requested(call: &mut dyn StreamFilter, body: &[u8], step: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for piece in body.chunks(step) {
        call.request_data(piece, &mut out).ok()?;
    }
    call.request_end(&mut Headers::new(), &mut out).ok()?;
    Some(out)
}

fn answered(call: &mut dyn StreamFilter, body: &[u8], step: usize) -> Option<Vec<u8>> {
    let mut head = ResponseHead { status: 200, ..ResponseHead::default() };
    head.headers.set(id::CONTENT_TYPE, b"application/grpc");
    call.response(&mut head, false);
    let mut out = Vec::new();
    for piece in body.chunks(step) {
        call.response_data(piece, &mut out).ok()?;
    }
    call.response_end(&mut Headers::new(), &mut out).ok()?;
    call.response_whole(&mut head, &mut out, &Headers::new()).ok()?;
    Some(out)
}
