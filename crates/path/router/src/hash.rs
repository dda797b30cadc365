//! `RouteAction.hash_policy`: what of a request leads it to the same host again, where its cluster's policy
//! is by hash.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use dragoman_matcher::{cookie_value, query_value};
use dragoman_proto::duration;
use dragoman_proto::pb::envoy::config::route::v3::route_action as pb;
use dragoman_types::headers::HeaderName;
use dragoman_types::{Address, Faults, Headers, hash_of, hash_of_client, hash_with, id};
use pb::hash_policy::PolicySpecifier;

use crate::path::query_of;
use crate::substitution::Substitution;

/// The policies of a route, in their order.
#[derive(Debug)]
pub struct HashPolicy {
    parts: Box<[Part]>,
}

#[derive(Debug)]
struct Part {
    of: Of,
    /// If there is a hash by now, no later part counts.
    terminal: bool,
}

#[derive(Debug)]
enum Of {
    Header(HeaderName, Option<Substitution>),
    Cookie(Cookie),
    Source,
    Query(Box<[u8]>),
}

#[derive(Debug)]
struct Cookie {
    name: Box<str>,
    /// A client without it gets one. `Some(0)`: for its session.
    ttl: Option<Duration>,
    /// What the cookie is given with behind its value.
    attributes: Box<str>,
}

/// What a request is balanced by.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hashed {
    /// `None`: any host serves.
    pub hash: Option<u64>,
    /// `set-cookie` fields that the response has besides the host's.
    pub cookies: Vec<Box<str>>,
}

impl HashPolicy {
    /// `None`: there are no policies.
    pub(crate) fn compile(list: &[pb::HashPolicy], faults: &mut Faults) -> Option<Box<HashPolicy>> {
        let mut parts = Vec::with_capacity(list.len());
        for (index, message) in list.iter().enumerate() {
            let of = faults.item("hash_policy", index, |faults| Of::compile(message, faults));
            parts.extend(of.map(|of| Part { of, terminal: message.terminal }));
        }
        (!parts.is_empty()).then(|| Box::new(HashPolicy { parts: parts.into() }))
    }

    /// `headers`: as they go to the host.
    pub fn hash(&self, headers: &Headers, remote: &Address, local: &Address) -> Hashed {
        let mut hashed = Hashed::default();
        for part in &self.parts {
            if let Some(new) = part.of.hash(headers, remote, local, &mut hashed.cookies) {
                // Turned, or the same value twice would be none.
                hashed.hash = Some(hashed.hash.map_or(0, |old| old.rotate_left(1)) ^ new);
            }
            if part.terminal && hashed.hash.is_some() {
                break;
            }
        }
        hashed
    }
}

impl Of {
    fn compile(message: &pb::HashPolicy, faults: &mut Faults) -> Option<Of> {
        match &message.policy_specifier {
            Some(PolicySpecifier::Header(header)) => Some(Of::Header(
                HeaderName::new(&header.header_name),
                header.regex_rewrite.as_ref().map(|regex| {
                    faults.field("header.regex_rewrite", |f| Substitution::compile(regex, f))
                }),
            )),
            Some(PolicySpecifier::Cookie(cookie)) => Some(Of::Cookie(Cookie::compile(cookie))),
            Some(PolicySpecifier::ConnectionProperties(of)) => of.source_ip.then_some(Of::Source),
            Some(PolicySpecifier::QueryParameter(query)) => {
                Some(Of::Query(query.name.as_bytes().into()))
            }
            Some(PolicySpecifier::FilterState(_)) => {
                let why = "no filter keeps what could be hashed";
                faults.add_at("filter_state", "unsupported", why);
                None
            }
            None => {
                faults.add("missing", "what is hashed is required: header, cookie or another");
                None
            }
        }
    }

    fn hash(
        &self,
        headers: &Headers,
        remote: &Address,
        local: &Address,
        cookies: &mut Vec<Box<str>>,
    ) -> Option<u64> {
        match self {
            Of::Header(name, rewrite) => of_header(headers, name, rewrite.as_ref()),
            Of::Cookie(cookie) => match cookie_value(headers, cookie.name.as_bytes()) {
                None | Some(b"") => {
                    let value = format!("{:016x}", hash_of(format!("{remote}{local}").as_bytes()));
                    cookies.push(cookie.given(&value)?);
                    Some(hash_of(value.as_bytes()))
                }
                Some(value) => Some(hash_of(value)),
            },
            Of::Source => hash_of_client(remote),
            Of::Query(name) => {
                let query = query_of(headers.get(id::PATH).unwrap_or_default());
                query_value(query, name).map(hash_of)
            }
        }
    }
}

/// Of all values that a header has, whatever their order.
fn of_header(headers: &Headers, name: &HeaderName, rewrite: Option<&Substitution>) -> Option<u64> {
    let rewritten = |value| match rewrite {
        Some(rewrite) => {
            let mut out = Vec::new();
            rewrite.replace_all(value, &mut out);
            Cow::Owned(out)
        }
        None => Cow::Borrowed(value),
    };
    let mut values: Vec<Cow<'_, [u8]>> = headers.get_all(name).map(rewritten).collect();
    values.sort();
    let chain =
        |seed: Option<u64>, value: &Cow<'_, [u8]>| Some(hash_with(seed.unwrap_or(0), value));
    values.iter().fold(None, chain)
}

impl Cookie {
    fn compile(message: &pb::hash_policy::Cookie) -> Cookie {
        let ttl = message.ttl.as_ref().map(duration);
        let mut attributes = String::new();
        if let Some(seconds) = ttl.map(|ttl| ttl.as_secs()).filter(|seconds| *seconds > 0) {
            let _ = write!(attributes, "; Max-Age={seconds}");
        }
        if !message.path.is_empty() {
            let _ = write!(attributes, "; Path={}", message.path);
        }
        for attribute in &message.attributes {
            let _ = match &*attribute.value {
                "" => write!(attributes, "; {}", attribute.name),
                value => write!(attributes, "; {}={value}", attribute.name),
            };
        }
        attributes.push_str("; HttpOnly");
        Cookie { name: message.name.as_str().into(), ttl, attributes: attributes.into() }
    }

    /// The field that gives it to a client, if it is given.
    fn given(&self, value: &str) -> Option<Box<str>> {
        self.ttl.map(|_| format!("{}=\"{value}\"{}", self.name, self.attributes).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(of: Vec<(PolicySpecifier, bool)>) -> HashPolicy {
        let list: Vec<_> = of
            .into_iter()
            .map(|(of, terminal)| pb::HashPolicy { policy_specifier: Some(of), terminal })
            .collect();
        let mut faults = Faults::new();
        let policy = *HashPolicy::compile(&list, &mut faults).unwrap();
        assert!(faults.is_empty());
        policy
    }

    fn header(name: &str) -> PolicySpecifier {
        let header_name = name.into();
        PolicySpecifier::Header(pb::hash_policy::Header { header_name, regex_rewrite: None })
    }

    fn source() -> PolicySpecifier {
        let source_ip = true;
        PolicySpecifier::ConnectionProperties(pb::hash_policy::ConnectionProperties { source_ip })
    }

    fn hash(policy: &HashPolicy, fields: &[(&str, &str)]) -> Option<u64> {
        let mut headers = Headers::default();
        fields
            .iter()
            .for_each(|(name, value)| headers.append(&HeaderName::new(name), value.as_bytes()));
        let at = |port| Address::Ip(([127, 0, 0, 1], port).into());
        policy.hash(&headers, &at(1), &at(2)).hash
    }

    #[test]
    fn parts_are_joined_until_one_ends_them() {
        let (a, ip) = (hash_of(b"a"), hash_of(b"127.0.0.1"));
        let both = policy(vec![(header("x"), false), (source(), false)]);
        assert_eq!(hash(&both, &[("x", "a")]), Some(a.rotate_left(1) ^ ip));
        assert_eq!(hash(&both, &[]), Some(ip));
        let first = policy(vec![(header("x"), true), (source(), false)]);
        assert_eq!(hash(&first, &[("x", "a")]), Some(a));
        assert_eq!(hash(&first, &[]), Some(ip));
    }

    #[test]
    fn values_count_in_any_order() {
        let one = policy(vec![(header("x"), false)]);
        let forth = hash(&one, &[("x", "a"), ("x", "b")]);
        assert_eq!(forth, hash(&one, &[("x", "b"), ("x", "a")]));
        assert_eq!(forth, Some(hash_with(hash_of(b"a"), b"b")));
        assert_eq!(hash(&one, &[("y", "a")]), None);
    }
}
