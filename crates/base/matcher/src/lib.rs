//! Matchers of Envoy's configuration, compiled once.
