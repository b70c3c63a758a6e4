"""The command line. A command's module is imported only when the command is used, so that each starts quickly."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click

from commonchart.fhir.outcome import Refused

LAZY = {
    "app": "commonchart.cli.app:app",
    "assess": "commonchart.cli.assess:assess",
    "audit": "commonchart.cli.audit:audit",
    "backup": "commonchart.cli.backup:backup",
    "check": "commonchart.cli.check:check",
    "demo": "commonchart.cli.demo:demo",
    "due": "commonchart.cli.due:due",
    "export": "commonchart.cli.export:export",
    "load": "commonchart.cli.load:load",
    "mode": "commonchart.cli.mode:mode",
    "package": "commonchart.cli.package:package",
    "reindex": "commonchart.cli.reindex:reindex",
    "restore": "commonchart.cli.backup:restore",
    "rules": "commonchart.cli.rules:rules_",
    "schedule": "commonchart.cli.schedule:schedule",
    "secrets": "commonchart.cli.secrets:secrets",
    "serve": "commonchart.cli.serve:serve",
    "site": "commonchart.cli.site:site",
    "terminology": "commonchart.cli.terminology:terminology",
    "tls": "commonchart.cli.tls:tls",
    "token": "commonchart.cli.token:token",
    "user": "commonchart.cli.user:user",
    "v2": "commonchart.cli.v2:v2",
}


class Program(click.Group):
    """The group of all commands; what is refused comes out as one message and exit code 1 (2 for a wrong usage)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the alphabet."""
        return sorted(LAZY)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now."""
        if cmd_name not in LAZY:
            return None
        module, _, name = LAZY[cmd_name].partition(":")
        try:
            found = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            if error.name == module:
                return None
            raise
        assert isinstance(found, click.Command)
        return found

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and leave with a message instead of a traceback; SIGTERM ends what was started, as Ctrl-C does."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, _ended_by)
        try:
            return super().main(*args, **kwargs)
        except Refused as refused:
            _leave("\n  ".join(_lines(refused)))
        except OSError as error:
            _leave(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
        except Exception as error:
            if os.environ.get("COMMONCHART_DEBUG"):
                raise
            _leave(_bug(error))


def _lines(refused: Refused) -> list[str]:
    return [f"{issue.at}: {issue.message}" if issue.at else issue.message for issue in refused.issues]


def _bug(error: Exception) -> str:
    """Where it went wrong and not with what: the message of an error may hold a patient's data."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"something went wrong that should not ({type(error).__name__} in {frame.name}, line {frame.lineno} of "
        f"{frame.filename}). COMMONCHART_DEBUG=1 shows all of it."
    )


def _ended_by(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _leave(message: str) -> NoReturn:
    click.echo(f"commonchart: {message}", err=True)
    sys.exit(1)


@click.command(
    cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="commonchart", prog_name="commonchart", message="%(prog)s %(version)s")
def main() -> None:
    """One health record per patient, kept in common by everyone who cares for them and open to the patient."""
