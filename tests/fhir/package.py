"""FHIR packages made for a test: an npm-style .tgz with whatever files."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

NEEDLE = "http://example.org/fhir/StructureDefinition/named-patient"
SET = "http://example.org/fhir/ValueSet/colours"


def profile(url: str = NEEDLE, version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    """A profile that wants a Patient to have a name."""
    return {
        "resourceType": "StructureDefinition",
        "url": url,
        "version": version,
        "type": "Patient",
        "kind": "resource",
        "abstract": False,
        "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "differential": {
            "element": [
                {"id": "Patient", "path": "Patient"},
                {"id": "Patient.name", "path": "Patient.name", "min": 1},
            ]
        },
        **more,
    }


def tgz(*resources: dict[str, Any], name: str = "org.example.names", version: str = "1.0.0") -> bytes:
    """A package of these resources."""
    files: dict[str, Any] = {"package/package.json": {"name": name, "version": version}}
    for number, resource in enumerate(resources):
        files[f"package/{resource['resourceType']}-{number}.json"] = resource
    return packed({path: json.dumps(body).encode() for path, body in files.items()})


def packed(files: dict[str, bytes], link: str = "") -> bytes:
    """A .tgz of these files, and a symbolic link to `link`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, body in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
        if link:
            member = tarfile.TarInfo("package/StructureDefinition-link.json")
            member.type, member.linkname = tarfile.SYMTYPE, link
            archive.addfile(member)
    return out.getvalue()
