"""Regular expressions of value set filters, matched in linear time whatever the pattern: no backtracking.

The subset that both this and PostgreSQL understand alike: literals, classes, `.`, groups, `|`, `* + ? {m,n}`, and the
escapes \\d \\w \\s. A filter must match the whole text. Thompson, "Regular expression search algorithm", CACM 1968.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from msgspec import Struct

from commonchart.fhir.outcome import Malformed, TooCostly

MAX_PATTERN = 500
MAX_STATES = 2000
MAX_NESTING = 20

Fits = Callable[[str], bool]
_CLASSES: dict[str, Fits] = {
    "d": lambda c: "0" <= c <= "9",
    "w": lambda c: c.isalnum() or c == "_",
    "s": str.isspace,
    "D": lambda c: not "0" <= c <= "9",
    "W": lambda c: not (c.isalnum() or c == "_"),
    "S": lambda c: not c.isspace(),
}
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


class Piece(Struct, frozen=True):
    """A parsed pattern: `char` (fits), `then`, `or`, or `repeat` (least, most; most None is without end)."""

    kind: str
    parts: tuple[Piece, ...] = ()
    fits: Fits | None = None
    least: int = 0
    most: int | None = None


@lru_cache(maxsize=64)
def compiled(pattern: str) -> Fits:
    """Whether a whole text matches. Raises Malformed, TooCostly for a pattern that is too large."""
    if len(pattern) > MAX_PATTERN:
        raise TooCostly(f"A regular expression has at most {MAX_PATTERN} characters")
    return _Machine(_Parser(pattern).parse()).fits


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.text = pattern.removeprefix("^")
        if self.text.endswith("$") and not self.text.endswith("\\$"):
            self.text = self.text[:-1]
        self.at = 0
        self.depth = 0

    def parse(self) -> Piece:
        piece = self.alternatives()
        if self.at < len(self.text):
            raise self.bad()
        return piece

    def bad(self) -> Malformed:
        return Malformed("The regular expression of a filter cannot be read", code="invalid")

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        char = self.peek()
        if not char:
            raise self.bad()
        self.at += 1
        return char

    def alternatives(self) -> Piece:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise TooCostly("The regular expression of a filter is nested too deeply")
        found = [self.sequence()]
        while self.peek() == "|":
            self.at += 1
            found.append(self.sequence())
        self.depth -= 1
        return found[0] if len(found) == 1 else Piece("or", tuple(found))

    def sequence(self) -> Piece:
        found: list[Piece] = []
        while self.peek() not in ("", "|", ")"):
            found.append(self.repeated(self.atom()))
        return Piece("then", tuple(found))

    def atom(self) -> Piece:
        char = self.take()
        if char == "(":
            return self.group()
        if char == "[":
            return Piece("char", fits=self.bracket())
        if char == ".":
            return Piece("char", fits=lambda _: True)
        if char == "\\":
            return Piece("char", fits=self.escape())
        if char in "*+?{^$)]}":
            raise self.bad()
        return Piece("char", fits=char.__eq__)

    def group(self) -> Piece:
        if self.peek() == "?":
            if self.text[self.at : self.at + 2] != "?:":
                raise self.bad()
            self.at += 2
        piece = self.alternatives()
        if self.take() != ")":
            raise self.bad()
        return piece

    def escape(self) -> Fits:
        char = self.take()
        if char in _CLASSES:
            return _CLASSES[char]
        if char in _ESCAPED:
            return _ESCAPED[char].__eq__
        if char.isalnum():
            raise self.bad()  # back references and what else there is
        return char.__eq__

    def bracket(self) -> Fits:
        negated = self.peek() == "^"
        self.at += negated
        singles: set[str] = set()
        ranges: list[tuple[str, str]] = []
        classes: list[Fits] = []
        begun = self.at
        while self.peek() != "]" or self.at == begun:
            self.member(singles, ranges, classes)
        self.at += 1

        def fits(char: str) -> bool:
            held = (
                char in singles or any(a <= char <= z for a, z in ranges) or any(one(char) for one in classes)
            )
            return held is not negated

        return fits

    def member(self, singles: set[str], ranges: list[tuple[str, str]], classes: list[Fits]) -> None:
        char = self.take()
        if char == "\\":
            char = self.take()
            if char in _CLASSES:
                classes.append(_CLASSES[char])
                return
            char = _ESCAPED.get(char, char)
        if self.peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
            self.at += 1
            last = self.take()
            last = self.take() if last == "\\" else last
            if last < char:
                raise self.bad()
            ranges.append((char, last))
        else:
            singles.add(char)

    def repeated(self, piece: Piece) -> Piece:
        char = self.peek()
        bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(char)
        if char == "{":
            bounds = self.counted()
        elif bounds is None:
            return piece
        else:
            self.at += 1
        if self.peek() == "?":
            self.at += 1
        if self.peek() in ("*", "+", "{"):
            raise self.bad()
        return Piece("repeat", (piece,), least=bounds[0], most=bounds[1])

    def counted(self) -> tuple[int, int | None]:
        end = self.text.find("}", self.at)
        least, comma, most = self.text[self.at + 1 : end].partition(",")
        if end < 0 or not least.isdecimal() or (most and not most.isdecimal()) or len(least + most) > 8:
            raise self.bad()
        self.at = end + 1
        found = int(least), (int(most) if most else None if comma else int(least))
        if found[1] is not None and found[1] < found[0]:
            raise self.bad()
        return found


class _Machine:
    """The states of a pattern; sets of states are made, and remembered, as texts lead to them."""

    def __init__(self, piece: Piece) -> None:
        self.skips: list[list[int]] = []
        self.edges: list[tuple[Fits, int] | None] = []
        start, self.end = self._state(), self._state()
        self._build(piece, start, self.end)
        self.first = self._closed(frozenset((start,)))
        self.known: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def fits(self, text: str) -> bool:
        """Whether the whole text matches."""
        now = self.first
        for char in text:
            following = self.known.get((now, char))
            if following is None:
                following = self._step(now, char)
                if len(self.known) < 20_000:
                    self.known[now, char] = following
            if not following:
                return False
            now = following
        return self.end in now

    def _step(self, now: frozenset[int], char: str) -> frozenset[int]:
        edges = (self.edges[state] for state in now)
        return self._closed(frozenset(edge[1] for edge in edges if edge is not None and edge[0](char)))

    def _closed(self, states: frozenset[int]) -> frozenset[int]:
        found, todo = set(states), list(states)
        while todo:
            for state in self.skips[todo.pop()]:
                if state not in found:
                    found.add(state)
                    todo.append(state)
        return frozenset(found)

    def _state(self) -> int:
        if len(self.skips) >= MAX_STATES:
            raise TooCostly("The regular expression of a filter is too large")
        self.skips.append([])
        self.edges.append(None)
        return len(self.skips) - 1

    def _build(self, piece: Piece, start: int, end: int) -> None:
        if piece.kind == "char":
            assert piece.fits is not None
            middle = self._state()
            self.skips[start].append(middle)
            self.edges[middle] = (piece.fits, end)
        elif piece.kind == "or":
            for one in piece.parts:
                self._build(one, start, end)
        elif piece.kind == "then":
            for one in piece.parts:
                following = self._state()
                self._build(one, start, following)
                start = following
            self.skips[start].append(end)
        else:
            self._repeat(piece, start, end)

    def _repeat(self, piece: Piece, start: int, end: int) -> None:
        for _ in range(piece.least):
            following = self._state()
            self._build(piece.parts[0], start, following)
            start = following
        if piece.most is None:
            loop = self._state()
            self.skips[start].append(loop)
            self._build(piece.parts[0], loop, loop)
            self.skips[loop].append(end)
            return
        self.skips[start].append(end)
        for _ in range(piece.most - piece.least):
            following = self._state()
            self._build(piece.parts[0], start, following)
            self.skips[following].append(end)
            start = following
