//! `envoy.config.accesslog.v3.AccessLogFilter`: which requests are logged. Runtime keys have no layers
//! here, so their default values decide.

use dragoman_format::LogType;
use dragoman_matcher::{FractionalPercent, HeaderMatcher};
use dragoman_proto::pb::envoy::config::accesslog::v3 as pb;
use dragoman_proto::pb::envoy::data::accesslog::v3::AccessLogType;
use dragoman_types::{Facts, Faults, Flags, Moment, id};
use pb::access_log_filter::FilterSpecifier as Specifier;
use pb::comparison_filter::Op;

/// A compiled filter.
#[derive(Clone, Debug)]
pub struct Filter(Rule);

#[derive(Clone, Debug)]
enum Rule {
    Status(Comparison),
    Duration(Comparison),
    NotHealthCheck,
    Sampled {
        share: FractionalPercent,
        independent: bool,
    },
    All(Box<[Rule]>),
    Any(Box<[Rule]>),
    Header(HeaderMatcher),
    /// One of these flags; with none listed, any at all.
    Flags(Flags),
    Type {
        types: Box<[LogType]>,
        exclude: bool,
    },
}

#[derive(Clone, Copy, Debug)]
struct Comparison {
    op: Op,
    value: u64,
}

impl Comparison {
    fn holds(self, value: u64) -> bool {
        match self.op {
            Op::Eq => value == self.value,
            Op::Ge => value >= self.value,
            Op::Le => value <= self.value,
            Op::Ne => value != self.value,
        }
    }
}

impl Filter {
    /// `None`: with faults.
    pub fn compile(message: &pb::AccessLogFilter, faults: &mut Faults) -> Option<Filter> {
        rule(message, faults).map(Filter)
    }

    /// Whether the request is logged. `now` ends a duration that still runs.
    pub fn holds(&self, kind: LogType, facts: &Facts<'_>, now: Moment) -> bool {
        self.0.holds(kind, facts, now)
    }
}

fn rule(message: &pb::AccessLogFilter, faults: &mut Faults) -> Option<Rule> {
    let Some(specifier) = &message.filter_specifier else {
        faults.add("required", "a filter must be one of the known ones");
        return None;
    };
    let mut unsupported = |field: &str, why: &str| {
        faults.add_at(field, "unsupported", why);
        None
    };
    match specifier {
        Specifier::StatusCodeFilter(filter) => faults.field("status_code_filter", |faults| {
            comparison(filter.comparison.as_ref(), faults).map(Rule::Status)
        }),
        Specifier::DurationFilter(filter) => faults.field("duration_filter", |faults| {
            comparison(filter.comparison.as_ref(), faults).map(Rule::Duration)
        }),
        Specifier::NotHealthCheckFilter(_) => Some(Rule::NotHealthCheck),
        Specifier::RuntimeFilter(filter) => {
            faults.field("runtime_filter", |faults| sampled(filter, faults))
        }
        Specifier::AndFilter(filter) => {
            faults.field("and_filter", |f| rules(&filter.filters, f)).map(Rule::All)
        }
        Specifier::OrFilter(filter) => {
            faults.field("or_filter", |f| rules(&filter.filters, f)).map(Rule::Any)
        }
        Specifier::HeaderFilter(filter) => faults.field("header_filter", |f| header(filter, f)),
        Specifier::ResponseFlagFilter(filter) => {
            faults.field("response_flag_filter", |f| flags(filter, f))
        }
        Specifier::LogTypeFilter(filter) => faults.field("log_type_filter", |f| types(filter, f)),
        Specifier::TraceableFilter(_) => {
            unsupported("traceable_filter", "tracing isn't built in, so no request is traceable")
        }
        Specifier::GrpcStatusFilter(_) => unsupported("grpc_status_filter", "isn't built in"),
        Specifier::MetadataFilter(_) => {
            unsupported("metadata_filter", "no filter built in writes dynamic metadata")
        }
        Specifier::ExtensionFilter(_) => unsupported("extension_filter", "isn't built in"),
    }
}

fn comparison(message: Option<&pb::ComparisonFilter>, faults: &mut Faults) -> Option<Comparison> {
    faults.field("comparison", |faults| {
        let Some(message) = message else {
            faults.add("required", "is required");
            return None;
        };
        let Ok(op) = Op::try_from(message.op) else {
            faults.add_at("op", "bad-enum", format!("{} is no operator", message.op));
            return None;
        };
        let Some(value) = &message.value else {
            faults.add_at("value", "required", "is required");
            return None;
        };
        Some(Comparison { op, value: u64::from(value.default_value) })
    })
}

fn sampled(message: &pb::RuntimeFilter, faults: &mut Faults) -> Option<Rule> {
    if message.runtime_key.is_empty() {
        faults.add_at("runtime_key", "required", "must not be empty");
    }
    // Unset means none, as it does in Envoy.
    let percent = message.percent_sampled.unwrap_or_default();
    let share = faults.field("percent_sampled", |f| FractionalPercent::compile(&percent, f));
    Some(Rule::Sampled { share, independent: message.use_independent_randomness })
}

fn rules(messages: &[pb::AccessLogFilter], faults: &mut Faults) -> Option<Box<[Rule]>> {
    if messages.len() < 2 {
        faults.add_at("filters", "too-few", "needs two filters at least");
    }
    let item = |(index, message)| faults.item("filters", index, |faults| rule(message, faults));
    let compiled: Vec<Option<Rule>> = messages.iter().enumerate().map(item).collect();
    compiled.into_iter().collect()
}

fn header(message: &pb::HeaderFilter, faults: &mut Faults) -> Option<Rule> {
    let Some(header) = &message.header else {
        faults.add_at("header", "required", "is required");
        return None;
    };
    Some(Rule::Header(faults.field("header", |faults| HeaderMatcher::compile(header, faults))))
}

fn flags(message: &pb::ResponseFlagFilter, faults: &mut Faults) -> Option<Rule> {
    let mut wanted = Flags::NONE;
    for (index, name) in message.flags.iter().enumerate() {
        match Flags::from_short(name) {
            Some(flag) => wanted.insert(flag),
            None => faults.item("flags", index, |faults| {
                faults.add("bad-flag", format!("{name:?} is no response flag"));
            }),
        }
    }
    Some(Rule::Flags(wanted))
}

fn types(message: &pb::LogTypeFilter, faults: &mut Faults) -> Option<Rule> {
    let mut types = Vec::new();
    for (index, number) in message.types.iter().enumerate() {
        match AccessLogType::try_from(*number) {
            Ok(AccessLogType::NotSet) => types.push(LogType::NotSet),
            Ok(AccessLogType::DownstreamStart) => types.push(LogType::DownstreamStart),
            Ok(AccessLogType::DownstreamPeriodic) => types.push(LogType::DownstreamPeriodic),
            Ok(AccessLogType::DownstreamEnd) => types.push(LogType::DownstreamEnd),
            Ok(AccessLogType::TcpConnectionStart) => types.push(LogType::TcpConnectionStart),
            Ok(AccessLogType::TcpUpstreamConnected) => types.push(LogType::TcpUpstreamConnected),
            Ok(AccessLogType::TcpPeriodic) => types.push(LogType::TcpPeriodic),
            Ok(AccessLogType::TcpConnectionEnd) => types.push(LogType::TcpConnectionEnd),
            // Logs of these kinds are written by parts that aren't built in: nothing to match.
            Ok(_) => {}
            Err(_) => faults.item("types", index, |faults| {
                faults.add("bad-enum", format!("{number} is no type of access log"));
            }),
        }
    }
    Some(Rule::Type { types: types.into(), exclude: message.exclude })
}

impl Rule {
    fn holds(&self, kind: LogType, facts: &Facts<'_>, now: Moment) -> bool {
        let info = facts.info;
        match self {
            Rule::Status(comparison) => {
                comparison.holds(u64::from(info.response_code.unwrap_or(0)))
            }
            Rule::Duration(comparison) => {
                let end = info.end.unwrap_or(now);
                comparison.holds(end.millis_since(info.start))
            }
            Rule::NotHealthCheck => !info.health_check,
            Rule::Sampled { share, independent } => share.holds(sample(facts, *independent)),
            Rule::All(rules) => rules.iter().all(|rule| rule.holds(kind, facts, now)),
            Rule::Any(rules) => rules.iter().any(|rule| rule.holds(kind, facts, now)),
            Rule::Header(matcher) => facts.request.is_some_and(|r| matcher.matches(&r.headers)),
            Rule::Flags(wanted) if wanted.is_empty() => !info.flags.is_empty(),
            Rule::Flags(wanted) => info.flags.intersects(*wanted),
            Rule::Type { types, exclude } => types.contains(&kind) != *exclude,
        }
    }
}

/// The first eight hexadecimal digits of the request's id, so that every proxy on the request's way takes
/// the same decision; else a random number.
fn sample(facts: &Facts<'_>, independent: bool) -> u64 {
    let id = facts.request.and_then(|r| r.headers.get(id::X_REQUEST_ID)).filter(|_| !independent);
    id.and_then(|id| std::str::from_utf8(id.get(..8)?).ok())
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .unwrap_or_else(|| fastrand::u64(..))
}
