"""XML as it comes from outside: no document type, no entities, nothing fetched. The only place that reads it (hostile list, E5).

The document type is looked for in what the parser found, not in the bytes: in UTF-16 the bytes say nothing.
"""

from __future__ import annotations

from typing import TypeAlias

from lxml import etree

from commonchart.fhir.outcome import Malformed

Element: TypeAlias = etree._Element


def parsed(document: bytes, name: str) -> Element:
    """The root of a document, without comments and processing instructions. Raises Malformed naming the file and line."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True, huge_tree=False
    )  # fmt: skip
    try:
        root = etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        raise Malformed(f"{name} is no XML: line {error.lineno or 0}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise Malformed(f"{name} declares a document type: it is not read")
    return root
