"""Whom PostgreSQL runs as: this user, or a system user of its own when this is root (it refuses to run as root)."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any

from msgspec import Struct

from commonchart.fhir.outcome import Invalid

NAMES = ("commonchart", "postgres", "nobody")


class Owner(Struct, frozen=True):
    """A system user; `other` says that it is not the one this process runs as."""

    uid: int
    gid: int
    name: str
    other: bool

    def as_user(self) -> dict[str, Any]:
        """What makes subprocess start a program as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.other else {}

    def may_enter(self, folder: Path) -> bool:
        """Whether this user can reach `folder` through all that it lies in."""
        return all(self._may_pass(parent) for parent in (folder, *folder.resolve().parents))

    def _may_pass(self, folder: Path) -> bool:
        about = folder.stat()
        bit = 0o100 if about.st_uid == self.uid else 0o001
        return not self.other or bool(about.st_mode & bit)

    def give(self, path: Path) -> None:
        """Make this user the owner of `path`."""
        if self.other:
            os.chown(path, self.uid, self.gid)


def owner_of(cluster: Path) -> Owner:
    """The user for the data of `cluster`: the one who owns them already, if there are any.

    Raises Invalid when this is root and there is no user to be had.
    """
    if os.geteuid() != 0:
        return Owner(os.geteuid(), os.getegid(), user_name(os.geteuid()), other=False)
    if cluster.exists() and cluster.stat().st_uid != 0:
        about = cluster.stat()
        return Owner(about.st_uid, about.st_gid, user_name(about.st_uid), other=True)
    for name in NAMES:
        if name == NAMES[0]:
            _create(name)
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Owner(found.pw_uid, found.pw_gid, name, other=True)
    raise Invalid(
        "PostgreSQL does not run as root, and there is no other user for it: create a user named commonchart"
    )


def user_name(uid: int) -> str:
    """The name of a user, which PostgreSQL goes by. Raises Invalid when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise Invalid(
            f"PostgreSQL needs a user with a name, and user {uid} has none in /etc/passwd"
        ) from None


def _create(name: str) -> None:
    program = shutil.which("useradd")
    if program is None:
        return
    about = [
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir",
        "/nonexistent",
        "--shell",
        "/usr/sbin/nologin",
    ]
    subprocess.run([program, *about, name], capture_output=True, check=False)
