//! Loggers and filters as configured: what is refused and where, and whom a filter lets through.

use std::process::Command;
use std::time::Duration;

use crate::support::{
    Folder, LONG, Worker, access_log, any, compiled, file_log, flush, lines, text_format,
};
use dragoman_loggers::{LogSinks, compile};
use dragoman_proto::pb::envoy::config::accesslog::v3 as pb;
use dragoman_proto::pb::envoy::config::core::v3::RuntimeUInt32;
use dragoman_proto::pb::envoy::config::route::v3::HeaderMatcher;
use dragoman_proto::pb::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use dragoman_proto::pb::envoy::extensions::access_loggers::file::v3::file_access_log::AccessLogFormat;
use dragoman_proto::pb::envoy::extensions::access_loggers::stream::v3::{
    StderrAccessLog, StdoutAccessLog, stderr_access_log, stdout_access_log,
};
use dragoman_proto::pb::envoy::r#type::v3::FractionalPercent;
use dragoman_types::{Faults, Flags};
use pb::access_log_filter::FilterSpecifier as Specifier;
use pb::comparison_filter::Op;

fn faults(messages: &[pb::AccessLog]) -> Vec<String> {
    let mut faults = Faults::new();
    compile(messages, &LogSinks::new(), &mut faults);
    faults.into_vec().iter().map(ToString::to_string).collect()
}

fn filter(specifier: Specifier) -> pb::AccessLogFilter {
    pb::AccessLogFilter { filter_specifier: Some(specifier) }
}

fn comparison(op: Op, value: u32) -> Option<pb::ComparisonFilter> {
    let value = RuntimeUInt32 { default_value: value, runtime_key: "unknown".into() };
    Some(pb::ComparisonFilter { op: op.into(), value: Some(value) })
}

fn status(op: Op, value: u32) -> pb::AccessLogFilter {
    filter(Specifier::StatusCodeFilter(pb::StatusCodeFilter { comparison: comparison(op, value) }))
}

fn flags(names: &[&str]) -> pb::AccessLogFilter {
    let flags = names.iter().map(|name| (*name).to_owned()).collect();
    filter(Specifier::ResponseFlagFilter(pb::ResponseFlagFilter { flags }))
}

/// Whether a request that `prepare` describes passes the filter.
fn passes(filter: pb::AccessLogFilter, prepare: impl FnOnce(&mut Worker)) -> bool {
    let folder = Folder::new();
    let path = folder.path("f.log");
    let sinks = LogSinks::new();
    let mut message = file_log(&path, "line\n");
    message.filter = Some(filter);
    let logs = compiled(&[message], &sinks);
    let mut worker = Worker::new();
    prepare(&mut worker);
    worker.log_head(&logs[0]);
    flush(&mut worker, &sinks);
    lines(&path).len() == 1
}

#[test]
fn faults_carry_their_paths() {
    let file = |path: &str| {
        access_log(any(&FileAccessLog { path: path.into(), access_log_format: None }), None)
    };
    let mut unknown = file("x");
    let config = dragoman_proto::pb::google::protobuf::Any {
        type_url: "type.googleapis.com/envoy.extensions.access_loggers.wasm.v3.WasmAccessLog"
            .into(),
        value: Vec::new(),
    };
    unknown.config_type = Some(pb::access_log::ConfigType::TypedConfig(config));
    let two = |second| Specifier::OrFilter(pb::OrFilter { filters: vec![flags(&["UF"]), second] });
    let filtered =
        pb::AccessLog { filter: Some(filter(two(flags(&["DC", "XX"])))), ..file("/dev/null") };
    let found = faults(&[
        file("/no/such/folder/x.log"),
        file(""),
        unknown,
        filtered,
        file_log("/dev/null".as_ref(), "%NOPE_NOPE%"),
        pb::AccessLog::default(),
    ]);
    let wanted = [
        "access_log[0].typed_config.path: unable to open file '/no/such/folder/x.log': No such file or \
         directory [unopenable-file]",
        "access_log[1].typed_config.path: must not be empty [required]",
        "access_log[2].typed_config: \"envoy.extensions.access_loggers.wasm.v3.WasmAccessLog\" isn't a \
         logger built in",
        "access_log[3].filter.or_filter.filters[1].response_flag_filter.flags[1]: \"XX\" is no response \
         flag [bad-flag]",
        "access_log[4].typed_config.log_format.text_format_source: %NOPE_NOPE% at position 0: there is \
         no such operator [unknown-operator]",
        "access_log[5].typed_config: is required [required]",
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.starts_with(wanted), "{found}");
    }
}

#[test]
fn filters_that_envoy_refuses_or_that_are_not_built_in() {
    let one = vec![flags(&[])];
    let refused = [
        pb::AccessLogFilter::default(),
        filter(Specifier::StatusCodeFilter(pb::StatusCodeFilter { comparison: None })),
        filter(Specifier::DurationFilter(pb::DurationFilter {
            comparison: Some(pb::ComparisonFilter::default()),
        })),
        filter(Specifier::RuntimeFilter(pb::RuntimeFilter::default())),
        filter(Specifier::AndFilter(pb::AndFilter { filters: one })),
        filter(Specifier::OrFilter(pb::OrFilter::default())),
        filter(Specifier::HeaderFilter(pb::HeaderFilter::default())),
        filter(Specifier::TraceableFilter(pb::TraceableFilter {})),
        filter(Specifier::GrpcStatusFilter(pb::GrpcStatusFilter::default())),
        filter(Specifier::MetadataFilter(pb::MetadataFilter::default())),
        filter(Specifier::ExtensionFilter(pb::ExtensionFilter::default())),
    ];
    for filter in refused {
        let mut message = file_log("/dev/null".as_ref(), "x");
        message.filter = Some(filter.clone());
        assert_eq!(faults(&[message]).len(), 1, "{filter:?}");
    }
}

#[test]
fn status_and_duration_filters_compare() {
    let code = |code| move |worker: &mut Worker| worker.info.response_code = code;
    assert!(passes(status(Op::Eq, 0), code(None)));
    assert!(passes(status(Op::Ge, 400), code(Some(503))));
    assert!(!passes(status(Op::Ge, 400), code(Some(200))));
    assert!(passes(status(Op::Le, 200), code(Some(200))));
    assert!(!passes(status(Op::Ne, 200), code(Some(200))));
    let duration = |op, value| {
        let comparison = comparison(op, value);
        filter(Specifier::DurationFilter(pb::DurationFilter { comparison }))
    };
    let took = |millis| {
        move |worker: &mut Worker| {
            worker.info.end = Some(worker.info.start.after(Duration::from_millis(millis)));
        }
    };
    assert!(passes(duration(Op::Ge, 250), took(250)));
    assert!(!passes(duration(Op::Ge, 250), took(249)));
    // A request that still runs has lasted until now.
    let running = |worker: &mut Worker| {
        worker.scratch.instant = worker.scratch.instant.after(Duration::from_secs(1));
    };
    assert!(passes(duration(Op::Ge, 1000), running));
}

#[test]
fn flag_header_health_and_type_filters() {
    let refused = |worker: &mut Worker| worker.info.flags = Flags::UPSTREAM_CONNECTION_FAILURE;
    assert!(passes(flags(&[]), refused));
    assert!(!passes(flags(&[]), |_| {}));
    assert!(passes(flags(&["DC", "UF"]), refused));
    assert!(!passes(flags(&["DC"]), refused));

    let header = HeaderMatcher { name: "x-log".into(), ..HeaderMatcher::default() };
    let header = filter(Specifier::HeaderFilter(pb::HeaderFilter { header: Some(header) }));
    assert!(passes(header.clone(), |worker| worker.head.headers.push(b"x-log", b"1")));
    assert!(!passes(header, |_| {}));

    let healthy = filter(Specifier::NotHealthCheckFilter(pb::NotHealthCheckFilter {}));
    assert!(passes(healthy.clone(), |_| {}));
    assert!(!passes(healthy, |worker| worker.info.health_check = true));

    let types = |types: &[i32], exclude| {
        let types = types.to_vec();
        filter(Specifier::LogTypeFilter(pb::LogTypeFilter { types, exclude }))
    };
    // DownstreamEnd is 6, DownstreamStart 5.
    for (list, exclude, wanted) in [
        (&[6][..], false, true),
        (&[6], true, false),
        (&[5], false, false),
        (&[], true, true),
        (&[], false, false),
    ] {
        assert_eq!(passes(types(list, exclude), |_| {}), wanted, "{list:?} {exclude}");
    }
}

#[test]
fn and_wants_all_or_wants_one() {
    let failed = |worker: &mut Worker| worker.info.response_code = Some(503);
    let both = || vec![status(Op::Ge, 500), flags(&[])];
    let and = filter(Specifier::AndFilter(pb::AndFilter { filters: both() }));
    let or = filter(Specifier::OrFilter(pb::OrFilter { filters: both() }));
    assert!(!passes(and.clone(), failed));
    assert!(passes(or.clone(), failed));
    assert!(!passes(or, |_| {}));
    assert!(passes(and, |worker| {
        failed(worker);
        worker.info.flags = Flags::NO_HEALTHY_UPSTREAM;
    }));
}

#[test]
fn a_sampled_request_is_chosen_by_its_id() {
    let share = |numerator, denominator, independent| {
        filter(Specifier::RuntimeFilter(pb::RuntimeFilter {
            runtime_key: "any".into(),
            percent_sampled: Some(FractionalPercent { numerator, denominator }),
            use_independent_randomness: independent,
        }))
    };
    // A real Envoy chose these of 50 % and of 5000 in 10000.
    for (id, hundred, ten_thousand) in [
        ("00000031", true, true),
        ("00000032", false, true),
        ("00000064", true, true),
        ("0000137f", false, true),
        ("00001388", true, false),
        ("ffffffff", false, false),
    ] {
        let id = format!("{id}-0000-4000-8000-000000000000");
        let with = |worker: &mut Worker| worker.head.headers.push(b"x-request-id", id.as_bytes());
        assert_eq!(passes(share(50, 0, false), with), hundred, "{id}");
        assert_eq!(passes(share(5000, 1, false), with), ten_thousand, "{id}");
        assert!(!passes(share(0, 0, true), with) && passes(share(100, 0, true), with));
    }
    let unset = pb::RuntimeFilter { runtime_key: "any".into(), ..pb::RuntimeFilter::default() };
    assert!(!passes(filter(Specifier::RuntimeFilter(unset)), |_| {}));
}

#[test]
#[allow(deprecated)]
fn every_kind_of_format() {
    let folder = Folder::new();
    let path = folder.path("k.log");
    let file = |format| {
        let path = path.to_str().unwrap().to_owned();
        access_log(any(&FileAccessLog { path, access_log_format: format }), None)
    };
    let json = || {
        let kind =
            dragoman_proto::pb::google::protobuf::value::Kind::StringValue("%BYTES_SENT%".into());
        let value = dragoman_proto::pb::google::protobuf::Value { kind: Some(kind) };
        dragoman_proto::pb::google::protobuf::Struct { fields: [("a".to_owned(), value)].into() }
    };
    let sinks = LogSinks::new();
    let logs = compiled(
        &[
            file(Some(AccessLogFormat::Format("a%PROTOCOL%\n".into()))),
            file(Some(AccessLogFormat::JsonFormat(json()))),
            file(Some(AccessLogFormat::TypedJsonFormat(json()))),
            file(Some(AccessLogFormat::Format(String::new()))),
            file(None),
        ],
        &sinks,
    );
    let mut worker = Worker::new();
    for log in &logs {
        worker.log(log, "/");
    }
    flush(&mut worker, &sinks);
    let written = lines(&path);
    assert_eq!(written[..3], ["a-", "{\"a\":0}", "{\"a\":0}"]);
    for line in &written[3..] {
        assert!(line.ends_with("Z] \"- / -\" 0 - 0 0 0 - \"-\" \"-\" \"-\" \"-\" \"-\""), "{line}");
    }
}

#[test]
fn standard_output_and_error_get_their_lines() {
    if std::env::var_os("STREAM_CHILD").is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["config::standard_output_and_error_get_their_lines", "--exact"]);
        let output = child.env("STREAM_CHILD", "1").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let count = |bytes: &[u8], line: &str| {
            String::from_utf8_lossy(bytes).lines().filter(|l| l.ends_with(line)).count()
        };
        assert_eq!(count(&output.stdout, "to stdout /s"), 1);
        assert_eq!(count(&output.stderr, "to stderr /s"), 1);
        return;
    }
    let stdout = StdoutAccessLog {
        access_log_format: Some(stdout_access_log::AccessLogFormat::LogFormat(text_format(
            "to stdout %REQ(:path)%\n",
        ))),
    };
    let stderr = StderrAccessLog {
        access_log_format: Some(stderr_access_log::AccessLogFormat::LogFormat(text_format(
            "to stderr %REQ(:path)%\n",
        ))),
    };
    let sinks = LogSinks::new();
    let messages = [access_log(any(&stdout), None), access_log(any(&stderr), None)];
    let logs = compiled(&messages, &sinks);
    let mut worker = Worker::new();
    for log in &logs {
        worker.log(log, "/s");
    }
    worker.buffers.flush();
    assert!(sinks.drain(LONG));
}
