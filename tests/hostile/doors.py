"""Every way in, and every call out, read from the program itself: routes, FHIR addresses, listeners, commands, senders."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute

from commonchart import app as wiring
from commonchart.cli import main
from commonchart.record.database import Database
from commonchart.rest import http, routes
from commonchart.rest.operations.table import OPERATIONS
from commonchart.settings import Settings

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SRC = ROOT / "src/commonchart"

LISTENS = frozenset({
    "bind", "create_server", "create_unix_server", "start_server", "start_unix_server", "serve_forever",
    "create_datagram_endpoint", "TCPServer", "ThreadingTCPServer", "HTTPServer", "ThreadingHTTPServer", "Controller",
})  # fmt: skip
"""Calls by which a program in Python begins to listen."""
CALLS_OUT = frozenset({
    "httpx", "aiosmtplib", "smtplib", "requests", "aiohttp", "urllib3", "urllib.request", "http.client", "ftplib", "imaplib",
    "poplib", "telnetlib", "xmlrpc.client", "websockets", "socket", "ssl",
})  # fmt: skip
"""Modules by which a program in Python calls another machine."""


@dataclass(frozen=True)
class Door:
    """A group of openings with the lines of the hostile list that it has to withstand, and the tests that show it."""

    name: str
    lines: tuple[str, ...]
    tests: tuple[str, ...]
    openings: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """One line of the hostile list: the tests that show its safe result, or why there is nothing to show."""

    id: str
    tests: tuple[str, ...] = ()
    absent: str = ""
    missing: str = ""


def doors() -> list[Door]:
    """What doors.toml says."""
    listed = tomllib.loads((HERE / "doors.toml").read_text())["door"]
    return [
        Door(one["name"], tuple(one["lines"]), tuple(one.get("tests", ())), tuple(one["openings"]))
        for one in listed
    ]


def lines() -> list[Line]:
    """What lines.toml says."""
    listed = tomllib.loads((HERE / "lines.toml").read_text())
    return [
        Line(id, tuple(one.get("tests", ())), one.get("absent", ""), one.get("missing", ""))
        for id, one in listed.items()
    ]


def application(folder: Path) -> Starlette:
    """The whole program, wired as `serve` wires it, over a database that is not there."""
    settings = Settings(folder, secret=b"s" * 32)
    return wiring.build(
        settings,
        Database.opened_later("postgresql://127.0.0.1:1/nowhere", patience=0.0),
        lambda: datetime.now(UTC),
    )


def of_application(application: Starlette) -> list[str]:
    """`METHOD address` of every route; what is mounted and is not /fhir comes as `MOUNT address`."""
    out = []
    for route in application.routes:
        if isinstance(route, WebSocketRoute):
            out.append(f"WEBSOCKET {route.path}")
        elif isinstance(route, Route) and route.path != "/fhir":
            out += [f"{method} {route.path}" for method in sorted(set(route.methods or {"ANY"}) - {"HEAD"})]
        elif not (isinstance(route, Mount) and route.path == "/fhir") and not isinstance(route, Route):
            out.append(f"MOUNT {getattr(route, 'path', route)}")
    return out


def of_fhir() -> list[str]:
    """Every interaction and operation under /fhir; `T` stands for a type."""
    out = ["GET /fhir", "POST /fhir", "OPTIONS /fhir"]
    source = Path(http.__file__).read_text()
    for literal in re.findall(r"segments == (\([^)]*\))", source):
        out.append("GET /fhir/" + "/".join(ast.literal_eval(literal)))
    out += [f"GET /fhir/{shape}" for shape in routes.READS]
    out += [f"POST /fhir/{shape}" for shape in routes.FORMS]
    out += [f"{method} /fhir/{shape}" for method, shape in routes.WRITES]
    out += [f"GET /fhir/AuditEvent{shape.removeprefix('T')}" for shape in routes.TRAIL]
    out += [f"GET /fhir/{place}" for place in routes.PLACES]
    for one in OPERATIONS:
        owners = sorted(one.types) if one.types is not None else ["T"]
        levels = [(one.on_type, "{}/"), (one.instance, "{}/id/"), (one.version, "{}/id/_history/v/")]
        out += [f"${one.name} /fhir/"] if one.system else []
        out += [f"${one.name} /fhir/{level.format(owner)}" for on, level in levels if on for owner in owners]
    return list(dict.fromkeys(out))


def of_commands(group: click.Command = main, name: str = "commonchart") -> list[str]:
    """`RUN command` of every command."""
    if not isinstance(group, click.Group):
        return [f"RUN {name}"]
    context = click.Context(group)
    found = [(one, group.get_command(context, one)) for one in group.list_commands(context)]
    return [run for one, command in found if command for run in of_commands(command, f"{name} {one}")]


def of_listeners() -> list[str]:
    """`LISTEN module` of every module that begins to listen."""
    return [f"LISTEN {path}" for path, tree in modules() if _names_called(tree) & LISTENS]


def of_senders() -> list[str]:
    """`CALL module` of every module that could call another machine."""
    return [f"CALL {path}" for path, tree in modules() if _imported(tree) & CALLS_OUT]


def openings(folder: Path) -> list[str]:
    """All of them."""
    return [
        *of_application(application(folder)), *of_fhir(), *of_commands(), *of_listeners(), *of_senders(),
    ]  # fmt: skip


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SRC.rglob("*.py")):
        yield str(path.relative_to(SRC)), ast.parse(path.read_text())


def _names_called(tree: ast.Module) -> set[str]:
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in called}


def _imported(tree: ast.Module) -> set[str]:
    out: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            out |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            out |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return out | {name.split(".")[0] for name in out if name.split(".")[0] in CALLS_OUT - {"socket", "ssl"}}


if __name__ == "__main__":
    print("\n".join(openings(Path.cwd())))
