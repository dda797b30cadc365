//! `TransportSocket`: what lies between a connection's bytes and its protocol.

use std::sync::Arc;

use dragoman_cluster::endpoints::known_address;
use dragoman_proto::pb::envoy::config::core::v3::{TransportSocket, transport_socket::ConfigType};
use dragoman_proto::pb::envoy::extensions::transport_sockets::http_11_proxy::v3::Http11ProxyUpstreamTransport;
use dragoman_proto::pb::envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::{type_name, unpack};
use dragoman_proxy_protocol::ProxyProtocol;
use dragoman_transport::tls::{Current, Secrets};
use dragoman_transport::{DownstreamTls, UpstreamTls};
use dragoman_types::Faults;
use dragoman_worker::snapshot::HttpProxy;

const RAW_BUFFER: &str = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";
const DOWNSTREAM: &str = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const UPSTREAM: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
const HTTP_PROXY: &str =
    "envoy.extensions.transport_sockets.http_11_proxy.v3.Http11ProxyUpstreamTransport";
const PROXY_PROTOCOL: &str =
    "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport";

/// TLS towards clients; `None`: plain bytes, or a fault.
pub(crate) fn downstream(
    socket: Option<&TransportSocket>,
    secrets: &dyn Secrets,
    faults: &mut Faults,
) -> Option<Arc<Current<DownstreamTls>>> {
    typed(socket, &[DOWNSTREAM], faults, |any, faults| {
        let message = unpack(any, faults)?;
        DownstreamTls::compile(&message, secrets, faults).map(Arc::new)
    })
}

/// What lies between a host and its protocol.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpstreamSocket {
    /// The header that comes first.
    pub(crate) proxy_protocol: Option<Arc<ProxyProtocol>>,
    /// Hosts are reached through HTTP proxies.
    pub(crate) http_proxy: Option<Arc<HttpProxy>>,
    /// `None`: plain bytes.
    pub(crate) tls: Option<Arc<Current<UpstreamTls>>>,
}

/// Towards hosts; nothing where there is no socket, or a fault.
pub(crate) fn upstream(
    socket: Option<&TransportSocket>,
    secrets: &dyn Secrets,
    faults: &mut Faults,
) -> UpstreamSocket {
    let known = [UPSTREAM, PROXY_PROTOCOL, HTTP_PROXY];
    let compiled = typed(socket, &known, faults, |any, faults| {
        match type_name(any) {
            PROXY_PROTOCOL => return proxy_protocol(any, secrets, faults),
            HTTP_PROXY => return http_proxy(any, secrets, faults),
            _ => {}
        }
        let message = unpack(any, faults)?;
        let tls = UpstreamTls::compile(&message, secrets, faults).map(Arc::new);
        Some(UpstreamSocket { tls, ..UpstreamSocket::default() })
    });
    compiled.unwrap_or_default()
}

fn proxy_protocol(any: &Any, secrets: &dyn Secrets, faults: &mut Faults) -> Option<UpstreamSocket> {
    let message: ProxyProtocolUpstreamTransport = unpack(any, faults)?;
    let config = message.config.unwrap_or_default();
    let compiled = faults.field("config", |faults| ProxyProtocol::compile(&config, faults));
    let inner = upstream(message.transport_socket.as_ref(), secrets, faults);
    refuse_nested(&inner, faults);
    Some(UpstreamSocket { proxy_protocol: Some(Arc::new(compiled)), ..inner })
}

fn http_proxy(any: &Any, secrets: &dyn Secrets, faults: &mut Faults) -> Option<UpstreamSocket> {
    let message: Http11ProxyUpstreamTransport = unpack(any, faults)?;
    let default = faults.field("default_proxy_address", |faults| {
        known_address(message.default_proxy_address.as_ref()?, faults)
    });
    let inner = upstream(message.transport_socket.as_ref(), secrets, faults);
    refuse_nested(&inner, faults);
    Some(UpstreamSocket { http_proxy: Some(Arc::new(HttpProxy { default })), ..inner })
}

fn refuse_nested(inner: &UpstreamSocket, faults: &mut Faults) {
    if inner.proxy_protocol.is_some() || inner.http_proxy.is_some() {
        let why = "within this socket there can be TLS or plain bytes";
        faults.add_at("transport_socket", "unsupported", why);
    }
}

/// The keys of the secrets that the socket's context fetches.
pub(crate) fn fetches(socket: Option<&TransportSocket>) -> Vec<String> {
    let Some(ConfigType::TypedConfig(any)) = socket.and_then(|s| s.config_type.as_ref()) else {
        return Vec::new();
    };
    let mut unread = Faults::new();
    match type_name(any) {
        DOWNSTREAM => unpack(any, &mut unread).map(|m| DownstreamTls::fetches(&m)),
        UPSTREAM => unpack(any, &mut unread).map(|m| UpstreamTls::fetches(&m)),
        HTTP_PROXY => unpack(any, &mut unread)
            .map(|m: Http11ProxyUpstreamTransport| fetches(m.transport_socket.as_ref())),
        PROXY_PROTOCOL => unpack(any, &mut unread)
            .map(|m: ProxyProtocolUpstreamTransport| fetches(m.transport_socket.as_ref())),
        _ => None,
    }
    .unwrap_or_default()
}

fn typed<T>(
    socket: Option<&TransportSocket>,
    wanted: &[&str],
    faults: &mut Faults,
    compile: impl FnOnce(&Any, &mut Faults) -> Option<T>,
) -> Option<T> {
    let socket = socket?;
    faults.field("transport_socket", |faults| {
        let Some(ConfigType::TypedConfig(any)) = &socket.config_type else {
            let known = matches!(&*socket.name, "" | "envoy.transport_sockets.raw_buffer");
            if !known {
                faults.add("missing", format!("{} needs a typed_config", socket.name));
            }
            return None;
        };
        faults.field("typed_config", |faults| match type_name(any) {
            RAW_BUFFER => None,
            name if wanted.contains(&name) => compile(any, faults),
            name => {
                faults.add(
                    "unsupported",
                    format!("the transport socket {name} isn't supported here"),
                );
                None
            }
        })
    })
}
