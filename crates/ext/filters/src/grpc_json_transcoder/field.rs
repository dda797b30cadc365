//! Fields of messages as bindings name them, and JSON values for what stands in a path or a query.

use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

/// A field within a message, outermost first.
pub(super) type FieldPath = Vec<FieldDescriptor>;

/// The field that `path` names: `place.town`, by names of protobuf or of JSON.
///
/// # Errors
/// What is wrong with the path.
pub(super) fn resolve(message: &MessageDescriptor, path: &str) -> Result<FieldPath, String> {
    let mut found = Vec::new();
    let mut within = message.clone();
    for name in path.split('.') {
        if let Some(last) = found.last() {
            within = inner(last)?;
        }
        let field = find(&within, name).ok_or_else(|| {
            format!("Could not find field \"{name}\" in the type \"{}\".", within.full_name())
        })?;
        found.push(field);
    }
    Ok(found)
}

/// A field by its name in protobuf or in JSON.
pub(super) fn find(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_name(name).or_else(|| message.get_field_by_json_name(name))
}

fn inner(field: &FieldDescriptor) -> Result<MessageDescriptor, String> {
    match field.kind() {
        Kind::Message(message) => Ok(message),
        _ => Err(format!(
            "Encountered a non-leaf field \"{}\" that is not a message while parsing a field path",
            field.name()
        )),
    }
}

/// A field's value as text gives it.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) path: FieldPath,
    pub(super) value: Value,
    /// What it was made of.
    text: String,
}

impl Binding {
    /// # Errors
    /// Why the text is no value of the field.
    pub(super) fn new(path: &FieldPath, text: String, any_case: bool) -> Result<Binding, String> {
        let field = path.last().filter(|field| !field.is_map());
        match field.and_then(|field| value(&field.kind(), &text, any_case)) {
            Some(value) => Ok(Binding { path: path.clone(), value, text }),
            None => Err(unfit(path, &text)),
        }
    }

    /// Puts the value to its place; a field that repeats gets one more.
    pub(super) fn put(&self, into: &mut Map<String, Value>) {
        let Some((last, outer)) = self.path.split_last() else { return };
        let Some(place) = descend(into, outer) else { return };
        let name = last.json_name().to_owned();
        if !last.is_list() {
            place.insert(name, self.value.clone());
            return;
        }
        if let Value::Array(items) = place.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
            items.push(self.value.clone());
        }
    }

    /// What the body has in the field's place, if it isn't the same.
    pub(super) fn conflict(&self, body: &Map<String, Value>) -> Option<String> {
        let (last, outer) = self.path.split_last()?;
        let mut within = body;
        for field in outer {
            within = within.get(field.json_name())?.as_object()?;
        }
        let found = within.get(last.json_name()).filter(|_| !last.is_list())?;
        let same = match found {
            Value::String(text) => *text == self.text,
            Value::Number(number) => number.to_string() == self.text,
            found => *found == self.value,
        };
        let named = dotted(&self.path);
        (!same).then(|| {
            format!(
                "The binding value \"{}\" of the field {named} is conflicting with the value {found} in the body.",
                self.text
            )
        })
    }
}

/// The object at `path`, made where there is none.
pub(super) fn descend<'m>(
    mut into: &'m mut Map<String, Value>,
    path: &[FieldDescriptor],
) -> Option<&'m mut Map<String, Value>> {
    for field in path {
        let name = field.json_name().to_owned();
        let next = into.entry(name).or_insert_with(|| Value::Object(Map::new()));
        into = next.as_object_mut()?;
    }
    Some(into)
}

fn dotted(path: &[FieldDescriptor]) -> String {
    let names: Vec<_> = path.iter().map(FieldDescriptor::name).collect();
    names.join(".")
}

fn unfit(path: &FieldPath, text: &str) -> String {
    let (kind, within) = match path.last().map(FieldDescriptor::kind) {
        Some(Kind::Message(message)) => match wrapped(&message) {
            Some(kind) => (Some(kind), ".value"),
            None => (Some(Kind::Message(message)), ""),
        },
        kind => (kind, ""),
    };
    let kind = match kind {
        Some(Kind::Message(message)) => format!("type.googleapis.com/{}", message.full_name()),
        Some(Kind::Enum(kind)) => format!("type.googleapis.com/{}", kind.full_name()),
        Some(kind) => format!("TYPE_{}", format!("{kind:?}").to_uppercase()),
        None => String::new(),
    };
    format!("{}{within}: invalid value \"{text}\" for type {kind}", dotted(path))
}

/// `text` as JSON has values of this kind.
pub(super) fn value(kind: &Kind, text: &str, any_case: bool) -> Option<Value> {
    let number = text.trim();
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Some(number.parse::<i32>().ok()?.into()),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Some(number.parse::<i64>().ok()?.into()),
        Kind::Uint32 | Kind::Fixed32 => Some(number.parse::<u32>().ok()?.into()),
        Kind::Uint64 | Kind::Fixed64 => Some(number.parse::<u64>().ok()?.into()),
        Kind::Double => float(number, number.parse().ok()?),
        // By way of its own type: what is too large for it is no value.
        Kind::Float => float(number, f64::from(number.parse::<f32>().ok()?)),
        Kind::Bool => boolean(text).map(Value::Bool),
        Kind::String => Some(text.into()),
        Kind::Bytes => bytes(text).then(|| text.into()),
        Kind::Enum(kind) => {
            let named = enumerated(kind, text, any_case).map(Value::from);
            named.or_else(|| {
                let number = number.parse::<i32>().ok()?;
                Some(number.into())
            })
        }
        Kind::Message(message) => of_message(message, text, any_case),
    }
}

/// What a message that wraps a scalar holds: `google.protobuf.Int32Value` and the like.
fn wrapped(message: &MessageDescriptor) -> Option<Kind> {
    let name = message.full_name().strip_prefix("google.protobuf.")?;
    let wraps = name.ends_with("Value") && name != "Value" && name != "ListValue";
    message.get_field_by_name("value").filter(|_| wraps).map(|field| field.kind())
}

/// The messages that JSON writes as a text or a number.
fn of_message(message: &MessageDescriptor, text: &str, any_case: bool) -> Option<Value> {
    if let Some(kind) = wrapped(message) {
        return value(&kind, text, any_case);
    }
    let name = message.full_name().strip_prefix("google.protobuf.")?;
    let known = ["Timestamp", "Duration", "FieldMask", "Value"].contains(&name);
    let value = Value::from(text);
    let fits = known && DynamicMessage::deserialize(message.clone(), &value).is_ok();
    fits.then_some(value)
}

fn float(text: &str, number: f64) -> Option<Value> {
    match number.is_finite() {
        true => serde_json::Number::from_f64(number).map(Value::Number),
        // Its names, not "inf", and not what is too large.
        false => ["NaN", "Infinity", "-Infinity"].contains(&text).then(|| text.into()),
    }
}

/// The words that C++'s libraries take.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

fn bytes(text: &str) -> bool {
    [STANDARD, URL_SAFE].iter().any(|alphabet| unbase64(alphabet, text.as_bytes()).is_some())
}

/// Base64 as it comes from everywhere: padded or not.
pub(super) fn unbase64(alphabet: &Alphabet, text: &[u8]) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config).decode(text).ok()
}

/// The name of an enumeration's value, as it is written there.
pub(super) fn enumerated(
    kind: &prost_reflect::EnumDescriptor,
    text: &str,
    any_case: bool,
) -> Option<String> {
    if kind.get_value_by_name(text).is_some() {
        return Some(text.to_owned());
    }
    let upper = text.to_ascii_uppercase().replace('-', "_");
    let named = any_case.then(|| kind.get_value_by_name(&upper)).flatten();
    named.map(|value| value.name().to_owned())
}
