//! `Engine` and what it raises.

use std::time::Duration;

use dragoman_server as server;
use dragoman_server::{Change, Kind};
use dragoman_stats::Unit;
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::metric::Metric;
use crate::status::{ClusterStatus, ContextCertificates, ListenerStatus, certificates_of};

create_exception!(dragoman._core._native, PublishError, PyException, "A publish was refused.");
create_exception!(dragoman._core._native, BindError, PyOSError, "An address can't be bound.");

fn changes_of(rows: Vec<(String, String, Option<Vec<u8>>)>) -> PyResult<Vec<Change>> {
    let change = |(kind, name, payload): (String, String, Option<Vec<u8>>)| {
        let kind = Kind::from_name(&kind).ok_or_else(|| {
            PyValueError::new_err(format!("resources of kind {kind} are not supported"))
        })?;
        Ok(Change { kind, name, payload })
    };
    rows.into_iter().map(change).collect()
}

fn refused(faults: Vec<server::ResourceFault>) -> PyErr {
    let row = |f: server::ResourceFault| {
        let fault = f.fault;
        (f.kind.name(), f.name, fault.path, fault.code, fault.message)
    };
    let rows: Vec<_> = faults.into_iter().map(row).collect();
    PublishError::new_err((rows,))
}

/// What a publish did.
#[pyclass(frozen, get_all, module = "dragoman._core._native")]
pub struct Published {
    version: u64,
    changes: Vec<String>,
}

/// One proxy.
#[pyclass(frozen, module = "dragoman._core._native")]
pub struct Engine(server::Engine);

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (
        *, concurrency, drain_time_s = 600.0, drain_strategy = "gradual",
        file_flush_interval_ms = 10_000, file_flush_min_size_kb = 64,
        service_cluster = "", service_node = "",
    ))]
    fn new(
        concurrency: usize,
        drain_time_s: f64,
        drain_strategy: &str,
        file_flush_interval_ms: u64,
        file_flush_min_size_kb: usize,
        service_cluster: &str,
        service_node: &str,
    ) -> PyResult<Engine> {
        let time = Duration::try_from_secs_f64(drain_time_s)
            .map_err(|error| PyValueError::new_err(format!("drain_time_s: {error}")))?;
        let engine = server::Engine::new(server::Options {
            workers: concurrency.max(1),
            drain: server::Drain { time, immediately: drain_strategy == "immediate" },
            log_flush_interval: Duration::from_millis(file_flush_interval_ms),
            log_flush_bytes: file_flush_min_size_kb << 10,
            service_cluster: service_cluster.into(),
            service_node: service_node.into(),
        })?;
        Ok(Engine(engine))
    }

    fn publish(
        &self,
        py: Python<'_>,
        changes: Vec<(String, String, Option<Vec<u8>>)>,
    ) -> PyResult<Published> {
        let changes = changes_of(changes)?;
        match py.detach(|| self.0.publish(&changes)) {
            Ok(done) => Ok(Published { version: done.version, changes: done.changes }),
            Err(server::PublishError::Faults(faults)) => Err(refused(faults)),
            Err(server::PublishError::Bind { listener, address, error }) => {
                let errno = error.raw_os_error().unwrap_or(0);
                let text = format!("cannot bind '{address}': {error}");
                Err(BindError::new_err((errno, text, listener)))
            }
        }
    }

    fn check(
        &self,
        py: Python<'_>,
        changes: Vec<(String, String, Option<Vec<u8>>)>,
    ) -> PyResult<()> {
        let changes = changes_of(changes)?;
        let faults = py.detach(|| self.0.check(&changes));
        if faults.is_empty() { Ok(()) } else { Err(refused(faults)) }
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.0.start())?)
    }

    fn wait_initialized(&self, py: Python<'_>, timeout_s: f64) -> bool {
        let patience = Duration::try_from_secs_f64(timeout_s).unwrap_or_default();
        py.detach(|| self.0.wait_initialized(patience))
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }

    #[pyo3(signature = (*, graceful, inbound_only, skip_exit))]
    fn drain_listeners(&self, py: Python<'_>, graceful: bool, inbound_only: bool, skip_exit: bool) {
        py.detach(|| self.0.drain_listeners(graceful, inbound_only, skip_exit));
    }

    #[pyo3(signature = (*, inbound_only = false))]
    fn stop_listening(&self, py: Python<'_>, inbound_only: bool) {
        py.detach(|| self.0.stop_listening(inbound_only));
    }

    fn active_requests(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.0.active_requests())
    }

    fn active_connections(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.0.active_connections())
    }

    fn set_health_check_failed(&self, failed: bool) {
        self.0.set_health_check_failed(failed);
    }

    fn reopen_logs(&self, py: Python<'_>) {
        py.detach(|| self.0.reopen_logs());
    }

    fn first_expiry(&self, py: Python<'_>) -> Option<i64> {
        py.detach(|| self.0.first_expiry())
    }

    fn flush_stats(&self, py: Python<'_>) {
        py.detach(|| self.0.flush_stats());
    }

    fn reset_counters(&self, py: Python<'_>) {
        py.detach(|| self.0.reset_counters());
    }

    fn stats(&self, py: Python<'_>) -> Vec<Metric> {
        py.detach(|| self.0.stats().into_iter().map(Metric::of).collect())
    }

    fn counter_add(&self, py: Python<'_>, name: &str, by: u64) {
        py.detach(|| self.0.counter_add(name, by));
    }

    fn gauge_set(&self, py: Python<'_>, name: &str, value: i64) {
        py.detach(|| self.0.gauge_set(name, value));
    }

    fn text_set(&self, py: Python<'_>, name: &str, value: &str) {
        py.detach(|| self.0.text_set(name, value));
    }

    fn histogram_record(&self, py: Python<'_>, name: &str, unit: &str, value: u64) -> PyResult<()> {
        let unit = match unit {
            "ms" => Unit::Milliseconds,
            "us" => Unit::Microseconds,
            "bytes" => Unit::Bytes,
            "percent" => Unit::Percent,
            "" => Unit::Unspecified,
            other => return Err(PyValueError::new_err(format!("unknown unit {other}"))),
        };
        py.detach(|| self.0.histogram_record(name, unit, value));
        Ok(())
    }

    fn clusters(&self, py: Python<'_>) -> Vec<ClusterStatus> {
        py.detach(|| self.0.clusters().into_iter().map(ClusterStatus::of).collect())
    }

    fn listeners(&self, py: Python<'_>) -> Vec<ListenerStatus> {
        py.detach(|| self.0.listeners().into_iter().map(ListenerStatus::of).collect())
    }

    fn certificates(&self, py: Python<'_>) -> Vec<ContextCertificates> {
        let found = py.detach(|| self.0.certificates());
        found.iter().map(certificates_of).collect()
    }

    fn take_logs(&self) -> Vec<server::LogRecord> {
        self.0.take_logs()
    }
}
