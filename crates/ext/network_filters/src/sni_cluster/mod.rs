//! `envoy.filters.network.sni_cluster`: the server name that a client asks for is the cluster that
//! tcp_proxy takes it to.

use std::sync::Arc;

use dragoman_listener::{Means, NetworkFilter, Opened, Verdict};
use dragoman_proto::pb::envoy::extensions::filters::network::sni_cluster::v3::SniCluster as Message;
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_proto::unpack;
use dragoman_types::Faults;

pub const MESSAGE: &str = "envoy.extensions.filters.network.sni_cluster.v3.SniCluster";

#[derive(Debug)]
struct SniCluster;

pub fn compile(any: &Any, _: &Means<'_>, faults: &mut Faults) -> Option<Arc<dyn NetworkFilter>> {
    let _: Message = unpack(any, faults)?;
    Some(Arc::new(SniCluster))
}

impl NetworkFilter for SniCluster {
    fn open(&self, opened: &Opened<'_>) -> Verdict {
        match opened.hello.and_then(|hello| hello.server_name.clone()) {
            Some(name) => Verdict::To(name),
            None => Verdict::Pass,
        }
    }
}
