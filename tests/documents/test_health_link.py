"""Health links: the payload of the specification, and files that only their key opens."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from joserfc.errors import JoseError

from commonchart.documents import health_link

EXPIRES = datetime(2026, 12, 1, tzinfo=UTC)
URL = "https://chart.example/shl/" + "t" * 43


def test_the_payload_is_what_the_specification_says() -> None:
    key = health_link.key_of("t" * 43, b"s" * 16)
    address = health_link.link(URL, key, EXPIRES, "Health record for somebody " * 9, passcode=True)
    found = health_link.payload_of(f"https://chart.example/share/x#{address}")
    assert (found["url"], found["flag"], found["v"], found["exp"]) == (URL, "LP", 1, int(EXPIRES.timestamp()))
    assert len(found["key"]) == 43
    assert len(found["label"]) == 80
    assert health_link.payload_of(health_link.link(URL, key, EXPIRES, "x", passcode=False))["flag"] == "L"


def test_the_same_token_and_salt_make_the_same_key_and_no_other_does() -> None:
    key = health_link.key_of("a", b"s")
    assert key == health_link.key_of("a", b"s")
    assert len({key, health_link.key_of("b", b"s"), health_link.key_of("a", b"t")}) == 3


def test_a_file_is_opened_by_its_key_alone() -> None:
    key = health_link.key_of("a", b"s")
    file, again = health_link.sealed(b"content", key), health_link.sealed(b"content", key)
    assert file != again  # a new vector each time
    assert health_link.opened(file, key) == health_link.opened(again, key) == b"content"
    with pytest.raises(JoseError):
        health_link.opened(file, health_link.key_of("b", b"s"))
    with pytest.raises(JoseError):
        health_link.opened(file[:-4] + "AAAA", key)


def test_what_is_no_link_or_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="no health link"):
        health_link.payload_of("https://chart.example")
    with pytest.raises(ValueError, match="longer"):
        health_link.link("https://" + "x" * 140, b"k" * 32, EXPIRES, "", passcode=False)
