"""No field of any form and no parameter of any page makes the program fail (hostile list E1, E7, F1, F3, F5).

What is tried is read from the pages: the fields of their forms and the parameters of their links.
"""

from __future__ import annotations

import os
import re
from html import unescape
from random import Random
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
from starlette.applications import Starlette

from tests.hostile.conftest import SignedIn, filled, forms, pages
from tests.web.conftest import token_of

SEED = 20261126
ROUNDS = int(os.environ.get("COMMONCHART_PAGE_FUZZ", "2"))
ODD = (
    "", "0", "-1", "1e400", "NaN", "99999999999999999999", "' OR 1=1 --", "\\", "%", "_", "\x00", "a\x00b", "é", "\u202e", "\ud7ff", "\U0001f600",
    "x" * 4000, "{{7*7}}", "{% raw %}", "${7*7}", "<script>alert(1)</script>", "../../etc/passwd", "2026-02-30", "0000-00-00", "9999-12-31",
    "12-Nov-2026", "Patient/ines", "http://x|y", "|", ",", "a,b,c", "null", "[]", "{", "-", "on", "yes", "\r\nset-cookie: a=b", "١٢", "1/0",
)  # fmt: skip
NAMES = (
    "q",
    "next",
    "page",
    "sort",
    "start",
    "show",
    "as_of",
    "before",
    "from",
    "to",
    "version",
    "test",
    "cursor",
    "id",
    "patient",
    "rule",
)


def fields(page: httpx.Response) -> list[str]:
    """The names of the fields of a page's forms."""
    return sorted(set(re.findall(r'\bname="([^"]+)"', page.text)) - {"csrf", "viewport", "color-scheme"})


def parameters(page: httpx.Response) -> list[str]:
    """The names of the parameters of a page's links."""
    links = [unescape(link) for link in re.findall(r'(?:href|action|hx-get)="([^"]+)"', page.text)]
    return sorted(
        {name for link in links for name, _ in parse_qsl(urlsplit(link).query, keep_blank_values=True)}
    )


async def test_no_parameter_of_a_page_makes_it_fail(whole: Starlette, signed_in: SignedIn) -> None:
    random, sage, ines = Random(SEED), await signed_in("sage"), await signed_in("ines")
    wrong = []
    for path in pages(whole):
        client = ines if path == "/me" or path.startswith("/me/") else sage
        page = await client.get(filled(path))
        names = sorted({*fields(page), *parameters(page), *random.sample(NAMES, 3)})
        for _ in range(ROUNDS):
            query = [(name, random.choice(ODD)) for name in random.sample(names, min(len(names), 4))]
            answer = await client.get(filled(path), params=query)
            if answer.status_code >= 500 or "<script>alert" in answer.text:
                wrong.append((path, query, answer.status_code))
    assert wrong == []


async def test_no_place_in_an_address_makes_it_fail(whole: Starlette, signed_in: SignedIn) -> None:
    random, sage, ines = Random(SEED), await signed_in("sage"), await signed_in("ines")
    wrong = []
    for path in pages(whole):
        client = ines if path == "/me" or path.startswith("/me/") else sage
        if "{" not in path:
            continue
        for _ in range(ROUNDS):
            place = random.choice(re.findall(r"\{(\w+)", path))
            odd = quote(random.choice(ODD).encode(), safe="")
            answer = await client.get(filled(path, **{place: odd}))
            if answer.status_code >= 500 or "<script>alert" in answer.text:
                wrong.append((path, place, odd, answer.status_code))
    assert wrong == []


async def test_no_field_of_a_form_makes_it_fail(whole: Starlette, signed_in: SignedIn) -> None:
    random, people = Random(SEED), {who: await signed_in(who) for who in ("sage", "root", "ines")}
    csrf = {
        who: token_of(await client.get("/me/you" if who == "ines" else "/account"))
        for who, client in people.items()
    }
    wrong = []
    for path in forms(whole):
        if path in ("/sign-out", "/account/sessions"):
            continue
        who = "ines" if path.startswith("/me/") else random.choice(("sage", "root"))
        page = await people[who].get(filled(path))
        names = fields(page) or list(NAMES)
        for n in range(ROUNDS):
            some = random.sample(names, max(1, len(names) // (1 + n)))
            sent = {name: random.choice(ODD) for name in some} | {"csrf": csrf[who]}
            answer = await people[who].post(filled(path), data=sent)
            if answer.status_code >= 500 or "<script>alert" in answer.text:
                wrong.append((path, {name: text[:40] for name, text in sent.items()}, answer.status_code))
    assert wrong == []
