"""What may become of a message that was not plainly taken. Only what is certain is tried again."""

from __future__ import annotations


class NotTaken(Exception):
    """It certainly was not taken, and may be later. `away`: because the server itself does not answer as it should."""

    def __init__(self, words: str, *, away: bool = False) -> None:
        self.away = away
        super().__init__(words)


class NeverTaken(Exception):
    """The other side said that it will not take this message."""


class InDoubt(Exception):
    """It may have been taken: the connection broke after it had left."""
