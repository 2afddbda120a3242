import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from tortoise.exceptions import OperationalError

from components import live, live_table
from components.live import BACKLOG, MANY, Connection, Hub
from components.live_table import LiveTable
from models import (
    ConsoleRole,
    Customer,
    CustomerAccess,
    DelegatedAccess,
    Listing,
    MonitorKind,
    MonitorState,
    PortalUser,
    Rfi,
    RfiState,
    database,
    events,
)  # fmt: skip
from models.events import Changed


class Page:
    """The browser's end of a socket: what it was sent, taken at once, slowly, or not at all."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.codes: list[int] = []
        self.stands_still = False
        self.is_broken = False

    async def send(self, message: Any) -> None:
        if self.is_broken:
            raise OSError('gone')
        if self.stands_still:
            await asyncio.Event().wait()
        if message['type'] == 'websocket.close':
            self.codes.append(message['code'])
        else:
            self.heard.append(orjson.loads(message['text']))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.heard if message['t'] == kind]

    @property
    def changes(self) -> list[dict[str, Any]]:
        return self.of('d')

    def cells(self) -> dict[str, dict[str, Any]]:
        """What the page shows after all deltas."""
        shown: dict[str, dict[str, Any]] = {}
        for message in self.changes:
            for customer_id, cells in message['rows'].items():
                shown.setdefault(customer_id, {}).update(cells)
        return shown


class Rooms:
    """A hub and the pages that are open."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.tasks: list[asyncio.Task] = []

    async def open(self, user: PortalUser, session_id: int = 1, *, overview: bool = False) -> tuple[Page, Connection]:
        page, joined = Page(), asyncio.get_running_loop().create_future()

        async def stay() -> None:
            async with self.hub.joined(page.send, user, session_id) as connection:
                connection.watches_overview = overview
                joined.set_result(connection)
                await connection.closed.wait()

        self.tasks.append(asyncio.ensure_future(stay()))
        return page, await joined


@pytest.fixture
async def rooms(monkeypatch) -> AsyncIterator[Rooms]:
    hub = Hub()
    monkeypatch.setattr(live, 'hub', hub)
    hub.start()
    rooms = Rooms(hub)
    yield rooms
    hub.stop()
    for task in rooms.tasks:
        task.cancel()


@pytest.fixture
def tables() -> None:
    """The lists of the portal, as far as they matter here."""
    live_table.TABLES.clear()
    complete = ['name', 'seats', 'inbound_queue', 'rfi']
    LiveTable('complete', Customer, complete, lambda user: Customer.listed(user, Listing.COMPLETE))
    LiveTable('in-progress', Customer, ['name', 'seats', 'connect_status', 'rfi'], Customer.listed_in_progress)


@pytest.fixture
def readings(monkeypatch) -> list[dict]:
    """Each time that changed cells are read."""
    made: list[dict] = []
    read = live_table.changed_cells

    async def counted(changed: dict) -> Any:
        made.append(changed)
        return await read(changed)

    monkeypatch.setattr(live_table, 'changed_cells', counted)
    return made


pytestmark = pytest.mark.usefixtures('tables')


# -- what a change becomes --------------------------------------------------------------------------------------------


async def test_a_change_carries_ids_and_the_changed_fields_only(sqlite_db, northwind, add, rooms, until):
    acme = await add(northwind.partner, 'Acme', seats=5)
    page, _ = await rooms.open(northwind.ana)
    await acme.change(seats=6)
    (message,) = await until(lambda: page.changes)
    assert message == {'t': 'd', 'n': message['n'], 'rows': {str(acme.id): {'seats': 6}}}


async def test_the_first_change_goes_out_at_once_and_those_within_the_window_together(
    sqlite_db, northwind, add, rooms, until, monkeypatch
):
    acme, best = await add(northwind.partner, 'Acme'), await add(northwind.partner, 'Best')
    await until(lambda: not rooms.hub._gathered)
    page, _ = await rooms.open(northwind.ana)
    opened, waits = asyncio.Event(), []

    async def window(seconds: float) -> None:
        waits.append(seconds)
        await opened.wait()

    monkeypatch.setattr(live.asyncio, 'sleep', window)
    await acme.change(seats=1)
    while not page.changes:
        await asyncio.wait({asyncio.ensure_future(_turn())})
    for seats in (2, 3, 4):
        await acme.change(seats=seats)
    await best.change(seats=9)
    assert len(page.changes) == 1
    assert live.WINDOW in waits
    opened.set()
    while len(page.changes) < 2:
        await asyncio.wait({asyncio.ensure_future(_turn())})
    assert page.changes[1]['rows'] == {str(acme.id): {'seats': 4}, str(best.id): {'seats': 9}}
    opened.clear()


async def _turn() -> None:
    """One turn of the event loop, without the `sleep` that the test holds."""
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)


async def test_numbers_of_a_partner_have_no_gaps(sqlite_db, northwind, fabrikam, add, rooms, until, monkeypatch):
    monkeypatch.setattr(live, 'WINDOW', 0)
    acme, foreign = await add(northwind.partner, 'Acme'), await add(fabrikam.partner, 'Foreign')
    await until(lambda: not rooms.hub._gathered)
    before = rooms.hub.number(northwind.partner.id)
    page, _ = await rooms.open(northwind.ana)
    for seats in range(1, 6):
        await acme.change(seats=seats)
        await foreign.change(seats=seats)
        await until(lambda seats=seats: page.cells().get(str(acme.id), {}).get('seats') == seats)
    assert [message['n'] for message in page.changes] == list(range(before + 1, before + 6))


async def test_a_change_that_could_not_be_read_leaves_a_gap_so_that_pages_ask_again(
    sqlite_db, northwind, add, rooms, until, monkeypatch, caplog
):
    monkeypatch.setattr(live, 'WINDOW', 0)
    acme = await add(northwind.partner, 'Acme')
    await until(lambda: not rooms.hub._gathered)
    page, _ = await rooms.open(northwind.ana)
    read, failures = live_table.changed_cells, []

    async def fails_once(changed: dict) -> Any:
        if not failures:
            failures.append(changed)
            raise OperationalError('locked')
        return await read(changed)

    monkeypatch.setattr(live_table, 'changed_cells', fails_once)
    before = rooms.hub.number(northwind.partner.id)
    await acme.change(seats=1)
    await until(lambda: failures and not rooms.hub._gathered)
    await acme.change(seats=2)
    (message,) = await until(lambda: page.changes)
    assert message['n'] > before + 1
    assert 'ask again' in caplog.text


async def test_one_reading_serves_a_window_however_many_watch(sqlite_db, northwind, add, rooms, until, readings):
    acme = await add(northwind.partner, 'Acme')
    tom = northwind.tom
    await CustomerAccess.create(user=tom, customer=acme, allowed=True)
    await until(lambda: not rooms.hub._gathered)
    readings.clear()
    pages = [(await rooms.open(who, n))[0] for n, who in enumerate([northwind.ana, northwind.ana, tom, northwind.ana])]
    await acme.change(seats=5)
    await until(lambda: all(page.changes for page in pages))
    assert len(readings) == 1
    assert len(rooms.hub.audiences) == 2


async def test_nobody_there_costs_no_reading(sqlite_db, northwind, add, rooms, until, readings):
    acme = await add(northwind.partner, 'Acme')
    await acme.change(seats=5)
    await until(lambda: not rooms.hub._gathered)
    assert not readings


async def test_above_the_bound_pages_are_told_that_much_changed(sqlite_db, northwind, rooms, until, readings):
    page, _ = await rooms.open(northwind.ana)
    changed = {n: frozenset({'seats'}) for n in range(1, MANY + 2)}
    events.CUSTOMERS_CHANGED.emit(Changed(northwind.partner.id, changed, frozenset(changed)))
    (message,) = await until(lambda: page.of('many'))
    assert message == {'t': 'many', 'n': rooms.hub.number(northwind.partner.id)}
    assert not page.changes
    assert not readings


async def test_the_bound_itself_is_still_sent_row_by_row(sqlite_db, northwind, rooms, until):
    page, _ = await rooms.open(northwind.ana)
    changed = {n: frozenset({'seats'}) for n in range(1, MANY + 1)}
    events.CUSTOMERS_CHANGED.emit(Changed(northwind.partner.id, changed))
    await until(lambda: page.changes)
    assert not page.of('many')


async def test_many_for_everybody_reaches_every_partner(sqlite_db, northwind, fabrikam, rooms, until):
    anas, _ = await rooms.open(northwind.ana)
    eves, _ = await rooms.open(fabrikam.eve)
    events.MANY_CHANGED.emit(northwind.partner.id)
    await until(lambda: anas.of('many'))
    assert not eves.of('many')
    events.MANY_CHANGED.emit(None)
    await until(lambda: len(anas.of('many')) == 2 and eves.of('many'))


async def test_who_may_have_entered_or_left_a_list_is_told_with_the_list(sqlite_db, northwind, add, rooms, until):
    new = await add(northwind.partner, 'New', rfi=RfiState.REQUESTED)
    await until(lambda: not rooms.hub._gathered)
    page, _ = await rooms.open(northwind.ana)
    await (await Rfi.get(customer_id=new.id)).move('submit')
    (message,) = await until(lambda: page.changes)
    assert message['lists'] == {'complete': [], 'in-progress': [new.id]}
    assert message['rows'][str(new.id)]['connect_status'] == 'RFI received'
    live_ = await add(northwind.partner, 'Live', listing=Listing.COMPLETE)
    await until(lambda: len(page.changes) == 2)
    assert page.changes[1]['lists'] == {'complete': [live_.id], 'in-progress': []}


# -- who hears what ---------------------------------------------------------------------------------------------------


async def test_a_change_of_one_partner_does_not_reach_another(sqlite_db, northwind, fabrikam, add, rooms, until):
    acme, foreign = await add(northwind.partner, 'Acme'), await add(fabrikam.partner, 'Foreign')
    await until(lambda: not rooms.hub._gathered)
    anas, _ = await rooms.open(northwind.ana)
    eves, _ = await rooms.open(fabrikam.eve)
    await acme.change(name='Secret')
    await foreign.change(seats=3)
    await until(lambda: anas.changes and eves.changes)
    assert set(anas.cells()) == {str(acme.id)}
    assert set(eves.cells()) == {str(foreign.id)}
    assert 'Secret' not in str(eves.heard)


@pytest.mark.parametrize('sees_all', [True, False])
async def test_a_user_with_exceptions_gets_only_the_rows_that_can_be_seen(
    sqlite_db, northwind, add, rooms, until, sees_all
):
    tom = northwind.tom
    tom.sees_all = sees_all
    await tom.save()
    mine, not_mine = await add(northwind.partner, 'Mine'), await add(northwind.partner, 'Secret')
    await CustomerAccess.create(user=tom, customer=not_mine if sees_all else mine, allowed=not sees_all)
    await until(lambda: not rooms.hub._gathered)
    toms, _ = await rooms.open(tom)
    anas, _ = await rooms.open(northwind.ana)
    moved = frozenset({mine.id, not_mine.id})
    events.CUSTOMERS_CHANGED.emit(
        Changed(northwind.partner.id, {n: frozenset({'name', 'seats'}) for n in moved}, moved)
    )
    await until(lambda: anas.changes and toms.changes)
    assert set(anas.cells()) == {str(n) for n in moved}
    assert set(toms.cells()) == {str(mine.id)}
    assert toms.changes[0]['lists'] == {'complete': [], 'in-progress': [mine.id]}
    assert 'Secret' not in str(toms.heard)
    assert toms.changes[0]['n'] == anas.changes[0]['n']


async def test_what_is_pushed_holds_no_role_and_no_address_of_a_console(sqlite_db, northwind, add, rooms, until):
    from pages import customers

    live_table.TABLES.update({table.key: table for table in (customers.in_progress, customers.complete)})
    acme = await add(northwind.partner, 'Acme', listing=Listing.COMPLETE)
    await Customer.filter(id=acme.id).update(console_url='https://console.example/acme')
    await DelegatedAccess.create(partner=northwind.partner, user=northwind.ana, role=ConsoleRole.PARTNER_ADMINISTRATOR)
    await until(lambda: not rooms.hub._gathered)
    page, _ = await rooms.open(northwind.ana)
    every = frozenset(Customer._meta.fields_map)
    events.CUSTOMERS_CHANGED.emit(Changed(northwind.partner.id, {acme.id: every}, frozenset({acme.id})))
    (message,) = await until(lambda: page.changes)
    shown = {column.name for table in live_table.TABLES.values() for column in table.pushed}
    linked = {name for table in live_table.TABLES.values() for name in table.linked}
    assert set(message['rows'][str(acme.id)]) <= shown | linked | live_table.ALSO_PUSHED
    assert not set(message['rows'][str(acme.id)]) & {'role', 'console', 'console_url', 'search_key', 'partner_id'}
    assert 'console.example' not in str(message)


async def test_readings_reach_the_icons(sqlite_db, northwind, add, rooms, until):
    acme = await add(northwind.partner, 'Acme', listing=Listing.COMPLETE)
    await until(lambda: not rooms.hub._gathered)
    page, _ = await rooms.open(northwind.ana)
    await acme.record_readings({MonitorKind.INBOUND_QUEUE: MonitorState.BAD}, at=datetime.now(UTC))
    await until(lambda: page.cells() == {str(acme.id): {'inbound_queue': 0}})
    await until(lambda: {'t': 'bad', 'bad': 1} in page.heard)


# -- the overview and the heartbeat -----------------------------------------------------------------------------------


async def test_the_overview_goes_only_to_those_who_watch_it_and_not_back_to_back(
    sqlite_db, northwind, add, rooms, until, monkeypatch
):
    monkeypatch.setattr(live, 'WINDOW', 0)
    monkeypatch.setattr(live, 'OVERVIEW_PAUSE', 3600)
    acme = await add(northwind.partner, 'Acme', seats=1)
    await until(lambda: not rooms.hub._gathered)
    watching, _ = await rooms.open(northwind.ana, overview=True)
    other, _ = await rooms.open(northwind.ana)
    await acme.change(seats=2)
    await until(lambda: watching.of('s') and other.of('bad'))
    assert watching.of('s')[0]['seats'] == 2
    for seats in (3, 4, 5):
        await acme.change(seats=seats)
        await until(lambda seats=seats: other.cells()[str(acme.id)]['seats'] == seats)
    assert len(watching.of('s')) == 1
    assert not other.of('s')


async def test_the_last_change_is_in_an_overview_in_the_end(sqlite_db, northwind, add, rooms, until, monkeypatch):
    monkeypatch.setattr(live, 'WINDOW', 0)
    monkeypatch.setattr(live, 'OVERVIEW_PAUSE', 0.05)
    acme = await add(northwind.partner, 'Acme', seats=1)
    page, _ = await rooms.open(northwind.ana, overview=True)
    for seats in range(2, 8):
        await acme.change(seats=seats)
    await until(lambda: page.of('s') and page.of('s')[-1]['seats'] == 7)


async def test_an_overview_that_cannot_be_read_is_logged_in_a_line_and_comes_later(
    sqlite_db, northwind, add, rooms, until, monkeypatch, caplog
):
    monkeypatch.setattr(live, 'WINDOW', 0)
    monkeypatch.setattr(live, 'OVERVIEW_PAUSE', 0)
    acme = await add(northwind.partner, 'Acme', seats=1)
    await until(lambda: not rooms.hub._gathered)
    monkeypatch.setattr(live, 'BEAT', 0.01)
    page, _ = await rooms.open(northwind.ana, overview=True)
    read, failures = live.overview_text, []

    async def fails_once(audience: Any) -> str:
        if not failures:
            failures.append(audience)
            raise OperationalError('database is locked')
        return await read(audience)

    monkeypatch.setattr(live, 'overview_text', fails_once)
    await acme.change(seats=2)
    await until(lambda: page.of('s') and page.of('s')[-1]['seats'] == 2)
    assert failures
    assert 'the overview could not be read; trying again: database is locked' in caplog.text
    assert 'Traceback' not in caplog.text


async def test_a_heartbeat_tells_the_number_and_the_time(sqlite_db, northwind, rooms, until, monkeypatch):
    monkeypatch.setattr(live, 'BEAT', 0.01)
    rooms.hub.start()
    page, _ = await rooms.open(northwind.ana)
    await until(lambda: len(page.of('h')) >= 2)
    beat = page.of('h')[0]
    assert beat['n'] == rooms.hub.number(northwind.partner.id)
    assert abs(beat['now'] / 1000 - datetime.now(UTC).timestamp()) < 60


async def test_a_change_has_its_number_when_it_goes_out_and_not_while_it_is_read(
    sqlite_db, northwind, add, rooms, until, monkeypatch
):
    """Or a heartbeat in between tells of a number that nobody has, and every page asks again for everything."""
    monkeypatch.setattr(live, 'BEAT', 0.01)
    acme = await add(northwind.partner, 'Acme')
    await until(lambda: not rooms.hub._gathered)
    rooms.hub.start()
    page, _ = await rooms.open(northwind.ana)
    before, reading, may_end = rooms.hub.number(northwind.partner.id), asyncio.Event(), asyncio.Event()
    read = live_table.changed_cells

    async def slow(changed: dict) -> Any:
        reading.set()
        await may_end.wait()
        return await read(changed)

    monkeypatch.setattr(live_table, 'changed_cells', slow)
    await acme.change(seats=7)
    await reading.wait()
    beats = len(page.of('h'))
    await until(lambda: len(page.of('h')) > beats + 1)
    late, _ = await rooms.open(northwind.tom)  # another audience, for which nothing is being read
    assert {beat['n'] for beat in page.of('h')} == {before}
    may_end.set()
    (message,) = await until(lambda: page.changes)
    assert (message['n'], message['rows']) == (before + 1, {str(acme.id): {'seats': 7}})
    assert late.of('many') == [{'t': 'many', 'n': before + 1}]


async def test_a_heartbeat_tells_that_the_database_cannot_be_used(sqlite_db, northwind, rooms, until, monkeypatch):
    monkeypatch.setattr(live, 'BEAT', 0.01)
    rooms.hub.start()
    page, _ = await rooms.open(northwind.ana)
    await until(lambda: page.of('h'))
    monkeypatch.setattr(database.condition, 'trouble', 'locked')
    await until(lambda: not page.of('h')[-1]['db'])
    assert page.of('h')[0]['db']


def test_a_browser_notices_a_missing_heartbeat_within_five_seconds():
    assert 2 * live.BEAT < 4.5


# -- browsers that are slow or gone -----------------------------------------------------------------------------------


async def test_a_browser_that_takes_nothing_is_cut_off_and_holds_up_nobody(sqlite_db, northwind, rooms, until):
    slow, connection = await rooms.open(northwind.ana)
    quick, _ = await rooms.open(northwind.ana)
    slow.stands_still = True
    audience = connection.audience
    for number in range(BACKLOG + 1):
        audience.send(f'{{"t":"x","number":{number}}}')
    assert not connection.closed.is_set()
    assert len(connection._backlog) == BACKLOG
    audience.send('{"t":"x","number":-1}')
    assert connection.closed.is_set()
    assert not connection._backlog
    assert len(quick.of('x')) == BACKLOG + 2
    await until(lambda: connection not in audience.connections)
    audience.send('{"t":"y"}')
    assert quick.of('y')
    assert not slow.heard


async def test_a_browser_that_catches_up_gets_everything_in_order(sqlite_db, northwind, rooms, until):
    page, connection = await rooms.open(northwind.ana)
    gate, take = asyncio.Event(), page.send

    async def slow(message: Any) -> None:
        await gate.wait()
        await take(message)

    connection._send = slow
    for number in range(BACKLOG):
        connection.push(f'{{"t":"x","number":{number}}}')
    assert not page.heard
    gate.set()
    await until(lambda: len(page.heard) == BACKLOG)
    assert [message['number'] for message in page.heard] == list(range(BACKLOG))
    connection.push('{"t":"x","number":-1}')
    await until(lambda: page.heard[-1]['number'] == -1)


async def test_a_socket_that_fails_is_let_go_of_and_the_others_hear_on(sqlite_db, northwind, rooms, until):
    broken, connection = await rooms.open(northwind.ana)
    whole, _ = await rooms.open(northwind.ana)
    broken.is_broken = True
    connection.audience.send('{"t":"x"}')
    assert connection.closed.is_set()
    await until(lambda: connection not in connection.audience.connections)
    connection.audience.send('{"t":"x"}')
    assert len(whole.of('x')) == 2


async def test_a_socket_that_fails_while_it_drains_is_let_go_of(sqlite_db, northwind, rooms, until):
    page, connection = await rooms.open(northwind.ana)
    gate = asyncio.Event()

    async def fails_later(message: Any) -> None:
        await gate.wait()
        raise OSError('gone')

    connection._send = fails_later
    connection.push('{"t":"x"}')
    gate.set()
    await until(lambda: connection.closed.is_set() and connection not in connection.audience.connections)
    assert not page.heard


async def test_the_last_who_leaves_closes_the_audience(sqlite_db, northwind, rooms, until):
    _, one = await rooms.open(northwind.ana)
    _, two = await rooms.open(northwind.ana)
    assert one.audience is two.audience
    one.close()
    await until(lambda: one not in two.audience.connections)
    assert rooms.hub.audiences
    two.close()
    await until(lambda: not rooms.hub.audiences)


# -- the end ----------------------------------------------------------------------------------------------------------


async def test_pages_of_an_ended_session_are_told_and_let_go_of_and_the_others_stay(sqlite_db, northwind, rooms):
    ended, _ = await rooms.open(northwind.ana, 7)
    also, _ = await rooms.open(northwind.tom, 8)
    stays, connection = await rooms.open(northwind.ana, 9)
    rooms.hub.end({7, 8})
    for page in (ended, also):
        assert page.heard == [{'t': 'bye'}]
        assert page.codes == [4401]
    assert (stays.heard, stays.codes) == ([], [])
    assert rooms.hub.session_ids() == {9}
    connection.audience.send('{"t":"x"}')
    assert not ended.of('x')


async def test_who_may_see_something_else_now_joins_anew(sqlite_db, northwind, add, rooms, until):
    """The page connects again by itself and comes into the audience of what it may see now."""
    acme = await add(northwind.partner, 'Acme')
    page, _ = await rooms.open(northwind.ana)
    stays, _ = await rooms.open(northwind.tom)
    await CustomerAccess.create(user=northwind.ana, customer=acme, allowed=False)
    events.SIGHT_CHANGED.emit(northwind.ana.id)
    assert page.codes == [1012]
    assert not stays.codes
    again, connection = await rooms.open(northwind.ana)
    assert connection.audience.key == f'user {northwind.ana.id}'
    await until(lambda: not rooms.hub._gathered)
    await acme.change(seats=9)
    await until(lambda: again.changes)
    assert again.changes[-1]['rows'] == {}


async def test_a_hub_that_stops_leaves_nothing_running(sqlite_db, northwind, add, until, monkeypatch):
    monkeypatch.setattr(live, 'WINDOW', 0)
    monkeypatch.setattr(live, 'OVERVIEW_PAUSE', 3600)
    before = [len(event._subscribers) for event in events.ALL]
    hub = Hub()
    hub.start()
    rooms = Rooms(hub)
    page, connection = await rooms.open(northwind.ana)
    acme = await add(northwind.partner, 'Acme')
    await until(lambda: page.of('bad') and not hub._gathered)
    await acme.change(seats=3)
    await until(lambda: len(page.changes) == 2)
    overview = connection.audience.overview_due
    assert overview is not None
    hub.stop()
    assert page.codes == [1012]
    assert [len(event._subscribers) for event in events.ALL] == before
    await until(lambda: overview.done())
    await asyncio.gather(*rooms.tasks)


def test_a_change_of_roles_is_another_number_however_many_people_have_had_one(monkeypatch):
    monkeypatch.setattr(live, 'ROLES_KEPT', 3)
    hub = Hub()

    def told(user_id: int) -> int:  # as `hello` tells it
        return hub.roles.get(user_id, hub.roles_before)

    seen = {user_id: told(user_id) for user_id in range(1, 11)}
    for user_id in (1, 2, 3, 4, 5, 1, 6, 7, 8, 9, 1):
        hub.tell_roles(user_id)
        assert told(user_id) != seen[user_id]
        assert len(hub.roles) <= 3
        seen[user_id] = told(user_id)
    hub.tell_roles(2)  # let go of long ago
    assert told(2) != seen[2]
    assert told(1) == seen[1]
