//! The registry as its users see it: workers write, the reader reads.

use std::sync::Arc;
use std::thread;

use dragoman_stats::{Registry, Sample, Summary, Unit, Value, stats_struct};

stats_struct! {
    /// A little of everything.
    pub struct Some {
        counters: requests, dotted = "a.dotted.name";
        gauges: active;
        histograms: time: Milliseconds, load: Percent = "load_now";
        codes: upstream_rq = "upstream_rq_", external = "external.upstream_rq_";
    }
}

stats_struct! {
    /// Another group that shows one of the same names.
    pub struct Other {
        counters: requests;
        gauges: active;
        histograms: time: Milliseconds;
    }
}

stats_struct! {
    /// Sections may be left out.
    struct Bare {}
}

fn find(registry: &Registry, name: &str) -> Option<Sample> {
    registry.snapshot().into_iter().find(|sample| sample.name == name)
}

fn count(registry: &Registry, name: &str) -> Option<u64> {
    match find(registry, name)?.value {
        Value::Counter { value, .. } => Some(value),
        other => panic!("{name} is no counter: {other:?}"),
    }
}

fn interval(registry: &Registry, name: &str) -> u64 {
    match find(registry, name).map(|sample| sample.value) {
        Some(Value::Counter { interval, .. }) => interval,
        other => panic!("{name} is no counter: {other:?}"),
    }
}

fn summary(registry: &Registry, name: &str) -> Arc<Summary> {
    match find(registry, name).map(|sample| sample.value) {
        Some(Value::Histogram(summary)) => summary,
        other => panic!("{name} is no histogram: {other:?}"),
    }
}

/// A small generator, so that failures repeat.
fn numbers(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

#[test]
fn names_come_sorted_and_codes_only_once_seen() {
    let registry = Registry::new(2);
    let scope = registry.scope::<Some>("cluster.b.");
    let _other = registry.scope::<Other>("cluster.a.");
    let _bare = registry.scope::<Bare>("cluster.c.");
    registry.text_readout("version", "7");
    let names = |registry: &Registry| -> Vec<String> {
        registry.snapshot().into_iter().map(|sample| sample.name).collect()
    };
    let idle = [
        "cluster.a.active",
        "cluster.a.requests",
        "cluster.a.time",
        "cluster.b.a.dotted.name",
        "cluster.b.active",
        "cluster.b.load_now",
        "cluster.b.requests",
        "cluster.b.time",
        "version",
    ];
    assert_eq!(names(&registry), idle);
    scope.shard(1).upstream_rq.record(204);
    scope.shard(0).external.record(700);
    let seen: Vec<_> =
        names(&registry).into_iter().filter(|name| !idle.contains(&name.as_str())).collect();
    assert_eq!(
        seen,
        [
            "cluster.b.external.upstream_rq_completed",
            "cluster.b.external.upstream_rq_unknown",
            "cluster.b.upstream_rq_204",
            "cluster.b.upstream_rq_2xx",
            "cluster.b.upstream_rq_completed",
        ]
    );
    assert!(names(&registry).is_sorted());
    registry.remove_text_readout("version");
    assert!(find(&registry, "version").is_none());
}

#[test]
fn used_means_written_even_if_zero() {
    let registry = Registry::new(2);
    let scope = registry.scope::<Some>("");
    let used = |name: &str| find(&registry, name).expect(name).used;
    for name in ["requests", "active", "time"] {
        assert!(!used(name), "{name}");
    }
    let shard = scope.shard(1);
    shard.active.inc();
    shard.active.dec();
    shard.requests.add(0);
    shard.time.record(0);
    assert!(used("active") && used("requests"));
    assert!(!used("time"), "a histogram is read as of the last flush");
    registry.flush();
    assert!(used("time"));
    assert_eq!(find(&registry, "active").map(|sample| sample.value), Some(Value::Gauge(0)));
}

#[test]
fn reset_zeroes_counters_and_nothing_else() {
    let registry = Registry::new(2);
    let scope = registry.scope::<Some>("s.");
    let (one, two) = (scope.shard(0), scope.shard(1));
    let write = || {
        one.requests.add(3);
        two.requests.inc();
        two.upstream_rq.record(200);
        one.active.inc();
        one.time.record(5);
    };
    write();
    registry.flush();
    registry.reset_counters();
    assert_eq!(count(&registry, "s.requests"), Some(0));
    assert_eq!(count(&registry, "s.upstream_rq_2xx"), Some(0));
    assert!(find(&registry, "s.requests").is_some_and(|sample| sample.used));
    assert_eq!(find(&registry, "s.active").map(|sample| sample.value), Some(Value::Gauge(1)));
    assert_eq!(summary(&registry, "s.time").cumulative.count(), 1);
    write();
    assert_eq!(count(&registry, "s.requests"), Some(4));
    assert_eq!(count(&registry, "s.upstream_rq_200"), Some(1));
    // A sink's interval does not lose what was counted before the reset.
    one.requests.inc();
    registry.reset_counters();
    registry.flush();
    assert_eq!(interval(&registry, "s.requests"), 5);
}

#[test]
fn an_interval_is_what_came_between_two_flushes() {
    let registry = Registry::new(1);
    let scope = registry.scope::<Some>("");
    let shard = scope.shard(0);
    for (requests, times) in [(2u64, 3u64), (0, 0), (7, 1)] {
        shard.requests.add(requests);
        (0..times).for_each(|_| shard.time.record(12));
        (0..requests).for_each(|_| shard.upstream_rq.record(404));
        registry.flush();
        // Written after the flush: belongs to no interval yet.
        assert_eq!(interval(&registry, "requests"), requests);
        assert_eq!(interval(&registry, "upstream_rq_4xx"), requests);
        assert_eq!(summary(&registry, "time").interval.count(), times);
    }
    assert_eq!(summary(&registry, "time").cumulative.count(), 4);
    shard.time.record(1);
    assert_eq!(summary(&registry, "time").cumulative.count(), 4);
}

#[test]
fn one_name_from_two_scopes_is_one_metric() {
    let registry = Registry::new(2);
    let (some, other) = (registry.scope::<Some>("s."), registry.scope::<Other>("s."));
    some.shard(0).requests.add(2);
    other.shard(1).requests.add(3);
    some.shard(1).active.add(4);
    other.shard(1).active.add(1);
    some.shard(0).time.record(1);
    other.shard(0).time.record(1);
    registry.flush();
    assert_eq!(count(&registry, "s.requests"), Some(5));
    assert_eq!(find(&registry, "s.active").map(|sample| sample.value), Some(Value::Gauge(5)));
    let time = summary(&registry, "s.time");
    assert_eq!((time.cumulative.count(), time.interval.count()), (2, 2));
    assert_eq!(registry.snapshot().iter().filter(|s| s.name == "s.requests").count(), 1);
}

#[test]
fn a_removed_scope_leaves_nothing_and_harms_nothing() {
    let registry = Registry::new(1);
    let kept = registry.scope::<Other>("cluster.kept.");
    for round in 0..100u64 {
        let gone = registry.scope::<Other>(&format!("cluster.gone{}.", round % 3));
        gone.shard(0).requests.inc();
        kept.shard(0).requests.inc();
        assert_eq!(count(&registry, &format!("{}requests", gone.prefix())), Some(1));
    }
    assert_eq!(registry.snapshot().len(), 3);
    assert_eq!(count(&registry, "cluster.kept.requests"), Some(100));
}

#[test]
fn shards_merged_are_one_shard() {
    for seed in 1..=20 {
        let mut next = numbers(seed * 0x9e37_79b9);
        let (many, one) = (Registry::new(5), Registry::new(1));
        let (split, whole) = (many.scope::<Some>("s."), one.scope::<Some>("s."));
        for _ in 0..3 {
            for _ in 0..next() % 400 {
                let (at, value) = ((next() % 5) as usize, next() >> (next() % 64));
                for shard in [split.shard(at), whole.shard(0)] {
                    shard.requests.add(value >> 20);
                    shard.active.add((value % 7) as i64 - 3);
                    shard.time.record(value);
                    shard.upstream_rq.record((value % 700) as u16);
                }
            }
            many.flush();
            one.flush();
            if next() & 1 == 0 {
                many.reset_counters();
                one.reset_counters();
            }
            assert_eq!(many.snapshot(), one.snapshot(), "seed {seed}");
        }
    }
}

#[test]
fn nothing_is_lost_while_it_is_read() {
    const EACH: u64 = 200_000;
    let registry = Registry::new(2);
    let scope = registry.scope::<Some>("s.");
    thread::scope(|threads| {
        for at in 0..2 {
            let shard = scope.shard(at);
            threads.spawn(move || {
                for n in 0..EACH {
                    shard.requests.inc();
                    shard.upstream_rq.record(200 + (n % 3) as u16);
                    shard.time.record(n);
                }
            });
        }
        let (mut last, mut recorded, mut counted) = (0, 0, 0);
        for _ in 0..200 {
            registry.flush();
            let now = count(&registry, "s.requests").expect("registered");
            assert!(now >= last);
            last = now;
            counted += interval(&registry, "s.requests");
            recorded += summary(&registry, "s.time").interval.count();
            assert_eq!(recorded, summary(&registry, "s.time").cumulative.count());
            assert!(counted <= 2 * EACH);
        }
    });
    registry.flush();
    assert_eq!(count(&registry, "s.requests"), Some(2 * EACH));
    assert_eq!(count(&registry, "s.upstream_rq_completed"), Some(2 * EACH));
    assert_eq!(summary(&registry, "s.time").cumulative.count(), 2 * EACH);
}

#[test]
fn registration_and_removal_race_safely() {
    let registry = Registry::new(3);
    thread::scope(|threads| {
        for at in 0..2 {
            let registry = registry.clone();
            threads.spawn(move || {
                for round in 0..5_000 {
                    let name = format!("n{}", round % 2);
                    let handle = registry.histogram(&name, Unit::Unspecified);
                    handle.shard(at).record(1);
                    assert_eq!(handle.clone().prefix(), name);
                }
            });
        }
        for _ in 0..500 {
            registry.flush();
            assert!(registry.snapshot().len() <= 2);
        }
    });
    assert!(registry.snapshot().is_empty());
}
