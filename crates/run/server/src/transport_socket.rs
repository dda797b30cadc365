//! `TransportSocket`: what lies between a connection's bytes and its protocol.

use std::sync::Arc;

use dragoman_proto::pb::envoy::config::core::v3::{TransportSocket, transport_socket::ConfigType};
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::{type_name, unpack};
use dragoman_transport::tls::{Current, Secrets};
use dragoman_transport::{DownstreamTls, UpstreamTls};
use dragoman_types::Faults;

const RAW_BUFFER: &str = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";
const DOWNSTREAM: &str = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const UPSTREAM: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

/// TLS towards clients; `None`: plain bytes, or a fault.
pub(crate) fn downstream(
    socket: Option<&TransportSocket>,
    secrets: &dyn Secrets,
    faults: &mut Faults,
) -> Option<Arc<Current<DownstreamTls>>> {
    typed(socket, DOWNSTREAM, faults, |any, faults| {
        let message = unpack(any, faults)?;
        DownstreamTls::compile(&message, secrets, faults).map(Arc::new)
    })
}

/// TLS towards hosts; `None`: plain bytes, or a fault.
pub(crate) fn upstream(
    socket: Option<&TransportSocket>,
    secrets: &dyn Secrets,
    faults: &mut Faults,
) -> Option<Arc<Current<UpstreamTls>>> {
    typed(socket, UPSTREAM, faults, |any, faults| {
        let message = unpack(any, faults)?;
        UpstreamTls::compile(&message, secrets, faults).map(Arc::new)
    })
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
        _ => None,
    }
    .unwrap_or_default()
}

fn typed<T>(
    socket: Option<&TransportSocket>,
    wanted: &str,
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
            name if name == wanted => compile(any, faults),
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
