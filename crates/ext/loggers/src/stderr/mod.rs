//! `envoy.access_loggers.stderr`: lines to the process's standard error.

use dragoman_proto::pb::envoy::extensions::access_loggers::stream::v3::StderrAccessLog;
use dragoman_proto::pb::envoy::extensions::access_loggers::stream::v3::stderr_access_log::AccessLogFormat;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::unpack;
use dragoman_types::Faults;

use crate::access_log::{Target, line_format};
use crate::sinks::LogSinks;

pub const NAME: &str = "envoy.access_loggers.stderr";
pub(crate) const CONFIG: &str = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog";

pub(crate) fn compile(config: &Any, sinks: &LogSinks, faults: &mut Faults) -> Option<Target> {
    let message: StderrAccessLog = unpack(config, faults)?;
    let log_format =
        message.access_log_format.as_ref().map(|AccessLogFormat::LogFormat(format)| format);
    let format = line_format(log_format, faults);
    let sink = sinks.stderr();
    if let Err(error) = &sink {
        faults.add("unopenable-file", format!("standard error can't be written: {error}"));
    }
    Some((format, sink.ok()))
}
