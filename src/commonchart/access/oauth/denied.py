"""Refusals of the OAuth 2 protocol: RFC 6749, sections 4.1.2.1 and 5.2."""

from __future__ import annotations

from commonchart.fhir.outcome import Refused


class Denied(Refused):
    """What a client asked for is refused with an error code of the protocol, such as `invalid_grant` (400)."""

    status = 400

    def __init__(self, error: str, words: str) -> None:
        self.error = error
        super().__init__(words)


class UnknownClient(Denied):
    """The client did not prove who it is; every reason sounds alike (401)."""

    status = 401

    def __init__(self, words: str = "The client is unknown, or did not prove that it is the one") -> None:
        super().__init__("invalid_client", words)
