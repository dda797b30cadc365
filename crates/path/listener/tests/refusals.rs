//! What is refused, with its path.

mod common;

use common::*;
use dragoman_proto::pb::envoy::config::listener::v3::FilterChainMatch;

const FIRST: &str = "filter_chains[0].filter_chain_match";
const SECOND: &str = "filter_chains[1].filter_chain_match";

#[track_caller]
fn refused(message: FilterChainMatch, field: &str, code: &str) {
    let found = faults(&[message]);
    let found: Vec<_> = found.iter().map(|(path, code)| (&**path, *code)).collect();
    assert_eq!(found, [(&*format!("{FIRST}.{field}"), code)]);
}

#[test]
fn fields_that_nobody_implements() {
    refused(chain(|c| c.address_suffix = "a".into()), "address_suffix", "unsupported");
    refused(chain(|c| c.suffix_len = number(1)), "suffix_len", "unsupported");
}

#[test]
fn values_out_of_their_range() {
    for port in [0, 65_536] {
        refused(chain(|c| c.destination_port = number(port)), "destination_port", "out-of-range");
        refused(chain(|c| c.source_ports = vec![1, port]), "source_ports[1]", "out-of-range");
    }
    refused(chain(|c| c.source_type = 3), "source_type", "bad-enum");
}

#[test]
fn ranges_that_are_none() {
    for (range, field, code) in [
        ("ten/8", "", "bad-cidr"),
        ("10.0.0.0/33", "", "bad-cidr"),
        ("::/129", "", "bad-cidr"),
        ("/8", ".address_prefix", "empty"),
    ] {
        let found = ranges(&["1.1.1.1/32", range]);
        let (a, b, c) = (found.clone(), found.clone(), found);
        let path = |list: &str| format!("{list}[1]{field}");
        refused(chain(|m| m.prefix_ranges = a), &path("prefix_ranges"), code);
        refused(chain(|m| m.source_prefix_ranges = b), &path("source_prefix_ranges"), code);
        let list = path("direct_source_prefix_ranges");
        refused(chain(|m| m.direct_source_prefix_ranges = c), &list, code);
    }
}

#[test]
fn wildcards_that_are_no_first_label() {
    for name in ["*", "*a.com", "a*.com", "a.*.com", "*.*.com", "**.com", "a.com*"] {
        refused(names(&["fine.com", name]), "server_names[1]", "bad-name");
    }
}

fn second_is_duplicate(chains: [FilterChainMatch; 2]) -> bool {
    match faults(&chains).as_slice() {
        [] => false,
        [(path, code)] => {
            assert_eq!((&**path, *code), (SECOND, "duplicate-match"));
            true
        }
        more => panic!("{more:?}"),
    }
}

#[test]
fn two_chains_for_one_connection() {
    assert!(second_is_duplicate([chain(|_| ()), chain(|_| ())]));
    assert!(second_is_duplicate([names(&["a.com"]), names(&["b.com", "A.com"])]));
    assert!(second_is_duplicate([names(&["*.a.com"]), names(&["*.a.com"])]));
    let range = |text: &str| chain(|c| c.prefix_ranges = ranges(&[text]));
    assert!(second_is_duplicate([range("10.0.0.1/8"), range("10.2.3.4/8")]));
    let ports = |ports: &[u32]| chain(|c| c.source_ports = ports.to_vec());
    assert!(second_is_duplicate([ports(&[1, 2]), ports(&[2, 3])]));
}

#[test]
fn one_more_criterion_tells_chains_apart() {
    let everyone = || chain(|_| ());
    assert!(!second_is_duplicate([everyone(), names(&["a.com"])]));
    assert!(!second_is_duplicate([names(&["*.a.com"]), names(&["a.com"])]));
    assert!(!second_is_duplicate([everyone(), chain(|c| c.source_type = LOCAL)]));
    let range = |text: &str| chain(|c| c.prefix_ranges = ranges(&[text]));
    assert!(!second_is_duplicate([range("10.0.0.0/8"), range("10.0.0.0/9")]));
    assert!(!second_is_duplicate([range("0.0.0.0/0"), range("::/0")]));
}

#[test]
fn a_value_that_is_listed_twice() {
    let found = faults(&[names(&["a.com", "a.com"]), chain(|_| ())]);
    assert_eq!(found, [(FIRST.to_owned(), "duplicate-match")]);
}

#[test]
fn every_fault_is_told_and_causes_no_other() {
    let broken = || chain(|c| c.source_type = 9);
    let found = faults(&[broken(), broken()]);
    let paths: Vec<_> = found.iter().map(|(path, _)| &**path).collect();
    assert_eq!(paths, [format!("{FIRST}.source_type"), format!("{SECOND}.source_type")]);
}
