//! Envoy's protobuf messages (from the `envoy-types` crate) and the few helpers that read them.
//! Messages are read while a snapshot is compiled, never while a request is served.

pub mod back_off;
pub mod data_source;
pub mod http2;
mod re2;
pub mod tlv;

use std::time::Duration;

use dragoman_types::Faults;
pub use envoy_types::pb;
use envoy_types::pb::google::protobuf as wkt;
pub use prost::{Message, Name};

/// A protobuf duration; negative ones count as zero (Envoy's rules refuse them where they matter).
pub fn duration(value: &wkt::Duration) -> Duration {
    let seconds = u64::try_from(value.seconds).unwrap_or(0);
    Duration::new(seconds, u32::try_from(value.nanos).unwrap_or(0).min(999_999_999))
}

/// A duration field with Envoy's "unset = default, zero = off".
pub fn timeout(value: Option<&wkt::Duration>, default: Option<Duration>) -> Option<Duration> {
    match value {
        None => default,
        Some(set) => Some(duration(set)).filter(|d| !d.is_zero()),
    }
}

/// `BoolValue` with a default.
pub fn bool_or(value: Option<&wkt::BoolValue>, default: bool) -> bool {
    value.map_or(default, |v| v.value)
}

/// `UInt32Value` with a default.
pub fn u32_or(value: Option<&wkt::UInt32Value>, default: u32) -> u32 {
    value.map_or(default, |v| v.value)
}

/// The bare message name of an `Any`'s type URL.
pub fn type_name(any: &wkt::Any) -> &str {
    any.type_url.rsplit('/').next().unwrap_or_default()
}

/// Unpacks `any` as `T`; a wrong type or broken bytes become a fault at the present path.
pub fn unpack<T: Message + Name + Default>(any: &wkt::Any, faults: &mut Faults) -> Option<T> {
    if type_name(any) != T::full_name() {
        faults.add("wrong-type", format!("expected {}, got {}", T::full_name(), type_name(any)));
        return None;
    }
    match T::decode(any.value.as_slice()) {
        Ok(message) => Some(message),
        Err(error) => {
            faults.add("broken-message", format!("{} can't be decoded: {error}", T::full_name()));
            None
        }
    }
}

/// Compiles a regular expression with RE2's meaning over bytes, as Envoy runs it: linear time, no
/// look-around, bounded size.
/// Envoy matches the whole text: pass `whole = true` for matchers, `false` for substitutions.
pub fn regex(pattern: &str, whole: bool, faults: &mut Faults) -> Option<regex::bytes::Regex> {
    let pattern = re2::translate(pattern);
    let pattern = if whole { format!("^(?:{pattern})$") } else { pattern };
    match regex::bytes::RegexBuilder::new(&pattern).unicode(false).size_limit(8 << 20).build() {
        Ok(compiled) => Some(compiled),
        Err(error) => {
            faults.add("bad-regex", error.to_string());
            None
        }
    }
}
