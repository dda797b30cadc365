//! `envoy.config.core.v3.Http2ProtocolOptions`, which both directions share.

use std::time::Duration;

use dragoman_types::Faults;
use envoy_types::pb::envoy::config::core::v3 as core;

use crate::{bool_or, timeout, u32_or};

/// HTTP/2's options with Envoy's defaults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Http2Options {
    pub hpack_table_size: u32,
    pub max_concurrent_streams: u32,
    /// Bytes.
    pub initial_stream_window_size: u32,
    pub initial_connection_window_size: u32,
    /// Extended CONNECT (RFC 8441) is taken.
    pub allow_connect: bool,
    pub max_consecutive_inbound_frames_with_empty_payload: u32,
    pub max_inbound_priority_frames_per_stream: u32,
    pub max_inbound_window_update_frames_per_data_frame_sent: u32,
    /// Frames that may wait to be sent, and those of them that answer or end something.
    pub max_outbound_frames: u32,
    pub max_outbound_control_frames: u32,
    /// A malformed message ends its stream, not its connection.
    pub message_error_ends_stream: bool,
    pub keepalive: Option<Keepalive>,
}

/// PINGs that ask whether the peer is still there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keepalive {
    /// `None`: only before a request goes over a connection that idled so long.
    pub interval: Option<Duration>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Per cent of `interval` that are added by chance.
    pub jitter: u32,
    pub idle: Option<Duration>,
}

impl Default for Http2Options {
    fn default() -> Http2Options {
        Http2Options {
            hpack_table_size: 4096,
            max_concurrent_streams: 1024,
            initial_stream_window_size: 16 << 20,
            initial_connection_window_size: 24 << 20,
            allow_connect: false,
            max_consecutive_inbound_frames_with_empty_payload: 1,
            max_inbound_priority_frames_per_stream: 100,
            max_inbound_window_update_frames_per_data_frame_sent: 10,
            max_outbound_frames: 10_000,
            max_outbound_control_frames: 1000,
            message_error_ends_stream: false,
            keepalive: None,
        }
    }
}

const SMALLEST_WINDOW: u32 = 65_535;
const LARGEST: u32 = 0x7fff_ffff;

impl Http2Options {
    /// Compiles `m`; unset fields keep Envoy's defaults.
    pub fn compile(m: &core::Http2ProtocolOptions, faults: &mut Faults) -> Http2Options {
        let default = Http2Options::default();
        let mut ranged = |field: &str, value: Option<u32>, least: u32, default: u32| {
            let value = value.unwrap_or(default);
            if !(least..=LARGEST).contains(&value) {
                faults.add_at(field, "out-of-range", format!("must be {least} to {LARGEST}"));
            }
            value
        };
        let stream = m.initial_stream_window_size.map(|v| v.value);
        let connection = m.initial_connection_window_size.map(|v| v.value);
        let streams = m.max_concurrent_streams.map(|v| v.value);
        let mut options = Http2Options {
            hpack_table_size: u32_or(m.hpack_table_size.as_ref(), default.hpack_table_size),
            max_concurrent_streams: ranged("max_concurrent_streams", streams, 1, 1024),
            initial_stream_window_size: ranged(
                "initial_stream_window_size",
                stream,
                SMALLEST_WINDOW,
                default.initial_stream_window_size,
            ),
            initial_connection_window_size: ranged(
                "initial_connection_window_size",
                connection,
                SMALLEST_WINDOW,
                default.initial_connection_window_size,
            ),
            allow_connect: m.allow_connect,
            message_error_ends_stream: stream_error_on_invalid_message(m),
            ..default
        };
        options.count_frames(m);
        if m.allow_metadata {
            faults.add_at("allow_metadata", "unsupported", "METADATA frames aren't passed on");
        }
        if !m.custom_settings_parameters.is_empty() {
            let why = "only the settings that have options of their own are sent";
            faults.add_at("custom_settings_parameters", "unsupported", why);
        }
        if let Some(settings) = &m.connection_keepalive {
            options.keepalive =
                faults.field("connection_keepalive", |faults| keepalive(settings, faults));
        }
        options
    }

    fn count_frames(&mut self, m: &core::Http2ProtocolOptions) {
        let set = |to: &mut u32, value: Option<u32>| *to = value.unwrap_or(*to);
        set(
            &mut self.max_consecutive_inbound_frames_with_empty_payload,
            m.max_consecutive_inbound_frames_with_empty_payload.map(|v| v.value),
        );
        set(&mut self.max_outbound_frames, m.max_outbound_frames.map(|v| v.value));
        let control = m.max_outbound_control_frames.map(|v| v.value);
        set(&mut self.max_outbound_control_frames, control);
        set(
            &mut self.max_inbound_priority_frames_per_stream,
            m.max_inbound_priority_frames_per_stream.map(|v| v.value),
        );
        set(
            &mut self.max_inbound_window_update_frames_per_data_frame_sent,
            m.max_inbound_window_update_frames_per_data_frame_sent.map(|v| v.value),
        );
    }
}

fn keepalive(m: &core::KeepaliveSettings, faults: &mut Faults) -> Option<Keepalive> {
    let Some(limit) = timeout(m.timeout.as_ref(), None) else {
        faults.add_at("timeout", "missing", "is required, and longer than zero");
        return None;
    };
    Some(Keepalive {
        interval: timeout(m.interval.as_ref(), None),
        timeout: limit,
        jitter: m.interval_jitter.map_or(15, |jitter| jitter.value as u32),
        idle: timeout(m.connection_idle_interval.as_ref(), None),
    })
}

/// Whether a malformed message ends its stream only.
fn stream_error_on_invalid_message(m: &core::Http2ProtocolOptions) -> bool {
    #[allow(deprecated)]
    let old = m.stream_error_on_invalid_http_messaging;
    bool_or(m.override_stream_error_on_invalid_http_message.as_ref(), old)
}
