"""Addresses that somebody is sent to after signing in stay on this site."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.web.links import local


@pytest.mark.parametrize(
    "target", ["/patients", "/patients/p/results?show=vitals", "/registry?rule=a&status=due"]
)
def test_local_paths_are_kept(target: str) -> None:
    assert local(target) == target


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "patients",
        "",
        "/sign-out",
        "/a\r\nset-cookie: x",
        "/sign-in",
        "//[",
        "http://[",
    ],
)
def test_anything_else_leads_home(target: str) -> None:
    assert local(target) == "/"


@given(st.text())
def test_whatever_is_given_the_answer_is_a_path_of_this_site(target: str) -> None:
    answer = local(target)
    assert answer.startswith("/")
    assert not answer.startswith(("//", "/\\"))
