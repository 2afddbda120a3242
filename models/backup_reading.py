"""Reading a backup from its beginning to its end: whether it is whole, and what is in it."""

import codecs
import contextlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from models import calendar
from models.backup_archive import Damaged, NotReadable, Reader
from settings import Settings

_FILE = re.compile(r'attachments/(original/[0-9A-Za-z_-]{1,40}|pdf/[0-9A-Za-z_-]{1,40}\.pdf)')
_TABLE = re.compile(r'tables/([a-z_][a-z0-9_]*)\.copy')
_ABOUT = {'engine', 'schema', 'columns', 'made_at', 'secret', 'secret_mark', 'portal'}
_MOST_TOLD = 256 << 20  # bytes of what a backup tells about itself, or of a secret; more is none


@dataclass
class Contents:
    """What a backup says about itself, once all of it was read."""

    is_encrypted: bool
    size: int
    about: dict[str, Any] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    secret: str = ''

    @property
    def engine(self) -> str:
        return {'sqlite': 'SQLite', 'postgres': 'PostgreSQL'}.get(self.about['engine'], '?')

    @property
    def made_at(self) -> datetime:
        return datetime.fromisoformat(self.about['made_at'])

    def rows(self, table: str) -> int:
        return self.manifest['tables'].get(table, 0)

    def in_words(self) -> str:
        counts = [(self.rows('customer'), 'customer'), (self.rows('portal_user'), 'user'), (self.files, 'file')]
        listed = ', '.join(f'{count:,} {what}{"" if count == 1 else "s"}' for count, what in counts)
        return f'{self.engine}, {calendar.said(self.made_at)} {self.made_at:%H:%M} UTC, {listed}'

    @property
    def files(self) -> int:
        """Of attachments: what was uploaded, and what was made of it."""
        return self.manifest['files']

    def doubt(self, given: Settings) -> str:
        """A sentence for somebody who expects more of this backup than it can prove."""
        if not self.is_encrypted and given.backup_key.get_secret_value():
            return 'PORTAL_BACKUP_KEY is set, and this backup is not encrypted: nothing proves who made it.'
        return ''


def read(
    path: Path, key: str, *, database: Path, files: Path | None = None, look: Callable[[], None] = lambda: None
) -> Contents:
    """Read all of it; raises `NotReadable` (`Damaged`, `WrongKey`) with a sentence.

    A SQLite database is written to `database` and checked; attachments are written below `files` if that is given.
    Blocks; `look` is called again and again, and may raise.
    """
    try:
        with path.open('rb') as file:
            return _read(file, key, database, files, look)
    except OSError as error:
        if error.filename == str(path):
            raise NotReadable(f'{path} cannot be read: {error.strerror}.') from error
        raise


def _read(file: BinaryIO, key: str, database: Path, files: Path | None, look: Callable[[], None]) -> Contents:
    reader = Reader(file, key)
    found = Contents(reader.is_encrypted, 0)
    tables: dict[str, int] = {}
    counted = size = 0
    digest = ''
    for name, portions in reader.members():
        if found.manifest or bool(found.about) == (name == 'about.json'):
            raise Damaged(f'The backup is damaged: {name} is where nothing like it should be.')
        portions = _looking(portions, look)
        if name == 'about.json':
            found.about = _told(portions)
        elif name == 'secret':
            found.secret = _small(portions).decode(errors='replace')
        elif name == 'database.sqlite3' and found.about['engine'] == 'sqlite':
            _store(portions, database)
        elif (match := _TABLE.fullmatch(name)) and match[1] in found.about['columns']:
            tables[match[1]] = _count(name, portions, len(found.about['columns'][match[1]]))
        elif match := _FILE.fullmatch(name):
            counted += 1
            size += _store(portions, files and files / match[1])
        elif name == 'manifest.json':
            found.manifest = _told(portions)
        else:
            raise NotReadable(f'There is something in the backup that this portal does not know: {name[:80]}.')
        if name != 'manifest.json':
            digest = reader.digest
    found.size = file.tell()
    if not found.manifest:
        raise Damaged('The backup is damaged: what it should say at its end is missing.')
    if found.about['engine'] == 'sqlite':
        tables = _check_sqlite(database, found, look)
    counts = {'members': digest, 'tables': tables, 'files': counted, 'file_bytes': size}
    if any(found.manifest.get(name) != count for name, count in counts.items()):
        raise Damaged('The backup is damaged: there is not in it what it says there is.')
    return found


def _looking(portions: Iterator[bytes], look: Callable[[], None]) -> Iterator[bytes]:
    look()
    for portion in portions:
        look()
        yield portion


def _small(portions: Iterator[bytes]) -> bytes:
    found = bytearray()
    for portion in portions:
        found += portion
        if len(found) > _MOST_TOLD:
            raise Damaged('The backup is damaged: what it says about itself has no end.')
    return bytes(found)


def _told(portions: Iterator[bytes]) -> dict[str, Any]:
    found: Any = None
    with contextlib.suppress(ValueError):
        found = json.loads(_small(portions))
    if not isinstance(found, dict) or not found.keys() >= _ABOUT or found['engine'] not in ('sqlite', 'postgres'):
        raise Damaged('The backup is damaged: what it says about itself makes no sense.')
    if not all(_TABLE.fullmatch(f'tables/{table}.copy') for table in found['columns']):
        raise Damaged('The backup is damaged: it names a table that cannot be.')
    return found


def _store(portions: Iterator[bytes], place: Path | None) -> int:
    """Write a file, for the portal alone to read; return its size."""
    size = 0
    with contextlib.ExitStack() as stack:
        file = None
        if place is not None:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = stack.enter_context(place.open('xb'))
            place.chmod(0o600)
        for portion in portions:
            size += len(portion)
            if file:
                file.write(portion)
    return size


def _count(name: str, portions: Iterator[bytes], columns: int) -> int:
    """How many rows there are in what COPY wrote: a line each, with tabs between the columns."""
    decoder, lines, tabs, last = codecs.getincrementaldecoder('utf-8')(), 0, 0, b'\n'
    try:
        for portion in portions:
            lines += portion.count(b'\n')
            tabs += portion.count(b'\t')
            last = portion[-1:]
            decoder.decode(portion)
        decoder.decode(b'', final=True)
    except UnicodeDecodeError:
        raise Damaged(f'The backup is damaged: {name} is no text.') from None
    if tabs != lines * (columns - 1) or last != b'\n':
        raise Damaged(f'The backup is damaged: there are not {columns} columns in every row of {name}.')
    return lines


def _check_sqlite(place: Path, found: Contents, look: Callable[[], None]) -> dict[str, int]:
    """Whether the database is whole; return how many rows there are in each of its tables."""

    def interrupted() -> int:
        look()
        return 0

    try:
        address = f'file:{quote(str(place))}?mode=ro&immutable=1'
        with contextlib.closing(sqlite3.connect(address, uri=True)) as file:
            file.set_progress_handler(interrupted, 1_000_000)
            said = file.execute('PRAGMA integrity_check(1)').fetchone()[0]
            if said != 'ok':
                raise Damaged(f'The database in the backup is damaged: {" ".join(said.split())[:200]}.')
            schema = [row[0] for row in file.execute('SELECT name FROM tortoise_migrations ORDER BY name')]
            if schema != found.about['schema']:
                raise Damaged('The backup is damaged: its database is of another version than it says.')
            return {
                table: file.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in found.about['columns']
            }
    except sqlite3.Error as error:
        look()  # what `look` raised while SQLite worked is said by SQLite in its own words
        raise Damaged(f'The database in the backup is damaged: {error}.') from error
