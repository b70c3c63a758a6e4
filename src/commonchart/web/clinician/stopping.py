"""A form that alerts stopped: the alerts first, then a reason, which counts only for what was shown."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from commonchart.access.medications.gate import Interrupted, Looked
from commonchart.access.medications.kept import Kept
from commonchart.web.forms.orders import REASONS, reason_of
from commonchart.web.present import alerts
from commonchart.web.present.alerts import Coverage, Said


class Stopped(Struct, frozen=True):
    """What is shown above a form: what stops it, what is said beside it, what was covered, and the reason as typed.

    `given` is the reason with which it was stored.
    """

    about: str
    stops: tuple[Said, ...]
    beside: tuple[Said, ...]
    coverage: Coverage
    digest: str = ""
    error: str = ""
    chosen: str = ""
    words: str = ""
    given: str = ""
    reasons: tuple[tuple[str, str], ...] = tuple((one.value, one.label) for one in REASONS)


def stopped(stop: Interrupted, sent: Mapping[str, str]) -> Stopped:
    """The alerts that stop an order. A reason that was sent is shown again only where it was for these alerts."""
    looked = stop.stopped[0]
    again = sent.get("do") == "override" and sent.get("alerts_seen") == looked.digest
    error = "" if sent.get("do") != "override" else _error(again, sent)
    made = checked(looked)
    return Stopped(
        made.about, made.stops, made.beside, made.coverage, looked.digest, error,
        sent.get("override", "") if again else "", sent.get("override_words", "") if again else "",
    )  # fmt: skip


def checked(looked: Looked) -> Stopped:
    """What a check found, with nothing to decide."""
    found = [alerts.said(one, own=f"MedicationRequest/{looked.id}") for one in looked.checked.alerts]
    return Stopped(
        looked.text, tuple(one for one in found if one.serious), tuple(one for one in found if not one.serious),
        alerts.coverage(looked.checked.lines),
    )  # fmt: skip


def stored_check(kept: Kept) -> Stopped:
    """What was found of an order that was stored: everything is to know, nothing stops any more."""
    found = tuple(alerts.said(one) for one in kept.alerts)
    return Stopped(kept.text, (), found, alerts.coverage(kept.lines), given=kept.reason)


def _error(again: bool, sent: Mapping[str, str]) -> str:
    if not again:
        return "The alerts are not the ones you gave a reason for: read them again"
    return "" if reason_of(sent) else "Choose or type why it is ordered all the same"
