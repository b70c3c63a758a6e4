"""The vaccine shelf as pages: deliveries, counts, waste, withdrawal; errors stand at their fields."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import Client, SignIn, token_of

MMR = {
    "cvx": "03", "product": "", "manufacturer": "msd", "lot": "A123", "expires": "2027-03-31", "funding": "vfc",
    "doses": "10",
}  # fmt: skip


async def delivered(sage: Client, **other: str) -> str:
    page = await sage.get("/stock")
    sent = await sage.post("/stock", data={"csrf": token_of(page), **MMR, **other})
    assert sent.status_code == 303
    return str(sent.headers["location"]).partition("=")[2]


async def acted(sage: Client, lot: str, **sent: str) -> Any:
    return await sage.post(f"/stock/{lot}", data={"csrf": token_of(await sage.get(f"/stock/{lot}")), **sent})


async def test_a_delivery_stands_on_the_shelf(sage: Client) -> None:
    assert "no vaccine on the shelf yet" in (await sage.get("/stock")).text
    lot = await delivered(sage)
    page = (await sage.get("/stock")).text
    assert f'href="/stock/{lot}"' in page
    assert "31-Mar-2027" in page
    assert "Vaccines for Children" in page
    assert "May be given" in page


async def test_what_is_wrong_stands_at_its_field_and_nothing_is_lost(sage: Client) -> None:
    page = await sage.get("/stock")
    wrong = {"csrf": token_of(page), **MMR, "expires": "2027-03", "lot": "KEEP"}
    sent = await sage.post("/stock", data=wrong)
    assert sent.status_code == 422
    assert 'href="#expires"' in sent.text
    assert 'value="KEEP"' in sent.text
    assert (await sage.post("/stock", data=wrong | {"doses": "ten"})).status_code == 422


@pytest.mark.parametrize(
    ("sent", "left", "said"),
    [
        ({"do": "count", "doses": "7"}, 7, "Counted"),
        ({"do": "waste", "doses": "2", "note": "fridge off"}, 8, "fridge off"),
        ({"do": "withdraw", "why": "recall"}, 10, "Withdrawn: recall"),
    ],
    ids=["count", "waste", "withdraw"],
)
async def test_what_is_done_with_a_lot(sage: Client, sent: dict[str, str], left: int, said: str) -> None:
    lot = await delivered(sage)
    assert (await acted(sage, lot, **sent)).status_code == 303
    page = (await sage.get(f"/stock/{lot}")).text
    assert f"<dd>{left}</dd>" in page
    assert said in page


async def test_waste_without_a_reason_is_refused(sage: Client) -> None:
    lot = await delivered(sage)
    answer = await acted(sage, lot, do="waste", doses="99", note="")
    assert answer.status_code == 422
    assert 'href="#waste-note"' in answer.text
    answer = await acted(sage, lot, do="waste", doses="99", note="spilled")
    assert "between 1 and the 10 that are left" in answer.text


async def test_an_expired_lot_says_so(sage: Client) -> None:
    await delivered(sage, expires="2026-11-17", lot="OLD")
    assert "Expired: do not give" in (await sage.get("/stock")).text


async def test_the_front_desk_has_no_stock(sign_in: SignIn) -> None:
    desk = await sign_in("desk")
    assert (await desk.get("/stock")).status_code == 403
    assert 'href="/stock"' not in (await desk.get("/patients")).text


async def test_an_unknown_lot_or_act_is_refused(sage: Client) -> None:
    assert (await sage.get("/stock/none")).status_code == 404
    lot = await delivered(sage)
    assert (await acted(sage, lot, do="eat")).status_code == 422
