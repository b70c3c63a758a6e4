"""What was good a moment ago is not good any more: pages of a search, lists, cookies (hostile list A13, A17, G11)."""

from __future__ import annotations

from starlette.applications import Starlette

from commonchart.access import credentials, users
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.hostile.conftest import SignedIn, program_of
from tests.hostile.test_search_sees_nothing_more import put
from tests.web.conftest import PASSWORD, try_sign_in
from tests.web.people import about


def nexts(bundle: dict) -> str:  # type: ignore[type-arg]
    return next(one["url"] for one in bundle["link"] if one["relation"] == "next")


async def test_a_page_link_is_decided_again_on_each_page(
    whole: Starlette, database: Database, clock: Clock
) -> None:
    loader = await program_of(whole, database, clock, "alder-load", role="system", org="alder")
    referral = about(
        "ServiceRequest",
        "ref",
        status="active",
        intent="order",
        performer=[{"reference": "Organization/birch"}],
    )
    await put(loader, {"resourceType": "Organization", "id": "birch", "name": "B"}, referral)
    kim = await program_of(whole, database, clock, "kim", role="clinician", org="birch")
    first = (await kim.get("/fhir/Observation?patient=ines&_count=2")).json()
    link = nexts(first)
    assert len((await kim.get(link)).json()["entry"]) == 2
    await put(loader, referral | {"status": "revoked"})
    clock.advance(seconds=6)
    ended = (await kim.get(link)).json()
    assert "entry" not in ended
    assert "ines" not in str(ended.get("entry"))
    await put(loader, referral | {"status": "active"})
    assert (await kim.get(link)).json().get("entry")
    await users.set_active(database, "kim", active=False, now=clock())
    credentials.forget()
    assert (await kim.get(link)).status_code == 401
    for client in (loader, kim):
        await client.aclose()


async def test_everything_follows_no_list_and_no_group(
    whole: Starlette, database: Database, clock: Clock
) -> None:
    loader = await program_of(whole, database, clock, "alder-load", role="system", org="alder")
    both = [{"reference": "Patient/ines"}, {"reference": "Patient/blank"}]
    await put(
        loader,
        about("List", "both", patient="blank", status="current", mode="working", entry=[{"item": one} for one in [*both, {"reference": "Observation/h5"}]]),
        {"resourceType": "Group", "id": "all", "type": "person", "actual": True, "member": [{"entity": one} for one in both]},
    )  # fmt: skip
    for client in (loader, await program_of(whole, database, clock, "doc", role="clinician", org="alder")):
        found = (await client.get("/fhir/Patient/blank/$everything")).json()["entry"]
        keys = {f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in found}
        assert "Patient/blank" in keys
        assert not {"Patient/ines", "Observation/h5"} & keys
        await client.aclose()


async def test_a_cookie_that_was_there_before_is_not_the_session(signed_in: SignedIn) -> None:
    """Fixation: whatever cookie somebody brings along, they get another at the door; none is taken from an address."""
    stranger = await signed_in()
    stranger.cookies.set("commonchart", "chosen-by-somebody-else", domain="test.local")
    await try_sign_in(stranger, "sage", PASSWORD)
    kept = [cookie.value for cookie in stranger.cookies.jar if cookie.name == "commonchart"]
    mine = next(value for value in kept if value != "chosen-by-somebody-else")
    assert len(mine or "") >= 40
    other = await signed_in()
    for address in (
        f"/patients?commonchart={mine}",
        f"/patients;commonchart={mine}",
        "/patients?session=chosen-by-somebody-else",
    ):
        assert (await other.get(address)).status_code in (303, 404)
    again = await signed_in("sage")
    assert again.cookies["commonchart"] != mine
