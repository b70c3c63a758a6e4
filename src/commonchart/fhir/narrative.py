"""What a Narrative may hold: txt-1 and txt-2. http://hl7.org/fhir/R4/narrative.html#rules.

Read by expat with declarations refused and depth bounded; nothing is ever loaded from elsewhere.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html.entities import html5
from xml.parsers.expat import ExpatError, ParserCreate

XHTML = "http://www.w3.org/1999/xhtml"
MAX_DEPTH = 64

ELEMENTS = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "address",
        "b",
        "bdo",
        "big",
        "blockquote",
        "br",
        "caption",
        "center",
        "cite",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "dfn",
        "dir",
        "div",
        "dl",
        "dt",
        "em",
        "font",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "ins",
        "kbd",
        "li",
        "map",
        "area",
        "ol",
        "p",
        "pre",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "tt",
        "u",
        "ul",
        "var",
    ]
)
ATTRIBUTES = frozenset(
    [
        "title",
        "style",
        "class",
        "id",
        "lang",
        "dir",
        "accesskey",
        "tabindex",
        "xmlns",
        "xml:lang",
        "xml:space",
        "name",
        "href",
        "rel",
        "rev",
        "hreflang",
        "type",
        "charset",
        "shape",
        "coords",
        "src",
        "alt",
        "height",
        "width",
        "ismap",
        "longdesc",
        "usemap",
        "cite",
        "align",
        "valign",
        "char",
        "charoff",
        "abbr",
        "axis",
        "headers",
        "scope",
        "rowspan",
        "colspan",
        "span",
        "border",
        "cellspacing",
        "cellpadding",
        "summary",
        "frame",
        "rules",
        "nowrap",
        "bgcolor",
        "color",
        "face",
        "size",
        "start",
        "value",
        "compact",
        "clear",
        "noshade",
        "datetime",
        "background",
        "hspace",
        "vspace",
        "target",
        "nohref",
        "cellborder",
    ]
)
_STYLE = re.compile(r"expression\s*\(|javascript\s*:|@import|behaviou?r\s*:|-moz-binding", re.IGNORECASE)
_SCHEME = re.compile(r"[\s\x00-\x20]*(javascript|vbscript)\s*:", re.IGNORECASE)


class _Bad(Exception):
    """The rule that is broken."""


class _Reader:
    """What was seen: how deep we are, and whether there is anything to read."""

    def __init__(self) -> None:
        self.depth = 0
        self.says_something = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self.depth == 0 and (name != "div" or attributes.get("xmlns") != XHTML):
            raise _Bad(f'must be a div with xmlns="{XHTML}" (txt-1)')
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _Bad(f"must not be nested deeper than {MAX_DEPTH} (txt-1)")
        if name not in ELEMENTS:
            raise _Bad("holds an element that a narrative may not have (txt-1)")
        if name == "img":
            self.says_something = True
        for attribute, value in attributes.items():
            _attribute(attribute, value)

    def end(self, name: str) -> None:
        self.depth -= 1

    def text(self, text: str) -> None:
        self.says_something = self.says_something or not text.isspace()

    def entity(self, name: str, is_parameter: bool) -> None:
        if f"{name};" not in html5:
            raise _Bad("holds an unknown entity (txt-1)")
        self.says_something = True

    def refuse(self, *seen: object) -> None:
        raise _Bad("must not hold declarations or processing instructions (txt-1)")


def _attribute(name: str, value: str) -> None:
    if name not in ATTRIBUTES:
        raise _Bad("holds an attribute that a narrative may not have (txt-1)")
    if name == "style" and _STYLE.search(value):
        raise _Bad("holds a style that runs or loads something (txt-1)")
    if name in ("href", "src", "cite", "longdesc", "background") and _SCHEME.match(value):
        raise _Bad("holds a link that runs a script (txt-1)")


@lru_cache(maxsize=2048)
def wrong(div: str) -> str | None:
    """The rule that this XHTML breaks, None if none."""
    parser = ParserCreate()
    parser.UseForeignDTD(True)
    reader = _Reader()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.SkippedEntityHandler = reader.entity
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.ProcessingInstructionHandler = reader.refuse
    try:
        parser.Parse(div.encode(), True)
    except _Bad as bad:
        return str(bad)
    except (ExpatError, ValueError):
        return "must be well-formed XHTML (txt-1)"
    return None if reader.says_something else "must hold text or an image (txt-2)"
