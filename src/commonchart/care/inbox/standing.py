"""What becomes of an item when its result has another version: signed ones come back if what they say is different."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from commonchart.care.inbox.judge import Judged, Line

State = Literal["open", "seen", "signed", "gone"]


class Stands(Struct, frozen=True):
    """How an item stands. `corrected` says in words why it came back, `changed` what is different, line by line."""

    state: State
    corrected: str = ""
    changed: tuple[str, ...] = ()


def begun(new: Judged) -> Stands:
    """A result that was not here before. One that was withdrawn before anybody saw it is nobody's work."""
    if new.gone:
        return Stands("gone")
    return Stands("open", "sent as corrected: nothing was here before" if new.corrected else "")


def after(was: Stands, signed: Judged | None, new: Judged) -> Stands:
    """How it stands with the new version. `signed` is what somebody signed or acknowledged last, None if nobody has.

    A partial result that was seen is open again with whatever follows; only a final one that says the same stays signed.
    """
    if new.gone:
        if signed is None:
            return Stands("gone")
        if signed.gone:
            return was
        return Stands("open", f"{new.gone} after somebody had acted on it", changes(signed.lines, new.lines))
    if signed is None:
        return Stands("open", "corrected since it came" if new.corrected else was.corrected, was.changed)
    different = changes(signed.lines, new.lines)
    if (
        was.state == "signed"
        and not different
        and not (new.corrected and not signed.corrected)
        and bool(new.partial) <= bool(signed.partial)
    ):
        return Stands("signed", was.corrected, was.changed)
    if signed.partial:
        return Stands("open", "final now" if not new.partial else "more has come", different)
    return Stands(
        "open", "corrected after it was signed" if new.corrected else "changed after it was signed", different
    )


def changes(before: tuple[Line, ...], after: tuple[Line, ...]) -> tuple[str, ...]:
    """What is different, in words, one entry a line."""
    old, new = ({(one.ref, one.part): one for one in lines} for lines in (before, after))
    out = [_difference(old.get(key), one) for key, one in new.items()]
    out += [
        f"{one.name}: {_said(one)} is not in the report any more"
        for key, one in old.items()
        if key not in new
    ]
    return tuple(one for one in out if one)


def _difference(old: Line | None, new: Line) -> str:
    if old is None:
        return f"{new.name}: {_said(new)} is new"
    if new.gone and not old.gone:
        return f"{new.name}: {_said(old)} is {new.gone}"
    if (old.value, old.unit, old.mark, old.range) != (new.value, new.unit, new.mark, new.range):
        return f"{new.name}: {_said(old)} is now {_said(new)}"
    return f"{new.name}: {_said(new)} is {new.quarantined}" if new.quarantined and not old.quarantined else ""


def _said(one: Line) -> str:
    mark = f" ({one.mark})" if one.mark else ""
    return f"{one.value} {one.unit}".strip() + mark
