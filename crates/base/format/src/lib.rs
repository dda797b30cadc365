//! Envoy's substitution formats: `%OPERATOR(parameters):length%` in text and JSON, one engine for
//! access logs, header values, local replies and direct responses.
//!
//! A format is compiled once into steps; writing one appends to a buffer and allocates nothing. It
//! reads [`Facts`](dragoman_types::Facts) and the caller's [`Scratch`], never a clock or a socket.

mod address;
mod build;
mod coalesce;
mod content;
mod escape;
mod json;
mod line;
mod number;
mod op;
mod parse;
mod query;
mod reader;
mod scratch;
mod table;
mod text;
mod time;
mod timing;
mod tls;

#[cfg(test)]
mod golden;

pub use json::JsonFormat;
pub use line::{LineFormat, LogFormat};
pub use scratch::{LogType, Scratch};
pub use text::{DEFAULT_TEXT, Format};
