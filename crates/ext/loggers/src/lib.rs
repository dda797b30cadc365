//! Access loggers: which requests are logged (filters), how (formats), and where to (sinks).
//!
//! A worker formats straight into its own buffer for each sink and hands full buffers over without ever
//! waiting; every sink has one thread that writes. A disk that is full, a file that is gone or a pipe
//! that nobody reads costs log lines, which are counted, and never a request.

mod access_log;
mod buffers;
pub mod file;
mod filter;
mod sink;
mod sinks;
pub mod stderr;
pub mod stdout;

pub use access_log::{AccessLog, compile};
pub use buffers::{BufferStats, FLUSH_AT, LogBuffers};
pub use filter::Filter;
pub use sink::{FileStats, Sink};
pub use sinks::LogSinks;
