//! Histograms against recordings of a real Envoy 1.40 (`envoy_histograms.txt` says how they were
//! made): every printed digit must agree.

use std::collections::HashMap;
use std::sync::Arc;

use dragoman_stats::{BUCKETS, Distribution, Registry, Summary, Unit, Value};

type Recording<'a> = HashMap<&'a str, &'a str>;

fn recordings() -> Vec<(&'static str, Recording<'static>)> {
    let mut all = Vec::new();
    for line in include_str!("envoy_histograms.txt").lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(' ') {
            Some(("histogram", name)) => all.push((name, HashMap::new())),
            Some((key, text)) => {
                all.last_mut().expect("a histogram line comes first").1.insert(key, text);
            }
            None => assert!(matches!(line, "" | "a" | "b"), "strange line: {line}"),
        }
    }
    all
}

fn values(recording: &Recording<'_>, batch: &str) -> Vec<u64> {
    let text = recording.get(batch).copied().unwrap_or_default();
    text.split_whitespace().map(|value| value.parse().expect("a number")).collect()
}

fn summary(registry: &Registry) -> Arc<Summary> {
    match &registry.snapshot()[0].value {
        Value::Histogram(summary) => Arc::clone(summary),
        other => panic!("not a histogram: {other:?}"),
    }
}

fn quantiles(distribution: &Distribution) -> String {
    distribution.quantiles().map(|value| value.to_string().to_lowercase()).join(" ")
}

/// As Envoy prints them: bounds and widths with six digits, which hides what is lost in rounding.
fn bins(distribution: &Distribution) -> String {
    let six = |value: f64| format!("{value:.5e}").parse::<f64>().expect("just printed");
    let bins = distribution.bins();
    let texts: Vec<_> =
        bins.map(|bin| format!("{},{}:{}", six(bin.lower), six(bin.width), bin.count)).collect();
    texts.join(" ")
}

/// Envoy's text for bins with its exponents (`1.8e+06`) spelled out.
fn plain(bins: &str) -> String {
    let spelled = |number: &str| number.parse::<f64>().expect("a number").to_string();
    let texts: Vec<_> = bins
        .split_whitespace()
        .map(|bin| {
            let (lower, rest) = bin.split_once(',').expect("a comma");
            let (width, count) = rest.split_once(':').expect("a colon");
            format!("{},{}:{count}", spelled(lower), spelled(width))
        })
        .collect();
    texts.join(" ")
}

const NOTHING: &str = "nan nan nan nan nan nan nan nan nan nan";

#[test]
fn every_recorded_figure_agrees() {
    let recordings = recordings();
    assert_eq!(recordings.len(), 18);
    for (name, recording) in recordings {
        // Spread over shards: what is read must not depend on who wrote it.
        let registry = Registry::new(3);
        let handle = registry.histogram("h", Unit::Bytes);
        let feed = |batch| {
            for (at, value) in values(&recording, batch).into_iter().enumerate() {
                handle.shard(at % 3).record(value);
            }
            registry.flush();
            summary(&registry)
        };
        let expected = |key| recording.get(key).copied();

        let first = feed("a");
        assert_eq!(Some(&*quantiles(&first.interval)), expected("a.quantiles"), "{name}");
        assert_eq!(first.interval, first.cumulative, "{name}");

        let second = feed("b");
        let (interval, all) = (&second.interval, &second.cumulative);
        assert_eq!(quantiles(interval), expected("b.quantiles").unwrap_or(NOTHING), "{name}");
        assert_eq!(quantiles(all), expected("all.quantiles").unwrap_or(NOTHING), "{name}");
        assert_eq!(bins(interval), plain(expected("b.bins").unwrap_or_default()), "{name}");
        assert_eq!(bins(all), plain(expected("all.bins").unwrap_or_default()), "{name}");
        let Some(below) = expected("all.below") else {
            assert!(all.is_empty(), "{name}");
            continue;
        };
        assert_eq!(
            format!("{:?}", all.counts_below(&BUCKETS)).replace(", ", " "),
            format!("[{below}]")
        );
        assert_eq!(expected("all.count"), Some(&*all.count().to_string()), "{name}");
        // Printed there with 32 digits: the same double, or not the same sum.
        let sum: f64 = expected("all.sum").and_then(|sum| sum.parse().ok()).expect("a sum");
        assert_eq!(all.sum(), sum, "{name}");
    }
}
