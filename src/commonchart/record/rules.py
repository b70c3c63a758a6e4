"""Rules of care that a site changed: every version, what is used since when, and who approved what. Nothing is deleted.

What is used now is the pack in the box overlaid by the site's versions; the last few are remembered, since a version never
changes once it is kept.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.care import editions
from commonchart.care.editions import Edition
from commonchart.care.review import Approval
from commonchart.care.rules import built_in
from commonchart.care.schema import Pack
from commonchart.fhir.outcome import Invalid

if TYPE_CHECKING:
    from commonchart.record.database import Connection

SITE, BOX, OFF = "site", "box", "off"
_MADE: OrderedDict[tuple[object, ...], Active] = OrderedDict()
_KEPT = 8


class Version(Struct, frozen=True):
    """A version of a rule as the site wrote it; `based_on` names the version that it was made from, "" for a new rule."""

    rule: str
    n: int
    body: str
    based_on: str
    author: str
    author_name: str
    at: datetime
    why: str

    @property
    def name(self) -> str:
        """What due rows and approvals call it."""
        return editions.version_name(self.n)

    @property
    def edition(self) -> Edition:
        """What it says."""
        return editions.parsed(self.body, self.name)


class Use(Struct, frozen=True):
    """Since `at` the rule is used so: `site` version n, as in the `box`, or not at all (`off`)."""

    rule: str
    seq: int
    state: str
    n: int
    actor: str
    actor_name: str
    at: datetime
    why: str

    @property
    def version(self) -> str:
        """The site's version that is used, "" for another state."""
        return editions.version_name(self.n) if self.state == SITE else ""


class Choice(Struct, frozen=True):
    """What a rule may be set to: see `Use`."""

    state: str
    n: int = 0


class Active(Struct, frozen=True):
    """The rules of a tenant now. `unused`: rules of the site that do not fit the pack in the box any more, and why.

    `wanted` is what the site has chosen, by rule.
    """

    pack: Pack
    unused: dict[str, str] = {}
    wanted: dict[str, Choice] = {}


class Signed(Struct, frozen=True):
    """An approval as it is kept, with who withdrew it and why."""

    seq: int
    approval: Approval
    withdrawn_by: str = ""
    withdrawn_why: str = ""


# ---- versions --------------------------------------------------------------------------------------------------

_VERSION = "rule, n, body, based_on, author, author_name, at, why"
_USE = "rule, seq, state, n, actor, actor_name, at, why"


async def alone(conn: Connection, tenant: int) -> None:
    """Until the end of the transaction nobody else changes rules of this tenant."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('site_rule'), %s)", (tenant,))


async def versions(conn: Connection, tenant: int, rule: str) -> list[Version]:
    """The versions of a rule, the newest first."""
    cursor = await conn.execute(
        f"SELECT {_VERSION} FROM site_rule WHERE tenant = %s AND rule = %s ORDER BY n DESC", (tenant, rule)
    )
    return [Version(*row) for row in await cursor.fetchall()]


async def latest(conn: Connection, tenant: int) -> list[Version]:
    """The newest version of every rule that the site wrote."""
    cursor = await conn.execute(
        f"SELECT DISTINCT ON (rule) {_VERSION} FROM site_rule WHERE tenant = %s ORDER BY rule, n DESC",
        (tenant,),
    )
    return [Version(*row) for row in await cursor.fetchall()]


async def keep(conn: Connection, tenant: int, one: Version) -> Version:
    """Keep a version under the next number; the caller holds `alone`."""
    found = await versions(conn, tenant, one.rule)
    n = found[0].n + 1 if found else 1
    await conn.execute(
        f"INSERT INTO site_rule (tenant, {_VERSION}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (tenant, one.rule, n, one.body, one.based_on, one.author, one.author_name, one.at, one.why),
    )
    return Version(one.rule, n, one.body, one.based_on, one.author, one.author_name, one.at, one.why)


# ---- what is used ----------------------------------------------------------------------------------------------


async def uses(conn: Connection, tenant: int, rule: str) -> list[Use]:
    """What a rule was set to, the latest first."""
    cursor = await conn.execute(
        f"SELECT {_USE} FROM rule_use WHERE tenant = %s AND rule = %s ORDER BY seq DESC", (tenant, rule)
    )
    return [Use(*row) for row in await cursor.fetchall()]


async def current(conn: Connection, tenant: int) -> dict[str, Use]:
    """Rule -> what it is set to now, of every rule that the site ever set."""
    rows = await conn.fetch(
        f"SELECT DISTINCT ON (rule) {_USE} FROM rule_use WHERE tenant = %s ORDER BY rule, seq DESC", (tenant,)
    )
    return {row[0]: Use(*row) for row in rows}


async def choosing(conn: Connection) -> list[int]:
    """The tenants that ever changed a rule."""
    cursor = await conn.execute("SELECT DISTINCT tenant FROM rule_use ORDER BY tenant")
    return [row[0] for row in await cursor.fetchall()]


async def use(conn: Connection, tenant: int, one: Use) -> None:
    """From now on use the rule so; the caller holds `alone`."""
    await conn.execute(
        f"INSERT INTO rule_use (tenant, {_USE}) SELECT %s, %s, coalesce(max(seq), 0) + 1, %s, %s, %s, %s, %s, %s "
        "FROM rule_use WHERE tenant = %s AND rule = %s",
        (tenant, one.rule, one.state, one.n, one.actor, one.actor_name, one.at, one.why, tenant, one.rule),
    )


async def active(conn: Connection, tenant: int) -> Active:
    """The rules of a tenant now: the pack in the box, overlaid by what the site uses and still fits."""
    wanted = {rule: Choice(one.state, one.n) for rule, one in (await current(conn, tenant)).items()}
    asked = [(rule, one.n) for rule, one in wanted.items() if one.state == SITE]
    off = tuple(sorted(rule for rule, one in wanted.items() if one.state == OFF))
    boxed = built_in()
    if not asked and not off:
        return Active(boxed)
    texts = await _texts(conn, tenant, asked)
    key = (boxed.hash, texts, off)
    if key not in _MADE:
        read, unread = _readable(texts)
        pack, unused = editions.fitting(boxed, read, off)
        _MADE[key] = Active(pack, unused | unread, wanted)
        while len(_MADE) > _KEPT:
            _MADE.popitem(last=False)
    return _MADE[key]


async def chosen(conn: Connection, tenant: int, rule: str, choice: Choice) -> Pack:
    """The rules as they would be with another choice for one. Raises Invalid naming rules and fields that do not fit."""
    now = await active(conn, tenant)
    wanted = {id: one for id, one in now.wanted.items() if id not in now.unused} | {rule: choice}
    asked = [(id, one.n) for id, one in wanted.items() if one.state == SITE]
    off = [id for id, one in wanted.items() if one.state == OFF]
    return editions.overlaid(built_in(), _read(await _texts(conn, tenant, asked)), off)


async def with_edition(conn: Connection, tenant: int, edition: Edition) -> Pack:
    """The rules as they would be with this text. Raises Invalid naming rules and fields that do not fit."""
    now, id = await active(conn, tenant), edition.rule.id
    wanted = {other: one for other, one in now.wanted.items() if other not in (*now.unused, id)}
    asked = [(other, one.n) for other, one in wanted.items() if one.state == SITE]
    off = [other for other, one in wanted.items() if one.state == OFF]
    return editions.overlaid(built_in(), _read(await _texts(conn, tenant, asked)) | {id: edition}, off)


async def _texts(
    conn: Connection, tenant: int, asked: list[tuple[str, int]]
) -> tuple[tuple[str, int, str], ...]:
    cursor = await conn.execute(
        "SELECT s.rule, s.n, s.body FROM site_rule s JOIN unnest(%s::text[], %s::int[]) k(rule, n) "
        "ON k.rule = s.rule AND k.n = s.n WHERE s.tenant = %s ORDER BY s.rule",
        ([rule for rule, _ in asked], [n for _, n in asked], tenant),
    )
    return tuple((rule, n, body) for rule, n, body in await cursor.fetchall())


def _read(texts: tuple[tuple[str, int, str], ...]) -> dict[str, Edition]:
    return {rule: editions.parsed(body, editions.version_name(n)) for rule, n, body in texts}


def _readable(texts: tuple[tuple[str, int, str], ...]) -> tuple[dict[str, Edition], dict[str, str]]:
    """The texts that this program can still read, and why it cannot read the others."""
    read: dict[str, Edition] = {}
    unread: dict[str, str] = {}
    for one in texts:
        try:
            read |= _read((one,))
        except Invalid as wrong:
            unread[one[0]] = str(wrong)
    return read, unread


# ---- approvals -------------------------------------------------------------------------------------------------


async def approvals(conn: Connection, tenant: int, rule: str | None = None) -> list[Signed]:
    """Every approval of a rule, or of all of them, the latest first."""
    where, more = ("", ()) if rule is None else (" AND rule = %s", (rule,))
    rows = await conn.fetch(
        "SELECT seq, rule, version, actor_name, at, comment, withdrawn, withdrawn_by, withdrawn_why FROM rule_approval "
        f"WHERE tenant = %s{where} ORDER BY at DESC, seq DESC",
        (tenant, *more),
    )
    return [
        Signed(row[0], Approval(row[1], row[2], row[3], row[4], row[5], row[6]), row[7], row[8])
        for row in rows
    ]


async def standing(conn: Connection, tenant: int) -> dict[tuple[str, str], Approval]:
    """(rule, version) -> the latest approval that was not withdrawn."""
    found = [one.approval for one in await approvals(conn, tenant)]
    return {(one.rule, one.version): one for one in reversed(found) if one.withdrawn is None}


async def approve(conn: Connection, tenant: int, actor: str, one: Approval) -> None:
    """Keep an approval; the caller holds `alone`."""
    await conn.execute(
        "INSERT INTO rule_approval (tenant, rule, version, seq, actor, actor_name, at, comment) "
        "SELECT %s, %s, %s, coalesce(max(seq), 0) + 1, %s, %s, %s, %s FROM rule_approval "
        "WHERE tenant = %s AND rule = %s AND version = %s",
        (tenant, one.rule, one.version, actor, one.by, one.at, one.comment, tenant, one.rule, one.version),
    )


async def withdraw(
    conn: Connection, tenant: int, rule: str, version: str, by: str, now: datetime, why: str
) -> int:
    """Withdraw the approvals of a version that stand; how many."""
    cursor = await conn.execute(
        "UPDATE rule_approval SET withdrawn = %s, withdrawn_by = %s, withdrawn_why = %s "
        "WHERE tenant = %s AND rule = %s AND version = %s AND withdrawn IS NULL",
        (now, by, why, tenant, rule, version),
    )
    return cursor.rowcount


async def counts(conn: Connection, tenant: int, rule: str = "") -> dict[str, dict[str, int]]:
    """Rule -> status -> how many people, from the due table."""
    where, more = (" AND rule = %s", (rule,)) if rule else ("", ())
    cursor = await conn.execute(
        f"SELECT rule, status, count(*) FROM due WHERE tenant = %s{where} GROUP BY rule, status",
        (tenant, *more),
    )
    out: dict[str, dict[str, int]] = {}
    for name, status, n in await cursor.fetchall():
        out.setdefault(name, {})[status] = int(n)
    return out
