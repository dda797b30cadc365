//! The result of a run as one line of JSON on stdout. Times in microseconds unless named otherwise.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use crate::tally::{End, Tally};

/// Writes one line and flushes it: the harness waits for it.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

pub(crate) fn render(tally: &Tally, wall: Duration) -> String {
    let seconds = wall.as_secs_f64();
    let ok = tally.count(End::Ok);
    let mut text = format!(
        "{{\"requests\":{},\"failures\":{},\"connections\":{},\"body_bytes\":{},\
         \"seconds\":{seconds:.6},\"per_second\":{:.1}",
        tally.started,
        tally.failures(),
        tally.connections,
        tally.body_bytes,
        ok as f64 / seconds.max(1e-9),
    );
    text += ",\"ends\":{";
    for (index, end) in End::ALL.into_iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\"{}\":{}", end.name(), tally.count(end));
    }
    text += "},\"statuses\":{";
    for (index, (status, count)) in tally.statuses.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\"{status}\":{count}");
    }
    let micros = |nanos: u64| nanos as f64 / 1000.0;
    let latency = &tally.latency;
    let _ = write!(text, "}},\"latency_us\":{{\"mean\":{:.1}", micros(latency.mean()));
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
        let _ = write!(text, ",\"{name}\":{:.1}", micros(latency.quantile(share)));
    }
    let _ = write!(text, ",\"max\":{:.1}}}}}", micros(latency.max()));
    text
}
