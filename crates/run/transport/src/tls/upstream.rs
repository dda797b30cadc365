//! `UpstreamTlsContext`: TLS towards hosts.

use std::net::IpAddr;
use std::sync::Arc;

use dragoman_proto::pb::envoy::extensions::transport_sockets::tls::v3::{
    CommonTlsContext, UpstreamTlsContext,
};
use dragoman_proto::u32_or;
use dragoman_types::{Address, Faults};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};

use super::downstream::{Expiry, certified_keys, expiries, validation};
use super::material::{Secrets, protocols as protocols_of};
use super::parameters::{Parameters, Side};
use super::select::Always;
use super::validation::Validation;
use super::verifier::HostVerifier;

/// Sessions of hosts that are kept at most.
const MAX_SESSIONS: u32 = 1024;

/// Compiled; shared by the workers.
#[derive(Debug)]
pub struct UpstreamTls {
    config: Arc<ClientConfig>,
    /// The same for what isn't HTTP: no protocol is offered that isn't configured.
    plain: Arc<ClientConfig>,
    /// What the host is asked for; `None`: nothing is said of a name.
    name: Option<ServerName<'static>>,
    pub(super) checks_peer: bool,
    verifier: Arc<HostVerifier>,
    expiries: Vec<Expiry>,
}

impl UpstreamTls {
    /// Compiles the context. HTTP offers `protocols` where the context names none.
    pub fn compile(
        message: &UpstreamTlsContext,
        protocols: &[&[u8]],
        secrets: &dyn Secrets,
        faults: &mut Faults,
    ) -> Option<UpstreamTls> {
        let name = server_name(&message.sni, faults)?;
        let empty = CommonTlsContext::default();
        let common = message.common_tls_context.as_ref().unwrap_or(&empty);
        // The library makes room for all of them at once.
        let sessions = u32_or(message.max_session_keys.as_ref(), 1).min(MAX_SESSIONS);
        faults.field("common_tls_context", |faults| {
            let parameters = common.tls_params.clone().unwrap_or_default();
            let parameters = faults
                .field("tls_params", |f| Parameters::compile(&parameters, Side::Client, f))?;
            let keys = certified_keys(common, secrets, &parameters.provider, faults);
            let validation = validation(common, secrets, &parameters.provider, faults);
            let expiries = expiries(common, &keys, validation.as_ref());
            let checks_peer = validation.as_ref().is_some_and(Validation::checks);
            let algorithms = parameters.provider.signature_verification_algorithms;
            let config = ClientConfig::builder_with_provider(parameters.provider)
                .with_protocol_versions(&parameters.versions);
            let config =
                config.map_err(|error| faults.add("unsupported", error.to_string())).ok()?;
            let verifier = Arc::new(HostVerifier { validation, algorithms });
            let config = config.dangerous().with_custom_certificate_verifier(verifier.clone());
            let mut config = match keys.into_iter().next() {
                Some(key) => config.with_client_cert_resolver(Arc::new(Always(key))),
                None => config.with_no_client_auth(),
            };
            config.alpn_protocols = protocols_of(&common.alpn_protocols, faults);
            // A host that picks none, or one of its own, is taken all the same.
            config.check_selected_alpn = false;
            config.enable_sni = name.is_some();
            config.resumption = match sessions {
                0 => Resumption::disabled(),
                some => Resumption::in_memory_sessions(some as usize),
            };
            let plain = Arc::new(config.clone());
            if config.alpn_protocols.is_empty() {
                config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            }
            Some(UpstreamTls {
                config: Arc::new(config),
                plain,
                name,
                checks_peer,
                verifier,
                expiries,
            })
        })
    }

    /// When its certificates expire.
    pub fn expiries(&self) -> &[Expiry] {
        &self.expiries
    }

    pub(super) fn forgives(&self, chain: &[CertificateDer<'_>]) -> bool {
        self.verifier.forgives(chain)
    }

    /// For a connection that speaks HTTP, or anything else.
    pub(super) fn config(&self, http: bool) -> Arc<ClientConfig> {
        if http { self.config.clone() } else { self.plain.clone() }
    }

    /// The name that a host at `address` is asked for, which also tells its sessions from others'.
    pub(super) fn name(&self, address: &Address) -> ServerName<'static> {
        let ip = || address.ip().unwrap_or(IpAddr::from([0, 0, 0, 0]));
        self.name.clone().unwrap_or_else(|| ServerName::IpAddress(ip().into()))
    }
}

/// `sni`, if it's set; `None` after a fault.
fn server_name(sni: &str, faults: &mut Faults) -> Option<Option<ServerName<'static>>> {
    if sni.is_empty() {
        return Some(None);
    }
    match ServerName::try_from(sni.to_owned()) {
        Ok(name) => Some(Some(name)),
        Err(_) => {
            faults.add_at("sni", "unsupported", format!("{sni:?} is no DNS name"));
            None
        }
    }
}
