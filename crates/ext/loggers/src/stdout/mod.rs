//! `envoy.access_loggers.stdout`: lines to the process's standard output.

use dragoman_proto::pb::envoy::extensions::access_loggers::stream::v3::StdoutAccessLog;
use dragoman_proto::pb::envoy::extensions::access_loggers::stream::v3::stdout_access_log::AccessLogFormat;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::unpack;
use dragoman_types::Faults;

use crate::access_log::{Target, line_format};
use crate::sinks::LogSinks;

pub const NAME: &str = "envoy.access_loggers.stdout";
pub(crate) const CONFIG: &str = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";

pub(crate) fn compile(config: &Any, sinks: &LogSinks, faults: &mut Faults) -> Option<Target> {
    let message: StdoutAccessLog = unpack(config, faults)?;
    let log_format =
        message.access_log_format.as_ref().map(|AccessLogFormat::LogFormat(format)| format);
    let format = line_format(log_format, faults);
    let sink = sinks.stdout();
    if let Err(error) = &sink {
        faults.add("unopenable-file", format!("standard output can't be written: {error}"));
    }
    Some((format, sink.ok()))
}
