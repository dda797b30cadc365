//! HTTP/2 over a socket: the codec's end of a connection has a task that moves its bytes, and so has each
//! of its requests.

mod carrier;
mod client;
mod hands;
mod keepalive;
mod server;
mod stream;

pub(crate) use carrier::Carrier;
pub(crate) use client::{Channel, ClientStream, Share};
pub(crate) use server::{Ended, Link, serve_connection};
pub(crate) use stream::ServerStream;

use dragoman_codec::Limits;
use dragoman_codec::h2::{GuardLimits, Options};
use dragoman_proto::http2::Http2Options;

/// How an end of a connection is set up, whichever it is.
fn options(http2: &Http2Options, limits: Limits) -> Options {
    Options {
        table_size: http2.hpack_table_size,
        max_streams: http2.max_concurrent_streams,
        stream_window: http2.initial_stream_window_size,
        connection_window: http2.initial_connection_window_size,
        extended_connect: http2.allow_connect,
        limits,
        message_ends_stream: http2.message_error_ends_stream,
        max_frames: http2.max_outbound_frames,
        max_control_frames: http2.max_outbound_control_frames,
        guard: GuardLimits {
            empty_frames: http2.max_consecutive_inbound_frames_with_empty_payload,
            priority_per_stream: http2.max_inbound_priority_frames_per_stream,
            window_updates_per_data: http2.max_inbound_window_update_frames_per_data_frame_sent,
            ..GuardLimits::default()
        },
    }
}
