"""What two Patient records agree on, field by field, and whether that suggests one human.

A suggestion is only ever that: somebody looks at both records side by side and decides (DESIGN 3, persons).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct

Verdict = Literal["agrees", "differs", "one side", "neither"]
Patient = Mapping[str, Any]


class Field(Struct, frozen=True):
    """One field of both records: its values as written, and what comparing them says."""

    name: str
    title: str
    one: tuple[str, ...]
    other: tuple[str, ...]
    verdict: Verdict


def compared(one: Patient, other: Patient) -> tuple[Field, ...]:
    """All fields that tell people apart. Of several values in one record, one that both have is enough to agree."""
    return tuple(_field(name, title, read(one), read(other)) for name, title, read in _FIELDS)


def suggested(one: Patient, other: Patient) -> str:
    """Why two records may be of one human; "" where nothing says so. The same whichever comes first."""
    if identifiers(one) & identifiers(other):
        return "an identifier agrees"
    born = one.get("birthDate")
    if (
        type(born) is str
        and len(born) == 10
        and born == other.get("birthDate")
        and _names(one) & _names(other)
    ):
        return "name and birth date agree"
    return ""


def identifiers(patient: Patient) -> frozenset[tuple[str, str]]:
    """(system, value) of the identifiers that a system gave out and that are still used."""
    return frozenset(
        (_text(held.get("system")), _text(held.get("value")).casefold())
        for held in _list(patient, "identifier")
        if _text(held.get("system")) and _text(held.get("value")) and held.get("use") != "old"
    )


def families(patient: Patient) -> frozenset[str]:
    """Every family name of the record, folded."""
    return frozenset(folded(_text(held.get("family"))) for held in _list(patient, "name")) - {""}


def _names(patient: Patient) -> frozenset[tuple[str, str]]:
    """(family, first given name), folded, of every name that has both."""
    return frozenset(
        (folded(_text(held.get("family"))), folded(_text(given)))
        for held in _list(patient, "name")
        for given in (held.get("given") or [""])[:1]
        if folded(_text(held.get("family"))) and folded(_text(given))
    )


def folded(text: str) -> str:
    """Letters without case and accents, single spaces."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(plain.casefold().split())


def _field(name: str, title: str, one: list[str], other: list[str]) -> Field:
    if not one or not other:
        verdict: Verdict = "one side" if one or other else "neither"
    else:
        both = {folded(text) for text in one} & {folded(text) for text in other}
        verdict = "agrees" if both else "differs"
    return Field(name, title, tuple(one), tuple(other), verdict)


def _list(patient: Patient, name: str) -> list[dict[str, Any]]:
    held = patient.get(name)
    return [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _distinct(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]


def _written(patient: Patient) -> list[str]:
    return _distinct(
        " ".join([*map(_text, held.get("given") or []), _text(held.get("family"))]).strip() or _text(held.get("text"))
        for held in _list(patient, "name")
    )  # fmt: skip


def _scalar(name: str) -> Any:
    return lambda patient: _distinct([_text(patient.get(name))])


def _died(patient: Patient) -> list[str]:
    if patient.get("deceasedDateTime"):
        return [_text(patient["deceasedDateTime"])[:10]]
    return ["yes"] if patient.get("deceasedBoolean") else []


def _numbers(patient: Patient) -> list[str]:
    return _distinct(
        f"{_text(held.get('value'))} ({_text(held.get('system')) or 'no system'})"
        for held in _list(patient, "identifier")
        if _text(held.get("value"))
    )


def _phones(patient: Patient) -> list[str]:
    return _distinct(_text(held.get("value")) for held in _list(patient, "telecom"))


def _addresses(patient: Patient) -> list[str]:
    return _distinct(
        ", ".join([*map(_text, held.get("line") or []), _text(held.get("city")), _text(held.get("postalCode"))]).strip(", ")
        for held in _list(patient, "address")
    )  # fmt: skip


_FIELDS: tuple[tuple[str, str, Any], ...] = (
    ("name", "Name", _written),
    ("birthDate", "Birth date", _scalar("birthDate")),
    ("gender", "Sex", _scalar("gender")),
    ("deceased", "Died", _died),
    ("identifier", "Identifiers", _numbers),
    ("telecom", "Phone and e-mail", _phones),
    ("address", "Address", _addresses),
)
