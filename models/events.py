"""What can happen. A verb emits one of these after its commit; whoever shows the thing subscribes.

Events carry ids and the names of changed fields, never rows: a receiver reads what it shows again, through its own
`visible_to`. An event is news, not permission.
"""

import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Generic, ParamSpec

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.transactions import in_transaction

log = logging.getLogger(__name__)

CHANNEL = 'portal_changes'  # where processes tell each other of commits on PostgreSQL
PROCESS = secrets.token_hex(8)
P = ParamSpec('P')

_waiting: ContextVar[list[Callable[[], None]] | None] = ContextVar('events_waiting_for_commit', default=None)


class Event(Generic[P]):
    """Something that has happened; `emit` inside `transaction()` waits for the commit and is dropped on a rollback."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[P, object]] = []

    def subscribe(self, handler: Callable[P, object]) -> Callable[[], None]:
        """Call `handler` (quick, not async) on every emit; return what ends the subscription."""
        self._subscribers.append(handler)
        return lambda: self._subscribers.remove(handler) if handler in self._subscribers else None

    def emit(self, *args: P.args, **kwargs: P.kwargs) -> None:
        waiting = _waiting.get()
        if waiting is not None:
            waiting.append(lambda: self._deliver(*args, **kwargs))
        else:
            self._deliver(*args, **kwargs)

    def _deliver(self, *args: P.args, **kwargs: P.kwargs) -> None:
        for handler in list(self._subscribers):
            try:
                handler(*args, **kwargs)
            except Exception:  # news must reach the others, and the verb that emitted has already committed
                log.exception('a subscriber failed')


@asynccontextmanager
async def transaction() -> AsyncIterator[BaseDBAsyncClient]:
    """One transaction in which verbs may emit: their events go out after the outermost commit, or not at all."""
    if (outer := _waiting.get()) is not None:  # inside another verb: its transaction, its commit, its news
        before = len(outer)
        try:
            async with in_transaction('default') as connection:
                yield connection
        except BaseException:
            del outer[before:]  # what was rolled back here has not happened, even if the outer verb goes on
            raise
        return
    waiting: list[Callable[[], None]] = []
    token = _waiting.set(waiting)
    try:
        async with in_transaction('default') as connection:
            yield connection
            if waiting and connection.capabilities.dialect == 'postgres':
                # Part of the commit: the servers of other processes hear of it, and only if it comes about.
                await connection.execute_query('SELECT pg_notify($1, $2)', [CHANNEL, PROCESS])
    finally:
        _waiting.reset(token)
    for deliver in waiting:
        deliver()


@dataclass(frozen=True)
class Changed:
    """Which fields of which customers of one partner changed; `joined` are the ones that may have entered or left a
    list. `rows` maps customer id to names of fields of Customer."""

    partner_id: int
    rows: dict[int, frozenset[str]] = field(default_factory=dict)
    joined: frozenset[int] = frozenset()


CUSTOMERS_ADDED: Event[[Changed]] = Event()
"""Customers were created or imported."""

CUSTOMERS_CHANGED: Event[[Changed]] = Event()
"""Facts of customers (name, licences, products …) were changed."""

MONITORS_FLIPPED: Event[[Changed]] = Event()
"""Icons changed: good, bad, unknown, not configured, or a reading became old."""

CONNECT_MOVED: Event[[Changed]] = Event()
"""A Connect step was started, completed, blocked, skipped or reopened, or Connect was completed."""

RFI_MOVED: Event[[Changed]] = Event()
"""An RFI was requested, sent back, completed or found in error."""

CUSTOMER_TOUCHED: Event[[int, dict[int, frozenset[str]]]] = Event()
"""On the pages of these customers (id) of a partner (first argument) these parts show something else now: `history`,
`notes`, `contacts`, `infrastructure`, `attachments`, `products`, `connect`, `rfi`, `monitor`, `orders`."""

PROSPECTS_CHANGED: Event[[int]] = Event()
"""Prospects of this partner (id), or orders of theirs, were made or changed."""

MAIL_MOVED: Event[[int]] = Event()
"""Mail of this partner (id) was written, sent or given up."""

CHECK_WANTED: Event[[int, str]] = Event()
"""Somebody (name) wants the automatic check of this step of Connect (id) to run at once."""

READINGS_STORED: Event[[frozenset[int]]] = Event()
"""Readings of these customers (ids) were stored, whether or not an icon changed."""

MANY_CHANGED: Event[[int | None]] = Event()
"""More changed than is worth naming, for one partner or (None) for anyone: another process committed, say."""

SESSIONS_ENDED: Event[[list[int]]] = Event()
"""These sessions (ids) are over: signed out, disabled, expired, password changed."""

SIGHT_CHANGED: Event[[int]] = Event()
"""What this user (id) may see, or the role, has changed."""

USERS_CHANGED: Event[[int]] = Event()
"""People of this partner (id) were invited, changed, disabled, or took up their invitation."""

ROLES_CHANGED: Event[[int]] = Event()
"""What this user (id) is in the consoles of customers has changed."""

PARTNER_CHANGED: Event[[int]] = Event()
"""Settings of this partner (id) were changed."""

ALL: tuple[Event, ...] = (
    CUSTOMERS_ADDED, CUSTOMERS_CHANGED, MONITORS_FLIPPED, CONNECT_MOVED, RFI_MOVED, CUSTOMER_TOUCHED, READINGS_STORED,
    MANY_CHANGED, SESSIONS_ENDED, SIGHT_CHANGED, USERS_CHANGED, PARTNER_CHANGED,
    ROLES_CHANGED, PROSPECTS_CHANGED, MAIL_MOVED, CHECK_WANTED,
)  # fmt: skip
ABOUT_CUSTOMERS: tuple[Event[[Changed]], ...] = (
    CUSTOMERS_ADDED, CUSTOMERS_CHANGED, MONITORS_FLIPPED, CONNECT_MOVED, RFI_MOVED,
)  # fmt: skip
