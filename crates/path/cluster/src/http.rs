//! How HTTP is spoken to a cluster.
//! Source: `envoy.extensions.upstreams.http.v3.HttpProtocolOptions`, and the cluster's own older
//! fields of the same meaning.

use std::net::IpAddr;
use std::time::Duration;

use dragoman_proto::http2::Http2Options;
use dragoman_proto::pb::envoy::config::cluster::v3 as pb;
use dragoman_proto::pb::envoy::config::core::v3 as core;
use dragoman_proto::pb::envoy::extensions::upstreams::http::v3 as upstreams;
use dragoman_proto::{timeout, unpack};
use dragoman_types::headers::HeaderName;
use dragoman_types::{Faults, RequestHead};

const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Which version is spoken to a cluster's hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UpstreamProtocol {
    #[default]
    Http1,
    Http2,
    /// What the host picks by ALPN (`auto_config`).
    Auto,
    /// The client's (`use_downstream_protocol_config`).
    Downstream,
}

#[derive(Clone, Debug)]
pub struct UpstreamHttp {
    pub protocol: UpstreamProtocol,
    pub http2: Http2Options,
    /// A connection that served nothing for so long is closed; `None` = never.
    pub idle_timeout: Option<Duration>,
    pub max_connection_duration: Option<Duration>,
    /// 0 = no limit.
    pub max_requests_per_connection: u32,
    pub max_headers_count: usize,
    pub max_response_headers_bytes: usize,
    pub max_stream_duration: Option<Duration>,
    pub proper_case: bool,
    pub enable_trailers: bool,
    /// `None`: a host has one name, whatever is asked of it.
    pub names: Option<RequestNames>,
}

/// Hosts are named as the requests name them (`UpstreamHttpProtocolOptions`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestNames {
    pub auto_sni: bool,
    pub auto_san_validation: bool,
    /// The header that has the name; the authority where it's missing or empty.
    pub header: Option<HeaderName>,
}

impl RequestNames {
    fn compile(message: &core::UpstreamHttpProtocolOptions) -> Option<RequestNames> {
        let header = &*message.override_auto_sni_header;
        let names = RequestNames {
            auto_sni: message.auto_sni,
            auto_san_validation: message.auto_san_validation,
            header: (!header.is_empty()).then(|| HeaderName::new(header)),
        };
        (names.auto_sni || names.auto_san_validation).then_some(names)
    }

    /// The DNS name or IP address by which a request means its host. Where a certificate must have it, a
    /// request that says none means "", which no certificate has.
    pub fn of<'r>(&self, request: &'r RequestHead) -> Option<&'r str> {
        let told = self.header.as_ref().and_then(|header| request.headers.get(header));
        let told = told.filter(|told| !told.is_empty()).unwrap_or(request.authority());
        let name = host_of(told);
        if self.auto_san_validation {
            return Some(name.unwrap_or_default());
        }
        // No host is asked for by its address.
        name.filter(|name| name.parse::<IpAddr>().is_err())
    }
}

/// An authority without its port, and without an IPv6 address's brackets.
fn host_of(authority: &[u8]) -> Option<&str> {
    let host = std::str::from_utf8(authority).ok()?;
    let host = match host.rsplit_once(':') {
        // A bare IPv6 address has colons of its own.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            if port.bytes().all(|byte| byte.is_ascii_digit()) { host } else { return None }
        }
        _ => host,
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Some(address.unwrap_or(host)).filter(|host| !host.is_empty())
}

impl Default for UpstreamHttp {
    fn default() -> UpstreamHttp {
        UpstreamHttp {
            protocol: UpstreamProtocol::Http1,
            http2: Http2Options::default(),
            idle_timeout: Some(Duration::from_secs(3600)),
            max_connection_duration: None,
            max_requests_per_connection: 0,
            max_headers_count: 100,
            max_response_headers_bytes: 60 << 10,
            max_stream_duration: None,
            proper_case: false,
            enable_trailers: false,
            names: None,
        }
    }
}

impl UpstreamHttp {
    pub(crate) fn compile(cluster: &pb::Cluster, faults: &mut Faults) -> UpstreamHttp {
        let mut http = UpstreamHttp::default();
        #[allow(deprecated)]
        if let Some(max) = &cluster.max_requests_per_connection {
            http.max_requests_per_connection = max.value;
        }
        #[allow(deprecated)]
        http.apply_common(cluster.common_http_protocol_options.as_ref());
        #[allow(deprecated)]
        http.apply_http1(cluster.http_protocol_options.as_ref());
        #[allow(deprecated)]
        if let Some(options) = &cluster.http2_protocol_options {
            http.protocol = UpstreamProtocol::Http2;
            http.apply_http2("http2_protocol_options", Some(options), faults);
        }
        #[allow(deprecated)]
        if cluster.protocol_selection()
            == pb::cluster::ClusterProtocolSelection::UseDownstreamProtocol
        {
            http.protocol = UpstreamProtocol::Downstream;
        }
        #[allow(deprecated)]
        http.apply_names(cluster.upstream_http_protocol_options.as_ref());
        for (name, any) in &cluster.typed_extension_protocol_options {
            faults.field(&format!("typed_extension_protocol_options[{name}]"), |faults| {
                if name == OPTIONS {
                    http.apply(unpack(any, faults).unwrap_or_default(), faults);
                } else {
                    faults.add("unsupported", format!("only {OPTIONS} is supported here"));
                }
            });
        }
        http
    }

    fn apply(&mut self, options: upstreams::HttpProtocolOptions, faults: &mut Faults) {
        use upstreams::http_protocol_options::UpstreamProtocolOptions as Upstream;
        use upstreams::http_protocol_options::explicit_http_config::ProtocolConfig;
        self.apply_common(options.common_http_protocol_options.as_ref());
        self.apply_names(options.upstream_http_protocol_options.as_ref());
        match options.upstream_protocol_options {
            Some(Upstream::ExplicitHttpConfig(explicit)) => match explicit.protocol_config {
                Some(ProtocolConfig::HttpProtocolOptions(http1)) => {
                    self.protocol = UpstreamProtocol::Http1;
                    self.apply_http1(Some(&http1));
                }
                Some(ProtocolConfig::Http2ProtocolOptions(http2)) => {
                    self.protocol = UpstreamProtocol::Http2;
                    let field = "explicit_http_config.http2_protocol_options";
                    self.apply_http2(field, Some(&http2), faults);
                }
                None => {}
                Some(_) => faults.add_at(
                    "explicit_http_config",
                    "unsupported",
                    "HTTP/3 isn't spoken to hosts yet",
                ),
            },
            Some(Upstream::AutoConfig(auto)) => {
                self.protocol = UpstreamProtocol::Auto;
                self.apply_http1(auto.http_protocol_options.as_ref());
                let http2 = auto.http2_protocol_options.as_ref();
                self.apply_http2("auto_config.http2_protocol_options", http2, faults);
                if auto.http3_protocol_options.is_some() {
                    let why = "HTTP/3 isn't spoken to hosts yet";
                    faults.add_at("auto_config.http3_protocol_options", "unsupported", why);
                }
            }
            Some(Upstream::UseDownstreamProtocolConfig(same)) => {
                self.protocol = UpstreamProtocol::Downstream;
                self.apply_http1(same.http_protocol_options.as_ref());
                let field = "use_downstream_protocol_config.http2_protocol_options";
                self.apply_http2(field, same.http2_protocol_options.as_ref(), faults);
                if same.http3_protocol_options.is_some() {
                    let field = "use_downstream_protocol_config.http3_protocol_options";
                    faults.add_at(field, "unsupported", "HTTP/3 isn't spoken to hosts yet");
                }
            }
            None => {}
        }
    }

    fn apply_common(&mut self, common: Option<&core::HttpProtocolOptions>) {
        let Some(common) = common else { return };
        self.idle_timeout = timeout(common.idle_timeout.as_ref(), self.idle_timeout);
        self.max_connection_duration = timeout(common.max_connection_duration.as_ref(), None);
        self.max_stream_duration = timeout(common.max_stream_duration.as_ref(), None);
        if let Some(max) = &common.max_requests_per_connection {
            self.max_requests_per_connection = max.value;
        }
        if let Some(max) = &common.max_headers_count {
            self.max_headers_count = max.value as usize;
        }
        if let Some(max) = &common.max_response_headers_kb {
            self.max_response_headers_bytes = (max.value as usize) << 10;
        }
    }

    fn apply_names(&mut self, names: Option<&core::UpstreamHttpProtocolOptions>) {
        if let Some(names) = names {
            self.names = RequestNames::compile(names);
        }
    }

    fn apply_http2(
        &mut self,
        field: &str,
        http2: Option<&core::Http2ProtocolOptions>,
        faults: &mut Faults,
    ) {
        if let Some(http2) = http2 {
            self.http2 = faults.field(field, |faults| Http2Options::compile(http2, faults));
        }
    }

    fn apply_http1(&mut self, http1: Option<&core::Http1ProtocolOptions>) {
        use core::http1_protocol_options::header_key_format::HeaderFormat;
        let Some(http1) = http1 else { return };
        self.enable_trailers = http1.enable_trailers;
        let format = http1.header_key_format.as_ref().and_then(|f| f.header_format.as_ref());
        self.proper_case = matches!(format, Some(HeaderFormat::ProperCaseWords(_)));
    }
}

#[cfg(test)]
mod tests {
    use dragoman_types::id;

    use super::*;

    fn name(authority: &str, header: Option<&str>) -> Option<String> {
        let mut request = RequestHead::default();
        request.headers.append(id::AUTHORITY, authority.as_bytes());
        if let Some(value) = header {
            request.headers.append(&b"x-name"[..], value.as_bytes());
        }
        let message = core::UpstreamHttpProtocolOptions {
            auto_sni: true,
            override_auto_sni_header: "x-name".into(),
            ..Default::default()
        };
        RequestNames::compile(&message).and_then(|names| names.of(&request).map(str::to_owned))
    }

    #[test]
    fn a_request_names_its_host() {
        assert_eq!(name("a.example.com:8443", None).as_deref(), Some("a.example.com"));
        assert_eq!(name("a", Some("b")).as_deref(), Some("b"));
        assert_eq!(name("a", Some("")).as_deref(), Some("a"));
        for nobody in ["", ":80", "a:b", "[]", "[::1]:80", "127.0.0.1"] {
            assert_eq!(name(nobody, None), None, "{nobody}");
        }
        let names = RequestNames { auto_sni: true, auto_san_validation: true, header: None };
        let checked = [("[::1]:80", "::1"), ("[::1]", "::1"), ("a:b", ""), ("", ""), (":80", "")];
        for (authority, name) in checked {
            let mut request = RequestHead::default();
            request.headers.append(id::AUTHORITY, authority.as_bytes());
            assert_eq!(names.of(&request), Some(name), "{authority}");
        }
    }
}
