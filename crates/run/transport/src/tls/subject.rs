//! A certificate's names as text: RFC 2253, with OpenSSL's short names for the parts.

use std::borrow::Cow;

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Object identifiers and the names that OpenSSL and BoringSSL print.
const SHORT: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.18", "postOfficeBox"),
    ("2.5.4.20", "telephoneNumber"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.45", "x500UniqueIdentifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("2.5.4.72", "role"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.3", "mail"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("1.2.840.113549.1.9.2", "unstructuredName"),
    ("1.2.840.113549.1.9.8", "unstructuredAddress"),
];

/// The name as RFC 2253 writes it: most specific part first.
pub(super) fn rfc2253(name: &X509Name<'_>) -> String {
    let parts = name.iter_rdn().map(|part| {
        let attributes = part.iter().map(attribute);
        attributes.collect::<Vec<_>>().join("+")
    });
    let mut parts: Vec<_> = parts.collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type().to_id_string();
    let known = SHORT.iter().find(|(id, _)| *id == kind);
    match (known, text(attribute)) {
        (Some((_, name)), Some(text)) => format!("{name}={}", escaped(&text)),
        // What nobody knows is written as it is encoded.
        (known, _) => format!("{}={}", known.map_or(&*kind, |(_, name)| name), encoded(attribute)),
    }
}

/// The value's characters; `None`: it is no text.
fn text<'a>(attribute: &AttributeTypeAndValue<'a>) -> Option<Cow<'a, str>> {
    const UTF8: u32 = 12;
    const NUMERIC: u32 = 18;
    const PRINTABLE: u32 = 19;
    const T61: u32 = 20;
    const IA5: u32 = 22;
    const UNIVERSAL: u32 = 28;
    const BMP: u32 = 30;
    let value = attribute.attr_value();
    let data = value.data;
    match value.tag().0 {
        UTF8 | NUMERIC | PRINTABLE | IA5 => std::str::from_utf8(data).ok().map(Cow::Borrowed),
        // Latin-1, as everybody reads it.
        T61 => Some(data.iter().map(|byte| char::from(*byte)).collect()),
        BMP => {
            let units = data.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
            char::decode_utf16(units).collect::<Result<String, _>>().ok().map(Cow::Owned)
        }
        UNIVERSAL => {
            let points = data.chunks_exact(4);
            let points = points.map(|p| u32::from_be_bytes([p[0], p[1], p[2], p[3]]));
            points.map(char::from_u32).collect::<Option<String>>().map(Cow::Owned)
        }
        _ => None,
    }
}

/// `#` and the value's DER in hex: RFC 2253 section 2.4.
fn encoded(attribute: &AttributeTypeAndValue<'_>) -> String {
    let value = attribute.attr_value();
    let class = (value.header.class() as u8) << 6;
    let form = if value.header.is_constructed() { 0x20 } else { 0 };
    // Tags of texts have one byte; a name with another was none that could be read.
    let mut der = vec![class | form | (value.tag().0 as u8 & 0x1f)];
    let length = value.data.len();
    if length < 0x80 {
        der.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let used = &bytes[length.leading_zeros() as usize / 8..];
        der.push(0x80 | used.len() as u8);
        der.extend_from_slice(used);
    }
    der.extend_from_slice(value.data);
    der.iter().fold(String::from("#"), |text, byte| text + &format!("{byte:02X}"))
}

/// RFC 2253 section 2.4; control bytes and what isn't ASCII as `\` and two digits, as OpenSSL does.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (place, byte) in value.bytes().enumerate() {
        if byte.is_ascii_control() || !byte.is_ascii() {
            out.push_str(&format!("\\{byte:02X}"));
            continue;
        }
        let special = matches!(byte, b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';')
            || (place == 0 && matches!(byte, b' ' | b'#'))
            || (place == last && byte == b' ');
        if special {
            out.push('\\');
        }
        out.push(char::from(byte));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_is_escaped() {
        assert_eq!(escaped("x\"\r\ny, z "), "x\\\"\\0D\\0Ay\\, z\\ ");
        assert_eq!(escaped("#é"), "\\#\\C3\\A9");
    }
}
