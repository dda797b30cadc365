//! HTTP filters. A filter is a folder with Envoy's name for it and one row in [`FILTERS`].

mod grpc;
pub mod grpc_http1_bridge;
pub mod grpc_json_transcoder;
pub mod grpc_stats;
pub mod grpc_web;
pub mod health_check;

use dragoman_filter::CompileFilter;

/// Every HTTP filter there is, by the name of its message. The router ends the chain and isn't one.
pub const FILTERS: &[(&str, CompileFilter)] = &[
    (grpc_http1_bridge::MESSAGE, grpc_http1_bridge::compile),
    (grpc_json_transcoder::MESSAGE, grpc_json_transcoder::compile),
    (grpc_stats::MESSAGE, grpc_stats::compile),
    (grpc_web::MESSAGE, grpc_web::compile),
    (health_check::MESSAGE, health_check::compile),
];

/// How a filter is compiled.
pub fn find(message: &str) -> Option<CompileFilter> {
    FILTERS.iter().find(|(name, _)| *name == message).map(|(_, compile)| *compile)
}
