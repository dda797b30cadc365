//! Real files, real threads: what the tests of this crate share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use dragoman_format::{LogType, Scratch};
use dragoman_loggers::{AccessLog, LogBuffers, LogSinks, compile};
use dragoman_proto::pb::envoy::config::accesslog::v3 as pb;
use dragoman_proto::pb::envoy::config::core::v3::data_source::Specifier;
use dragoman_proto::pb::envoy::config::core::v3::substitution_format_string::Format;
use dragoman_proto::pb::envoy::config::core::v3::{DataSource, SubstitutionFormatString};
use dragoman_proto::pb::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use dragoman_proto::pb::envoy::extensions::access_loggers::file::v3::file_access_log::AccessLogFormat;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::{Message, Name};
use dragoman_types::{Address, Connection, Facts, Faults, Moment, RequestHead, StreamInfo};

/// A folder of its own, removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("dragoman-loggers-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn any<T: Message + Name>(message: &T) -> Any {
    Any { type_url: T::type_url(), value: message.encode_to_vec() }
}

pub(crate) fn text_format(text: &str) -> SubstitutionFormatString {
    let specifier = Some(Specifier::InlineString(text.into()));
    let source = DataSource { specifier, ..DataSource::default() };
    SubstitutionFormatString {
        format: Some(Format::TextFormatSource(source)),
        ..SubstitutionFormatString::default()
    }
}

pub(crate) fn access_log(config: Any, filter: Option<pb::AccessLogFilter>) -> pb::AccessLog {
    let config = pb::access_log::ConfigType::TypedConfig(config);
    pb::AccessLog { name: "any name".into(), filter, config_type: Some(config) }
}

pub(crate) fn file_log(path: &Path, text: &str) -> pb::AccessLog {
    let format = Some(AccessLogFormat::LogFormat(text_format(text)));
    let path = path.to_str().unwrap().to_owned();
    access_log(any(&FileAccessLog { path, access_log_format: format }), None)
}

/// Compiles what must have no faults.
pub(crate) fn compiled(messages: &[pb::AccessLog], sinks: &LogSinks) -> Vec<AccessLog> {
    let mut faults = Faults::new();
    let logs = compile(messages, sinks, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    logs
}

/// A worker with a request at hand.
pub(crate) struct Worker {
    pub(crate) connection: Connection,
    pub(crate) info: StreamInfo,
    pub(crate) head: RequestHead,
    pub(crate) scratch: Scratch,
    pub(crate) buffers: LogBuffers,
}

impl Worker {
    pub(crate) fn new() -> Worker {
        let now = Moment::START;
        let address = Address::Ip("127.0.0.1:1".parse().unwrap());
        Worker {
            connection: Connection {
                id: 1,
                remote_ip: "".into(),
                direct_remote: address.clone(),
                remote: address.clone(),
                direct_local: address.clone(),
                local: address,
                listener: "l".into(),
                accepted_at: now,
                hello: None,
                chain: "".into(),
                tls: None,
            },
            info: StreamInfo::new(1, now),
            head: RequestHead::default(),
            scratch: Scratch::new(SystemTime::now(), now),
            buffers: LogBuffers::new(dragoman_loggers::FLUSH_AT),
        }
    }

    /// Sets the path, so that lines can be told apart, and logs.
    pub(crate) fn log(&mut self, log: &AccessLog, path: &str) {
        self.head.clear();
        self.head.headers.push(b":path", path.as_bytes());
        self.log_head(log);
    }

    pub(crate) fn log_head(&mut self, log: &AccessLog) {
        let facts = Facts { request: Some(&self.head), ..Facts::new(&self.connection, &self.info) };
        log.log(LogType::DownstreamEnd, &facts, &mut self.scratch, &mut self.buffers);
    }
}

/// Long enough for any machine; reached only where a test fails.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) fn flush(worker: &mut Worker, sinks: &LogSinks) {
    worker.buffers.flush();
    assert!(sinks.drain(LONG));
}

pub(crate) fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}
