"""Rows recorded from a real Envoy 1.40.0: a name, its label line."""

import pytest

from dragoman.stats.tags import extract

ROWS = [
    (
        "cluster.tls.ssl.ciphers.ECDHE-RSA-AES128-GCM-SHA256",
        "cluster.ssl.ciphers",
        'cipher_suite="ECDHE-RSA-AES128-GCM-SHA256",envoy_cluster_name="tls"',
    ),
    (
        "cluster.tls.ssl.curves.X25519",
        "cluster.ssl.curves",
        'envoy_ssl_curve="X25519",envoy_cluster_name="tls"',
    ),
    (
        "cluster.tls.ssl.sigalgs.rsa_pss_rsae_sha256",
        "cluster.ssl.sigalgs",
        'envoy_ssl_sigalg="rsa_pss_rsae_sha256",envoy_cluster_name="tls"',
    ),
    (
        "listener.127.0.0.1_19840.ssl.versions.TLSv1.2",
        "listener.ssl.versions",
        'envoy_ssl_version="TLSv1.2",envoy_listener_address="127.0.0.1_19840"',
    ),
    (
        "listener.127.0.0.1_19840.ssl.ciphers.TLS_AES_256_GCM_SHA384",
        "listener.ssl.ciphers",
        'envoy_ssl_cipher="TLS_AES_256_GCM_SHA384",envoy_listener_address="127.0.0.1_19840"',
    ),
    (
        "listener.127.0.0.1_19840.ssl.certificate.unnamed_cert_e3.expiration_unix_time_seconds",
        "listener.ssl.certificate.expiration_unix_time_seconds",
        'envoy_tls_certificate="unnamed_cert_e3",envoy_listener_address="127.0.0.1_19840"',
    ),
    (
        "cluster.tls.ext_authz.eap.error",
        "cluster.ext_authz.error",
        'envoy_cluster_name="tls",envoy_ext_authz_prefix="eap"',
    ),
    (
        "http.ingress.ext_authz.eap.ok",
        "http.ext_authz.ok",
        'envoy_ext_authz_prefix="eap",envoy_http_conn_manager_prefix="ingress"',
    ),
    (
        "http.in.gress.ext_authz.eap.ok",
        "http.gress.ext_authz.eap.ok",
        'envoy_http_conn_manager_prefix="in"',
    ),
    (
        "http.ingress.rds.rou.te.update_success",
        "http.rds.update_success",
        'envoy_rds_route_config="rou.te",envoy_http_conn_manager_prefix="ingress"',
    ),
    (
        "cluster.tls.grpc.a.B.c.total",
        "cluster.grpc.c.total",
        'envoy_grpc_bridge_method="B",envoy_grpc_bridge_service="a",envoy_cluster_name="tls"',
    ),
    (
        "listener.admin.http.admin.downstream_rq_2xx",
        "listener.admin.http.downstream_rq_xx",
        'envoy_response_code_class="2",envoy_http_conn_manager_prefix="admin"',
    ),
    ("listener.admin.downstream_cx_total", "listener.admin.downstream_cx_total", ""),
    (
        "listener./run/t.sock.worker_0.downstream_cx_total",
        "listener.sock.worker_0.downstream_cx_total",
        'envoy_listener_address="/run/t"',
    ),
    (
        "listener.[__1]_80.worker_11.downstream_cx_active",
        "listener.worker.downstream_cx_active",
        'envoy_worker_id="11",envoy_listener_address="[__1]_80"',
    ),
    (
        "cluster.raw.endpoint.127.0.0.1_19810.rq_total",
        "cluster.endpoint.rq_total",
        'envoy_cluster_name="raw",envoy_endpoint_address="127.0.0.1:19810"',
    ),
    (
        "cluster.raw.endpoint.[__1]_80.rq_total",
        "cluster.endpoint.rq_total",
        'envoy_cluster_name="raw",envoy_endpoint_address="[::1]:80"',
    ),
    ("server.worker_0.watchdog_miss", "server.worker.watchdog_miss", 'envoy_worker_id="0"'),
    ("thrift.thr.request", "thrift.request", 'envoy_thrift_prefix="thr"'),
    ("ratelimit.nrl.ok", "ratelimit.ok", 'envoy_ratelimit_prefix="nrl"'),
    ("http2.header_list_size", "http2.header_list_size", ""),
    ("ext_authz.nea.ok", "ext_authz.nea.ok", ""),
]


@pytest.mark.parametrize(("name", "left", "labels"), ROWS, ids=[row[0] for row in ROWS])
def test_a_real_envoys_labels(name: str, left: str, labels: str) -> None:
    tagged = extract(name)
    assert tagged.name == left
    assert ",".join(f'{label}="{value}"' for label, value in tagged.tags) == labels


def test_fixed_tags_stand_between_the_two_groups() -> None:
    labels = [label for label, _ in extract("cluster.a.upstream_rq_200", (("zone", "eu"),)).tags]
    assert labels == ["envoy_response_code", "zone", "envoy_cluster_name"]
