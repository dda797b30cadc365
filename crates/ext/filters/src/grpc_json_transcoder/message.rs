//! A call's message out of what a request says: its path, its query and its body.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};
use serde_path_to_error::Track;

use super::field::{Binding, FieldPath, boolean, descend, enumerated, find};

/// How messages are made of JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) any_case_enums: bool,
    /// A binding and the body mustn't say different things of a field.
    pub(super) no_conflicts: bool,
}

/// The message of `bindings` and a body in JSON that stands for the field `at`; it wins over the bindings.
///
/// # Errors
/// What is wrong with the body.
pub(super) fn make(
    kind: &MessageDescriptor,
    bindings: &[Binding],
    at: &FieldPath,
    body: Option<Value>,
    rules: Rules,
) -> Result<DynamicMessage, String> {
    let mut whole = Map::new();
    bindings.iter().for_each(|binding| binding.put(&mut whole));
    if let Some(body) = body {
        let inner = match at.last().map(FieldDescriptor::kind) {
            Some(Kind::Message(inner)) => inner,
            Some(_) => return Err("the body stands for a field that is no message".to_owned()),
            None => kind.clone(),
        };
        let body = fit(body, &inner, rules);
        if rules.no_conflicts && at.is_empty() {
            let body = body.as_object();
            let conflict = body.and_then(|body| bindings.iter().find_map(|b| b.conflict(body)));
            conflict.map_or(Ok(()), Err)?;
        }
        put_body(&mut whole, at, body)?;
    }
    let mut track = Track::new();
    let whole = Value::Object(whole);
    let tracked = serde_path_to_error::Deserializer::new(whole, &mut track);
    let message = DynamicMessage::deserialize(kind.clone(), tracked);
    message.map_err(|error| format!("{}: {error}", track.path()))
}

fn put_body(
    whole: &mut Map<String, Value>,
    at: &[FieldDescriptor],
    body: Value,
) -> Result<(), String> {
    let well_known = at.last().is_some_and(|field| match field.kind() {
        Kind::Message(message) => is_well_known(&message),
        _ => false,
    });
    if let (Some((last, outer)), true) = (at.split_last(), well_known) {
        if let Some(place) = descend(whole, outer) {
            place.insert(last.json_name().to_owned(), body);
        }
        return Ok(());
    }
    let Value::Object(body) = body else {
        return Err(": Root element must be a message.".to_owned());
    };
    if let Some(place) = descend(whole, at) {
        merge(place, body);
    }
    Ok(())
}

/// Lays `over` over `into`: objects field by field, lists behind each other.
fn merge(into: &mut Map<String, Value>, over: Map<String, Value>) {
    for (name, value) in over {
        match (into.get_mut(&name), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (Some(Value::Array(old)), Value::Array(new)) => old.extend(new),
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

/// Messages that JSON writes in a way of their own.
fn is_well_known(message: &MessageDescriptor) -> bool {
    message.full_name().strip_prefix("google.protobuf.").is_some_and(|name| name != "Empty")
}

/// What Envoy takes, as protobuf's JSON has it: fields by either name, none that are unknown, no nulls, a
/// value alone for a list of one.
fn fit(value: Value, message: &MessageDescriptor, rules: Rules) -> Value {
    let Value::Object(fields) = value else { return value };
    if is_well_known(message) {
        return Value::Object(fields);
    }
    let fitted = fields.into_iter().filter_map(|(name, value)| {
        let field = find(message, &name)?;
        let value = fit_field(value, &field, rules)?;
        Some((field.json_name().to_owned(), value))
    });
    Value::Object(fitted.collect())
}

fn fit_field(value: Value, field: &FieldDescriptor, rules: Rules) -> Option<Value> {
    let kind = field.kind();
    if value.is_null() {
        return takes_null(&kind).then_some(value);
    }
    if field.is_map() {
        let Kind::Message(entry) = kind else { return Some(value) };
        let Value::Object(entries) = value else { return Some(value) };
        let kind = entry.map_entry_value_field().kind();
        let fitted = entries.into_iter().map(|(key, value)| (key, fit_one(value, &kind, rules)));
        return Some(Value::Object(fitted.collect()));
    }
    if !field.is_list() {
        return Some(fit_one(value, &kind, rules));
    }
    let items = match value {
        Value::Array(items) => items,
        alone => vec![alone],
    };
    let items = items.into_iter().filter(|item| !item.is_null() || takes_null(&kind));
    Some(Value::Array(items.map(|item| fit_one(item, &kind, rules)).collect()))
}

fn takes_null(kind: &Kind) -> bool {
    match kind {
        Kind::Message(message) => message.full_name() == "google.protobuf.Value",
        Kind::Enum(kind) => kind.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

fn fit_one(value: Value, kind: &Kind, rules: Rules) -> Value {
    match (kind, value) {
        (Kind::Message(message), value) => fit(value, message, rules),
        (Kind::Bool, Value::String(text)) => {
            boolean(&text).map_or(Value::String(text), Value::Bool)
        }
        (Kind::Enum(kind), Value::String(text)) => {
            Value::String(enumerated(kind, &text, rules.any_case_enums).unwrap_or(text))
        }
        (_, value) => value,
    }
}
