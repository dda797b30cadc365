//! `envoy.config.core.v3.RoutingPriority`.

/// Which of the two sets of a cluster's limits a route's requests count against.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Priority {
    #[default]
    Default,
    High,
}

impl Priority {
    /// By their values as indices.
    pub const ALL: [Priority; 2] = [Priority::Default, Priority::High];
}
