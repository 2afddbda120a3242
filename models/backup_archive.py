"""The file that a backup is: members in one compressed stream, cut into frames that are sealed one by one.

    MSP Portal backup 1\\n                         what it is
    {"cipher": …, "salt": …, "check": …}\\n        how it is sealed
    SHA-256 of the two lines, hexadecimal\\n
    frame: length (4 bytes), content, seal (16 bytes)        again and again

A frame's content is up to `CHUNK` bytes of the stream, compressed, and encrypted where there is a key: AES-256-GCM with
a key derived from it (scrypt), the frame's number as the nonce, and the lines above as what is authenticated with it.
The last frame says so in its nonce, so that a file that was cut off is found. Without a key the seal is a SHA-256 over
the same things and the seal before it: it finds damage, and proves nothing.

In the stream, a member is: length of its name (2 bytes), name, portions (length in 4 bytes, content), 0 (4 bytes),
SHA-256 of its content. Everything is written and read once, from the beginning to the end, in bounded memory. All of
this blocks: callers use a thread.
"""

import hashlib
import hmac
import json
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

MAGIC = b'MSP Portal backup 1\n'
CHUNK = 1 << 20  # bytes of the stream in one frame
_LONGEST_FRAME = CHUNK + (CHUNK >> 8) + 1024  # what cannot be compressed gets a little longer
_LONGEST_LINE = 1000
_LONGEST_NAME = 500
_SEAL = 16
_LEVEL = 3  # of compression: twice as fast as the usual one, and some percent bigger
_CIPHER, _NO_CIPHER = 'aes-256-gcm', 'none'


class NotReadable(ValueError):
    """The file cannot be read as a backup; the message is a sentence for whoever tries."""


class Damaged(NotReadable):
    """It was a backup, and something of it was changed, or is missing."""


class WrongKey(NotReadable):
    """It is whole as far as one can see, and the key is not the one that it was made with."""


# -- sealing ----------------------------------------------------------------------------------------------------------


class _Encrypting:
    """AES-GCM, frame by frame."""

    def __init__(self, key: bytes, header: bytes) -> None:
        self._cipher, self._header = AESGCM(key), header

    def seal(self, nonce: bytes, content: bytes) -> bytes:
        return self._cipher.encrypt(nonce, content, self._header)

    def open(self, nonce: bytes, frame: bytes) -> bytes | None:
        """The content, or None where it is not what was sealed; then the same frame can be tried again."""
        try:
            return self._cipher.decrypt(nonce, frame, self._header)
        except InvalidTag:
            return None


class _Summing:
    """A chain of sums, frame by frame."""

    def __init__(self, header: bytes) -> None:
        self._before = hashlib.sha256(header).digest()[:_SEAL]

    def _sum(self, nonce: bytes, content: bytes) -> bytes:
        return hashlib.sha256(self._before + nonce + content).digest()[:_SEAL]

    def seal(self, nonce: bytes, content: bytes) -> bytes:
        self._before = self._sum(nonce, content)
        return content + self._before

    def open(self, nonce: bytes, frame: bytes) -> bytes | None:
        content, seal = frame[:-_SEAL], frame[-_SEAL:]
        if seal != self._sum(nonce, content):
            return None
        self._before = seal
        return content


def _derived(key: str, salt: bytes) -> tuple[bytes, bytes]:
    """The key of the frames, and what tells whether it is the right one; a tenth of a second and 32 MB."""
    root = Scrypt(salt=salt, length=32, n=1 << 15, r=8, p=1).derive(key.encode())
    return (
        HKDFExpand(SHA256(), 32, info=b'portal backup frames').derive(root),
        HKDFExpand(SHA256(), 16, info=b'portal backup check').derive(root),
    )


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11, 'big') + bytes([is_last])


# -- writing ----------------------------------------------------------------------------------------------------------


class Output(Protocol):
    def write(self, data: bytes, /) -> object: ...


class Writer:
    """Writes a backup into an open file. `finish` makes it whole; without it the file can never be read."""

    def __init__(self, file: Output, key: str = '') -> None:
        salt = os.urandom(16)
        told = {'cipher': _CIPHER if key else _NO_CIPHER}
        frames = b''
        if key:
            frames, check = _derived(key, salt)
            told |= {'salt': salt.hex(), 'check': check.hex()}
        lines = MAGIC + json.dumps(told).encode() + b'\n'
        self._file, self._waiting, self._number = file, bytearray(), 0
        self._seals = _Encrypting(frames, lines) if key else _Summing(lines)
        self._members = hashlib.sha256()
        file.write(lines + hashlib.sha256(lines).hexdigest().encode() + b'\n')

    @contextmanager
    def member(self, name: str) -> Iterator['Member']:
        """A member that is written now, before the next one."""
        encoded = name.encode()
        self._add(len(encoded).to_bytes(2, 'big') + encoded)
        writing = Member(self._add)
        yield writing
        self._add(bytes(4) + writing.digest)
        self._members.update(_line(name, writing.size, writing.digest))

    @property
    def digest(self) -> str:
        """Over names, sizes and contents of all members so far."""
        return self._members.hexdigest()

    def finish(self) -> None:
        self._frame(bytes(self._waiting), is_last=True)

    def _add(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) > CHUNK:  # not at just as much: the last frame may not be empty
            self._frame(bytes(self._waiting[:CHUNK]), is_last=False)
            del self._waiting[:CHUNK]

    def _frame(self, content: bytes, *, is_last: bool) -> None:
        sealed = self._seals.seal(_nonce(self._number, is_last), zlib.compress(content, _LEVEL))
        self._file.write(len(sealed).to_bytes(4, 'big') + sealed)
        self._number += 1


class Member:
    def __init__(self, add: Callable[[bytes], None]) -> None:
        self._add, self._hash, self.size = add, hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), CHUNK):
            portion = data[start : start + CHUNK]
            self._hash.update(portion)
            self._add(len(portion).to_bytes(4, 'big') + portion)
        self.size += len(data)

    @property
    def digest(self) -> bytes:
        return self._hash.digest()


def _line(name: str, size: int, digest: bytes) -> bytes:
    return f'{name}\t{size}\t{digest.hex()}\n'.encode()


# -- reading ----------------------------------------------------------------------------------------------------------


class Reader:
    """Reads a backup from an open file, once. Raises `NotReadable` and its kin wherever something is not as written."""

    def __init__(self, file: BinaryIO, key: str = '') -> None:
        self._file = file
        magic = file.read(len(MAGIC))
        if magic != MAGIC:
            raise NotReadable(
                'This is a backup of a format that this portal does not know.'
                if magic.startswith(b'MSP Portal backup ')
                else 'This is no backup of the portal, or its beginning is damaged.'
            )
        line, sum_of = file.readline(_LONGEST_LINE), file.read(65)
        if sum_of != hashlib.sha256(MAGIC + line).hexdigest().encode() + b'\n':
            raise Damaged('The backup is damaged at its beginning.')
        try:
            told = json.loads(line)
            self.is_encrypted = told['cipher'] != _NO_CIPHER
            salt, check = bytes.fromhex(told.get('salt', '')), bytes.fromhex(told.get('check', ''))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise Damaged('The backup is damaged at its beginning.') from None
        frames = b''
        if self.is_encrypted:
            if not key:
                raise WrongKey('The backup is encrypted, and PORTAL_BACKUP_KEY is empty.')
            frames, expected = _derived(key, salt)
            if not hmac.compare_digest(expected, check):
                raise WrongKey('PORTAL_BACKUP_KEY is not the key that the backup was made with.')
        self._seals = _Encrypting(frames, MAGIC + line) if self.is_encrypted else _Summing(MAGIC + line)
        self._held, self._number, self._is_over = bytearray(), 0, False
        self._members = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Over names, sizes and contents of all members read so far."""
        return self._members.hexdigest()

    def members(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Every member: its name, and its content in portions. What is not read of it is skipped, and checked."""
        while self._has_more():
            name = self._take(int.from_bytes(self._take(2), 'big')).decode(errors='replace')
            if not 0 < len(name) <= _LONGEST_NAME:
                raise self._damaged()
            portions = self._content(name)
            yield name, portions
            for _ in portions:
                pass

    def _content(self, name: str) -> Iterator[bytes]:
        found, size = hashlib.sha256(), 0
        while length := int.from_bytes(self._take(4), 'big'):
            if length > CHUNK:
                raise self._damaged()
            portion = self._take(length)
            found.update(portion)
            size += length
            yield portion
        if self._take(32) != found.digest():
            raise Damaged(f'The backup is damaged: {name} is not what was put into it.')
        self._members.update(_line(name, size, found.digest()))

    def _has_more(self) -> bool:
        while not self._held and not self._is_over:
            self._read_frame()
        return bool(self._held)

    def _take(self, size: int) -> bytes:
        while len(self._held) < size:
            if self._is_over:
                raise self._damaged()
            self._read_frame()
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    def _read_frame(self) -> None:
        begin = self._file.tell()
        length = int.from_bytes(head := self._file.read(4), 'big')
        if len(head) < 4:
            raise Damaged(f'The backup is damaged: it ends too early, after {begin:,} bytes.')
        if not _SEAL < length <= _LONGEST_FRAME:
            raise self._damaged(begin)
        frame = self._file.read(length)
        if len(frame) < length:
            raise Damaged(f'The backup is damaged: it ends too early, after {begin + 4 + len(frame):,} bytes.')
        content = self._seals.open(_nonce(self._number, False), frame)
        if content is None:
            content = self._seals.open(_nonce(self._number, True), frame)
            self._is_over = True
        if content is None:
            raise self._damaged(begin)
        if self._is_over and self._file.read(1):
            raise Damaged('The backup is damaged: something follows after its end.')
        self._number += 1
        self._held += self._decompressed(content, begin)

    def _decompressed(self, content: bytes, begin: int) -> bytes:
        """No more than a frame may hold, whatever the content would become."""
        decompressing = zlib.decompressobj()
        try:
            found = decompressing.decompress(content, CHUNK + 1)
        except zlib.error:
            raise self._damaged(begin) from None
        if len(found) > CHUNK or not decompressing.eof:
            raise self._damaged(begin)
        return found

    def _damaged(self, at: int | None = None) -> Damaged:
        return Damaged(f'The backup is damaged at byte {self._file.tell() if at is None else at:,}.')
