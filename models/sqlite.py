"""Tortoise's SQLite client with transactions that wait for their turn.

Tortoise opens with a deferred BEGIN: when another process commits between the first read and the first write, the write
fails with "database is locked" at once, whatever the busy timeout. BEGIN IMMEDIATE takes the write lock first.
"""

import sqlite3
from typing import cast

from tortoise.backends.base.client import NestedTransactionContext, TransactionContext
from tortoise.backends.sqlite.client import SqliteClient, SqliteTransactionContext, SqliteTransactionWrapper
from tortoise.exceptions import OperationalError


class WaitingTransaction(SqliteTransactionWrapper):
    async def begin(self) -> None:
        try:
            await self._connection.execute('BEGIN IMMEDIATE')
        except sqlite3.OperationalError as error:
            raise OperationalError(str(error)) from error

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(WaitingTransaction(cast(SqliteClient, self)))


class WaitingContext(SqliteTransactionContext):
    async def __aenter__(self):
        """Tortoise keeps its lock when BEGIN fails; then nothing could ever write again."""
        await self._trxlock.acquire()
        try:
            await self.ensure_connection()
            await self.connection.begin()
        except BaseException:
            self._trxlock.release()
            raise
        from tortoise.connection import get_connections

        self.token = get_connections().set(self.connection_name, self.connection)
        return self.connection


class WaitingSqliteClient(SqliteClient):
    def _in_transaction(self) -> TransactionContext:
        return WaitingContext(WaitingTransaction(self), self._lock)


client_class = WaitingSqliteClient
