//! `UpstreamTlsContext`: TLS towards hosts.

use std::cell::RefCell;
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

use super::current::Current;
use super::downstream::{Expiry, certified_keys, expiries, validation};
use super::key_log;
use super::loaded::Certificates;
use super::material::{Fetched, Secrets, fetched_keys, protocols as protocols_of};
use super::parameters::{Parameters, Side};
use super::select::Always;
use super::validation::Validation;
use super::verifier::{HostVerifier, MustHave};

/// Sessions of hosts that are kept at most.
const MAX_SESSIONS: u32 = 1024;

/// What a connection is offered by ALPN where the context names no protocols.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offer {
    /// It isn't HTTP.
    Nothing,
    Http1,
    Http2,
    /// HTTP/2 rather than HTTP/1.
    Either,
}

/// The same settings, by [`Offer`].
type Offers = [Arc<ClientConfig>; 4];

/// The host that a connection is for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub address: &'a Address,
    /// May be empty.
    pub hostname: &'a str,
    /// What the request says of it.
    pub peer: Option<&'a PeerName>,
}

/// How a request names its host (`auto_sni`, `auto_san_validation`).
#[derive(Debug)]
pub struct PeerName {
    sni: Option<ServerName<'static>>,
    san: Option<Box<str>>,
    /// The context's settings with a check for `san`.
    checking: RefCell<Option<(Arc<UpstreamTls>, Offers)>>,
}

impl PeerName {
    /// `name`: a DNS name or an IP address. The host is asked for it (addresses aside) if `sni`; its
    /// certificate must have it if `san`.
    pub fn new(name: &str, sni: bool, san: bool) -> PeerName {
        let asked = ServerName::try_from(name.to_owned()).ok();
        let asked = asked.filter(|asked| sni && matches!(asked, ServerName::DnsName(_)));
        PeerName { sni: asked, san: san.then(|| name.into()), checking: RefCell::default() }
    }
}

/// By [`Offer`].
const OFFERS: [&[&[u8]]; 4] = [&[], &[b"http/1.1"], &[b"h2"], &[b"h2", b"http/1.1"]];

/// Compiled; shared by the workers.
#[derive(Debug)]
pub struct UpstreamTls {
    configs: Offers,
    /// What the host is asked for; `None`: nothing is said of a name.
    name: Option<ServerName<'static>>,
    /// It's the host's own name, where it has one.
    by_host: bool,
    /// How many are kept to be resumed.
    sessions: u32,
    pub(super) checks_peer: bool,
    verifier: Arc<HostVerifier>,
    expiries: Vec<Expiry>,
    loaded: Certificates,
}

impl UpstreamTls {
    /// Compiles the context.
    pub fn compile(
        message: &UpstreamTlsContext,
        secrets: &dyn Secrets,
        faults: &mut Faults,
    ) -> Option<Current<UpstreamTls>> {
        let fetched = Fetched::of(&UpstreamTls::fetches(message), secrets);
        Current::compile(fetched, || UpstreamTls::compile_all(message, secrets, faults))
    }

    /// The secrets that the context fetches, by [`super::fetched_key`].
    pub fn fetches(message: &UpstreamTlsContext) -> Vec<String> {
        message.common_tls_context.as_ref().map(fetched_keys).unwrap_or_default()
    }

    fn compile_all(
        message: &UpstreamTlsContext,
        secrets: &dyn Secrets,
        faults: &mut Faults,
    ) -> Option<UpstreamTls> {
        let name = server_name(&message.sni, faults)?;
        let empty = CommonTlsContext::default();
        let common = message.common_tls_context.as_ref().unwrap_or(&empty);
        let sessions = sessions_of(message);
        faults.field("common_tls_context", |faults| {
            let parameters = common.tls_params.clone().unwrap_or_default();
            let parameters = faults
                .field("tls_params", |f| Parameters::compile(&parameters, Side::Client, f))?;
            let keys = certified_keys(common, secrets, &parameters.provider, faults);
            let validation = validation(common, secrets, &parameters.provider, faults);
            let expiries = expiries(common, &keys, validation.as_ref());
            let loaded = Certificates::of(common, secrets, &keys, validation.as_ref());
            let checks_peer = validation.as_ref().is_some_and(Validation::checks);
            let algorithms = parameters.provider.signature_verification_algorithms;
            let config = ClientConfig::builder_with_provider(parameters.provider)
                .with_protocol_versions(&parameters.versions);
            let config =
                config.map_err(|error| faults.add("unsupported", error.to_string())).ok()?;
            let must_have = match message.auto_sni_san_validation {
                true => MustHave::Asked,
                false => MustHave::Nothing,
            };
            let validation = validation.map(Arc::new);
            let verifier = Arc::new(HostVerifier { validation, must_have, algorithms });
            let config = config.dangerous().with_custom_certificate_verifier(verifier.clone());
            let mut config = match keys.into_iter().next() {
                Some(key) => config.with_client_cert_resolver(Arc::new(Always(key))),
                None => config.with_no_client_auth(),
            };
            config.alpn_protocols = protocols_of(&common.alpn_protocols);
            // A host that picks none, or one of its own, is taken all the same.
            config.check_selected_alpn = false;
            if let Some(log) = key_log::compile(common.key_log.as_ref(), faults) {
                config.key_log = log;
            }
            config.resumption = resumption(sessions);
            let offering = |protocols: &[&[u8]]| {
                let mut config = config.clone();
                if config.alpn_protocols.is_empty() {
                    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
                }
                Arc::new(config)
            };
            Some(UpstreamTls {
                configs: OFFERS.map(offering),
                name,
                by_host: message.auto_host_sni,
                sessions,
                checks_peer,
                verifier,
                expiries,
                loaded,
            })
        })
    }

    /// What certificates it has.
    pub fn certificates(&self) -> &Certificates {
        &self.loaded
    }

    /// When its certificates expire.
    pub fn expiries(&self) -> &[Expiry] {
        &self.expiries
    }

    pub(super) fn forgives(&self, chain: &[CertificateDer<'_>]) -> bool {
        self.verifier.forgives(chain)
    }

    pub(super) fn config(self: &Arc<Self>, offer: Offer, asked: &Asked<'_>) -> Arc<ClientConfig> {
        let named = asked.peer.and_then(|peer| Some((peer, peer.san.as_deref()?)));
        let Some((peer, san)) = named else { return self.configs[offer as usize].clone() };
        let mut checking = peer.checking.borrow_mut();
        let (_, configs) = match checking.take() {
            Some(made) if Arc::ptr_eq(&made.0, self) => checking.insert(made),
            _ => checking.insert((self.clone(), self.checking(san))),
        };
        configs[offer as usize].clone()
    }

    /// Its settings with a check for a name, and with sessions of their own: those of other names are
    /// no proof of this one.
    fn checking(&self, san: &str) -> Offers {
        let must_have = MustHave::Name(san.into());
        let verifier = Arc::new(HostVerifier { must_have, ..(*self.verifier).clone() });
        let resumption = resumption(self.sessions);
        self.configs.each_ref().map(|config| {
            let mut config = (**config).clone();
            config.dangerous().set_certificate_verifier(verifier.clone());
            config.resumption = resumption.clone();
            Arc::new(config)
        })
    }

    /// The name that a host is asked for, which also tells its sessions from others'. (An address is
    /// none that it would be told.)
    pub(super) fn name(&self, asked: &Asked<'_>) -> ServerName<'static> {
        if let Some(name) = asked.peer.and_then(|peer| peer.sni.clone()) {
            return name;
        }
        if self.by_host
            && let Ok(name @ ServerName::DnsName(_)) =
                ServerName::try_from(asked.hostname.to_owned())
        {
            return name;
        }
        let ip = || asked.address.ip().unwrap_or(IpAddr::from([0, 0, 0, 0]));
        self.name.clone().unwrap_or_else(|| ServerName::IpAddress(ip().into()))
    }
}

fn resumption(sessions: u32) -> Resumption {
    match sessions {
        0 => Resumption::disabled(),
        some => Resumption::in_memory_sessions(some as usize),
    }
}

/// How many sessions are kept. The library makes room for all of them at once.
fn sessions_of(message: &UpstreamTlsContext) -> u32 {
    u32_or(message.max_session_keys.as_ref(), 1).min(MAX_SESSIONS)
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
