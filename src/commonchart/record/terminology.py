"""Terminology as kept in PostgreSQL: the look-ups that the validator, search and the API make.

Reference data, the same for every tenant; value sets that a tenant's clients store count for that tenant.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import AsyncConnection

from commonchart.fhir.codes import Question
from commonchart.terminology.look_up import Answers


async def answers(conn: AsyncConnection[Any], tenant: int | None, questions: Iterable[Question]) -> Answers:
    """Decide all questions at once. `tenant` None: only what the site loaded counts, not what clients stored."""
    return Answers(missing={question.value_set: question.value_set for question in questions})


async def members(conn: AsyncConnection[Any], tenant: int | None, url: str) -> list[tuple[str, str]]:
    """Every (system, code) of a value set. Raises TooCostly when too many, Malformed (not-supported) when not loaded."""
    raise NotImplementedError


async def descendants(conn: AsyncConnection[Any], system: str, code: str) -> list[str]:
    """The code and every code below it. Raises TooCostly when too many, Malformed (not-supported) when not loaded."""
    raise NotImplementedError


async def ancestors(conn: AsyncConnection[Any], system: str, code: str) -> list[str]:
    """The code and every code above it. Raises Malformed (not-supported) when the system is not loaded."""
    raise NotImplementedError
