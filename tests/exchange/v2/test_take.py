"""Messages into the record: whole or not at all, once however often sent, never filed to the wrong patient."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import pytest

from commonchart.access import users
from commonchart.access.records import Put, Records
from commonchart.exchange.v2 import history
from commonchart.exchange.v2.answer import answered
from commonchart.exchange.v2.compose import Envelope, Site
from commonchart.exchange.v2.message import parse
from commonchart.exchange.v2.receive import received
from commonchart.exchange.v2.response import EvaluatedDose, Forecast, Read
from commonchart.exchange.v2.response import read as read_response
from commonchart.exchange.v2.take import Taken, take
from commonchart.exchange.v2.vxu import Sender
from commonchart.fhir import json
from commonchart.fhir.outcome import Forbidden
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from commonchart.search.query import parse as parse_query
from tests.conftest import Clock
from tests.exchange.v2.samples import dose, message, obx, pid
from tests.shared import shared_data

SITE = Site("EHR", "CLINIC")


@pytest.fixture
def records(database: Database, clock: Clock) -> Records:
    return Records(database, users.system(1, "v2"), clock)


async def taken(records: Records, *segments: str, **how: str) -> Taken:
    return await take(records, parse(message(*segments, **how)), SITE)


async def found(records: Records, rtype: str) -> list[dict[str, Any]]:
    page = await records.search(parse_query(rtype, [("_count", "100")]))
    return [json.decode(one.body or b"{}") for one in page.matches]


def counts(done: Taken) -> tuple[bool, int, int, int]:
    return done.accepted, done.created, done.changed, done.unchanged


def code(done: Taken) -> str:
    msa = done.answer.first("MSA")
    assert msa is not None
    return msa.text(1)


def errors(done: Taken) -> list[str]:
    return [note.at for note in done.notes if note.severity == "E"]


async def stored(records: Records, *resources: dict[str, Any]) -> None:
    await records.commit([Put(validate(one), one["id"]) for one in resources])


def known(id: str = "p1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": id,
        "identifier": [{"system": "urn:hl7-v2:authority:COUNTY", "value": "77"}],
        "name": [{"family": "Lovelace", "given": ["Ada"]}],
        "birthDate": "2024-02-15",
    } | more


async def test_the_same_message_twice_changes_nothing(records: Records) -> None:
    text = (pid(), *dose(), obx("31044-1", "CE", "VXC12^Fever^CDCPHINVS"), *dose("D2", date="20250401"))
    first = await taken(records, *text)
    assert (code(first), counts(first)) == ("AA", (True, 4, 0, 0))
    again = await taken(records, *text)
    assert (code(again), counts(again)) == ("AA", (True, 0, 0, 3))
    (who,) = await found(records, "Patient")
    doses = await found(records, "Immunization")
    assert {one["patient"]["reference"] for one in doses} == {f"Patient/{who['id']}"}
    (seen,) = await found(records, "Observation")
    assert seen["partOf"][0]["reference"] in {f"Immunization/{one['id']}" for one in doses}
    assert {one["meta"]["source"] for one in [who, seen, *doses]} == {"urn:hl7-v2:sender:REG/COUNTY"}


async def test_two_at_once_make_one_patient_and_one_dose(records: Records) -> None:
    await asyncio.gather(*(taken(records, pid(), *dose()) for _ in range(4)))
    assert len(await found(records, "Patient")) == 1
    assert len(await found(records, "Immunization")) == 1


async def test_an_update_keeps_what_it_does_not_say_and_clears_what_it_nulls(records: Records) -> None:
    await taken(records, pid(), *dose())
    (before,) = await found(records, "Immunization")
    await stored(records, {**before, "note": [{"text": "ours"}]})
    changed = await taken(records, pid(), *dose(lot="L2", action="U"), id="m2")
    assert counts(changed) == (True, 0, 1, 0)
    (after,) = await found(records, "Immunization")
    assert (after["id"], after["lotNumber"], after["note"]) == (before["id"], "L2", [{"text": "ours"}])
    await taken(records, pid(), *dose(lot='""', action="U"), id="m3")
    (cleared,) = await found(records, "Immunization")
    assert "lotNumber" not in cleared


async def test_a_delete_marks_as_entered_in_error_and_is_not_undone_by_a_replay(records: Records) -> None:
    await taken(records, pid(), *dose())
    gone = await taken(records, pid(), *dose(action="D"), id="m2")
    assert counts(gone) == (True, 0, 1, 0)
    (after,) = await found(records, "Immunization")
    assert after["status"] == "entered-in-error"
    replay = await taken(records, pid(), *dose())
    assert (code(replay), errors(replay)) == ("AE", ["RXA"])
    assert (await found(records, "Immunization"))[0]["status"] == "entered-in-error"


async def test_a_correction_takes_back_what_it_contradicts(records: Records) -> None:
    first = dose(status="PA", origin="01^Historical^NIP001")
    await taken(records, pid(), *first)
    assert (await found(records, "Immunization"))[0]["isSubpotent"] is True
    await taken(records, pid(), *dose(action="U"), id="m2")
    (after,) = await found(records, "Immunization")
    assert not {"isSubpotent", "subpotentReason", "reportOrigin"} & after.keys()
    await taken(records, pid(), *dose(action="U", status="RE", reason="03^Patient decision^NIP002"), id="m3")
    assert (await found(records, "Immunization"))[0]["status"] == "not-done"
    await taken(records, pid(), *dose(action="U"), id="m4")
    assert "statusReason" not in (await found(records, "Immunization"))[0]


async def test_a_giver_that_is_nulled_leaves_nobody_behind(records: Records) -> None:
    await taken(records, pid(), *dose())
    giver = "7824^Jackson^Lily^^^^^^COUNTY^L^^^NPI"
    nulled = [one.replace(giver, '""') for one in dose(action="U")]
    assert code(await taken(records, pid(), *nulled, id="m2")) == "AA"
    assert not {"performer", "contained"} & (await found(records, "Immunization"))[0].keys()


@pytest.mark.parametrize("day", ["20230101", "20261121", "2027"])
async def test_a_dose_before_birth_or_in_the_future_is_refused(records: Records, day: str) -> None:
    done = await taken(records, pid(), *dose(date=day))
    assert (code(done), errors(done)) == ("AE", ["RXA-3"])
    assert await found(records, "Patient") == []


async def test_very_long_values_are_stored_or_refused(records: Records) -> None:
    long = "x" * 100_000
    for text in (
        message(pid(number=long), *dose()), message(pid(name=f"{long}^{long}"), *dose("D2")), message(pid(), *dose(long)),
        message(pid(), *dose("D3", lot=long)), message(pid(), *dose(), id=long), message(pid(), *dose()).replace("|REG|", f"|{long}|"),
    ):  # fmt: skip
        (done,) = await received(records, text.encode(), SITE)
        assert code(done) in ("AA", "AE", "AR")
        assert len(str(done.answer)) < 5_000


async def test_a_delete_of_nothing_is_refused(records: Records) -> None:
    done = await taken(records, pid(), *dose(action="D"))
    assert (code(done), errors(done)) == ("AE", ["RXA"])
    assert await found(records, "Patient") == []


async def test_one_error_and_nothing_is_stored(records: Records) -> None:
    done = await taken(records, pid(), *dose(), *dose("D2", date="20250230"))
    assert (code(done), errors(done)) == ("AE", ["RXA[2]-3"])
    assert await found(records, "Patient") == await found(records, "Immunization") == []


async def test_a_record_number_known_here_is_the_patient_and_stays_as_it_is(records: Records) -> None:
    await stored(records, known())
    done = await taken(records, pid(), *dose())
    assert counts(done) == (True, 1, 0, 0)
    (who,) = await found(records, "Patient")
    assert "gender" not in who
    assert any("Patient.gender" in note.why for note in done.notes)


async def test_the_sender_of_a_patient_may_change_it(records: Records) -> None:
    await taken(records, pid(), *dose())
    done = await taken(records, pid(name="Byron^Ada^^^^^L"), *dose(), id="m2")
    assert counts(done) == (True, 0, 1, 1)
    (who,) = await found(records, "Patient")
    assert who["name"][0]["family"] == "Byron"


@pytest.mark.parametrize(
    "there",
    [
        [known(birthDate="1985-12-10")],
        [known(name=[{"family": "Babbage", "given": ["Charles"]}])],
        [known(), known("p2")],
        [known(identifier=[{"system": "urn:x", "value": "1"}])],
    ],
    ids=["other birth date", "other name", "two of the number", "same name and birth date, other number"],
)
async def test_a_doubtful_patient_is_never_filed(records: Records, there: Sequence[dict[str, Any]]) -> None:
    await stored(records, *there)
    done = await taken(records, pid(), *dose())
    assert (code(done), errors(done)) == ("AE", ["PID-3"])
    assert await found(records, "Immunization") == []
    assert len(await found(records, "Patient")) == len(there)


async def test_a_filler_number_of_another_patient_is_refused(records: Records) -> None:
    await taken(records, pid(), *dose())
    done = await taken(records, pid("78", "Byron^Allegra^^^^^L", "20200112"), *dose(), id="m2")
    assert (code(done), errors(done)) == ("AE", ["RXA"])
    assert len(await found(records, "Patient")) == 1


async def test_other_messages_and_no_messages_are_rejected(records: Records) -> None:
    other = await taken(records, pid(), kind="ADT^A01")
    assert (code(other), errors(other)) == ("AR", ["MSH-9"])
    old = await take(records, parse(message(pid(), *dose()).replace("|2.5.1|", "|2.1|")), SITE)
    assert (code(old), errors(old)) == ("AR", ["MSH-12"])
    (junk,) = await received(records, b"\x00\x01not hl7", SITE)
    assert code(junk) == "AR"


async def test_each_message_of_a_file_is_answered_for_itself(records: Records) -> None:
    broken = message(pid() + "\x00", *dose("D2"), id="m2")
    text = message(pid(), *dose()) + broken + message(kind="ADT^A01", id="m3") + qbp()
    several = await received(records, text.encode(), SITE)
    assert [code(one) for one in several] == ["AA", "AR", "AR", "AA"]
    abouts = [one.answer.segments[1].text(2) for one in several]
    assert abouts == ["m1", "m2", "m3", "q1"]
    assert errors(several[1]) == ["PID-8"]
    assert several[3].answer.kind == ("RSP", "K11")
    assert len(await found(records, "Immunization")) == 1


async def test_a_refusal_holds_no_patient_data(records: Records) -> None:
    await stored(records, known(birthDate="1985-12-10"))
    done = await taken(records, pid(), *dose())
    said = str(done.answer)
    assert not [
        word
        for word in ("Lovelace", "Ada", "19851210", "1985-12-10", "77")
        if re.search(rf"\b{word}\b", said)
    ]


async def test_who_may_not_write_takes_nothing(database: Database, clock: Clock) -> None:
    from commonchart.access.actors import Actor

    reader = Records(database, Actor(1, "x", "x", "patient", "", "t", patient="p9", network=False), clock)
    with pytest.raises(Forbidden):
        await take(reader, parse(message(pid(), *dose())), SITE)


async def test_the_shared_messages_are_taken(records: Records) -> None:
    data = shared_data("hl7v2", "VXU-V04-02.hl7").read_bytes()
    (done,) = await received(records, data, SITE)
    assert (code(done), len(await found(records, "Immunization"))) == ("AA", 3)
    (again,) = await received(records, data, SITE)
    assert (again.created, again.changed) == (0, 0)


# ---- out again, and queries ------------------------------------------------------------------------------------


async def test_what_was_taken_goes_out_and_comes_in_elsewhere_the_same(
    records: Records, clock: Clock
) -> None:
    await taken(records, pid(), *dose(), obx("31044-1", "CE", "VXC12^Fever^CDCPHINVS"))
    (who,) = await found(records, "Patient")
    outside = Envelope(Site("REG", "COUNTY"), Sender("EHR", "CLINIC"), "m9", clock())
    sent = history.vxu(outside, await history.of(records, who["id"]))
    assert sent.left == ()
    done = await take(records, parse(sent.message.encoded()), SITE)
    assert counts(done) == (True, 0, 0, 2)


def qbp(
    profile: str = "Z34",
    *,
    number: str = "77",
    name: str = "Lovelace^Ada",
    born: str = "20240215",
    most: int = 5,
) -> str:
    qpd = f"QPD|{profile}^Request^CDCPHINVS|tag1|{number}^^^COUNTY^MR|{name}||{born}|F"
    return message(qpd, f"RCP|I|{most}^RD", kind="QBP^Q11^QBP_Q11", id="q1", profile=profile)


async def asked(records: Records, text: str, **how: Any) -> Read:
    return read_response(parse((await answered(records, parse(text), SITE, **how)).encoded()))


async def test_a_query_is_answered_by_record_number_and_by_name(records: Records) -> None:
    await taken(records, pid(), *dose())
    for text in (qbp(), qbp(number=""), qbp(number="999")):
        answer = (await asked(records, text)).answer
        assert (answer.profile, answer.status, len(answer.doses)) == ("Z32", "OK", 1)
    for text in (
        qbp(number="", born="20240216"),
        qbp(number="", name="Lovelace^Anne"),
        qbp(number="", born="2024"),
    ):
        answer = (await asked(records, text)).answer
        assert (answer.profile, answer.status) == ("Z33", "NF")


async def test_a_retracted_dose_is_not_answered(records: Records) -> None:
    await taken(records, pid(), *dose(), *dose("D2", date="20250401"))
    await taken(records, pid(), *dose(action="D"), id="m2")
    (only,) = (await asked(records, qbp())).answer.doses
    assert only["occurrenceDateTime"] == "2025-04-01"


async def test_candidates_and_too_many(records: Records) -> None:
    other = [{"system": "urn:x", "value": "1"}]
    await stored(records, known("p1", identifier=other), known("p2", identifier=other))
    answer = (await asked(records, qbp(number=""))).answer
    assert (answer.profile, len(answer.candidates)) == ("Z31", 2)
    answer = (await asked(records, qbp(number="", most=1))).answer
    assert (answer.profile, answer.status) == ("Z33", "TM")


async def test_an_evaluation_that_did_not_run_says_so(records: Records) -> None:
    await taken(records, pid(), *dose())
    answer = (await asked(records, qbp("Z44"))).answer
    assert (answer.profile, answer.evaluated, answer.forecasts) == ("Z42", (), ())
    assert any("NOT CHECKED" in note.why for note in answer.notes)


async def test_an_evaluation_fills_the_answer(records: Records) -> None:
    await taken(records, pid(), *dose())

    async def evaluate(whole: history.History) -> tuple[list[EvaluatedDose], list[Forecast]]:
        vaccine = ("03", "MMR", "CVX")
        return [EvaluatedDose(whole.doses[0]["id"], vaccine, True, 1, 2)], [
            Forecast(vaccine, "on-schedule", 2, 2)
        ]

    answer = (await asked(records, qbp("Z44"), evaluate=evaluate)).answer
    assert (answer.evaluated[0].valid, answer.forecasts[0].status) == (True, "on-schedule")
    assert answer.notes == ()


async def test_what_is_no_query_is_rejected_and_a_bad_one_answered_as_error(records: Records) -> None:
    ack = await answered(records, parse(message(pid(), kind="ADT^A01")), SITE)
    assert ack.kind[0] == "ACK"
    answer = (await asked(records, qbp("Z99"))).answer
    assert (answer.profile, answer.status, answer.notes[0].at) == ("Z33", "AE", "QPD-1")
