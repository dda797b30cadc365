//! One property, named by PROPERTY, searched by libFuzzer.
#![no_main]

use std::sync::LazyLock;

use dragoman_fuzz::{PROPERTIES, Property};
use libfuzzer_sys::fuzz_target;

static PROPERTY: LazyLock<&Property> = LazyLock::new(|| {
    let name = std::env::var("PROPERTY").unwrap_or_default();
    let found = PROPERTIES.iter().find(|property| property.name == name);
    found.unwrap_or_else(|| {
        let names: Vec<&str> = PROPERTIES.iter().map(|property| property.name).collect();
        panic!("PROPERTY={name:?}: there are {names:?}")
    })
});

fuzz_target!(|bytes: &[u8]| (PROPERTY.holds)(bytes));
