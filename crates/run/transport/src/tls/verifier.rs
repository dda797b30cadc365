//! How rustls asks for a certificate's validation, at either end.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, SignatureScheme};

use super::facts::{self, Usage};
use super::rejected::Rejected;
use super::signatures;
use super::validation::Validation;

/// The methods of both traits that check a peer's signatures, by the algorithms in that field.
macro_rules! signatures {
    ($($field:ident).+) => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            signatures::proves(signed.scheme);
            verify_tls12_signature(message, cert, signed, &self.$($field).+)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            signatures::proves(signed.scheme);
            verify_tls13_signature(message, cert, signed, &self.$($field).+)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.$($field).+.supported_schemes()
        }
    };
}

/// The name that a host's certificate must have beside what its validation asks for.
#[derive(Clone, Debug)]
pub(super) enum MustHave {
    Nothing,
    /// The one that the host was asked for (`auto_sni_san_validation`).
    Asked,
    /// This DNS name or IP address (`auto_san_validation`).
    Name(Box<str>),
}

/// Envoy has no word for it but the handshake's own, whatever else is checked.
fn check_usage(leaf: &CertificateDer<'_>) -> Result<(), Error> {
    match facts::may_sign_handshakes(leaf) {
        true => Ok(()),
        false => Err(WRONG_USAGE),
    }
}

/// A certificate whose key is for something else; its peer is told `illegal_parameter`.
pub(super) const WRONG_USAGE: Error =
    Error::PeerMisbehaved(PeerMisbehaved::SignedKxWithWrongAlgorithm);

/// Judges a host's certificate. Without a validation any is good, as in Envoy: the linter warns.
#[derive(Clone, Debug)]
pub(super) struct HostVerifier {
    pub(super) validation: Option<Arc<Validation>>,
    pub(super) must_have: MustHave,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl HostVerifier {
    pub(super) fn forgives(&self, chain: &[CertificateDer<'_>]) -> bool {
        let validation = self.validation.as_ref();
        validation.is_some_and(|validation| validation.forgives(chain, Usage::Server))
    }
}

impl ServerCertVerifier for HostVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        asked: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        check_usage(leaf)?;
        if let Some(validation) = &self.validation {
            validation.verify(leaf, between, now, Usage::Server)?;
        }
        match &self.must_have {
            MustHave::Nothing => {}
            MustHave::Asked => {
                Validation::verify_name(leaf, &asked.to_str(), Rejected::Name)?;
            }
            MustHave::Name(name) => Validation::verify_name(leaf, name, |names| {
                Rejected::NotAsked { asked: name.clone(), names }
            })?,
        }
        Ok(ServerCertVerified::assertion())
    }

    signatures!(algorithms);
}

/// Judges a client's certificate.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    validation: Validation,
    required: bool,
    hints: Vec<DistinguishedName>,
}

impl ClientVerifier {
    pub(super) fn forgives(&self, chain: &[CertificateDer<'_>]) -> bool {
        self.validation.forgives(chain, Usage::Client)
    }

    pub(super) fn new(validation: Validation, required: bool) -> ClientVerifier {
        let hint =
            |anchor: &TrustAnchor<'_>| DistinguishedName::in_sequence(anchor.subject.as_ref());
        let told = validation.anchors.iter().filter(|_| !validation.quiet);
        let hints = told.map(hint).collect();
        ClientVerifier { validation, required, hints }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        check_usage(leaf)?;
        self.validation.verify(leaf, between, now, Usage::Client)?;
        Ok(ClientCertVerified::assertion())
    }

    signatures!(validation.algorithms);
}
