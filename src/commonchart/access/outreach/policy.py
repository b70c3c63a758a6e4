"""What the site has decided about contacting people: settings of the site, with safe answers where it has said nothing."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from msgspec import Struct

from commonchart.fhir.outcome import Invalid
from commonchart.record import site

if TYPE_CHECKING:
    from commonchart.record.database import Connection

PHONE, ADDRESS, ZONE = "practice_phone", "practice_address", "time_zone"
HOURS, GAP, LANGUAGE = "outreach_hours", "outreach_gap_days", "outreach_language"
SMS, VOICE = "outreach_sms_url", "outreach_voice_url"
DIGEST = "digest_at"
DISTURBING = frozenset({"email", "sms", "voice"})
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class Policy(Struct, frozen=True):
    """Who we are, and when and how often people may be contacted. `opens` and `closes` are times of the site's zone."""

    practice: str = ""
    phone: str = ""
    address: str = ""
    zone: str = "UTC"
    opens: time = time(9)
    closes: time = time(19)
    gap_days: int = 30
    language: str = "en"
    ready: frozenset[str] = frozenset({"letter", "portal"})

    def local(self, now: datetime) -> datetime:
        """The moment on the clocks of the site."""
        return now.astimezone(ZoneInfo(self.zone))

    def day(self, now: datetime) -> date:
        """The day at the site."""
        return self.local(now).date()

    def quiet(self, now: datetime) -> bool:
        """Whether nobody may be disturbed at this moment."""
        return not self.opens <= self.local(now).time() < self.closes

    def day_bounds(self, now: datetime) -> tuple[datetime, datetime]:
        """The first moment of the site's day, and that of the next."""
        begins = datetime.combine(self.day(now), time(), ZoneInfo(self.zone))
        return begins, datetime.combine(self.day(now) + timedelta(days=1), time(), ZoneInfo(self.zone))


async def policy_of(conn: Connection, tenant: int) -> Policy:
    """The site's decisions. Raises Invalid when one of them cannot be read: then nobody is contacted."""

    async def said(key: str, default: str = "") -> str:
        return await site.get(conn, tenant, key) or default

    opens, closes = hours(await said(HOURS, "09:00-19:00"))
    ready = {"letter", "portal"}
    ready |= {name for name, key in (("email", site.SMTP), ("sms", SMS), ("voice", VOICE)) if await said(key)}
    return Policy(
        await said(site.NAME), await said(PHONE), await said(ADDRESS), zone(await said(ZONE, "UTC")), opens, closes,
        gap(await said(GAP, "30")), await said(LANGUAGE, "en"), frozenset(ready),
    )  # fmt: skip


async def local(conn: Connection, tenant: int, now: datetime) -> datetime:
    """The moment on the clocks of the site, whose day is what somebody there means by today; as on its pages, UTC if unknown."""
    try:
        return now.astimezone(ZoneInfo(zone(await site.get(conn, tenant, ZONE) or "UTC")))
    except Invalid:
        return now.astimezone(UTC)


def hours(text: str) -> tuple[time, time]:
    """The hours in which people may be disturbed, from `09:00-19:00`. Raises Invalid."""
    found = _HOURS.fullmatch(text)
    if not found:
        raise Invalid("Say hours such as 09:00-19:00", at=HOURS)
    a, b, c, d = map(int, found.groups())
    if time(a, b) >= time(c, d):
        raise Invalid("The hours must begin before they end, on one day", at=HOURS)
    return time(a, b), time(c, d)


def zone(text: str) -> str:
    """A time zone such as America/Chicago. Raises Invalid."""
    try:
        return ZoneInfo(text).key
    except (KeyError, ValueError, OSError):
        raise Invalid("Say a time zone such as America/Chicago", at=ZONE) from None


def gap(text: str) -> int:
    """For how many days nobody is reminded again. Raises Invalid."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 3650):
        raise Invalid("Say a number of days from 1 to 3650", at=GAP)
    return int(text)
