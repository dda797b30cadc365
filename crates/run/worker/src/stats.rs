//! What the data plane counts, under Envoy's names. Names that only later features move are here
//! too where dashboards expect them, and stay zero.

use dragoman_stats::stats_struct;

stats_struct! {
    /// `listener.<address>.`
    pub struct ListenerStats {
        counters:
            downstream_cx_total, downstream_cx_destroy, downstream_cx_overflow,
            downstream_cx_overload_reject, downstream_global_cx_overflow,
            downstream_cx_transport_socket_connect_timeout, downstream_pre_cx_timeout,
            downstream_listener_filter_error, downstream_listener_filter_remote_close,
            extension_config_missing, network_extension_config_missing, no_filter_chain_match;
        gauges: downstream_cx_active, downstream_pre_cx_active;
        histograms:
            downstream_cx_length_ms: Milliseconds,
            connections_accepted_per_socket_event: Unspecified;
    }
}

stats_struct! {
    /// `listener.<address>.worker_<n>.`
    pub struct HandlerStats {
        counters: downstream_cx_total;
        gauges: downstream_cx_active;
    }
}

stats_struct! {
    /// `listener.<address>.http.<stat_prefix>.`
    pub struct ListenerHttpStats {
        counters:
            downstream_rq_completed, downstream_rq_1xx, downstream_rq_2xx, downstream_rq_3xx,
            downstream_rq_4xx, downstream_rq_5xx;
    }
}

stats_struct! {
    /// `http.<stat_prefix>.`
    pub struct HttpStats {
        counters:
            downstream_cx_delayed_close_timeout, downstream_cx_destroy,
            downstream_cx_destroy_active_rq, downstream_cx_destroy_local,
            downstream_cx_destroy_local_active_rq, downstream_cx_destroy_remote,
            downstream_cx_destroy_remote_active_rq, downstream_cx_drain_close,
            downstream_cx_http1_total, downstream_cx_http2_total, downstream_cx_http3_total,
            downstream_cx_idle_timeout, downstream_cx_max_duration_reached,
            downstream_cx_max_requests_reached, downstream_cx_overload_disable_keepalive,
            downstream_cx_protocol_error, downstream_cx_rx_bytes_total, downstream_cx_ssl_total,
            downstream_cx_total, downstream_cx_tx_bytes_total, downstream_cx_upgrades_total,
            downstream_flow_control_paused_reading_total,
            downstream_flow_control_resumed_reading_total,
            downstream_rq_1xx, downstream_rq_2xx, downstream_rq_3xx, downstream_rq_4xx,
            downstream_rq_5xx, downstream_rq_completed, downstream_rq_failed_path_normalization,
            downstream_rq_header_timeout, downstream_rq_http1_total, downstream_rq_http2_total,
            downstream_rq_http3_total, downstream_rq_idle_timeout,
            downstream_rq_max_duration_reached, downstream_rq_non_relative_path,
            downstream_rq_overload_close, downstream_rq_redirected_with_normalized_path,
            downstream_rq_rejected_via_ip_detection, downstream_rq_response_before_rq_complete,
            downstream_rq_rx_reset, downstream_rq_timeout, downstream_rq_too_large,
            downstream_rq_too_many_premature_resets, downstream_rq_total, downstream_rq_tx_reset,
            downstream_rq_ws_on_non_ws_route, no_cluster, no_route,
            passthrough_internal_redirect_bad_location, passthrough_internal_redirect_no_route,
            passthrough_internal_redirect_predicate,
            passthrough_internal_redirect_too_many_redirects,
            passthrough_internal_redirect_unsafe_scheme, rq_direct_response,
            rq_overload_local_reply, rq_redirect, rq_reset_after_downstream_response_started,
            rq_total, rs_too_large,
            tracing_client_enabled = "tracing.client_enabled",
            tracing_health_check = "tracing.health_check",
            tracing_not_traceable = "tracing.not_traceable",
            tracing_random_sampling = "tracing.random_sampling",
            tracing_service_forced = "tracing.service_forced";
        gauges:
            downstream_cx_active, downstream_cx_http1_active, downstream_cx_http1_soft_drain,
            downstream_cx_http2_active, downstream_cx_http3_active,
            downstream_cx_rx_bytes_buffered, downstream_cx_ssl_active,
            downstream_cx_tx_bytes_buffered, downstream_cx_upgrades_active, downstream_rq_active;
        histograms:
            downstream_cx_length_ms: Milliseconds, downstream_rq_time: Milliseconds;
    }
}

stats_struct! {
    /// `tcp.<stat_prefix>.`
    pub struct TcpStats {
        counters:
            downstream_cx_drain_close, downstream_cx_no_route, downstream_cx_overload_close,
            downstream_cx_rx_bytes_total, downstream_cx_total, downstream_cx_tx_bytes_total, downstream_flow_control_paused_reading_total,
            downstream_flow_control_resumed_reading_total, early_data_received_count_total,
            idle_timeout, max_downstream_connection_duration, route_delayed_total,
            upstream_flush_total;
        gauges:
            downstream_cx_rx_bytes_buffered, downstream_cx_tx_bytes_buffered,
            upstream_flush_active;
    }
}

stats_struct! {
    /// `http1.`: both directions' codecs.
    pub struct CodecStats {
        counters:
            dropped_headers_with_underscores, metadata_not_supported_error, response_flood,
            requests_rejected_with_underscores_in_headers;
    }
}

stats_struct! {
    /// `http2.` of clients' connections, `cluster.<name>.http2.` of hosts'.
    pub struct Http2Stats {
        counters:
            dropped_headers_with_underscores, goaway_sent, header_overflow, headers_cb_no_stream,
            inbound_empty_frames_flood, inbound_priority_frames_flood,
            inbound_window_update_frames_flood, keepalive_timeout, metadata_empty_frames,
            outbound_control_flood, outbound_flood, requests_rejected_with_underscores_in_headers,
            rx_messaging_error, rx_reset, stream_refused_errors, trailers, tx_flush_timeout,
            tx_reset;
        gauges:
            deferred_stream_close, outbound_control_frames_active, outbound_frames_active,
            pending_send_bytes, streams_active;
    }
}

stats_struct! {
    /// `filesystem.`: access logs on their way to their files.
    pub struct FilesystemStats {
        counters:
            flushed_by_timer, reopen_failed, write_buffered, write_completed, write_failed;
        gauges: write_total_buffered;
    }
}

stats_struct! {
    /// `cluster.<name>.`, written by workers.
    pub struct ClusterStats {
        counters:
            bind_errors, lb_healthy_panic, lb_local_cluster_not_ok, lb_recalculate_zone_structures,
            lb_subsets_created, lb_subsets_fallback, lb_subsets_fallback_panic, lb_subsets_removed,
            lb_subsets_selected, lb_zone_cluster_too_small, lb_zone_no_capacity_left,
            lb_zone_routing_all_directly, lb_zone_routing_cross_zone, lb_zone_routing_sampled,
            original_dst_host_invalid, retry_or_shadow_abandoned,
            upstream_cx_close_notify, upstream_cx_connect_attempts_exceeded,
            upstream_cx_connect_fail, upstream_cx_connect_timeout, upstream_cx_connect_with_0_rtt,
            upstream_cx_destroy, upstream_cx_destroy_local,
            upstream_cx_destroy_local_with_active_rq, upstream_cx_destroy_remote,
            upstream_cx_destroy_remote_with_active_rq, upstream_cx_destroy_with_active_rq,
            upstream_cx_http1_total, upstream_cx_http2_total, upstream_cx_http3_total,
            upstream_cx_idle_timeout, upstream_cx_max_duration_reached, upstream_cx_max_requests,
            upstream_cx_none_healthy, upstream_cx_overflow, upstream_cx_pool_overflow,
            upstream_cx_preconnect_skipped, upstream_cx_protocol_error,
            upstream_cx_rx_bytes_total, upstream_cx_total, upstream_cx_tx_bytes_total,
            upstream_flow_control_backed_up_total, upstream_flow_control_drained_total,
            upstream_flow_control_paused_reading_total,
            upstream_flow_control_resumed_reading_total, upstream_http3_broken,
            upstream_internal_redirect_failed_total, upstream_internal_redirect_succeeded_total,
            upstream_queue_overloaded, upstream_rq_0rtt, upstream_rq_active_overflow,
            upstream_rq_cancelled, upstream_rq_maintenance_mode, upstream_rq_max_duration_reached,
            upstream_rq_pending_failure_eject, upstream_rq_pending_overflow,
            upstream_rq_pending_total, upstream_rq_per_try_idle_timeout,
            upstream_rq_per_try_timeout, upstream_rq_retry, upstream_rq_retry_backoff_exponential,
            upstream_rq_retry_backoff_ratelimited, upstream_rq_retry_limit_exceeded,
            upstream_rq_retry_overflow, upstream_rq_retry_success, upstream_rq_rx_reset,
            upstream_rq_rx_reset_no_error, upstream_rq_timeout, upstream_rq_total,
            upstream_rq_tx_reset,
            default_total_match_count = "default.total_match_count",
            http1_dropped = "http1.dropped_headers_with_underscores",
            http1_metadata = "http1.metadata_not_supported_error",
            http1_rejected = "http1.requests_rejected_with_underscores_in_headers",
            http1_flood = "http1.response_flood";
        gauges:
            lb_subsets_active, upstream_cx_active, upstream_cx_rx_bytes_buffered,
            upstream_cx_tx_bytes_buffered, upstream_rq_active, upstream_rq_pending_active;
        histograms:
            upstream_cx_connect_ms: Milliseconds, upstream_cx_length_ms: Milliseconds,
            upstream_rq_per_cx: Unspecified;
    }
}

stats_struct! {
    /// What the circuit breakers of one priority count. Shown under no name.
    pub struct ClusterLoad {
        gauges: connections, pending, requests, retries;
    }
}

stats_struct! {
    /// `cluster.<name>.` again: what exists once a response came.
    pub struct ClusterResponseStats {
        histograms: upstream_rq_time: Milliseconds;
        codes: upstream_rq = "upstream_rq_";
    }
}

stats_struct! {
    /// `cluster.<name>.external.` and `.internal.`: by where the request came from.
    pub struct OriginStats {
        histograms: upstream_rq_time: Milliseconds;
        codes: upstream_rq = "upstream_rq_";
    }
}

stats_struct! {
    /// `cluster.<name>.retry.`: answers that were followed by another attempt.
    pub struct RetryStats {
        codes: upstream_rq = "upstream_rq_";
    }
}

stats_struct! {
    /// `cluster.<name>.`, written by the control thread.
    pub struct ClusterControlStats {
        counters:
            assignment_stale, assignment_timeout_received, assignment_use_cached,
            membership_change, update_attempt, update_empty, update_failure, update_no_rebuild,
            update_success;
        gauges:
            max_host_weight, membership_degraded, membership_excluded, membership_healthy,
            membership_total, version, warming_state,
            default_cx_open = "circuit_breakers.default.cx_open",
            default_cx_pool_open = "circuit_breakers.default.cx_pool_open",
            default_rq_open = "circuit_breakers.default.rq_open",
            default_rq_pending_open = "circuit_breakers.default.rq_pending_open",
            default_rq_retry_open = "circuit_breakers.default.rq_retry_open",
            high_cx_open = "circuit_breakers.high.cx_open",
            high_cx_pool_open = "circuit_breakers.high.cx_pool_open",
            high_rq_open = "circuit_breakers.high.rq_open",
            high_rq_pending_open = "circuit_breakers.high.rq_pending_open",
            high_rq_retry_open = "circuit_breakers.high.rq_retry_open";
    }
}

stats_struct! {
    /// `cluster.<name>.endpoint.<address>.`: what `/clusters` shows, and Dragoman's percentiles.
    pub struct HostStats {
        counters: cx_total, cx_connect_fail, rq_total, rq_success, rq_error, rq_timeout;
        gauges: cx_active, rq_active;
        histograms: upstream_rq_time: MicrosAsMillis;
    }
}

stats_struct! {
    /// `vhost.<virtual host>.route.<route>.`: Dragoman's percentiles of each route.
    pub struct RouteStats {
        counters: upstream_rq_total;
        histograms: upstream_rq_time: MicrosAsMillis;
    }
}
