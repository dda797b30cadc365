//! Envoy's route configuration.
