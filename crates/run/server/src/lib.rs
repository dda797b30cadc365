//! The control side of the engine: takes named resources, compiles them, gives frozen snapshots to
//! the workers, resolves names, and answers questions about what runs.
//!
//! The configuration's way, in files: `resources` (what was published) → `compile` (messages to
//! frozen structs) → `engine` (all or nothing, bind, hand over) → the workers.

mod compile;
mod dns;
mod engine;
mod listener;
mod metrics;
mod resources;
mod status;

pub use engine::{Engine, Options, PublishError, Published};
pub use resources::{Change, Kind, ResourceFault};
pub use status::{ClusterStatus, HostStatus, ListenerStatus};
