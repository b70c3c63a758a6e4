"""The id under which a loaded resource is kept (issue 2, load): a UUID stays, anything else is named after its source."""

from __future__ import annotations

import re
from uuid import NAMESPACE_URL, UUID, uuid5

from commonchart.exchange.load.files import Unit

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SPACE = uuid5(NAMESPACE_URL, "https://commonchart.example/load")


def id_of(source: str, rtype: str, sent: str, full_url: str) -> str:
    """The id: the resource's own UUID, else that of its fullUrl, else uuid5 of source, type and id; "" without a name."""
    if _UUID.fullmatch(sent):
        return sent.lower()
    if sent:
        return str(named(source, rtype, sent))
    bare = full_url.removeprefix("urn:uuid:")
    if _UUID.fullmatch(bare):
        return bare.lower()
    return str(named(source, rtype, full_url)) if full_url else ""


def named(source: str, rtype: str, sent: str) -> UUID:
    """The same UUID every time for the same source, type and id."""
    return uuid5(_SPACE, f"{source}\x1f{rtype}\x1f{sent}")


def links(source: str, unit: Unit) -> dict[str, str]:
    """How the entries of a unit may be called in its links -> Type/id."""
    out: dict[str, str] = {}
    for entry in unit.entries:
        resource = entry.resource or {}
        rtype, sent = resource.get("resourceType"), resource.get("id")
        sent = sent if isinstance(sent, str) else ""
        if not isinstance(rtype, str):
            continue
        id = id_of(source, rtype, sent, entry.full_url)
        if not id:
            continue
        target = f"{rtype}/{id}"
        for name in (
            entry.full_url,
            f"urn:uuid:{sent}" if _UUID.fullmatch(sent) else "",
            f"{rtype}/{sent}" if sent else "",
        ):
            if name:
                out[name] = target
    return out


def followed(source: str, text: str) -> str | None:
    """A reference `Type/id` to something outside the unit, as this source's name for it; None if it stays."""
    rtype, slash, sent = text.partition("/")
    if (
        not slash
        or "/" in sent
        or "?" in text
        or ":" in text
        or _UUID.fullmatch(sent)
        or not rtype[:1].isupper()
    ):
        return None
    return f"{rtype}/{named(source, rtype, sent)}"
