//! Clusters, hosts and listeners as Python objects.

use std::collections::BTreeMap;

use dragoman_server as server;
use pyo3::prelude::*;

/// One endpoint.
#[pyclass(frozen, get_all, module = "dragoman._core._native")]
#[derive(Clone)]
pub struct HostStatus {
    address: String,
    hostname: String,
    weight: u32,
    priority: u32,
    region: String,
    zone: String,
    sub_zone: String,
    health_flags: String,
    stats: BTreeMap<&'static str, u64>,
}

/// One cluster.
#[pyclass(frozen, module = "dragoman._core._native")]
pub struct ClusterStatus {
    #[pyo3(get)]
    name: String,
    #[pyo3(get)]
    observability_name: String,
    #[pyo3(get)]
    added_via_api: bool,
    #[pyo3(get)]
    circuit_breakers: BTreeMap<&'static str, BTreeMap<&'static str, u32>>,
    hosts: Vec<HostStatus>,
}

/// One listener.
#[pyclass(frozen, get_all, module = "dragoman._core._native")]
pub struct ListenerStatus {
    name: String,
    addresses: Vec<String>,
    state: &'static str,
    traffic_direction: &'static str,
}

/// One certificate of a TLS context.
#[pyclass(frozen, get_all, module = "dragoman._core._native")]
pub struct LoadedCertificate {
    path: String,
    serial_number: String,
    dns: Vec<String>,
    uris: Vec<String>,
    ip_addresses: Vec<String>,
    not_before: i64,
    not_after: i64,
}

/// The first of a context's trusted certificates, and its own.
pub(crate) type ContextCertificates = (Option<LoadedCertificate>, Vec<LoadedCertificate>);

pub(crate) fn certificates_of(found: &server::Certificates) -> ContextCertificates {
    let ca = found.ca.as_ref().map(LoadedCertificate::of);
    (ca, found.chain.iter().map(LoadedCertificate::of).collect())
}

impl LoadedCertificate {
    fn of(loaded: &server::Loaded) -> LoadedCertificate {
        let facts = &loaded.facts;
        let texts = |names: &[Box<str>]| names.iter().map(|name| name.to_string()).collect();
        LoadedCertificate {
            path: loaded.path.to_string(),
            serial_number: facts.serial.to_string(),
            dns: texts(&facts.dns_sans),
            uris: texts(&facts.uri_sans),
            ip_addresses: texts(&facts.ip_sans),
            not_before: facts.not_before,
            not_after: facts.not_after,
        }
    }
}

#[pymethods]
impl ClusterStatus {
    #[getter]
    fn hosts(&self, py: Python<'_>) -> PyResult<Vec<Py<HostStatus>>> {
        self.hosts.iter().map(|host| Py::new(py, host.clone())).collect()
    }
}

impl HostStatus {
    fn of(status: server::HostStatus) -> HostStatus {
        let host = &status.host;
        HostStatus {
            address: host.address.to_string(),
            hostname: host.hostname.to_string(),
            weight: host.weight,
            priority: host.priority,
            region: host.locality.region.to_string(),
            zone: host.locality.zone.to_string(),
            sub_zone: host.locality.sub_zone.to_string(),
            health_flags: status.health_flags,
            stats: status.stats,
        }
    }
}

impl ClusterStatus {
    pub(crate) fn of(status: server::ClusterStatus) -> ClusterStatus {
        let rows = |place: usize| {
            let limits = status.thresholds[place];
            BTreeMap::from([
                ("max_connections", limits.max_connections),
                ("max_pending_requests", limits.max_pending_requests),
                ("max_requests", limits.max_requests),
                ("max_retries", limits.max_retries),
            ])
        };
        ClusterStatus {
            circuit_breakers: BTreeMap::from([("default", rows(0)), ("high", rows(1))]),
            name: status.name,
            observability_name: status.observability_name,
            added_via_api: false,
            hosts: status.hosts.into_iter().map(HostStatus::of).collect(),
        }
    }
}

impl ListenerStatus {
    pub(crate) fn of(status: server::ListenerStatus) -> ListenerStatus {
        ListenerStatus {
            name: status.name,
            addresses: status.addresses,
            state: if status.draining { "draining" } else { "active" },
            traffic_direction: if status.inbound { "inbound" } else { "unspecified" },
        }
    }
}
