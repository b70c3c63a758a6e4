"""Documents as plain text: attachments that are text, sections, conclusions. Markup from outside is never shown as markup."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any

from msgspec import Struct

from commonchart.web.present import codes

MOST = 20_000
_BREAKS = {"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "table", "ul", "ol"}


class Part(Struct, frozen=True):
    """A heading and its text; `missing` says why there is no text."""

    title: str
    text: str
    missing: str = ""


def parts(body: Mapping[str, Any]) -> list[Part]:
    """Everything that can be read in a DocumentReference, Composition or DiagnosticReport."""
    found = [
        *(
            _attachment(one.get("attachment") or {})
            for one in body.get("content") or ()
            if isinstance(one, dict)
        ),
        *(_attachment(one) for one in body.get("presentedForm") or ()),
        *([Part("Conclusion", str(body["conclusion"]))] if body.get("conclusion") else []),
        *(
            [Part("Coded conclusion", codes.concepts(body["conclusionCode"]))]
            if body.get("conclusionCode")
            else []
        ),
        *_sections(body),
    ]
    if not found and isinstance(body.get("text"), dict):
        found.append(Part("Text", plain(str(body["text"].get("div") or ""))))
    return [part for part in found if part.text or part.missing]


def _sections(body: Mapping[str, Any]) -> Iterator[Part]:
    for one in body.get("section") or ():
        text = plain(str((one.get("text") or {}).get("div") or ""))
        title = str(one.get("title") or codes.concept(one.get("code"), "Section"))
        empty = codes.concept(one.get("emptyReason"), "") or (
            "entries only, see the record" if one.get("entry") else "empty"
        )
        yield Part(title, text, "" if text or one.get("section") else empty)
        yield from _sections(one)


def _attachment(one: Mapping[str, Any]) -> Part:
    kind = str(one.get("contentType") or "")
    title = str(one.get("title") or kind or "Attachment")
    if not one.get("data"):
        return Part(title, "", "kept elsewhere, not in this record" if one.get("url") else "without content")
    if not kind.startswith("text/"):
        return Part(title, "", f"{kind or 'of unknown kind'}: not shown here")
    try:
        text = b64decode(str(one["data"])).decode("utf-8", "replace")
    except Error:
        return Part(title, "", "cannot be read")
    return Part(title, plain(text) if "html" in kind else text[:MOST])


def plain(html: str) -> str:
    """The text of a piece of (X)HTML, one line per block."""
    reader = _Reader()
    reader.feed(html[: MOST * 10])
    lines = (" ".join(line.split()) for line in "".join(reader.found).split("\n"))
    return "\n".join(line for line in lines if line)[:MOST]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in ("script", "style")
        if tag in _BREAKS:
            self.found.append("\n")
        elif tag in ("td", "th"):
            self.found.append("  ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.found.append(data)
