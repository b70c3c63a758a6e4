"""HL7 v2 messages as segments of raw fields, read on demand. HL7 version 2.5.1 chapter 2 (delimiters, escapes, null).

A message that was read and is written again is the same text; a message that is built escapes every value, so that no
value can become a delimiter, a segment or a null. Everything is bounded; what cannot be read raises `Invalid` naming
the segment and field, such as `RXA-3`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from msgspec import Struct

from commonchart.fhir.outcome import Invalid, TooLarge

MAX_BYTES = 10 * 1024 * 1024
MAX_MESSAGES = 10_000
MAX_SEGMENTS = 20_000
MAX_FIELDS = 500
MAX_FIELD = 1_000_000
MAX_PARTS = 1_000

CHARSETS = {
    "": "utf-8",
    "ASCII": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    **{f"8859/{n}": f"iso-8859-{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
}
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_HEADERS = ("MSH", "FHS", "BHS")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_BREAK = re.compile(r"\r\n|\r|\n")


class Null(str):
    """The HL7 null, two quotation marks: "delete what you have". Reads as no text."""

    __slots__ = ()


NULL = Null()

Component = str | tuple[str, ...]
Repetition = str | tuple[Component, ...]
Value = Repetition | list[Repetition]


class Marks(Struct, frozen=True):
    """The delimiters of one message, MSH-1 and MSH-2."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @property
    def encoding(self) -> str:
        """MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation


STANDARD = Marks()


class Segment(Struct, frozen=True):
    """One segment: `raw[0]` is field 1, still escaped. `n` counts the segments of this name in the message."""

    name: str
    raw: tuple[str, ...]
    marks: Marks = STANDARD
    n: int = 1

    def reps(self, field: int) -> list[tuple[tuple[str, ...], ...]]:
        """Every repetition as components of subcomponents, unescaped; [] for an empty field."""
        raw = self.raw[field - 1] if 0 < field <= len(self.raw) else ""
        if not raw:
            return []
        if self.name in _HEADERS and field <= 2:
            return [((raw,),)]
        return [_components(one, self.marks) for one in raw.split(self.marks.repetition)]

    def text(self, field: int, component: int = 1, subcomponent: int = 1) -> str:
        """One value of the first repetition, "" if it is not there."""
        return part(next(iter(self.reps(field)), ()), component, subcomponent)

    def null(self, field: int) -> bool:
        """Whether the field says "delete what you have"."""
        return 0 < field <= len(self.raw) and self.raw[field - 1] == '""'

    def at(self, field: int = 0) -> str:
        """Where this is, in words of a refusal: `RXA-3`, `RXA[2]-3` for the second RXA."""
        which = f"[{self.n}]" if self.n > 1 else ""
        return f"{self.name}{which}" + (f"-{field}" if field else "")

    def __str__(self) -> str:
        kept = self.raw[1:] if self.name in _HEADERS else self.raw
        return self.marks.field.join((self.name, *kept))


class Message(Struct, frozen=True):
    """One message, the MSH first."""

    segments: tuple[Segment, ...]

    @property
    def header(self) -> Segment:
        """The MSH."""
        return self.segments[0]

    @property
    def kind(self) -> tuple[str, str]:
        """(message code, trigger event), MSH-9."""
        return self.header.text(9, 1), self.header.text(9, 2)

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.header.text(10)

    def named(self, *names: str) -> list[Segment]:
        """The segments of these names, in order."""
        return [one for one in self.segments if one.name in names]

    def first(self, name: str) -> Segment | None:
        """The first segment of this name."""
        return next((one for one in self.segments if one.name == name), None)

    def __str__(self) -> str:
        return "".join(f"{one}\r" for one in self.segments)

    def encoded(self) -> bytes:
        """The bytes to send, in the character set that MSH-18 names. Raises Invalid."""
        try:
            return str(self).encode(_charset(self.header.text(18)))
        except UnicodeEncodeError:
            raise Invalid("The character set of the message lacks a character of it", at="MSH-18") from None


def part(repetition: tuple[tuple[str, ...], ...], component: int = 1, subcomponent: int = 1) -> str:
    """One value of a repetition, "" if it is not there."""
    if not 0 < component <= len(repetition):
        return ""
    parts = repetition[component - 1]
    return parts[subcomponent - 1] if 0 < subcomponent <= len(parts) else ""


# ---- reading ---------------------------------------------------------------------------------------------------


def messages(data: bytes | str) -> list[Message]:
    """Every message of a file: one, several, or a batch. Raises Invalid, TooLarge."""
    return [_message(lines) for lines in split(data)]


def split(data: bytes | str) -> list[list[str]]:
    """The lines of each message of a file or batch (FHS, BHS, BTS, FTS), not read yet. Raises Invalid, TooLarge."""
    text = decoded(data) if isinstance(data, bytes) else data
    if len(text) > MAX_BYTES:
        raise TooLarge(f"A message has at most {MAX_BYTES:,} characters")
    found: list[list[str]] = []
    counted = ""
    for line in _lines(text):
        if line.startswith("MSH"):
            found.append([])
        elif line[:3] in ("FHS", "BHS", "BTS", "FTS"):
            counted = counted or _batch_count(line)
            continue
        elif not found:
            raise Invalid("A message begins with MSH", at="MSH")
        found[-1].append(line)
    _counted(len(found), counted)
    return found


def _counted(n: int, said: str) -> None:
    if not n:
        raise Invalid("There is no message", at="MSH")
    if n > MAX_MESSAGES:
        raise TooLarge(f"A file has at most {MAX_MESSAGES:,} messages")
    if said and said != str(n):
        raise Invalid("The batch does not hold as many messages as it says", at="BTS-1")


def parse(data: bytes | str | Sequence[str]) -> Message:
    """Exactly one message, from its text or its lines. Raises Invalid, TooLarge."""
    if not isinstance(data, bytes | str):
        return _message(data)
    found = messages(data)
    if len(found) != 1:
        raise Invalid("There is more than one message", at="MSH")
    return found[0]


def decoded(data: bytes) -> str:
    """The text of a file, by the character set that its first MSH-18 names, without BOM and MLLP frame."""
    if len(data) > MAX_BYTES:
        raise TooLarge(f"A message has at most {MAX_BYTES:,} bytes")
    data = data.removeprefix(b"\xef\xbb\xbf").removeprefix(b"\x0b")
    data = data.removesuffix(b"\r").removesuffix(b"\x1c")
    start = data.find(b"MSH")
    head = _BREAK.split(data[start : start + 4_000].decode("latin-1"), maxsplit=1)[0] if start >= 0 else ""
    fields = head.split(head[3]) if len(head) > 3 else []
    named = fields[17] if len(fields) > 17 else ""
    try:
        return data.decode(_charset(re.split(r"[~^]", named)[0]))
    except UnicodeDecodeError as bad:
        line = len(_BREAK.findall(data[: bad.start].decode("latin-1"))) + 1
        raise Invalid(f"Line {line} is not in the character set of the message", at="MSH-18") from None


def _charset(name: str) -> str:
    if name.upper() not in CHARSETS:
        raise Invalid("This character set is not read here", at="MSH-18")
    return CHARSETS[name.upper()]


def _lines(text: str) -> Iterator[str]:
    return (line for line in _BREAK.split(text) if line.strip())


def _batch_count(line: str) -> str:
    return line[4:].split(line[3])[0].strip() if line.startswith("BTS") and len(line) > 4 else ""


def _message(lines: Sequence[str]) -> Message:
    if len(lines) > MAX_SEGMENTS:
        raise TooLarge(f"A message has at most {MAX_SEGMENTS:,} segments")
    marks = marks_of(lines[0])
    counts: Counter[str] = Counter()
    return Message(tuple(_segment(line, marks, counts) for line in lines))


def marks_of(header: str) -> Marks:
    """The delimiters that an MSH line names. Raises Invalid (MSH-1, MSH-2)."""
    field = header[3:4]
    encoding = header[4:].split(field, 1)[0] if field else ""
    if not _mark(field):
        raise Invalid("The field separator is one printable sign, no letter or digit", at="MSH-1")
    signs = field + encoding
    if not 4 <= len(encoding) <= 5 or len(set(signs)) != len(signs) or not all(map(_mark, encoding)):
        raise Invalid("The encoding characters are four or five different signs", at="MSH-2")
    return Marks(field, *encoding)


def _mark(sign: str) -> bool:
    return len(sign) == 1 and "!" <= sign <= "~" and not sign.isalnum() and sign not in "\"'."


def _segment(line: str, marks: Marks, counts: Counter[str]) -> Segment:
    name, *raw = line.split(marks.field)
    if not _NAME.fullmatch(name):
        raise Invalid(
            "A segment is named by three capital letters or digits", at=f"segment {counts.total() + 1}"
        )
    counts[name] += 1
    if name == "MSH":
        raw = [marks.field, *raw]
    made = Segment(name, tuple(raw), marks, counts[name])
    _bounded(made, line)
    return made


def _bounded(segment: Segment, line: str) -> None:
    """Refuse what is larger than any real message, or holds control characters that are not escaped."""
    if len(segment.raw) > MAX_FIELDS:
        raise TooLarge(f"A segment has at most {MAX_FIELDS} fields", at=segment.at())
    if _CONTROL.search(line) is not None:
        bad = next((n for n, raw in enumerate(segment.raw, 1) if _CONTROL.search(raw)), 0)
        raise Invalid("A control character that is not escaped", at=segment.at(bad))
    if len(line) > MAX_PARTS:
        for n, raw in enumerate(segment.raw, 1):
            _field_bounded(segment, n, raw)


def _field_bounded(segment: Segment, n: int, raw: str) -> None:
    if len(raw) > MAX_FIELD:
        raise TooLarge(f"A field has at most {MAX_FIELD:,} characters", at=segment.at(n))
    marks = segment.marks
    signs = sum(raw.count(sign) for sign in (marks.repetition, marks.component, marks.subcomponent))
    if signs > MAX_PARTS:
        raise TooLarge(f"A field has at most {MAX_PARTS:,} parts", at=segment.at(n))


def _components(raw: str, marks: Marks) -> tuple[tuple[str, ...], ...]:
    if raw == '""':
        return ((NULL,),)
    return tuple(
        tuple(unescaped(one, marks) for one in component.split(marks.subcomponent))
        for component in raw.split(marks.component)
    )


@cache
def _escapes(escape: str) -> re.Pattern[str]:
    sign = re.escape(escape)
    known = r"[FSTREPHN]|X(?:[0-9A-Fa-f]{2})+|\.(?:br|sp|sk|fi|nf|in|ti|ce)[+-]?\d{0,4}"
    return re.compile(f"{sign}({known}){sign}")


def unescaped(text: str, marks: Marks = STANDARD) -> str:
    """The value that an escaped text stands for; a sequence nobody here knows stays as it is written."""
    if text == '""':
        return NULL
    if marks.escape not in text:
        return text
    return _escapes(marks.escape).sub(lambda found: _meant(found, marks), text)


def _meant(found: re.Match[str], marks: Marks) -> str:
    code = found[1]
    named = {
        "F": marks.field, "S": marks.component, "T": marks.subcomponent, "R": marks.repetition,
        "E": marks.escape, "P": marks.truncation or found[0], "H": "", "N": "",
    }  # fmt: skip
    if code in named:
        return named[code]
    if code.startswith("X"):
        return _hexadecimal(code[1:]) or found[0]
    return "\n" if code[1:3] in ("br", "sp", "ce") else ""


def _hexadecimal(digits: str) -> str:
    try:
        return bytes.fromhex(digits).decode()
    except UnicodeDecodeError:
        return ""


# ---- building --------------------------------------------------------------------------------------------------


def escaped(text: str, marks: Marks = STANDARD) -> str:
    """The text as it may stand in a message: nothing in it is a delimiter, a line end or a null any more."""
    if isinstance(text, Null):
        return '""'
    if text == '""':
        return f"{marks.escape}X2222{marks.escape}"
    return "".join(_written(sign, marks) for sign in text) if _special(marks).search(text) else text


@cache
def _special(marks: Marks) -> re.Pattern[str]:
    return re.compile(f"[{re.escape(marks.field + marks.encoding)}\x00-\x1f\x7f]")


def _written(sign: str, marks: Marks) -> str:
    e = marks.escape
    named = {
        marks.field: "F", marks.component: "S", marks.subcomponent: "T", marks.repetition: "R", e: "E",
        "\n": ".br",
    }  # fmt: skip
    if sign in named:
        return f"{e}{named[sign]}{e}"
    if sign == marks.truncation or sign < " " or sign == "\x7f":
        return f"{e}X{ord(sign):02X}{e}"
    return sign


def built(name: str, values: Mapping[int, Value], marks: Marks = STANDARD, n: int = 1) -> Segment:
    """A segment from {field number: value}: text, a tuple of components (of subcomponents), or a list of repetitions."""
    last = max((field for field, value in values.items() if value or value is NULL), default=0)
    raw = [_field(values.get(field, ""), marks) for field in range(1, last + 1)]
    while raw and not raw[-1]:
        raw.pop()
    if name in _HEADERS:
        raw[:2] = [marks.field, marks.encoding]
    return Segment(name, tuple(raw), marks, n)


def numbered(segments: Sequence[Segment]) -> Message:
    """A message of these segments, each knowing which of its name it is."""
    counts: Counter[str] = Counter()
    out: list[Segment] = []
    for one in segments:
        counts[one.name] += 1
        out.append(Segment(one.name, one.raw, one.marks, counts[one.name]))
    return Message(tuple(out))


def _field(value: Value, marks: Marks) -> str:
    if isinstance(value, list):
        return marks.repetition.join(_repetition(one, marks) for one in value)
    return _repetition(value, marks)


def _repetition(value: Repetition, marks: Marks) -> str:
    if isinstance(value, str):
        return escaped(value, marks)
    return _trimmed([_component(one, marks) for one in value], marks.component)


def _component(value: Component, marks: Marks) -> str:
    if isinstance(value, str):
        return escaped(value, marks)
    return _trimmed([escaped(one, marks) for one in value], marks.subcomponent)


def _trimmed(parts: list[str], sign: str) -> str:
    while parts and not parts[-1]:
        parts.pop()
    return sign.join(parts)
