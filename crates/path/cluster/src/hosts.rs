//! A cluster's hosts at one moment, and which of them may be picked.

use std::sync::Arc;

use dragoman_types::Address;

/// A host's health as far as balancing cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Health {
    #[default]
    Healthy,
    Degraded,
    Unhealthy,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Hash)]
pub struct Locality {
    pub region: Box<str>,
    pub zone: Box<str>,
    pub sub_zone: Box<str>,
}

/// One endpoint at one address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host {
    pub address: Address,
    /// The configured hostname, or the name that was resolved; may be empty.
    pub hostname: Box<str>,
    /// What policies by hash know it by (metadata `envoy.lb`, `hash_key`); empty: its address or hostname.
    pub hash_key: Box<str>,
    /// 1..=128 as configured, default 1.
    pub weight: u32,
    pub priority: u32,
    pub locality: Locality,
    pub health: Health,
    /// The HTTP proxy through which it is reached, where its cluster has such a transport.
    pub via: Option<Address>,
}

/// A frozen host set.
#[derive(Debug, Default)]
pub struct Hosts {
    all: Vec<Arc<Host>>,
    eligible: Vec<usize>,
    panic: bool,
}

impl Hosts {
    /// `panic_percent`: below this share of healthy hosts all hosts are used
    /// (`common_lb_config.healthy_panic_threshold`, default 50; 0 = never).
    pub fn new(all: Vec<Arc<Host>>, panic_percent: f64) -> Hosts {
        let of = |health: Health| -> Vec<usize> {
            all.iter().enumerate().filter(|(_, h)| h.health == health).map(|(i, _)| i).collect()
        };
        let (healthy, degraded) = (of(Health::Healthy), of(Health::Degraded));
        let usable = healthy.len() + degraded.len();
        let panic = !all.is_empty() && (usable as f64) * 100.0 < panic_percent * all.len() as f64;
        let eligible = if panic {
            (0..all.len()).collect()
        } else if healthy.is_empty() {
            degraded
        } else {
            healthy
        };
        Hosts { all, eligible, panic }
    }

    pub fn all(&self) -> &[Arc<Host>] {
        &self.all
    }

    /// Places in [`Hosts::all`] that may be picked.
    pub fn eligible(&self) -> &[usize] {
        &self.eligible
    }

    /// So few hosts are healthy that health is ignored.
    pub fn panic(&self) -> bool {
        self.panic
    }

    pub fn count(&self, health: Health) -> usize {
        self.all.iter().filter(|h| h.health == health).count()
    }

    /// Whether all eligible hosts weigh the same.
    pub fn same_weight(&self) -> bool {
        let mut weights = self.eligible.iter().map(|i| self.all[*i].weight);
        let first = weights.next();
        weights.all(|w| Some(w) == first)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn host(port: u16, health: Health) -> Arc<Host> {
        Arc::new(Host {
            address: Address::Ip(([127, 0, 0, 1], port).into()),
            hostname: "".into(),
            hash_key: "".into(),
            weight: 1,
            priority: 0,
            locality: Locality::default(),
            health,
            via: None,
        })
    }

    #[test]
    fn panic_uses_every_host() {
        use Health::*;
        let hosts =
            |healths: &[Health]| Hosts::new(healths.iter().map(|h| host(1, *h)).collect(), 50.0);
        assert_eq!(hosts(&[Healthy, Unhealthy]).eligible(), [0]);
        assert_eq!(hosts(&[Healthy, Unhealthy, Unhealthy]).eligible(), [0, 1, 2]);
        assert_eq!(hosts(&[Degraded, Unhealthy]).eligible(), [0]);
        assert_eq!(hosts(&[Degraded, Healthy]).eligible(), [1]);
        assert!(hosts(&[]).eligible().is_empty() && !hosts(&[]).panic());
        assert!(Hosts::new(vec![host(1, Unhealthy)], 0.0).eligible().is_empty());
    }
}
