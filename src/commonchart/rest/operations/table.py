"""Every operation this server offers; routing and the CapabilityStatement read it."""

from __future__ import annotations

from functools import cache

from commonchart.fhir.outcome import NotFound
from commonchart.rest.operations.bulk import EXPORT
from commonchart.rest.operations.docref import DOCREF
from commonchart.rest.operations.everything import EVERYTHING
from commonchart.rest.operations.forecast import FORECAST
from commonchart.rest.operations.graphql import GRAPHQL
from commonchart.rest.operations.lastn import LASTN
from commonchart.rest.operations.meta import META
from commonchart.rest.operations.operation import Operation
from commonchart.rest.operations.subscriptions import SUBSCRIPTIONS
from commonchart.rest.operations.terminology import TERMINOLOGY
from commonchart.rest.operations.validate import VALIDATE

OPERATIONS: tuple[Operation, ...] = (
    *EVERYTHING,
    *LASTN,
    *META,
    *DOCREF,
    *EXPORT,
    *GRAPHQL,
    *FORECAST,
    *SUBSCRIPTIONS,
    *TERMINOLOGY,
    *VALIDATE,
)


@cache
def _named() -> dict[str, tuple[Operation, ...]]:
    out: dict[str, tuple[Operation, ...]] = {}
    for one in OPERATIONS:
        out[one.name] = (*out.get(one.name, ()), one)
    return out


def operation_at(segments: tuple[str, ...]) -> Operation:
    """The operation at this address. Raises NotFound."""
    for one in _named().get(segments[-1][1:], ()):
        if one.offered(segments):
            return one
    raise NotFound("This operation is not offered here", code="not-supported")
