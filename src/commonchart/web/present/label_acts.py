"""What was done to labels by hand, in words."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from commonchart.care.labels import labels
from commonchart.record.label_acts import LabelAct
from commonchart.web.present.zone import Zone

WORDS = {"put": "Marked", "lifted": "Lifted", "restored": "Put back"}


class Line(Struct, frozen=True):
    """One act in words; `vid` is the version that it made."""

    when: str
    what: str
    who: str
    reason: str
    reviewed: str
    vid: int


def line(one: LabelAct, people: Mapping[str, str], zone: Zone) -> Line:
    """One act, with the names of who did it and who looked at it; `people` are names by user id."""
    reviewed = f"{people.get(one.reviewer, one.reviewer)}, {zone.stamp(one.reviewed)}" if one.reviewed else ""
    return Line(
        zone.stamp(one.at), what(one), people.get(one.actor, one.actor), one.reason, reviewed, one.vid
    )


def what(one: LabelAct) -> str:
    """`Lifted: HIV (icd-10-cm R75)`."""
    codes = f" ({one.codes})" if one.codes else ""
    return f"{WORDS[one.act]}: {title(one.label)}{codes}"


def title(label: str) -> str:
    """A label in words; the name of one that there is no more."""
    return labels()[label].title if label in labels() else label
