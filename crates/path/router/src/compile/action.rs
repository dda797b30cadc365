//! Compiles what a route does: `RouteAction`, `RedirectAction`, `DirectResponseAction`.

use std::sync::Arc;
use std::time::Duration;

use dragoman_format::{Format, LogFormat};
use dragoman_proto::pb::envoy::config::core::v3::{DataSource, RoutingPriority, data_source};
use dragoman_proto::pb::envoy::config::route::v3 as pb;
use dragoman_proto::pb::google::protobuf as wkt;
use dragoman_proto::{duration, timeout};
use dragoman_proxy_protocol::ProxyProtocol;
use dragoman_types::headers::HeaderName;
use dragoman_types::{Faults, Priority};
use pb::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};
use pb::route_action::{ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier};
use pb::weighted_cluster::{ClusterWeight, RandomValueSpecifier, cluster_weight};

use super::retry::retry;
use super::{Context, refuse};
use crate::answer::{Direct, Redirect, RedirectPath};
use crate::forward::{
    Choice, Forward, GrpcTimeout, MaxStreamDuration, Rewrite, Upgrade, Weighted, WeightedEntry,
};
use crate::hash::HashPolicy;
use crate::rewrite::{HostRewrite, PathRewrite};
use crate::substitution::Substitution;
use dragoman_edits::{Mutations, Side};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// `non_forwarding_action`: a real Envoy answers as if the cluster were missing.
pub(super) fn nowhere() -> Forward {
    Forward {
        choice: Choice::Nothing,
        rewrite: None,
        auto_host_rewrite: false,
        append_x_forwarded_host: false,
        timeout: Some(DEFAULT_TIMEOUT),
        timeout_is_set: false,
        idle_timeout: None,
        max_stream_duration: None,
        grpc_timeout: None,
        cluster_not_found_status: 503,
        priority: Priority::Default,
        upgrades: Box::default(),
        retry: None,
        kept_body: None,
        hash: None,
    }
}

pub(super) fn forward(
    message: &pb::RouteAction,
    context: &mut Context,
    faults: &mut Faults,
) -> Forward {
    refuse_forward(message, faults);
    let (host, auto_host_rewrite) = host_rewrite(message, faults);
    let regex = message.regex_rewrite.as_ref();
    let path = PathRewrite::compile(&message.prefix_rewrite, regex, &message.path_rewrite, faults);
    let changes = !matches!((&host, &path), (HostRewrite::None, PathRewrite::None));
    let max = message.max_stream_duration.as_ref();
    Forward {
        choice: choice(message, context, faults),
        rewrite: changes.then(|| Box::new(Rewrite { host, path })),
        auto_host_rewrite,
        append_x_forwarded_host: message.append_x_forwarded_host,
        timeout: timeout(message.timeout.as_ref(), Some(DEFAULT_TIMEOUT)),
        timeout_is_set: message.timeout.is_some(),
        idle_timeout: set_timeout(message.idle_timeout.as_ref()),
        max_stream_duration: max.map(|max| {
            Box::new(MaxStreamDuration {
                limit: set_timeout(max.max_stream_duration.as_ref()),
                grpc_timeout_header_max: max.grpc_timeout_header_max.as_ref().map(duration),
                grpc_timeout_header_offset: max.grpc_timeout_header_offset.as_ref().map(duration),
            })
        }),
        grpc_timeout: grpc_timeout(message),
        cluster_not_found_status: not_found_status(message, faults),
        priority: priority(message.priority, faults),
        upgrades: upgrades(message, faults),
        retry: message
            .retry_policy
            .as_ref()
            .map(|policy| Arc::new(faults.field("retry_policy", |f| retry(policy, f)))),
        kept_body: None,
        hash: HashPolicy::compile(&message.hash_policy, faults),
    }
}

#[allow(deprecated)]
fn refuse_forward(message: &pb::RouteAction, faults: &mut Faults) {
    refuse(
        &[
            (message.metadata_match.is_some(), "metadata_match"),
            (message.path_rewrite_policy.is_some(), "path_rewrite_policy"),
            (message.flush_timeout.is_some(), "flush_timeout"),
            (message.early_data_policy.is_some(), "early_data_policy"),
            (message.retry_policy_typed_config.is_some(), "retry_policy_typed_config"),
            (!message.request_mirror_policies.is_empty(), "request_mirror_policies"),
            (!message.rate_limits.is_empty(), "rate_limits"),
            (message.include_vh_rate_limits.is_some(), "include_vh_rate_limits"),
            (message.cors.is_some(), "cors"),
            (message.internal_redirect_policy.is_some(), "internal_redirect_policy"),
            (message.internal_redirect_action != 0, "internal_redirect_action"),
            (message.max_internal_redirects.is_some(), "max_internal_redirects"),
            (message.hedge_policy.is_some(), "hedge_policy"),
        ],
        faults,
    );
}

#[allow(deprecated)]
fn grpc_timeout(message: &pb::RouteAction) -> Option<Box<GrpcTimeout>> {
    let max = message.max_grpc_timeout.as_ref().map(duration)?;
    let offset = message.grpc_timeout_offset.as_ref().map(duration);
    Some(Box::new(GrpcTimeout { max, offset }))
}

/// `None`: unset. `Some(None)`: set to zero, that is, off.
fn set_timeout(value: Option<&wkt::Duration>) -> Option<Option<Duration>> {
    value.map(|set| timeout(Some(set), None))
}

fn choice(message: &pb::RouteAction, context: &mut Context, faults: &mut Faults) -> Choice {
    match &message.cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) => {
            if name.is_empty() {
                faults.add_at("cluster", "empty", "must not be empty");
            }
            Choice::Named(context.cluster("route.cluster", name))
        }
        Some(ClusterSpecifier::ClusterHeader(name)) => {
            if name.is_empty() {
                faults.add_at("cluster_header", "empty", "must not be empty");
            }
            Choice::Header(HeaderName::new(name))
        }
        Some(ClusterSpecifier::WeightedClusters(clusters)) => {
            faults.field("weighted_clusters", |f| weighted(clusters, context, f))
        }
        Some(ClusterSpecifier::ClusterSpecifierPlugin(_)) => {
            refuse(&[(true, "cluster_specifier_plugin")], faults);
            Choice::Nothing
        }
        Some(ClusterSpecifier::InlineClusterSpecifierPlugin(_)) => {
            refuse(&[(true, "inline_cluster_specifier_plugin")], faults);
            Choice::Nothing
        }
        None => {
            faults.add("missing", "one of cluster, cluster_header, weighted_clusters is needed");
            Choice::Nothing
        }
    }
}

fn weighted(message: &pb::WeightedCluster, context: &mut Context, faults: &mut Faults) -> Choice {
    refuse(&[(!message.runtime_key_prefix.is_empty(), "runtime_key_prefix")], faults);
    let header = match &message.random_value_specifier {
        Some(RandomValueSpecifier::HeaderName(name)) if !name.is_empty() => {
            Some(HeaderName::new(name))
        }
        Some(RandomValueSpecifier::UseHashPolicy(on)) if on.value => {
            refuse(&[(true, "use_hash_policy")], faults);
            None
        }
        _ => None,
    };
    let mut entries = Vec::new();
    for (place, cluster) in message.clusters.iter().enumerate() {
        entries.push(faults.item("clusters", place, |f| weight(place, cluster, context, f)));
    }
    let total: u64 = entries.iter().map(|entry| u64::from(entry.weight)).sum();
    if total == 0 || total > u64::from(u32::MAX) {
        let text = format!("the weights' sum is {total}; it must be 1..=4294967295");
        faults.add_at("clusters", "bad-weights", text);
    }
    Choice::Weighted(Weighted { entries: entries.into(), total, header })
}

fn weight(
    place: usize,
    message: &ClusterWeight,
    context: &mut Context,
    faults: &mut Faults,
) -> WeightedEntry {
    refuse(
        &[
            (message.metadata_match.is_some(), "metadata_match"),
            (!message.typed_per_filter_config.is_empty(), "typed_per_filter_config"),
        ],
        faults,
    );
    let choice = match (&*message.name, &*message.cluster_header) {
        ("", "") => {
            faults.add("missing", "one of name and cluster_header is needed");
            Choice::Nothing
        }
        (name, "") => {
            let field = format!("route.weighted_clusters.clusters[{place}].name");
            Choice::Named(context.cluster(&field, name))
        }
        ("", header) => Choice::Header(HeaderName::new(header)),
        _ => {
            faults.add("conflict", "only one of name and cluster_header may be set");
            Choice::Nothing
        }
    };
    if message.weight.is_none() {
        faults.add_at("weight", "missing", "is needed");
    }
    let (request, response) = super::mutations!(message, faults);
    WeightedEntry {
        choice,
        weight: message.weight.as_ref().map_or(0, |weight| weight.value),
        host: match &message.host_rewrite_specifier {
            Some(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral(host)) => {
                Some(host.as_bytes()).filter(|host| !host.is_empty()).map(Box::from)
            }
            None => None,
        },
        request,
        response,
    }
}

/// How the host is rewritten, and whether to the picked host's name.
fn host_rewrite(message: &pb::RouteAction, faults: &mut Faults) -> (HostRewrite, bool) {
    match &message.host_rewrite_specifier {
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) if !host.is_empty() => {
            (HostRewrite::Literal(host.as_bytes().into()), false)
        }
        Some(HostRewriteSpecifier::HostRewriteHeader(name)) if !name.is_empty() => {
            (HostRewrite::Header(HeaderName::new(name)), false)
        }
        Some(HostRewriteSpecifier::HostRewritePathRegex(regex)) => {
            let regex =
                faults.field("host_rewrite_path_regex", |f| Substitution::compile(regex, f));
            (HostRewrite::PathRegex(regex), false)
        }
        Some(HostRewriteSpecifier::AutoHostRewrite(on)) => (HostRewrite::None, on.value),
        Some(HostRewriteSpecifier::HostRewrite(format)) if !format.is_empty() => {
            // A value that is missing becomes `-` here, unlike in header values.
            let format = faults.field("host_rewrite", |f| Format::parse_line(format, false, f));
            (HostRewrite::Format(format), false)
        }
        _ => (HostRewrite::None, false),
    }
}

fn not_found_status(message: &pb::RouteAction, faults: &mut Faults) -> u16 {
    match ClusterNotFoundResponseCode::try_from(message.cluster_not_found_response_code) {
        Ok(ClusterNotFoundResponseCode::ServiceUnavailable) => 503,
        Ok(ClusterNotFoundResponseCode::NotFound) => 404,
        Ok(ClusterNotFoundResponseCode::InternalServerError) => 500,
        Err(_) => {
            faults.add_at("cluster_not_found_response_code", "bad-enum", "is no known code");
            503
        }
    }
}

fn priority(value: i32, faults: &mut Faults) -> Priority {
    match RoutingPriority::try_from(value) {
        Ok(RoutingPriority::Default) => Priority::Default,
        Ok(RoutingPriority::High) => Priority::High,
        Err(_) => {
            faults.add_at("priority", "bad-enum", "is neither DEFAULT nor HIGH");
            Priority::Default
        }
    }
}

fn upgrades(message: &pb::RouteAction, faults: &mut Faults) -> Box<[Upgrade]> {
    let mut upgrades: Vec<Upgrade> = Vec::new();
    for (place, upgrade) in message.upgrade_configs.iter().enumerate() {
        let name = upgrade.upgrade_type.to_ascii_lowercase();
        faults.item("upgrade_configs", place, |faults| {
            if name.is_empty() {
                faults.add_at("upgrade_type", "empty", "must not be empty");
            }
            if upgrades.iter().any(|known| *known.name == *name) {
                faults.add_at("upgrade_type", "duplicate", format!("{name:?} is listed twice"));
            }
        });
        let enabled = dragoman_proto::bool_or(upgrade.enabled.as_ref(), true);
        let terminated = upgrade.connect_config.is_some() && &*name == "connect";
        let posts = upgrade.connect_config.as_ref().is_some_and(|connect| connect.allow_post);
        let with_post = terminated && posts;
        let told = upgrade.connect_config.as_ref().filter(|_| terminated);
        let told = told.and_then(|connect| connect.proxy_protocol_config.as_ref());
        let proxy_protocol = told.map(|message| {
            faults.item("upgrade_configs", place, |faults| {
                let field = "connect_config.proxy_protocol_config";
                faults.field(field, |faults| ProxyProtocol::compile(message, faults))
            })
        });
        upgrades.push(Upgrade {
            name: name.into(),
            enabled,
            terminated,
            with_post,
            proxy_protocol,
        });
    }
    upgrades.into()
}

pub(super) fn redirect(message: &pb::RedirectAction, faults: &mut Faults) -> Redirect {
    let status = match RedirectResponseCode::try_from(message.response_code) {
        Ok(RedirectResponseCode::MovedPermanently) => 301,
        Ok(RedirectResponseCode::Found) => 302,
        Ok(RedirectResponseCode::SeeOther) => 303,
        Ok(RedirectResponseCode::TemporaryRedirect) => 307,
        Ok(RedirectResponseCode::PermanentRedirect) => 308,
        Err(_) => {
            faults.add_at("response_code", "bad-enum", "is no redirect's code");
            301
        }
    };
    let scheme = match &message.scheme_rewrite_specifier {
        Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Some("https".into()),
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) if !scheme.is_empty() => {
            Some((&**scheme).into())
        }
        _ => None,
    };
    let path = match &message.path_rewrite_specifier {
        Some(PathRewriteSpecifier::PathRedirect(path)) if !path.is_empty() => {
            RedirectPath::Set((&**path).into())
        }
        Some(PathRewriteSpecifier::PrefixRewrite(prefix)) => {
            RedirectPath::Rewrite(PathRewrite::compile(prefix, None, "", faults))
        }
        Some(PathRewriteSpecifier::RegexRewrite(regex)) => {
            RedirectPath::Rewrite(PathRewrite::compile("", Some(regex), "", faults))
        }
        Some(PathRewriteSpecifier::PathRewrite(format)) => {
            RedirectPath::Rewrite(PathRewrite::compile("", None, format, faults))
        }
        _ => RedirectPath::Same,
    };
    let port = u16::try_from(message.port_redirect).unwrap_or_else(|_| {
        faults.add_at("port_redirect", "bad-value", "is no port number");
        0
    });
    Redirect {
        status,
        scheme,
        host: Some(&*message.host_redirect).filter(|host| !host.is_empty()).map(Box::from),
        port: Some(port).filter(|port| *port != 0),
        path,
        strip_query: message.strip_query,
    }
}

pub(super) fn direct(
    message: &pb::DirectResponseAction,
    max_body: usize,
    faults: &mut Faults,
) -> Direct {
    let format = message.body_format.as_ref();
    let format =
        format.map(|format| faults.field("body_format", |f| LogFormat::compile(format, f)));
    if !(200..600).contains(&message.status) {
        faults.add_at("status", "bad-value", format!("{} is not in 200..=599", message.status));
    }
    let body = message.body.as_ref().map_or_else(String::new, |source| {
        faults.field("body", |faults| {
            let body = read(source, faults);
            if body.len() > max_body {
                let text = format!("the body has {} bytes; at most {max_body} are allowed (max_direct_response_body_size_bytes)", body.len());
                faults.add("too-large", text);
            }
            body
        })
    });
    Direct { status: message.status.try_into().unwrap_or(500), body: body.into(), format }
}

/// The source's text, read now: later changes of a file aren't seen.
fn read(source: &DataSource, faults: &mut Faults) -> String {
    use data_source::Specifier::*;
    refuse(&[(source.watched_directory.is_some(), "watched_directory")], faults);
    let (field, bytes) = match &source.specifier {
        Some(InlineString(text)) => return text.clone(),
        Some(InlineBytes(bytes)) => ("inline_bytes", Ok(bytes.clone())),
        Some(Filename(name)) => ("filename", std::fs::read(name).map_err(|e| e.to_string())),
        Some(EnvironmentVariable(name)) => (
            "environment_variable",
            std::env::var(name).map(String::into_bytes).map_err(|e| e.to_string()),
        ),
        None => return String::new(),
    };
    match bytes.map(String::from_utf8) {
        Ok(Ok(text)) => return text,
        Ok(Err(_)) => faults.add_at(field, "unsupported", "the body must be UTF-8"),
        Err(error) => faults.add_at(field, "unreadable", error),
    }
    String::new()
}
