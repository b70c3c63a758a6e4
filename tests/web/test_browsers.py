"""A browser in plain words."""

from __future__ import annotations

import pytest

from commonchart.web.present import browsers, pictures

MOZILLA = "Mozilla/5.0 "


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("(Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36", "Chrome on Windows"),
        ("(Windows NT 10.0) AppleWebKit/537.36 Chrome/142.0 Safari/537.36 Edg/142.0", "Edge on Windows"),
        ("(X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on Linux"),
        ("(iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit Version/19.0 Mobile Safari/604.1", "Safari on an iPhone"),
        ("(iPad; CPU OS 19_0 like Mac OS X) CriOS/142 Mobile Safari", "Chrome on an iPad"),
        ("(Linux; Android 16) Chrome/142 Mobile Safari", "Chrome on Android"),
        ("(Macintosh; Intel Mac OS X 10_15_7) Version/19 Safari/605", "Safari on a Mac"),
        ("", "A browser that does not say which"),
        ("(Windows NT 10.0) Something", "A browser on Windows"),
    ],
)  # fmt: skip
def test_a_browser_is_named_as_people_call_it(agent: str, words: str) -> None:
    assert browsers.words(MOZILLA + agent) == words


def test_a_key_is_typed_in_groups_and_a_picture_holds_no_script() -> None:
    assert pictures.groups("ABCDEFGHIJ") == "ABCD EFGH IJ"
    picture = pictures.qr("otpauth://totp/Commonchart:sage?secret=ABCDEFGH&issuer=Commonchart")
    assert picture.startswith("data:image/svg+xml")
    assert "script" not in picture
