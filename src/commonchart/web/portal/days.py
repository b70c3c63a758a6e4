"""Days and times as patients read them: `19 November 2026`, `9:20 am`, `in 7 days`."""

from __future__ import annotations

from datetime import date, datetime

from commonchart.web.present.zone import Zone

MONTHS = {
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"),
    "es": ("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"),
}  # fmt: skip
DAYS = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "es": ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
}
_OF = {"en": "{day} {month} {year}", "es": "{day} de {month} de {year}"}
_SHORT = {"en": "{month} {year}", "es": "{month} de {year}"}


def day(text: str | None, language: str = "en") -> str:
    """A FHIR date or dateTime: `19 November 2026`, `November 2026`, `2026`; empty for what is no date."""
    parts = str(text or "")[:10].split("-")
    if not all(part.isdigit() for part in parts) or not 1 <= len(parts) <= 3:
        return ""
    numbers = [int(part) for part in parts]
    if len(numbers) > 1 and not 1 <= numbers[1] <= 12:
        return ""
    month = MONTHS[language][numbers[1] - 1] if len(numbers) > 1 else ""
    if len(numbers) == 3:
        return _OF[language].format(day=numbers[2], month=month, year=numbers[0])
    return _SHORT[language].format(month=month, year=numbers[0]) if month else str(numbers[0])


def of_date(value: date, language: str = "en") -> str:
    """A day."""
    return day(value.isoformat(), language)


def weekday(value: date, language: str = "en") -> str:
    """The name of the day."""
    return DAYS[language][value.weekday()]


def clock(value: datetime, zone: Zone) -> str:
    """The time of day at the practice: `9:20 am`."""
    local = zone.local(value)
    return f"{local.hour % 12 or 12}:{local.minute:02} {'am' if local.hour < 12 else 'pm'}"


def until(value: date, today: date, language: str = "en") -> str:
    """`today`, `tomorrow`, `in 7 days`."""
    n = (value - today).days
    if language == "es":
        return {0: "hoy", 1: "mañana"}.get(n, f"dentro de {n} días")
    return {0: "today", 1: "tomorrow"}.get(n, f"in {n} days")


def named(value: date, today: date) -> str:
    """The heading of a day: `Today`, `Yesterday, 11 November`, `6 November`, with the year when it is another."""
    month = MONTHS["en"][value.month - 1]
    plain = f"{value.day} {month}" + ("" if value.year == today.year else f" {value.year}")
    n = (today - value).days
    return {0: f"Today, {plain}", 1: f"Yesterday, {plain}"}.get(n, plain)
