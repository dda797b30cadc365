//! The answers that the way itself makes: what, with which flag, and why.
//! The texts are Envoy's; `cause` says what Envoy doesn't: which limit, its value.

use std::borrow::Cow;

use dragoman_cluster::Cluster;
use dragoman_codec::h1::ParseError;
use dragoman_router::Forward;
use dragoman_types::{Flags, LocalReply};

use super::patience::Expired;
use super::{Exchange, Stop};
use crate::upstream::WorkerCluster;

/// Envoy's words for the limits of one attempt.
pub(super) const TRY_TIMEOUT: &str = "upstream_per_try_timeout";
pub(super) const TRY_IDLE_TIMEOUT: &str = "upstream_per_try_idle_timeout";

impl Exchange<'_> {
    pub(super) fn no_route(&self, cause: &'static str) -> Stop {
        self.manager.stats.no_route.inc();
        let reply = LocalReply::new(404, "route_not_found");
        reply.flags(Flags::NO_ROUTE_FOUND).cause(cause).into()
    }

    pub(super) fn no_cluster(&self, forward: &Forward, name: Option<Cow<'_, str>>) -> Stop {
        self.manager.stats.no_cluster.inc();
        let name = name.unwrap_or(Cow::Borrowed("(none named by the request)"));
        LocalReply::new(forward.cluster_not_found_status, "cluster_not_found")
            .flags(Flags::NO_CLUSTER_FOUND)
            .cause(format!("there is no cluster {name}"))
            .into()
    }

    pub(super) fn no_host(&self, cluster: &WorkerCluster) -> Stop {
        cluster.cells.stats.upstream_cx_none_healthy.inc();
        let known = cluster.hosts.len();
        LocalReply::new(503, "no_healthy_upstream")
            .flags(Flags::NO_HEALTHY_UPSTREAM)
            .body("no healthy upstream")
            .cause(format!("cluster {}: none of {known} hosts is usable", cluster.config().name))
            .into()
    }

    pub(super) fn overflow(&self, limit: &str, value: u32) -> Stop {
        self.overflowed(format!("circuit breaker {limit} = {value} is reached"))
    }

    pub(super) fn overflowed(&self, cause: String) -> Stop {
        let reason = "upstream_reset_before_response_started{overflow}";
        LocalReply::new(503, reason)
            .flags(Flags::UPSTREAM_OVERFLOW)
            .body(before_headers("overflow"))
            .header("x-envoy-overloaded", "true")
            .cause(cause)
            .into()
    }
}

const RESET_REASON: &str = "reset reason: ";

fn before_headers(reason: &str) -> String {
    format!("upstream connect error or disconnect/reset before headers. {RESET_REASON}{reason}")
}

/// There were attempts before the one that the reply tells of.
pub(super) fn tell_of_retries(reply: &mut LocalReply, attempts: u32) {
    let told = reply.body.replacen(RESET_REASON, "retried and the latest reset reason: ", 1);
    reply.body = told.into();
    reply.cause = format!("{} (attempt {attempts})", reply.cause).into();
}

/// `transport`: the reason in Envoy's words; `text`: what happened.
pub(super) fn connect_failed(cluster: &Cluster, transport: Option<&str>, text: &str) -> LocalReply {
    let transport = transport.map(|reason| format!("|{reason}")).unwrap_or_default();
    let details =
        format!("upstream_reset_before_response_started{{remote_connection_failure{transport}}}");
    LocalReply::new(503, details)
        .flags(Flags::UPSTREAM_CONNECTION_FAILURE)
        .body(before_headers("remote connection failure"))
        .cause(format!("cluster {}: connecting failed: {text}", cluster.name))
}

pub(super) fn connect_timeout(cluster: &Cluster) -> LocalReply {
    let details = "upstream_reset_before_response_started{connection_timeout}";
    LocalReply::new(503, details)
        .flags(Flags::UPSTREAM_CONNECTION_FAILURE)
        .body(before_headers("connection timeout"))
        .cause(format!("cluster {}: connect_timeout = {:?}", cluster.name, cluster.connect_timeout))
}

pub(super) fn terminated() -> LocalReply {
    LocalReply::new(503, "upstream_reset_before_response_started{connection_termination}")
        .flags(Flags::UPSTREAM_CONNECTION_TERMINATION)
        .body(before_headers("connection termination"))
        .cause("the host closed the connection before it answered")
}

/// An HTTP/2 host ended the stream before it answered.
pub(super) fn reset_by_host(why: &str) -> LocalReply {
    let reason = match why {
        "" => "remote reset".to_owned(),
        why => format!("remote {why} reset"),
    };
    let details = reason.replace(' ', "_");
    LocalReply::new(503, format!("upstream_reset_before_response_started{{{details}}}"))
        .flags(Flags::UPSTREAM_REMOTE_RESET)
        .body(before_headers(&reason))
        .cause("the host ended the stream before it answered")
}

pub(super) fn upstream_protocol(why: &'static str) -> LocalReply {
    LocalReply::new(502, "upstream_reset_before_response_started{protocol_error}")
        .flags(Flags::UPSTREAM_PROTOCOL_ERROR)
        .body(before_headers("protocol error"))
        .cause(format!("the host's response: {why}"))
}

pub(crate) fn malformed(error: ParseError) -> LocalReply {
    let body = match error.status() {
        431 => "Request Header Fields Too Large",
        426 => "Upgrade Required",
        501 => "Not Implemented",
        _ => "Bad Request",
    };
    LocalReply::new(error.status(), error.details())
        .flags(Flags::DOWNSTREAM_PROTOCOL_ERROR)
        .body(body)
        .cause(error.text())
        .close()
}

/// A head of HTTP/2 with more fields than `max_headers_count`.
pub(crate) fn too_large() -> LocalReply {
    LocalReply::new(431, "http2.too_many_headers")
        .flags(Flags::DOWNSTREAM_PROTOCOL_ERROR)
        .body("Request Header Fields Too Large")
        .cause("more header fields than max_headers_count")
}

pub(super) fn expired(which: Expired, request_complete: bool) -> LocalReply {
    match which {
        Expired::Route(limit) => LocalReply::new(504, "response_timeout")
            .flags(Flags::UPSTREAM_REQUEST_TIMEOUT)
            .body("upstream request timeout")
            .cause(format!("route timeout = {limit:?}")),
        Expired::Try(limit) => LocalReply::new(504, TRY_TIMEOUT)
            .flags(Flags::UPSTREAM_REQUEST_TIMEOUT)
            .body("upstream request timeout")
            .cause(format!("per_try_timeout = {limit:?}")),
        Expired::TryIdle(limit) => LocalReply::new(504, TRY_IDLE_TIMEOUT)
            .flags(Flags::UPSTREAM_REQUEST_TIMEOUT)
            .body("upstream request timeout")
            .cause(format!("per_try_idle_timeout = {limit:?}")),
        Expired::Idle(limit) => {
            let status = if request_complete { 504 } else { 408 };
            LocalReply::new(status, "stream_idle_timeout")
                .flags(Flags::STREAM_IDLE_TIMEOUT)
                .body("stream timeout")
                .cause(format!("stream_idle_timeout = {limit:?}"))
        }
        Expired::Request(limit) => LocalReply::new(408, "request_overall_timeout")
            .body("request timeout")
            .cause(format!("request_timeout = {limit:?}"))
            .close(),
        Expired::Stream(limit) => LocalReply::new(504, "max_duration_timeout")
            .body("downstream duration timeout")
            .grpc_status(4)
            .cause(format!("max_stream_duration = {limit:?}")),
    }
}

/// The head didn't come in time (`request_headers_timeout`).
pub(crate) fn headers_timeout(limit: std::time::Duration) -> LocalReply {
    LocalReply::new(408, "request_header_timeout")
        .body("request header timeout")
        .cause(format!("request_headers_timeout = {limit:?}"))
        .close()
}
