"""How this installation is set up: one struct, from the command line, the environment and `commonchart.toml`.

The first that says something wins, in that order. Environment: `COMMONCHART_DATA`, `DATABASE_URL`, and
`COMMONCHART_` with the name of a field in capitals (`COMMONCHART_PORT`). The file lies in the data folder.
"""

from __future__ import annotations

import os
import secrets
import sys
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Literal

import msgspec
from msgspec import Struct

from commonchart.fhir.outcome import Invalid, Malformed

Mode = Literal["practice", "network"]

FILE = "commonchart.toml"
SIGNING_KEY = "secret"
SECRET_BYTES = 32
TENANT = 1


class Settings(Struct, frozen=True):
    """What the program is told. `database_url` "" means the embedded PostgreSQL in `data_dir`.

    `base_url` is the address people use, "" for `http://host:port`; `bindir` names PostgreSQL's programs, "" to look
    for them; `mode` is what a site starts with, until `commonchart mode` has said something else; `secret` signs
    cursors and the like.
    """

    data_dir: Path
    database_url: str = ""
    bindir: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    mode: Mode = "practice"
    base_url: str = ""
    tenant: int = TENANT
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    secret: bytes = b""

    @property
    def address(self) -> str:
        """The address people use, without a slash at its end."""
        return self.base_url.rstrip("/") or f"http://{_bracketed(self.host)}:{self.port}"


def load(env: Mapping[str, str], **overrides: Any) -> Settings:
    """The settings; makes the data folder and its secret if they are not there yet. None in `overrides` says nothing.

    Raises Invalid naming the setting that cannot be read, Malformed when `commonchart.toml` cannot be.
    """
    said = {name: value for name, value in overrides.items() if value is not None}
    given = _environment(env) | said
    data_dir = Path(given.get("data_dir") or default_data_dir(env)).expanduser().absolute()
    make_folder(data_dir)
    merged = _file(data_dir / FILE) | given | {"data_dir": data_dir}
    try:
        settings = msgspec.convert(merged, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise Invalid(f"A setting cannot be used: {error}") from None
    if not 1 <= settings.workers <= 64:
        raise Invalid("A setting cannot be used: workers is a number from 1 to 64")
    return msgspec.structs.replace(settings, secret=_secret(data_dir / SIGNING_KEY))


def default_data_dir(env: Mapping[str, str]) -> Path:
    """`/var/lib/commonchart` for root, else `commonchart` in the user's data folder (XDG, or macOS's own)."""
    if os.geteuid() == 0:
        return Path("/var/lib/commonchart")
    if env.get("XDG_DATA_HOME"):
        return Path(env["XDG_DATA_HOME"], "commonchart")
    home = Path(env.get("HOME") or Path.home())
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "commonchart"
    return home / ".local" / "share" / "commonchart"


def make_folder(path: Path) -> None:
    """Make a folder only its owner reads. Raises Invalid, in words, when that cannot be done."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(f"The data folder {path} cannot be made: {error.strerror}") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise Invalid(f"The data folder {path} cannot be written to by this user")


def _path(kind: type, value: Any) -> Any:
    return kind(value)


def _environment(env: Mapping[str, str]) -> dict[str, Any]:
    names = [
        name for name in Settings.__struct_fields__ if name not in ("data_dir", "database_url", "secret")
    ]
    given: dict[str, Any] = {name: env.get(f"COMMONCHART_{name.upper()}") for name in names}
    given |= {"data_dir": env.get("COMMONCHART_DATA"), "database_url": env.get("DATABASE_URL")}
    return {name: value for name, value in given.items() if value}


def _file(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"{path} cannot be read: {error}") from None
    unknown = set(found) - (set(Settings.__struct_fields__) - {"data_dir", "secret"})
    if unknown:
        raise Malformed(f"{path} has a setting nobody knows: {min(unknown)}")
    return found


def _secret(path: Path) -> bytes:
    """The secret of the folder; a new one gets its name only when all of it is written."""
    if not path.exists():
        try:
            _keep_secret(path)
        except OSError as error:
            raise Invalid(f"The data folder {path.parent} cannot be written to: {error.strerror}") from None
    try:
        secret = bytes.fromhex(path.read_text("ascii"))
    except ValueError:
        secret = b""
    if len(secret) < SECRET_BYTES:
        raise Invalid(
            f"{path} is damaged: take it from a backup, or remove it; then people must sign in again"
        )
    return secret


def _keep_secret(path: Path) -> None:
    descriptor, name = mkstemp(prefix=".secret-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(SECRET_BYTES))
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            Path(path).hardlink_to(name)
    finally:
        Path(name).unlink()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
