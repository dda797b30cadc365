//! Compiles a `RouteConfiguration`, and refuses every field that nothing here acts on.

use std::sync::Arc;

use dragoman_proto::pb::envoy::config::route::v3 as pb;
use dragoman_proto::pb::google::protobuf::{UInt32Value, UInt64Value};
use dragoman_types::Faults;
use dragoman_types::headers::HeaderName;
use pb::route::Action as PbAction;
use pb::virtual_host::TlsRequirementType;

use rustc_hash::FxHashMap;

use crate::condition::Conditions;
use crate::forward::Named;
use crate::host::HostIndex;
use crate::index::PathIndex;
use crate::path::PathMatcher;
use crate::route::{Action, RequireTls, Route, VirtualHost};
use crate::table::{ClusterUse, RouteTable};
use dragoman_edits::{Mutations, Side};

/// Both sides' mutations of any level's message: (request, response).
macro_rules! mutations {
    ($message:expr, $faults:expr) => {
        (
            Mutations::compile(
                Side::Request,
                Side::Request.fields(),
                &$message.request_headers_to_add,
                &$message.request_headers_to_remove,
                $faults,
            ),
            Mutations::compile(
                Side::Response,
                Side::Response.fields(),
                &$message.response_headers_to_add,
                &$message.response_headers_to_remove,
                $faults,
            ),
        )
    };
}
use mutations;

mod action;
mod retry;

/// What is gathered over the whole configuration.
#[derive(Debug, Default)]
struct Context {
    clusters: Vec<Box<str>>,
    /// By name, where it stands in `clusters`.
    slots: FxHashMap<Box<str>, usize>,
    uses: Vec<ClusterUse>,
    /// Where we are, for `uses`.
    path: String,
    max_body: usize,
}

impl Context {
    /// Notes that a cluster is named at `field` below the present path.
    fn cluster(&mut self, field: &str, name: &str) -> Named {
        let slot = *self.slots.entry(name.into()).or_insert_with(|| {
            self.clusters.push(name.into());
            self.clusters.len() - 1
        });
        self.uses.push(ClusterUse { path: format!("{}.{field}", self.path), slot });
        Named { name: name.into(), slot }
    }
}

/// Refuses the fields that are set.
fn refuse(fields: &[(bool, &str)], faults: &mut Faults) {
    for (is_set, field) in fields {
        if *is_set {
            faults.add_at(field, "unsupported", "this option isn't supported");
        }
    }
}

const MAX_DIRECT_BODY: u32 = 4096;

impl RouteTable {
    pub fn compile(config: &pb::RouteConfiguration, faults: &mut Faults) -> RouteTable {
        refuse_table(config, faults);
        let max_body = config.max_direct_response_body_size_bytes.as_ref();
        let max_body = dragoman_proto::u32_or(max_body, MAX_DIRECT_BODY) as usize;
        let mut context = Context { max_body, ..Context::default() };
        let mut hosts = HostIndex::new(config.ignore_port_in_host_matching);
        let (mut virtual_hosts, mut routes) = (Vec::new(), Vec::new());
        for (place, message) in config.virtual_hosts.iter().enumerate() {
            faults.item("virtual_hosts", place, |faults| {
                add_domains(&mut hosts, place, message, faults);
                context.path = format!("virtual_hosts[{place}]");
                virtual_hosts.push(virtual_host(place, message, &mut routes, &mut context, faults));
            });
        }
        let (request, response) = mutations!(config, faults);
        RouteTable {
            name: (&*config.name).into(),
            hosts,
            virtual_hosts: virtual_hosts.into(),
            routes: routes.into(),
            clusters: context.clusters.into(),
            cluster_uses: context.uses.into(),
            validate_clusters: config.validate_clusters.as_ref().map(|v| v.value),
            most_specific_wins: config.most_specific_header_mutations_wins,
            ignore_path_parameters: config.ignore_path_parameters_in_path_matching,
            host_header: match &*config.vhost_header {
                "" => None,
                name => Some(HeaderName::new(name)),
            },
            request,
            response,
        }
    }
}

fn refuse_table(config: &pb::RouteConfiguration, faults: &mut Faults) {
    refuse(
        &[
            (config.vhds.is_some(), "vhds"),
            (!config.internal_only_headers.is_empty(), "internal_only_headers"),
            (!config.cluster_specifier_plugins.is_empty(), "cluster_specifier_plugins"),
            (!config.request_mirror_policies.is_empty(), "request_mirror_policies"),
            (!config.typed_per_filter_config.is_empty(), "typed_per_filter_config"),
            (!config.route_specifiers.is_empty(), "route_specifiers"),
        ],
        faults,
    );
}

fn add_domains(
    hosts: &mut HostIndex,
    place: usize,
    message: &pb::VirtualHost,
    faults: &mut Faults,
) {
    if message.domains.is_empty() {
        faults.add_at("domains", "empty", "at least one domain is needed");
    }
    for (item, domain) in message.domains.iter().enumerate() {
        faults.item("domains", item, |faults| hosts.add(domain, place as u32, faults));
    }
}

#[allow(deprecated)]
fn refuse_virtual_host(message: &pb::VirtualHost, faults: &mut Faults) {
    refuse(
        &[
            (message.matcher.is_some(), "matcher"),
            (!message.virtual_clusters.is_empty(), "virtual_clusters"),
            (!message.rate_limits.is_empty(), "rate_limits"),
            (message.cors.is_some(), "cors"),
            (!message.typed_per_filter_config.is_empty(), "typed_per_filter_config"),
            (message.retry_policy_typed_config.is_some(), "retry_policy_typed_config"),
            (message.hedge_policy.is_some(), "hedge_policy"),
            (!message.request_mirror_policies.is_empty(), "request_mirror_policies"),
            (!message.route_specifiers.is_empty(), "route_specifiers"),
        ],
        faults,
    );
}

#[allow(deprecated)]
fn virtual_host(
    place: usize,
    message: &pb::VirtualHost,
    routes: &mut Vec<Route>,
    context: &mut Context,
    faults: &mut Faults,
) -> VirtualHost {
    refuse_virtual_host(message, faults);
    if message.name.is_empty() {
        faults.add_at("name", "empty", "must not be empty");
    }
    let require_tls = match TlsRequirementType::try_from(message.require_tls) {
        Ok(TlsRequirementType::None) => RequireTls::No,
        Ok(TlsRequirementType::ExternalOnly) => RequireTls::External,
        Ok(TlsRequirementType::All) => RequireTls::All,
        Err(_) => {
            faults.add_at("require_tls", "bad-enum", "is none of NONE, EXTERNAL_ONLY, ALL");
            RequireTls::All
        }
    };
    let retry = message.retry_policy.as_ref();
    let retry = retry.map(|m| Arc::new(faults.field("retry_policy", |f| retry::retry(m, f))));
    let kept = kept_body(message.request_body_buffer_limit, message.per_request_buffer_limit_bytes);
    let first_route = routes.len();
    for (item, message_route) in message.routes.iter().enumerate() {
        context.path = format!("virtual_hosts[{place}].routes[{item}]");
        let label = format!("{}#{item}", message.name);
        let index = routes.len();
        let mut compiled = faults.item("routes", item, |faults| {
            route(message_route, Place { index, virtual_host: place, label }, context, faults)
        });
        if let Action::Forward(forward) = &mut compiled.action {
            // The nearer one holds, and as a whole.
            forward.retry = forward.retry.take().or_else(|| retry.clone());
            forward.kept_body = forward.kept_body.or(kept);
        }
        routes.push(compiled);
    }
    let (request, response) = mutations!(message, faults);
    VirtualHost {
        name: (&*message.name).into(),
        first_route,
        routes: PathIndex::compile(
            routes[first_route..].iter().map(|route| (&route.path, route.conditions.is_some())),
        ),
        require_tls,
        request,
        response,
        timeout_retry_in_request: message.include_is_timeout_retry_header,
        attempt_count_in_request: message.include_request_attempt_count,
        attempt_count_in_response: message.include_attempt_count_in_response,
    }
}

/// How much of a request's body is kept for another attempt; the newer field's name wins.
fn kept_body(limit: Option<UInt64Value>, older: Option<UInt32Value>) -> Option<u64> {
    limit.map(|limit| limit.value).or(older.map(|limit| u64::from(limit.value)))
}

struct Place {
    index: usize,
    virtual_host: usize,
    label: String,
}

/// `metadata` is for filters, logs and subsets that ask for it by name, and `decorator` for tracing:
/// without those both change nothing, so they are taken.
fn route(message: &pb::Route, place: Place, context: &mut Context, faults: &mut Faults) -> Route {
    #[allow(deprecated)]
    refuse(
        &[
            (!message.typed_per_filter_config.is_empty(), "typed_per_filter_config"),
            (message.tracing.is_some(), "tracing"),
            (!message.stat_prefix.is_empty(), "stat_prefix"),
            (!message.route_specifiers.is_empty(), "route_specifiers"),
        ],
        faults,
    );
    let default = pb::RouteMatch::default();
    let matching = message.r#match.as_ref().unwrap_or(&default);
    let (path, conditions) = faults.field("match", |faults| {
        (PathMatcher::compile(matching, faults), Conditions::compile(matching, faults))
    });
    let action = action(message, context, faults);
    let (request, response) = mutations!(message, faults);
    Route {
        index: place.index,
        virtual_host: place.virtual_host,
        label: if message.name.is_empty() { place.label.into() } else { (&*message.name).into() },
        name: (&*message.name).into(),
        path,
        conditions,
        request,
        response,
        action,
    }
}

#[allow(deprecated)]
fn action(message: &pb::Route, context: &mut Context, faults: &mut Faults) -> Action {
    let mut action = match &message.action {
        Some(PbAction::Route(forward)) => {
            Action::Forward(faults.field("route", |f| action::forward(forward, context, f)))
        }
        Some(PbAction::Redirect(redirect)) => {
            Action::Redirect(faults.field("redirect", |f| action::redirect(redirect, f)).into())
        }
        Some(PbAction::DirectResponse(direct)) => {
            let direct = |f: &mut Faults| action::direct(direct, context.max_body, f);
            Action::Direct(faults.field("direct_response", direct).into())
        }
        Some(PbAction::NonForwardingAction(_)) => Action::Forward(action::nowhere()),
        Some(PbAction::FilterAction(_)) => {
            faults.add_at("filter_action", "unsupported", "this option isn't supported");
            Action::Forward(action::nowhere())
        }
        None => {
            faults.add("missing", "one of route, redirect, direct_response is needed");
            Action::Forward(action::nowhere())
        }
    };
    if let Action::Forward(forward) = &mut action {
        forward.kept_body =
            kept_body(message.request_body_buffer_limit, message.per_request_buffer_limit_bytes);
    }
    action
}
