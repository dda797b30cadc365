//! The client's side while there is no host yet, and what it says then (`max_early_data_bytes`).

use std::future::poll_fn;
use std::task::{Context, Poll};

use dragoman_net::Buffer;
use dragoman_net::buffer::LARGE;
use dragoman_transport::Stream;

use super::Proxied;
use super::limits::Stopped;

/// The client's connection, until there is a host.
pub(super) struct Early {
    pub(super) client: Stream,
    pub(super) input: Buffer,
    /// It says no more.
    ended: bool,
}

impl Early {
    pub(super) fn new(client: Stream, input: Buffer) -> Early {
        Early { client, input, ended: false }
    }
}

impl Proxied {
    /// Reads what the client says before there is a host, as far as it's kept. Ready when the client failed.
    pub(super) fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(kept) = self.proxy.config().early_data else { return Poll::Pending };
        let Some(early) = &mut self.early else { return Poll::Pending };
        // At least what makes it come first.
        let most = kept.most.max(usize::from(kept.comes_first));
        while !early.ended && early.input.len() < most {
            let room = early.input.room(&self.worker.buffers, LARGE);
            match early.client.poll_read(cx, room) {
                Poll::Ready(Ok(0)) => early.ended = true,
                Poll::Ready(Ok(n)) => {
                    early.input.filled(n);
                    let stats = &self.proxy.stats;
                    stats.early_data_received_count_total.inc();
                    stats.downstream_cx_rx_bytes_total.add(n as u64);
                    self.info.bytes_received += n as u64;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        Poll::Pending
    }

    /// Waits for the client's first bytes, if the host is to be connected to because of them; false: it ended
    /// without any.
    pub(super) async fn first_bytes(&mut self) -> Result<bool, Stopped> {
        let begun = self.connection.accepted_at;
        if !self.proxy.config().early_data.is_some_and(|kept| kept.comes_first) {
            return Ok(true);
        }
        poll_fn(|cx| {
            if self.poll_early(cx).is_ready() {
                return Poll::Ready(Err(Stopped::Client));
            }
            match &self.early {
                Some(early) if !early.input.is_empty() => return Poll::Ready(Ok(true)),
                Some(early) if early.ended => return Poll::Ready(Ok(false)),
                _ => {}
            }
            // Without another moment to wait for, what passes is a limit.
            self.poll_limits(cx, begun, None).map(|stopped| stopped.map_or(Ok(false), Err))
        })
        .await
    }
}
