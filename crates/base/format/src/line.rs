//! `envoy.config.core.v3.SubstitutionFormatString`: a line or a body, in text or JSON.

use dragoman_proto::pb::envoy::config::core::v3::data_source::Specifier;
use dragoman_proto::pb::envoy::config::core::v3::substitution_format_string::Format as Kind;
use dragoman_proto::pb::envoy::config::core::v3::{DataSource, SubstitutionFormatString};
use dragoman_types::{Facts, Faults};

use crate::json::JsonFormat;
use crate::scratch::Scratch;
use crate::text::{DEFAULT_TEXT, Format};

/// How a line or a body is written.
#[derive(Clone, Debug, PartialEq)]
pub enum LineFormat {
    Text(Format),
    Json(JsonFormat),
}

/// A format and the content type of the body that it makes.
#[derive(Clone, Debug, PartialEq)]
pub struct LogFormat {
    pub line: LineFormat,
    /// `content_type`, or the format's own: `text/plain` or `application/json`.
    pub content_type: Box<str>,
}

impl LineFormat {
    /// The line that an access log without a format writes.
    pub fn default_text() -> LineFormat {
        LineFormat::Text(Format::parse_line(DEFAULT_TEXT, false, &mut Faults::new()))
    }

    pub fn write(&self, facts: &Facts<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) {
        match self {
            LineFormat::Text(format) => {
                format.write(facts, scratch, out);
            }
            LineFormat::Json(format) => format.write(facts, scratch, out),
        }
    }
}

impl LogFormat {
    pub fn compile(message: &SubstitutionFormatString, faults: &mut Faults) -> LogFormat {
        for (index, extension) in message.formatters.iter().enumerate() {
            faults.item("formatters", index, |faults| {
                let name = &extension.name;
                faults.add("unsupported", format!("the formatter {name:?} isn't built in"));
            });
        }
        let omit = message.omit_empty_values;
        let line = match &message.format {
            #[allow(deprecated)]
            Some(Kind::TextFormat(text)) => faults.field("text_format", |faults| {
                LineFormat::Text(Format::parse_line(text, omit, faults))
            }),
            Some(Kind::TextFormatSource(source)) => {
                faults.field("text_format_source", |faults| source_text(source, omit, faults))
            }
            Some(Kind::JsonFormat(format)) => faults.field("json_format", |faults| {
                LineFormat::Json(JsonFormat::compile(format, omit, faults))
            }),
            None => {
                faults.add("required", "a format is required");
                LineFormat::default_text()
            }
        };
        let own = match line {
            LineFormat::Text(_) => "text/plain",
            LineFormat::Json(_) => "application/json",
        };
        let content_type = Some(&*message.content_type).filter(|t| !t.is_empty()).unwrap_or(own);
        LogFormat { line, content_type: content_type.into() }
    }
}

/// The source's text; files and variables are read once.
fn source_text(source: &DataSource, omit: bool, faults: &mut Faults) -> LineFormat {
    if source.watched_directory.is_some() {
        faults.add_at("watched_directory", "unsupported", "formats aren't watched");
    }
    let text = match &source.specifier {
        Some(Specifier::InlineString(text)) => Ok(text.clone()),
        Some(Specifier::InlineBytes(bytes)) => {
            String::from_utf8(bytes.clone()).map_err(|_| "inline_bytes aren't UTF-8".to_owned())
        }
        Some(Specifier::Filename(path)) => {
            std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
        }
        Some(Specifier::EnvironmentVariable(name)) => {
            std::env::var(name).map_err(|error| format!("{name}: {error}"))
        }
        None => Err("one of inline_string, filename and so on is required".to_owned()),
    };
    match text {
        Ok(text) => LineFormat::Text(Format::parse_line(&text, omit, faults)),
        Err(why) => {
            faults.add("bad-source", why);
            LineFormat::default_text()
        }
    }
}
