//! Network filters that stand before the one that speaks the connection's protocol. A filter is a folder
//! with Envoy's name for it and one row in [`FILTERS`].

pub mod connection_limit;
pub mod local_ratelimit;
pub mod rbac;
pub mod sni_cluster;

use dragoman_listener::CompileNetworkFilter;

/// Every such filter there is, by the name of its message.
pub const FILTERS: &[(&str, CompileNetworkFilter)] = &[
    (connection_limit::MESSAGE, connection_limit::compile),
    (local_ratelimit::MESSAGE, local_ratelimit::compile),
    (rbac::MESSAGE, rbac::compile),
    (sni_cluster::MESSAGE, sni_cluster::compile),
];

/// How a filter is compiled.
pub fn find(message: &str) -> Option<CompileNetworkFilter> {
    FILTERS.iter().find(|(name, _)| *name == message).map(|(_, compile)| *compile)
}
