"""Warnings about retry policies that work, but do less than their reader may think.

All of it is what a real Envoy does too, without a word.
"""

from collections.abc import Iterator

from dragoman.config.check_context import Context
from dragoman.config.diagnostics import did_you_mean
from dragoman.config.messages import Message
from dragoman.config.validate_rules import Fault
from dragoman.config.walk import Step

#: the words of `retry_on`; Source: Envoy's x-envoy-retry-on and x-envoy-retry-grpc-on
CONDITIONS = (
    "5xx", "gateway-error", "reset", "reset-before-request", "connect-failure",
    "envoy-ratelimited", "retriable-4xx", "refused-stream", "retriable-status-codes",
    "retriable-headers", "http3-post-connect-failure",
    "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
)  # fmt: skip
#: fields that only count with a word in `retry_on`
_NEEDS = {
    "retriable_status_codes": "retriable-status-codes",
    "retriable_headers": "retriable-headers",
}
_DEFAULT_TIMEOUT = 15.0


def warnings(step: Step, context: Context) -> Iterator[Fault]:
    """What the step's message should better say."""
    if step.type_name == "envoy.config.route.v3.RetryPolicy":
        yield from _conditions(step.message)
    elif step.type_name == "envoy.config.route.v3.RouteAction":
        yield from _timeouts(step.message)


def _conditions(policy: Message) -> Iterator[Fault]:
    words = [word.strip() for word in policy.retry_on.split(",")]
    for word in words:
        if word and word not in CONDITIONS:
            said = f"'{word}' is no condition: it is passed over"
            yield Fault("retry_on", "DG0512", said, did_you_mean(word, CONDITIONS))
    for field, word in _NEEDS.items():
        if getattr(policy, field) and word not in words:
            said = f"'{field}' has no effect: retry_on doesn't say {word}"
            yield Fault(field, "DG0513", said, f"add {word} to retry_on")


def _timeouts(action: Message) -> Iterator[Fault]:
    attempt = _seconds(action.retry_policy, "per_try_timeout")
    whole = _seconds(action, "timeout") if action.HasField("timeout") else _DEFAULT_TIMEOUT
    if attempt > 0 and 0 < whole <= attempt:
        kind = "set" if action.HasField("timeout") else "a default"
        said = f"this has no effect: the whole request has {whole:g} s ({kind})"
        help = "make it shorter than the route's timeout, or the timeout longer"
        yield Fault("retry_policy.per_try_timeout", "DG0514", said, help)


def _seconds(message: Message, field: str) -> float:
    value = getattr(message, field)
    return float(value.seconds + value.nanos / 1e9)
