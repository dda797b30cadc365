//! Fingerprints of a ClientHello. JA3: github.com/salesforce/ja3; JA4: github.com/FoxIO-LLC/ja4
//! (technical_details/JA4.md). Values that only grease (RFC 8701) are left out of everything; Envoy 1.40
//! keeps them among JA3's groups and JA4's signature algorithms, where they make a client that greases
//! look new each time.

use std::fmt::{Display, Write};

use md5::Md5;
use sha2::{Digest, Sha256};

use super::client_hello::{
    APPLICATION_PROTOCOLS, ClientHello, EC_POINT_FORMATS, Reader, SERVER_NAME,
    SIGNATURE_ALGORITHMS, SUPPORTED_GROUPS, pairs,
};

/// Digits of a JA4 hash.
const JA4_DIGITS: usize = 12;

fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

fn without_grease(values: impl Iterator<Item = u16>) -> impl Iterator<Item = u16> {
    values.filter(|value| !is_grease(*value))
}

fn joined(values: impl Iterator<Item = impl Display>, separator: char) -> String {
    let mut text = String::new();
    for value in values {
        if !text.is_empty() {
            text.push(separator);
        }
        // Writing to a String can't fail.
        let _ = write!(text, "{value}");
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Version, ciphers, extensions, groups and point formats in the client's order, as MD5.
pub(super) fn ja3(hello: &ClientHello<'_>) -> String {
    hex(&Md5::digest(ja3_text(hello).as_bytes()))
}

pub(super) fn ja3_text(hello: &ClientHello<'_>) -> String {
    let listed = |kind| hello.extension(kind).unwrap_or_default();
    let groups = Reader(listed(SUPPORTED_GROUPS)).prefixed16().unwrap_or_default();
    let formats = Reader(listed(EC_POINT_FORMATS)).prefixed8().unwrap_or_default();
    let kinds = hello.extensions.iter().map(|(kind, _)| *kind);
    format!(
        "{},{},{},{},{}",
        hello.version,
        joined(without_grease(pairs(hello.ciphers)), '-'),
        joined(without_grease(kinds), '-'),
        joined(without_grease(pairs(groups)), '-'),
        joined(formats.iter(), '-'),
    )
}

/// What stands in the open (version, server name, counts, first protocol), then the ciphers and the
/// extensions with the signature algorithms, hashed in an order that the client can't shuffle.
pub(super) fn ja4(hello: &ClientHello<'_>) -> String {
    let ciphers: Vec<u16> = without_grease(pairs(hello.ciphers)).collect();
    let kinds = hello.extensions.iter().map(|(kind, _)| *kind);
    let extensions: Vec<u16> = without_grease(kinds).collect();
    let name = if hello.extension(SERVER_NAME).is_some() { 'd' } else { 'i' };
    format!(
        "t{}{name}{:02}{:02}{}_{}_{}",
        version(hello),
        ciphers.len().min(99),
        extensions.len().min(99),
        application(hello),
        hashed(sorted(ciphers), ""),
        hashed(sorted_extensions(extensions), &signature_algorithms(hello)),
    )
}

fn version(hello: &ClientHello<'_>) -> &'static str {
    let highest = hello.versions().and_then(|versions| without_grease(versions).max());
    match highest.unwrap_or(hello.version) {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        _ => "00",
    }
}

/// First and last character of the first protocol; where one isn't alphanumeric, the first and the
/// last of its hexadecimal digits.
fn application(hello: &ClientHello<'_>) -> String {
    let mut body = Reader(hello.extension(APPLICATION_PROTOCOLS).unwrap_or_default());
    let first = body.u16().and_then(|_| body.prefixed8()).unwrap_or_default();
    match (first.first(), first.last()) {
        (Some(first), Some(last))
            if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() =>
        {
            [char::from(*first), char::from(*last)].iter().collect()
        }
        (Some(first), Some(last)) => format!("{:x}{:x}", first >> 4, last & 0x0f),
        _ => "00".to_owned(),
    }
}

fn sorted(mut values: Vec<u16>) -> Vec<u16> {
    values.sort_unstable();
    values
}

/// Without the two that stand in the open.
fn sorted_extensions(mut kinds: Vec<u16>) -> Vec<u16> {
    kinds.retain(|kind| ![SERVER_NAME, APPLICATION_PROTOCOLS].contains(kind));
    sorted(kinds)
}

/// With what separates them from the extensions; nothing where there are none.
fn signature_algorithms(hello: &ClientHello<'_>) -> String {
    let mut body = Reader(hello.extension(SIGNATURE_ALGORITHMS).unwrap_or_default());
    let text = four_digits(without_grease(pairs(body.prefixed16().unwrap_or_default())));
    if text.is_empty() { text } else { format!("_{text}") }
}

fn four_digits(values: impl Iterator<Item = u16>) -> String {
    joined(values.map(|value| format!("{value:04x}")), ',')
}

fn hashed(values: Vec<u16>, tail: &str) -> String {
    if values.is_empty() {
        return "0".repeat(JA4_DIGITS);
    }
    let text = four_digits(values.into_iter()) + tail;
    hex(&Sha256::digest(text.as_bytes())[..JA4_DIGITS / 2])
}
