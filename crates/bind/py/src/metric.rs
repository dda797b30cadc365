//! Samples as Python objects.

use std::sync::Arc;

use dragoman_stats::{BUCKETS, Distribution, Sample, Summary, Unit, Value};
use pyo3::prelude::*;

/// One metric.
#[pyclass(frozen, get_all, module = "dragoman._core._native")]
pub struct Metric {
    name: String,
    kind: &'static str,
    value: u64,
    text: String,
    histogram: Option<Histogram>,
    used: bool,
}

impl Metric {
    pub(crate) fn of(sample: Sample) -> Metric {
        let (kind, value, text, histogram) = match sample.value {
            Value::Counter { value, .. } => ("counter", value, String::new(), None),
            Value::Gauge(value) => ("gauge", value, String::new(), None),
            Value::Text(text) => ("text", 0, text.to_string(), None),
            Value::Histogram(summary) => ("histogram", 0, String::new(), Some(Histogram(summary))),
        };
        Metric { name: sample.name, kind, value, text, histogram, used: sample.used }
    }
}

/// A histogram's two summaries, worked out as they are asked for.
#[pyclass(frozen, from_py_object, module = "dragoman._core._native")]
#[derive(Clone)]
pub struct Histogram(Arc<Summary>);

fn quantiles(of: &Distribution) -> Option<Vec<f64>> {
    (!of.is_empty()).then(|| of.quantiles().to_vec())
}

fn buckets(of: &Distribution) -> Vec<(f64, u64)> {
    BUCKETS.iter().copied().zip(of.counts_below(&BUCKETS)).collect()
}

fn bins(of: &Distribution) -> Vec<(f64, f64, u64)> {
    of.bins().map(|bin| (bin.lower, bin.width, bin.count)).collect()
}

#[pymethods]
impl Histogram {
    #[getter]
    fn unit(&self) -> &'static str {
        match self.0.unit {
            Unit::Milliseconds | Unit::MicrosAsMillis => "ms",
            Unit::Microseconds => "us",
            Unit::Nanoseconds => "ns",
            Unit::Bytes => "bytes",
            Unit::Percent => "percent",
            Unit::Unspecified => "",
        }
    }
    #[getter]
    fn interval(&self) -> Option<Vec<f64>> {
        quantiles(&self.0.interval)
    }
    #[getter]
    fn cumulative(&self) -> Option<Vec<f64>> {
        quantiles(&self.0.cumulative)
    }
    #[getter]
    fn interval_count(&self) -> u64 {
        self.0.interval.count()
    }
    #[getter]
    fn cumulative_count(&self) -> u64 {
        self.0.cumulative.count()
    }
    #[getter]
    fn interval_sum(&self) -> f64 {
        self.0.interval.sum()
    }
    #[getter]
    fn cumulative_sum(&self) -> f64 {
        self.0.cumulative.sum()
    }
    #[getter]
    fn interval_buckets(&self) -> Vec<(f64, u64)> {
        buckets(&self.0.interval)
    }
    #[getter]
    fn cumulative_buckets(&self) -> Vec<(f64, u64)> {
        buckets(&self.0.cumulative)
    }
    #[getter]
    fn interval_bins(&self) -> Vec<(f64, f64, u64)> {
        bins(&self.0.interval)
    }
    #[getter]
    fn cumulative_bins(&self) -> Vec<(f64, f64, u64)> {
        bins(&self.0.cumulative)
    }
}
