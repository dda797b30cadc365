//! Operators that print what TLS agreed on, and what the certificates of both ends say.

use std::time::{Duration, SystemTime};

use dragoman_types::Facts;
use dragoman_types::tls::{Certificate, Tls};

use crate::op::{Wrote, text};
use crate::scratch::Scratch;
use crate::time::TimeFormat;

/// Whose connection.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Side {
    Downstream,
    Upstream,
}

/// Whose certificate.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum End {
    Local,
    Peer,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Session {
    Version,
    Cipher,
    Group,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Part {
    Subject,
    Issuer,
    Serial,
    Sha256,
    Sha1,
    UriSans,
    DnsSans,
    IpSans,
    EmailSans,
    Pem,
    Start(TimeFormat),
    End(TimeFormat),
}

/// One such operator.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum TlsOp {
    Session(Side, Session),
    Certificate(Side, End, Part),
}

/// The operator of this name; `None`: there is none.
pub(crate) fn build(name: &str, parameters: &str) -> Result<Option<TlsOp>, String> {
    let (side, rest) = match (name.strip_prefix("DOWNSTREAM_"), name.strip_prefix("UPSTREAM_")) {
        (Some(rest), _) => (Side::Downstream, rest),
        (_, Some(rest)) => (Side::Upstream, rest),
        _ => return Ok(None),
    };
    let session = match rest {
        "TLS_VERSION" => Some(Session::Version),
        "TLS_CIPHER" => Some(Session::Cipher),
        "TLS_GROUP" => Some(Session::Group),
        _ => None,
    };
    if let Some(session) = session {
        return Ok(Some(TlsOp::Session(side, session)));
    }
    let (end, rest) = match (rest.strip_prefix("LOCAL_"), rest.strip_prefix("PEER_")) {
        (Some(rest), _) => (End::Local, rest),
        (_, Some(rest)) => (End::Peer, rest),
        _ => return Ok(None),
    };
    let part = match rest {
        "SUBJECT" => Part::Subject,
        "ISSUER" => Part::Issuer,
        "SERIAL" => Part::Serial,
        "FINGERPRINT_256" => Part::Sha256,
        "FINGERPRINT_1" => Part::Sha1,
        "URI_SAN" => Part::UriSans,
        "DNS_SAN" => Part::DnsSans,
        "IP_SAN" => Part::IpSans,
        "EMAIL_SAN" => Part::EmailSans,
        "CERT" => Part::Pem,
        "CERT_V_START" => Part::Start(TimeFormat::parse(parameters, b"Z")?),
        "CERT_V_END" => Part::End(TimeFormat::parse(parameters, b"Z")?),
        _ => return Ok(None),
    };
    Ok(Some(TlsOp::Certificate(side, end, part)))
}

impl Side {
    fn of<'f>(self, facts: &Facts<'f>) -> Option<&'f Tls> {
        match self {
            Side::Downstream => facts.connection.tls.as_deref(),
            Side::Upstream => facts.info.upstream_tls.as_deref(),
        }
    }
}

impl TlsOp {
    pub(crate) fn write(
        &self,
        facts: &Facts<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Wrote {
        match self {
            TlsOp::Session(side, session) => {
                let value = side.of(facts).map(|tls| match session {
                    Session::Version => tls.version,
                    Session::Cipher => tls.cipher,
                    Session::Group => tls.group,
                });
                text(value.filter(|v| !v.is_empty()).map(str::as_bytes), out)
            }
            TlsOp::Certificate(side, end, part) => {
                let certificate = side.of(facts).and_then(|tls| match end {
                    End::Local => tls.local.as_deref(),
                    End::Peer => tls.peer.as_deref(),
                });
                certificate.map_or(Wrote::Nothing, |found| part.write(found, scratch, out))
            }
        }
    }
}

impl Part {
    fn write(&self, of: &Certificate, scratch: &mut Scratch, out: &mut Vec<u8>) -> Wrote {
        let some = |value: &str, out: &mut Vec<u8>| {
            text(Some(value.as_bytes()).filter(|value| !value.is_empty()), out)
        };
        let list = |names: &[Box<str>], out: &mut Vec<u8>| some(&names.join(","), out);
        match self {
            Part::Subject => some(&of.subject, out),
            Part::Issuer => some(&of.issuer, out),
            Part::Serial => some(&of.serial, out),
            Part::Sha256 => some(&of.sha256, out),
            Part::Sha1 => some(&of.sha1, out),
            Part::UriSans => list(&of.uri_sans, out),
            Part::DnsSans => list(&of.dns_sans, out),
            Part::IpSans => list(&of.ip_sans, out),
            Part::EmailSans => list(&of.email_sans, out),
            Part::Pem => some(&of.url_encoded_pem(), out),
            Part::Start(format) => moment(of.not_before, format, scratch, out),
            Part::End(format) => moment(of.not_after, format, scratch, out),
        }
    }
}

fn moment(seconds: i64, format: &TimeFormat, scratch: &mut Scratch, out: &mut Vec<u8>) -> Wrote {
    let length = Duration::from_secs(seconds.unsigned_abs());
    let time = match seconds < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(length),
        false => SystemTime::UNIX_EPOCH.checked_add(length),
    };
    match time {
        Some(time) => {
            format.write(time, &mut scratch.calendar, out);
            Wrote::Text
        }
        None => Wrote::Nothing,
    }
}
