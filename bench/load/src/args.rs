//! Command line: `--name value` pairs only. Sizes in bytes, times in seconds.

use std::time::Duration;

pub(crate) const USAGE: &str = "usage: origin|drive|hold [--name value]...
  origin: --port 0 --response-bytes 128 --headers 0 --check-body 0|1 --grpc 0|1
  drive:  --port P --connections 32 (--requests N | --seconds S) --targets FILE --headers 0
          --body-bytes 0 --expect-status 200 --expect-bytes 128 --per-connection 0
          --serials 0|1 --check-body 0|1 --timeout 10 --max-failures 10000
          --ca PEM (TLS, one full handshake per connection)
          --streams S (HTTP/2, S requests at once on each connection) --grpc 0|1
  hold:   --port P --connections 5000, and the request options of drive";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Origin,
    Drive,
    Hold,
}

/// When `drive` stops starting requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Until {
    Requests(u64),
    Elapsed(Duration),
}

#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) command: Command,
    pub(crate) port: u16,
    pub(crate) connections: usize,
    pub(crate) until: Until,
    /// File of `host path` lines, asked for in a scattered order; one fixed target when unset.
    pub(crate) targets: Option<String>,
    /// How many realistic headers to add to each request (`drive`) or response (`origin`).
    pub(crate) headers: usize,
    pub(crate) body_bytes: usize,
    pub(crate) response_bytes: usize,
    pub(crate) expect_status: u16,
    pub(crate) expect_bytes: u64,
    /// Requests per connection; 0 keeps a connection for ever.
    pub(crate) per_connection: u64,
    pub(crate) serials: bool,
    pub(crate) check_body: bool,
    pub(crate) timeout: Duration,
    pub(crate) max_failures: u64,
    /// File of the certificate that the proxy's must be signed by; plain bytes when unset.
    pub(crate) ca: Option<String>,
    /// Requests at once on each HTTP/2 connection; 0 for HTTP/1.1.
    pub(crate) streams: usize,
    /// Unary gRPC calls (`drive`), or an HTTP/2 origin that answers them (`origin`).
    pub(crate) grpc: bool,
}

impl Args {
    fn new(command: Command) -> Self {
        Self {
            command,
            port: 0,
            connections: 32,
            until: Until::Requests(1000),
            targets: None,
            headers: 0,
            body_bytes: 0,
            response_bytes: 128,
            expect_status: 200,
            expect_bytes: 128,
            per_connection: 0,
            serials: false,
            check_body: false,
            timeout: Duration::from_secs(10),
            max_failures: 10_000,
            ca: None,
            streams: 0,
            grpc: false,
        }
    }

    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self::new(match words.next().as_deref() {
            Some("origin") => Command::Origin,
            Some("drive") => Command::Drive,
            Some("hold") => Command::Hold,
            _ => return Err(USAGE.to_owned()),
        });
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} wants a value\n{USAGE}"))?;
            args.set(&name, &value)?;
        }
        Ok(args)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "--port" => self.port = number(name, value)?,
            "--connections" => self.connections = number(name, value)?,
            "--requests" => self.until = Until::Requests(number(name, value)?),
            "--seconds" => self.until = Until::Elapsed(seconds(name, value)?),
            "--targets" => self.targets = Some(value.to_owned()),
            "--headers" => self.headers = number(name, value)?,
            "--body-bytes" => self.body_bytes = number(name, value)?,
            "--response-bytes" => self.response_bytes = number(name, value)?,
            "--expect-status" => self.expect_status = number(name, value)?,
            "--expect-bytes" => self.expect_bytes = number(name, value)?,
            "--per-connection" => self.per_connection = number(name, value)?,
            "--serials" => self.serials = number::<u8>(name, value)? != 0,
            "--check-body" => self.check_body = number::<u8>(name, value)? != 0,
            "--timeout" => self.timeout = seconds(name, value)?,
            "--max-failures" => self.max_failures = number(name, value)?,
            "--ca" => self.ca = Some(value.to_owned()),
            "--streams" => self.streams = number(name, value)?,
            "--grpc" => self.grpc = number::<u8>(name, value)? != 0,
            _ => return Err(format!("unknown option {name}\n{USAGE}")),
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: {value:?} is not a number in range"))
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    let value: f64 = number(name, value)?;
    Duration::try_from_secs_f64(value).map_err(|error| format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn reads_pairs() {
        let args = parse("drive --port 80 --seconds 1.5 --serials 1").expect("a good line");
        assert_eq!(args.port, 80);
        assert_eq!(args.until, Until::Elapsed(Duration::from_millis(1500)));
        assert!(args.serials);
    }

    #[test]
    fn refuses_the_rest() {
        for line in ["", "serve", "drive --port", "drive --port 70000", "drive --ports 1"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
