"""Tokens of programs: each belongs to a user of its own role, organization and patient."""

from __future__ import annotations

import re

import pytest

from commonchart.cli.token import service_login

LONG = "synthetic-patient-00000"


@pytest.mark.parametrize(
    ("one", "other"),
    [((LONG, f"{LONG}1"), (LONG, f"{LONG}2")), (("", "ada"), ("", "ADA")), (("ada", None), ("", "ada"))],
)
def test_no_two_share_a_user(one: tuple[str, str | None], other: tuple[str, str | None]) -> None:
    assert service_login("patient", *one) != service_login("patient", *other)


def test_a_program_login_is_a_login() -> None:
    login = service_login("administrator", "o" * 64, "p" * 64)
    assert re.fullmatch(r"[a-z0-9][a-z0-9._@-]{1,63}", login)
    assert service_login("administrator", "", None) == "service-administrator"
