"""Static files under a digest of all of them, so that browsers keep them for a year and never see an old one."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

STATIC = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}


@cache
def files() -> dict[str, Path]:
    """Every file that is served, by its path under static/."""
    return {
        str(path.relative_to(STATIC)): path for path in sorted(STATIC.rglob("*")) if path.suffix in _TYPES
    }


@cache
def digest() -> str:
    """One digest over all names and contents: modules import each other by relative paths, so they share it."""
    found = blake2b(digest_size=8)
    for name, path in files().items():
        found.update(name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def url(name: str) -> str:
    """The address of a static file. Raises KeyError for a file that is not there: a page never links to nothing."""
    if name not in files():
        raise KeyError(name)
    return f"/static/{digest()}/{name}"


def has(name: str) -> bool:
    """Is this file there? (htmx is fetched at build time and the pages work without it.)"""
    return name in files()


async def serve(request: Request) -> Response:
    """A static file; kept for a year under the current digest, not at all under another."""
    path = files().get(request.path_params["path"])
    if path is None:
        return PlainTextResponse("Not found", 404)
    current = request.path_params["digest"] == digest()
    return FileResponse(
        path,
        media_type=_TYPES[path.suffix],
        headers={
            "cache-control": "public, max-age=31536000, immutable" if current else "no-cache",
            "x-content-type-options": "nosniff",
        },
    )
