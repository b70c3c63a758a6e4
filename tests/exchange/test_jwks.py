"""G3: keys at an address: through the egress guard, bounded, remembered as long as they say and no longer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from commonchart.access.oauth.denied import UnknownClient
from commonchart.exchange.egress import Guard, Reply, Rules, Unanswered
from commonchart.exchange.jwks import MAX_BYTES, SECONDS, KeySets, lasting
from tests.smart import ec_key, public, rsa_key

URL = "https://app.example/keys"


class Fake(Guard):
    """A guard whose other side answers as told."""

    def __init__(self, *answers: Reply | Exception) -> None:
        super().__init__(Rules())
        self.answers, self.asked = list(answers), []  # type: ignore[var-annotated]

    async def send(self, method: str, url: str, **how: Any) -> Reply:
        self.asked.append((url, how["seconds"], how["max_bytes"]))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def reply(*keys: Any, status: int = 200, cache: str = "") -> Reply:
    return Reply(status, {"cache-control": cache} if cache else {}, public(*keys).encode())


async def of(sets: KeySets, guard: Guard, afresh: bool = False) -> list[str]:
    async def made() -> Guard:
        return guard

    return [key.kid for key in await sets.of(URL, made, afresh)]


async def test_it_is_remembered_as_long_as_it_says() -> None:
    seconds = [0.0]
    sets = KeySets(lambda: seconds[0])
    guard = Fake(
        reply(rsa_key("a"), cache="max-age=60"), reply(ec_key("b"), cache="no-store"), reply(ec_key("c"))
    )
    assert await of(sets, guard) == ["a"]
    seconds[0] = 59
    assert await of(sets, guard) == ["a"]
    seconds[0] = 61
    assert await of(sets, guard) == ["b"]
    assert await of(sets, guard) == ["c"]
    assert guard.asked == [(URL, SECONDS, MAX_BYTES)] * 3


async def test_a_kid_that_is_missing_asks_again_but_not_at_once() -> None:
    seconds = [0.0]
    sets = KeySets(lambda: seconds[0])
    guard = Fake(reply(rsa_key("a"), cache="max-age=600"), reply(rsa_key("new")))
    assert await of(sets, guard) == ["a"]
    assert await of(sets, guard, afresh=True) == ["a"]
    seconds[0] = 11
    assert await of(sets, guard, afresh=True) == ["new"]


async def test_what_cannot_be_read_proves_nothing() -> None:
    bad: list[Reply | Exception] = [Unanswered("slow"), reply(rsa_key(), status=404), Reply(200, {}, b"<html>"), Reply(200, {}, json.dumps({"keys": []}).encode())]  # fmt: skip
    for answer in bad:
        with pytest.raises(UnknownClient):
            await of(KeySets(), Fake(answer))


@pytest.mark.parametrize(
    "url",
    ["http://app.example/keys", "https://127.0.0.1/keys", "https://169.254.169.254/keys", "https://[::1]/keys", "https://0.0.0.0/keys", "https://2130706433/keys",
     "file:///etc/passwd", "gopher://app.example/", "https://user@app.example/keys", "https://localhost/keys", "https://app.example:22/keys"],
)  # fmt: skip
async def test_no_address_inside_is_asked(url: str) -> None:
    async def real() -> Guard:
        return Guard(Rules())

    with pytest.raises(UnknownClient):
        await KeySets().of(url, real)


def test_how_long() -> None:
    assert lasting({}) == 300
    assert lasting({"cache-control": "public, max-age=30"}) == 30
    assert lasting({"cache-control": "max-age=999999"}) == 3600
    assert lasting({"cache-control": "no-cache, max-age=30"}) == 0
    assert lasting({"cache-control": "x-max-age=5"}) == 300
