"""Results of the last days: what the clinician of the demo finds in the inbox, as the laboratory sent it.

Ordered by the first clinician, recorded by the laboratory by the record's own clock; the inbox makes of it what it makes of
every result. Ids of their own, so that nothing else in the practice depends on them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import uuid5

from commonchart.demo import clinical as c
from commonchart.demo.courses import HOSPITAL, LABORATORY, PRACTICE, SPACE, Entry, Traits

FIRST = uuid5(SPACE, "practitioner/0")
PANEL = "Basic metabolic panel"


class _Bench:
    """Collects what is ordered and found for one person."""

    def __init__(self, traits: Traits, until: date) -> None:
        self.t, self.until = traits, until
        self.entries: list[Entry] = []

    def at(self, days: int, hour: int, minute: int = 0) -> datetime:
        """A moment so many days before the last one."""
        return datetime.combine(self.until - timedelta(days=days), time(hour, minute), UTC)

    def put(self, name: str, body: c.Resource, recorded: datetime, org: str) -> str:
        """Record a resource under a name of its own, or its next version."""
        id = str(uuid5(SPACE, f"{self.t.id}/morning/{name}"))
        actor = {LABORATORY: "Lakeside interface", HOSPITAL: "Northgate interface"}.get(
            org, self.t.doctor_name
        )
        self.entries.append(Entry(recorded, org, actor, {**body, "id": id}))
        return id

    def order(self, text: str, when: datetime) -> c.Resource:
        """An order of the first clinician; what results of it are based on."""
        body = {
            "resourceType": "ServiceRequest", "status": "active", "intent": "order", "code": {"text": text},
            "subject": c.ref("Patient", self.t.id), "requester": c.ref("Practitioner", str(FIRST)), "authoredOn": c.instant(when),
        }  # fmt: skip
        return {"basedOn": [c.ref("ServiceRequest", self.put("order", body, when, PRACTICE))]}

    def lab(
        self, code: str, value: str, taken: datetime, recorded: datetime, based: c.Resource, **more: object
    ) -> str:
        """One value."""
        body = (
            c.lab(code, Decimal(value), c.instant(taken), self.t.id, LABORATORY)
            | {"issued": c.instant(recorded)}
            | based
            | more
        )
        return self.put(
            f"{code}/{taken:%d%H}",
            {name: held for name, held in body.items() if held is not None},
            recorded,
            LABORATORY,
        )

    def report(
        self, text: str, results: list[str], taken: datetime, recorded: datetime, based: c.Resource
    ) -> None:
        """One report of several."""
        body = (
            c.report(text, "", self.t.id, c.instant(taken), LABORATORY, results=results)
            | {"issued": c.instant(recorded)}
            | based
        )
        self.put("report", body, recorded, LABORATORY)


def results(traits: Traits, until: date) -> list[Entry]:
    """What was ordered and found for this person in the last days; nothing for most."""
    story = STORIES.get(traits.n)
    if story is None or _age(traits, until) < 18:
        return []
    bench = _Bench(traits, until)
    story(bench)
    return bench.entries


def _age(traits: Traits, day: date) -> int:
    return day.year - traits.born.year - ((day.month, day.day) < (traits.born.month, traits.born.day))


def _critical(b: _Bench) -> None:
    """Potassium went up after a new medicine: taken yesterday, phoned through just after midnight."""
    based = b.order(PANEL, b.at(2, 15))
    filtered = f"{c.egfr(1.82, _age(b.t, b.until), b.t.female):.0f}"
    for days, value in ((190, "4.6"), (62, "4.8")):
        b.lab("2823-3", value, b.at(days, 8), b.at(days, 14), {})
    taken, sent = b.at(1, 16, 20), b.at(0, 0, 12)
    found = [
        b.lab(code, value, taken, sent, based)
        for code, value in (("2823-3", "6.4"), ("2951-2", "136"), ("2160-0", "1.82"), ("98979-8", filtered))
    ]
    b.report(PANEL, found, taken, sent, based)


def _single(code: str, value: str, before: str = "", days: int = 1) -> Callable[[_Bench], None]:
    """One test, and the value before it."""

    def story(b: _Bench) -> None:
        based = b.order(c.LABS[code][0], b.at(days + 3, 11))
        if before:
            b.lab(code, before, b.at(240, 8), b.at(240, 15), {})
        b.lab(code, value, b.at(days, 8), b.at(days, 16, 12), based)

    return story


def _partial(b: _Bench) -> None:
    """Two values are there; the third is still being worked on."""
    based, taken, sent = b.order("Blood count", b.at(1, 10)), b.at(1, 14), b.at(0, 0, 5)
    found = [b.lab(code, value, taken, sent, based) for code, value in (("718-7", "11.2"), ("777-3", "231"))]
    found.append(b.lab("6690-2", "9.1", taken, sent, based, status="preliminary"))
    b.report("Blood count", found, taken, sent, based | {"status": "partial"})


def _corrected(b: _Bench) -> None:
    """A creatinine that the laboratory put right the same evening."""
    based, taken = b.order("Creatinine", b.at(3, 10)), b.at(2, 8)
    b.lab("2160-0", "1.94", taken, b.at(2, 13), based)
    b.lab("2160-0", "0.94", taken, b.at(2, 18), based, status="corrected")


def _bare(b: _Bench) -> None:
    """A value without a range and without a flag."""
    based = b.order("Sodium", b.at(3, 10))
    b.lab("2951-2", "139", b.at(1, 8), b.at(1, 17), based, referenceRange=None, interpretation=None)


def _image(b: _Bench) -> None:
    """The reading of a picture."""
    when = b.at(1, 15)
    based = b.order("Chest X-ray", b.at(3, 9))
    body = c.report("Chest X-ray", "30745-4", b.t.id, c.instant(when), HOSPITAL, category="RAD",
                    conclusion="No focal shadowing. A nodule of 7 mm in the right upper zone: CT advised.")  # fmt: skip
    b.put("report", body | {"issued": c.instant(when)} | based, when, HOSPITAL)


def _panel(b: _Bench) -> None:
    """Fats in one report, all within their ranges."""
    based, taken, sent = b.order("Blood fats", b.at(5, 9)), b.at(2, 8), b.at(2, 17)
    found = [
        b.lab(code, value, taken, sent, based)
        for code, value in (("2089-1", "88"), ("2085-9", "54"), ("2093-3", "168"), ("2571-8", "112"))
    ]
    b.report("Blood fats", found, taken, sent, based)


NORMALS = (22, 23, 25, 27, 29, 32, 37, 38, 39, 41, 44, 48)
_NORMAL = (
    ("2823-3", "4.4", "4.5"), ("3016-3", "2.1", "2.4"), ("2160-0", "0.94", "0.96"), ("2951-2", "139", "140"), ("1742-6", "28", "33"),
    ("777-3", "231", "244"), ("2823-3", "4.1", ""), ("2951-2", "141", "139"), ("2160-0", "0.81", ""), ("3016-3", "1.4", "1.9"),
    ("777-3", "302", ""), ("2571-8", "96", ""),
)  # fmt: skip
STORIES: dict[int, Callable[[_Bench], None]] = {
    4: _critical, 5: _single("98979-8", "41", "47"), 6: _single("2089-1", "168", "141", 2), 9: _single("3016-3", "8.9", "4.0", 2),
    10: _single("718-7", "9.8", "11.9", 3), 15: _bare, 16: _image, 17: _panel, 18: _panel, 33: _partial, 34: _corrected,
    35: _single("1742-6", "74", "31", 2),
    **{n: _single(*found, 1 + n % 3) for n, found in zip(NORMALS, _NORMAL, strict=True)},
}  # fmt: skip
"""By the number of the patient; all of them adults, whose critical limits are known."""
