"""TLS that works but protects less than it seems to: warnings, each with a neighbour without."""

import pytest

from tests.unit.config.conftest import Load, codes
from tests.unit.config.texts import assignment, bootstrap, cluster, listener, manager

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
FILTERS = "type.googleapis.com/envoy.extensions.filters.listener"
SOCKET = "transport_socket.typed_config"
COMMON = f"{SOCKET}.common_tls_context"
CLUSTER = "static_resources.clusters[0]"
CHAIN = "static_resources.listeners[0].filter_chains[0]"
VALIDATION = f"{CLUSTER}.{COMMON}.validation_context"
FILE = "{filename: /dev/null}"
CA = f"trusted_ca: {FILE}"
NAMES = "match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: a}}]"
GOOD = f"validation_context: {{{CA}, {NAMES}}}"
SECRET = "validation_context_sds_secret_config: {name: trust}"
HASH = f"[{'ab' * 32}]"


def upstream(common: str, more: str = "sni: a", options: str = "", secret: str = "") -> str:
    """A configuration with one cluster of TLS, and a secret `trust` with a validation context."""
    socket = (
        f'transport_socket: {{name: t, typed_config: {{"@type": {TLS}.UpstreamTlsContext, '
        f"common_tls_context: {{{common}}}{', ' if more else ''}{more}}}}}"
    )
    secrets = f"static_resources: {{secrets: [{secret}]}}" if secret else ""
    text = bootstrap(clusters=cluster(f"type: STATIC, {assignment()}, {options}{socket}"))
    return text if not secrets else text.replace("{listeners", f"{{secrets: [{secret}], listeners")


def trust(fields: str) -> str:
    return f"{{name: trust, validation_context: {{{fields}}}}}"


def combined(fields: str) -> str:
    return f"combined_validation_context: {{default_validation_context: {{{fields}}}, {SECRET}}}"


def downstream(more: str, common: str = "", certificate: str = "") -> str:
    """A configuration with one listener of TLS."""
    certificate = certificate or f"certificate_chain: {FILE}, private_key: {FILE}"
    chain = (
        f"{{filters: [{manager()}], transport_socket: {{name: t, typed_config: "
        f'{{"@type": {TLS}.DownstreamTlsContext, {more}{", " if more else ""}'
        f"common_tls_context: {{tls_certificates: [{{{certificate}}}]"
        f"{', ' if common else ''}{common}}}}}}}}}"
    )
    return bootstrap(listener(chains=f"[{chain}]"))


def chained(match: str, *inspectors: str) -> str:
    """A configuration with one filter chain with this match, and these listener filters."""
    types = {"tls_inspector": "TlsInspector", "http_inspector": "HttpInspector"}
    filters = ", ".join(
        f'{{name: {name}, typed_config: {{"@type": {FILTERS}.{name}.v3.{types[name]}}}}}'
        for name in inspectors
    )
    chain = f"{{filters: [{manager()}], filter_chain_match: {match}}}"
    return bootstrap(listener(chains=f"[{chain}]", more=f", listener_filters: [{filters}]"))


ASKED = "require_client_certificate: true"
INLINE = "certificate_chain: {filename: /dev/null}, private_key: {%s}"
WARNED = [
    # whom to trust
    (upstream(""), "DG0504", f"{CLUSTER}.{SOCKET}"),
    (upstream("validation_context: {}"), "DG0504", VALIDATION),
    (upstream(SECRET, secret=trust(f"crl: {FILE}")), "DG0504",
     f"{CLUSTER}.{COMMON}.validation_context_sds_secret_config"),
    (upstream(combined(f"crl: {FILE}"), secret=trust("")), "DG0504",
     f"{CLUSTER}.{COMMON}.combined_validation_context"),
    # which name
    (upstream(f"validation_context: {{{CA}}}"), "DG0505", VALIDATION),
    (upstream(SECRET, secret=trust(CA)), "DG0505",
     f"{CLUSTER}.{COMMON}.validation_context_sds_secret_config"),
    (upstream(GOOD, more=""), "DG0506", f"{CLUSTER}.{SOCKET}"),
    (upstream(GOOD, more="sni: 127.0.0.1"), "DG0516", f"{CLUSTER}.{SOCKET}.sni"),
    # client certificates
    (downstream(ASKED), "DG0507", f"{CHAIN}.{SOCKET}.require_client_certificate"),
    (downstream(ASKED, "validation_context: {}"), "DG0507",
     f"{CHAIN}.{SOCKET}.require_client_certificate"),
    # inspectors
    (chained("{server_names: [a]}"), "DG0508", f"{CHAIN}.filter_chain_match.server_names"),
    (chained("{server_names: [a]}", "http_inspector"), "DG0508",
     f"{CHAIN}.filter_chain_match.server_names"),
    (chained("{transport_protocol: tls}"), "DG0508",
     f"{CHAIN}.filter_chain_match.transport_protocol"),
    (chained("{application_protocols: [http/1.1]}"), "DG0508",
     f"{CHAIN}.filter_chain_match.application_protocols"),
    (chained("{application_protocols: [acme]}", "http_inspector"), "DG0508",
     f"{CHAIN}.filter_chain_match.application_protocols"),
    # validation that forgives
    (downstream("", f"validation_context: {{{CA}, trust_chain_verification: ACCEPT_UNTRUSTED}}"),
     "DG0509", f"{CHAIN}.{COMMON}.validation_context.trust_chain_verification"),
    (downstream("", f"validation_context: {{{CA}, allow_expired_certificate: true}}"),
     "DG0510", f"{CHAIN}.{COMMON}.validation_context.allow_expired_certificate"),
    (upstream(SECRET, secret=trust(f"{CA}, {NAMES}, allow_expired_certificate: true")),
     "DG0510", "static_resources.secrets[0].validation_context.allow_expired_certificate"),
    # keys
    (downstream("", certificate=INLINE % "inline_string: x"), "DG0511",
     f"{CHAIN}.{COMMON}.tls_certificates[0].private_key.inline_string"),
    (downstream("", certificate=INLINE % "inline_bytes: eA=="), "DG0511",
     f"{CHAIN}.{COMMON}.tls_certificates[0].private_key.inline_bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "path"), WARNED)
def test_what_is_warned_of(load: Load, text: str, code: str, path: str) -> None:
    loaded = load(text)
    (warning,) = loaded.diagnostics
    assert (warning.code, warning.path, warning.severity) == (code, path, "warning")
    assert warning.help
    assert loaded.ok


AUTO = "upstream_http_protocol_options: {%s: true}, "


@pytest.mark.parametrize(
    "text",
    [
        upstream(GOOD),
        upstream(f"validation_context: {{verify_certificate_hash: {HASH}}}"),
        upstream(f"validation_context: {{{CA}, verify_certificate_hash: {HASH}}}"),
        upstream(SECRET, secret=trust(f"{CA}, {NAMES}")),
        upstream(combined(NAMES), secret=trust(CA)),
        upstream(combined(CA), secret=trust(NAMES)),
        # The engine says that there is no such secret.
        upstream(SECRET, secret=trust(CA).replace("name: trust", "name: other")),
        downstream(""),
        downstream(ASKED, f"validation_context: {{{CA}}}"),
        downstream(ASKED, f"validation_context: {{verify_certificate_hash: {HASH}}}"),
        downstream("require_client_certificate: false"),
        downstream("", f"validation_context: {{{CA}, trust_chain_verification: 0}}"),
        downstream("", f"validation_context: {{{CA}, allow_expired_certificate: false}}"),
        downstream("", certificate=INLINE % "environment_variable: PATH"),
        chained("{server_names: [a]}", "tls_inspector"),
        chained("{transport_protocol: tls}", "tls_inspector"),
        chained("{application_protocols: [acme, http/1.1]}", "tls_inspector"),
        chained("{application_protocols: [acme, http/1.1]}", "http_inspector"),
        chained("{transport_protocol: raw_buffer}"),
        chained("{destination_port: 1}"),
    ],
)
def test_what_is_left_alone(load: Load, text: str) -> None:
    assert codes(load(text)) == []


@pytest.mark.parametrize(
    ("options", "more"),
    [
        (AUTO % "auto_sni", ""),
        (AUTO % "auto_san_validation", "sni: a"),
        ("", "auto_host_sni: true"),
        ("", "sni: a, auto_sni_san_validation: true"),
    ],
)
def test_what_finds_names_by_itself_counts(load: Load, options: str, more: str) -> None:
    """Whether these work or not: nothing is said of the names that they stand for."""
    common = GOOD if "san_validation" not in options + more else f"validation_context: {{{CA}}}"
    assert not {"DG0505", "DG0506"} & set(codes(load(upstream(common, more, options))))


def test_all_at_once_each_at_its_line(load: Load) -> None:
    text = upstream("\n validation_context: {}", more="max_session_keys: 1")
    found = load(text.replace("typed_config: {", "\n  typed_config: {")).diagnostics
    places = [(each.code, each.position.line) for each in found]
    # The two filters' typed configurations stand on lines 2 and 3.
    assert places == [("DG0506", 4), ("DG0504", 5)]


def test_the_key_itself_is_never_shown(load: Load) -> None:
    (warning,) = load(
        downstream("", certificate=INLINE % "\n  inline_string: very secret")
    ).diagnostics
    assert warning.position.line == 2
    assert warning.excerpt == ""
