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
    /// Instead of `max_retries`.
    pub retry_budget: Option<RetryBudget>,
    pub track_remaining: bool,
}

/// Retries as a share of what goes on.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RetryBudget {
    /// Of the active and the waiting requests.
    pub percent: f64,
    /// So many are allowed in any case.
    pub min_concurrency: u32,
}

impl Eq for RetryBudget {}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 1024,
            max_retries: 3,
            retry_budget: None,
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
            retry_budget: message.retry_budget.as_ref().map(|budget| RetryBudget {
                percent: budget.budget_percent.as_ref().map_or(20.0, |percent| percent.value),
                min_concurrency: u32_or(budget.min_retry_concurrency.as_ref(), 3),
            }),
            track_remaining: message.track_remaining,
        }
    }

    /// How many retries may go on at a time. `requests`: those that are active or wait for a connection.
    pub fn most_retries(&self, requests: u64) -> u64 {
        match self.retry_budget {
            None => u64::from(self.max_retries),
            Some(budget) => {
                let share = (requests as f64 * budget.percent / 100.0) as u64;
                share.max(u64::from(budget.min_concurrency))
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_budget_grows_with_the_requests() {
        let mut limits = Thresholds::default();
        assert_eq!(limits.most_retries(1000), 3);
        limits.retry_budget = Some(RetryBudget { percent: 20.0, min_concurrency: 5 });
        assert_eq!([0, 24, 30, 1000].map(|n| limits.most_retries(n)), [5, 5, 6, 200]);
    }
}
