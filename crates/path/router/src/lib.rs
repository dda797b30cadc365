//! Envoy's route configuration: compiled once, then asked which route a request takes, where it goes
//! and what is edited on the way. Decides only: it opens no socket, reads no clock, picks no host.
//!
//! [`RouteTable::find`] → [`Route::action`] → [`Forward`] ([`Route::target`], then
//! [`RouteTable::edit_request`], later [`RouteTable::edit_response`]), [`Redirect`] or [`Direct`]
//! ([`RouteTable::answer`]).

mod answer;
mod compile;
mod condition;
mod edit;
mod forward;
mod hash;
mod host;
mod index;
mod path;
mod retry;
mod rewrite;
mod route;
mod substitution;
mod table;
mod texts;

pub use answer::{Direct, Redirect, answer_require_tls};
pub use dragoman_edits::Scratch;
pub use forward::{
    Cluster, Forward, GrpcTimeout, MaxStreamDuration, Target, Upgrade, WeightedEntry,
};
pub use hash::{HashPolicy, Hashed};
pub use retry::{Again, Retries, RetryPolicy, Trouble};
pub use route::{Action, Route, VirtualHost};
pub use table::{Asked, Certificate, ClusterUse, Found, RouteTable};
