"""Reads the bootstrap configuration: files -> messages -> diagnostics. The package's front door.

Every step goes on after a fault as far as it makes sense, so one run tells everything; but a text
that can't be read, or a field that can't be, hides what would be said about it later.
"""

from dragoman.config import check_hashing, check_retries, check_tls, checks, deprecations, support
from dragoman.config.check_context import Context
from dragoman.config.diagnostics import ERROR, WARNING, Diagnostic, Position
from dragoman.config.loaded import Loaded
from dragoman.config.messages import BOOTSTRAP, Message, Types, types
from dragoman.config.positions import Positions
from dragoman.config.reader import Reader
from dragoman.config.source import BINARY, TEXT_PROTO, Source, inline_source, read_source
from dragoman.config.validate_rules import Fault, Rules
from dragoman.config.walk import Step, walk


def load_bootstrap(
    path: str | None, config_yaml: str | None, *, allow_unknown_fields: bool = False
) -> Loaded:
    """Reads the file at `path`, then `config_yaml` merged over it as protobuf merges messages.

    Never raises for bad input: what is wrong stands in `Loaded.diagnostics`.
    """
    known = types()
    bootstrap = known.new(BOOTSTRAP)
    found: list[Diagnostic] = []
    sources: list[Source] = []
    for read, given in ((read_source, path), (inline_source, config_yaml)):
        if given:
            source, faults = read(given)
            sources.append(source)
            found += faults
    if not sources:
        nowhere = Position("<command line>")
        found.append(Diagnostic("DG0010", ERROR, "no configuration was given", nowhere))
        return Loaded(bootstrap, found, Positions([Source(nowhere.file, "", b"")]))
    for source in sources:
        if source.is_read:
            part = known.new(BOOTSTRAP)
            found += fill(known, source, part, allow_unknown=allow_unknown_fields)
            found += _merge(bootstrap, part, source)
    positions = Positions(sources)
    if all(source.is_read for source in sources):
        found += check(known, bootstrap, positions, _context(bootstrap))
    return Loaded(bootstrap, _without_echoes(found), positions)


def _context(bootstrap: Message) -> Context:
    static = bootstrap.static_resources
    return Context(
        frozenset(cluster.name for cluster in static.clusters),
        secrets={secret.name: secret for secret in static.secrets},
        hashing=frozenset(c.name for c in static.clusters if check_hashing.is_by_hash(c)),
    )


def check(
    known: Types, message: Message, positions: Positions, context: Context
) -> list[Diagnostic]:
    """Validation rules, support and cross-checks over `message` and everything in it."""
    rules = Rules(known)
    found = []
    for step in walk(known, message):
        for severity, fault in _faults(known, step, rules, context):
            path = step.below(fault.part)
            found.append(
                positions.diagnostic(
                    fault.code, fault.message, path, fault.help, severity,
                    at_value=fault.code not in ("DG0301", "DG0501"),
                )
            )  # fmt: skip
    known.forget_declarations()
    return found


def _faults(known: Types, step: Step, rules: Rules, context: Context) -> list[tuple[str, Fault]]:
    unsupported = [(ERROR, fault) for fault in support.faults(step)]
    # Below something unsupported nothing more is said: it would be about a message nobody reads.
    if step.pruned:
        return unsupported
    broken = [(ERROR, fault) for fault in rules.faults(step.message)]
    crossed = [(ERROR, fault) for fault in checks.faults(step, context)]
    old = [(WARNING, fault) for fault in deprecations.faults(step, known)]
    weak = [
        (WARNING, fault)
        for check in (check_tls, check_retries, check_hashing)
        for fault in check.warnings(step, context)
    ]
    return broken + crossed + unsupported + old + weak


def fill(
    known: Types, source: Source, message: Message, *, allow_unknown: bool
) -> list[Diagnostic]:
    """Reads what `source` holds into `message`; says what doesn't fit."""
    if source.format in (BINARY, TEXT_PROTO):
        from dragoman.config import textual

        if source.format == BINARY:
            found = textual.read_binary(source, message)
        else:
            found = textual.read_text(source, message, known)
        source.is_read = not found
        return found
    assert source.root is not None
    reader = Reader(known, source, allow_unknown=allow_unknown)
    reader.read(source.root, message)
    return reader.found


def _merge(bootstrap: Message, part: Message, source: Source) -> list[Diagnostic]:
    try:
        bootstrap.MergeFrom(part)
    except Exception:  # protobuf's depth limit; its error class depends on the build
        return [source.diagnostic("DG0005", "nested deeper than protobuf allows", source.root)]
    return []


def _without_echoes(found: list[Diagnostic]) -> list[Diagnostic]:
    """Drops what breaks a rule only because the value itself couldn't be read."""
    unread = {each.path for each in found if "DG0100" < each.code < "DG0200"}
    parents = {path.rpartition(".")[0] for path in unread}
    return [each for each in found if not _is_echo(each, unread, parents)]


def _is_echo(each: Diagnostic, unread: set[str], parents: set[str]) -> bool:
    if not "DG0200" < each.code < "DG0300":
        return False
    # An unreadable member of a oneof leaves its message without any.
    return each.path in unread or (each.code == "DG0201" and each.path in parents)
