"""What a site asks of the profiles that a resource states: refused, told, or not looked at. Base R4 always refuses.

The profiles are those in the box and of the packages that the site loaded; codes are looked up in its terminology. What
cannot be checked is told as "NOT CHECKED" and refuses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from commonchart.fhir.codes import Codes
from commonchart.fhir.outcome import Invalid, Issue
from commonchart.fhir.profiles.known import Known
from commonchart.fhir.validate import MODIFIER, Report, against, examine, stating
from commonchart.record import packages, site, terminology

if TYPE_CHECKING:
    from commonchart.record.database import Connection

PROFILES = "profiles"
MODES = ("reject", "warn", "off")
DEFAULT = "warn"
MAX_TOLD = 100
ROUNDS = 3


async def examined(conn: Connection, tenant: int, resource: Any, profiles: Sequence[str] = ()) -> Report:
    """All that R4, the stated profiles and those named have to say, with the site's packages and terminology."""
    known = await packages.known(conn, tenant)
    answers: Codes | None = None
    asked = 0
    report = await asyncio.to_thread(examine, resource, profiles, answers, known)
    for _ in range(ROUNDS):  # an answer may lead to a slice that asks for more
        if len(report.questions) <= asked:
            break
        asked = len(report.questions)
        answers = await terminology.answers(conn, tenant, report.questions)
        report = await asyncio.to_thread(examine, resource, profiles, answers, known)
    return report


async def understood(conn: Connection, tenant: int, modifiers: Iterable[str]) -> None:
    """Raises Invalid for a modifier extension that no package of the site defines: it could turn a meaning round."""
    urls = sorted(set(modifiers))
    known = await packages.known(conn, tenant) if urls else None
    issues = [Issue("extension", f"{url} {MODIFIER}") for url in urls if known and known.profile(url) is None]
    if issues:
        raise Invalid(issues=issues[:MAX_TOLD])


async def mode(conn: Connection, tenant: int) -> str:
    """What the site does with a resource that does not fit a profile it states."""
    said = await site.get(conn, tenant, PROFILES)
    return said if said in MODES else DEFAULT


async def held(
    conn: Connection, tenant: int, resources: Sequence[Any], *, loading: bool = False
) -> list[tuple[Issue, ...]]:
    """What is told of each resource about to be stored, valid R4 already. Raises Invalid where the site rejects.

    `loading`: by the thousand, where nobody would read what is only told; then only a rejecting site looks.
    """
    claiming = [one for one in resources if stating(one)]
    how = await mode(conn, tenant) if claiming else "off"
    if how == "off" or (loading and how == "warn"):
        return [()] * len(resources)
    reports = dict(zip(map(id, claiming), await _reports(conn, tenant, claiming), strict=True))
    errors = [i for report in reports.values() for i in report.issues if i.severity == "error"]
    if errors and how == "reject":
        raise Invalid(issues=errors[:MAX_TOLD])
    return [tuple(map(_softened, reports[id(one)].issues)) if id(one) in reports else () for one in resources]


async def _reports(conn: Connection, tenant: int, resources: Sequence[Any]) -> list[Report]:
    """Each against the profiles it states, all questions of terminology asked together."""
    known = await packages.known(conn, tenant)
    reports = await asyncio.to_thread(_against, resources, known, None)
    for _ in range(ROUNDS):
        questions = {question for report in reports for question in report.questions}
        if not questions:
            break
        answers = await terminology.answers(conn, tenant, questions)
        again = await asyncio.to_thread(_against, resources, known, answers)
        if {q for report in again for q in report.questions} <= questions:
            return again
        reports = again
    return reports


def _against(resources: Sequence[Any], known: Known, answers: Codes | None) -> list[Report]:
    return [against(one, (), answers, known) for one in resources]


def _softened(issue: Issue) -> Issue:
    if issue.severity != "error":
        return issue
    return Issue(issue.code, f"does not fit a profile it states: {issue.message}", issue.at, "warning")
