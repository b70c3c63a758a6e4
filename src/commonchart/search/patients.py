"""The one box that finds a patient: names in any order without accents, birth date, record number, phone."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from commonchart.record.schema import VERSION_COLUMNS
from commonchart.search.compile import Statement
from commonchart.search.fold import fold
from commonchart.search.visible import Visible

MAX_WORDS = 6
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SAME = "x.pk = r.pk AND x.tenant = r.tenant AND x.rtype = r.rtype AND x.id = r.id"


def birth_date(text: str) -> date | None:
    """A birth date in a usual spelling: 1985-12-10, 10-Dec-1985, 10 Dec 1985, 12/10/1985 (month first), 10.12.1985."""
    found = re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})", text)
    if found:
        return _date(found[1], found[2], found[3])
    found = re.fullmatch(r"(\d{1,2})[- ]([A-Za-z]{3})[A-Za-z]*[- ](\d{4})", text)
    if found and found[2].lower() in _MONTHS:
        return _date(found[3], str(_MONTHS.index(found[2].lower()) + 1), found[1])
    found = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", text)
    if found:
        return _date(found[3], found[1], found[2])
    found = re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", text)
    return _date(found[3], found[2], found[1]) if found else None


def _date(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def finding(visible: Visible, text: str, limit: int) -> Statement:
    """The patients that fit every part of what was typed, by family name. Nothing typed finds nobody."""
    predicate, args = visible.predicate("r")
    columns = ", ".join(f"r.{name}" for name in VERSION_COLUMNS.split(", "))
    parts, values = _parts(text.strip()[:120])
    where = " AND ".join([predicate, "r.rtype = 'Patient'", "NOT r.deleted", *(parts or ["false"])])
    family = f"(SELECT min(x.folded) FROM string_row x WHERE {_SAME} AND x.param = 'family')"
    given = f"(SELECT min(x.folded) FROM string_row x WHERE {_SAME} AND x.param = 'given')"
    sql = f"SELECT {columns} FROM resource r WHERE {where} ORDER BY {family} NULLS LAST, {given} NULLS LAST, r.id LIMIT %s"
    return Statement(sql, (*args, *values, limit))


def _parts(text: str) -> tuple[list[str], list[Any]]:
    born, rest = _birth(text)
    parts: list[str] = []
    values: list[Any] = []
    if born is not None:
        parts.append("r.date_lo = %s::date::timestamp AT TIME ZONE 'UTC'")
        values.append(born)
    number = _number(rest)
    if number:
        parts.append(_NUMBER)
        values += [
            rest.strip(),
            re.sub(r"[\s-]", "", rest),
            f"%{number[-10:]}" if len(number) >= 7 else "-",
            f"{number}%",
        ]
        return parts, values
    for word in fold(rest.replace(",", " ")).split()[:MAX_WORDS]:
        like = re.sub(r"([\\%_])", r"\\\1", word)
        parts.append(
            "(r.pk, r.id) IN (SELECT x.pk, x.id FROM string_row x WHERE x.tenant = r.tenant AND x.rtype = 'Patient' "
            "AND x.param = 'name' AND (x.folded LIKE %s OR x.folded LIKE %s))"
        )
        values += [f"{like}%", f"% {like}%"]
    return parts, values


_NUMBER = (
    "(r.pk, r.id) IN ("
    "SELECT x.pk, x.id FROM identifier_row x WHERE x.tenant = r.tenant AND x.rtype = 'Patient' AND x.value IN (%s, %s) "
    "UNION ALL SELECT x.pk, x.id FROM string_row x WHERE x.tenant = r.tenant AND x.rtype = 'Patient' "
    "AND x.param = '_digits' AND x.folded LIKE %s "
    "UNION ALL SELECT x.pk, x.id FROM string_row x WHERE x.tenant = r.tenant AND x.rtype = 'Patient' "
    "AND x.param = '_digits' AND x.folded LIKE %s)"
)


def _birth(text: str) -> tuple[date | None, str]:
    """A birth date anywhere in the text, and the text without it."""
    pieces = text.replace(",", " ").split()
    for size in (3, 1):
        for at in range(len(pieces) - size + 1):
            found = birth_date(" ".join(pieces[at : at + size]))
            if found is not None:
                return found, " ".join(pieces[:at] + pieces[at + size :])
    return None, text


def _number(text: str) -> str:
    """The digits of what looks like a record number or a phone number, "" for names."""
    digits = re.sub(r"\D", "", text)
    letters = re.sub(r"[^A-Za-z]", "", text)
    return digits if len(digits) >= 3 and len(letters) <= 4 else ""
