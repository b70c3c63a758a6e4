"""Whom the registry, the condition registries and the dashboard may be about for an actor, as SQL over `panel_member`.

A status, a count or a value is worked out of many facts of a person. Whoever may not see one of them sees none of it: a
person of whom anything that rules read is withheld from the actor is on no list and in no count of theirs.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from commonchart.access import policy
from commonchart.care.calendar import birthday
from commonchart.care.labels import UNDECISIVE, mask
from commonchart.fhir.outcome import NotFound
from commonchart.record.due import READ
from commonchart.search.fold import fold
from commonchart.search.visible import Visible

if TYPE_CHECKING:
    from commonchart.access.records import Records

Where = tuple[str, list[Any]]
_READ = ", ".join(f"'{rtype}'" for rtype in sorted(READ))


async def allowed(records: Records, what: str = "registry") -> None:
    """Raises Forbidden for whom there are no lists of people, NotFound for patients."""
    await records.require("search", "Condition")
    await records.require("search", "Patient")
    if not policy.visible(records.actor).everything:
        raise NotFound(f"There is no {what} here")


def whole(visible: Visible) -> bool:
    """Whether the actor may see everything of the tenant, so that its counts are theirs."""
    return visible.whole


def scope(visible: Visible) -> Where:
    """SQL over the member `p`: those of whom the actor may see all that answers rest on, linked records included.

    A set of its own (OFFSET 0), so that it is worked out once and not for every row that a list looks at; `each` is for a
    statement that looks at few.
    """
    if whole(visible):
        return "p.tenant = %s", [visible.tenant]
    may, args = each(visible, "q")
    return f"p.tenant = %s AND p.patient IN (SELECT q.patient FROM panel_member q WHERE {may} OFFSET 0)", [
        visible.tenant,
        *args,
    ]


def each(visible: Visible, member: str = "p") -> Where:
    """The same, asked of one member at a time."""
    if whole(visible):
        return f"{member}.tenant = %s", [visible.tenant]
    own, own_args = visible.predicate("r")
    fact, fact_args = visible.predicate("h")
    doubtful, doubtful_args = visible.doubtful("h")
    settled, settled_args = visible.settled(member)
    read = f"h.tenant = {member}.tenant AND NOT h.deleted AND h.rtype IN ({_READ}) AND h.labels & {mask(*UNDECISIVE)} = 0"
    theirs = f"SELECT 1 FROM resource h WHERE h.pk = {member}.pk AND h.patient = {member}.patient AND {read}"
    return (
        f"{member}.tenant = %s AND EXISTS (SELECT 1 FROM resource r WHERE r.pk = {member}.pk AND r.tenant = {member}.tenant "
        f"AND r.rtype = 'Patient' AND r.id = {member}.patient AND NOT r.deleted AND {own}) "
        f"AND NOT EXISTS ({theirs} AND {doubtful} AND ({fact}) IS NOT TRUE) "
        f"AND ({settled} OR NOT EXISTS ({theirs} AND ({fact}) IS NOT TRUE)) "
        "AND NOT EXISTS (SELECT 1 FROM person_link a JOIN person_link b ON b.tenant = a.tenant AND b.person = a.person "
        "AND b.unlinked_at IS NULL JOIN resource_loc l ON l.tenant = b.tenant AND l.rtype = 'Patient' AND l.id = b.patient "
        "JOIN resource h ON h.pk = l.pk AND h.patient = b.patient "
        f"WHERE a.tenant = {member}.tenant AND a.patient = {member}.patient AND a.unlinked_at IS NULL AND {read} AND ({fact}) IS NOT TRUE)",
        [visible.tenant, *own_args, *doubtful_args, *fact_args, *settled_args, *fact_args, *fact_args],
    )


def people(
    as_of: date, *, min_age: int | None = None, max_age: int | None = None, sex: str = "", clinician: str = "",
    org: str = "", text: str = "",
) -> list[Where]:  # fmt: skip
    """Conditions on the member `p`; nothing asked, none."""
    out: list[Where] = []
    if min_age is not None:
        out.append(("p.born <= %s", [_born_by(as_of, min_age)]))
    if max_age is not None:
        out.append(("p.born > %s", [_born_by(as_of, max_age + 1)]))
    if sex:
        out.append(("p.sex = %s", [sex]))
    if clinician:
        out.append(("p.clinicians @> ARRAY[%s]", [clinician]))
    if org:
        out.append(("p.org = %s", [org]))
    out += [(_NAMED, [f"{_plain(word)}%"]) for word in fold(text).split()[:6]]
    return out


_NAMED = (
    "EXISTS (SELECT 1 FROM string_row x WHERE x.pk = p.pk AND x.tenant = p.tenant AND x.rtype = 'Patient' "
    "AND x.id = p.patient AND x.param = 'name' AND x.folded LIKE %s)"
)


def joined(parts: list[Where]) -> Where:
    """All of the conditions at once."""
    return " AND ".join(sql for sql, _ in parts), [value for _, args in parts for value in args]


def _plain(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _born_by(as_of: date, age: int) -> date:
    """The latest birth date of somebody who has turned `age` by the day."""
    born = birthday(as_of, -age)
    return born if birthday(born, age) <= as_of else born - timedelta(days=1)


def ordered(columns: str, descending: bool) -> str:
    """ORDER BY of columns, wholly turned round where `descending`, so that one index serves both ways."""
    way = " DESC NULLS FIRST" if descending else " ASC NULLS LAST"
    return ", ".join(f"{column}{way}" for column in columns.split(", "))
