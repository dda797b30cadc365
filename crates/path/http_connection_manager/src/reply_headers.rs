//! `ResponseMapper.headers_to_add`: every value is computed from the head as it stands, then what
//! overwrites is written, then what appends.

use dragoman_format::{Format, Scratch};
use dragoman_proto::pb::envoy::config::core::v3 as pb;
use dragoman_types::headers::HeaderName;
use dragoman_types::{Facts, Faults, Headers, ResponseHead, id};
use pb::header_value_option::HeaderAppendAction as Action;

#[derive(Debug, Default)]
pub(crate) struct Additions(Vec<Addition>);

#[derive(Debug)]
struct Addition {
    name: HeaderName,
    value: Format,
    action: Action,
    keep_empty: bool,
}

impl Additions {
    pub(crate) fn compile(options: &[pb::HeaderValueOption], faults: &mut Faults) -> Additions {
        let compiled = options.iter().enumerate().filter_map(|(index, option)| {
            faults.item("headers_to_add", index, |faults| Addition::compile(option, faults))
        });
        Additions(compiled.collect())
    }

    pub(crate) fn apply(
        &self,
        headers: &mut Headers,
        status: u16,
        facts: &Facts<'_>,
        format: &mut Scratch,
    ) {
        if self.0.is_empty() {
            return;
        }
        let head = ResponseHead { status, headers: headers.clone(), ..ResponseHead::default() };
        // Envoy gives header values no local body to show.
        let mut info = facts.info.clone();
        info.local_reply_body = None;
        let facts = Facts { info: &info, response: Some(&head), ..*facts };
        let values: Vec<_> = self.0.iter().map(|add| add.value(&facts, format)).collect();
        for overwriting in [true, false] {
            for (add, value) in self.0.iter().zip(&values) {
                if let Some(value) = value
                    && add.overwrites() == overwriting
                {
                    add.put(headers, value);
                }
            }
        }
    }
}

impl Addition {
    fn compile(option: &pb::HeaderValueOption, faults: &mut Faults) -> Option<Addition> {
        let Some(header) = &option.header else {
            faults.add_at("header", "missing", "is needed");
            return None;
        };
        faults.field("header", |faults| check_name(&header.key, faults));
        let value = faults.field("header", |faults| {
            let text = match header.value.is_empty() {
                false => Ok(header.value.as_str()),
                true => std::str::from_utf8(&header.raw_value),
            };
            let text = text.unwrap_or_else(|_| {
                faults.add_at("raw_value", "unsupported", "the value must be UTF-8");
                ""
            });
            faults.field("value", |faults| {
                if text.contains(['\0', '\r', '\n']) {
                    faults.add("bad-value", "must hold no NUL, CR or LF");
                }
                Format::parse(text, faults)
            })
        });
        let action = action(option, faults);
        let keep_empty = option.keep_empty_value;
        Some(Addition { name: HeaderName::new(&header.key), value, action, keep_empty })
    }

    fn overwrites(&self) -> bool {
        matches!(self.action, Action::OverwriteIfExists | Action::OverwriteIfExistsOrAdd)
    }

    fn value(&self, facts: &Facts<'_>, format: &mut Scratch) -> Option<Vec<u8>> {
        let there = facts.response.is_some_and(|head| head.headers.contains(&self.name));
        match self.action {
            Action::AddIfAbsent if there => return None,
            Action::OverwriteIfExists if !there => return None,
            _ => {}
        }
        let mut value = Vec::new();
        self.value.write(facts, format, &mut value);
        (self.keep_empty || !value.is_empty()).then_some(value)
    }

    /// Interned response fields are one to Envoy: a second value is joined to the first.
    fn put(&self, headers: &mut Headers, value: &[u8]) {
        if self.overwrites() {
            headers.set(&self.name, value);
        } else if matches!(self.name.id(), id::OTHER | id::SET_COOKIE) {
            headers.append(&self.name, value);
        } else {
            headers.join(&self.name, b",", value);
        }
    }
}

fn action(option: &pb::HeaderValueOption, faults: &mut Faults) -> Action {
    let action = Action::try_from(option.append_action).unwrap_or_else(|_| {
        faults.add_at("append_action", "bad-enum", "is no append action");
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

fn check_name(name: &str, faults: &mut Faults) {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
        faults.add_at("key", "bad-name", "host and names that begin with ':' can't be modified");
    } else if name.is_empty() || !name.bytes().all(token) {
        faults.add_at("key", "bad-name", format!("{name:?} is no header name"));
    }
}
