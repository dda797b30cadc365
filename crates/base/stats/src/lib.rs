//! The statistics of the data plane: counters, gauges and histograms.
//!
//! Laws:
//! 1. **One writer a shard.** A cell belongs to one shard and only that shard's thread writes it,
//!    so a write is one relaxed load and one relaxed store: no lock, no atomic read-modify-write.
//!    Two threads writing one shard lose counts (never memory safety).
//! 2. **The reader sums.** Nobody but the reader looks at more than one shard. Intervals, resets
//!    and percentiles are differences the reader takes; writers never hear of them.
//! 3. **A name is shown while somebody can write it.** A scope, and each shard of it, keeps the
//!    scope registered; when the last is dropped its names leave the reader. Cells are never
//!    handed to another metric, so a late writer can only write to cells nobody reads.
//! 4. **One name, one metric.** Scopes that show the same name are added up by the reader.
//! 5. **Shards share no cache line**: each (scope, shard) is one allocation aligned to two lines.
//!
//! The locks here (registration, reading) and the one-time allocation of histogram decades are
//! off the request's way. This crate does no I/O, formats nothing and knows no metric's name.

#![forbid(unsafe_code)]

mod bins;
mod cell;
mod group;
mod histogram;
mod macros;
mod reader;
mod registry;
mod summary;

pub use cell::{Codes, Counter, Gauge};
pub use group::{CellRef, Field, Group, Kind, Single};
pub use histogram::{Histogram, Unit};
pub use reader::{Sample, Value};
pub use registry::{CounterId, GaugeId, HistogramId, Registry, ScopeHandle, Shard};
pub use summary::{BUCKETS, Bin, Distribution, QUANTILES, Summary};
