//! What was published: Envoy's messages by kind and name, each replaceable alone.

use std::sync::Arc;

use dragoman_proto::Message;
use dragoman_proto::pb::envoy::config::cluster::v3::Cluster;
use dragoman_proto::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use dragoman_proto::pb::envoy::config::listener::v3::Listener;
use dragoman_proto::pb::envoy::config::route::v3::RouteConfiguration;
use dragoman_proto::pb::envoy::extensions::transport_sockets::tls::v3::Secret;
use dragoman_transport::tls::Secrets;
use dragoman_types::Fault;
use indexmap::IndexMap;

/// What kinds of resources there are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    Listener,
    Route,
    Cluster,
    Endpoints,
    Secret,
    /// A secret that was fetched (SDS).
    Sds,
}

impl Kind {
    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Kind> {
        match name {
            "listener" => Some(Kind::Listener),
            "route" => Some(Kind::Route),
            "cluster" => Some(Kind::Cluster),
            "endpoints" => Some(Kind::Endpoints),
            "secret" => Some(Kind::Secret),
            "sds" => Some(Kind::Sds),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Listener => "listener",
            Kind::Route => "route",
            Kind::Cluster => "cluster",
            Kind::Endpoints => "endpoints",
            Kind::Secret => "secret",
            Kind::Sds => "sds",
        }
    }
}

/// One resource to put in place, or to remove (`payload` = None).
#[derive(Clone, Debug)]
pub struct Change {
    pub kind: Kind,
    pub name: String,
    pub payload: Option<Vec<u8>>,
}

/// A fault of one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceFault {
    pub kind: Kind,
    pub name: String,
    pub fault: Fault,
}

/// All resources, decoded, in the order in which they first came. Cheap to clone: a publish works on
/// a copy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resources {
    pub(crate) listeners: IndexMap<String, Arc<Listener>>,
    pub(crate) routes: IndexMap<String, Arc<RouteConfiguration>>,
    pub(crate) clusters: IndexMap<String, Arc<Cluster>>,
    pub(crate) endpoints: IndexMap<String, Arc<ClusterLoadAssignment>>,
    pub(crate) secrets: IndexMap<String, Arc<Secret>>,
    pub(crate) sds: IndexMap<String, Arc<Secret>>,
}

impl Secrets for Resources {
    fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(name).map(Arc::as_ref)
    }

    fn fetched(&self, key: &str) -> Option<&Secret> {
        self.sds.get(key).map(Arc::as_ref)
    }
}

impl Resources {
    /// Applies `changes`; undecodable payloads become faults.
    pub(crate) fn apply(&mut self, changes: &[Change], faults: &mut Vec<ResourceFault>) {
        for change in changes {
            let outcome = match change.kind {
                Kind::Listener => put(&mut self.listeners, change),
                Kind::Route => put(&mut self.routes, change),
                Kind::Cluster => put(&mut self.clusters, change),
                Kind::Endpoints => put(&mut self.endpoints, change),
                Kind::Secret => put(&mut self.secrets, change),
                Kind::Sds => put(&mut self.sds, change),
            };
            if let Err(message) = outcome {
                let fault = Fault { path: String::new(), code: "broken-message", message };
                faults.push(ResourceFault { kind: change.kind, name: change.name.clone(), fault });
            }
        }
    }
}

/// An unchanged message keeps its identity, so that what was compiled from it stays.
fn put<M: Message + Default + PartialEq>(
    map: &mut IndexMap<String, Arc<M>>,
    change: &Change,
) -> Result<(), String> {
    let Some(payload) = &change.payload else {
        map.shift_remove(&change.name);
        return Ok(());
    };
    let message = M::decode(payload.as_slice()).map_err(|error| error.to_string())?;
    if map.get(&change.name).is_none_or(|old| **old != message) {
        map.insert(change.name.clone(), Arc::new(message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, payload: Option<Vec<u8>>) -> Change {
        Change { kind: Kind::Cluster, name: name.into(), payload }
    }

    #[test]
    fn unchanged_messages_keep_their_identity() {
        let (mut resources, mut faults) = (Resources::default(), Vec::new());
        let bytes = Cluster { name: "a".into(), ..Default::default() }.encode_to_vec();
        resources.apply(&[change("a", Some(bytes.clone()))], &mut faults);
        let first = resources.clusters["a"].clone();
        resources.apply(&[change("a", Some(bytes))], &mut faults);
        assert!(Arc::ptr_eq(&first, &resources.clusters["a"]));
        resources.apply(&[change("a", None)], &mut faults);
        assert!(resources.clusters.is_empty() && faults.is_empty());
        resources.apply(&[change("b", Some(vec![0xff]))], &mut faults);
        assert_eq!(faults.len(), 1);
    }
}
