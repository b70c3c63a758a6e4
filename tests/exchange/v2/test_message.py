"""HL7 v2 text: the same text back, values escaped, everything bounded, only `Invalid` and `TooLarge` raised."""

from __future__ import annotations

import re
from typing import Any

import hl7
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.exchange.v2.message import (
    MAX_SEGMENTS,
    NULL,
    STANDARD,
    Marks,
    Message,
    Value,
    built,
    escaped,
    messages,
    numbered,
    parse,
    unescaped,
)
from commonchart.fhir.outcome import Invalid, TooLarge
from tests.exchange.v2.samples import message, pid
from tests.shared import shared_data

texts = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("|^~\\&\r\n\"'XFST.#")), max_size=12
)
filled = texts.filter(bool)
components = st.one_of(filled, st.lists(filled, min_size=2, max_size=3).map(tuple))
repetitions = st.one_of(filled, st.lists(components, min_size=2, max_size=4).map(tuple))
values = st.one_of(repetitions, st.lists(repetitions, min_size=2, max_size=3))
bodies = st.lists(st.dictionaries(st.integers(1, 9), values, min_size=1, max_size=5), max_size=4)
marks = st.sampled_from([STANDARD, Marks("#", "*", "+", "/", "%"), Marks("|", "^", "~", "\\", "&", "#")])

HEAD: dict[int, Value] = {3: "A", 9: ("VXU", "V04"), 10: "1", 18: "UNICODE UTF-8"}


def made(fields: list[dict[int, Value]], signs: Marks = STANDARD) -> Message:
    return numbered([built("MSH", HEAD, signs), *(built("ZZZ", one, signs) for one in fields)])


def plain(value: Any) -> list[tuple[tuple[str, ...], ...]]:
    """A value as `Segment.reps` gives it."""
    reps = value if isinstance(value, list) else [value]
    as_components = [rep if isinstance(rep, tuple) else (rep,) for rep in reps]
    return [tuple(c if isinstance(c, tuple) else (c,) for c in rep) for rep in as_components]


@given(bodies, marks)
def test_what_is_built_is_read_back_value_for_value(fields: list[dict[int, Value]], signs: Marks) -> None:
    back = parse(made(fields, signs).encoded())
    assert len(back.segments) == len(fields) + 1
    for segment, one in zip(back.named("ZZZ"), fields, strict=True):
        for n, value in one.items():
            assert segment.reps(n) == plain(value)


@given(bodies, marks)
def test_what_is_read_is_written_as_it_was(fields: list[dict[int, Value]], signs: Marks) -> None:
    text = str(made(fields, signs))
    assert str(parse(text)) == text
    assert str(parse(text.replace("\r", "\n"))) == text
    assert str(parse(text.replace("\r", "\r\n"))) == text


@given(bodies)
@settings(max_examples=60)
def test_the_hl7_library_reads_the_same(fields: list[dict[int, Value]]) -> None:
    text = str(made(fields))
    theirs, ours = hl7.parse(text), parse(text)
    assert [str(one[0]) for one in theirs] == [one.name for one in ours.segments]
    for their, our in zip(theirs, ours.segments, strict=True):
        for n, raw in enumerate(our.raw, 1):
            assert str(their[n]).rstrip() == raw.rstrip()
            same_parts(their[n], raw)


def same_parts(their: Any, raw: str) -> None:
    """The library splits a field into the same repetitions and components as `Segment.reps`."""
    if raw in ("|", "^~\\&"):
        return
    theirs = [rep if isinstance(rep, hl7.Repetition) else [rep] for rep in their]
    assert [[str(part) for part in rep] for rep in theirs][:-1] == [one.split("^") for one in raw.split("~")][
        :-1
    ]
    assert "^".join(str(part) for part in theirs[-1]).rstrip() == raw.split("~")[-1].rstrip()


def test_the_shared_messages_are_read_as_the_hl7_library_reads_them() -> None:
    files = sorted(shared_data("hl7v2").glob("*.hl7"))
    assert len(files) == 66
    for file in files:
        text = file.read_bytes().decode("utf-8-sig")
        canonical = "".join(f"{line}\r" for line in re.split(r"\r\n|\r|\n", text) if line.strip())
        ours, theirs = parse(file.read_bytes()), hl7.parse(canonical)
        assert str(ours) == canonical, file.name
        for their, our in zip(theirs, ours.segments, strict=True):
            # the library cuts the spaces at the end of a segment
            raws = [one.rstrip() for one in our.raw]
            assert [str(one).rstrip() for one in their[1:]] == raws, (file.name, our.name)
            for n, raw in enumerate(our.raw, 1):
                same_parts(their[n], raw)


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for whole in (data, b"MSH|^~\\&|A|B\r" + data):
        try:
            for one in messages(whole):
                str(one)
                for segment in one.segments:
                    for n in range(len(segment.raw) + 2):
                        segment.reps(n)
        except (Invalid, TooLarge):
            continue


@given(texts, marks)
def test_an_escaped_text_holds_no_delimiter_and_comes_back(text: str, signs: Marks) -> None:
    there = escaped(text, signs)
    assert unescaped(there, signs) == text
    assert unescaped(there, signs) is not NULL
    outside = re.sub(re.escape(signs.escape) + ".+?" + re.escape(signs.escape), "", there)
    assert not set(outside) & set(signs.field + signs.encoding + "\r\n\0")


def test_a_value_cannot_become_a_segment_or_a_null() -> None:
    evil = "x\rMSH|^~\\&|EVIL\rPID|1||1"
    built_message = made([{1: evil, 2: '""', 3: (evil, '""')}])
    assert str(built_message).count("\r") == 2
    back = parse(str(built_message)).first("ZZZ")
    assert back is not None
    assert back.text(1) == evil
    assert back.text(2) == '""'
    assert not back.null(2)


def test_null_is_not_empty() -> None:
    zzz = parse(message('ZZZ|""||a^""^b')).first("ZZZ")
    assert zzz is not None
    assert (zzz.null(1), zzz.null(2)) == (True, False)
    assert zzz.text(1) == ""
    assert zzz.reps(3)[0][1] == (NULL,)
    assert str(built("ZZZ", {1: NULL})) == 'ZZZ|""'


def test_escapes_of_the_standard() -> None:
    assert unescaped(r"a\F\b\S\c\T\d\R\e\E\f") == r"a|b^c&d~e\f"
    assert unescaped(r"one\.br\two\X0D0A\three\XC3A9\ ") == "one\ntwo\r\nthreeé "
    assert unescaped(r"\H\bold\N\ \Zxx\ \XFF\ \ ") == "bold " + r"\Zxx\ \XFF\ " + "\\ "


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("MSH", "MSH-1"),
        ("MSHA^~\\&A", "MSH-1"),
        ("MSH|^~\\", "MSH-2"),
        ("MSH|^^\\&|", "MSH-2"),
        ("MSH|abcd|", "MSH-2"),
        ("MSH|^~\\&|A\rPID|1|\x00", "PID-2"),
        ("MSH|^~\\&|A\rRXA|1\rRXA|1||\x1b[0m", "RXA[2]-3"),
        ("MSH|^~\\&|A\rpid|1", "segment 2"),
        ("PID|1", "MSH"),
        ("", "MSH"),
        ("MSH|^~\\&||||||||||||||||KLINGON", "MSH-18"),
        ("BHS|^~\\&\rMSH|^~\\&|A\rBTS|2", "BTS-1"),
    ],
)
def test_what_cannot_be_read_is_refused_where_it_is(text: str, at: str) -> None:
    with pytest.raises(Invalid) as refused:
        messages(text.encode())
    assert refused.value.issues[0].at == at


@pytest.mark.parametrize(
    "text",
    [
        "MSH|^~\\&|A" + "\rZZZ|1" * (MAX_SEGMENTS + 1),
        "MSH|^~\\&|A\rZZZ|" + "x" * 1_000_001,
        "MSH|^~\\&|A\rZZZ|" + "x~" * 10_000,
        "MSH|^~\\&|A\rZZZ|" + "x^" * 10_000,
        "MSH|^~\\&|A\rZZZ|" + "|" * 10_000,
        "x" * (10 * 1024 * 1024 + 1),
    ],
    ids=["segments", "field", "repetitions", "components", "fields", "bytes"],
)
def test_what_is_too_large_is_refused(text: str) -> None:
    with pytest.raises(TooLarge):
        messages(text.encode())


def test_the_character_set_is_that_of_msh_18() -> None:
    head = "MSH|^~\\&||||||||||||||||{}\rPID|1||José"
    assert parse(head.format("8859/1").encode("latin-1")).segments[1].text(3) == "José"
    assert parse(head.format("UNICODE UTF-8").encode()).segments[1].text(3) == "José"
    assert parse(b"\xef\xbb\xbf" + head.format("").encode()).segments[1].text(3) == "José"
    with pytest.raises(Invalid, match="Line 2"):
        parse(head.format("UNICODE UTF-8").encode("latin-1"))


def test_a_batch_and_a_frame_are_opened() -> None:
    batch = "FHS|^~\\&\rBHS|^~\\&\r" + message(pid()) + message(pid(), id="m2") + "BTS|2\rFTS|1\r"
    assert [one.control_id for one in messages(batch.encode())] == ["m1", "m2"]
    assert parse(b"\x0b" + message(pid()).encode() + b"\x1c\r").control_id == "m1"
    with pytest.raises(Invalid):
        parse(batch)


def test_a_long_row_of_escapes_is_read_in_linear_time() -> None:
    text = "\\" * 200_000
    assert unescaped(text)
    assert unescaped(("\\X" + "0" * 50) * 4_000)
