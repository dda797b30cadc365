//! One entry of an `access_log` list, and the table of logger types.

use std::sync::Arc;

use dragoman_format::{LineFormat, LogFormat, LogType, Scratch};
use dragoman_proto::pb::envoy::config::accesslog::v3 as pb;
use dragoman_proto::pb::envoy::config::core::v3::SubstitutionFormatString;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::type_name;
use dragoman_types::{Facts, Faults};

use crate::buffers::LogBuffers;
use crate::filter::Filter;
use crate::sink::Sink;
use crate::sinks::LogSinks;
use crate::{file, stderr, stdout};

/// A compiled access log: frozen, shared by all workers.
#[derive(Debug)]
pub struct AccessLog {
    filter: Option<Filter>,
    format: LineFormat,
    sink: Arc<Sink>,
}

/// What a logger's own configuration gives.
pub(crate) type Target = (LineFormat, Option<Arc<Sink>>);
type Compile = fn(&Any, &LogSinks, &mut Faults) -> Option<Target>;

/// Every logger built in, by the name of its configuration message.
const LOGGERS: &[(&str, Compile)] = &[
    (file::CONFIG, file::compile),
    (stdout::CONFIG, stdout::compile),
    (stderr::CONFIG, stderr::compile),
];

/// Compiles an `access_log` list. Files are opened (and created) here, as Envoy does.
pub fn compile(
    messages: &[pb::AccessLog],
    sinks: &LogSinks,
    faults: &mut Faults,
) -> Vec<AccessLog> {
    let mut logs = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        faults.item("access_log", index, |faults| logs.extend(one(message, sinks, faults)));
    }
    logs
}

fn one(message: &pb::AccessLog, sinks: &LogSinks, faults: &mut Faults) -> Option<AccessLog> {
    let filter = message.filter.as_ref();
    let filter = filter.map(|filter| faults.field("filter", |f| Filter::compile(filter, f)));
    let Some(pb::access_log::ConfigType::TypedConfig(config)) = &message.config_type else {
        faults.add_at("typed_config", "required", "is required");
        return None;
    };
    let (format, sink) = faults.field("typed_config", |faults| {
        let wanted = type_name(config);
        let Some((_, compile)) = LOGGERS.iter().find(|(known, _)| *known == wanted) else {
            let known: Vec<&str> = LOGGERS.iter().map(|(name, _)| *name).collect();
            let message = format!("{wanted:?} isn't a logger built in; there are {known:?}");
            faults.add("unsupported", message);
            return None;
        };
        compile(config, sinks, faults)
    })?;
    Some(AccessLog { filter: filter.flatten(), format, sink: sink? })
}

/// The `log_format` of a logger; without one it's Envoy's default line.
pub(crate) fn line_format(
    format: Option<&SubstitutionFormatString>,
    faults: &mut Faults,
) -> LineFormat {
    format.map_or_else(LineFormat::default_text, |format| {
        faults.field("log_format", |faults| LogFormat::compile(format, faults).line)
    })
}

impl AccessLog {
    /// Logs the request of `facts` unless the filter holds it back. `scratch` holds the present time.
    pub fn log(
        &self,
        kind: LogType,
        facts: &Facts<'_>,
        scratch: &mut Scratch,
        buffers: &mut LogBuffers,
    ) {
        if self.filter.as_ref().is_some_and(|f| !f.holds(kind, facts, scratch.instant)) {
            return;
        }
        scratch.log_type = kind;
        buffers.write(&self.sink, |out| self.format.write(facts, scratch, out));
        scratch.log_type = LogType::NotSet;
    }
}
