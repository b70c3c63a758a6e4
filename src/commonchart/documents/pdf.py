"""A PDF out of a template and its data: tagged (PDF/UA-1), so that a screen reader reads it too.

Data reaches the template as JSON and is set as text: nothing in it can be read as markup, a path or a program.
"""

from __future__ import annotations

from datetime import datetime
from importlib.resources import files
from typing import Any, Literal

import msgspec
import typst


def pdf(template: str, data: dict[str, Any], now: datetime) -> bytes:
    """The PDF that `templates/{template}.typ` makes of the data; `now` is the moment it says it was made.

    A script that no font of this machine holds cannot be PDF/UA: the page is made all the same, and says so (`unshown`).
    """
    try:
        return _compiled(template, data | {"unshown": False}, now, "ua-1")
    except typst.TypstError as error:
        if "could not be displayed" not in error.message:
            raise
        return _compiled(template, data | {"unshown": True}, now, "1.7")


def _compiled(template: str, data: dict[str, Any], now: datetime, standard: Literal["ua-1", "1.7"]) -> bytes:
    return typst.compile(
        files("commonchart.documents").joinpath("templates", f"{template}.typ").read_bytes(),
        format="pdf",
        sys_inputs={"data": msgspec.json.encode(data).decode()},
        pdf_standards=standard,
        timestamp=int(now.timestamp()),
    )
