"""One test per case file: a real Envoy and Dragoman must do the same, or differ on purpose."""

from __future__ import annotations

import shutil
from concurrent.futures import Future

import pytest

from tests.differential.case import all_cases
from tests.differential.judge import Verdict


@pytest.mark.parametrize("name", [case.name for case in all_cases()])
def test_case(name: str, verdicts: dict[str, Future[Verdict]]) -> None:
    verdict = verdicts[name].result()
    if shutil.which("curl") is None and any("curl" in step for step in verdict.case.script):
        pytest.skip("there is no curl")
    if verdict.outcome == "refused":
        # Refusing what is not supported is what Dragoman promises; the table of options shows it.
        pytest.skip(f"refused: {verdict.text.splitlines()[0]}")
    if verdict.outcome == "failed":
        path = verdict.case.path.relative_to(verdict.case.path.parents[2])
        pytest.fail(f"{verdict.case.title} ({path})\n\n{verdict.text}", pytrace=False)
