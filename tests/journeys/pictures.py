"""Pictures for whoever wants to look at the pages that the journeys pass: COMMONCHART_SHOTS names the folder, else none is taken."""

from __future__ import annotations

import os
from typing import Any

PHONE = {"width": 390, "height": 844}
FOLDER = os.environ.get("COMMONCHART_SHOTS", "")


def picture(page: Any, name: str) -> None:
    """The whole page as it is."""
    if FOLDER:
        page.screenshot(path=f"{FOLDER}/{name}.png", full_page=True)


def pictures(page: Any, name: str, *, printed: bool = False) -> None:
    """The page in light, in the dark, on paper if it is printed, and on a phone; then it is as it was."""
    if not FOLDER:
        return
    picture(page, name)
    page.emulate_media(color_scheme="dark")
    picture(page, f"{name}-dark")
    page.emulate_media(color_scheme="light")
    if printed:
        page.emulate_media(media="print")
        picture(page, f"{name}-print")
        page.emulate_media(media="screen")
    wide = page.viewport_size
    page.set_viewport_size(PHONE)
    picture(page, f"{name}-phone")
    page.set_viewport_size(wide)
