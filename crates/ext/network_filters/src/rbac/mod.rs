//! `envoy.filters.network.rbac`: who may use a connection, by its addresses, its server name and its client's
//! certificate. Asked once, when TLS has told the last of these; Envoy asks with the first byte, when its
//! tcp_proxy has a host's connection already.

use std::sync::Arc;
use std::time::Duration;

use dragoman_listener::{Means, NetworkFilter, Opened, Refused, Stats, Verdict};
use dragoman_matcher::{Rbac, Subject, SubjectKind};
use dragoman_proto::pb::envoy::extensions::filters::network::rbac::v3::Rbac as Message;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::{duration, unpack};
use dragoman_stats::stats_struct;
use dragoman_types::{Connection, Faults, Flags, Headers};

pub const MESSAGE: &str = "envoy.extensions.filters.network.rbac.v3.RBAC";

stats_struct! {
    /// `<stat_prefix>rbac.`
    struct RbacStats {
        counters: allowed, denied;
    }
}

stats_struct! {
    /// `<stat_prefix>rbac.<shadow_rules_stat_prefix>.`
    struct ShadowStats {
        counters: shadow_allowed, shadow_denied;
    }
}

#[derive(Debug)]
struct RbacFilter {
    rules: Option<Rbac>,
    /// What is counted only.
    shadow: Option<Rbac>,
    /// A denied client waits so long for its end.
    delay: Duration,
    stats: Stats<RbacStats>,
    shadow_stats: Stats<ShadowStats>,
}

pub fn compile(
    any: &Any,
    means: &Means<'_>,
    faults: &mut Faults,
) -> Option<Arc<dyn NetworkFilter>> {
    let message: Message = unpack(any, faults)?;
    let unsupported = [
        ("matcher", message.matcher.is_some()),
        ("shadow_matcher", message.shadow_matcher.is_some()),
    ];
    for (field, _) in unsupported.iter().filter(|(_, set)| *set) {
        faults.add_at(field, "unsupported", "only rules are supported");
    }
    let mut rules = |field, rules: &Option<_>| {
        rules
            .as_ref()
            .map(|rules| faults.field(field, |f| Rbac::compile(rules, SubjectKind::Connection, f)))
    };
    // The dot is the prefix's own, or stands between.
    let mut prefix = message.stat_prefix.replace(':', "_");
    if !prefix.is_empty() && !prefix.ends_with('.') {
        prefix.push('.');
    }
    prefix.push_str("rbac.");
    let shadow_prefix = match message.shadow_rules_stat_prefix.replace(':', "_") {
        none if none.is_empty() => prefix.clone(),
        shadow => format!("{prefix}{shadow}."),
    };
    Some(Arc::new(RbacFilter {
        rules: rules("rules", &message.rules),
        shadow: rules("shadow_rules", &message.shadow_rules),
        delay: message.delay_deny.as_ref().map(duration).unwrap_or_default(),
        stats: Stats::new(means, &prefix),
        shadow_stats: Stats::new(means, &shadow_prefix),
    }))
}

impl NetworkFilter for RbacFilter {
    fn open(&self, _: &Opened<'_>) -> Verdict {
        Verdict::Pass
    }

    fn secured(&self, connection: &Connection, worker: usize) -> Result<(), Refused> {
        let headers = Headers::new();
        let subject = Subject { connection, headers: &headers };
        if let Some(shadow) = &self.shadow {
            let stats = self.shadow_stats.of(worker);
            match shadow.decide(&subject).allowed {
                true => stats.shadow_allowed.inc(),
                false => stats.shadow_denied.inc(),
            }
        }
        let Some(rules) = &self.rules else { return Ok(()) };
        let (decision, stats) = (rules.decide(&subject), self.stats.of(worker));
        if decision.allowed {
            stats.allowed.inc();
            return Ok(());
        }
        stats.denied.inc();
        let policy = decision.policy.unwrap_or("none").replace(char::is_whitespace, "_");
        let details = format!("rbac_access_denied_matched_policy[{policy}]");
        Err(Refused { after: self.delay, flags: Flags::NONE, details: Some(details) })
    }
}
