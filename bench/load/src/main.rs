//! Origin and load generator of the benchmark (`origin`, `drive`, `hold`). One thread each, so that
//! both fit beside each other on one core while the measured proxy has the other for itself.
//! Every answer is checked and every request is counted exactly once: `drive` is also the judge of
//! the soak test. It knows nothing of the proxy in between.

#![forbid(unsafe_code)]

mod args;
mod body;
mod connect;
mod drive;
mod histogram;
mod hold;
mod http2;
mod origin;
mod report;
mod request;
mod tally;
mod wire;

use std::io::Write;
use std::process::ExitCode;

use args::{Args, Command};

/// A line for people goes to stderr, results go to stdout: the harness reads the latter.
fn complain(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "bench-load: {text}");
    ExitCode::from(2)
}

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(text) => return complain(&text),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string()),
    };
    let done = tokio::task::LocalSet::new().block_on(&runtime, async {
        match args.command {
            Command::Origin => origin::run(&args).await,
            Command::Drive => drive::run(&args).await,
            Command::Hold => hold::run(&args).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string()),
    }
}
