//! The control side of the engine: takes named resources, compiles them, gives frozen snapshots to
//! the workers, resolves names, and answers questions about what runs.
//!
//! The configuration's way, in files: `resources` (what was published) → `compile` (messages to
//! frozen structs) → `engine` (all or nothing) → `control` (bind, count)
//! → `snapshot` (what the workers get).

mod compile;
mod control;
mod dns;
mod engine;
mod listener;
mod metrics;
mod network;
pub mod regex;
mod resources;
mod snapshot;
mod status;
mod transport_socket;

pub use control::LogRecord;
pub use dragoman_transport::tls::{Certificates, Loaded};
pub use dragoman_types::Faults;
pub use dragoman_worker::Drain;
pub use engine::{Engine, Options, PublishError, Published};
pub use resources::{Change, Kind, ResourceFault};
pub use status::{ClusterStatus, HostStatus, ListenerStatus};
