"""The rule library as pages: read, changed, tried on everybody, used, gone back from, approved."""

from __future__ import annotations

import re
from typing import Any

import pytest

from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.jobs import rule_previews, worker
from commonchart.record import due, rules
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.outreach import woman
from tests.web.conftest import Client, SignIn, token_of


@pytest.fixture
async def women(app: Any, database: Database, clock: Clock) -> Records:
    """Three women of 56: nobody of them has had a mammogram."""
    records = Records(database, Actor(1, "loader", "Loader", "system", "alder", "test", network=False), clock)
    await records.commit(
        [Put(validate(one), one["id"]) for one in (woman("ada"), woman("bea"), woman("eva"))]
    )
    await worker.drain(database, clock)
    return records


def fields(page: Any) -> dict[str, str]:
    """What the form of fields sends as it stands."""
    form = page.text[page.text.index('name="mode" value="fields"') - 400 : page.text.index("The whole text")]
    out = dict(re.findall(r'<input class="in" id="[^"]*" name="([^"]*)" type="text" value="([^"]*)"', form))
    out |= dict(re.findall(r'<textarea class="in" id="[^"]*" name="([^"]*)"[^>]*>([^<]*)</textarea>', form))
    for name, options in re.findall(
        r'<select class="in" id="[^"]*" name="([^"]*)"[^>]*>(.*?)</select>', form, re.S
    ):
        chosen = re.search(r'value="([^"]*)" selected', options)
        out[name] = chosen[1] if chosen else ""
    return out | dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))


async def draft(sage: Client, rule: str = "breast", why: str = "Local policy", **changes: str) -> Any:
    page = await sage.get(f"/rules/{rule}/edit")
    assert page.status_code == 200, page.text
    return await sage.post(
        f"/rules/{rule}/edit", data=fields(page) | {"csrf": token_of(page), "why": why} | changes
    )


async def used(client: Client, rule: str = "breast", to: str = "site.1", **more: str) -> Any:
    page = await client.get(f"/rules/{rule}/try?to={to}")
    seq = re.search(r'name="seq" value="(\d+)"', page.text)
    assert seq, page.text
    sent = {"csrf": token_of(page), "do": "use", "seq": seq[1], "why": "Agreed at the meeting"} | more
    return await client.post(f"/rules/{rule}/try?to={to}", data=sent)


async def status(database: Database, patient: str, rule: str = "breast") -> tuple[str, str]:
    async with database.connection() as conn:
        return next(
            ((r.status, r.version) for r in await due.of_patient(conn, 1, patient) if r.rule == rule),
            ("none", ""),
        )


async def test_the_library_is_found_filtered_and_counted(sage: Client, women: Records) -> None:
    page = await sage.get("/rules")
    assert page.status_code == 200
    assert len(page.content) < 60_000
    assert "of 211" in page.text
    found = (await sage.get("/rules?q=mammogram&kind=preventive")).text
    assert 'href="/rules/breast"' in found
    assert 'href="/registry?rule=breast&amp;status=overdue"' in found
    assert "not reviewed" in found
    assert "No rule fits" in (await sage.get("/rules?q=nosuchthing")).text
    assert 'href="/rules/breast"' not in (await sage.get("/rules?review=reviewed&q=mammogram")).text
    assert 'href="/rules/a1c"' in (await sage.get("/rules?kind=monitoring&authority=ADA&q=a1c")).text


async def test_a_rule_is_told_in_plain_words(sage: Client, women: Records) -> None:
    page = (await sage.get("/rules/breast")).text
    for words in (
        "aged 40 to 74", "Mammogram: counts for 2 years", "due soon: from 60 days before", "breasts absent",
        "USPSTF, grade B", "Nobody has read this version in its source", "then Breast surveillance applies instead",
        "date of birth",
    ):  # fmt: skip
        assert words in page, words
    assert (await sage.get("/rules/nothing")).status_code == 404


async def test_who_may_not_look_or_change(sage: Client, sign_in: SignIn) -> None:
    for login, answer in (("desk", 403), ("ines", 403)):
        client = await sign_in(login)
        assert (await client.get("/rules")).status_code == answer
        assert (await client.get("/rules/breast")).status_code == answer
        assert (await client.get("/rules/breast/edit")).status_code == answer
    root = await sign_in("root")
    page = await root.get("/rules/breast")
    assert "A clinician approves." in page.text
    sent = {
        "csrf": token_of(await root.get("/rules/breast/edit")),
        "do": "approve",
        "version": "2",
        "comment": "I am not one",
    }
    assert (await root.post("/rules/breast", data=sent)).status_code == 403


async def test_a_rule_is_changed_tried_used_and_gone_back_from(
    sage: Client, women: Records, database: Database, clock: Clock
) -> None:
    before = await status(database, "ada")
    saved = await draft(sage, **{"applies-min_age": "60"})
    assert saved.status_code == 303, saved.text
    assert await status(database, "ada") == before
    page = await sage.get("/rules/breast")
    assert "A draft, site.1, is not used yet" in page.text
    trial = await sage.get("/rules/breast/try?to=site.1")
    assert 'From the age of <span class="q">applies.min_age</span>' in trial.text
    assert "no preview of this version has been made" in trial.text
    unseen = await used(sage)
    assert unseen.status_code == 422
    assert "This would be used unseen" in unseen.text
    begun = await sage.post("/rules/breast/try?to=site.1", data={"csrf": token_of(trial), "do": "preview"})
    assert begun.status_code == 303
    waiting = await sage.get("/rules/breast/try?to=site.1")
    assert waiting.headers["refresh"] == "3"
    assert "<progress" in waiting.text
    while await rule_previews.lane(database, clock):
        pass
    seen = await sage.get("/rules/breast/try?to=site.1&show=fewer")
    assert re.search(r"<b>\d+</b> are no longer due", seen.text)
    assert "Hallow" in seen.text or "HALLOW" in seen.text
    assert await status(database, "ada") == before
    done = await used(sage)
    assert done.status_code == 303, done.text
    assert "being worked out" in (await sage.get(done.headers["location"])).text
    await worker.drain(database, clock)
    assert (await status(database, "ada"))[0] == "not-applicable"  # until she is 60
    page = await sage.get("/rules/breast")
    assert "Go back to the version in the box" in page.text
    back = {"csrf": token_of(page), "do": "rollback", "seq": "1", "why": ""}
    refused = await sage.post("/rules/breast", data=back)
    assert refused.status_code == 422
    assert 'href="#why-rollback"' in refused.text
    assert (await sage.post("/rules/breast", data=back | {"why": "It left out too many"})).status_code == 303
    await worker.drain(database, clock)
    assert await status(database, "ada") == before
    page = await sage.get("/rules/breast")
    assert "It left out too many" in page.text
    assert (await sage.post("/rules/breast", data=back | {"why": "again"})).status_code == 409


async def test_what_is_wrong_stands_at_its_field_and_nothing_is_kept(
    sage: Client, database: Database, app: Any
) -> None:
    for field, value, words in (
        ("applies-min_age", "80", "applies.min_age is above applies.max_age"),
        ("satisfied_by-0-months", "24 months", "a whole number"),
        ("satisfied_by-0-months", "-1", "satisfied_by.months is from 0 to"),
        ("soon_days", "", "is missing"),
        ("excluded_by", "no-such-set", "unknown code set no-such-set"),
        ("date", "last year", "date is a day"),
        ("title", " ", "is missing"),
        ("why", "", "Say why"),
    ):
        answer = await draft(sage, **{field: value})
        assert answer.status_code == 422, field
        assert words in answer.text, field
        assert f'href="#{field}"' in answer.text, field
    async with database.connection() as conn:
        assert await rules.latest(conn, 1) == []


async def test_the_whole_text_is_checked_too(sage: Client, app: Any) -> None:
    page = await sage.get("/rules/a1c/edit")
    text = re.search(r'<textarea class="in" id="text"[^>]*>(.*?)</textarea>', page.text, re.S)
    assert text
    plain = text[1].replace("&#34;", '"').replace("&quot;", '"').replace("&#39;", "'")
    sent = {"csrf": token_of(page), "mode": "text", "seen": "0", "why-text": "Tighter"}
    for change, words in (
        (
            plain.replace("months_in", "month_in"),
            "there is no field monitor.month_in; did you mean months_in?",
        ),
        (plain + '\n[sets.mine]\nicd11 = ["5A11"]\n', "unknown code system icd11"),
        (
            plain + '\n[analytes.mine]\nlabel = "X"\ncodes = "hba1c"\nlow = 1\nhigh = 2\n',
            "analytes.mine.unit is missing",
        ),
        (plain.replace('id = "a1c"', 'id = "other"'), "its id cannot be changed"),
        ("not toml", "not TOML"),
    ):
        answer = await sage.post("/rules/a1c/edit", data=sent | {"text": change})
        assert answer.status_code == 422, words
        assert words.replace("'", "&#39;") in answer.text, (words, answer.text[:3000])
    good = await sage.post(
        "/rules/a1c/edit", data=sent | {"text": plain.replace("months_in = 6", "months_in = 5")}
    )
    assert good.status_code == 303, good.text[:3000]


async def test_two_people_do_not_overwrite_each_other(sage: Client, app: Any) -> None:
    page = await sage.get("/rules/breast/edit")
    mine = fields(page) | {"csrf": token_of(page), "why": "Mine", "soon_days": "30"}
    assert (await draft(sage, soon_days="45")).status_code == 303
    answer = await sage.post("/rules/breast/edit", data=mine)
    assert answer.status_code == 409
    assert "Somebody else has written a version" in answer.text
    assert 'value="30"' in answer.text


async def test_a_new_rule_begins_as_a_copy(
    sage: Client, women: Records, database: Database, clock: Clock
) -> None:
    page = await sage.get("/rules/new")
    sent = {
        "csrf": token_of(page),
        "like": "colorectal",
        "id": "stool-at-40",
        "title": "Stool test at 40",
        "why": "A local study",
        "text": "",
    }
    assert (await sage.post("/rules/new", data=sent | {"id": "breast"})).status_code == 422
    assert (await sage.post("/rules/new", data=sent | {"id": "Not A Name"})).status_code == 422
    assert (await sage.post("/rules/new", data=sent | {"like": ""})).status_code == 422
    assert (await sage.post("/rules/new", data=sent)).headers["location"] == "/rules/stool-at-40/edit"
    assert 'href="/rules/stool-at-40"' in (await sage.get("/rules?state=draft")).text
    assert (await used(sage, "stool-at-40", anyway="yes")).status_code == 303
    await worker.drain(database, clock)
    found, version = await status(database, "ada", "stool-at-40")
    assert found == "overdue"
    assert version.endswith("/site.1")
    assert (await used(sage, "stool-at-40", "off", anyway="yes")).status_code == 303
    await worker.drain(database, clock)
    assert (await status(database, "ada", "stool-at-40"))[0] == "none"
    assert (await used(sage, "tobacco", "off", anyway="yes")).status_code == 303
    assert (
        "NOT CHECKED, since this site does not use this rule: Ask about tobacco."
        in (await sage.get("/patients/ada/due")).text
    )
    assert "Not used." in (await sage.get("/rules/stool-at-40")).text


async def test_a_rule_that_another_hands_over_to_is_not_switched_off(sage: Client, app: Any) -> None:
    answer = await used(sage, "breast-surveillance", "off", anyway="yes")
    assert answer.status_code == 422
    assert "breast: hand_over.to names the unknown rule breast-surveillance" in answer.text


async def test_an_approval_is_shown_in_rail_registry_and_library_and_can_be_withdrawn(
    sage: Client, women: Records
) -> None:
    assert "not reviewed" in (await sage.get("/patients/ada/due?rule=breast")).text
    page = await sage.get("/rules/breast")
    sent = {"csrf": token_of(page), "do": "approve", "version": "2"}
    empty = await sage.post("/rules/breast", data=sent | {"comment": ""})
    assert empty.status_code == 422
    assert 'href="#comment"' in empty.text
    assert (
        await sage.post("/rules/breast", data=sent | {"comment": "Read in the USPSTF text of 2024"})
    ).status_code == 303
    said = "approved by Sage Person on 18-Nov-2026"
    assert said in (await sage.get("/patients/ada/due?rule=breast")).text
    assert said in (await sage.get("/registry?rule=breast")).text
    assert said in (await sage.get("/rules?q=mammogram")).text
    assert said in (await sage.get("/rules/breast")).text
    assert (await sage.post("/rules/breast", data=sent | {"comment": "again"})).status_code == 409
    gone = {"csrf": sent["csrf"], "do": "withdraw", "version": "2", "why": "The source has changed"}
    assert (await sage.post("/rules/breast", data=gone)).status_code == 303
    assert said not in (await sage.get("/registry?rule=breast")).text
    page_text = (await sage.get("/rules/breast")).text
    assert "withdrawn by Sage Person" in page_text
    assert "The source has changed" in page_text
