import pytest

from dragoman.admin.access import Access


@pytest.mark.parametrize(
    ("matcher", "allowed", "refused"),
    [
        ({"exact": "/ready"}, "/ready", "/readyy"),
        ({"prefix": "/stats"}, "/stats/prometheus?x", "/clusters"),
        ({"suffix": "json"}, "/stats?format=json", "/stats?format=text"),
        ({"contains": "er_in"}, "/server_info", "/ready"),
        ({"safe_regex": {"regex": "/r.*y"}}, "/ready", "/ready?"),
        ({"exact": "/READY", "ignore_case": True}, "/Ready", "/Readyy"),
    ],
)
def test_matchers(matcher: dict[str, object], allowed: str, refused: str) -> None:
    access = Access([{"exact": "/other"}, matcher])
    assert access.allows(allowed)
    assert access.allows("/other")
    assert not access.allows(refused)


def test_no_rules_allow_everything() -> None:
    assert Access().allows("/anything")


@pytest.mark.parametrize("matcher", [{"custom": {}}, {"safe_regex": {"regex": "("}}])
def test_a_matcher_that_cannot_be_used_is_an_error(matcher: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="allow_paths"):
        Access([matcher])
