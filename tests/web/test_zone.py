"""The clocks of the site: what is typed is the moment that is stored and shown, and a day is a day of its zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from commonchart.access import audit
from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.access.users import create, find
from commonchart.fhir.outcome import Invalid
from commonchart.fhir.validate import validate
from commonchart.jobs import inbox, worker
from commonchart.record import site as decisions
from commonchart.record.database import Database
from commonchart.web import session
from commonchart.web.forms.fields import Context, Field, Form, earlier, local_moment, parse, parse_fields
from commonchart.web.present import dates
from commonchart.web.present.zone import UTC_CLOCKS, Zone, zone_of
from tests.conftest import Clock
from tests.inbox import SITE, lab, patient
from tests.web.conftest import PASSWORD, Client, SignIn, token_of

CHICAGO, KOLKATA, LORD_HOWE = Zone("America/Chicago"), Zone("Asia/Kolkata"), Zone("Australia/Lord_Howe")
ZONES = st.sampled_from([CHICAGO, KOLKATA, LORD_HOWE, UTC_CLOCKS])
WHEN = Field("when", "Measured", "moment", future=True)
FORM = Form("f", "F", "Observation", "results", "f", (WHEN,), lambda *_: [], lambda _: {})
EVENING = datetime(2026, 11, 19, 2, tzinfo=UTC)  # 18-Nov-2026 20:00 in Chicago
FHIR = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d")


def context(zone: Zone, now: datetime = EVENING) -> Context:
    return Context("ada", zone.local(now), zone=zone)


def stored(zone: Zone, text: str) -> str:
    return parse_fields((WHEN,), {"when": text}, context(zone))["when"]


def tried(zone: Zone, text: str) -> str | Invalid:
    try:
        return stored(zone, text)
    except Invalid as refused:
        return refused


# ---- one moment ------------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(zone=ZONES, wall=st.datetimes(datetime(1850, 1, 2), datetime(2299, 12, 30)))
def test_what_is_typed_is_shown_again_or_refused_because_the_clocks_skip_it(
    zone: Zone, wall: datetime
) -> None:
    typed = wall.strftime("%Y-%m-%dT%H:%M")
    text = tried(zone, typed)
    if isinstance(text, Invalid):
        assert (text.issues[0].at, zone.key in text.issues[0].message) == ("when", True)
        before, after = (
            (wall + timedelta(hours=hours)).replace(tzinfo=zone.info).timestamp() for hours in (-3, 3)
        )
        assert (
            after - before < timedelta(hours=6).total_seconds()
        )  # there are fewer hours than the clocks show
        return
    assert FHIR.fullmatch(text)
    assert local_moment(text, zone) == typed
    if (wall.hour, wall.minute) != (0, 0):
        assert zone.moment(text).startswith(f"{dates.of_date(wall.date())} {wall:%H:%M}")


@settings(max_examples=100)
@given(zone=ZONES, at=st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)))
def test_a_day_holds_its_moments_and_no_others(zone: Zone, at: datetime) -> None:
    day = zone.day(at)
    assert zone.starts(day) <= at <= zone.ends(day)
    assert zone.ends(day) + timedelta(microseconds=1) == zone.starts(day + timedelta(days=1))
    assert zone.stamp(at).startswith(dates.of_date(day))


@pytest.mark.parametrize(
    ("zone", "skipped", "twice", "first"),
    [
        (CHICAGO, "2026-03-08T02:30", "2026-11-01T01:30", "-05:00"),
        (LORD_HOWE, "2026-10-04T02:15", "2026-04-05T01:45", "+11:00"),
    ],
)
def test_when_the_clocks_change(zone: Zone, skipped: str, twice: str, first: str) -> None:
    with pytest.raises(Invalid) as refused:
        stored(zone, skipped)
    assert refused.value.issues[0].at == "when"
    assert refused.value.issues[0].message.startswith(f"Measured: there is no {skipped[-5:]} on ")
    assert stored(zone, twice) == f"{twice}:00{first}"


def test_a_correction_leaves_a_time_that_was_not_touched() -> None:
    second = "2026-11-01T01:30:27-06:00"  # the hour that Chicago has twice, the second time
    assert parse(FORM, {"when": "2026-11-01T01:30"}, context(CHICAGO), {"when": second})["when"] == second
    changed = parse(FORM, {"when": "2026-11-01T01:31"}, context(CHICAGO), {"when": second})["when"]
    assert changed == "2026-11-01T01:31:00-05:00"


def test_what_holds_at_once_has_begun_for_the_rules_too() -> None:
    morning = datetime(2026, 11, 18, 21, tzinfo=UTC)  # the 19th east of Greenwich
    assert [context(zone, morning).at_once for zone in (LORD_HOWE, UTC_CLOCKS)] == ["2026-11-18"] * 2
    assert context(CHICAGO).at_once == "2026-11-18"  # the 19th in UTC


def test_the_end_of_the_calendar_is_shown_as_it_was_written() -> None:
    assert local_moment("9999-12-31T23:59:59Z", KOLKATA) == "9999-12-31T23:59"


def test_an_end_is_compared_by_its_moment() -> None:
    assert earlier("2026-11-01T01:10:00-05:00", "2026-11-01T01:10:00-06:00")
    assert not earlier("2026-11-01T01:10:00-06:00", "2026-11-01T01:50:00-05:00")
    assert earlier("2014", "2015-02")
    assert not earlier("2014", "2014-05")


@pytest.mark.parametrize(
    ("zone", "text", "words"),
    [
        (CHICAGO, "2026-11-18T10:00:00-06:00", "18-Nov-2026 10:00 CST"),
        (CHICAGO, "2026-11-18T16:00:00Z", "18-Nov-2026 10:00 CST (16:00 UTC)"),
        (CHICAGO, "2026-11-19T02:00:00.5Z", "18-Nov-2026 20:00 CST (19-Nov-2026 02:00 UTC)"),
        (CHICAGO, "2026-07-01T10:00:00-05:00", "01-Jul-2026 10:00 CDT"),
        (KOLKATA, "2026-11-18T16:00:00-06:00", "19-Nov-2026 03:30 IST (18-Nov-2026 16:00 UTC-06:00)"),
        (LORD_HOWE, "2026-07-01T10:00:00Z", "01-Jul-2026 20:30 UTC+10:30 (10:00 UTC)"),
        (UTC_CLOCKS, "2026-11-18T10:00:00+00:00", "18-Nov-2026 10:00 UTC"),
        (CHICAGO, "2026-11-18", "18-Nov-2026"),
        (CHICAGO, "2026-11-18T00:00:00Z", "18-Nov-2026"),
        (CHICAGO, "2026-11", "Nov-2026"),
        (CHICAGO, "2026", "2026"),
        (CHICAGO, None, ""),
        (CHICAGO, "after lunch", "after lunch"),
        (KOLKATA, "9999-12-31T23:59:59Z", "31-Dec-9999 23:59 UTC"),
        (CHICAGO, "0001-01-01T01:00:00Z", "01-Jan-0001 01:00 UTC"),
    ],
)
def test_a_clinical_time_is_told_with_its_zone_and_a_bare_day_never_moves(
    zone: Zone, text: str | None, words: str
) -> None:
    assert zone.moment(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1985-12-10T08:15:00Z", "10-Dec-1985 08:15 UTC"),
        ("1985-12-10T08:15:00.25-06:00", "10-Dec-1985 08:15 UTC-06:00"),
        ("1985-12-10T08:15", "10-Dec-1985 08:15"),
        ("1985-12", "Dec-1985"),
    ],
)
def test_a_time_as_it_was_written_says_its_offset(text: str, words: str) -> None:
    assert dates.moment(text) == words


def test_times_stand_in_the_order_in_which_they_were() -> None:
    later, sooner = "2026-11-18T10:30:00-06:00", "2026-11-18T16:00:00Z"
    assert sorted([later, sooner, "unreadable"], key=dates.order) == ["unreadable", sooner, later]


def test_a_zone_that_cannot_be_read_is_utc_and_says_so() -> None:
    assert zone_of("America/Chicago") == CHICAGO
    assert {zone_of(text).key for text in ("", "Mars/Olympus", "America", "../etc/passwd")} == {"UTC"}
    assert zone_of("Mars/Olympus").stamp(EVENING) == "19-Nov-2026 02:00 UTC"


# ---- the pages of a practice in Chicago, at eight in the evening ---------------------------------------------------


@pytest.fixture
async def chicago(app: Starlette, database: Database, clock: Clock) -> Database:
    """It is 20:00 on the 18th there, and the 19th in UTC."""
    clock.set(EVENING)
    await in_zone(database, "America/Chicago")
    return database


async def in_zone(database: Database, zone: str) -> None:
    async with database.connection() as conn:
        await decisions.put(conn, 1, "time_zone", zone)
    session.forget_sites()


async def written(client: Client, path: str, **fields: str) -> str:
    """Send a form and give the "Type/id" that it made, or the page that says what is wrong."""
    page = await client.get(path)
    answer = await client.post(path, data={"csrf": token_of(page), **fields})
    return answer.headers["location"].split("saved=")[1] if answer.status_code == 303 else answer.text


async def test_a_measurement_is_taken_and_shown_in_the_zone(
    chicago: Database, sign_in: SignIn, clock: Clock
) -> None:
    sage = await sign_in("sage")
    path = "/patients/ines/new/vitals"
    form = (await sage.get(path)).text
    assert 'value="2026-11-18T20:00"' in form
    assert "Time zone: America/Chicago" in form
    assert "must not be in the future" in await written(sage, path, when="2026-11-18T20:01", pulse="71")
    assert "Measured: there is no 02:30 on 08-Mar-2026" in await written(
        sage, path, when="2026-03-08T02:30", pulse="71"
    )
    key = await written(sage, path, when="2026-11-18T19:40", pulse="71")
    made = await Records(chicago, Actor(1, "t", "T", "system", "alder", "test", network=False), clock).read(*key.split("/"))  # fmt: skip
    assert '"effectiveDateTime":"2026-11-18T19:40:00-06:00"' in str(made.body)
    fact = (await sage.get(f"/patients/ines/facts/{key}")).text
    assert "18-Nov-2026 20:00 CST" in fact
    assert "UTC" not in fact
    assert 'value="2026-11-18T19:40"' in (await sage.get(f"/patients/ines/edit/{key}")).text
    trend = (await sage.get("/patients/ines/results/trend?test=http://loinc.org|8867-4")).text
    assert "18-Nov-2026 19:40 CST" in trend
    sheet = (await sage.get("/patients/ines/results")).text
    assert '<th scope="col">18-Nov' in re.sub(r' class="[^"]*"', "", sheet)
    clock.advance(days=2)
    sage = await sign_in("sage")
    for day, known in (("17-Nov-2026", 404), ("18-Nov-2026", 200)):
        assert (await sage.get(f"/patients/ines/facts/{key}?as_of={day}")).status_code == known
    older = (await sage.get("/patients/ines/results?before=2026-11-19")).text
    assert ">71<" in older
    assert ">71<" not in (await sage.get("/patients/ines/results?before=2026-11-18")).text


async def test_a_page_changes_with_the_zone(chicago: Database, sign_in: SignIn) -> None:
    sage = await sign_in("sage")
    assert "18-Nov-2026 20:00 CST" in (await sage.get("/inbox")).text
    await in_zone(chicago, "Asia/Kolkata")
    page = await sage.get("/inbox")
    assert "19-Nov-2026 07:30 IST" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert "etag" not in page.headers


async def test_the_inbox_and_a_cover(chicago: Database, sign_in: SignIn, clock: Clock) -> None:
    for login in ("otto", "kim"):
        await create(chicago, tenant=1, login=login, name=f"{login.title()} Person", role="clinician", org="alder", now=clock(), password=PASSWORD, practitioner=f"pr-{login}")  # fmt: skip
    loader = Records(chicago, Actor(1, "lab", "Lab", "system", "lab", "test", network=False), clock)
    mine = [{"reference": "Practitioner/pr-otto"}]
    for one in (patient(generalPractitioner=mine), lab("c", value="6.9", taken="2026-11-19T01:30:00Z")):
        await loader.commit([Put(validate(one), one["id"])])
    await worker.drain(chicago, clock)
    while await inbox.drain(chicago, clock, SITE):
        pass
    otto = await sign_in("otto")
    page = (await otto.get("/inbox")).text
    assert "18-Nov-2026 19:30 CST (19-Nov-2026 01:30 UTC)" in page
    assert re.search(r"at 20:\d\d CST, in \d+ min", page)
    assert "18-Nov 20:00" in page
    item = (await otto.get("/patients/ada/inbox/Observation/c")).text
    assert "18-Nov-2026 20:00 CST" in item
    assert 'value="2026-11-25"' in item
    version = re.search(r'name="version" value="([^"]+)"', item)
    assert version
    acts = {"csrf": token_of(await otto.get("/inbox")), "version": version[1], "do": "acknowledge", "done": "called", "read_back": "yes"}  # fmt: skip
    answers = [await otto.post("/patients/ada/inbox/Observation/c", data=acts) for _ in range(2)]
    assert [one.status_code for one in answers] == [303, 409]
    assert "acknowledged it at 18-Nov-2026 20:00 CST" in answers[1].text
    order = {"csrf": acts["csrf"], "version": version[1], "do": "order", "test": "Observation/c:"}
    for day, answer in (("2026-11-17", 422), ("2026-11-18", 303)):
        sent = await otto.post("/patients/ada/inbox/Observation/c", data=order | {"due": day})
        assert sent.status_code == answer, day
    ids = [(await find(chicago, one)).id for one in ("otto", "kim")]
    assert "in America/Chicago, such as" in (await otto.get("/inbox/cover")).text
    fields = {"absent": ids[0], "cover": ids[1], "from": "2026-11-18 21:00", "why": "leave"}
    skipped = await written(otto, "/inbox/cover", **fields, until="2027-03-14 02:30")
    assert 'href="#until">Until: there is no 02:30 on 14-Mar-2027' in skipped
    token = token_of(await otto.get("/inbox/cover"))
    sent = {"csrf": token, **fields, "until": "2026-11-20 08:00"}
    assert (await otto.post("/inbox/cover", data=sent)).status_code == 303
    page = (await otto.get("/inbox/cover")).text
    assert "18-Nov-2026 21:00 CST" in page
    assert "20-Nov-2026 08:00 CST" in page
    async with chicago.connection() as conn:
        ((begins, ends),) = await conn.fetch("SELECT begins, ends FROM inbox_cover")
    assert (begins, ends) == (datetime(2026, 11, 19, 3, tzinfo=UTC), datetime(2026, 11, 20, 14, tzinfo=UTC))


async def test_break_glass_ends_at_a_time_of_the_practice(
    chicago: Database, sign_in: SignIn, clock: Clock
) -> None:
    await create(chicago, tenant=1, login="bo", name="Bo Birch", role="clinician", org="birch", now=clock(), password=PASSWORD)  # fmt: skip
    async with chicago.connection() as conn:
        await decisions.put(conn, 1, "mode", "network")
    session.forget_sites()
    loader = Records(chicago, Actor(1, "loader", "L", "system", "alder", "test", network=True), clock)
    yara = {"resourceType": "Patient", "id": "yara", "name": [{"family": "Canary", "given": ["Yara"]}], "birthDate": "1990-02-03"}  # fmt: skip
    await loader.commit([Put(validate(yara), "yara")])
    birch = await sign_in("bo")
    who = {"family": "Canary", "given": "Yara", "born": "03-Feb-1990"}
    await birch.post("/emergency", data={"csrf": token_of(await birch.get("/emergency")), **who})
    asked = await birch.get("/emergency/yara")
    form = {"csrf": token_of(asked), "reason": "Unconscious in the emergency room"}
    assert (await birch.post("/emergency/yara", data=form)).status_code == 303
    words = re.search(r"is open to you until.{0,80}", (await birch.get("/patients/yara")).text)
    assert words
    async with chicago.connection() as conn:
        ((ends,),) = await conn.fetch("SELECT ends FROM emergency_access")
    assert f"{ends.astimezone(ZoneInfo('America/Chicago')):%H:%M} CST, in " in words[0]
    root = await sign_in("root")
    page = (await root.get("/reports/break-glass")).text
    assert "18-Nov-2026 20:00 CST" in page
    assert "since=2026-11-18&amp;until=2026-11-" in page


async def test_a_day_of_a_report_is_a_day_of_the_practice(
    chicago: Database, sign_in: SignIn, clock: Clock
) -> None:
    north = Actor(1, "nora", "Nora", "clinician", "northgate", "web", "HRESCH", network=True)
    async with chicago.connection() as conn:
        await decisions.put(conn, 1, "mode", "network")
        await audit.note(conn, north, clock(), "read", rtype="Observation", patients=["ines"])
    session.forget_sites()
    clock.set(EVENING + timedelta(hours=5))  # 01:00 on the 19th
    root = await sign_in("root")
    for path in ("/reports/access?actor=nora", "/patients/ines/disclosures?x="):
        on_the_18th = (await root.get(f"{path}&since=18-Nov-2026&until=18-Nov-2026")).text
        on_the_19th = (await root.get(f"{path}&since=19-Nov-2026&until=19-Nov-2026")).text
        shown = "18-Nov-2026 20:00 CST" if "access" in path else "Northgate General Hospital"
        assert shown in on_the_18th
        assert shown not in on_the_19th
        assert 'value="18-Nov-2026"' in on_the_18th
    lines = (await root.get("/patients/ines/disclosures.csv?all=yes")).text
    assert "2026-11-18,2026-11-19T02:00:00+00:00" in lines
    assert (await root.get("/reports/alerts?from=18-Nov-2026&to=18-Nov-2026")).status_code == 200
    assert 'value="19-Nov-2026"' in (await root.get("/reports/alerts")).text


def test_a_bare_day_of_a_report_is_whole() -> None:
    assert CHICAGO.starts(date(2026, 11, 1)) == datetime(2026, 11, 1, 5, tzinfo=UTC)
    assert CHICAGO.ends(date(2026, 11, 1)) == datetime(2026, 11, 2, 5, 59, 59, 999999, tzinfo=UTC)
