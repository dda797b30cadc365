//! Why a peer's certificate isn't let through, where it isn't the chain's fault alone.

use std::fmt;
use std::sync::Arc;

use rustls::{CertificateError, Error, OtherError};

/// Why a certificate was rejected, as the statistics tell it apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Rejected {
    /// There was none.
    Nobody,
    /// No trusted certificate signed it, it expired, it was revoked.
    Chain,
    /// None of its names, which are these, is wanted by `match_typed_subject_alt_names`.
    Name(Box<str>),
    /// It hasn't the name that was asked for, but these.
    NotAsked { asked: Box<str>, names: Box<str> },
    /// It is none of the pinned ones.
    Pin,
    /// It names no trust domain that is known, or may sign others.
    NoTrustDomain,
    /// It is of its trust domain, but has none of the names that are wanted.
    NotWanted,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejected::Nobody => f.write_str("no certificate"),
            Rejected::Chain => f.write_str("the certificate isn't trusted"),
            Rejected::Name(names) => {
                write!(f, "match_typed_subject_alt_names matches none of [{names}]")
            }
            Rejected::NotAsked { asked, names } => {
                write!(f, "the certificate is for [{names}], not for {asked}")
            }
            Rejected::Pin => f.write_str("the certificate is none of the pinned ones"),
            Rejected::NoTrustDomain => f.write_str("the certificate is of no known trust domain"),
            Rejected::NotWanted => f.write_str("match_typed_subject_alt_names matches nothing"),
        }
    }
}

impl std::error::Error for Rejected {}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(rejected))))
    }
}

impl Rejected {
    /// What of this a failed handshake was about.
    pub(super) fn of(error: &Error) -> Option<Rejected> {
        match error {
            Error::NoCertificatesPresented => Some(Rejected::Nobody),
            Error::InvalidCertificate(error) => Some(Rejected::of_certificate(error)),
            _ => None,
        }
    }

    pub(super) fn of_certificate(error: &CertificateError) -> Rejected {
        match error {
            CertificateError::Other(OtherError(why)) => {
                why.downcast_ref::<Rejected>().cloned().unwrap_or(Rejected::Chain)
            }
            _ => Rejected::Chain,
        }
    }
}
