//! The engine as a Python module. Converts, releases the GIL, calls; no logic.
//! The typed face is `python/dragoman/_core/_native.pyi`.

mod engine;
mod metric;
mod regex;
mod status;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::engine::{BindError, Engine, PublishError, Published};
    #[pymodule_export]
    use crate::metric::{Histogram, Metric};
    #[pymodule_export]
    use crate::regex::Regex;
    #[pymodule_export]
    use crate::status::{ClusterStatus, HostStatus, ListenerStatus, LoadedCertificate};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
