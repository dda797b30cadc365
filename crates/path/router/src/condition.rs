//! What a route asks of a request besides its path. Every condition must hold.

use dragoman_matcher::{CookieMatcher, FractionalPercent, HeaderMatcher, QueryParameterMatcher};
use dragoman_proto::pb::envoy::config::route::v3 as pb;
use dragoman_types::grpc::is_grpc;
use dragoman_types::{Faults, Headers};

use crate::table::{Asked, Certificate};

#[derive(Debug, Default)]
pub(crate) struct Conditions {
    headers: Box<[HeaderMatcher]>,
    query: Box<[QueryParameterMatcher]>,
    cookies: Box<[CookieMatcher]>,
    fraction: Option<FractionalPercent>,
    grpc: bool,
    certificate_presented: Option<bool>,
    certificate_validated: Option<bool>,
}

impl Conditions {
    /// `None`: the path alone decides.
    pub(crate) fn compile(
        message: &pb::RouteMatch,
        faults: &mut Faults,
    ) -> Option<Box<Conditions>> {
        if !message.dynamic_metadata.is_empty() {
            faults.add_at("dynamic_metadata", "unsupported", "metadata matchers aren't supported");
        }
        if !message.filter_state.is_empty() {
            faults.add_at("filter_state", "unsupported", "filter-state matchers aren't supported");
        }
        let mut headers = Vec::new();
        for (place, matcher) in message.headers.iter().enumerate() {
            headers.push(faults.item("headers", place, |f| HeaderMatcher::compile(matcher, f)));
        }
        let mut query = Vec::new();
        for (place, matcher) in message.query_parameters.iter().enumerate() {
            query.push(
                faults.item("query_parameters", place, |f| {
                    QueryParameterMatcher::compile(matcher, f)
                }),
            );
        }
        let mut cookies = Vec::new();
        for (place, matcher) in message.cookies.iter().enumerate() {
            cookies.push(faults.item("cookies", place, |f| CookieMatcher::compile(matcher, f)));
        }
        let fraction = message.runtime_fraction.as_ref().map(|fraction| {
            faults.field("runtime_fraction", |f| FractionalPercent::compile_runtime(fraction, f))
        });
        let tls = message.tls_context.as_ref();
        let conditions = Conditions {
            headers: headers.into(),
            query: query.into(),
            cookies: cookies.into(),
            fraction,
            grpc: message.grpc.is_some(),
            certificate_presented: tls.and_then(|t| t.presented.as_ref()).map(|v| v.value),
            certificate_validated: tls.and_then(|t| t.validated.as_ref()).map(|v| v.value),
        };
        (!conditions.is_empty()).then(|| Box::new(conditions))
    }

    fn is_empty(&self) -> bool {
        self.headers.is_empty()
            && self.query.is_empty()
            && self.cookies.is_empty()
            && self.fraction.is_none()
            && !self.grpc
            && self.certificate_presented.is_none()
            && self.certificate_validated.is_none()
    }

    pub(crate) fn hold(&self, headers: &Headers, query: &[u8], asked: &Asked) -> bool {
        self.fraction.is_none_or(|fraction| fraction.holds(asked.random))
            && (!self.grpc || is_grpc(headers))
            && self.headers.iter().all(|matcher| matcher.matches(headers))
            && self.query.iter().all(|matcher| matcher.matches(query))
            && self.cookies.iter().all(|matcher| matcher.matches(headers))
            && self.certificate_fits(asked)
    }

    /// A connection without TLS counts as one without a certificate.
    fn certificate_fits(&self, asked: &Asked) -> bool {
        let presented = asked.certificate != Certificate::Absent;
        let validated = asked.certificate == Certificate::Validated;
        self.certificate_presented.is_none_or(|wanted| wanted == presented)
            && self.certificate_validated.is_none_or(|wanted| wanted == validated)
    }
}
