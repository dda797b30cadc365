//! Which chain wins, stage by stage, and that an earlier stage's answer is final.

mod common;

use common::*;
use dragoman_listener::Transport;
use dragoman_types::Address;

fn pipe() -> Address {
    Address::Pipe("/run/a".into())
}

#[test]
fn a_chain_without_criteria_takes_everyone() {
    let matcher = compile(&[chain(|_| ())]);
    let pipes = with(|a| {
        (a.destination, a.source, a.direct_source) = (pipe(), pipe(), pipe());
    });
    for arrival in [arrival(), to("[::1]:1"), asks("a.com"), offers(&["h2"]), pipes] {
        assert_eq!(matcher.find(&arrival), Some(0), "{arrival:?}");
    }
}

#[test]
fn no_chain_takes_no_one() {
    assert_eq!(compile(&[]).find(&arrival()), None);
}

#[test]
fn the_destination_port_comes_first() {
    let matcher = compile(&[
        chain(|c| c.destination_port = number(80)),
        chain(|c| c.server_names = texts(&["a.com"])),
    ]);
    let at_80 = with(|a| {
        a.destination = ip("1.1.1.1:80");
        a.server_name = Some("a.com".into());
    });
    assert_eq!(matcher.find(&at_80), Some(0));
    assert_eq!(matcher.find(&asks("a.com")), Some(1));
    assert_eq!(matcher.find(&asks("b.com")), None);
}

#[test]
fn the_longest_destination_range_wins() {
    let matcher = compile(&[
        chain(|c| c.prefix_ranges = ranges(&["10.0.0.0/8"])),
        chain(|c| c.prefix_ranges = ranges(&["10.1.2.3/16"])),
        chain(|c| c.prefix_ranges = ranges(&["10.1.2.3/32", "2001:db8::/32"])),
        chain(|_| ()),
        chain(|c| c.prefix_ranges = ranges(&["::/0"])),
    ]);
    for (destination, expected) in [
        ("10.200.0.1:1", 0),
        ("10.1.0.1:1", 1),
        ("10.1.2.3:1", 2),
        ("11.0.0.1:1", 3),
        ("[2001:db8::7]:1", 2),
        ("[2001:db9::7]:1", 4),
    ] {
        assert_eq!(matcher.find(&to(destination)), Some(expected), "{destination}");
    }
}

#[test]
fn a_range_without_length_holds_its_family() {
    let matcher = compile(&[chain(|c| c.prefix_ranges = ranges(&["10.0.0.0"]))]);
    assert_eq!(matcher.find(&to("1.2.3.4:1")), Some(0));
    assert_eq!(matcher.find(&to("[::1]:1")), None);
}

#[test]
fn the_exact_name_wins_then_the_longest_wildcard_then_none() {
    let matcher = compile(&[
        names(&["www.Example.com"]),
        names(&["*.example.com"]),
        names(&["*.com"]),
        chain(|_| ()),
        names(&["localhost"]),
    ]);
    for (name, expected) in [
        ("www.example.com", 0),
        ("ftp.example.com", 1),
        ("a.b.example.com", 1),
        ("example.com", 2),
        ("com", 3),
        ("example.org", 3),
        ("xlocalhost", 3),
        ("localhost", 4),
        ("", 3),
        (".", 3),
        ("example.com.", 3),
        ("wwwexample.com", 2),
    ] {
        assert_eq!(matcher.find(&asks(name)), Some(expected), "{name:?}");
    }
    assert_eq!(matcher.find(&arrival()), Some(3));
}

#[test]
fn a_dot_at_the_end_separates_nothing() {
    let matcher = compile(&[names(&["*."]), names(&["*.com"])]);
    assert_eq!(matcher.find(&asks("a.")), None);
    assert_eq!(matcher.find(&asks("a.com.")), None);
}

#[test]
fn the_transport_is_raw_unless_tls_was_found() {
    let matcher = compile(&[
        chain(|c| c.transport_protocol = "tls".into()),
        chain(|c| c.transport_protocol = "raw_buffer".into()),
        chain(|c| c.transport_protocol = "quic".into()),
    ]);
    assert_eq!(matcher.find(&with(|a| a.transport = Transport::Tls)), Some(0));
    assert_eq!(matcher.find(&arrival()), Some(1));
    let matcher = compile(&[chain(|c| c.transport_protocol = "tls".into())]);
    assert_eq!(matcher.find(&arrival()), None);
}

#[test]
fn the_first_offered_application_that_a_chain_names_wins() {
    let matcher = compile(&[
        chain(|c| c.application_protocols = texts(&["http/1.1", "http/1.0"])),
        chain(|c| c.application_protocols = texts(&["h2"])),
        chain(|_| ()),
    ]);
    for (offered, expected) in [
        (&["h2", "http/1.1"][..], 1),
        (&["http/1.1", "h2"], 0),
        (&["spdy", "h2"], 1),
        (&["spdy"], 2),
        (&[], 2),
    ] {
        assert_eq!(matcher.find(&offers(offered)), Some(expected), "{offered:?}");
    }
}

#[test]
fn the_direct_source_is_the_sockets_and_the_source_the_proxys() {
    let matcher = compile(&[
        chain(|c| c.direct_source_prefix_ranges = ranges(&["9.9.9.0/24"])),
        chain(|c| c.source_prefix_ranges = ranges(&["8.8.8.8/32"])),
    ]);
    let told = |direct: &str, source: &str| {
        with(|a| (a.direct_source, a.source) = (ip(direct), ip(source)))
    };
    assert_eq!(matcher.find(&told("9.9.9.9:1", "8.8.8.8:1")), Some(0));
    assert_eq!(matcher.find(&told("7.7.7.7:1", "8.8.8.8:1")), Some(1));
    assert_eq!(matcher.find(&told("7.7.7.7:1", "9.9.9.9:1")), None);
}

#[test]
fn local_is_a_pipe_the_canonical_loopback_or_our_own_address() {
    let matcher = compile(&[chain(|c| c.source_type = LOCAL), chain(|c| c.source_type = EXTERNAL)]);
    for (source, expected) in [
        (ip("127.0.0.1:5"), 0),
        (ip("[::1]:5"), 0),
        (ip("1.1.1.1:5"), 0),
        (pipe(), 0),
        (ip("127.0.0.2:5"), 1),
        (ip("1.1.1.2:5"), 1),
    ] {
        assert_eq!(matcher.find(&with(|a| a.source = source.clone())), Some(expected), "{source}");
    }
}

#[test]
fn a_special_source_type_hides_any() {
    let matcher = compile(&[
        chain(|c| {
            c.source_type = LOCAL;
            c.source_ports = vec![7];
        }),
        chain(|_| ()),
    ]);
    assert_eq!(matcher.find(&from("127.0.0.1:7")), Some(0));
    assert_eq!(matcher.find(&from("127.0.0.1:8")), None);
    assert_eq!(matcher.find(&from("2.2.2.2:7")), Some(1));
}

#[test]
fn source_ranges_then_source_ports() {
    let matcher = compile(&[
        chain(|c| c.source_prefix_ranges = ranges(&["10.0.0.0/8"])),
        chain(|c| {
            c.source_prefix_ranges = ranges(&["10.1.0.0/16", "10.2.0.0/16"]);
            c.source_ports = vec![50, 60];
        }),
        chain(|c| c.source_ports = vec![50]),
    ]);
    for (source, expected) in [
        ("10.3.0.1:50", Some(0)),
        ("10.1.0.1:50", Some(1)),
        ("10.2.0.1:60", Some(1)),
        // The longest range is final, though a shorter one takes every port.
        ("10.1.0.1:51", None),
        ("11.0.0.1:50", Some(2)),
        ("11.0.0.1:51", None),
    ] {
        assert_eq!(matcher.find(&from(source)), expected, "{source}");
    }
}

/// Each row: a more specific stage whose later criteria fail, so that a chain without criteria of
/// the same listener isn't reached.
#[test]
fn no_stage_is_tried_again() {
    let late = |c: &mut dragoman_proto::pb::envoy::config::listener::v3::FilterChainMatch| {
        c.source_ports = vec![1];
    };
    let rows = [
        chain(|c| c.destination_port = number(443)),
        chain(|c| c.prefix_ranges = ranges(&["1.0.0.0/8"])),
        chain(|c| c.server_names = texts(&["a.com"])),
        chain(|c| c.server_names = texts(&["*.com"])),
        chain(|c| c.transport_protocol = "tls".into()),
        chain(|c| c.application_protocols = texts(&["h2"])),
        chain(|c| c.direct_source_prefix_ranges = ranges(&["9.0.0.0/8"])),
        chain(|c| c.source_type = EXTERNAL),
        chain(|c| c.source_prefix_ranges = ranges(&["9.0.0.0/8"])),
    ];
    for mut row in rows {
        late(&mut row);
        let matcher = compile(&[row.clone(), chain(|_| ())]);
        let mut arrival = asks("a.com");
        arrival.applications = vec![b"h2".as_slice().into()];
        assert_eq!(matcher.find(&arrival), None, "{row:?}");
        arrival.source = ip("9.9.9.9:1");
        assert_eq!(matcher.find(&arrival), Some(0), "{row:?}");
    }
}

#[test]
fn a_pipe_has_no_port_and_is_in_no_range() {
    let matcher = compile(&[
        chain(|c| c.destination_port = number(443)),
        chain(|c| c.prefix_ranges = ranges(&["10.0.0.0/8"])),
        chain(|c| c.source_ports = vec![1]),
        chain(|_| ()),
    ]);
    for source in ["9.9.9.9:1", "9.9.9.9:443"] {
        let arrival = with(|a| (a.destination, a.source) = (pipe(), ip(source)));
        let expected = if source.ends_with(":1") { 2 } else { 3 };
        assert_eq!(matcher.find(&arrival), Some(expected), "{source}");
    }
    let arrival = with(|a| (a.destination, a.source) = (pipe(), pipe()));
    assert_eq!(matcher.find(&arrival), Some(3));
}

/// Envoy looks for a pipe as 255.255.255.255.
#[test]
fn a_pipe_is_in_the_range_of_all_addresses() {
    let matcher = compile(&[chain(|c| c.source_prefix_ranges = ranges(&["0.0.0.0/0"]))]);
    assert_eq!(matcher.find(&with(|a| a.source = pipe())), Some(0));
    let matcher = compile(&[chain(|c| c.source_prefix_ranges = ranges(&["::/0"]))]);
    assert_eq!(matcher.find(&with(|a| a.source = pipe())), None);
}

#[test]
fn an_empty_text_is_no_requirement() {
    let matcher = compile(&[chain(|c| {
        c.server_names = texts(&[""]);
        c.application_protocols = texts(&[""]);
    })]);
    assert_eq!(matcher.find(&asks("a.com")), Some(0));
    assert_eq!(matcher.needs(), Default::default());
}

#[test]
fn needs_are_what_some_chain_asks_for() {
    assert_eq!(compile(&[chain(|c| c.source_ports = vec![1])]).needs(), Default::default());
    let raw = compile(&[chain(|c| c.transport_protocol = "raw_buffer".into())]).needs();
    assert!(!raw.tls);
    let tls = compile(&[chain(|c| c.transport_protocol = "tls".into())]).needs();
    assert!(tls.tls && !tls.server_name && !tls.application);
    let both = compile(&[names(&["a"]), chain(|c| c.application_protocols = texts(&["h2"]))]);
    assert!(both.needs().server_name && both.needs().application && !both.needs().tls);
}

#[test]
fn ten_thousand_names_are_told_apart() {
    let chains: Vec<_> = (0..10_000)
        .map(|at| names(&[&format!("host{at}.example.com"), &format!("*.zone{at}.example.com")]))
        .collect();
    let matcher = compile(&chains);
    for at in (0..10_000).step_by(7) {
        assert_eq!(matcher.find(&asks(&format!("host{at}.example.com"))), Some(at));
        assert_eq!(matcher.find(&asks(&format!("a.b.zone{at}.example.com"))), Some(at));
    }
    assert_eq!(matcher.find(&asks("host10000.example.com")), None);
}

/// The ranges against a walk over all of them.
#[test]
fn ranges_agree_with_a_linear_search() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let mut chains = Vec::new();
        let mut kept: Vec<(u32, u8)> = Vec::new();
        for _ in 0..random.usize(1..12) {
            let bits = random.u8(0..=32);
            let address = random.u32(..) & 0xe000_000f;
            let prefix = if bits == 0 { 0 } else { address >> (32 - bits) };
            if kept.iter().any(|(p, b)| *b == bits && *p == prefix) {
                continue;
            }
            kept.push((prefix, bits));
            let text = format!("{}/{bits}", std::net::Ipv4Addr::from(address));
            chains.push(chain(|c| c.source_prefix_ranges = ranges(&[&text])));
        }
        let matcher = compile(&chains);
        for _ in 0..50 {
            let address = random.u32(..) & 0xe000_000f;
            let holds = |(prefix, bits): &(u32, u8)| {
                *bits == 0 || address >> (32 - u32::from(*bits)) == *prefix
            };
            let held = kept.iter().enumerate().filter(|(_, range)| holds(range));
            let expected = held.max_by_key(|(_, (_, bits))| *bits).map(|(at, _)| at);
            let source = format!("{}:1", std::net::Ipv4Addr::from(address));
            assert_eq!(matcher.find(&from(&source)), expected, "{source} {kept:?}");
        }
    }
}
