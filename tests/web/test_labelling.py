"""The pages on which an entry is marked as sensitive and a label is lifted, looked at and put back."""

from __future__ import annotations

from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.web.conftest import PASSWORD, Client, SignIn, token_of
from tests.web.people import condition

AT = "/patients/ines/label/Condition/c1"


async def test_an_entry_is_marked_lifted_reviewed_and_put_back(
    sage: Client, sign_in: SignIn, database: Database, clock: Clock
) -> None:
    entry = (await sage.get("/patients/ines/facts/Condition/c1")).text
    assert f'href="{AT}">Sensitive</a>' in entry
    page = await sage.get(AT)
    assert "None." in page.text
    bad = await sage.post(AT, data={"csrf": token_of(page), "act": "put", "label": "hiv", "reason": " "})
    assert bad.status_code == 422
    assert "Say why" in bad.text
    assert 'value="hiv" selected' in bad.text
    sent = {"csrf": token_of(page), "act": "put", "label": "hiv", "reason": "told in <confidence>"}
    done = await sage.post(AT, data=sent)
    assert done.headers["location"] == f"{AT}?said=put"
    page = await sage.get(done.headers["location"])
    assert "put by hand" in page.text
    assert "told in &lt;confidence&gt;" in page.text
    assert f"{AT}/lift/hiv" in page.text
    again = await sage.post(AT, data=sent)
    assert again.status_code == 409
    assert "carries this label already" in again.text
    entry = (await sage.get("/patients/ines/facts/Condition/c1")).text
    assert "Labels by hand" in entry
    assert "Marked: HIV by Sage Person" in entry
    assert "It decides who sees this" not in entry
    assert "Front desk" not in entry
    # lifting asks who it is, and keeps what was typed
    lift = await sage.get(f"{AT}/lift/hiv")
    clock.advance(minutes=6)
    typed = {"csrf": token_of(lift), "reason": "the wrong person"}
    asked = await sage.post(f"{AT}/lift/hiv", data=typed)
    assert asked.status_code == 403
    assert 'value="the wrong person"' in asked.text
    done = await sage.post(f"{AT}/lift/hiv", data=typed | {"proof_password": PASSWORD})
    assert done.headers["location"] == f"{AT}?said=lifted"
    page = await sage.get(done.headers["location"])
    assert "Lifted: HIV" in page.text
    assert "Put back" in page.text
    assert (await sage.get(f"{AT}/lift/hiv")).status_code == 404
    # a second person
    pia = await sign_in("root")
    listed = await pia.get("/labels")
    row = listed.text.split("waits for a second person</span>")[1].split("</tr>")[0]
    assert 'value="agree"' in row
    assert 'value="restore"' in row
    form = {"csrf": token_of(listed), "key": "Condition/c1", "n": "2", "label": "hiv"}
    agreed = await pia.post("/labels", data=form | {"act": "agree"})
    assert agreed.status_code == 303
    assert "agreed by" in (await pia.get("/labels")).text
    assert (await pia.post("/labels", data=form | {"act": "agree"})).status_code == 409
    back = await pia.post("/labels", data=form | {"act": "restore"})
    assert back.headers["location"] == "/labels?said=restored#h-hand"
    assert "put by hand" in (await sage.get(AT)).text
    assert (await pia.post("/labels", data=form | {"act": "restore"})).status_code == 422
    assert (await pia.post("/labels", data={"csrf": form["csrf"], "act": "agree"})).status_code == 422


async def test_what_may_not_be_done_is_not_offered(
    sage: Client, sign_in: SignIn, database: Database, clock: Clock
) -> None:
    loader = Records(database, Actor(1, "loader", "L", "system", "alder", "test", network=False), clock)
    said = condition("hc", "Heron", "E11.9", "2024") | {
        "meta": {"security": [{"system": "x", "code": "ETH"}]}
    }
    await loader.commit([Put(validate(said), "hc")])
    page = await sage.get("/patients/ines/label/Condition/hc")
    assert "its sender says so: x ETH" in page.text
    assert "/lift/part2" not in page.text
    assert "not lifted here" in (await sage.get("/patients/ines/label/Condition/hc/lift/part2")).text
    assert (await sage.get("/patients/blank/label/Condition/hc")).status_code == 404
    assert (await sage.get("/patients/ines/label/Patient/ines")).status_code == 403
    root = await sign_in("root")
    assert (await root.get(AT)).status_code == 403
    # an administrator takes what was put by hand off by no other door
    await sage.post(
        AT, data={"csrf": token_of(page), "act": "put", "label": "vip", "reason": "known in town"}
    )
    hidden = await sage.post(
        AT, data={"csrf": token_of(page), "act": "put", "label": "psychotherapy", "reason": "session"}
    )
    assert hidden.headers["location"] == "/patients/ines?said=labelled"
    assert "You do not see it any more" in (await sage.get(hidden.headers["location"])).text
