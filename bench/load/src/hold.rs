//! `hold`: opens C connections one after the other, asks one request on each, and keeps them all
//! open and idle until stdin ends. One at a time, so that the proxy needs one upstream connection.

use std::io::{self, Read};

use crate::args::Args;
use crate::connect::Door;
use crate::report;
use crate::request::Requests;
use crate::wire::{Side, Wire};

/// Small: thousands of these are held, and the answer is only a head and a few bytes.
const BUFFER_BYTES: usize = 4096;

pub(crate) async fn run(args: &Args) -> io::Result<()> {
    let requests = Requests::from_args(args)?;
    let door = Door::new(args)?;
    let mut held = Vec::with_capacity(args.connections);
    for serial in 0..args.connections as u64 {
        let stream = door.connect().await?;
        let mut wire = Wire::new(stream, BUFFER_BYTES);
        let ask = async {
            wire.send(requests.bytes(serial, &mut Vec::new())).await?;
            let head = wire.head(Side::Driver).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let length = wire.body(head.framing, &mut None).await?;
            Ok::<_, io::Error>(head.status == args.expect_status && length == args.expect_bytes)
        };
        if !tokio::time::timeout(args.timeout, ask).await?? {
            return Err(io::Error::other(format!("connection {serial}: not the expected answer")));
        }
        held.push(wire);
    }
    report::line(&format!("{{\"held\":{}}}", held.len()))?;
    // Blocking the only thread is the point: nothing may happen on these connections.
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
