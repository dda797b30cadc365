//! The loggers with real files, pipes and threads.

mod config;
mod sinks;
mod support;
