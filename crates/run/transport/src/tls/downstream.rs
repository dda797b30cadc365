//! `DownstreamTlsContext`: TLS towards clients.

use std::sync::Arc;

use dragoman_proto::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, DownstreamTlsContext,
    common_tls_context::ValidationContextType,
    downstream_tls_context::{OcspStaplePolicy, SessionTicketKeysType},
};
use dragoman_proto::{bool_or, duration};
use dragoman_types::Faults;
use dragoman_types::tls::Certificate;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::CertificateDer;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ServerSessionMemoryCache,
    StoresServerSessions,
};
use rustls::sign::CertifiedKey;

use super::current::Current;
use super::facts;
use super::key_log;
use super::loaded::Certificates;
use super::material::{self, Fetched, Secrets, fetched_key, fetched_keys, validation_secret};
use super::parameters::{Parameters, Side};
use super::select::Selection;
use super::tickets::{LIFETIME, TicketKeys, Timed};
use super::validation::Validation;
use super::verifier::ClientVerifier;

/// Sessions of TLS 1.2 that are kept for clients without tickets.
const SESSIONS: usize = 20_480;

/// Compiled; shared by the workers, and with it the keys of its session tickets.
#[derive(Debug)]
pub struct DownstreamTls {
    config: Arc<ServerConfig>,
    /// The same for clients with which no protocol is agreed on: rustls would refuse them, Envoy goes on.
    without_alpn: Arc<ServerConfig>,
    selection: Arc<Selection>,
    pub(super) checks_peer: bool,
    verifier: Option<Arc<ClientVerifier>>,
    expiries: Vec<Expiry>,
    loaded: Certificates,
    /// Clients that name no server are turned away.
    pub(super) require_sni: bool,
}

impl DownstreamTls {
    /// Compiles the context; what is wrong becomes faults with their field's path.
    pub fn compile(
        message: &DownstreamTlsContext,
        secrets: &dyn Secrets,
        faults: &mut Faults,
    ) -> Option<Current<DownstreamTls>> {
        let empty = CommonTlsContext::default();
        let common = message.common_tls_context.as_ref().unwrap_or(&empty);
        faults.field("common_tls_context", |faults| {
            let fetched = Fetched::of(&DownstreamTls::fetches(message), secrets);
            Current::compile(fetched, || {
                DownstreamTls::compile_common(message, common, secrets, faults)
            })
        })
    }

    /// The secrets that the context fetches, by [`super::fetched_key`].
    pub fn fetches(message: &DownstreamTlsContext) -> Vec<String> {
        let common = message.common_tls_context.as_ref().map(fetched_keys);
        let tickets = match &message.session_ticket_keys_type {
            Some(SessionTicketKeysType::SessionTicketKeysSdsSecretConfig(named)) => {
                fetched_key(named)
            }
            _ => None,
        };
        common.unwrap_or_default().into_iter().chain(tickets).collect()
    }

    fn compile_common(
        message: &DownstreamTlsContext,
        common: &CommonTlsContext,
        secrets: &dyn Secrets,
        faults: &mut Faults,
    ) -> Option<DownstreamTls> {
        let parameters = common.tls_params.clone().unwrap_or_default();
        let parameters =
            faults.field("tls_params", |f| Parameters::compile(&parameters, Side::Server, f))?;
        let keys = certified_keys(common, secrets, &parameters.provider, faults);
        if keys.is_empty() {
            if faults.is_empty() {
                let why = "a server needs a certificate: tls_certificates or tls_certificate_sds_secret_configs";
                faults.add_at("tls_certificates", "missing", why);
            }
            return None;
        }
        let full_scan = bool_or(message.full_scan_certs_on_sni_mismatch.as_ref(), false);
        let validation = validation(common, secrets, &parameters.provider, faults);
        let expiries = expiries(common, &keys, validation.as_ref());
        let loaded = Certificates::of(common, secrets, &keys, validation.as_ref());
        check_staples(message, faults);
        let selection = Selection::new(keys, full_scan)
            .map_err(|why| faults.add_at("tls_certificates", "unreadable", why))
            .ok()?;
        let selection = Arc::new(selection);
        let required = bool_or(message.require_client_certificate.as_ref(), false);
        let checks_peer = validation.as_ref().is_some_and(Validation::checks);
        // Required, but with nothing to check against: nobody is asked for one, as in Envoy.
        let required = required || validation.as_ref().is_some_and(Validation::requires);
        let asks = validation.as_ref().filter(|_| checks_peer).map(|found| found.digest);
        let config = ServerConfig::builder_with_provider(parameters.provider)
            .with_protocol_versions(&parameters.versions);
        let config = config.map_err(|error| faults.add("unsupported", error.to_string())).ok()?;
        let verifier = validation.filter(|_| checks_peer);
        let verifier = verifier.map(|found| Arc::new(ClientVerifier::new(found, required)));
        let config = match verifier.clone() {
            Some(verifier) => config.with_client_cert_verifier(verifier),
            None => config.with_no_client_auth(),
        };
        let mut config = config.with_cert_resolver(selection.clone());
        // The server's order, as Envoy's has it.
        config.ignore_client_order = !message.prefer_client_ciphers;
        if let Some(log) = key_log::compile(common.key_log.as_ref(), faults) {
            config.key_log = log;
        }
        resumption(&mut config, message, (bound(asks, required), secrets), faults)?;
        let mut with_alpn = config.clone();
        with_alpn.alpn_protocols = material::protocols(&common.alpn_protocols);
        Some(DownstreamTls {
            config: Arc::new(with_alpn),
            without_alpn: Arc::new(config),
            selection,
            checks_peer,
            verifier,
            expiries,
            loaded,
            require_sni: bool_or(message.require_sni.as_ref(), false),
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
        self.verifier.as_ref().is_some_and(|verifier| verifier.forgives(chain))
    }

    /// The configuration for a client, and the certificate it's going to get.
    pub(super) fn choose(
        &self,
        hello: &ClientHello<'_>,
    ) -> (Arc<ServerConfig>, Option<Arc<Certificate>>) {
        let ours = &self.config.alpn_protocols;
        let agreed = hello
            .alpn()
            .is_some_and(|mut theirs| theirs.any(|name| ours.iter().any(|o| o == name)));
        let config = if agreed { &self.config } else { &self.without_alpn };
        let chosen = self.selection.choose(hello.server_name(), hello.signature_schemes());
        (config.clone(), chosen.map(|entry| entry.facts.clone()))
    }
}

fn check_staples(message: &DownstreamTlsContext, faults: &mut Faults) {
    if message.ocsp_staple_policy != OcspStaplePolicy::LenientStapling as i32 {
        // rustls staples by itself, and doesn't tell who asked for it.
        let why = "only LENIENT_STAPLING: whether a client asks for a staple can't be seen";
        faults.add_at("ocsp_staple_policy", "unsupported", why);
    }
}

/// What a session is worth: who was let in by one context needn't be by another.
fn bound(asks: Option<[u8; 32]>, required: bool) -> [u8; 32] {
    let mut bound = asks.unwrap_or_default();
    bound[0] ^= u8::from(required);
    bound
}

fn resumption(
    config: &mut ServerConfig,
    message: &DownstreamTlsContext,
    (bound, secrets): ([u8; 32], &dyn Secrets),
    faults: &mut Faults,
) -> Option<()> {
    use SessionTicketKeysType as Tickets;
    let given: Option<TicketKeys> = match &message.session_ticket_keys_type {
        None | Some(Tickets::DisableStatelessSessionResumption(_)) => None,
        Some(Tickets::SessionTicketKeys(keys)) => {
            Some(faults.field("session_ticket_keys", |f| TicketKeys::compile(keys, bound, f))?)
        }
        Some(Tickets::SessionTicketKeysSdsSecretConfig(named)) => {
            let field = "session_ticket_keys_sds_secret_config";
            Some(faults.field(field, |faults| {
                let keys = material::named_ticket_keys(named, secrets, faults)?;
                TicketKeys::compile(keys, bound, faults)
            })?)
        }
    };
    let lifetime = message.session_timeout.as_ref().map(duration);
    let lifetime =
        lifetime.map_or(LIFETIME, |limit| limit.as_secs().try_into().unwrap_or(u32::MAX));
    let off = Some(Tickets::DisableStatelessSessionResumption(true));
    if message.session_ticket_keys_type == off {
        config.send_tls13_tickets = 0;
    } else {
        let inner: Arc<dyn ProducesTickets> = match given {
            Some(keys) => Arc::new(keys),
            None => Ticketer::new()
                .map_err(|error| faults.add("unavailable", error.to_string()))
                .ok()?,
        };
        config.ticketer = Arc::new(Timed { lifetime, inner });
    }
    config.session_storage = match message.disable_stateful_session_resumption {
        true => Arc::new(NoServerSessionStorage {}),
        false => {
            let inner: Arc<dyn StoresServerSessions> = ServerSessionMemoryCache::new(SESSIONS);
            Arc::new(Timed { lifetime, inner })
        }
    };
    Some(())
}

/// The certificates of a context, from where it has them.
pub(super) fn certified_keys(
    common: &CommonTlsContext,
    secrets: &dyn Secrets,
    provider: &CryptoProvider,
    faults: &mut Faults,
) -> Vec<Arc<CertifiedKey>> {
    let mut keys = Vec::new();
    for (index, certificate) in common.tls_certificates.iter().enumerate() {
        keys.extend(faults.item("tls_certificates", index, |faults| {
            material::certified_key(certificate, provider, faults)
        }));
    }
    for (index, named) in common.tls_certificate_sds_secret_configs.iter().enumerate() {
        keys.extend(faults.item("tls_certificate_sds_secret_configs", index, |faults| {
            let certificate = material::named_certificate(named, secrets, faults)?;
            material::certified_key(certificate, provider, faults)
        }));
    }
    keys
}

/// When a certificate of a context expires: its name in statistics, and seconds since 1970.
pub type Expiry = (Box<str>, i64);

/// Of certificates that come without a name: the tail is the hash of no name, as in Envoy.
const UNNAMED: &str = "unnamed_cert_e3b0c442";
const UNNAMED_CA: &str = "unnamed_ca_cert_e3b0c442";

/// When the certificates of a context expire; of several with one name, the first that does.
pub(super) fn expiries(
    common: &CommonTlsContext,
    keys: &[Arc<CertifiedKey>],
    validation: Option<&Validation>,
) -> Vec<Expiry> {
    let inline = common.tls_certificates.iter().map(|_| UNNAMED);
    let fetched = common.tls_certificate_sds_secret_configs.iter().map(|named| &*named.name);
    let own = inline.chain(fetched).zip(keys);
    let own = own.filter_map(|(name, key)| Some((name, facts::not_after(key.cert.first()?)?)));
    let ca = validation_secret(common).map_or(UNNAMED_CA, |secret| &secret.name);
    let trusted = validation.and_then(Validation::expiry).map(|at| (ca, at));
    let mut found: Vec<Expiry> = Vec::new();
    for (name, at) in own.chain(trusted) {
        match found.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, earliest)) => *earliest = at.min(*earliest),
            None => found.push((name.into(), at)),
        }
    }
    found
}

/// How the peer's certificate is checked, if anything says so.
pub(super) fn validation(
    common: &CommonTlsContext,
    secrets: &dyn Secrets,
    provider: &CryptoProvider,
    faults: &mut Faults,
) -> Option<Validation> {
    let compile = |message: &CertificateValidationContext, field: &str, faults: &mut Faults| {
        faults.field(field, |faults| Validation::compile(message, provider, faults))
    };
    match common.validation_context_type.as_ref()? {
        ValidationContextType::ValidationContext(message) => {
            compile(message, "validation_context", faults)
        }
        ValidationContextType::ValidationContextSdsSecretConfig(named) => {
            let field = "validation_context_sds_secret_config";
            let message =
                faults.field(field, |faults| material::named_validation(named, secrets, faults))?;
            compile(message, field, faults)
        }
        ValidationContextType::CombinedValidationContext(combined) => {
            faults.field("combined_validation_context", |faults| {
                let Some(named) = &combined.validation_context_sds_secret_config else {
                    let why = "a combined context needs a secret to combine with";
                    faults.add_at("validation_context_sds_secret_config", "missing", why);
                    return None;
                };
                let field = "validation_context_sds_secret_config";
                let fetched = faults
                    .field(field, |faults| material::named_validation(named, secrets, faults))?;
                let own = combined.default_validation_context.clone().unwrap_or_default();
                compile(&merged(own, fetched), "default_validation_context", faults)
            })
        }
        _ => {
            let why = "certificate providers aren't supported";
            faults.add_at("validation_context_type", "unsupported", why);
            None
        }
    }
}

/// `own` with what `fetched` sets over it, as protobuf merges: single fields are replaced, lists grow.
fn merged(
    mut own: CertificateValidationContext,
    fetched: &CertificateValidationContext,
) -> CertificateValidationContext {
    use dragoman_proto::Message;
    // What protobuf writes can be read again.
    let _ = own.merge(fetched.encode_to_vec().as_slice());
    own
}
