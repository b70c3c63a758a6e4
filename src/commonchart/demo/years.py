"""One person's years, lived from the first day to the last."""

from __future__ import annotations

from commonchart.demo.courses import Course, Entry, first_day, history, laboratory, visit, visit_days
from commonchart.demo.prevention import hospital, prevention, vaccines


def run(course: Course) -> list[Entry]:
    """Live the years; entries by the time they were recorded."""
    t, start = course.t, first_day(course.t, course.until)
    history(course, start)
    for day in visit_days(course, start):
        visit(course, day)
    prevention(course, start)
    vaccines(course, start)
    hospital(course, start)
    if t.diabetes or t.hypertension or t.kidney or t.lipids or t.thyroid:
        laboratory(course, start)
    course.entries.sort(key=lambda entry: entry.recorded)
    return [entry for entry in course.entries if entry.recorded.date() <= course.until]
