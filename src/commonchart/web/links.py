"""Addresses that are safe to send somebody to: local paths only."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from starlette.requests import Request

AT_THE_DOOR = ("/sign-", "/signed-out", "/timed-out", "/session", "/step-up", "/stay")


def local(target: str) -> str:
    """`target` when it is a path of this site, else `/`. Never another host, scheme, or a sign-in page."""
    try:
        parts = urlsplit(target)
    except ValueError:  # what looks like a host, and is none
        return "/"
    bad = (
        parts.scheme
        or parts.netloc
        or not target.startswith("/")
        or target.startswith(("//", "/\\"))
        or "\\" in target
    )
    if bad or any(ord(letter) < 32 for letter in target) or target.startswith(AT_THE_DOOR):
        return "/"
    return target


def next_query(request: Request) -> str:
    """`?next=...` that leads back here after signing in; nothing for a POST, whose page cannot be repeated."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return (
        f"?next={quote(path, safe='')}"
        if request.method == "GET" and path != "/" and local(path) == path
        else ""
    )
