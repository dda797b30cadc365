//! A connection's first bytes, as listener filters see them.

use std::sync::Arc;

use dragoman_listener::{Arrival, Inspected, ListenerFilter, Means, Progress};
use dragoman_listener_filters::{FILTERS, find};
use dragoman_proto::pb::google::protobuf::Any;
use dragoman_stats::Registry;
use dragoman_types::{Address, Faults};

/// Whatever the bytes, a filter wants more within its limit or decides, and it decides the same however
/// they come.
pub fn arrival(bytes: &[u8]) {
    let registry = Registry::new(1);
    for (name, _) in FILTERS {
        let filter = compile(name, &registry);
        let whole = decide(filter.as_ref(), bytes, bytes.len().max(1));
        for step in [1, 7] {
            assert_eq!(decide(filter.as_ref(), bytes, step), whole, "{name}, {step} at a time");
        }
    }
}

fn compile(name: &str, registry: &Registry) -> Arc<dyn ListenerFilter> {
    let message = Any { type_url: format!("type.googleapis.com/{name}"), value: Vec::new() };
    let mut faults = Faults::new();
    let compile = find(name).expect("it is listed");
    compile(&message, &Means { registry }, &mut faults).expect("defaults are valid")
}

/// The verdict and what was found; `None`: more is wanted than there is.
fn decide(filter: &dyn ListenerFilter, bytes: &[u8], step: usize) -> Option<(Inspected, Arrival)> {
    let address = |port| Address::Ip(([127, 0, 0, 1], port).into());
    let mut arrival = Arrival::new(address(1), address(2));
    let mut progress = Progress::default();
    let mut shown = 0;
    loop {
        match filter.inspect(&bytes[..shown], &mut progress, &mut arrival, 0) {
            Inspected::More { until } => {
                assert!(until > shown && until <= filter.max_bytes(), "{until} after {shown}");
            }
            // Why it's closed may depend on how much was there to tell.
            Inspected::Close(_) => return Some((Inspected::Close(""), arrival)),
            done => return Some((done, arrival)),
        }
        if shown == bytes.len() {
            return None;
        }
        shown = bytes.len().min(shown + step);
    }
}
