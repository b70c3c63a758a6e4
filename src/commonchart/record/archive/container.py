"""The file a backup is: numbered blocks of a kind, a length and a payload, sealed one by one if a passphrase is given.

    line 1    COMMONCHART BACKUP 1
    line 2    JSON: whether it is encrypted, and with what salt
    blocks    kind (1 byte), length (4 bytes, big endian), payload; the last is of the kind END and holds the sha256
              of all before it

Encrypted: AES-256-GCM, the key from the passphrase by scrypt (RFC 7914) with a salt of its own for each file, the nonce
the number of the block, and kind, number and length as associated data: a block that is changed, left out, moved or
missing at the end is noticed. The tag is the last 16 bytes of the payload.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import BinaryIO

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from commonchart.fhir.outcome import Invalid, Malformed, Unsupported

MAGIC = b"COMMONCHART BACKUP 1\n"
FAMILY = b"COMMONCHART BACKUP "
BLOCK = 1 << 20
LONGEST_LINE = 1000
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 16, 8, 1
_HEAD = struct.Struct(">BI")
_NONCE = struct.Struct(">IQ")


class Kind(IntEnum):
    """What a block is."""

    ABOUT = 1
    FILE = 2
    TABLE = 3
    ROWS = 4
    TABLE_END = 5
    END = 6


class Preface(Struct, frozen=True):
    """The second line: all that is readable without the passphrase."""

    encrypted: bool
    salt: str = ""


class Writer:
    """Writes blocks to `file`, which is at its start."""

    def __init__(self, file: BinaryIO, passphrase: bytes | None) -> None:
        salt = os.urandom(16) if passphrase else b""
        self._file = file
        self._seal = _cipher(passphrase, salt) if passphrase else None
        self._number = 0
        self._sha = hashlib.sha256()
        self._put(MAGIC + msgspec.json.encode(Preface(passphrase is not None, salt.hex())) + b"\n")

    def write(self, kind: Kind, payload: bytes) -> None:
        """Append one block; `payload` is at most BLOCK bytes."""
        length = len(payload) + (16 if self._seal else 0)
        head = _HEAD.pack(kind, length)
        if self._seal:
            payload = self._seal.encrypt(_NONCE.pack(0, self._number), payload, head)
        self._put(head + payload)
        self._number += 1

    def end(self) -> None:
        """Append the last block."""
        self.write(Kind.END, self._sha.digest())

    def _put(self, data: bytes) -> None:
        self._sha.update(data)
        self._file.write(data)


def blocks(file: BinaryIO, passphrase: bytes | None) -> Iterator[tuple[Kind, bytes]]:
    """Every block but the last, which is checked: reading to the end shows that the file is whole.

    Raises Malformed when this is no backup, is cut off or was changed, Unsupported when a newer program made it, Invalid
    when the passphrase is missing or wrong.
    """
    sha = hashlib.sha256()
    seal = _opened(file, passphrase, sha)
    number = 0
    while True:
        before = sha.digest()
        head = _exactly(file, _HEAD.size)
        kind, length = _HEAD.unpack(head)
        if length > BLOCK + 64:
            raise _damaged()
        payload = _exactly(file, length)
        sha.update(head + payload)
        if seal:
            payload = _unsealed(seal, number, head, payload)
        if kind == Kind.END:
            if payload != before or file.read(1):
                raise _damaged()
            return
        yield _kind(kind), payload
        number += 1


def is_encrypted(file: BinaryIO) -> bool:
    """Whether a passphrase is needed. Raises like `blocks`."""
    return _preface(file, hashlib.sha256()).encrypted


def _opened(file: BinaryIO, passphrase: bytes | None, sha: hashlib._Hash) -> AESGCM | None:
    preface = _preface(file, sha)
    if preface.encrypted and passphrase is None:
        raise Invalid("This backup is encrypted: say with --passphrase-file where its passphrase is")
    if not preface.encrypted:
        return None
    assert passphrase is not None
    try:
        return _cipher(passphrase, bytes.fromhex(preface.salt))
    except ValueError:
        raise _damaged() from None


def _preface(file: BinaryIO, sha: hashlib._Hash) -> Preface:
    first, second = file.readline(LONGEST_LINE), file.readline(LONGEST_LINE)
    sha.update(first + second)
    if not first.startswith(FAMILY):
        raise Malformed("This is not a backup made by Commonchart")
    if first != MAGIC:
        raise Unsupported("This backup was made by a newer Commonchart: restore it with that one")
    try:
        return msgspec.json.decode(second, type=Preface)
    except msgspec.MsgspecError:
        raise _damaged() from None


def _unsealed(seal: AESGCM, number: int, head: bytes, payload: bytes) -> bytes:
    try:
        return seal.decrypt(_NONCE.pack(0, number), payload, head)
    except (InvalidTag, ValueError):
        if number == 0:
            raise Invalid("The passphrase is not the one of this backup, or the backup was changed") from None
        raise _damaged() from None


def _cipher(passphrase: bytes, salt: bytes) -> AESGCM:
    memory = 256 * SCRYPT_N * SCRYPT_R
    return AESGCM(
        hashlib.scrypt(passphrase, salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, maxmem=memory, dklen=32)
    )


def _exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise Malformed("This backup is cut off: its end is missing. Nothing was restored from it.")
    return data


def _kind(number: int) -> Kind:
    try:
        return Kind(number)
    except ValueError:
        raise _damaged() from None


def _damaged() -> Malformed:
    return Malformed("This backup is damaged: it is not as it was written. Nothing was restored from it.")
