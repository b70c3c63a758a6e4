"""QBP^Q11 and RSP^K11, out and in."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.exchange.v2 import query, response
from commonchart.exchange.v2.message import Message, parse
from commonchart.exchange.v2.query import Query
from commonchart.exchange.v2.reading import Note
from commonchart.exchange.v2.response import STATUSES, Answer, EvaluatedDose, Forecast, Read
from tests.exchange.v2.samples import message
from tests.exchange.v2.test_compose import OUTSIDE, immunization, patient

QPD = (
    "QPD|{profile}^Request^CDCPHINVS|tag1|77^^^COUNTY^MR|Lovelace^Ada^^^^^L|Milbanke^Anne^^^^^M|20240215|F|"
    "1 Elm St^^Springfield^IL^^^H|^PRN^PH^^^217^5550142|Y|2"
)
MMR = ("03", "MMR", "CVX")


def asked(profile: str = "Z34", rcp: str = "RCP|I|5^RD&Records&HL70126") -> Query:
    text = message(QPD.format(profile=profile), rcp, kind="QBP^Q11^QBP_Q11", id="q1", profile=profile)
    return query.read(parse(text))


@pytest.mark.parametrize("profile", ["Z34", "Z44"])
def test_a_query_says_whom_it_asks_about(profile: str) -> None:
    found = asked(profile)
    assert (found.profile, found.tag, found.control_id, found.limit, found.notes) == (
        profile,
        "tag1",
        "q1",
        5,
        (),
    )
    assert found.patient["identifier"][0]["value"] == "77"
    assert found.patient["name"][0] == {"use": "official", "family": "Lovelace", "given": ["Ada"]}
    assert found.patient["birthDate"] == "2024-02-15"
    assert found.patient["extension"][0]["valueString"] == "Milbanke"


def test_a_query_of_ours_is_read_as_it_was_asked() -> None:
    wanted = {
        name: value
        for name, value in patient().items()
        if name not in ("communication", "resourceType", "deceasedBoolean")
    }
    back = query.read(parse(query.build(OUTSIDE, Query("Z44", "t", wanted, limit=7)).encoded()))
    assert (back.profile, back.tag, back.limit) == ("Z44", "t", 7)
    assert back.patient == wanted


def test_a_bad_query_is_told() -> None:
    text = message("QPD|Z99^x^CDCPHINVS||", "RCP|I|many", kind="QBP^Q11^QBP_Q11")
    found = query.read(parse(text))
    assert {note.at for note in found.errors} == {"QPD-1", "QPD-2"}
    assert "RCP-2" in {note.at for note in found.notes}
    assert query.read(parse(message(kind="QBP^Q11"))).errors[0].at == "QPD"


def answered(answer: Answer, profile: str = "Z34") -> tuple[Message, Read]:
    built = response.build(OUTSIDE, asked(profile), answer)
    text = parse(built.encoded())
    return text, response.read(text)


def test_a_complete_history() -> None:
    text, found = answered(Answer("Z32", patient=patient(), doses=(immunization(),)))
    assert [one.name for one in text.segments[:5]] == ["MSH", "MSA", "QAK", "QPD", "PID"]
    assert str(text.segments[2]) == "QAK|tag1|OK|Z34^Request^CDCPHINVS"
    assert str(text.segments[3]) == QPD.format(profile="Z34")
    assert (found.tag, found.acknowledged, found.about) == ("tag1", "AA", "q1")
    assert found.answer.patient == patient()
    assert found.answer.doses == (immunization(),)
    assert found.answer.notes == ()


def test_candidates() -> None:
    other = patient(birthDate="2024-02-16")
    text, found = answered(Answer("Z31", candidates=(patient(), other)))
    assert [one.text(1) for one in text.named("PID")] == ["1", "2"]
    assert found.answer.candidates == (patient(), other)


@pytest.mark.parametrize(("status", "msa"), [("NF", "AA"), ("TM", "AA"), ("AE", "AE")])
def test_nothing_found_too_many_or_an_error(status: str, msa: str) -> None:
    text, found = answered(Answer("Z33", status, notes=(Note("QPD-6", "This is no date", "E", "102"),)))
    assert text.named("PID") == []
    assert (found.acknowledged, found.answer.status) == (msa, status)
    assert found.answer.notes == (Note("QPD-6", "This is no date", "E", "102"),)


def test_an_evaluated_history_and_forecast() -> None:
    dose = immunization(id="i1")
    for name in ("education", "protocolApplied", "fundingSource", "programEligibility", "note"):
        del dose[name]
    evaluated = (
        EvaluatedDose(
            "i1", MMR, False, 1, 2, "MMR 2-dose", reasons=("given 3 days before 12 months of age",)
        ),
        EvaluatedDose("i1", ("21", "Varicella", "CVX"), True, 1, 2),
    )
    forecasts = (
        Forecast(MMR, "overdue", 1, 2, date(2025, 2, 15), date(2025, 2, 15), date(2025, 6, 16), None, "MMR 2-dose", reasons=("catch up",)),
        Forecast(("20", "DTaP", "CVX"), "complete"),
    )  # fmt: skip
    text, found = answered(
        Answer("Z42", patient=patient(), doses=(dose,), evaluated=evaluated, forecasts=forecasts), "Z44"
    )
    assert [one.text(5) for one in text.named("RXA")] == ["03", "998"]
    codes = [one.text(3) for one in text.named("OBX")]
    assert codes[:7] == ["30956-7", "59779-9", "59780-7", "30973-2", "59782-3", "59781-5", "30982-3"]
    assert {"30979-9", "59783-1", "30981-5", "30980-7", "59778-1"} <= set(codes)
    assert "59777-3" not in codes
    url = found.doses[0].url
    expected = tuple(EvaluatedDose(url, *list(_rest(one))) for one in evaluated)
    assert found.answer.evaluated == expected
    assert found.answer.forecasts == forecasts
    assert {k: v for k, v in found.answer.doses[0].items() if k != "id"} == {
        k: v for k, v in dose.items() if k != "id"
    }
    assert found.answer.notes == ()


def _rest(one: EvaluatedDose) -> tuple[Any, ...]:
    return one.vaccine, one.valid, one.number, one.doses, one.series, one.schedule, one.reasons


days = st.none() | st.dates(date(1900, 1, 1), date(2199, 12, 31))
numbers = st.none() | st.integers(1, 99)
plain = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10)
    .map(str.strip)
    .filter(bool)
)
forecast = st.builds(
    Forecast, st.tuples(st.integers(1, 300).map(str), plain, st.just("CVX")),
    st.sampled_from([status for status, _ in STATUSES.values()] + [""]), numbers, numbers, days, days, days, days,
    st.just("") | plain, reasons=st.lists(plain, max_size=2).map(tuple),
)  # fmt: skip


@given(st.lists(forecast, min_size=1, max_size=6))
@settings(max_examples=80, deadline=None)
def test_every_forecast_comes_back(forecasts: list[Forecast]) -> None:
    _, found = answered(Answer("Z42", patient=patient(), forecasts=tuple(forecasts)), "Z44")
    assert found.answer.forecasts == tuple(forecasts)


def test_an_answer_of_another_registry_is_read_and_doubts_are_told() -> None:
    text = message(
        "MSA|AA|q1", "QAK|tag1|OK|Z44^x^CDCPHINVS", QPD.format(profile="Z44"), "PID|1||77^^^COUNTY^MR||Lovelace^Ada^^^^^L||20240215|F",
        "ORC|RE||9999^COUNTY", "RXA|0|1|20261101||998^No vaccine administered^CVX|999||||||||||||||NA",
        "OBX|1|CE|30956-7^Vaccine type^LN|1|20^DTaP^CVX||||||F", "OBX|2|DT|30980-7^Due^LN|1|20261201||||||F",
        "OBX|3|CE|59783-1^Status^LN|1|P^Past due^STC0002||||||F",
        "OBX|4|CE|30956-7^Vaccine type^LN||10^IPV^CVX||||||F", "OBX|5|DT|30980-7^Due^LN||202612||||||F",
        "OBX|6|NM|30973-2^Dose^LN||one||||||F",
        kind="RSP^K11^RSP_K11", profile="Z42",
    )  # fmt: skip
    found = response.read(parse(text))
    first, second = found.answer.forecasts
    assert (first.vaccine, first.due, first.status) == (("20", "DTaP", "CVX"), date(2026, 12, 1), "")
    assert (second.vaccine[0], second.due, second.number) == ("10", None, None)
    assert {note.at for note in found.answer.notes} == {"OBX[3]-5", "OBX[5]-5", "OBX[6]-5"}
