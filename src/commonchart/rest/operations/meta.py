"""`$meta`, `$meta-add`, `$meta-delete`: profiles, tags and labels. http://hl7.org/fhir/R4/resource-operations.html."""

from __future__ import annotations

from typing import Any

from commonchart.access import labelling
from commonchart.access.records import Put, Records, Transaction
from commonchart.fhir import json
from commonchart.fhir.outcome import Forbidden, Gone, Malformed, NotFound
from commonchart.fhir.validate import validate
from commonchart.rest.arguments import parameters
from commonchart.rest.exchange import Answer, Asked
from commonchart.rest.operations.operation import Operation

LISTS = ("profile", "security", "tag")


async def _meta(records: Records, asked: Asked) -> Answer:
    """The meta of one resource or version, or every profile, label and tag in use on a type or the whole record."""
    if len(asked.segments) >= 3:
        vid = asked.segments[3] if len(asked.segments) == 5 else ""
        if vid and not (vid.isdigit() and len(vid) <= 9):
            raise NotFound(f"There is no such version of this {asked.rtype}")
        stored = (
            await records.vread(asked.rtype, asked.id, int(vid))
            if vid
            else await records.read(asked.rtype, asked.id)
        )
        return _answer(json.decode(stored.body or b"{}").get("meta", {}))
    rtype = asked.rtype if len(asked.segments) == 2 else None
    return _answer(await records.metas(rtype))


async def _add(records: Records, asked: Asked) -> Answer:
    """Add profiles, labels and tags; what is there already stays once."""
    return await _changed(records, asked, _with)


async def _delete(records: Records, asked: Asked) -> Answer:
    """Take profiles, labels and tags away. Labels are taken away by administrators only (hazard: redisclosure)."""
    if _given(asked).get("security") and records.actor.role != "administrator":
        raise Forbidden("Security labels are taken away by an administrator only", at="meta.security")
    return await _changed(records, asked, _without)


def _with(old: list[Any], given: list[Any]) -> list[Any]:
    known = {_key(one) for one in old}
    return [*old, *(one for one in given if _key(one) not in known)]


def _without(old: list[Any], given: list[Any]) -> list[Any]:
    gone = {_key(one) for one in given}
    return [one for one in old if _key(one) not in gone]


def _key(one: Any) -> Any:
    return (one.get("system"), one.get("code")) if isinstance(one, dict) else one


def _given(asked: Asked) -> dict[str, Any]:
    meta = asked.arguments().one("meta")
    if not isinstance(meta, dict) or not set(meta) & set(LISTS):
        raise Malformed("Send Parameters with meta: profile, security or tag", at="meta", code="required")
    if not all(isinstance(meta.get(name, []), list) for name in LISTS):
        raise Malformed("profile, security and tag are arrays", at="meta")
    return meta


async def _changed(records: Records, asked: Asked, change: Any) -> Answer:
    given = _given(asked)
    async with records.transaction() as tx:
        tx.about = ("update", asked.rtype, asked.id)
        stored = await tx.read(asked.rtype, asked.id)
        if stored is None:
            raise NotFound(f"There is no {asked.rtype} with this id")
        if stored.deleted:
            raise Gone(f"This {asked.rtype} has been deleted")
        resource = json.decode(stored.body or b"{}")
        if change is _without:
            await _not_by_hand(records, tx, asked, given)
        meta = dict(resource.get("meta", {}))
        for name in LISTS:
            kept = change(meta.get(name, []), given.get(name, []))
            meta = {**meta, name: kept} if kept else {k: v for k, v in meta.items() if k != name}
        put = Put(validate({**resource, "meta": meta}), asked.id, stored.vid, relabels=True)
        (written,) = await tx.write([put])
    return _answer(json.decode(written.stored.body or b"{}")["meta"])


async def _not_by_hand(records: Records, tx: Transaction, asked: Asked, given: dict[str, Any]) -> None:
    """What somebody put by hand is lifted on its page, with a reason and a second look, or not at all."""
    held = await labelling.held(tx.conn, records.actor.tenant, asked.rtype, asked.id)
    if held & {one.get("code") for one in given.get("security", []) if isinstance(one, dict)}:
        raise Forbidden(
            "This label was put by hand: it is lifted on the page of the entry", at="meta.security"
        )


def _answer(meta: dict[str, Any]) -> Answer:
    return Answer(200, json.encode(parameters(("return", "valueMeta", meta or None))))


META = (
    Operation("meta", _meta, system=True, on_type=True, instance=True, version=True),
    Operation("meta-add", _add, instance=True, changes=True),
    Operation("meta-delete", _delete, instance=True, changes=True),
)
