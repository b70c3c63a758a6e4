"""Tokens of FHIRPath. http://hl7.org/fhirpath/N1/grammar.html."""

from __future__ import annotations

import re

from msgspec import Struct

from commonchart.fhir.outcome import Malformed

MAX_LENGTH = 10_000

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*|/\*.*?\*/)
  | (?P<moment>@(?:T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?|\d{4}(?:-\d\d(?:-\d\d)?)?(?:T(?:\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?)?(?:Z|[+-]\d\d:\d\d)?)?))
  | (?P<number>\d+(?:\.\d+)?)
  | (?P<string>'(?:[^'\\]|\\.)*')
  | (?P<quoted>`(?:[^`\\]|\\.)*`)
  | (?P<variable>%(?:[A-Za-z_][A-Za-z0-9_-]*|`[^`]*`|'[^']*'|"[^"]*"))
  | (?P<special>\$(?:this|index|total))
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<symbol><=|>=|!=|!~|[-+*/&|<>=~.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_PLAIN = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


class Token(Struct, frozen=True):
    """One token: its kind, its text (unescaped where quoted) and where it begins."""

    kind: str
    text: str
    at: int


def tokens(expression: str) -> list[Token]:
    """The tokens of an expression, an `end` token last. Raises Malformed at what is none."""
    if len(expression) > MAX_LENGTH:
        raise Malformed(f"A FHIRPath expression has at most {MAX_LENGTH} characters")
    out: list[Token] = []
    at = 0
    while at < len(expression):
        found = _TOKEN.match(expression, at)
        if found is None or found.lastgroup is None:
            raise Malformed(f"FHIRPath: unexpected character at {at}")
        if found.lastgroup != "space":
            out.append(_token(found.lastgroup, found[0], at))
        at = found.end()
    out.append(Token("end", "", at))
    return out


def _token(kind: str, text: str, at: int) -> Token:
    if kind == "string":
        return Token("string", _unescape(text[1:-1]), at)
    if kind == "quoted":
        return Token("quoted", _unescape(text[1:-1]), at)
    if kind == "variable":
        return Token("variable", text[1:].strip("`'\""), at)
    return Token(kind, text, at)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(
        lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "u" and len(m[1]) == 5 else _PLAIN.get(m[1], m[1]),
        text,
    )
