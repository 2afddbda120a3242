"""Where attachments lie, and what an uploaded file is.

`original/` holds what was uploaded and is never served; `pdf/` holds what was made of it. A file is written beside its
place and moved there whole. All of this blocks: callers use a thread.
"""

import codecs
import contextlib
import hashlib
import os
import re
import secrets
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from models.text import printable
from settings import settings

ACCEPTED = 'PDF, PNG, JPEG, TIFF, WebP and plain text'
DEFAULT_NAME = 'document'
LONGEST_NAME = 200
LEFT_AFTER = 3600.0  # seconds after which a file that belongs to nothing was left behind
_PORTION = 1 << 20
_PARTIAL = 'partial-'
_NOT_DRAWN = 'not drawn'  # begins what no hash begins with


class FileType(StrEnum):
    PDF = 'pdf'
    PNG = 'png'
    JPEG = 'jpeg'
    TIFF = 'tiff'
    WEBP = 'webp'
    TEXT = 'text'


# -- places -----------------------------------------------------------------------------------------------------------


def originals() -> Path:
    return _folder('original')


def pdfs() -> Path:
    return _folder('pdf')


def original_of(stored: str) -> Path:
    return originals() / stored


def pdf_of(stored: str) -> Path:
    return pdfs() / f'{stored}.pdf'


def new_stored() -> str:
    return secrets.token_hex(16)


def not_drawn(stored: str) -> str:
    """What stands in place of the hash of a document of the demo that nobody has asked for yet."""
    return f'{_NOT_DRAWN} {stored}'


def is_drawn(sha256: str) -> bool:
    """Databases of before have nothing in its place."""
    return bool(sha256) and not sha256.startswith(_NOT_DRAWN)


def _folder(name: str) -> Path:
    folder = settings().data_dir.absolute() / 'attachments' / name
    if not folder.is_dir():
        for each in (folder.parent, folder):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
            each.chmod(0o700)  # whatever the process's mask is
    return folder


class Partial:
    """A file that is being written beside its place: `keep` moves it there whole, otherwise `drop` it."""

    def __init__(self, folder: Path) -> None:
        handle, name = tempfile.mkstemp(prefix=_PARTIAL, dir=folder)  # readable for its owner only
        self.path = Path(name)
        self.file: BinaryIO = os.fdopen(handle, 'wb')
        self.size = 0
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self._hash.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def close(self) -> None:
        """On the disk, not only on its way there."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()

    def keep(self, place: Path) -> None:
        self.close()
        move(self.path, place)

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self.file.close()
        self.path.unlink(missing_ok=True)


def move(path: Path, place: Path) -> None:
    """Put a whole file into its place, so that it is found there after a power cut too."""
    path.chmod(0o600)
    path.replace(place)
    handle = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_pdf(stored: str, pdf: bytes) -> None:
    partial = Partial(pdfs())
    try:
        partial.write(pdf)
        partial.keep(pdf_of(stored))
    except BaseException:
        partial.drop()
        raise


def candidates() -> dict[str, list[Path]]:
    """Files old enough to have been left behind, by the name under which their row would store them; '' has none."""
    found: dict[str, list[Path]] = {}
    before = time.time() - LEFT_AFTER
    for folder in (originals(), pdfs()):
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and path.stat().st_mtime < before:
                    stored = '' if path.name.startswith(_PARTIAL) else path.name.removesuffix('.pdf')
                    found.setdefault(stored, []).append(path)
    return found


# -- what a file is ---------------------------------------------------------------------------------------------------

# Text that is meant for a program; a PDF of its source would be of no use to anybody.
_MARKUP = re.compile(r'\s*(<!doctype|<html|<svg|<\?xml|<script|\{\\rtf|%!ps|gif8[79]a)', re.IGNORECASE)
# Tab, newline, return and form feed are text; the other control characters are not.
_CONTROL = re.compile(r'[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]')


def type_of(path: Path) -> FileType | None:
    """What the file is by its content, whatever it is called; None is not accepted."""
    with path.open('rb') as file:
        head = file.read(1024)
        file.seek(0)
        if found := _by_signature(head):
            return found
        return FileType.TEXT if head and _is_text(file, head) else None


def _by_signature(head: bytes) -> FileType | None:
    if head.removeprefix(codecs.BOM_UTF8).lstrip(b'\t\n\f\r \0').startswith(b'%PDF-'):
        return FileType.PDF
    if head.startswith(b'\x89PNG\r\n\x1a\n'):
        return FileType.PNG
    if head.startswith(b'\xff\xd8\xff'):
        return FileType.JPEG
    if head.startswith((b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')):
        return FileType.TIFF
    if head.startswith(b'RIFF') and head[8:12] == b'WEBP':
        return FileType.WEBP
    return None


def _is_text(file: BinaryIO, head: bytes) -> bool:
    with_mark = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    decoder = codecs.getincrementaldecoder('utf-16' if with_mark else 'utf-8-sig')()
    try:
        for number, text in enumerate(_decoded(file, decoder)):
            if _CONTROL.search(text) or (number == 0 and _MARKUP.match(text)):
                return False
    except UnicodeDecodeError:
        return False
    return True


def _decoded(file: BinaryIO, decoder: codecs.IncrementalDecoder) -> Iterator[str]:
    while part := file.read(_PORTION):
        yield decoder.decode(part)
    yield decoder.decode(b'', final=True)


def clean_name(given: str) -> str:
    """A name to show: no folders, no control characters, nothing that turns the direction of writing."""
    name = unicodedata.normalize('NFC', given).replace('\\', '/').rsplit('/', 1)[-1]
    name = printable(name).strip('. ')
    if len(name) > LONGEST_NAME:
        stem, dot, ending = name.rpartition('.')
        ending = dot + ending if stem and len(ending) <= 10 else ''
        name = name[: LONGEST_NAME - len(ending)].rstrip() + ending
    return name or DEFAULT_NAME
