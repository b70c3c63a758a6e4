"""Every extension whose definition is known, wherever it stands, against that definition."""

from __future__ import annotations

from typing import Any

from commonchart.fhir.profiles.check import Check, Found

MAX_DEPTH = 100


def check(run: Check, whole: Found) -> None:
    """Extensions anywhere in the resource, by their url."""
    _look(run, whole.value, whole.at, 0)


def _look(run: Check, value: Any, at: str, depth: int) -> None:
    if type(value) is list:
        for index, one in enumerate(value):
            if type(one) is dict:
                _look(run, one, f"{at}[{index}]", depth + 1)
        return
    if type(value) is not dict or depth > MAX_DEPTH:
        return
    for name, child in value.items():
        if type(child) is dict or type(child) is list:
            if name in ("extension", "modifierExtension"):
                _extensions(run, child, f"{at}.{name}")
            if not (name == "resource" and at.startswith("Bundle")):
                _look(run, child, f"{at}.{name}", depth + 1)


def _extensions(run: Check, found: Any, at: str) -> None:
    for index, one in enumerate(found if type(found) is list else ()):
        url = one.get("url") if type(one) is dict else None
        profile = run.known.profile(url) if isinstance(url, str) else None
        if profile is not None and profile.type == "Extension":
            run.profile(profile, Found(one, "Extension", None, f"{at}[{index}]"))
