"""Refusals: one exception family, one table from category to HTTP status and FHIR issue code.

`rest` renders a refusal as an OperationOutcome, `web` as a page; anything that is not a `Refused` is a bug.
Issue codes: FHIR R4 http://hl7.org/fhir/issue-type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from msgspec import Struct


class Issue(Struct, frozen=True):
    """One thing that is wrong: what rule, where (FHIRPath-style expression), and in words, without patient data."""

    code: str
    message: str
    at: str = ""
    severity: str = "error"


class Refused(Exception):
    """A request that is answered with a refusal. Carries issues; nothing was written."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "invalid"

    def __init__(
        self, message: str = "", *, at: str = "", code: str = "", issues: Sequence[Issue] = ()
    ) -> None:
        self.issues: tuple[Issue, ...] = tuple(issues) or (Issue(code or self.code, message, at),)
        super().__init__("; ".join(issue.message for issue in self.issues))


class Malformed(Refused):
    """Not readable at all: not JSON, a bad parameter, a bad header (400)."""

    status = 400
    code = "structure"


class Invalid(Refused):
    """Readable, and breaks a rule of the resource or the form (422)."""

    status = 422
    code = "invalid"


class Unauthenticated(Refused):
    """Nobody is signed in, or the credential is unknown, expired or revoked (401)."""

    status = 401
    code = "login"


class Forbidden(Refused):
    """The actor may not do this kind of thing at all (403). A hidden resource is `NotFound`."""

    status = 403
    code = "forbidden"


class NotFound(Refused):
    """Unknown, or not this actor's to know (404)."""

    status = 404
    code = "not-found"


class Gone(Refused):
    """Was here and has been deleted (410)."""

    status = 410
    code = "deleted"


class Conflict(Refused):
    """The record has moved on, or something else depends on it (409)."""

    status = 409
    code = "conflict"


class Stale(Conflict):
    """If-Match names another version than the current one (412)."""

    status = 412
    code = "conflict"


class Ambiguous(Refused):
    """A condition matches more than one resource (412)."""

    status = 412
    code = "multiple-matches"


class Unsupported(Refused):
    """Understood and not offered here, such as a FHIRPath function (501)."""

    status = 501
    code = "not-supported"


class MethodNotAllowed(Refused):
    """The address exists, not with this method (405). `allow` is what it takes."""

    status = 405
    code = "not-supported"

    def __init__(self, allow: str) -> None:
        self.allow = allow
        super().__init__(f"This address takes {allow}")


class NotAcceptable(Refused):
    """The format asked for is not offered (406)."""

    status = 406
    code = "not-supported"


class UnsupportedMedia(Refused):
    """The format sent is not understood (415)."""

    status = 415
    code = "not-supported"


class TooLarge(Refused):
    """Larger or deeper than this server reads (413)."""

    status = 413
    code = "too-long"


class TooCostly(Refused):
    """Would cost more than one request may (403 with code too-costly)."""

    status = 403
    code = "too-costly"


class Throttled(Refused):
    """Asked too often (429). `seconds` is how long to wait."""

    status = 429
    code = "throttled"

    def __init__(self, message: str = "", *, at: str = "", seconds: int = 60) -> None:
        self.seconds = seconds
        super().__init__(message, at=at)


class Busy(Refused):
    """Not now: the database is away, or too much is asked at once (503)."""

    status = 503
    code = "transient"


def operation_outcome(refused: Refused) -> dict[str, Any]:
    """The refusal as a FHIR R4 OperationOutcome."""
    return {"resourceType": "OperationOutcome", "issue": [_issue(issue) for issue in refused.issues]}


def _issue(issue: Issue) -> dict[str, Any]:
    out: dict[str, Any] = {"severity": issue.severity, "code": issue.code, "diagnostics": issue.message}
    if issue.at:
        out["expression"] = [issue.at]
    return out
