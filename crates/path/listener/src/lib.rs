//! A new connection, up to the choice of its filter chain: what is known of it ([`Arrival`]), who finds
//! out more ([`ListenerFilter`]; implementations live in `crates/ext/listener_filters`), and which
//! chain it then takes ([`ChainMatcher`]). Decides only: it opens no socket and reads no clock.

mod arrival;
mod choice;
mod compile;
mod filter;
mod matcher;
mod network;
mod ranges;

pub use arrival::{Arrival, ProxyHeader, Tlv, Transport};
pub use filter::{CompileListenerFilter, Inspected, ListenerFilter, Means, Progress, Stats};
pub use matcher::{ChainMatcher, Needs};
pub use network::{CompileNetworkFilter, NetworkFilter, Opened, Passed, Refused, Verdict, open};
