"""What decodes is read in one way only, and encodes to the very same numbers."""

import copy
import gc
import pickle
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.fhir.json import Written, decode, encode
from commonchart.fhir.outcome import Malformed, TooLarge

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
WHOLE = st.integers(-(10**40), 10**40)
EXACT = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?", fullmatch=True).filter(
    lambda text: not text.lstrip("-").isdigit()
)
LEAF = st.none() | st.booleans() | WHOLE | EXACT.map(Written) | TEXT
VALUE = st.recursive(
    LEAF,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(TEXT, inside, max_size=4),
    max_leaves=20,
)


def spelled(value: Any) -> Any:
    """A value with its decimals as text, so that 1.10 and 1.1 differ."""
    if isinstance(value, dict):
        return {key: spelled(child) for key, child in value.items()}
    if isinstance(value, list):
        return [spelled(child) for child in value]
    return ("decimal", str(value)) if isinstance(value, Decimal) else value


@given(st.dictionaries(TEXT, VALUE, max_size=5))
def test_what_is_encoded_decodes_to_the_same(value: dict[str, Any]) -> None:
    assert spelled(decode(encode(value))) == spelled(value)


@given(EXACT)
def test_a_decimal_keeps_every_character(text: str) -> None:
    data = b'{"a":%s}' % text.encode()
    assert encode(decode(data)) == data


@pytest.mark.parametrize(
    "text", ["1.10", "1E+3", "1e3", "-0.0", "0.000000000000000001", "0.00", "-0.00000000", "100.0e-5"]
)
def test_notable_decimals_keep_every_character(text: str) -> None:
    value = decode(b'{"a":%s}' % text.encode())
    assert value["a"] == Decimal(text)
    assert encode(value) == b'{"a":%s}' % text.encode()


def test_a_written_decimal_survives_copies_and_processes() -> None:
    value = decode(b'{"a":1e3,"b":[0.00000001]}')
    for again in (copy.deepcopy(value), pickle.loads(pickle.dumps(value)), copy.copy(value)):
        assert encode(again) == b'{"a":1e3,"b":[0.00000001]}'
    assert value["a"] + 1 == 1001


def test_whole_numbers_stay_whole() -> None:
    value = decode(b'{"a":3,"b":3.0,"c":12345678901234567890123}')
    assert [type(v) for v in value.values()] == [int, Decimal, int]
    assert value["c"] == 12345678901234567890123


def test_keys_keep_their_order() -> None:
    data = b'{"z":1,"a":{"y":2,"b":3}}'
    assert encode(decode(data)) == data


def test_text_is_kept_as_utf8() -> None:
    data = '{"name":"Zoë Müller 山田 🩺"}'.encode()
    assert encode(decode(data)) == data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON"),
        (b"   ", "not JSON"),
        (b'{"a":1', "not JSON"),
        (b'{"a":1}x', "not JSON"),
        (b'{"a":1}{"a":1}', "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b'{"a":1,}', "not JSON"),
        (b'{"a":01}', "not JSON"),
        (b'{"a":.5}', "not JSON"),
        (b'{"a":5.}', "not JSON"),
        (b'{"a":+5}', "not JSON"),
        (b'{"a":NaN}', "not JSON"),
        (b'{"a":Infinity}', "not JSON"),
        (b'{"a":-Infinity}', "not JSON"),
        (b'{"a":"line\nbreak"}', "not JSON"),
        (b'{"a":"\\x41"}', "not JSON"),
        (b'{"a":"\\ud800"}', "not JSON"),
        (b'{"a":"\\udc00"}', "not JSON"),
        (b'{"a":"\\ud800x"}', "not JSON"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a":"\xff"}', "not UTF-8"),
        ('{"a":1}'.encode("utf-16"), "UTF-8"),
        (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
        (b'{"a":"\x00"}', "NUL"),
        (b'{"a":"\\u0000"}', "NUL"),
        (b'{"\\u0000":1}', "NUL"),
        (b"[]", "not an object"),
        (b'"a"', "not an object"),
        (b"null", "not an object"),
        (b'{"a":1,"a":1}', "twice"),
        (b'{"a":1,"\\u0061":1}', "twice"),
        (b'{"a":1,"a" :1}', "twice"),
        (b'{"a":1,"a"\t:1}', "twice"),
        (b'{"a":1,"a"\n:1}', "twice"),
        (b'{"a":1,"a"\r\n:1}', "twice"),
        (b'{"a":1,"a" :"\\":"}', "twice"),
        (b'{"a":"\\":","a" :1}', "twice"),
        (b'{"b":[{"c":{"d":1,"e":2,"d" : 3}}]}', "twice"),
        (b'{"a":%s}' % (b"9" * 10_000), "not JSON"),
        (b'{"a":%s}' % (b"9" * 101), "digits"),
        (b'{"a":-%s}' % (b"9" * 101), "digits"),
        (b'{"a":0.%s}' % (b"9" * 10_000), "characters"),
        (b'{"a":1e999999999}', "exponent"),
        (b'{"a":1e-999999999}', "exponent"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        rb'{"a":"{\"b\":1,\"b\":2}"}',
        rb'{"a":"\\","b":"\": \""}',
        b'{"a":{"x":1},"b":{"x":2},"c":[{"x":3},{"x":4}]}',
        b'{"a" \t:\r\n1,"b" : "\\u0001 \\\\u0000"}',
    ],
)
def test_what_only_looks_like_a_repeated_key_or_a_nul_is_read(data: bytes) -> None:
    assert decode(data)


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """An object whose innermost container is at `depth`."""
    return b'{"a":' + opening * (depth - 1) + b"1" + closing * (depth - 1) + b"}"


def test_depth_is_bounded() -> None:
    assert decode(nested(64))
    with pytest.raises(Malformed, match="more than 64 deep"):
        decode(nested(65))
    assert decode(nested(65), max_depth=65)


@pytest.mark.parametrize(
    "bomb", [b"[" * 100_000, b'{"a":' * 100_000, nested(100_000), b'{"a":' + b"[" * 5_000_000]
)
def test_a_depth_bomb_is_refused_at_once(bomb: bytes) -> None:
    started = time.process_time()
    with pytest.raises(Malformed):
        decode(bomb)
    assert time.process_time() - started < 1


def test_a_huge_body_is_refused_before_it_is_read() -> None:
    started = time.process_time()
    with pytest.raises(TooLarge, match="50000000 bytes"):
        decode(b"[" * 50_000_000)
    assert time.process_time() - started < 0.1


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":[' + b"[]," * 5_000_000 + b"[]]}",
        b'{"a":[' + b"1e9," * 3_900_000 + b"1]}",
        b"{" + b",".join(b'"%d":1' % n for n in range(1_000_000)) + b"}",
    ],
    ids=["empty arrays", "numbers", "names"],
)
def test_a_body_of_very_many_small_values_is_refused_soon(body: bytes) -> None:
    started = time.process_time()
    with pytest.raises((Malformed, TooLarge)):
        decode(body)
    assert time.process_time() - started < 1


def test_a_large_body_leaves_the_collector_running() -> None:
    assert decode(b'{"a":"%s"}' % (b"x" * 100_000))
    with pytest.raises(Malformed):
        decode(b'{"a":"%s"' % (b"x" * 100_000))
    assert gc.isenabled()


def test_the_bound_on_size_is_the_callers() -> None:
    assert decode(b'{"a":1}', max_bytes=7)
    with pytest.raises(TooLarge):
        decode(b'{"a":1}', max_bytes=6)


@given(st.binary(max_size=60) | TEXT.map(lambda text: b"{" + text.encode() + b"}"))
def test_any_bytes_are_an_object_or_a_refusal(data: bytes) -> None:
    try:
        value = decode(data)
    except Malformed:
        return
    assert isinstance(value, dict)


@given(st.dictionaries(TEXT, VALUE, min_size=1, max_size=4), st.data())
def test_repeating_any_key_is_noticed(value: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(value)))
    body = encode(value)
    doubled = body[:-1] + b"," + encode({key: 1})[1:]
    with pytest.raises(Malformed, match="twice"):
        decode(doubled)


def test_only_json_values_are_encoded() -> None:
    with pytest.raises(TypeError):
        encode({"a": object()})
