"""What the registry, the condition registries and the dashboard share: the list beside them, sortable headings, the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from msgspec import Struct

from commonchart.access import conditions
from commonchart.care.registries import built_in
from commonchart.web.call import Call
from commonchart.web.links import local

if TYPE_CHECKING:
    from commonchart.record.views import View


class Link(Struct, frozen=True):
    """One entry of the list beside a page; `n` None: not counted."""

    href: str
    words: str
    n: int | None = None
    current: bool = False
    key: str = ""


class Side(Struct, frozen=True):
    """The list beside a page."""

    pages: tuple[Link, ...]
    registries: tuple[Link, ...]
    views: tuple[Link, ...]


class Heading(Struct, frozen=True):
    """A column heading: where it leads, and which way the list is sorted by it (aria-sort)."""

    words: str
    href: str = ""
    sorted: str = ""
    narrow: str = ""


async def side(call: Call, here: str, saved: list[View], view: str = "") -> Side:
    """Everything that may be turned to from here."""
    counts = await conditions.members(call.records)
    return Side(
        (
            Link("/registry?status=", "Work list", None, here == "/registry" and not view, "g r"),
            Link("/dashboard", "Dashboard", None, here == "/dashboard", "g d"),
        ),
        tuple(
            Link(f"/registries/{name}", one.title, counts[name], here == f"/registries/{name}")
            for name, one in built_in().by_name.items()
        ),
        tuple(Link(f"/registry/views/{one.id}/open", one.name, one.counted, one.id == view) for one in saved),
    )


def heading(
    call: Call, key: str, words: str, narrow: str = "", *, sort: str, sortable: bool = True
) -> Heading:
    """A heading that sorts by itself, and the other way round when it does already."""
    if key == "what" or not sortable:
        return Heading(words, narrow=narrow)
    current, descending = sort.removeprefix("-") == key, sort.startswith("-")
    turned = (key if descending else f"-{key}") if current else key
    way = ("descending" if descending else "ascending") if current else ""
    return Heading(words, address(call, sort=turned), way, narrow)


def address(call: Call, **changes: Any) -> str:
    """This page with another parameter, from its first page; None takes one away."""
    kept = {
        name: value
        for name, value in call.request.query_params.items()
        if name not in ("page", "said") and value
    }
    kept |= {name: "" if value is None else str(value) for name, value in changes.items()}
    text = urlencode({name: value for name, value in kept.items() if value})
    return call.request.url.path + (f"?{text}" if text else "?")


def back_of(call: Call) -> str:
    """Where the reader came from, if it is one of our lists: it keeps its filters."""
    target = call.request.query_params.get("back", "")[:500]
    known = target.startswith(("/dashboard", "/registries/", "/registry"))
    return target if known and local(target) == target else ""
