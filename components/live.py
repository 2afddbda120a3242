"""From an event to every open page that shows the thing: gathered, read once, encoded once per audience, sent once.

An audience is who may see the same customers: everybody of a partner who sees all of them, or one user with exceptions.
Messages of a partner are numbered. A page that finds a gap, or that was away, asks again for what it shows. The
browser's side is assets/live.js; the messages are JSON with `t`: `hello`, `d` (changed rows), `many` (ask again), `s`
(overview), `bad` (how many customers have a problem), `c` (parts of a customer that a page shows), `p` (news of the
MSP's people, settings, prospects, orders or mail, which have numbers of their own), `r` (one's own roles in consoles),
`h` (heartbeat) and `bye` (the session is over). `hello` and the heartbeat tell with `db` whether the database can be
used; `hello` says with `me` what role and sight the page was let in with, in a word that changes with them: a page that
was made for others begins anew.
"""

import asyncio
import contextlib
import itertools
import logging
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import Message, Receive, Scope, Send

from components import live_table
from models import Customer, CustomerAccess, Health, PortalUser, Prospect, database, events, sight
from models.database import reader, rows
from models.events import Changed
from models.overview import Overview

log = logging.getLogger(__name__)

WINDOW = 0.1  # seconds in which changes after the first are gathered
MAIL_WINDOW = 1.0  # seconds in which what becomes of mail is told together
MANY = 300  # changed rows in one window above which pages ask again instead
BEAT = 2.0  # seconds between heartbeats; the browser calls itself stale after 4.5 without a word
BACKLOG = 64  # messages a slow browser may be behind before it is cut off and has to ask again
ROLES_KEPT = 1000  # people whose last change of roles is told from that of others
EPOCH = secrets.token_hex(4)  # numbers start anew with the process
LONGEST_PAUSE = 2.0  # seconds at most between two overviews while something changes
OVERVIEW_PAUSE = 0.25  # seconds at least between two overviews of one audience


class Connection:
    """One open page. `push` never waits: what the socket does not take at once is kept, up to a bound."""

    def __init__(self, send: Send, user: PortalUser, session_id: int, audience: 'Audience') -> None:
        self._send = send
        self.user, self.session_id, self.audience = user, session_id, audience
        self.standing = ''  # role and sight that the page was let in with (models/sight.py)
        self.watches_overview = False
        self.watches_customer: int | None = None
        self.closed = asyncio.Event()
        self._backlog: deque[Message] = deque()
        self._writing: asyncio.Task[None] | None = None

    def push(self, text: str) -> None:
        self._put({'type': 'websocket.send', 'text': text})

    def close(self, code: int = 1000) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        self._backlog.clear()
        self._put({'type': 'websocket.close', 'code': code})
        self.closed.set()

    def _put(self, message: Message) -> None:
        if self.closed.is_set():
            return
        if self._writing is not None:
            self._backlog.append(message)
            if len(self._backlog) > BACKLOG:
                self.close(1013)
            return
        # Most sends finish without waiting. Running the first step here instead of in a task of its own halves the
        # cost of a message; only a socket whose buffer is full gets a task.
        sending = self._send(message)
        try:
            waits_for = sending.send(None)  # type: ignore[attr-defined]
        except StopIteration:
            return
        except Exception:  # gone: its reader notices and takes it off the list
            self.closed.set()
            return
        self._writing = asyncio.get_running_loop().create_task(self._drain(sending, waits_for))  # type: ignore[arg-type]

    async def _drain(self, sending: Coroutine[Any, Any, None], waits_for: Any) -> None:
        try:
            await _Rest(sending, waits_for)
            while self._backlog:
                await self._send(self._backlog.popleft())
        except Exception:  # gone
            self.closed.set()
        finally:
            self._writing = None


class _Rest:
    """The rest of a coroutine whose first step has been run already and waits for `waits_for`."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self.coroutine, self.waits_for = coroutine, waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self.waits_for
        while True:
            answer = yield waits_for
            try:
                waits_for = self.coroutine.send(answer)
            except StopIteration:
                return


@dataclass
class Audience:
    """Those who may see the same customers."""

    key: str
    user: PortalUser  # one of them: what it may see, all of them may
    sees_all: bool
    connections: set[Connection] = field(default_factory=set)
    overview_at: float = 0.0  # not before then, by the monotonic clock
    overview_is_old: bool = False
    overview_due: asyncio.Task[None] | None = None

    def send(self, text: str, *, only: Callable[[Connection], bool] | None = None) -> None:
        for connection in tuple(self.connections):
            if only is None or only(connection):
                connection.push(text)


@dataclass
class _Gathered:
    """What changed for one partner and has not been sent yet."""

    rows: dict[int, set[str]] = field(default_factory=dict)
    joined: set[int] = field(default_factory=set)
    many: bool = False
    flush: asyncio.Task[None] | None = None


class Hub:
    """All open pages of this process and what is on its way to them."""

    def __init__(self) -> None:
        self.audiences: dict[str, Audience] = {}
        self.numbers: dict[int, int] = {}
        self.news: dict[int, int] = {}  # by partner: the number of the last news of its people, settings and so on
        self.prospects: dict[int, int] = {}  # by partner: how often its prospects have changed since the start
        self.watchers: dict[int, set[Connection]] = {}  # by customer, whose page is open
        self.touches: dict[int, int] = {}  # how often such a customer has changed since
        # By user: the number of the last change of their roles in the consoles. Of those that were let go of, no number
        # is above `roles_before`, which stands for them all; a page that asks again without need does no harm.
        self.roles: OrderedDict[int, int] = OrderedDict()
        self.roles_before = 0
        self._gathered: dict[int, _Gathered] = {}
        self._touched: dict[int, set[str]] = {}
        self._mail: dict[int, bool] = {}  # of whose mail was told within a second, and whether there is more to tell
        self._telling: asyncio.Task[None] | None = None
        self._subscriptions: list[Callable[[], None]] = []
        self._beating: asyncio.Task[None] | None = None

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.stop()
        for event in events.ABOUT_CUSTOMERS:
            self._subscriptions.append(event.subscribe(self.gather))
        for event, parts in _PARTS.items():
            self._subscriptions.append(event.subscribe(lambda changed, parts=parts: self.touch(changed.rows, parts)))
        self._subscriptions.append(events.CUSTOMER_TOUCHED.subscribe(self.touch_some))
        self._subscriptions.append(
            events.READINGS_STORED.subscribe(lambda ids: self.touch(ids & self.watchers.keys(), {'monitor'}))
        )
        self._subscriptions.append(events.MANY_CHANGED.subscribe(self.gather_many))
        self._subscriptions.append(events.SIGHT_CHANGED.subscribe(self.ask_again))
        self._subscriptions.append(events.ROLES_CHANGED.subscribe(self.tell_roles))
        self._subscriptions.append(events.USERS_CHANGED.subscribe(lambda partner_id: self.tell(partner_id, 'users')))
        self._subscriptions.append(
            events.PARTNER_CHANGED.subscribe(lambda partner_id: self.tell(partner_id, 'settings'))
        )
        self._subscriptions.append(events.PROSPECTS_CHANGED.subscribe(self.tell_prospects))
        self._subscriptions.append(events.MAIL_MOVED.subscribe(self.tell_mail))
        self._beating = asyncio.get_running_loop().create_task(self._beat())

    def stop(self) -> None:
        for unsubscribe in self._subscriptions:
            unsubscribe()
        self._subscriptions.clear()
        if self._beating:
            self._beating.cancel()
            self._beating = None
        for audience in self.audiences.values():
            for connection in tuple(audience.connections):
                connection.close(1012)  # service restart
        # The database closes next: nothing may still be reading.
        for task in [a.overview_due for a in self.audiences.values()] + [g.flush for g in self._gathered.values()]:
            if task is not None:
                task.cancel()
        for _, reading in _shared.values():
            reading.cancel()
        _shared.clear()
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        self.audiences.clear()
        self._gathered.clear()
        self.watchers.clear()
        self.touches.clear()
        self._touched.clear()
        self._mail.clear()

    def session_ids(self) -> set[int]:
        return {c.session_id for audience in self.audiences.values() for c in audience.connections}

    def end(self, session_ids: set[int]) -> None:
        """Tell the pages of these sessions that they are over, and let go of them."""
        for audience in tuple(self.audiences.values()):
            for connection in tuple(audience.connections):
                if connection.session_id in session_ids:
                    connection.push('{"t":"bye"}')
                    connection.close(4401)
                    self._leave(connection)

    def ask_again(self, user_id: int) -> None:
        """What this user may see has changed: the pages start anew with a new audience."""
        for audience in tuple(self.audiences.values()):
            for connection in tuple(audience.connections):
                if connection.user.id == user_id:
                    connection.close(1012)
                    self._leave(connection)

    def tell_roles(self, user_id: int) -> None:
        """What this user is in the consoles has changed: their pages ask again for what they show, and no others."""
        self.roles[user_id] = number = next(_roles_changed)
        self.roles.move_to_end(user_id)
        if len(self.roles) > ROLES_KEPT:
            _, self.roles_before = self.roles.popitem(last=False)
        for audience in tuple(self.audiences.values()):
            audience.send(f'{{"t":"r","r":{number}}}', only=lambda each: each.user.id == user_id)

    def tell_prospects(self, partner_id: int) -> None:
        """Prospects changed: lists of them ask again, and the overview counts those that are pending."""
        self.prospects[partner_id] = self.prospects.get(partner_id, 0) + 1
        self.tell(partner_id, 'prospects')
        self.tell(partner_id, 'orders')  # drafts are theirs
        for audience in tuple(self.audiences.values()):
            if audience.user.partner_id == partner_id:
                self.renew_overview(audience)

    def tell_mail(self, partner_id: int) -> None:
        """Mail moved: pages hear of the first at once, and of what follows within a second together."""
        if partner_id in self._mail:
            self._mail[partner_id] = True
            return
        self._mail[partner_id] = False
        self.tell(partner_id, 'mail')
        asyncio.get_running_loop().call_later(MAIL_WINDOW, self._mail_again, partner_id)

    def _mail_again(self, partner_id: int) -> None:
        if self._mail.pop(partner_id, False):
            self.tell_mail(partner_id)

    async def check_standings(self) -> None:
        """Let the pages of whoever has another role or sight by now, by whatever process, start anew."""
        open_ = {connection for audience in self.audiences.values() for connection in audience.connections}
        now = await sight.standings({connection.user.id for connection in open_})
        for connection in open_:
            if now.get(connection.user.id, connection.standing) != connection.standing:
                self.ask_again(connection.user.id)

    def tell(self, partner_id: int, what: str) -> None:
        """Tell every page of an MSP that its people or its settings changed; pages that show them ask again."""
        number = self.news[partner_id] = self.news.get(partner_id, 0) + 1
        text = orjson.dumps({'t': 'p', 'what': what, 'p': number}).decode()
        for audience in tuple(self.audiences.values()):
            if audience.user.partner_id == partner_id:
                audience.send(text)

    # -- joining ------------------------------------------------------------------------------------------------------

    async def audience_of(self, user: PortalUser) -> Audience:
        exceptions = await CustomerAccess.filter(user_id=user.id).using_db(reader()).exists()
        sees_all = user.sees_all and not exceptions
        key = f'partner {user.partner_id}' if sees_all else f'user {user.id}'
        return self.audiences.get(key) or Audience(key, user, sees_all)

    def number(self, partner_id: int) -> int:
        return self.numbers.get(partner_id, 0)

    def numbers_of(self, partner_id: int) -> dict[str, int]:
        """The last numbers of changed rows (`n`) and of news (`p`), as `hello` and the heartbeat tell them."""
        return {'n': self.number(partner_id), 'p': self.news.get(partner_id, 0)}

    def told(self, partner_id: int) -> str:
        """What the MSP's pages have been told of by now, as a page says it that is built from here on."""
        return f'{EPOCH} {self.news.get(partner_id, 0)}'

    @contextlib.asynccontextmanager
    async def joined(self, send: Send, user: PortalUser, session_id: int) -> AsyncIterator[Connection]:
        standing = await sight.standing_of(user)
        audience = await self.audience_of(user)
        audience = self.audiences.setdefault(audience.key, audience)
        connection = Connection(send, user, session_id, audience)
        connection.standing = standing
        audience.connections.add(connection)
        try:
            yield connection
        finally:
            connection.closed.set()
            self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        audience = connection.audience
        audience.connections.discard(connection)
        self.watch(connection, None)
        if not audience.connections:
            self.audiences.pop(audience.key, None)
            if audience.overview_due:
                audience.overview_due.cancel()
        elif connection.user is audience.user:  # whose sight may just have changed
            audience.user = next(iter(audience.connections)).user

    # -- what changed -------------------------------------------------------------------------------------------------

    def gather(self, changed: Changed) -> None:
        """Take note of a change; the first goes out at once, those that follow within the window go together."""
        gathered = self._gathered.setdefault(changed.partner_id, _Gathered())
        for customer_id, names in changed.rows.items():
            gathered.rows.setdefault(customer_id, set()).update(names)
        gathered.joined |= changed.joined
        if len(gathered.rows) > MANY:
            gathered.many = True
            gathered.rows.clear()
            gathered.joined.clear()
        self._schedule(changed.partner_id, gathered)

    def gather_many(self, partner_id: int | None) -> None:
        for customer_id in self.touches:  # which of them, nobody knows
            self.touches[customer_id] = _next_touch()
        known = {audience.user.partner_id for audience in self.audiences.values()}
        for one in known if partner_id is None else {partner_id}:
            gathered = self._gathered.setdefault(one, _Gathered())
            gathered.many = True
            self._schedule(one, gathered)

    def _schedule(self, partner_id: int, gathered: _Gathered) -> None:
        if gathered.flush is None:
            gathered.flush = asyncio.get_running_loop().create_task(self._flush_while_changing(partner_id))

    async def _flush_while_changing(self, partner_id: int) -> None:
        gathered = self._gathered[partner_id]
        try:
            while gathered.rows or gathered.many:
                rows_, joined, many = gathered.rows, gathered.joined, gathered.many
                gathered.rows, gathered.joined, gathered.many = {}, set(), False
                try:
                    await self._send_out(partner_id, rows_, joined, many)
                except Exception:  # the pages find the gap in the numbers and ask again
                    log.exception('changes could not be sent; the pages will ask again')
                    self.numbers[partner_id] = self.number(partner_id) + 1
                await asyncio.sleep(WINDOW)
        finally:
            gathered.flush = None
            if self._gathered.get(partner_id) is gathered and not gathered.rows and not gathered.many:
                del self._gathered[partner_id]

    async def _send_out(self, partner_id: int, changed: dict[int, set[str]], joined: set[int], many: bool) -> None:
        """Tell every audience. The message has its number when it goes out: a heartbeat while it is being read must not
        tell of one that nobody has, or every page would ask again for everything."""
        ready: dict[str, dict[str, Any]] = {}
        audiences = self._audiences_of(partner_id)
        cells = await live_table.changed_cells(changed) if audiences and not many else {}
        for audience in audiences if not many else ():
            seen = set(changed) if audience.sees_all else await _visible(audience.user, changed)
            message: dict[str, Any] = {'t': 'd', 'rows': {str(i): cells[i] for i in seen if i in cells}}
            if mine := joined & seen:
                message['lists'] = await live_table.lists_of(audience.user, mine)
            ready[audience.key] = message
        number = self.numbers[partner_id] = self.number(partner_id) + 1
        for audience in self._audiences_of(partner_id):  # whoever came meanwhile asks
            audience.send(orjson.dumps(ready.get(audience.key, {'t': 'many'}) | {'n': number}).decode())
            self.renew_overview(audience)

    def _audiences_of(self, partner_id: int) -> list[Audience]:
        return [audience for audience in self.audiences.values() if audience.user.partner_id == partner_id]

    # -- pages of a customer -------------------------------------------------------------------------------------------

    def watch(self, connection: Connection, customer_id: int | None) -> None:
        """Tell this page what changes about this customer (who may see it has been asked), and of no other."""
        if connection.watches_customer is not None:
            watchers = self.watchers.get(connection.watches_customer, set())
            watchers.discard(connection)
            if not watchers:
                self.watchers.pop(connection.watches_customer, None)
                self.touches.pop(connection.watches_customer, None)
        connection.watches_customer = customer_id
        if customer_id is not None:
            self.watchers.setdefault(customer_id, set()).add(connection)
            self.touches.setdefault(customer_id, _next_touch())

    def touch(self, customer_ids: Iterable[int], parts: Iterable[str]) -> None:
        """Take note that these parts of these customers changed; costs nothing for those that nobody looks at."""
        if not self.watchers:
            return
        for customer_id in customer_ids:
            if customer_id in self.watchers:
                # At once, and never a number that was there before: nobody may be given what was read before this.
                self.touches[customer_id] = _next_touch()
                self._touched.setdefault(customer_id, set()).update(parts)
        if self._touched and self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell_watchers())

    def touch_some(self, partner_id: int, touched: dict[int, frozenset[str]]) -> None:
        for customer_id, parts in touched.items():
            self.touch((customer_id,), parts)
        if any('orders' in parts for parts in touched.values()):
            self.tell(partner_id, 'orders')

    async def _tell_watchers(self) -> None:
        """The events of one commit come one after the other and go out together; so do those of the next window."""
        try:
            await asyncio.sleep(0)
            while self._touched:
                touched, self._touched = self._touched, {}
                for customer_id, parts in touched.items():
                    text = orjson.dumps({'t': 'c', 'id': customer_id, 'parts': sorted(parts)}).decode()
                    for connection in tuple(self.watchers.get(customer_id, ())):
                        connection.push(text)
                await asyncio.sleep(WINDOW)
        finally:
            self._telling = None

    # -- the overview -------------------------------------------------------------------------------------------------

    def renew_overview(self, audience: Audience) -> None:
        """Soon, once for all who watch it, and never back to back: it reads every customer of the audience."""
        audience.overview_is_old = True
        if audience.overview_due is None or audience.overview_due.done():
            audience.overview_due = asyncio.get_running_loop().create_task(self._keep_overview(audience))

    async def _keep_overview(self, audience: Audience) -> None:
        while audience.overview_is_old:  # again for what changed while it was being read
            await asyncio.sleep(max(0.0, audience.overview_at - time.monotonic()))
            audience.overview_is_old = False
            try:
                await self._send_overview(audience)
            except database.FAILURES as error:
                database.condition.tell(log, 'the overview could not be read; trying again', error)
                audience.overview_is_old = True
                audience.overview_at = time.monotonic() + BEAT

    async def _send_overview(self, audience: Audience) -> None:
        started = time.monotonic()
        if any(c.watches_overview for c in audience.connections):
            text = await overview_text(audience)
            audience.send(text, only=lambda c: c.watches_overview)
        took = time.monotonic() - started
        # At most so long: a server that stood still while it read must not be silent five times as long afterwards.
        audience.overview_at = time.monotonic() + min(LONGEST_PAUSE, max(OVERVIEW_PAUSE, 5 * took))
        audience.send(f'{{"t":"bad","bad":{await _count_bad(audience.user)}}}')

    # -- the heartbeat ------------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        beats = 0
        while True:
            await asyncio.sleep(BEAT)
            beats += 1
            for audience in tuple(self.audiences.values()):
                numbers = self.numbers_of(audience.user.partner_id)
                audience.send(orjson.dumps({'t': 'h', **numbers, 'now': time.time() * 1000, 'db': _db()}).decode())
                if beats % 15 == 0:  # what time alone changes, and proof that the numbers are still being made
                    self.renew_overview(audience)


def _db() -> bool:
    """Whether what the pages show can still change: `db` of `hello` and of the heartbeat."""
    return not database.condition.trouble


async def _count_bad(user: PortalUser) -> int:
    return await Customer.visible_to(user).filter(worst__lte=Health.BAD_OLD).using_db(reader()).count()


async def _visible(user: PortalUser, ids: Any) -> set[int]:
    found = await rows(Customer.visible_to(user).filter(id__in=list(ids)).values('id'))
    return {row['id'] for row in found}


_shared: dict[tuple[str, str], tuple[float, 'asyncio.Future[Any]']] = {}


async def shared(what: str, audience: str, seconds: float, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """What `make` gives, made once for all of an audience who ask within so many seconds."""
    now = time.monotonic()
    for key in [key for key, (until, future) in _shared.items() if until < now and future.done()]:
        del _shared[key]
    known = _shared.get((what, audience))
    if known is None or (known[1].done() and (known[1].cancelled() or known[1].exception())):
        known = _shared[what, audience] = (now + seconds, asyncio.ensure_future(make()))
    return await asyncio.shield(known[1])


async def overview_text(audience: Audience) -> str:
    """The overview as a message; pages that open or come back together share one reading of it."""

    async def make() -> str:
        overview = await Overview.of(Customer.visible_to(audience.user), Prospect.pending(audience.user))
        return orjson.dumps({'t': 's', 'now': time.time() * 1000, **overview.as_dict()}, default=str).decode()

    return await shared(f'overview {_overview_number(audience)}', audience.key, 1.0, make)


def _overview_number(audience: Audience) -> str:
    """Another one after everything that an overview tells of."""
    partner_id = audience.user.partner_id
    return f'{hub.number(partner_id)} {hub.prospects.get(partner_id, 0)}'


# What of a customer's page each event makes anew; the page's head comes with every one of them.
_PARTS: dict[events.Event[[Changed]], frozenset[str]] = {
    events.CUSTOMERS_ADDED: frozenset({'facts'}),
    events.CUSTOMERS_CHANGED: frozenset({'facts'}),
    events.MONITORS_FLIPPED: frozenset({'monitor'}),
    events.CONNECT_MOVED: frozenset({'connect'}),
    events.RFI_MOVED: frozenset({'rfi'}),
}
_touch = itertools.count(1)
_roles_changed = itertools.count(1)


def _next_touch() -> int:
    return next(_touch)


hub = Hub()


class Socket:
    """The websocket of an open page (`/live`): the guard has checked origin and session."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = scope['state']['session']
        await receive()
        if session.user is None:
            await send({'type': 'websocket.close', 'code': 1008})
            return
        await send({'type': 'websocket.accept'})
        try:
            async with hub.joined(send, session.user, session.id) as connection:
                await self._greet(connection)
                await _listen(receive, connection)
        except database.FAILURES as error:
            database.condition.tell(log, 'a page could not be served live', error)
            with contextlib.suppress(Exception):  # gone already
                await send({'type': 'websocket.close', 'code': 1013})

    async def _greet(self, connection: Connection) -> None:
        user = connection.user
        numbers = hub.numbers_of(user.partner_id)
        hello = {'t': 'hello', 'epoch': EPOCH, **numbers, 'now': time.time() * 1000, 'db': _db(),
                 'r': hub.roles.get(user.id, hub.roles_before), 'me': connection.standing}  # fmt: skip
        connection.push(orjson.dumps(hello).decode())
        bad = await Customer.visible_to(user).filter(worst__lte=Health.BAD_OLD).count()
        connection.push(f'{{"t":"bad","bad":{bad}}}')


async def _listen(receive: Callable[[], Awaitable[Message]], connection: Connection) -> None:
    while not connection.closed.is_set():
        message = await receive()
        if message['type'] == 'websocket.disconnect':
            return
        if len(text := message.get('text') or '') > 1000:
            connection.close(1009)
            return
        try:
            wanted = orjson.loads(text)
        except ValueError:
            continue
        if not isinstance(wanted, dict):
            continue
        if wanted.get('watch') == 'overview':
            number = _overview_number(connection.audience)
            connection.push(await overview_text(connection.audience))
            # Only now, or a newer one could go out before the one that was being read.
            connection.watches_overview = True
            if number != _overview_number(connection.audience):
                hub.renew_overview(connection.audience)
        else:
            connection.watches_overview = False
        customer_id = wanted.get('id') if wanted.get('watch') == 'customer' else None
        if type(customer_id) is not int or not 0 < customer_id < 2**31:
            hub.watch(connection, None)
        elif await _visible(connection.user, [customer_id]) and not connection.closed.is_set():
            hub.watch(connection, customer_id)
            # What changed before this was heard of is not told: the page asks once now.
            connection.push(orjson.dumps({'t': 'c', 'id': customer_id, 'parts': ['all']}).decode())
