//! JSON strings of any bytes. Valid UTF-8 keeps its characters; a value that isn't valid UTF-8 is written
//! byte by byte, each byte that isn't plain ASCII as `\u00XX`, as Envoy does.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends what stands between a string's quotes for `value`.
pub(crate) fn escape(value: &[u8], out: &mut Vec<u8>) {
    let plain = |b: &u8| (0x20..0x7f).contains(b) && *b != b'"' && *b != b'\\';
    if value.iter().all(plain) {
        return out.extend_from_slice(value);
    }
    if std::str::from_utf8(value).is_err() {
        for &byte in value {
            if plain(&byte) { out.push(byte) } else { unicode(byte, out) }
        }
        return;
    }
    for &byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..0x20 => unicode(byte, out),
            _ => out.push(byte),
        }
    }
}

fn unicode(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\u00");
    out.push(HEX[usize::from(byte >> 4)]);
    out.push(HEX[usize::from(byte & 15)]);
}
