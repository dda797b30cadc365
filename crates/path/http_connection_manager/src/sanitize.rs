//! What a client may not tell us: fields by which Envoys command each other are taken off requests
//! that come from outside. The lists are what a real Envoy 1.40 takes off.

use dragoman_types::{IdSet, id};

/// From every request: only we say whether it is an inner one.
pub(crate) const ALWAYS: IdSet = IdSet::of(&[id::X_ENVOY_INTERNAL]);

/// From every request that isn't an inner one.
pub(crate) const EXTERNAL: IdSet = IdSet::of(&[
    id::X_ENVOY_RETRIABLE_STATUS_CODES,
    id::X_ENVOY_RETRIABLE_HEADER_NAMES,
    id::X_ENVOY_RETRY_ON,
    id::X_ENVOY_RETRY_GRPC_ON,
    id::X_ENVOY_MAX_RETRIES,
    id::X_ENVOY_UPSTREAM_ALT_STAT_NAME,
    id::X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS,
    id::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS,
    id::X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE,
    id::X_ENVOY_UPSTREAM_STREAM_DURATION_MS,
    id::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS,
    id::X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT,
    id::X_ENVOY_FORCE_TRACE,
    id::X_ENVOY_IP_TAGS,
    id::X_ENVOY_ORIGINAL_URL,
]);

/// From requests for which we are the first trusted hop, besides [`EXTERNAL`].
pub(crate) const EDGE: IdSet = IdSet::of(&[
    id::X_ENVOY_DECORATOR_OPERATION,
    id::X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER,
    id::X_ENVOY_DOWNSTREAM_SERVICE_NODE,
    id::X_ENVOY_ORIGINAL_PATH,
    id::X_ENVOY_ORIGINAL_HOST,
]);
