//! `envoy.filters.http.grpc_stats`: calls by outcome, and messages, for each cluster and method.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dragoman_filter::{Broken, Hold, HttpFilter, Means, StreamFilter, Surroundings};
use dragoman_proto::pb::envoy::extensions::filters::http::grpc_stats::v3::{
    FilterConfig, filter_config::PerMethodStatSpecifier,
};
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::unpack;
use dragoman_types::grpc::is_grpc;
use dragoman_types::{Faults, Headers, LocalReply, RequestHead, ResponseHead, id};

use crate::grpc::{self, Messages, MethodStats};

pub const MESSAGE: &str = "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig";

#[derive(Debug)]
struct GrpcStats {
    apart: Apart,
    /// Dots of a service's name would be taken for parts of the statistic's.
    replace_dots: bool,
    /// The time that hosts take is recorded.
    times: bool,
    stats: Arc<MethodStats>,
}

/// Whose calls are counted by method.
#[derive(Debug)]
enum Apart {
    Nobody,
    All,
    /// Methods by service.
    These(HashMap<String, Vec<String>>),
}

impl Apart {
    fn has(&self, service: &str, method: &str) -> bool {
        match self {
            Apart::Nobody => false,
            Apart::All => true,
            Apart::These(services) => {
                services.get(service).is_some_and(|methods| methods.iter().any(|m| m == method))
            }
        }
    }
}

pub fn compile(any: &Any, means: &Means<'_>, faults: &mut Faults) -> Option<Arc<dyn HttpFilter>> {
    let message: FilterConfig = unpack(any, faults)?;
    let apart = match message.per_method_stat_specifier {
        Some(PerMethodStatSpecifier::StatsForAllMethods(all)) if all.value => Apart::All,
        Some(PerMethodStatSpecifier::IndividualMethodStatsAllowlist(list)) => {
            let services = list.services.into_iter();
            Apart::These(services.map(|one| (one.name, one.method_names)).collect())
        }
        _ => Apart::Nobody,
    };
    Some(Arc::new(GrpcStats {
        apart,
        replace_dots: message.replace_dots_in_grpc_service_name,
        times: message.enable_upstream_stats,
        stats: Arc::new(MethodStats::new(means)),
    }))
}

impl HttpFilter for GrpcStats {
    fn stream(
        &self,
        request: &mut RequestHead,
        around: &Surroundings<'_>,
    ) -> Result<Option<Box<dyn StreamFilter>>, LocalReply> {
        if !is_grpc(&request.headers) || around.cluster.is_empty() {
            return Ok(None);
        }
        let Some(named) = grpc::method(request) else { return Ok(None) };
        let apart = Some(named).filter(|(service, method)| self.apart.has(service, method));
        let prefix = match apart {
            Some((service, method)) if self.replace_dots => {
                grpc::prefix(around, "grpc", Some((&service.replace('.', "_"), method)))
            }
            other => grpc::prefix(around, "grpc", other),
        };
        Ok(Some(Box::new(Call {
            stats: self.stats.clone(),
            worker: around.worker,
            prefix,
            times: self.times,
            request: Messages::default(),
            response: Messages::default(),
            is_answered: false,
        })))
    }
}

/// One call.
#[derive(Debug)]
struct Call {
    stats: Arc<MethodStats>,
    worker: usize,
    prefix: String,
    times: bool,
    request: Messages,
    response: Messages,
    /// The response is gRPC too.
    is_answered: bool,
}

impl Call {
    fn ended(&self, fields: &Headers) {
        if let Some(status) = fields.get(id::GRPC_STATUS) {
            self.stats.outcome(self.worker, &self.prefix, status);
        }
    }

    fn counted(&self, name: &str, messages: u64) {
        if messages > 0 {
            self.stats.add(self.worker, &self.prefix, name, messages);
        }
    }
}

impl StreamFilter for Call {
    fn request_data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), LocalReply> {
        let messages = self.request.count(piece);
        self.counted("request_message_count", messages);
        out.extend_from_slice(piece);
        Ok(())
    }

    fn response(&mut self, response: &mut ResponseHead, bare: bool) -> Hold {
        self.is_answered = is_grpc(&response.headers);
        if bare {
            self.ended(&response.headers);
        }
        Hold::Nothing
    }

    fn response_data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        if self.is_answered {
            let messages = self.response.count(piece);
            self.counted("response_message_count", messages);
        }
        out.extend_from_slice(piece);
        Ok(())
    }

    fn response_end(&mut self, trailers: &mut Headers, _: &mut Vec<u8>) -> Result<(), Broken> {
        self.ended(trailers);
        Ok(())
    }

    fn host_took(&mut self, time: Duration) {
        if self.times {
            self.stats.took(self.worker, &self.prefix, time);
        }
    }
}
