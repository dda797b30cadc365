//! The type-length-values of version 2, and what becomes of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dragoman_listener::Arrival;
use dragoman_proto::pb::envoy::config::core::v3::ProxyProtocolPassThroughTlVs;
use dragoman_proto::pb::envoy::config::core::v3::proxy_protocol_pass_through_tl_vs::PassTlVsMatchType;
use dragoman_proto::pb::envoy::extensions::filters::listener::proxy_protocol::v3::{
    ProxyProtocol as Message,
    proxy_protocol::{KeyValuePair, TlvLocation, key_value_pair::ValueStringEncoding},
};
use dragoman_types::Faults;

const NAMESPACE: &str = "envoy.filters.listener.proxy_protocol";

/// Splits the end of a header; `None`: it is cut off inside one.
pub(super) fn split(mut rest: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut found = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let (value, after) = after.split_at_checked(length)?;
        found.push((head[0], value));
        rest = after;
    }
    rest.is_empty().then_some(found)
}

/// Where the value of one type goes.
#[derive(Debug)]
struct Rule {
    kind: u8,
    namespace: Box<str>,
    key: Box<str>,
    base64: bool,
}

/// `rules`, `tlv_location` and `pass_through_tlvs`.
#[derive(Debug)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    in_filter_state: bool,
    pass_all: bool,
    passed: Vec<u8>,
}

impl Rules {
    pub(super) fn compile(message: &Message, faults: &mut Faults) -> Rules {
        let mut rules: Vec<Rule> = Vec::new();
        for (index, rule) in message.rules.iter().enumerate() {
            faults.item("rules", index, |faults| {
                let Some(kind) = faults.field("tlv_type", |faults| byte(rule.tlv_type, faults))
                else {
                    return;
                };
                let pair = rule.on_tlv_present.as_ref();
                let rule = faults.field("on_tlv_present", |faults| compile(kind, pair, faults));
                // The last rule of a type counts.
                rules.retain(|known| known.kind != kind);
                rules.push(rule);
            });
        }
        let in_filter_state = match TlvLocation::try_from(message.tlv_location) {
            Ok(location) => location == TlvLocation::FilterState,
            Err(_) => {
                let text = "is neither DYNAMIC_METADATA nor FILTER_STATE";
                faults.add_at("tlv_location", "bad-enum", text);
                false
            }
        };
        let (pass_all, passed) = match &message.pass_through_tlvs {
            Some(pass) => faults.field("pass_through_tlvs", |faults| pass_through(pass, faults)),
            None => (false, Vec::new()),
        };
        Rules { rules, in_filter_state, pass_all, passed }
    }

    /// Whether a type is kept as it came.
    pub(super) fn passes(&self, kind: u8) -> bool {
        self.pass_all || self.passed.contains(&kind)
    }

    /// Puts values into the connection's dynamic metadata, or gives them for the filter state.
    /// Of several for one key the first counts in the metadata and the last in the filter state.
    pub(super) fn apply(
        &self,
        tlvs: &[(u8, &[u8])],
        arrival: &mut Arrival,
    ) -> Vec<(Box<str>, Box<str>)> {
        let mut named: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (kind, value) in tlvs {
            let Some(rule) = self.rules.iter().find(|rule| rule.kind == *kind) else { continue };
            let value = if rule.base64 { STANDARD.encode(value) } else { sanitized(value) };
            if !self.in_filter_state {
                arrival.add_metadata(&rule.namespace, &rule.key, &value);
                continue;
            }
            match named.iter_mut().find(|(key, _)| *key == rule.key) {
                Some((_, known)) => *known = value.into(),
                None => named.push((rule.key.clone(), value.into())),
            }
        }
        named
    }
}

fn compile(kind: u8, pair: Option<&KeyValuePair>, faults: &mut Faults) -> Rule {
    // Without a pair the key is empty, and Envoy takes it.
    if pair.is_some_and(|pair| pair.key.is_empty()) {
        faults.add_at("key", "empty", "must not be empty");
    }
    let unset = KeyValuePair::default();
    let pair = pair.unwrap_or(&unset);
    let encoding = ValueStringEncoding::try_from(pair.value_string_encoding);
    if encoding.is_err() {
        let text = "is none of UNSPECIFIED, SANITIZED_UTF8, BASE64";
        faults.add_at("value_string_encoding", "bad-enum", text);
    }
    let namespace = Some(&*pair.metadata_namespace).filter(|name| !name.is_empty());
    Rule {
        kind,
        namespace: namespace.unwrap_or(NAMESPACE).into(),
        key: (&*pair.key).into(),
        base64: encoding == Ok(ValueStringEncoding::Base64),
    }
}

fn pass_through(message: &ProxyProtocolPassThroughTlVs, faults: &mut Faults) -> (bool, Vec<u8>) {
    let kinds = message.tlv_type.iter().enumerate();
    let kinds = kinds.filter_map(|(index, kind)| {
        faults.item("tlv_type", index, |faults: &mut Faults| byte(*kind, faults))
    });
    let kinds = kinds.collect();
    match PassTlVsMatchType::try_from(message.match_type) {
        Ok(PassTlVsMatchType::IncludeAll) => (true, Vec::new()),
        Ok(PassTlVsMatchType::Include) => (false, kinds),
        Err(_) => {
            faults.add_at("match_type", "bad-enum", "is neither INCLUDE_ALL nor INCLUDE");
            (false, kinds)
        }
    }
}

fn byte(value: u32, faults: &mut Faults) -> Option<u8> {
    let byte = u8::try_from(value).ok();
    if byte.is_none() {
        faults.add("out-of-range", format!("{value} is no type: 0 to 255"));
    }
    byte
}

/// Each byte that isn't part of valid UTF-8 becomes an exclamation mark.
fn sanitized(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '!'));
    }
    text
}
