"""Judges two observations of one case: Envoy's and Dragoman's.

Must not know how they were made.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field

from .case import Case
from .transcript import Observation


@dataclass
class Verdict:
    """The judgement of one case: `outcome` is equal | differs | different | refused | failed."""

    case: Case
    outcome: str
    text: str = ""
    envoy: Observation = field(default_factory=Observation)
    dragoman: Observation = field(default_factory=Observation)


def unmet(case: Case, seen: Observation, skip: tuple[str, ...] = ()) -> list[str]:
    """What `must` demands and the observation does not give."""
    must, faults = {key: value for key, value in case.must.items() if key not in skip}, []
    wanted = must.get("statuses", seen.statuses)
    if isinstance(wanted, int):
        wanted = [wanted] * len(seen.client_ends)
    if seen.statuses != wanted:
        faults.append(f"statuses {seen.statuses}, must be {wanted}")
    if "origin_requests" in must and seen.origin_requests != must["origin_requests"]:
        faults.append(
            f"{seen.origin_requests} requests at the origin, not {must['origin_requests']}"
        )
    if "client_end" in must:
        ends = set(seen.client_ends.values())
        if ends != {must["client_end"]}:
            faults.append(f"client connections ended {sorted(ends)}, not {must['client_end']}")
    for text in must.get("origin_has", []):
        if text.encode("latin-1") not in seen.origin_bytes:
            faults.append(f"the origin never saw {text!r}")
    for text in must.get("origin_lacks", []):
        if text.encode("latin-1") in seen.origin_bytes:
            faults.append(f"the origin saw {text!r}")
    for text in must.get("client_has", []):
        if text.encode("latin-1") not in seen.client_bytes:
            faults.append(f"the client never got {text!r}")
    for text in must.get("client_lacks", []):
        if text.encode("latin-1") in seen.client_bytes:
            faults.append(f"the client got {text!r}")
    for text in must.get("log_has", []):
        if text not in seen.log:
            faults.append(f"the access log lacks {text!r}")
    return faults


def difference(envoy: Observation, dragoman: Observation) -> str:
    """A unified diff, section by section; empty when equal."""
    blocks = []
    for name in dict.fromkeys([*envoy.sections, *dragoman.sections]):
        left, right = envoy.sections.get(name, ""), dragoman.sections.get(name, "")
        if left != right:
            lines = difflib.unified_diff(
                left.splitlines(), right.splitlines(), "envoy", "dragoman", lineterm="", n=20
            )
            blocks.append(f"##### {name}\n" + "\n".join(lines))
    return "\n\n".join(blocks)


def _judge_refusal(
    case: Case, envoy: Observation, dragoman: Observation, same: bool
) -> tuple[str, str]:
    """Outcome and text where the configuration must be refused (by Dragoman alone: `differs`)."""
    served = {"envoy": not envoy.refused, "dragoman": not dragoman.refused}
    if same:
        served.pop("dragoman")
    expected = {"envoy": bool(case.differs), "dragoman": False}
    wrong = [name for name, does in served.items() if does != expected[name]]
    if wrong:
        return "failed", "; ".join(
            f"{name} {'serves' if served[name] else 'refuses'} this" for name in wrong
        )
    return ("different" if case.differs and not same else "equal"), case.differs


def judge(case: Case, envoy: Observation, dragoman: Observation, same: bool) -> Verdict:
    """`same` says that both runs were made with one binary (the suite checking itself)."""

    def verdict(outcome: str, text: str = "") -> Verdict:
        return Verdict(case, outcome, text, envoy, dragoman)

    if envoy.fault or dragoman.fault:
        return verdict("failed", "\n".join([envoy.fault, dragoman.fault]).strip())
    if case.must.get("refused"):
        return verdict(*_judge_refusal(case, envoy, dragoman, same))
    if envoy.refused and case.must.get("refused") is False and not same:
        faults = unmet(case, dragoman) + ([dragoman.refused] if dragoman.refused else [])
        return verdict("failed" if faults else "different", "\n".join(faults) or case.differs)
    if envoy.refused and not (same and case.must.get("refused") is False):
        return verdict("failed", f"the real Envoy refuses this configuration:\n{envoy.refused}")
    if dragoman.refused:
        return verdict("refused", dragoman.refused)
    diff = difference(envoy, dragoman)
    if same:
        faults = [] if case.differs else unmet(case, envoy)
        text = "\n".join([*faults, diff]).strip()
        return verdict("failed" if text else "equal", text)
    faults = unmet(case, dragoman)
    if case.differs:
        if faults:
            return verdict("failed", "\n".join(["deliberate difference broken:", *faults, diff]))
        if not diff:
            return verdict("failed", "no difference is left: remove `differs`")
        return verdict("different", case.differs)
    faults += [f"envoy: {fault}" for fault in unmet(case, envoy)]
    text = "\n".join([*faults, diff]).strip()
    return verdict("failed" if text else "equal", text)
