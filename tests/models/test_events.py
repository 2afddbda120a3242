import logging

import pytest

from models import HistoryEvent, events
from models.events import Event, transaction


class Refused(Exception):
    pass


async def _write(kind: str) -> None:
    await HistoryEvent.add(1, kind, 'something')


async def _write_and_fail(event: Event[[str]], kind: str) -> None:
    async with transaction():
        await _write(kind)
        event.emit(kind)
        raise Refused


async def test_news_goes_out_after_the_outermost_commit(db):
    heard: list[str] = []
    event: Event[[str]] = Event()
    event.subscribe(heard.append)
    async with transaction():
        async with transaction():
            await _write('inner')
            event.emit('inner')
        assert heard == []
        event.emit('outer')
        assert heard == []
    assert heard == ['inner', 'outer']


async def test_a_rollback_makes_no_news(db):
    heard: list[str] = []
    event: Event[[str]] = Event()
    event.subscribe(heard.append)
    with pytest.raises(Refused):
        await _write_and_fail(event, 'gone')
    assert heard == []
    assert not await HistoryEvent.all().exists()
    event.emit('later')
    assert heard == ['later']


async def test_what_an_inner_verb_rolled_back_is_no_news_though_the_outer_one_goes_on(db):
    heard: list[str] = []
    event: Event[[str]] = Event()
    event.subscribe(heard.append)
    async with transaction():
        event.emit('before')
        with pytest.raises(Refused):
            await _write_and_fail(event, 'inner')
        await _write('outer')
    assert heard == ['before']
    assert [entry.kind for entry in await HistoryEvent.all()] == ['outer']


async def test_who_hears_of_it_can_read_it_back(db):
    from models.database import reader

    seen: list[int] = []
    event: Event[[]] = Event()
    event.subscribe(lambda: seen.append(1))
    async with transaction():
        await _write('new')
        event.emit()
    assert seen
    assert await HistoryEvent.all().using_db(reader()).count() == 1


def test_a_failing_subscriber_does_not_stop_the_others(caplog):
    heard: list[int] = []
    event: Event[[int]] = Event()

    def fail(_: int) -> None:
        raise Refused

    event.subscribe(fail)
    event.subscribe(heard.append)
    with caplog.at_level(logging.ERROR):
        event.emit(7)
    assert heard == [7]
    assert 'a subscriber failed' in caplog.text


def test_a_subscription_ends_once_and_for_all():
    heard: list[int] = []
    event: Event[[int]] = Event()
    end = event.subscribe(heard.append)
    end()
    end()
    event.emit(1)
    assert heard == []


def test_the_catalogue_names_every_event():
    declared = {value for value in vars(events).values() if isinstance(value, Event)}
    assert declared == set(events.ALL)
    assert set(events.ABOUT_CUSTOMERS) < set(events.ALL)
