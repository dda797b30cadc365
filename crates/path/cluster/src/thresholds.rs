//! Circuit breakers: how much of a cluster may be in use at a time.
//! Source: `CircuitBreakers.Thresholds`.

use dragoman_proto::pb::envoy::config::cluster::v3 as pb;
use dragoman_proto::pb::envoy::config::core::v3::RoutingPriority;
use dragoman_proto::u32_or;

/// Limits of one priority, for all workers together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thresholds {
    pub max_connections: u32,
    pub max_pending_requests: u32,
    pub max_requests: u32,
    pub max_retries: u32,
    pub track_remaining: bool,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 1024,
            max_retries: 3,
            track_remaining: false,
        }
    }
}

impl Thresholds {
    fn of(message: &pb::circuit_breakers::Thresholds) -> Thresholds {
        let default = Thresholds::default();
        Thresholds {
            max_connections: u32_or(message.max_connections.as_ref(), default.max_connections),
            max_pending_requests: u32_or(
                message.max_pending_requests.as_ref(),
                default.max_pending_requests,
            ),
            max_requests: u32_or(message.max_requests.as_ref(), default.max_requests),
            max_retries: u32_or(message.max_retries.as_ref(), default.max_retries),
            track_remaining: message.track_remaining,
        }
    }

    /// (default priority, high priority)
    pub(crate) fn compile(message: Option<&pb::CircuitBreakers>) -> [Thresholds; 2] {
        let find = |priority: RoutingPriority| {
            let rows = message.map(|m| m.thresholds.as_slice()).unwrap_or_default();
            rows.iter().find(|t| t.priority == priority as i32)
        };
        [RoutingPriority::Default, RoutingPriority::High]
            .map(|priority| find(priority).map(Thresholds::of).unwrap_or_default())
    }
}
