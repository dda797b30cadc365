//! `envoy.filters.http.health_check`: answers health checks, and takes the proxy out of its own
//! clients' rotation once `/healthcheck/fail` was called.

use std::sync::Arc;

use dragoman_filter::{HttpFilter, Means, Stats, Surroundings};
use dragoman_matcher::HeaderMatcher;
use dragoman_proto::pb::envoy::extensions::filters::http::health_check::v3::HealthCheck as Message;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::unpack;
use dragoman_stats::stats_struct;
use dragoman_types::{Faults, Flags, LocalReply, RequestHead, ResponseHead, StreamInfo, id};

pub const MESSAGE: &str = "envoy.extensions.filters.http.health_check.v3.HealthCheck";

stats_struct! {
    /// `http.<stat_prefix>.health_check.`
    struct HealthCheckStats {
        counters:
            cached_response, degraded, failed, failed_cluster_empty, failed_cluster_not_found,
            failed_cluster_unhealthy, ok, request_total;
    }
}

#[derive(Debug)]
struct HealthCheck {
    /// Checks go on to the origin while this proxy is healthy.
    pass_through: bool,
    /// All of them match a check; none: every request is one.
    headers: Vec<HeaderMatcher>,
    stats: Stats<HealthCheckStats>,
}

pub fn compile(any: &Any, means: &Means<'_>, faults: &mut Faults) -> Option<Arc<dyn HttpFilter>> {
    let message: Message = unpack(any, faults)?;
    if message.cache_time.is_some() {
        faults.add_at("cache_time", "unsupported", "cached checks are not supported");
    }
    if !message.cluster_min_healthy_percentages.is_empty() {
        let why = "cluster health is not looked at";
        faults.add_at("cluster_min_healthy_percentages", "unsupported", why);
    }
    let headers = message.headers.iter().enumerate().map(|(index, header)| {
        faults.item("headers", index, |faults| HeaderMatcher::compile(header, faults))
    });
    let headers = headers.collect();
    let pass_through = message.pass_through_mode.is_some_and(|mode| mode.value);
    let stats = Stats::new(means, "health_check");
    Some(Arc::new(HealthCheck { pass_through, headers, stats }))
}

impl HealthCheck {
    fn is_check(&self, request: &RequestHead) -> bool {
        self.headers.iter().all(|header| header.matches(&request.headers))
    }
}

impl HttpFilter for HealthCheck {
    fn request(
        &self,
        request: &mut RequestHead,
        info: &mut StreamInfo,
        around: &Surroundings<'_>,
    ) -> Result<(), LocalReply> {
        if !self.is_check(request) {
            return Ok(());
        }
        info.health_check = true;
        if self.pass_through && !around.health_failed {
            return Ok(());
        }
        let stats = self.stats.of(around);
        stats.request_total.inc();
        if around.health_failed {
            stats.failed.inc();
            return Err(LocalReply::new(503, "health_check_failed")
                .flags(Flags::FAILED_LOCAL_HEALTH_CHECK)
                .cause("/healthcheck/fail was called"));
        }
        stats.ok.inc();
        Err(LocalReply::new(200, "health_check_ok").cause("the health_check filter answers"))
    }

    fn response(
        &self,
        response: &mut ResponseHead,
        request: &RequestHead,
        around: &Surroundings<'_>,
    ) {
        if self.is_check(request) {
            let cluster = around.service_cluster.as_bytes();
            response.headers.set(id::X_ENVOY_UPSTREAM_HEALTHCHECKED_CLUSTER, cluster);
        }
        if around.health_failed {
            response.headers.set(id::X_ENVOY_IMMEDIATE_HEALTH_CHECK_FAIL, b"true");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragoman_stats::Registry;
    use dragoman_types::{Address, Connection, Moment};

    fn ask(pass_through: bool, health_failed: bool) -> (Option<u16>, ResponseHead) {
        let connection = Connection {
            id: 1,
            remote_ip: "".into(),
            direct_remote: Address::Ip(([127, 0, 0, 1], 1).into()),
            remote: Address::Ip(([127, 0, 0, 1], 1).into()),
            direct_local: Address::Ip(([127, 0, 0, 1], 2).into()),
            local: Address::Ip(([127, 0, 0, 1], 2).into()),
            listener: "l".into(),
            accepted_at: Moment::START,
            hello: None,
            chain: "".into(),
            tls: None,
        };
        let registry = Registry::new(1);
        let means = Means { registry: &registry, stat_prefix: "http.a." };
        let around = Surroundings {
            connection: &connection,
            worker: 0,
            service_cluster: "mine",
            cluster: "",
            health_failed,
        };
        let stats = Stats::new(&means, "health_check");
        let filter = HealthCheck { pass_through, headers: Vec::new(), stats };
        let mut info = StreamInfo::new(1, Moment::START);
        let (mut request, mut response) = (RequestHead::default(), ResponseHead::default());
        let reply = filter.request(&mut request, &mut info, &around).err();
        filter.response(&mut response, &request, &around);
        (reply.map(|reply| reply.status), response)
    }

    #[test]
    fn a_healthy_proxy_answers_or_passes_on() {
        assert_eq!(ask(false, false).0, Some(200));
        let (status, response) = ask(true, false);
        assert_eq!(status, None);
        let cluster = response.headers.get(id::X_ENVOY_UPSTREAM_HEALTHCHECKED_CLUSTER);
        assert_eq!(cluster, Some(&b"mine"[..]));
    }

    #[test]
    fn a_failed_one_says_so() {
        for pass_through in [false, true] {
            let (status, response) = ask(pass_through, true);
            assert_eq!(status, Some(503));
            let fail = response.headers.get(id::X_ENVOY_IMMEDIATE_HEALTH_CHECK_FAIL);
            assert_eq!(fail, Some(&b"true"[..]));
        }
    }
}
