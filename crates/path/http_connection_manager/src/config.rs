//! The connection manager's configuration, compiled once: everything but routes, filters and logs,
//! which other crates compile from the same message.

use std::net::IpAddr;
use std::time::Duration;

use dragoman_matcher::CidrRange;
use dragoman_proto::http2::Http2Options;
use dragoman_proto::pb::envoy::config::core::v3 as core;
use dragoman_proto::pb::envoy::config::core::v3::http_protocol_options::HeadersWithUnderscoresAction;
use dragoman_proto::pb::envoy::extensions::filters::network::http_connection_manager::v3 as proto;
use dragoman_proto::pb::envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig;
use dragoman_proto::{bool_or, duration, timeout, u32_or, unpack};
use dragoman_types::headers::line_of;
use dragoman_types::{Faults, id};
use proto::HttpConnectionManager;
use proto::http_connection_manager as hcm;

use crate::client_address::{ClientAddressRules, InternalAddresses};
use crate::client_cert::ForwardClientCert;
use crate::host::{HostRules, StripPort};
use crate::path::{EscapedSlashes, PathRules};
use crate::reply::{CompileFilter, ReplyRules};
use crate::request_id::RequestIdRules;
use crate::upgrade::Upgrade;

/// Durations; `None` means "no limit".
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timeouts {
    pub stream_idle: Option<Duration>,
    /// Unset means [`Timeouts::stream_idle`].
    pub stream_flush: Option<Duration>,
    pub request: Option<Duration>,
    pub request_headers: Option<Duration>,
    pub connection_idle: Option<Duration>,
    pub max_connection: Option<Duration>,
    pub max_stream: Option<Duration>,
    pub drain: Duration,
    pub delayed_close: Option<Duration>,
}

/// Limits that the codec and the driver keep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    pub max_request_headers_bytes: usize,
    pub max_headers_count: usize,
    pub max_requests_per_connection: Option<u32>,
}

/// `Http1ProtocolOptions` of the downstream side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Http1Options {
    pub accept_http_10: bool,
    /// Empty: none.
    pub default_host_for_http_10: Box<[u8]>,
    pub allow_absolute_url: bool,
    pub enable_trailers: bool,
    /// `Content-Type` rather than `content-type`.
    pub proper_case: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CodecType {
    #[default]
    Auto,
    Http1,
    Http2,
    Http3,
}

/// What to do with requests whose field names hold underscores.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Underscores {
    #[default]
    Allow,
    Reject,
    Drop,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ServerHeader {
    #[default]
    Overwrite,
    AppendIfAbsent,
    PassThrough,
}

/// `add_user_agent`: who we are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserAgent {
    pub cluster: Box<[u8]>,
    pub node: Box<[u8]>,
}

/// `bootstrap.node`, as far as it is sent on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Node {
    pub id: String,
    pub cluster: String,
}

/// A compiled `HttpConnectionManager`, without `route_config`, `http_filters` and `access_log`.
#[derive(Debug)]
pub struct Config {
    pub stat_prefix: Box<str>,
    pub codec_type: CodecType,
    pub timeouts: Timeouts,
    pub limits: Limits,
    pub http1: Http1Options,
    pub http2: Http2Options,
    pub server: ServerHeader,
    /// The line of the `server` field.
    pub server_line: Box<[u8]>,
    pub proxy_100_continue: bool,
    pub underscores: Underscores,
    /// HTTP/1 connections outlive a malformed request.
    pub stream_error_on_invalid_message: bool,
    pub client: ClientAddressRules,
    /// Upstream `:scheme` follows the upstream's transport.
    pub scheme_match_upstream: bool,
    pub path: PathRules,
    pub host: HostRules,
    pub via: Box<[u8]>,
    pub user_agent: Option<UserAgent>,
    pub request_id: RequestIdRules,
    pub forward_client_cert: ForwardClientCert,
    pub upgrades: Vec<Upgrade>,
    pub(crate) replies: ReplyRules,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Config {
    /// Compiles `m`. Options that aren't kept are faults, not silence.
    pub fn compile(
        m: &HttpConnectionManager,
        node: &Node,
        filter: CompileFilter<'_>,
        faults: &mut Faults,
    ) -> Config {
        refuse_unsupported(m, faults);
        let common = m.common_http_protocol_options.unwrap_or_default();
        let http1 = m.http_protocol_options.clone().unwrap_or_default();
        if m.stat_prefix.is_empty() {
            faults.add_at("stat_prefix", "empty", "must not be empty");
        }
        Config {
            stat_prefix: m.stat_prefix.as_str().into(),
            codec_type: match m.codec_type() {
                hcm::CodecType::Auto => CodecType::Auto,
                hcm::CodecType::Http1 => CodecType::Http1,
                hcm::CodecType::Http2 => CodecType::Http2,
                hcm::CodecType::Http3 => CodecType::Http3,
            },
            timeouts: timeouts(m, &common),
            limits: limits(m, &common),
            server: match m.server_header_transformation() {
                hcm::ServerHeaderTransformation::Overwrite => ServerHeader::Overwrite,
                hcm::ServerHeaderTransformation::AppendIfAbsent => ServerHeader::AppendIfAbsent,
                hcm::ServerHeaderTransformation::PassThrough => ServerHeader::PassThrough,
            },
            server_line: line_of(id::SERVER, &text_or(&m.server_name, "envoy")).into(),
            proxy_100_continue: m.proxy_100_continue,
            underscores: match common.headers_with_underscores_action() {
                HeadersWithUnderscoresAction::Allow => Underscores::Allow,
                HeadersWithUnderscoresAction::RejectRequest => Underscores::Reject,
                HeadersWithUnderscoresAction::DropHeader => Underscores::Drop,
            },
            stream_error_on_invalid_message: bool_or(
                http1.override_stream_error_on_invalid_http_message.as_ref(),
                bool_or(m.stream_error_on_invalid_http_message.as_ref(), false),
            ),
            http1: faults.field("http_protocol_options", |faults| http1_options(&http1, faults)),
            http2: http2_options(m, faults),
            client: client_address(m, faults),
            scheme_match_upstream: m
                .scheme_header_transformation
                .as_ref()
                .is_some_and(|s| s.match_upstream && s.transformation.is_none()),
            path: path_rules(m),
            host: host_rules(m),
            via: m.via.as_bytes().into(),
            user_agent: bool_or(m.add_user_agent.as_ref(), false).then(|| UserAgent {
                cluster: node.cluster.as_bytes().into(),
                node: node.id.as_bytes().into(),
            }),
            request_id: request_id(m, faults),
            forward_client_cert: ForwardClientCert::compile(m),
            upgrades: crate::upgrade::compile(&m.upgrade_configs, faults),
            replies: m.local_reply_config.as_ref().map_or_else(Default::default, |replies| {
                faults.field("local_reply_config", |f| ReplyRules::compile(replies, filter, f))
            }),
        }
    }
}

fn text_or(text: &str, default: &str) -> Box<[u8]> {
    if text.is_empty() { default.as_bytes().into() } else { text.as_bytes().into() }
}

/// Fields for which there is no code yet: using one must not pass unnoticed.
fn refuse_unsupported(m: &HttpConnectionManager, faults: &mut Faults) {
    let set = [
        ("tracing", m.tracing.is_some()),
        ("http3_protocol_options", m.http3_protocol_options.is_some()),
        ("http1_safe_max_connection_duration", m.http1_safe_max_connection_duration),
        ("drain_timeout_jitter", m.drain_timeout_jitter.is_some()),
        (
            "common_http_protocol_options.max_connection_duration_jitter",
            m.common_http_protocol_options
                .is_some_and(|common| common.max_connection_duration_jitter.is_some()),
        ),
        ("original_ip_detection_extensions", !m.original_ip_detection_extensions.is_empty()),
        ("early_header_mutation_extensions", !m.early_header_mutation_extensions.is_empty()),
        ("forward_client_cert_matcher", m.forward_client_cert_matcher.is_some()),
        (
            "represent_ipv4_remote_address_as_ipv4_mapped_ipv6",
            m.represent_ipv4_remote_address_as_ipv4_mapped_ipv6,
        ),
        ("path_normalization_options", m.path_normalization_options.is_some()),
        ("proxy_status_config", m.proxy_status_config.is_some()),
        ("typed_header_validation_config", m.typed_header_validation_config.is_some()),
        ("append_local_overload", m.append_local_overload),
        ("forward_proto_config", m.forward_proto_config.is_some()),
    ];
    for (field, set) in set {
        if set {
            faults.add_at(field, "unsupported", "this option isn't supported yet");
        }
    }
}

fn timeouts(m: &HttpConnectionManager, common: &core::HttpProtocolOptions) -> Timeouts {
    let stream_idle = timeout(m.stream_idle_timeout.as_ref(), Some(5 * MINUTE));
    Timeouts {
        stream_idle,
        stream_flush: timeout(m.stream_flush_timeout.as_ref(), stream_idle),
        request: timeout(m.request_timeout.as_ref(), None),
        request_headers: timeout(m.request_headers_timeout.as_ref(), None),
        connection_idle: timeout(common.idle_timeout.as_ref(), Some(60 * MINUTE)),
        max_connection: timeout(common.max_connection_duration.as_ref(), None),
        max_stream: timeout(common.max_stream_duration.as_ref(), None),
        drain: m.drain_timeout.as_ref().map_or(Duration::from_secs(5), duration),
        delayed_close: timeout(m.delayed_close_timeout.as_ref(), Some(Duration::from_secs(1))),
    }
}

fn limits(m: &HttpConnectionManager, common: &core::HttpProtocolOptions) -> Limits {
    let requests = u32_or(common.max_requests_per_connection.as_ref(), 0);
    Limits {
        max_request_headers_bytes: u32_or(m.max_request_headers_kb.as_ref(), 60) as usize * 1024,
        max_headers_count: u32_or(common.max_headers_count.as_ref(), 100) as usize,
        max_requests_per_connection: (requests > 0).then_some(requests),
    }
}

fn http1_options(m: &core::Http1ProtocolOptions, faults: &mut Faults) -> Http1Options {
    use core::http1_protocol_options::header_key_format::HeaderFormat;
    let set = [
        ("allow_chunked_length", m.allow_chunked_length),
        ("allow_custom_methods", m.allow_custom_methods),
        ("ignore_http_11_upgrade", !m.ignore_http_11_upgrade.is_empty()),
    ];
    for (field, set) in set {
        if set {
            faults.add_at(field, "unsupported", "this option isn't supported yet");
        }
    }
    let format = m.header_key_format.as_ref().and_then(|format| format.header_format.as_ref());
    let proper_case = match format {
        None => false,
        Some(HeaderFormat::ProperCaseWords(_)) => true,
        Some(HeaderFormat::StatefulFormatter(_)) => {
            let why = "only proper_case_words is supported yet";
            faults.add_at("header_key_format.stateful_formatter", "unsupported", why);
            false
        }
    };
    Http1Options {
        accept_http_10: m.accept_http_10,
        default_host_for_http_10: m.default_host_for_http_10.as_bytes().into(),
        allow_absolute_url: bool_or(m.allow_absolute_url.as_ref(), true),
        enable_trailers: m.enable_trailers,
        proper_case,
    }
}

fn http2_options(m: &HttpConnectionManager, faults: &mut Faults) -> Http2Options {
    m.http2_protocol_options.as_ref().map_or_else(Http2Options::default, |http2| {
        faults.field("http2_protocol_options", |faults| Http2Options::compile(http2, faults))
    })
}

fn client_address(m: &HttpConnectionManager, faults: &mut Faults) -> ClientAddressRules {
    use core::scheme_header_transformation::Transformation;
    let transformation =
        m.scheme_header_transformation.as_ref().and_then(|s| s.transformation.as_ref());
    let scheme = match transformation {
        None => None,
        Some(Transformation::SchemeToOverwrite(scheme)) => match scheme.as_str() {
            "http" => Some("http"),
            "https" => Some("https"),
            _ => {
                let field = "scheme_header_transformation.scheme_to_overwrite";
                faults.add_at(field, "bad-scheme", "must be http or https");
                None
            }
        },
    };
    ClientAddressRules {
        use_remote_address: bool_or(m.use_remote_address.as_ref(), false),
        trusted_hops: m.xff_num_trusted_hops,
        skip_append: m.skip_xff_append,
        append_port: m.append_x_forwarded_port,
        internal: m.internal_address_config.as_ref().map_or_else(Default::default, |config| {
            faults.field("internal_address_config", |faults| internal_addresses(config, faults))
        }),
        scheme,
    }
}

fn internal_addresses(m: &hcm::InternalAddressConfig, faults: &mut Faults) -> InternalAddresses {
    let mut ranges = Vec::new();
    for (index, range) in m.cidr_ranges.iter().enumerate() {
        ranges.extend(faults.item("cidr_ranges", index, |f| CidrRange::compile(range, f)));
    }
    // A real Envoy takes an empty list for the private ranges it trusted by default before 1.33.
    if m.cidr_ranges.is_empty() {
        ranges.extend(private_ranges());
    }
    InternalAddresses { unix_sockets: m.unix_sockets, ranges }
}

fn private_ranges() -> impl Iterator<Item = CidrRange> {
    let v4 =
        [([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16), ([127, 0, 0, 0], 8)];
    let v6 = [
        (std::net::Ipv6Addr::LOCALHOST, 128),
        (std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0), 8),
    ];
    let v4 = v4.into_iter().map(|(base, bits)| CidrRange::new(IpAddr::from(base), bits));
    v4.chain(v6.into_iter().map(|(base, bits)| CidrRange::new(base.into(), bits)))
}

fn path_rules(m: &HttpConnectionManager) -> PathRules {
    use hcm::PathWithEscapedSlashesAction as Action;
    PathRules {
        normalize: bool_or(m.normalize_path.as_ref(), false),
        merge_slashes: m.merge_slashes,
        escaped_slashes: match m.path_with_escaped_slashes_action() {
            Action::ImplementationSpecificDefault | Action::KeepUnchanged => EscapedSlashes::Keep,
            Action::RejectRequest => EscapedSlashes::Reject,
            Action::UnescapeAndRedirect => EscapedSlashes::UnescapeAndRedirect,
            Action::UnescapeAndForward => EscapedSlashes::UnescapeAndForward,
        },
    }
}

fn host_rules(m: &HttpConnectionManager) -> HostRules {
    let any = m.strip_port_mode.as_ref().is_some_and(|mode| {
        let hcm::StripPortMode::StripAnyHostPort(any) = mode;
        *any
    });
    let strip_port = match (any, m.strip_matching_host_port) {
        (true, _) => StripPort::Any,
        (false, true) => StripPort::Matching,
        (false, false) => StripPort::None,
    };
    HostRules { strip_port, strip_trailing_dot: m.strip_trailing_host_dot }
}

fn request_id(m: &HttpConnectionManager, faults: &mut Faults) -> RequestIdRules {
    let any = m.request_id_extension.as_ref().and_then(|extension| extension.typed_config.as_ref());
    let uuid = any.and_then(|any| {
        faults.field("request_id_extension.typed_config", |faults| {
            unpack::<UuidRequestIdConfig>(any, faults)
        })
    });
    RequestIdRules {
        generate: bool_or(m.generate_request_id.as_ref(), true),
        preserve_external: m.preserve_external_request_id,
        always_in_response: m.always_set_request_id_in_response,
        pack_trace_reason: uuid.is_none_or(|uuid| bool_or(uuid.pack_trace_reason.as_ref(), true)),
    }
}
