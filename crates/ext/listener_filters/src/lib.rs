//! Listener filters. A filter is a folder with Envoy's name for it and one row in [`FILTERS`].

pub mod http_inspector;
pub mod original_dst;
pub mod proxy_protocol;
pub mod tls_inspector;

use dragoman_listener::CompileListenerFilter;

/// Every listener filter there is, by the name of its message.
pub const FILTERS: &[(&str, CompileListenerFilter)] = &[
    (http_inspector::MESSAGE, http_inspector::compile),
    (original_dst::MESSAGE, original_dst::compile),
    (proxy_protocol::MESSAGE, proxy_protocol::compile),
    (tls_inspector::MESSAGE, tls_inspector::compile),
];

/// How a filter is compiled.
pub fn find(message: &str) -> Option<CompileListenerFilter> {
    FILTERS.iter().find(|(name, _)| *name == message).map(|(_, compile)| *compile)
}
