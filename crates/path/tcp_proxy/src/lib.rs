//! `envoy.filters.network.tcp_proxy`: which cluster a connection's bytes go to, and within which limits.
//! Decides only. Source: `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy`.

mod tlvs;
mod tunnel;

use std::time::Duration;

use dragoman_proto::pb::envoy::extensions::filters::network::tcp_proxy::v3::{
    TcpProxy, UpstreamConnectMode, tcp_proxy::ClusterSpecifier,
};
use dragoman_proto::pb::envoy::r#type::v3::hash_policy::PolicySpecifier;
use dragoman_proto::{back_off, bool_or, duration, u32_or};
use dragoman_types::{Address, BackOff, Faults, hash_of_client, random_part};
pub use tlvs::Tlvs;
pub use tunnel::Tunnel;

/// Nothing moved for so long: the end, unless another limit is set.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// A frozen `TcpProxy`.
#[derive(Debug)]
pub struct Config {
    pub stat_prefix: Box<str>,
    clusters: Vec<(Box<str>, u64)>,
    /// `None`: off.
    pub idle_timeout: Option<Duration>,
    /// At least one.
    pub max_connect_attempts: u32,
    /// Pauses between them; `None`: they follow each other at once.
    pub back_off: Option<BackOff>,
    /// How long a connection may last, and the percentage of it by which it may last longer.
    longest: Option<(Duration, f64)>,
    pub logs: LogMoments,
    /// `None`: nothing is read of the client before there is a host.
    pub early_data: Option<EarlyData>,
    /// A connection ends with what it says next while its listener drains.
    pub check_drain_close: bool,
    pub tlvs: Option<Tlvs>,
    /// A client has one host, where the cluster's policy is by hash.
    by_source: bool,
    /// `None`: bytes go to hosts as they are.
    pub tunnel: Option<Tunnel>,
}

/// When a connection is logged, besides at its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogMoments {
    /// As soon as it is there.
    pub start: bool,
    /// Once it has a host.
    pub connected: bool,
    /// Again and again.
    pub every: Option<Duration>,
}

/// What is read of a client before there is a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EarlyData {
    /// Bytes that are kept; a read may bring more at once.
    pub most: usize,
    /// The host is connected to because of them (`ON_DOWNSTREAM_DATA`).
    pub comes_first: bool,
}

impl Config {
    pub fn compile(message: &TcpProxy, faults: &mut Faults) -> Option<Config> {
        if message.stat_prefix.is_empty() {
            faults.add_at("stat_prefix", "empty", "must not be empty");
        }
        let clusters = match &message.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => vec![(name.as_str().into(), 1)],
            Some(ClusterSpecifier::WeightedClusters(weighted)) => {
                let entries = weighted.clusters.iter();
                entries.map(|c| (c.name.as_str().into(), u64::from(c.weight))).collect()
            }
            None => {
                faults.add("missing", "cluster or weighted_clusters is required");
                return None;
            }
        };
        if clusters.iter().map(|(_, weight)| weight).sum::<u64>() == 0 {
            faults.add_at("weighted_clusters", "empty", "the weights must not all be zero");
        }
        // Zero: never.
        let idle = message.idle_timeout.as_ref().map_or(IDLE_TIMEOUT, duration);
        let jitter = message.max_downstream_connection_duration_jitter_percentage.as_ref();
        let longest = message.max_downstream_connection_duration.as_ref();
        let back_off = message.backoff_options.as_ref();
        Some(Config {
            stat_prefix: message.stat_prefix.as_str().into(),
            clusters,
            idle_timeout: Some(idle).filter(|limit| !limit.is_zero()),
            max_connect_attempts: u32_or(message.max_connect_attempts.as_ref(), 1).max(1),
            back_off: back_off.map(|message| {
                faults.field("backoff_options", |faults| {
                    let (base, max) = (&message.base_interval, &message.max_interval);
                    back_off::compile(base.as_ref(), max.as_ref(), faults)
                })
            }),
            longest: longest.map(|t| (duration(t), jitter.map_or(0.0, |percent| percent.value))),
            logs: log_moments(message),
            early_data: early_data(message, faults),
            tlvs: Tlvs::compile(message, faults),
            by_source: by_source(message, faults),
            check_drain_close: bool_or(message.check_drain_close.as_ref(), false),
            tunnel: message.tunneling_config.as_ref().map(|message| {
                faults.field("tunneling_config", |faults| Tunnel::compile(message, faults))
            }),
        })
    }

    /// How long one connection may last; `random` is evenly spread over all values.
    pub fn longest(&self, random: u64) -> Option<Duration> {
        let (limit, percent) = self.longest?;
        let most =
            Duration::from_millis((limit.as_millis() as f64 * percent / 100.0).ceil() as u64);
        Some(limit + random_part(most, random))
    }

    /// By what the host of a client at `remote` is chosen; `None`: any host serves.
    pub fn hash(&self, remote: &Address) -> Option<u64> {
        if self.by_source { hash_of_client(remote) } else { None }
    }

    /// The cluster of one connection; `random` is evenly spread over all values.
    pub fn cluster(&self, random: u64) -> &str {
        let total: u64 = self.clusters.iter().map(|(_, weight)| weight).sum();
        let mut left = random % total.max(1);
        for (name, weight) in &self.clusters {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return name,
            }
        }
        // The sum of the weights is above what is left.
        self.clusters.last().map_or("", |(name, _)| name)
    }

    /// Every cluster that it names, with the field's path.
    pub fn cluster_names(&self) -> impl Iterator<Item = (String, &str)> {
        let alone = self.clusters.len() == 1;
        self.clusters.iter().enumerate().map(move |(index, (name, _))| {
            let path = match alone {
                true => "cluster".to_owned(),
                false => format!("weighted_clusters.clusters[{index}].name"),
            };
            (path, &**name)
        })
    }
}

/// Whether the client's address is hashed.
fn by_source(message: &TcpProxy, faults: &mut Faults) -> bool {
    let mut found = false;
    for (index, policy) in message.hash_policy.iter().enumerate() {
        faults.item("hash_policy", index, |faults| match &policy.policy_specifier {
            Some(PolicySpecifier::SourceIp(_)) => found = true,
            Some(PolicySpecifier::FilterState(_)) => {
                let why = "no filter of a connection keeps what could be hashed";
                faults.add_at("filter_state", "unsupported", why);
            }
            None => faults.add("missing", "source_ip or filter_state is required"),
        });
    }
    found
}

/// The older two fields count where `access_log_options` isn't there.
#[allow(deprecated)]
fn log_moments(message: &TcpProxy) -> LogMoments {
    match &message.access_log_options {
        Some(options) => LogMoments {
            start: options.flush_access_log_on_start,
            connected: options.flush_access_log_on_connected,
            every: options.access_log_flush_interval.as_ref().map(duration),
        },
        None => LogMoments {
            start: false,
            connected: message.flush_access_log_on_connected,
            every: message.access_log_flush_interval.as_ref().map(duration),
        },
    }
}

fn early_data(message: &TcpProxy, faults: &mut Faults) -> Option<EarlyData> {
    let mode = message.upstream_connect_mode();
    let most = message.max_early_data_bytes.as_ref().map(|bytes| bytes.value as usize);
    if most.is_none() && mode != UpstreamConnectMode::Immediate {
        let why = format!("{} needs it", mode.as_str_name());
        faults.add_at("max_early_data_bytes", "missing", why);
    }
    let comes_first = mode == UpstreamConnectMode::OnDownstreamData;
    most.map(|most| EarlyData { most, comes_first })
}

#[cfg(test)]
mod tests {
    use dragoman_proto::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::{
        TcpAccessLogOptions, WeightedCluster, weighted_cluster::ClusterWeight,
    };

    use dragoman_proto::pb::envoy::r#type::v3::{HashPolicy, hash_policy::SourceIp};

    use super::*;

    fn weight(name: &str, weight: u32) -> ClusterWeight {
        ClusterWeight { name: name.into(), weight, ..Default::default() }
    }

    #[test]
    fn weights_share_the_random_numbers() {
        let clusters = vec![weight("a", 1), weight("b", 0), weight("c", 3)];
        let message = TcpProxy {
            stat_prefix: "t".into(),
            cluster_specifier: Some(ClusterSpecifier::WeightedClusters(WeightedCluster {
                clusters,
            })),
            ..Default::default()
        };
        let mut faults = Faults::new();
        let config = Config::compile(&message, &mut faults).unwrap();
        assert!(faults.is_empty());
        let chosen: Vec<_> = (0..8).map(|random| config.cluster(random)).collect();
        assert_eq!(chosen, ["a", "c", "c", "c", "a", "c", "c", "c"]);
        assert_eq!(config.idle_timeout, Some(IDLE_TIMEOUT));
    }

    #[test]
    fn a_connection_may_last_longer_by_some_percent() {
        let mut config = Config::compile(&alone(), &mut Faults::new()).unwrap();
        assert_eq!(config.longest(7), None);
        config.longest = Some((Duration::from_millis(1000), 20.0));
        let all = [0, 199, 200].map(|random| config.longest(random).unwrap().as_millis());
        assert_eq!(all, [1000, 1199, 1000]);
    }

    #[test]
    fn the_newer_log_options_hide_the_older() {
        let options = TcpAccessLogOptions { flush_access_log_on_start: true, ..Default::default() };
        #[allow(deprecated)]
        let mut message = TcpProxy { flush_access_log_on_connected: true, ..alone() };
        let moments =
            |message: &TcpProxy| Config::compile(message, &mut Faults::new()).unwrap().logs;
        assert_eq!(moments(&message), LogMoments { connected: true, ..Default::default() });
        message.access_log_options = Some(options);
        assert_eq!(moments(&message), LogMoments { start: true, ..Default::default() });
    }

    #[test]
    fn a_client_is_known_by_its_address_alone() {
        let source_ip =
            HashPolicy { policy_specifier: Some(PolicySpecifier::SourceIp(SourceIp {})) };
        let message = TcpProxy { hash_policy: vec![source_ip], ..alone() };
        let config = Config::compile(&message, &mut Faults::new()).unwrap();
        let at = |ip, port| config.hash(&Address::Ip((ip, port).into()));
        assert_eq!(at([127, 0, 0, 1], 1), Some(dragoman_types::hash_of(b"127.0.0.1")));
        assert_eq!(at([127, 0, 0, 1], 2), at([127, 0, 0, 1], 1));
        assert_eq!(config.hash(&Address::Pipe("/socket".into())), None);
        let none = Config::compile(&alone(), &mut Faults::new()).unwrap();
        assert_eq!(none.hash(&Address::Ip(([127, 0, 0, 1], 1).into())), None);
    }

    fn alone() -> TcpProxy {
        let cluster = Some(ClusterSpecifier::Cluster("a".into()));
        TcpProxy { stat_prefix: "t".into(), cluster_specifier: cluster, ..Default::default() }
    }

    #[test]
    fn what_is_missing_is_told() {
        let mut faults = Faults::new();
        assert!(Config::compile(&TcpProxy::default(), &mut faults).is_none());
        let codes: Vec<_> = faults.into_vec().into_iter().map(|f| (f.path, f.code)).collect();
        assert_eq!(codes, [("stat_prefix".into(), "empty"), (String::new(), "missing")]);
    }
}
