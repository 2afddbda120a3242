import contextlib
import sqlite3

from jobs.others import Others
from models import Partner, events


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


async def test_postgresql_has_other_means(postgres_db):
    assert not await Others().look()
