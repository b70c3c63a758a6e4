"""The syntax tree of FHIRPath, by precedence climbing. http://hl7.org/fhirpath/N1/#precedence."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec import Struct

from commonchart.fhir.outcome import Malformed
from commonchart.fhir.path.lexer import Token, tokens

MAX_DEPTH = 100
MAX_TREE = 120
"""How deep the tree may be: chains such as `a.b.c` and `1 + 1 + 1` nest to the left. FHIR's own go to 34."""
MAX_DIGITS = 60


class Node(Struct, frozen=True):
    """One node: what it is, its own text or value, its parts.

    Kinds: literal, empty, moment, quantity, variable, this, index, total, child (on parts[0], or on the focus when it
    has none), call (function `value` on parts[0] or None, then arguments), at (indexer), unary, binary, type (`is`,`as`).
    """

    kind: str
    value: Any = None
    parts: tuple[Any, ...] = ()


_BINARY = {
    "*": 11, "/": 11, "div": 11, "mod": 11, "+": 10, "-": 10, "&": 10, "is": 9, "as": 9, "|": 8,
    "<": 7, ">": 7, "<=": 7, ">=": 7, "=": 6, "~": 6, "!=": 6, "!~": 6, "in": 5, "contains": 5,
    "and": 4, "xor": 3, "or": 3, "implies": 2,
}  # fmt: skip
_UNITS = {"year", "month", "week", "day", "hour", "minute", "second", "millisecond"}


def parse(expression: str) -> Node:
    """The tree of an expression. Raises Malformed, saying where."""
    parser = _Parser(tokens(expression))
    tree = parser.expression(0)
    parser.expect("end", "")
    if _deeper(tree, MAX_TREE):
        raise Malformed(f"FHIRPath: a chain of more than {MAX_TREE} steps")
    return tree


def _deeper(tree: Node, most: int) -> bool:
    """Whether the tree is deeper than that; without recursion, since it may be."""
    level = [tree]
    for _ in range(most):
        level = [part for node in level for part in node.parts if isinstance(part, Node)]
        if not level:
            return False
    return True


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0
        self._depth = 0

    @property
    def now(self) -> Token:
        return self._tokens[self._at]

    def take(self) -> Token:
        token = self.now
        self._at += 1
        return token

    def sees(self, text: str) -> bool:
        return self.now.kind in ("symbol", "name") and self.now.text == text

    def expect(self, kind: str, text: str) -> Token:
        if self.now.kind != kind or (text and self.now.text != text):
            raise Malformed(f"FHIRPath: expected {text or kind} at {self.now.at}")
        return self.take()

    def expression(self, floor: int) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Malformed(f"FHIRPath: nested deeper than {MAX_DEPTH}")
        left = self.unary()
        while True:
            power = _BINARY.get(self.now.text, 0) if self.now.kind in ("symbol", "name") else 0
            if power <= floor:
                self._depth -= 1
                return left
            left = self.binary(left, power)

    def binary(self, left: Node, power: int) -> Node:
        operator = self.take().text
        if operator in ("is", "as"):
            return Node("type", operator, (left, self.type_name()))
        return Node("binary", operator, (left, self.expression(power)))

    def unary(self) -> Node:
        if self.sees("+") or self.sees("-"):
            sign = self.take().text
            return Node("unary", sign, (self.expression(11),))
        return self.postfix(self.term())

    def postfix(self, left: Node) -> Node:
        while True:
            if self.sees("."):
                self.take()
                left = self.invocation(left)
            elif self.sees("["):
                self.take()
                index = self.expression(0)
                self.expect("symbol", "]")
                left = Node("at", None, (left, index))
            else:
                return left

    def invocation(self, left: Node | None) -> Node:
        token = self.take()
        if token.kind == "special":
            return Node(token.text[1:])
        if token.kind not in ("name", "quoted"):
            raise Malformed(f"FHIRPath: expected a name at {token.at}")
        if not self.sees("("):
            return Node("child", token.text, () if left is None else (left,))
        self.take()
        arguments = () if self.sees(")") else self.arguments(token.text)
        self.expect("symbol", ")")
        return Node("call", token.text, (left, *arguments))

    def arguments(self, function: str) -> tuple[Any, ...]:
        if function in ("is", "as", "ofType"):
            return (self.type_name(),)
        out = [self.expression(0)]
        while self.sees(","):
            self.take()
            out.append(self.expression(0))
        return tuple(out)

    def type_name(self) -> str:
        name = self.name()
        while self.sees("."):
            self.take()
            name += "." + self.name()
        return name

    def name(self) -> str:
        if self.now.kind not in ("name", "quoted"):
            raise Malformed(f"FHIRPath: expected a name at {self.now.at}")
        return self.take().text

    def term(self) -> Node:
        token = self.now
        if token.kind in ("name", "special", "quoted"):
            if token.kind == "name" and token.text in ("true", "false"):
                self.take()
                return Node("literal", token.text == "true")
            return self.invocation(None)
        self.take()
        if token.kind == "number":
            return self.number(token)
        simple = {"string": "literal", "moment": "moment", "variable": "variable"}
        if token.kind in simple:
            return Node(simple[token.kind], token.text)
        return self.bracketed(token)

    def bracketed(self, token: Token) -> Node:
        if token.kind == "symbol" and token.text == "(":
            inner = self.expression(0)
            self.expect("symbol", ")")
            return inner
        if token.kind == "symbol" and token.text == "{":
            self.expect("symbol", "}")
            return Node("empty")
        raise Malformed(f"FHIRPath: expected a value at {token.at}")

    def number(self, token: Token) -> Node:
        if len(token.text) > MAX_DIGITS:
            raise Malformed(f"FHIRPath: a number has at most {MAX_DIGITS} digits")
        value: Any = Decimal(token.text) if "." in token.text else int(token.text)
        unit = self.now
        if unit.kind == "string":
            self.take()
            return Node("quantity", (value, unit.text, False))
        if unit.kind == "name" and unit.text.removesuffix("s") in _UNITS:
            self.take()
            return Node("quantity", (value, unit.text, True))
        return Node("literal", value)
