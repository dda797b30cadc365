//! The only place that touches sockets and timers. Knows bytes and addresses, nothing of HTTP.

pub mod bind;
pub mod buffer;
pub mod clock;
pub mod connect;
pub mod deadline;
pub mod interface;
pub mod reactor;
pub mod socket;

pub use bind::{Bound, SocketOptions, bind};
pub use buffer::{Buffer, BufferPool};
pub use connect::{Keepalive, connect};
pub use deadline::Deadline;
pub use interface::local_interface;
pub use reactor::{Caller, Reactor, Task, others_first};
pub use socket::{Listener, Socket};
