//! Type-length-values of the PROXY protocol, version 2, as configurations give them (`TlvEntry`).

use dragoman_types::Faults;
use envoy_types::pb::envoy::config::core::v3::TlvEntry;

/// Its type and its value.
pub type Tlv = (u8, Box<[u8]>);

/// Compiles the entries of the list `field`. Faults: `out-of-range` (a type is a byte), `too-long`,
/// `unsupported` (formatted values).
pub fn compile(entries: &[TlvEntry], field: &str, faults: &mut Faults) -> Vec<Tlv> {
    let mut tlvs = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        tlvs.extend(faults.item(field, index, |faults| one(entry, faults)));
    }
    tlvs
}

fn one(entry: &TlvEntry, faults: &mut Faults) -> Option<Tlv> {
    let kind = faults.field("type", |faults| byte(entry.r#type, faults))?;
    if entry.format_string.is_some() {
        faults.add_at("format_string", "unsupported", "only fixed values can be added yet");
        return None;
    }
    if u16::try_from(entry.value.len()).is_err() {
        faults.add_at("value", "too-long", "a value has at most 65535 bytes");
        return None;
    }
    Some((kind, entry.value.as_slice().into()))
}

/// A type.
pub fn byte(kind: u32, faults: &mut Faults) -> Option<u8> {
    let byte = u8::try_from(kind).ok();
    if byte.is_none() {
        faults.add("out-of-range", "a type is at most 255");
    }
    byte
}
