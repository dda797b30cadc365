//! `DataSource`: bytes that stand in the configuration, in a file or in an environment variable.

use dragoman_types::Faults;

use crate::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};

/// The source's bytes, read now. `None` where there is no source or it can't be read, which is then a
/// fault.
pub fn read(source: Option<&DataSource>, field: &str, faults: &mut Faults) -> Option<Vec<u8>> {
    let specifier = source?.specifier.as_ref()?;
    faults.field(field, |faults| {
        let (field, found) = match specifier {
            Specifier::InlineString(text) => return Some(text.clone().into_bytes()),
            Specifier::InlineBytes(bytes) => return Some(bytes.clone()),
            Specifier::Filename(name) => {
                ("filename", std::fs::read(name).map_err(|error| format!("{name}: {error}")))
            }
            Specifier::EnvironmentVariable(name) => {
                let found = std::env::var(name).map(String::into_bytes);
                ("environment_variable", found.map_err(|error| format!("{name}: {error}")))
            }
        };
        found.map_err(|why| faults.add_at(field, "unreadable", why)).ok()
    })
}
