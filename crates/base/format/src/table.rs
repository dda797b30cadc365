//! The list of operators: name and what it takes. Operators that Envoy knows and this proxy can't answer
//! are in [`REFUSED`], each with its reason; how the others compile is in `build`.

/// What may follow an operator's name.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Takes {
    Nothing,
    /// Parameters, or none; no length.
    Parameters,
    /// Parameters, or none, and a length.
    All,
    /// At least one parameter; no length.
    Required,
    /// At least one parameter, and a length.
    RequiredAll,
}

pub(crate) const NAMES: &[(&str, Takes)] = &[
    ("ACCESS_LOG_TYPE", Takes::Nothing),
    ("BYTES_RECEIVED", Takes::Nothing),
    ("BYTES_RETRANSMITTED", Takes::Nothing),
    ("BYTES_SENT", Takes::Nothing),
    ("COALESCE", Takes::RequiredAll),
    ("COMMON_DURATION", Takes::Required),
    ("CONNECTION_ID", Takes::Nothing),
    ("CONNECTION_TERMINATION_DETAILS", Takes::Nothing),
    ("CUSTOM_FLAGS", Takes::Nothing),
    ("DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", Takes::Nothing),
    ("DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", Takes::Nothing),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS", Takes::Nothing),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID", Takes::Nothing),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT", Takes::Parameters),
    ("DOWNSTREAM_DIRECT_LOCAL_PORT", Takes::Nothing),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", Takes::Nothing),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", Takes::Parameters),
    ("DOWNSTREAM_DIRECT_REMOTE_PORT", Takes::Nothing),
    ("DOWNSTREAM_HANDSHAKE_DURATION", Takes::Nothing),
    ("DOWNSTREAM_HEADER_BYTES_RECEIVED", Takes::Nothing),
    ("DOWNSTREAM_HEADER_BYTES_SENT", Takes::Nothing),
    ("DOWNSTREAM_LOCAL_ADDRESS", Takes::Nothing),
    ("DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID", Takes::Nothing),
    ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Takes::Parameters),
    ("DOWNSTREAM_LOCAL_PORT", Takes::Nothing),
    ("DOWNSTREAM_REMOTE_ADDRESS", Takes::Nothing),
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Takes::Parameters),
    ("DOWNSTREAM_REMOTE_PORT", Takes::Nothing),
    ("DOWNSTREAM_TRANSPORT_FAILURE_REASON", Takes::Nothing),
    ("DOWNSTREAM_WIRE_BYTES_RECEIVED", Takes::Nothing),
    ("DOWNSTREAM_WIRE_BYTES_SENT", Takes::Nothing),
    ("DRAGOMAN_CAUSE", Takes::Nothing),
    ("DURATION", Takes::Nothing),
    ("DYNAMIC_METADATA", Takes::RequiredAll),
    ("EMIT_TIME", Takes::Parameters),
    ("EMIT_TIME_LOCAL", Takes::Parameters),
    ("ENVIRONMENT", Takes::RequiredAll),
    ("FILTER_CHAIN_NAME", Takes::Nothing),
    ("FILTER_STATE", Takes::RequiredAll),
    ("GRPC_STATUS", Takes::Parameters),
    ("GRPC_STATUS_NUMBER", Takes::Nothing),
    ("HOSTNAME", Takes::Nothing),
    ("LISTENER_NAME", Takes::Nothing),
    ("LOCAL_REPLY_BODY", Takes::Nothing),
    ("METADATA", Takes::RequiredAll),
    ("PACKETS_RETRANSMITTED", Takes::Nothing),
    ("PATH", Takes::All),
    ("PROTOCOL", Takes::Nothing),
    ("QUERY_PARAM", Takes::RequiredAll),
    ("QUERY_PARAMS", Takes::All),
    ("REQ", Takes::RequiredAll),
    ("REQUESTED_SERVER_NAME", Takes::Parameters),
    ("REQUEST_DURATION", Takes::Nothing),
    ("REQUEST_HEADER", Takes::RequiredAll),
    ("REQUEST_HEADERS_BYTES", Takes::Nothing),
    ("REQUEST_TX_DURATION", Takes::Nothing),
    ("RESP", Takes::RequiredAll),
    ("RESPONSE_CODE", Takes::Nothing),
    ("RESPONSE_CODE_DETAILS", Takes::Parameters),
    ("RESPONSE_DURATION", Takes::Nothing),
    ("RESPONSE_FLAGS", Takes::Nothing),
    ("RESPONSE_FLAGS_LONG", Takes::Nothing),
    ("RESPONSE_HEADER", Takes::RequiredAll),
    ("RESPONSE_HEADERS_BYTES", Takes::Nothing),
    ("RESPONSE_TRAILER", Takes::RequiredAll),
    ("RESPONSE_TRAILERS_BYTES", Takes::Nothing),
    ("RESPONSE_TX_DURATION", Takes::Nothing),
    ("ROUNDTRIP_DURATION", Takes::Nothing),
    ("ROUTE_NAME", Takes::Nothing),
    ("SPAN_ID", Takes::Nothing),
    ("START_TIME", Takes::Parameters),
    ("START_TIME_LOCAL", Takes::Parameters),
    ("STREAM_ID", Takes::Nothing),
    ("TLS_JA3_FINGERPRINT", Takes::Nothing),
    ("TLS_JA4_FINGERPRINT", Takes::Nothing),
    ("TRACE_ID", Takes::Nothing),
    ("TRAILER", Takes::RequiredAll),
    ("UNIQUE_ID", Takes::Nothing),
    ("UPSTREAM_CLUSTER", Takes::Nothing),
    ("UPSTREAM_CLUSTER_RAW", Takes::Nothing),
    ("UPSTREAM_CONNECTION_ID", Takes::Nothing),
    ("UPSTREAM_CONNECTION_POOL_READY_DURATION", Takes::Nothing),
    ("UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", Takes::Nothing),
    ("UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", Takes::Nothing),
    ("UPSTREAM_FILTER_STATE", Takes::RequiredAll),
    ("UPSTREAM_HEADER_BYTES_RECEIVED", Takes::Nothing),
    ("UPSTREAM_HEADER_BYTES_SENT", Takes::Nothing),
    ("UPSTREAM_HOST", Takes::Nothing),
    ("UPSTREAM_HOST_NAME", Takes::Nothing),
    ("UPSTREAM_HOST_NAME_WITHOUT_PORT", Takes::Nothing),
    ("UPSTREAM_LOCAL_ADDRESS", Takes::Nothing),
    ("UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Takes::Parameters),
    ("UPSTREAM_LOCAL_PORT", Takes::Nothing),
    ("UPSTREAM_PROTOCOL", Takes::Nothing),
    ("UPSTREAM_REMOTE_ADDRESS", Takes::Nothing),
    ("UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID", Takes::Nothing),
    ("UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Takes::Parameters),
    ("UPSTREAM_REMOTE_PORT", Takes::Nothing),
    ("UPSTREAM_REQUEST_ATTEMPT_COUNT", Takes::Nothing),
    ("UPSTREAM_TRANSPORT_FAILURE_REASON", Takes::Nothing),
    ("UPSTREAM_WIRE_BYTES_RECEIVED", Takes::Nothing),
    ("UPSTREAM_WIRE_BYTES_SENT", Takes::Nothing),
];

/// Known to Envoy, with a value that this proxy doesn't have.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    ("CEL", "CEL expressions aren't built in"),
    ("TYPED_CEL", "CEL expressions aren't built in"),
    ("CLUSTER_METADATA", "a cluster's metadata isn't kept for formats"),
    ("UPSTREAM_METADATA", "an endpoint's metadata isn't kept for formats"),
    ("DOWNSTREAM_CX_RTT", "the connection's round-trip time isn't measured"),
    ("DOWNSTREAM_DETECTED_CLOSE_TYPE", "close types aren't recorded"),
    ("UPSTREAM_DETECTED_CLOSE_TYPE", "close types aren't recorded"),
    ("DOWNSTREAM_LOCAL_CLOSE_REASON", "close reasons aren't recorded"),
    ("UPSTREAM_LOCAL_CLOSE_REASON", "close reasons aren't recorded"),
    ("ROUTE_RESOLUTION_COUNT", "route look-ups aren't counted"),
    ("ROUTE_RESOLUTION_TIME_US", "route look-ups aren't timed"),
    ("UPSTREAM_CONNECTION_IDS_ATTEMPTED", "only the last attempt is kept"),
    ("UPSTREAM_HOSTS_ATTEMPTED", "only the last attempt is kept"),
    ("UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", "only the last attempt is kept"),
    ("UPSTREAM_HOST_NAMES_ATTEMPTED", "only the last attempt is kept"),
    ("UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT", "only the last attempt is kept"),
    ("VIRTUAL_CLUSTER_NAME", "virtual clusters aren't built in"),
    ("DOWNSTREAM_TLS_SESSION_ID", "sessions aren't told apart"),
    ("UPSTREAM_TLS_SESSION_ID", "sessions aren't told apart"),
    ("UPSTREAM_SERVER_NAME", "the name that a host was asked for isn't recorded"),
    ("DOWNSTREAM_PEER_OTHERNAME_SAN", "names of kind otherName aren't read"),
    ("DOWNSTREAM_LOCAL_OTHERNAME_SAN", "names of kind otherName aren't read"),
    ("DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256", "only the client's own certificate is recorded"),
    ("DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1", "only the client's own certificate is recorded"),
    ("DOWNSTREAM_PEER_CHAIN_SERIALS", "only the client's own certificate is recorded"),
    ("DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256", "only the client's own certificate is recorded"),
    ("DOWNSTREAM_PEER_ISSUER_SERIAL", "only the client's own certificate is recorded"),
    ("FILE_CONTENT", "files in formats aren't built in"),
    ("SECRET", "secrets in formats aren't built in"),
];

/// TLS operators. Those that end in `CERT_V_START` and `CERT_V_END` take a time format.
pub(crate) fn tls(name: &str) -> Option<Takes> {
    let sides = ["DOWNSTREAM_LOCAL_", "DOWNSTREAM_PEER_", "UPSTREAM_LOCAL_", "UPSTREAM_PEER_"];
    let side = sides.iter().find_map(|side| name.strip_prefix(side).map(|rest| (*side, rest)));
    let known = match side {
        Some((side, "IP_SAN" | "DNS_SAN" | "URI_SAN" | "SUBJECT")) => {
            side != "UPSTREAM_LOCAL_" || name != "UPSTREAM_LOCAL_SUBJECT"
        }
        Some((side, "EMAIL_SAN")) => side.starts_with("DOWNSTREAM"),
        Some((side, "ISSUER" | "CERT")) => side.ends_with("PEER_"),
        Some((side, "CERT_V_START" | "CERT_V_END")) if side.ends_with("PEER_") => {
            return Some(Takes::Parameters);
        }
        Some(("DOWNSTREAM_PEER_", rest)) => {
            matches!(rest, "FINGERPRINT_256" | "FINGERPRINT_1" | "SERIAL")
        }
        Some(_) => false,
        None => matches!(
            name,
            "DOWNSTREAM_TLS_CIPHER"
                | "DOWNSTREAM_TLS_GROUP"
                | "DOWNSTREAM_TLS_VERSION"
                | "UPSTREAM_TLS_CIPHER"
                | "UPSTREAM_TLS_GROUP"
                | "UPSTREAM_TLS_VERSION"
        ),
    };
    known.then_some(Takes::Nothing)
}
