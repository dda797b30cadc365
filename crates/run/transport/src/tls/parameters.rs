//! `TlsParameters`: versions, cipher suites and groups.

use std::sync::Arc;

use super::signatures;
use dragoman_proto::pb::envoy::extensions::transport_sockets::tls::v3::TlsParameters;
use dragoman_proto::pb::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;
use dragoman_types::Faults;
use rustls::crypto::aws_lc_rs::{cipher_suite as suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion};

/// Which end of a connection we are: their defaults differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Server,
    Client,
}

/// What a handshake may agree on.
#[derive(Debug)]
pub(super) struct Parameters {
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
}

/// Suites of TLS 1.2 under the names that Envoy's configuration and statistics use, in its order.
const SUITES: [(&str, SupportedCipherSuite); 6] = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES128-GCM-SHA256", suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES256-GCM-SHA384", suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
];

/// Suites of TLS 1.3; they can't be configured, as in Envoy.
const SUITES_13: [SupportedCipherSuite; 3] = [
    suite::TLS13_AES_128_GCM_SHA256,
    suite::TLS13_AES_256_GCM_SHA384,
    suite::TLS13_CHACHA20_POLY1305_SHA256,
];

const GROUPS: [(&str, &dyn SupportedKxGroup); 4] = [
    ("X25519MLKEM768", kx_group::X25519MLKEM768),
    ("X25519", kx_group::X25519),
    ("P-256", kx_group::SECP256R1),
    ("P-384", kx_group::SECP384R1),
];

/// OpenSSL's names of them.
const ALIASES: [(&str, &str); 4] =
    [("prime256v1", "P-256"), ("secp384r1", "P-384"), ("x25519", "X25519"), ("secp256r1", "P-256")];

/// Groups that are offered unless others are configured.
const USUAL_GROUPS: [&str; 3] = ["X25519MLKEM768", "X25519", "P-256"];

impl Parameters {
    pub(super) fn compile(
        message: &TlsParameters,
        side: Side,
        faults: &mut Faults,
    ) -> Option<Parameters> {
        let versions = versions(message, side, faults)?;
        let mut suites: Vec<_> = SUITES_13.into();
        suites.extend(cipher_suites(&message.cipher_suites, faults));
        let groups = groups(&message.ecdh_curves, faults);
        let mut provider =
            CryptoProvider { cipher_suites: suites, kx_groups: groups, ..default_provider() };
        signatures::limit(&mut provider, &message.signature_algorithms, faults);
        Some(Parameters { provider: Arc::new(provider), versions })
    }
}

fn versions(
    message: &TlsParameters,
    side: Side,
    faults: &mut Faults,
) -> Option<Vec<&'static SupportedProtocolVersion>> {
    use TlsProtocol::{TlSv10, TlSv11, TlSv12, TlSv13, TlsAuto};
    let protocol = |number| TlsProtocol::try_from(number).unwrap_or(TlsAuto);
    let lowest = protocol(message.tls_minimum_protocol_version);
    let highest = protocol(message.tls_maximum_protocol_version);
    for (field, version) in
        [("tls_minimum_protocol_version", lowest), ("tls_maximum_protocol_version", highest)]
    {
        if matches!(version, TlSv10 | TlSv11) {
            let why =
                "TLS 1.0 and 1.1 (deprecated by RFC 8996) aren't built in; TLSv1_2 is the lowest";
            faults.add_at(field, "unsupported", why);
            return None;
        }
    }
    // A client stays with TLS 1.2 unless it's told otherwise, as Envoy's does.
    let highest = match (highest, side) {
        (TlsAuto, Side::Server) => TlSv13,
        (TlsAuto, Side::Client) if lowest == TlSv13 => TlSv13,
        (TlsAuto, Side::Client) => TlSv12,
        (set, _) => set,
    };
    let mut versions = Vec::new();
    if highest == TlSv13 {
        versions.push(&TLS13);
    }
    if lowest != TlSv13 {
        versions.push(&TLS12);
    }
    if versions.is_empty() {
        let why = "it is below tls_minimum_protocol_version";
        faults.add_at("tls_maximum_protocol_version", "contradiction", why);
        return None;
    }
    Some(versions)
}

/// The suites of TLS 1.2; `[A|B]` is a group of equals, which are taken in their order, and colons stand
/// between those of one text. Those of TLS 1.3 may be named, and are there anyway.
fn cipher_suites(names: &[String], faults: &mut Faults) -> Vec<SupportedCipherSuite> {
    if names.is_empty() {
        return SUITES.map(|(_, suite)| suite).into();
    }
    let mut suites = Vec::new();
    for (index, item) in names.iter().enumerate() {
        for name in item.split(['[', '|', ']', ':']).filter(|name| !name.is_empty()) {
            let is_it = |(known, suite): &&(&str, SupportedCipherSuite)| {
                *known == name || suite.suite().as_str() == Some(name)
            };
            match SUITES.iter().find(is_it) {
                Some((_, suite)) => suites.push(*suite),
                None if SUITES_13.iter().any(|suite| suite_name(suite.suite()) == name) => {}
                None => faults.item("cipher_suites", index, |faults| {
                    let known = SUITES.map(|(name, _)| name).join(", ");
                    faults
                        .add("unsupported", format!("{name:?} isn't built in; there are {known}"));
                }),
            }
        }
    }
    suites
}

fn groups(names: &[String], faults: &mut Faults) -> Vec<&'static dyn SupportedKxGroup> {
    let find = |name: &str| {
        let own = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, own)| own);
        GROUPS.iter().find(|(known, _)| *known == own).map(|(_, group)| *group)
    };
    if names.is_empty() {
        return USUAL_GROUPS.into_iter().filter_map(find).collect();
    }
    let mut groups = Vec::new();
    let each = names.iter().enumerate();
    for (index, name) in each.flat_map(|(at, text)| text.split(':').map(move |name| (at, name))) {
        match find(name) {
            Some(group) => groups.push(group),
            None => faults.item("ecdh_curves", index, |faults| {
                let known = GROUPS.map(|(name, _)| name).join(", ");
                faults.add("unsupported", format!("{name:?} isn't built in; there are {known}"));
            }),
        }
    }
    groups
}

/// The suite's name as statistics and logs have it.
pub(super) fn suite_name(suite: CipherSuite) -> &'static str {
    let known = SUITES.iter().find(|(_, known)| known.suite() == suite);
    match (known, suite) {
        (Some((name, _)), _) => name,
        (None, CipherSuite::TLS13_AES_128_GCM_SHA256) => "TLS_AES_128_GCM_SHA256",
        (None, CipherSuite::TLS13_AES_256_GCM_SHA384) => "TLS_AES_256_GCM_SHA384",
        (None, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => "TLS_CHACHA20_POLY1305_SHA256",
        (None, _) => "unknown",
    }
}

/// The group's name as statistics and logs have it.
pub(super) fn group_name(group: &dyn SupportedKxGroup) -> &'static str {
    let known = GROUPS.iter().find(|(_, known)| known.name() == group.name());
    known.map_or("unknown", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(message: TlsParameters, side: Side) -> Result<Parameters, Vec<String>> {
        let mut faults = Faults::new();
        let compiled = Parameters::compile(&message, side, &mut faults);
        match (faults.is_empty(), compiled) {
            (true, Some(parameters)) => Ok(parameters),
            _ => Err(faults.into_vec().into_iter().map(|fault| fault.path).collect()),
        }
    }

    #[test]
    fn a_client_stays_with_tls_1_2_and_a_server_does_not() {
        let versions = |side, low: TlsProtocol, high: TlsProtocol| {
            let message = TlsParameters {
                tls_minimum_protocol_version: low as i32,
                tls_maximum_protocol_version: high as i32,
                ..Default::default()
            };
            compile(message, side).map(|p| p.versions)
        };
        use TlsProtocol::{TlSv10, TlSv12, TlSv13, TlsAuto};
        assert_eq!(versions(Side::Server, TlsAuto, TlsAuto), Ok(vec![&TLS13, &TLS12]));
        assert_eq!(versions(Side::Client, TlsAuto, TlsAuto), Ok(vec![&TLS12]));
        assert_eq!(versions(Side::Client, TlSv13, TlSv13), Ok(vec![&TLS13]));
        let field = |name: &str| Err(vec![name.to_owned()]);
        let low = "tls_minimum_protocol_version";
        assert_eq!(versions(Side::Server, TlSv10, TlsAuto), field(low));
        assert_eq!(versions(Side::Server, TlSv13, TlSv12), field("tls_maximum_protocol_version"));
    }

    #[test]
    fn suites_that_are_not_built_in_are_refused_where_they_stand() {
        let message = TlsParameters {
            cipher_suites: vec![
                "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]".into(),
                "AES128-SHA".into(),
            ],
            ecdh_curves: vec!["X25519".into(), "P-521".into()],
            ..Default::default()
        };
        let found = compile(message, Side::Server).unwrap_err();
        assert_eq!(found, ["cipher_suites[1]", "ecdh_curves[1]"]);
    }
}
