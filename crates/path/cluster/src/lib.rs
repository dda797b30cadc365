//! Clusters: who may serve a request, and who of them does. Decides only: resolving names,
//! connecting and checking health are done elsewhere and told to it.

pub mod balancer;
pub mod config;
pub mod endpoints;
pub mod hosts;
pub mod http;
pub mod thresholds;

pub use balancer::{Balancer, Balancing, Pick, Policy, PolicyRegistry};
pub use config::{Cluster, Discovery, OriginalDst};
pub use endpoints::{DnsFamily, DnsOptions, DnsTarget, Endpoint, EndpointAddress, Endpoints};
pub use hosts::{Health, Host, Hosts, Locality};
pub use http::{RequestNames, UpstreamHttp, UpstreamProtocol};
pub use thresholds::{RetryBudget, Thresholds};
