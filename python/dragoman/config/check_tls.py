"""Warnings about TLS that works, but protects less, or does less, than its reader may think.

All of it is what a real Envoy does too, without a word. Errors of TLS (no certificate, a key that
doesn't fit) are told by the engine, which reads the files.
"""

from collections.abc import Callable, Iterator
from ipaddress import ip_address

from dragoman.config.check_context import Context
from dragoman.config.messages import Message, type_name, types
from dragoman.config.validate_rules import Fault
from dragoman.config.walk import Step, unpack

_TLS = "envoy.extensions.transport_sockets.tls.v3"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TLS_INSPECTOR = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
_HTTP_INSPECTOR = "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"
_ACCEPT_UNTRUSTED = 1
#: what the http_inspector can find out
_OF_HTTP = frozenset(("http/1.0", "http/1.1", "h2c"))
_CA_AND_NAMES = "set validation_context.trusted_ca and match_typed_subject_alt_names"
#: fields of a validation context that pin certificates
_PINS = ("verify_certificate_hash", "verify_certificate_spki")
#: fields of a validation context that say whom to trust
_TRUST = ("trusted_ca", "system_root_certs", "custom_validator_config", *_PINS)


def warnings(step: Step, context: Context) -> Iterator[Fault]:
    """What the step's message should better say, in the configuration around it."""
    check = _WARNINGS.get(step.type_name)
    if check is not None:
        yield from check(step, context)


def _cluster(step: Step, context: Context) -> Iterator[Fault]:
    path = "transport_socket.typed_config"
    tls = unpack(types(), step.message.transport_socket.typed_config)
    if tls is None or tls.DESCRIPTOR.full_name != f"{_TLS}.UpstreamTlsContext":
        return
    options = _http_options(step.message)
    common = tls.common_tls_context
    names = tls.auto_sni_san_validation or options.auto_san_validation
    if not _says(common, context, *_TRUST):
        words = "any certificate is taken: nothing says whom to trust"
        yield Fault(_where(common, path), "DG0504", words, _CA_AND_NAMES)
    elif not names and not _says(common, context, "match_typed_subject_alt_names", *_PINS):
        words = "any certificate of that CA is taken, whatever its name"
        help = "set match_typed_subject_alt_names to the names that the origin's certificate has"
        yield Fault(_where(common, path), "DG0505", words, help)
    if not (tls.sni or tls.auto_host_sni or options.auto_sni):
        words = "the origin isn't told which server name is meant (SNI)"
        help = "set sni; an origin with several names answers with its first certificate, or not"
        yield Fault(path, "DG0506", words, help)
    if _is_address(tls.sni):
        words = f"{tls.sni} isn't sent: an address is no server name (RFC 6066 section 3)"
        yield Fault(f"{path}.sni", "DG0516", words, "write the name, or nothing")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _http_options(cluster: Message) -> Message:
    """The cluster's `upstream_http_protocol_options`, empty where there are none."""
    packed = cluster.typed_extension_protocol_options
    options = unpack(types(), packed[_HTTP_OPTIONS]) if _HTTP_OPTIONS in packed else None
    if options is not None and options.HasField("upstream_http_protocol_options"):
        return options.upstream_http_protocol_options
    return cluster.upstream_http_protocol_options


def _downstream(step: Step, context: Context) -> Iterator[Fault]:
    asks = ("match_typed_subject_alt_names", *_TRUST)
    message = step.message
    if message.require_client_certificate.value and not _says(
        message.common_tls_context, context, *asks
    ):
        words = "nobody is asked for a certificate: nothing says which ones are good"
        yield Fault("require_client_certificate", "DG0507", words, _CA_AND_NAMES)


def _listener(step: Step, context: Context) -> Iterator[Fault]:
    filters = {type_name(each.typed_config.type_url) for each in step.message.listener_filters}
    if _TLS_INSPECTOR in filters:
        return
    wanted = "envoy.filters.listener.tls_inspector"
    for index, chain in enumerate(step.message.filter_chains):
        path = f"filter_chains[{index}].filter_chain_match"
        match = chain.filter_chain_match
        if match.server_names:
            yield _never_chosen(path, "server_names", wanted)
        if match.transport_protocol == "tls":
            yield _never_chosen(path, "transport_protocol", wanted)
        protocols = frozenset(match.application_protocols)
        if protocols and not (_HTTP_INSPECTOR in filters and protocols & _OF_HTTP):
            plain = " (for plain HTTP envoy.filters.listener.http_inspector)"
            plain = plain if protocols & _OF_HTTP else ""
            yield _never_chosen(path, "application_protocols", wanted + plain)


def _never_chosen(path: str, field: str, wanted: str) -> Fault:
    words = f"the filter chain is never chosen: no listener filter finds out '{field}'"
    help = f"add {wanted} to listener_filters; Envoy doesn't do it by itself either"
    return Fault(f"{path}.{field}", "DG0508", words, help)


def _validation(step: Step, context: Context) -> Iterator[Fault]:
    message = step.message
    if message.trust_chain_verification == _ACCEPT_UNTRUSTED:
        words = "certificates that no trusted CA signed are taken, and expired ones"
        help = "leave it out; ACCEPT_UNTRUSTED only counts them (ssl.fail_verify_error)"
        yield Fault("trust_chain_verification", "DG0509", words, help)
    if message.allow_expired_certificate:
        words = "expired certificates are taken: one that was stolen is good for ever"
        yield Fault("allow_expired_certificate", "DG0510", words, "leave it out")


def _certificate(step: Step, context: Context) -> Iterator[Fault]:
    kind = step.message.private_key.WhichOneof("specifier")
    if kind in ("inline_string", "inline_bytes"):
        words = "a private key stands in the configuration: whoever reads it has the key"
        help = "use filename or environment_variable"
        yield Fault(f"private_key.{kind}", "DG0511", words, help)


def _says(common: Message, context: Context, *fields: str) -> bool:
    """Whether one of `fields` is set in what the peer's certificate is checked by.

    True for a secret that doesn't exist (the engine says so, and nothing more is to be said), and
    for one that is fetched: nobody knows yet what is in it.
    """
    return any(
        validation is None or any(field.name in fields for field, _ in validation.ListFields())
        for validation in _validations(common, context)
    )


def _validations(common: Message, context: Context) -> Iterator[Message | None]:
    """The validation contexts that hold together: one's own, a secret's, or both."""
    kind = common.WhichOneof("validation_context_type")
    if kind == "validation_context":
        yield common.validation_context
    elif kind == "validation_context_sds_secret_config":
        yield _secret(common.validation_context_sds_secret_config, context)
    elif kind == "combined_validation_context":
        combined = common.combined_validation_context
        yield combined.default_validation_context
        yield _secret(combined.validation_context_sds_secret_config, context)


def _secret(named: Message, context: Context) -> Message | None:
    if named.HasField("sds_config"):
        return None
    secret = context.secrets.get(named.name)
    if secret is None or not secret.HasField("validation_context"):
        return None
    return secret.validation_context


def _where(common: Message, path: str) -> str:
    """The place at which trust is written down, or should be."""
    kind = common.WhichOneof("validation_context_type")
    return f"{path}.common_tls_context.{kind}" if kind else path


_WARNINGS: dict[str, Callable[[Step, Context], Iterator[Fault]]] = {
    "envoy.config.cluster.v3.Cluster": _cluster,
    "envoy.config.listener.v3.Listener": _listener,
    f"{_TLS}.DownstreamTlsContext": _downstream,
    f"{_TLS}.CertificateValidationContext": _validation,
    f"{_TLS}.TlsCertificate": _certificate,
}
