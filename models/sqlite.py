"""Tortoise's SQLite client with transactions that wait for their turn, and that never waits for ever.

Tortoise opens with a deferred BEGIN: when another process commits between the first read and the first write, the write
fails with "database is locked" at once, whatever the busy timeout. BEGIN IMMEDIATE takes the write lock first.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

from tortoise.backends.base.client import ConnectionWrapper, NestedTransactionContext, TransactionContext
from tortoise.backends.sqlite.client import SqliteClient, SqliteTransactionContext, SqliteTransactionWrapper
from tortoise.exceptions import OperationalError

BUSY = 5.0  # seconds that a connection waits for another process


# -- how long somebody waits ------------------------------------------------------------------------------------------


@dataclass
class _Patience:
    task: asyncio.Task[Any] | None
    left: float  # seconds


_patience: ContextVar[_Patience | None] = ContextVar('patience', default=None)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """What this task waits for connections and locks, all in all; without this it waits as long as it takes.

    Only the waiting counts, and only that of this task: what it starts may go on for longer than it.
    """
    token = _patience.set(_Patience(asyncio.current_task(), seconds))
    try:
        yield
    finally:
        _patience.reset(token)


@contextmanager
def _waiting() -> Iterator[float | None]:
    """How many seconds may be waited here; they are taken off what is left."""
    patience = _patience.get()
    if patience is None or patience.task is not asyncio.current_task():
        yield None
        return
    begun = time.monotonic()
    try:
        yield patience.left
    finally:
        patience.left = max(0.0, patience.left - (time.monotonic() - begun))


async def _taken(lock: asyncio.Lock) -> None:
    with _waiting() as left:
        try:
            async with asyncio.timeout(left):
                await lock.acquire()
        except TimeoutError:
            raise OperationalError('database is locked') from None


@contextmanager
def _translated() -> Iterator[None]:
    """Tortoise translates what a statement raises, and not what opening, BEGIN and COMMIT raise."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OperationalError(str(error)) from error


# -- the client -------------------------------------------------------------------------------------------------------


class WaitingTransaction(SqliteTransactionWrapper):
    async def begin(self) -> None:
        with _waiting() as left, _translated():
            if left is None or left >= BUSY:
                await self._connection.execute('BEGIN IMMEDIATE')
                return
            await self._connection.execute(f'PRAGMA busy_timeout={left * 1000:.0f}')
            try:
                await self._connection.execute('BEGIN IMMEDIATE')
            finally:
                await self._connection.execute(f'PRAGMA busy_timeout={BUSY * 1000:.0f}')

    async def commit(self) -> None:
        try:
            with _translated():
                await super().commit()
        except OperationalError:
            await self.rollback()  # or nothing could begin on this connection any more
            raise

    async def rollback(self) -> None:
        with _translated():
            await super().rollback()

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(WaitingTransaction(cast(SqliteClient, self)))


class WaitingContext(SqliteTransactionContext):
    async def __aenter__(self):
        """Tortoise keeps its lock when BEGIN fails; then nothing could ever write again."""
        await _taken(self._trxlock)
        try:
            await self.ensure_connection()
            self.connection._parent.check_file()
            await self.connection.begin()
        except BaseException:
            self._trxlock.release()
            raise
        from tortoise.connection import get_connections

        self.token = get_connections().set(self.connection_name, self.connection)
        return self.connection


class WaitingWrapper(ConnectionWrapper):
    async def __aenter__(self):
        """Tortoise keeps its lock when the connection cannot be opened; then nobody would ever get it."""
        await _taken(self._lock)
        try:
            await self.ensure_connection()
            cast(WaitingSqliteClient, self.client).check_file()
        except BaseException:
            self._lock.release()
            raise
        return self.connection


class WaitingSqliteClient(SqliteClient):
    _file: tuple[int, int] | None = None

    async def create_connection(self, with_db: bool) -> None:
        try:
            with _translated():
                await super().create_connection(with_db)
                self._file = _identity(self.filename)
        except BaseException:
            await self.close()  # half of its settings may be missing: foreign keys, or that it only reads
            raise

    def check_file(self) -> None:
        """Raise where the file was deleted or replaced: what is written to the open one is lost with it."""
        if self._file != _identity(self.filename):
            raise OperationalError(f'the file {self.filename} was deleted or replaced while it was open')

    def acquire_connection(self) -> ConnectionWrapper:
        return WaitingWrapper(self._lock, self)

    def _in_transaction(self) -> TransactionContext:
        return WaitingContext(WaitingTransaction(self), self._lock)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


client_class = WaitingSqliteClient
