"""Diagnostics sort by place and say themselves in a line."""

from dragoman.config.diagnostics import Diagnostic, Position, did_you_mean, in_order, is_secret


def one(file: str, line: int, column: int = 1, code: str = "DG0102") -> Diagnostic:
    return Diagnostic(code, "error", "wrong", Position(file, line, column))


def test_order_is_by_file_as_given_then_place() -> None:
    found = [one("b", 2), one("a", 9), one("b", 1, 5), one("b", 1, 2), one("b", 2)]
    assert in_order(found) == [one("b", 1, 2), one("b", 1, 5), one("b", 2), one("a", 9)]


def test_a_line_of_text() -> None:
    assert str(one("f.yaml", 3, 4)) == "f.yaml:3:4: error[DG0102]: wrong"
    assert str(one("f.yaml", 0)) == "f.yaml: error[DG0102]: wrong"
    assert one("f", 1).name == "unknown-field"


def test_near_words() -> None:
    assert did_you_mean("clustr", ["cluster", "route"]) == "did you mean 'cluster'?"
    assert did_you_mean("xyz", ["cluster"]) == ""


def test_secret_paths() -> None:
    assert is_secret("a.tls_certificates[0].private_key.inline_string")
    assert is_secret("x.password")
    assert not is_secret("static_resources.clusters[0].name")
