"""Every way in is claimed, with the lines of the hostile list that it withstands; every line has its tests or its reason.

What is in the program is read from the program (tests/hostile/doors.py); what is claimed stands in tests/hostile/doors.toml
and lines.toml.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.hostile import doors
from tests.shared import SHARED

ROOT = doors.ROOT
UNCLAIMED = """

These ways in (or calls out) are claimed by nobody:
    {}
Put each under `openings` of the group of tests/hostile/doors.toml that it belongs to (or make a group), look at the lines
of the hostile list named there, add those that only it meets, and have a test for each line in tests/hostile/lines.toml.
"""
GONE = """

tests/hostile/doors.toml claims what is no longer there (renamed? then look at its lines again):
    {}
"""


@pytest.fixture(scope="module")
def openings(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return set(doors.openings(tmp_path_factory.mktemp("nowhere")))


def test_every_way_in_is_claimed(openings: set[str]) -> None:
    claimed = {opening for door in doors.doors() for opening in door.openings}
    unclaimed = sorted(openings - claimed)
    assert not unclaimed, UNCLAIMED.format("\n    ".join(unclaimed))
    gone = sorted(claimed - openings)
    assert not gone, GONE.format("\n    ".join(gone))


def test_nothing_is_claimed_twice() -> None:
    counted = Counter(opening for door in doors.doors() for opening in door.openings)
    assert [opening for opening, n in counted.items() if n > 1] == []


def test_a_new_way_in_is_noticed(tmp_path: Path) -> None:
    """The check is not blind: a route, a websocket and a mounted application that nobody claims are seen."""
    from starlette.routing import Mount, Route, WebSocketRoute

    made = doors.application(tmp_path)
    made.router.routes += [Route("/new", _nothing, methods=["GET", "POST"]), WebSocketRoute("/ws", _nothing), Mount("/m", _nothing)]  # fmt: skip
    found = set(doors.of_application(made)) - set(doors.of_application(doors.application(tmp_path)))
    assert found == {"GET /new", "POST /new", "WEBSOCKET /ws", "MOUNT /m"}


async def _nothing(*_: object) -> None:
    """Answers nothing."""


def test_every_group_names_known_lines_and_has_tests() -> None:
    known = {line.id for line in doors.lines() if not line.absent}
    assert [(door.name, line) for door in doors.doors() for line in door.lines if line not in known] == []
    assert [
        door.name for door in doors.doors() if not door.lines or not door.tests or not door.openings
    ] == []


def test_every_line_has_tests_or_a_reason() -> None:
    listed = doors.lines()
    assert [line.id for line in listed if bool(line.tests) == bool(line.absent)] == []
    met = {line for door in doors.doors() for line in door.lines}
    assert [line.id for line in listed if line.tests and line.id not in met] == []


def test_every_named_test_exists() -> None:
    named = [(door.name, test) for door in doors.doors() for test in door.tests]
    named += [(line.id, test) for line in doors.lines() for test in line.tests]
    assert [(where, test) for where, test in named if not _exists(test)] == []


def _exists(test: str) -> bool:
    path, _, function = test.partition("::")
    file = ROOT / path
    return file.is_file() and bool(re.search(rf"^(?:async )?def {function}\(", file.read_text(), re.M))


def test_no_line_of_the_list_is_forgotten() -> None:
    page = SHARED / "specs/hostile.md"
    if not page.is_file():
        pytest.skip("the hostile list is not here")
    ids = re.findall(r"^\|([A-K]\d+)\|", page.read_text(), re.M)
    assert ids == [line.id for line in doors.lines()]


def test_every_call_out_is_named(openings: set[str]) -> None:
    """H1, H3, H5: nothing but the guard speaks http, nothing but the two mail modules speaks to a mail server."""
    calling = {one for one in openings if one.startswith("CALL ")}
    assert calling == {"CALL cli/serve.py", "CALL exchange/egress.py", "CALL exchange/outreach/mail.py", "CALL exchange/subscriptions/email.py"}  # fmt: skip


def test_the_guard_opens_every_connection_itself() -> None:
    """One client is made in the whole program, and it follows no redirect and no proxy of the environment."""
    sources = {path: path.read_text() for path in doors.SRC.rglob("*.py")}
    made = [
        str(path.relative_to(doors.SRC))
        for path, text in sources.items()
        if re.search(r"AsyncClient\(|httpx\.(get|post|request|Client|stream)\(|urlopen\(", text)
    ]
    assert made == ["exchange/egress.py"]
    guard = (doors.SRC / "exchange/egress.py").read_text()
    assert "trust_env=False, follow_redirects=False" in guard


def test_xml_is_read_in_one_place() -> None:
    """E5: a parser that was not hardened is a second way in; the one of a conformance suite refuses every declaration."""
    reads = re.compile(
        r"XMLParser\(|\.fromstring\(|iterparse\(|etree\.parse\(|minidom|ParserCreate\(|\.sax\b|import ElementTree|xml\.etree"
    )
    found = {
        str(path.relative_to(doors.SRC)) for path in doors.SRC.rglob("*.py") if reads.search(path.read_text())
    }
    assert found == {"fhir/xml.py", "fhir/narrative.py", "cli/check_fhirpath.py"}
    for name in ("fhir/narrative.py", "cli/check_fhirpath.py"):
        assert "StartDoctypeDeclHandler" in (doors.SRC / name).read_text(), name
