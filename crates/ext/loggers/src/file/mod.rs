//! `envoy.access_loggers.file`: lines to a file.

use dragoman_format::{Format, JsonFormat, LineFormat};
use dragoman_proto::pb::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use dragoman_proto::pb::envoy::extensions::access_loggers::file::v3::file_access_log::AccessLogFormat;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::unpack;
use dragoman_types::Faults;

use crate::access_log::{Target, line_format};
use crate::sinks::LogSinks;

pub const NAME: &str = "envoy.access_loggers.file";
pub(crate) const CONFIG: &str = "envoy.extensions.access_loggers.file.v3.FileAccessLog";

pub(crate) fn compile(config: &Any, sinks: &LogSinks, faults: &mut Faults) -> Option<Target> {
    let message: FileAccessLog = unpack(config, faults)?;
    let format = format(message.access_log_format.as_ref(), faults);
    if message.path.is_empty() {
        faults.add_at("path", "required", "must not be empty");
        return None;
    }
    let sink = match sinks.file(message.path.as_ref()) {
        Ok(sink) => Some(sink),
        Err(error) => {
            let text = error.to_string();
            // The number says nothing that the words don't.
            let reason = text.split(" (os error").next().unwrap_or_default();
            let message = format!("unable to open file '{}': {reason}", message.path);
            faults.add_at("path", "unopenable-file", message);
            None
        }
    };
    Some((format, sink))
}

#[allow(deprecated)]
fn format(format: Option<&AccessLogFormat>, faults: &mut Faults) -> LineFormat {
    let json = |name, message, faults: &mut Faults| {
        faults.field(name, |f| LineFormat::Json(JsonFormat::compile(message, false, f)))
    };
    match format {
        None => line_format(None, faults),
        Some(AccessLogFormat::LogFormat(message)) => line_format(Some(message), faults),
        Some(AccessLogFormat::Format(text)) if text.is_empty() => line_format(None, faults),
        Some(AccessLogFormat::Format(text)) => faults
            .field("format", |faults| LineFormat::Text(Format::parse_line(text, false, faults))),
        Some(AccessLogFormat::JsonFormat(message)) => json("json_format", message, faults),
        Some(AccessLogFormat::TypedJsonFormat(message)) => {
            json("typed_json_format", message, faults)
        }
    }
}
