//! OCSP responses that are shown with a certificate (RFC 6960, RFC 6066 section 8). The formats' own crate
//! brings a second generation of the whole family that reads ASN.1, so what is needed of one is read here.

use std::time::{SystemTime, UNIX_EPOCH};

use x509_parser::asn1_rs::{Any, Class, FromDer, GeneralizedTime, Tag};

/// `id-pkix-ocsp-basic`, as it is encoded.
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];

/// What a response says of its certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Staple {
    /// It holds until then, in seconds since 1970; `None`: it doesn't say.
    until: Option<i64>,
}

impl Staple {
    /// Reads the response to the question after the certificate with this serial number.
    pub(super) fn read(der: &[u8], serial: &[u8]) -> Result<Staple, String> {
        let response = sequence(der)?;
        let [status, bytes @ ..] = &response[..] else { return Err(bad()) };
        if status.tag() != Tag::Enumerated || status.data != [0] {
            return Err("it says that the responder could not answer".to_owned());
        }
        let bytes = sequence(bytes.first().ok_or_else(bad)?.data)?;
        let [kind, body] = &bytes[..] else { return Err(bad()) };
        if kind.tag() != Tag::Oid || kind.data != BASIC {
            return Err("it is of no known kind".to_owned());
        }
        let basic = sequence(body.data)?;
        let data = parts(basic.first().ok_or_else(bad)?.data)?;
        // Version and responder are tagged, and the time before the answers isn't theirs.
        let answers = data
            .iter()
            .find(|part| part.tag() == Tag::Sequence && part.class() == Class::Universal);
        let answers = parts(answers.ok_or_else(bad)?.data)?;
        let [answer] = &answers[..] else {
            return Err(format!("it answers for {} certificates, not for one", answers.len()));
        };
        Staple::of_answer(&parts(answer.data)?, serial)
    }

    fn of_answer(answer: &[Any<'_>], serial: &[u8]) -> Result<Staple, String> {
        let [asked, _status, this_update, rest @ ..] = answer else { return Err(bad()) };
        let number = parts(asked.data)?.last().map(|number| number.data.to_vec());
        if number.as_deref() != Some(serial) {
            return Err("it answers for another certificate".to_owned());
        }
        if this_update.tag() != Tag::GeneralizedTime {
            return Err(bad());
        }
        let next =
            rest.iter().find(|part| part.class() == Class::ContextSpecific && part.tag().0 == 0);
        let until = match next {
            None => None,
            Some(next) => {
                let (_, time) = GeneralizedTime::from_der(next.data).map_err(|_| bad())?;
                Some(time.utc_datetime().map_err(|_| bad())?.unix_timestamp())
            }
        };
        Ok(Staple { until })
    }

    /// It holds no longer.
    pub(super) fn is_expired(self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.until.is_some_and(|until| until < i64::try_from(now).unwrap_or(i64::MAX))
    }
}

fn bad() -> String {
    "it is no OCSP response (DER is expected)".to_owned()
}

/// The parts of a sequence that is all of `der`.
fn sequence(der: &[u8]) -> Result<Vec<Any<'_>>, String> {
    let (left, whole) = Any::from_der(der).map_err(|_| bad())?;
    match whole.tag() == Tag::Sequence && left.is_empty() {
        true => parts(whole.data),
        false => Err(bad()),
    }
}

/// What stands one behind the other.
fn parts(mut der: &[u8]) -> Result<Vec<Any<'_>>, String> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (left, part) = Any::from_der(der).map_err(|_| bad())?;
        found.push(part);
        der = left;
    }
    Ok(found)
}
