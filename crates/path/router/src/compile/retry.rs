//! Compiles `RetryPolicy`.

use std::time::Duration;

use dragoman_matcher::HeaderMatcher;
use dragoman_proto::pb::envoy::config::route::v3 as pb;
use dragoman_proto::pb::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
use dragoman_proto::{Name, back_off, duration, timeout, type_name, u32_or};
use dragoman_types::Faults;
use dragoman_types::headers::HeaderName;
use pb::retry_policy::retry_host_predicate::ConfigType;
use pb::retry_policy::{ResetHeaderFormat, RetryHostPredicate};

use super::refuse;
use crate::retry::{ResetHeader, RetryOn, RetryPolicy, usual_back_off};

/// `rate_limited_retry_back_off.max_interval`, unless set.
const MOST_ASKED: Duration = Duration::from_secs(300);

pub(super) fn retry(message: &pb::RetryPolicy, faults: &mut Faults) -> RetryPolicy {
    refuse(
        &[
            (message.retry_priority.is_some(), "retry_priority"),
            (!message.retry_options_predicates.is_empty(), "retry_options_predicates"),
            (message.refresh_cluster_on_retry, "refresh_cluster_on_retry"),
        ],
        faults,
    );
    for (place, predicate) in message.retry_host_predicate.iter().enumerate() {
        faults.item("retry_host_predicate", place, |f| host_predicate(predicate, f));
    }
    let limited = message.rate_limited_retry_back_off.as_ref();
    let headers = limited.map_or(&[][..], |limited| &limited.reset_headers);
    let most_asked = limited.and_then(|limited| limited.max_interval.as_ref()).map(duration);
    RetryPolicy {
        retry_on: RetryOn::configured(&message.retry_on),
        retries: u32_or(message.num_retries.as_ref(), 1),
        codes: message.retriable_status_codes.clone().into(),
        response: matchers("retriable_headers", &message.retriable_headers, faults),
        request: matchers("retriable_request_headers", &message.retriable_request_headers, faults),
        back_off: match &message.retry_back_off {
            Some(message) => faults.field("retry_back_off", |faults| {
                let (base, max) = (message.base_interval.as_ref(), message.max_interval.as_ref());
                back_off::compile(base, max, faults)
            }),
            None => usual_back_off(),
        },
        reset_headers: headers
            .iter()
            .map(|header| ResetHeader {
                name: HeaderName::new(&header.name),
                is_timestamp: header.format == ResetHeaderFormat::UnixTimestamp as i32,
            })
            .collect(),
        most_asked: most_asked.unwrap_or(MOST_ASKED),
        per_try_timeout: timeout(message.per_try_timeout.as_ref(), None),
        per_try_idle_timeout: timeout(message.per_try_idle_timeout.as_ref(), None),
        avoids_previous_hosts: !message.retry_host_predicate.is_empty(),
        host_attempts: match message.host_selection_retry_max_attempts {
            0 => 1,
            attempts => u32::try_from(attempts).unwrap_or(1),
        },
    }
}

fn matchers(
    field: &str,
    messages: &[pb::HeaderMatcher],
    faults: &mut Faults,
) -> Box<[HeaderMatcher]> {
    let mut compiled = Vec::with_capacity(messages.len());
    for (place, message) in messages.iter().enumerate() {
        compiled.push(faults.item(field, place, |f| HeaderMatcher::compile(message, f)));
    }
    compiled.into()
}

/// `previous_hosts` is the one that there is.
fn host_predicate(message: &RetryHostPredicate, faults: &mut Faults) {
    let Some(ConfigType::TypedConfig(any)) = &message.config_type else {
        faults.add("missing", format!("{} needs a typed_config", message.name));
        return;
    };
    if type_name(any) != PreviousHostsPredicate::full_name() {
        let why = format!("{} isn't supported", type_name(any));
        faults.add_at("typed_config", "unsupported", why);
    }
}
