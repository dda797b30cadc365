//! Adding and removing header fields at one level of the configuration.
//!
//! Within one level a real Envoy first removes, then computes every new value from the fields as they
//! stand, then overwrites, then appends: no value sees another of its own level. The next level sees
//! all of it.

use dragoman_format::Format;
use dragoman_proto::pb::envoy::config::core::v3 as pb;
use dragoman_types::headers::HeaderName;
use dragoman_types::{Facts, Faults, Headers, RequestHead, ResponseHead};
use pb::header_value_option::HeaderAppendAction as Action;

mod inline;

pub use inline::Side;
use inline::is_joined;

/// What a worker lends to edits and takes back: keep one a worker, and set the time in `format`.
#[derive(Debug)]
pub struct Scratch {
    pub format: dragoman_format::Scratch,
    /// Working space, for whoever has the scratch.
    pub bytes: Vec<u8>,
    /// (which addition, where its value ends in `bytes`).
    values: Vec<(usize, usize)>,
}

impl Scratch {
    pub fn new(format: dragoman_format::Scratch) -> Scratch {
        Scratch { format, bytes: Vec::with_capacity(256), values: Vec::new() }
    }
}

/// One level's edits; mostly there are none, and then they take no room.
pub type Edits = Option<Box<Mutations>>;

/// A level's additions and removals.
#[derive(Debug)]
pub struct Mutations {
    remove: Box<[HeaderName]>,
    add: Box<[Add]>,
}

#[derive(Debug)]
struct Add {
    name: HeaderName,
    value: Format,
    action: Action,
    keep_empty: bool,
    /// A second value is joined with a comma instead of becoming a field of its own.
    joined: bool,
}

impl Mutations {
    /// `fields`: the configuration's names of what is added and removed.
    pub fn compile(
        side: Side,
        (to_add, to_remove): (&str, &str),
        add: &[pb::HeaderValueOption],
        remove: &[String],
        faults: &mut Faults,
    ) -> Edits {
        let mut removals = Vec::new();
        for (place, name) in remove.iter().enumerate() {
            faults.item(to_remove, place, |faults| check_name(name, "removed", faults));
            removals.push(HeaderName::new(name));
        }
        let mut additions = Vec::new();
        for (place, option) in add.iter().enumerate() {
            additions.extend(faults.item(to_add, place, |f| Add::compile(side, option, f)));
        }
        if removals.is_empty() && additions.is_empty() {
            return None;
        }
        Some(Box::new(Mutations { remove: removals.into(), add: additions.into() }))
    }

    pub fn edit_request(
        &self,
        request: &mut RequestHead,
        facts: &Facts<'_>,
        scratch: &mut Scratch,
    ) {
        self.remove_from(&mut request.headers);
        self.compute(&request.headers, &Facts { request: Some(&*request), ..*facts }, scratch);
        self.put_into(&mut request.headers, scratch);
    }

    pub fn edit_response(
        &self,
        response: &mut ResponseHead,
        facts: &Facts<'_>,
        scratch: &mut Scratch,
    ) {
        self.remove_from(&mut response.headers);
        self.compute(&response.headers, &Facts { response: Some(&*response), ..*facts }, scratch);
        self.put_into(&mut response.headers, scratch);
    }

    fn remove_from(&self, headers: &mut Headers) {
        for name in &self.remove {
            headers.remove(name);
        }
    }

    fn compute(&self, headers: &Headers, facts: &Facts<'_>, scratch: &mut Scratch) {
        scratch.bytes.clear();
        scratch.values.clear();
        for (place, add) in self.add.iter().enumerate() {
            let begin = scratch.bytes.len();
            let wanted = match add.action {
                Action::AddIfAbsent => !headers.contains(&add.name),
                Action::OverwriteIfExists => headers.contains(&add.name),
                Action::AppendIfExistsOrAdd | Action::OverwriteIfExistsOrAdd => true,
            };
            if !wanted {
                continue;
            }
            add.value.write(facts, &mut scratch.format, &mut scratch.bytes);
            // What would end the field isn't written: it would begin another.
            if scratch.bytes[begin..].iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                scratch.bytes.truncate(begin);
                continue;
            }
            if scratch.bytes.len() > begin || add.keep_empty {
                scratch.values.push((place, scratch.bytes.len()));
            }
        }
    }

    fn put_into(&self, headers: &mut Headers, scratch: &Scratch) {
        self.each(scratch, true, |add, value| {
            if add.joined {
                headers.set(&add.name, value);
            } else {
                headers.remove(&add.name);
                headers.append(&add.name, value);
            }
        });
        self.each(scratch, false, |add, value| {
            if add.joined {
                headers.join(&add.name, b",", value);
            } else {
                headers.append(&add.name, value);
            }
        });
    }

    fn each(&self, scratch: &Scratch, overwriting: bool, mut f: impl FnMut(&Add, &[u8])) {
        let mut begin = 0;
        for (place, end) in &scratch.values {
            let value = &scratch.bytes[begin..*end];
            begin = *end;
            let add = &self.add[*place];
            let overwrites =
                matches!(add.action, Action::OverwriteIfExists | Action::OverwriteIfExistsOrAdd);
            if overwrites == overwriting {
                f(add, value);
            }
        }
    }
}

impl Add {
    fn compile(side: Side, option: &pb::HeaderValueOption, faults: &mut Faults) -> Option<Add> {
        let Some(header) = &option.header else {
            faults.add_at("header", "missing", "is needed");
            return None;
        };
        faults.field("header", |f| f.field("key", |f| check_name(&header.key, "modified", f)));
        let value = faults.field("header", |faults| value(header, faults));
        Some(Add {
            name: HeaderName::new(&header.key),
            value,
            action: action(option, faults),
            keep_empty: option.keep_empty_value,
            joined: is_joined(side, &header.key),
        })
    }
}

fn action(option: &pb::HeaderValueOption, faults: &mut Faults) -> Action {
    let action = Action::try_from(option.append_action).unwrap_or_else(|_| {
        let text = format!("{} is no append action", option.append_action);
        faults.add_at("append_action", "bad-enum", text);
        Action::AppendIfExistsOrAdd
    });
    // Deprecated in Envoy, and still honoured there.
    #[allow(deprecated)]
    match &option.append {
        None => action,
        Some(_) if action != Action::AppendIfExistsOrAdd => {
            faults.add_at("append", "conflict", "append and append_action can't both be set");
            action
        }
        Some(append) if append.value => Action::AppendIfExistsOrAdd,
        Some(_) => Action::OverwriteIfExistsOrAdd,
    }
}

fn value(header: &pb::HeaderValue, faults: &mut Faults) -> Format {
    let (field, text) = match header.value.is_empty() {
        false => ("value", header.value.as_bytes()),
        true => ("raw_value", &header.raw_value[..]),
    };
    faults.field(field, |faults| {
        if text.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')) {
            faults.add("bad-value", "must hold no NUL, CR or LF");
        }
        let text = std::str::from_utf8(text).unwrap_or_else(|_| {
            faults.add("unsupported", "the value must be UTF-8");
            ""
        });
        Format::parse(text, faults)
    })
}

fn check_name(name: &str, done: &str, faults: &mut Faults) {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
        faults.add("bad-name", format!("host and names that begin with ':' can't be {done}"));
    } else if name.is_empty() || !name.bytes().all(token) {
        faults.add("bad-name", format!("{name:?} is no header name"));
    }
}
