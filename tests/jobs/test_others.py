import asyncio
import contextlib
import sqlite3

import asyncpg

from jobs.others import Others
from models import Customer, Partner, events


async def test_a_commit_of_another_process_is_told(sqlite_db):
    others, told = Others(), []
    events.MANY_CHANGED.subscribe(told.append)
    assert not await others.look()
    await Partner.create(name='Ours', slug='ours')
    assert not await others.look()
    with contextlib.closing(sqlite3.connect(sqlite_db.sqlite_path)) as other, other:
        other.execute("INSERT INTO partner (name, slug, created_at) VALUES ('Theirs', 'theirs', '2026-01-01')")
    assert await others.look()
    assert not await others.look()
    assert told == [None]


async def test_on_postgresql_a_commit_of_another_process_is_told_and_our_own_is_not(postgres_db):
    others, told = Others(), []
    events.MANY_CHANGED.subscribe(told.append)
    assert not await others.look()
    partner = await Partner.create(name='Ours', slug='ours')
    await Customer.add(partner, name='Ours', account_code='OURS')
    other = await asyncpg.connect(postgres_db.database_url)
    # Told in the order of the commits: when the second one is here, the first was heard and found to be our own.
    assert not await others.look()
    await other.execute('SELECT pg_notify($1, $2)', events.CHANNEL, 'another process')
    await other.close()
    async with asyncio.timeout(5):
        while not await others.look():
            await asyncio.sleep(0)
    assert told == [None]
    await others.stop()
