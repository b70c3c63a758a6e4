"""The keys that sign seals (Ed25519), in a folder outside the database: one private, and the public ones of all times.

Whoever can change the database cannot sign; whoever can read the folder can. Rotation destroys the old private key and
keeps its public one, so that old seals and checkpoints stay valid.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from tempfile import mkstemp

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from commonchart.fhir.outcome import Invalid

PRIVATE = "signing.key"
PUBLIC = ".pub"
SIZE = 32


class Signer(Struct, frozen=True):
    """The key in use, and its name."""

    name: str
    private: Ed25519PrivateKey

    def sign(self, statement: bytes) -> bytes:
        """The signature of a statement, 64 bytes."""
        return self.private.sign(statement)


def signer(folder: Path) -> Signer:
    """The key of the folder; made when there is none yet. Raises Invalid when it cannot be read or written."""
    path = folder / PRIVATE
    try:
        if not path.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _keep(path, Ed25519PrivateKey.generate())
        private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text("ascii").strip()))
    except (ValueError, UnicodeDecodeError):
        raise Invalid(
            f"{path} is damaged: take it from a backup, or make a new key with: commonchart audit rotate-key"
        ) from None
    except OSError as error:
        raise Invalid(f"The audit keys in {folder} cannot be used: {error.strerror}") from None
    return _published(folder, private)


def rotate(folder: Path) -> Signer:
    """A new private key in place of the one in use, whose public key stays. Raises Invalid."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        private = Ed25519PrivateKey.generate()
        _keep(folder / PRIVATE, private, over=True)
    except OSError as error:
        raise Invalid(f"The audit keys in {folder} cannot be written: {error.strerror}") from None
    return _published(folder, private)


def known(folder: Path) -> dict[str, bytes]:
    """The public keys of the folder by name; a file whose name is not that of its key is left out."""
    found = {path.stem: _read(path) for path in folder.glob(f"*{PUBLIC}")} if folder.is_dir() else {}
    return {name: key for name, key in found.items() if len(key) == SIZE and name_of(key) == name}


def name_of(public: bytes) -> str:
    """A public key's name: the beginning of its digest."""
    return sha256(public).hexdigest()[:16]


def signed(public: bytes, signature: bytes, statement: bytes) -> bool:
    """Whether the owner of this public key signed the statement."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, statement)
    except (InvalidSignature, ValueError):
        return False
    return True


def _published(folder: Path, private: Ed25519PrivateKey) -> Signer:
    public = private.public_key().public_bytes_raw()
    path = folder / f"{name_of(public)}{PUBLIC}"
    if not path.exists():
        path.write_text(public.hex() + "\n", "ascii")
    return Signer(name_of(public), private)


def _read(path: Path) -> bytes:
    try:
        return bytes.fromhex(path.read_text("ascii").strip())
    except (ValueError, UnicodeDecodeError, OSError):
        return b""


def _keep(path: Path, private: Ed25519PrivateKey, *, over: bool = False) -> None:
    """Write a private key whole or not at all; two that start at once agree on the first."""
    descriptor, name = mkstemp(prefix=".key-", dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(private.private_bytes_raw().hex() + "\n")
        file.flush()
        os.fsync(descriptor)
    if over:
        Path(name).rename(path)
        return
    try:
        path.hardlink_to(name)
    except FileExistsError:
        pass
    finally:
        Path(name).unlink()
