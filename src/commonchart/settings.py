"""How this installation is set up: one struct, from the command line, the environment and `commonchart.toml`.

The first that says something wins, in that order. Environment: `COMMONCHART_DATA`, `DATABASE_URL`,
`DATABASE_PROGRAM_URL`, and `COMMONCHART_` with the name of a field in capitals (`COMMONCHART_PORT`). The file lies in the data folder.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Literal

import msgspec
from msgspec import Struct

from commonchart.access.oauth import id_tokens
from commonchart.documents import health_card
from commonchart.fhir.outcome import Invalid, Malformed

Mode = Literal["practice", "network"]

FILE = "commonchart.toml"
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
SIGNING_KEY = "secret"
CARD_KEYS = "card-keys.json"
TOKEN_KEYS = "token-keys.json"  # noqa: S105 - the name of a file
SECRET_BYTES = 32
TENANT = 1
MADE = ("secret", "card_keys", "token_keys")
ELSEWHERE = {
    "data_dir": "COMMONCHART_DATA", "database_url": "DATABASE_URL", "database_program_url": "DATABASE_PROGRAM_URL",
}  # fmt: skip
"""The fields whose variable in the environment is not called as they are."""


class Settings(Struct, frozen=True):
    """What the program is told. `database_url` "" means the embedded PostgreSQL in `data_dir`.

    `database_url` is the address of whoever owns the tables, `database_program_url` that of a login that owns nothing; with
    the embedded PostgreSQL both are made.

    `base_url` is the address people use, "" for `http://host:port`; `bindir` names PostgreSQL's programs, "" to look
    for them; `mode` is what a site starts with, until `commonchart mode` has said something else; `secret` signs
    cursors and the like; `card_keys` are the private keys (JWK) of health cards, `token_keys` those of the id tokens of
    apps: the first signs, all are published. `tls_cert` and `tls_key` are PEM files: then only https is spoken.
    `proxies` are the addresses or networks, with spaces between, whose word about where a request came from is believed.
    The limits are requests a minute to each process, 0 for none. `developer_registration` lets developers register apps on a
    public page, `dynamic_registration` lets programs do so (RFC 7591); an administrator approves either.
    """

    data_dir: Path
    database_url: str = ""
    database_program_url: str = ""
    bindir: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    mode: Mode = "practice"
    base_url: str = ""
    tenant: int = TENANT
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    secret: bytes = b""
    card_keys: tuple[dict[str, str], ...] = ()
    token_keys: tuple[dict[str, str], ...] = ()
    tls_cert: str = ""
    tls_key: str = ""
    proxies: str = ""
    limit_user: int = 12_000
    limit_client: int = 30_000
    limit_address: int = 60_000
    developer_registration: Literal["off", "on"] = "off"
    dynamic_registration: Literal["off", "on"] = "off"

    @property
    def secret_file(self) -> Path:
        """Where the secrets lie, one a line, the newest first."""
        return self.data_dir / SIGNING_KEY

    @property
    def address(self) -> str:
        """The address people use, without a slash at its end."""
        scheme = "https" if self.tls_cert else "http"
        return self.base_url.rstrip("/") or f"{scheme}://{_bracketed(self.host)}:{self.port}"


def public_address(settings: Any, scheme: str, host: str) -> str:
    """The address that people use, without a slash at its end: as configured, else as the request names it.

    Raises Malformed for a Host header that names no host: what is made of it stands in links.
    """
    configured: str = getattr(settings, "base_url", "")
    if configured:
        return configured.rstrip("/")
    if not _HOST.fullmatch(host):
        raise Malformed("The Host header is a name or an address, and a port")
    return f"{scheme}://{host}"


def client_address(settings: Any, peer: str, forwarded: str) -> str:
    """Where a request comes from: `peer`, or what the proxies that the settings name say in X-Forwarded-For.

    "" where a proxy stands in front that nobody named: then its one address says nothing about anybody.
    """
    named = networks(getattr(settings, "proxies", ""))
    if not named:
        in_front = bool(getattr(settings, "base_url", "")) and not getattr(settings, "tls_cert", "")
        return "" if in_front else peer
    at = peer
    for before in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
        if not _among(at, named):
            break
        at = before
    return at


@lru_cache(16)
def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The addresses and networks of a text with spaces between. Raises Invalid."""
    try:
        return tuple(ip_network(part) for part in text.split())
    except ValueError:
        raise Invalid(
            "A setting cannot be used: proxies are addresses or networks such as 10.0.0.0/8"
        ) from None


def _among(address: str, named: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in one for one in named)


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
    if min(settings.limit_user, settings.limit_client, settings.limit_address) < 0:
        raise Invalid("A setting cannot be used: a limit is a number of requests a minute, 0 for none")
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise Invalid("A setting cannot be used: tls_cert and tls_key go together")
    networks(settings.proxies)
    return msgspec.structs.replace(
        settings,
        secret=_secret(data_dir / SIGNING_KEY),
        card_keys=_card_keys(data_dir / CARD_KEYS),
        token_keys=_token_keys(data_dir / TOKEN_KEYS),
    )


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
    names = [name for name in Settings.__struct_fields__ if name not in (*ELSEWHERE, *MADE)]
    given: dict[str, Any] = {name: env.get(f"COMMONCHART_{name.upper()}") for name in names}
    given |= {name: env.get(variable) for name, variable in ELSEWHERE.items()}
    return {name: value for name, value in given.items() if value}


def _file(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"{path} cannot be read: {error}") from None
    unknown = set(found) - (set(Settings.__struct_fields__) - {"data_dir", *MADE})
    if unknown:
        raise Malformed(f"{path} has a setting nobody knows: {min(unknown)}")
    return found


def _secret(path: Path) -> bytes:
    """The secret of the folder."""
    try:
        secret = bytes.fromhex(_kept(path, lambda: secrets.token_hex(SECRET_BYTES)))
    except ValueError:
        secret = b""
    if len(secret) < SECRET_BYTES:
        raise Invalid(
            f"{path} is damaged: take it from a backup, or remove it; then people must sign in again"
        )
    return secret


def _card_keys(path: Path) -> tuple[dict[str, str], ...]:
    """The keys that sign health cards. Adding a new one in front changes the signing key; old cards stay valid."""
    text = _kept(path, lambda: msgspec.json.encode({"keys": [health_card.new_key()]}).decode())
    try:
        found = msgspec.json.decode(text.encode(), type=dict[str, tuple[dict[str, str], ...]])["keys"]
        health_card.published(found)
    except (msgspec.MsgspecError, KeyError):
        found = ()
    if not found:
        raise Invalid(
            f"{path} is damaged: take it from a backup, or remove it; then printed cards cannot be checked any more"
        )
    return found


def _token_keys(path: Path) -> tuple[dict[str, str], ...]:
    """The keys that sign id tokens. A new one in front signs from then on; the old ones stay published."""
    text = _kept(path, lambda: msgspec.json.encode({"keys": [id_tokens.new_key()]}).decode())
    try:
        found = msgspec.json.decode(text.encode(), type=dict[str, tuple[dict[str, str], ...]])["keys"]
        id_tokens.published(found)
    except (msgspec.MsgspecError, KeyError, Invalid):
        found = ()
    if not found:
        raise Invalid(f"{path} is damaged: take it from a backup, or remove it; then apps fetch the new key")
    return found


def rotate_token_key(data_dir: Path, keep: int = 5) -> str:
    """Put a new key in front of those that sign id tokens; its kid. The server signs by it from its next start."""
    path = data_dir / TOKEN_KEYS
    made = id_tokens.new_key()
    whole = {"keys": [made, *_token_keys(path)][:keep]}
    _replace(path, msgspec.json.encode(whole))
    return str(made["kid"])


def add_secret(settings: Settings) -> Settings:
    """Put a new secret in front of the installation's: it seals from now on, the others still open."""
    secret = secrets.token_bytes(SECRET_BYTES) + settings.secret
    return _with_secret(settings, secret)


def forget_old_secrets(settings: Settings) -> Settings:
    """Keep only the newest secret."""
    return _with_secret(settings, settings.secret[:SECRET_BYTES])


def _with_secret(settings: Settings, secret: bytes) -> Settings:
    lines = (secret[at : at + SECRET_BYTES].hex() for at in range(0, len(secret), SECRET_BYTES))
    _replace(settings.secret_file, "\n".join(lines).encode())
    return msgspec.structs.replace(settings, secret=secret)


def _replace(path: Path, content: bytes) -> None:
    """Write a file of secrets anew, in one step."""
    descriptor, name = mkstemp(prefix=".secret-", dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    Path(name).replace(path)


def _kept(path: Path, make: Callable[[], str]) -> str:
    """The text of a file of secrets; a new one gets its name only when all of it is written."""
    if not path.exists():
        try:
            _keep(path, make())
        except OSError as error:
            raise Invalid(f"The data folder {path.parent} cannot be written to: {error.strerror}") from None
    return path.read_bytes().decode("ascii", "replace")


def _keep(path: Path, text: str) -> None:
    descriptor, name = mkstemp(prefix=".secret-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            Path(path).hardlink_to(name)
    finally:
        Path(name).unlink()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
