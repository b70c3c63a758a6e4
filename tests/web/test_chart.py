"""Identity never leaves the screen: banner, tab title, and whatever acts says on whom (hazard H13)."""

from __future__ import annotations

import re

import pytest

from tests.web.conftest import Client
from tests.web.test_pages import SECTIONS

DEEPER = [
    "/visits/v3",
    "/results/trend?test=http://loinc.org|4548-4",
    "/facts/Condition/c1",
    "/documents/DocumentReference/d1",
]


@pytest.mark.parametrize("path", [*SECTIONS, *DEEPER])
async def test_every_page_of_a_chart_says_whose_it_is(sage: Client, path: str) -> None:
    page = (await sage.get(f"/patients/ines{path}")).text
    title = re.search(r"<title>(.*?)</title>", page)
    assert title
    assert title.group(1).startswith("HALLOWBROOK, In\u00e9s \u00b7 ")
    banner = page[page.index('<section class="banner"') : page.index('<div class="frame')]
    for shown in (
        "HALLOWBROOK, In\u00e9s",
        "14-Mar-1968 (58y)",
        "Female",
        "004 417 726",
        "555 0142",
        "Penicillin",
        "severe",
    ):
        assert shown in banner
    assert "Acts on HALLOWBROOK, In\u00e9s" in page


async def test_no_two_charts_share_a_title(sage: Client) -> None:
    pages = [(await sage.get(f"/patients/{id}/conditions")).text for id in ("ines", "late", "blank")]
    titles = {re.search(r"<title>(.*?)</title>", page).group(1) for page in pages}  # type: ignore[union-attr]
    assert len(titles) == 3


async def test_death_is_unmistakable_everywhere(sage: Client) -> None:
    for path in SECTIONS:
        page = (await sage.get(f"/patients/late{path}")).text
        assert '<b class="dead">Died 03-Feb-2025, aged about 93y</b>' in page
        assert 'class="banner died"' in page
