//! `envoy.filters.network.tcp_proxy`: which cluster a connection's bytes go to, and within which limits.
//! Decides only. Source: `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy`.

mod tunnel;

use std::time::Duration;

use dragoman_proto::pb::envoy::extensions::filters::network::tcp_proxy::v3::{
    TcpProxy, tcp_proxy::ClusterSpecifier,
};
use dragoman_proto::{duration, u32_or};
use dragoman_types::Faults;
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
    pub max_downstream_connection_duration: Option<Duration>,
    /// `None`: bytes go to hosts as they are.
    pub tunnel: Option<Tunnel>,
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
        let longest = message.max_downstream_connection_duration.as_ref();
        Some(Config {
            stat_prefix: message.stat_prefix.as_str().into(),
            clusters,
            idle_timeout: Some(idle).filter(|limit| !limit.is_zero()),
            max_connect_attempts: u32_or(message.max_connect_attempts.as_ref(), 1).max(1),
            max_downstream_connection_duration: longest.map(duration),
            tunnel: message.tunneling_config.as_ref().map(|message| {
                faults.field("tunneling_config", |faults| Tunnel::compile(message, faults))
            }),
        })
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

#[cfg(test)]
mod tests {
    use dragoman_proto::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::{
        WeightedCluster, weighted_cluster::ClusterWeight,
    };

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
    fn what_is_missing_is_told() {
        let mut faults = Faults::new();
        assert!(Config::compile(&TcpProxy::default(), &mut faults).is_none());
        let codes: Vec<_> = faults.into_vec().into_iter().map(|f| (f.path, f.code)).collect();
        assert_eq!(codes, [("stat_prefix".into(), "empty"), (String::new(), "missing")]);
    }
}
