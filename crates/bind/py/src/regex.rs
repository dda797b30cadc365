//! Regular expressions for Python, read as Envoy reads them. They come from whoever may ask the admin
//! page, so they must be linear in time; Python's own are not.

use dragoman_server::{Faults, regex};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A compiled expression of RE2's syntax.
#[pyclass(frozen, module = "dragoman._core._native")]
pub struct Regex {
    anywhere: regex::Compiled,
    whole: regex::Compiled,
}

#[pymethods]
impl Regex {
    #[new]
    fn new(pattern: &str) -> PyResult<Regex> {
        let compile = |whole| {
            let mut faults = Faults::new();
            regex::compile(pattern, whole, &mut faults).ok_or_else(|| {
                let faults = faults.into_vec();
                let message = faults.first().map_or("", |fault| fault.message.as_str());
                // The library draws the place first; its last line says what is wrong.
                let reason = message.lines().last().unwrap_or_default();
                PyValueError::new_err(reason.trim_start_matches("error: ").to_owned())
            })
        };
        Ok(Regex { anywhere: compile(false)?, whole: compile(true)? })
    }

    fn search(&self, text: &str) -> bool {
        self.anywhere.is_match(text.as_bytes())
    }

    fn fullmatch(&self, text: &str) -> bool {
        self.whole.is_match(text.as_bytes())
    }
}
