"""What is scanned instead of typed, and how the same is typed."""

from __future__ import annotations

import segno


def qr(text: str) -> str:
    """A QR picture of this text as the address of an image: black on white whatever the colours of the page are."""
    return segno.make(text, error="m", micro=False).svg_data_uri(scale=5, border=4, dark="#000", light="#fff")


def groups(text: str, size: int = 4) -> str:
    """The text in groups, to be read and typed."""
    return " ".join(text[at : at + size] for at in range(0, len(text), size))
