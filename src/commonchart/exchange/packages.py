"""Find a FHIR package: a file, or a name in the registry that the site has named, called under the egress guard.

Nothing is called unless the site has said where: there is no default registry. Protocol:
https://confluence.hl7.org/display/FHIR/NPM+Package+Specification (npm's: metadata of a name, then the tarball of a version).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from commonchart.exchange.egress import Guard, Unanswered
from commonchart.exchange.rules import guard_of
from commonchart.fhir.outcome import Busy, Invalid, Malformed, NotFound, TooLarge
from commonchart.fhir.packages import MAX_PACKED
from commonchart.record import site

if TYPE_CHECKING:
    from commonchart.record.database import Connection

REGISTRY = "package_registry"
MAX_METADATA = 10_000_000
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,100}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,60}")


def registry(text: str) -> None:
    """Whether this may be a registry's address. Raises Invalid."""
    parts = urlsplit(text)
    if text and not (parts.scheme in ("https", "http") and parts.hostname) and parts.scheme != "file":
        raise Invalid("Say https://registry.example or file:///folder/of/packages", at="VALUE")


async def found(conn: Connection, tenant: int, wanted: str) -> bytes:
    """The bytes of a package: of a file, or of NAME, NAME@VERSION (NAME#VERSION) in the site's registry.

    Raises NotFound, Malformed, TooLarge; Forbidden by the egress guard; Busy when the registry does not answer.
    """
    held = _of_path(Path(wanted))
    if held is not None:
        return held
    name, _, version = wanted.replace("#", "@").partition("@")
    if not _NAME.fullmatch(name) or not (_VERSION.fullmatch(version) if version else "@" not in wanted):
        raise NotFound(f"There is no file {wanted}, and that is no name of a package")
    where = await site.get(conn, tenant, REGISTRY)
    if not where:
        raise NotFound(
            f"There is no file {wanted}. Packages are looked up by name only where the site has named its registry: "
            f"commonchart site {REGISTRY} https://..."
        )
    if where.startswith("file:"):
        return _of_folder(Path(urlsplit(where).path), name, version)
    return await _of_registry(await guard_of(conn, tenant), where.rstrip("/"), name, version)


def _of_path(path: Path) -> bytes | None:
    return _of_file(path) if path.is_file() else None


def _of_file(path: Path) -> bytes:
    if path.stat().st_size > MAX_PACKED:
        raise TooLarge(f"A package may have at most {MAX_PACKED // 1_000_000} MB")
    return path.read_bytes()


def _of_folder(folder: Path, name: str, version: str) -> bytes:
    """`NAME-VERSION.tgz` in a folder; without a version the one that sorts last."""
    fitting = sorted(folder.glob(f"{name}-{version or '[0-9]*'}.tgz"), key=lambda one: _parts(one.name))
    if not fitting:
        raise NotFound(f"There is no {name}-{version or 'VERSION'}.tgz in the registry's folder")
    return _of_file(fitting[-1])


def _parts(text: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else 0, part) for part in re.split(r"[.-]", text)]


async def _of_registry(guard: Guard, where: str, name: str, version: str) -> bytes:
    try:
        told = await guard.send("GET", f"{where}/{name}", max_bytes=MAX_METADATA)
        address = _tarball(told.status, told.body, name, version)
        answer = await guard.send("GET", address, max_bytes=MAX_PACKED, seconds=120)
    except Unanswered as unanswered:
        raise Busy(f"The registry: {unanswered}") from None
    if answer.status != 200:
        raise NotFound(f"The registry answers {answer.status} for the package {name}")
    return answer.body


def _tarball(status: int, body: bytes, name: str, version: str) -> str:
    """The address of a version's tarball, from the metadata of a name."""
    if status != 200:
        raise NotFound(f"The registry answers {status} for the name {name}")
    try:
        told: Any = json.loads(body)
        chosen = version or told["dist-tags"]["latest"]
        address = told["versions"][chosen]["dist"]["tarball"]
    except KeyError:
        raise NotFound(f"The registry has no version {version or 'latest'} of {name}") from None
    except (ValueError, TypeError, RecursionError):
        raise Malformed("The registry's answer is not that of an npm registry") from None
    if not isinstance(address, str):
        raise Malformed("The registry's answer is not that of an npm registry")
    return address
