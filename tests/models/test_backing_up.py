import asyncio
import contextlib
import errno
import fcntl
import hashlib
import itertools
import os
import shutil
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tortoise import Tortoise
from tortoise.migrations.api.migrate import migrate as run_migrations

from models import (
    Attachment,
    AttachmentState,
    BackupRun,
    ConnectStep,
    Customer,
    HistoryEvent,
    LinkKind,
    Message,
    MessageState,
    Monitor,
    MonitorKind,
    MonitorState,
    OneTimeLink,
    Reading,
    Session,
    backing_up,
    backup_archive,
    backup_reading,
    database,
    restoring,
)
from models import attachment_files as files
from models.backing_up import Busy, NotMade, Stopped, back_up
from models.backup_archive import Damaged, NotReadable, WrongKey
from models.database import opened
from models.demo import make_customers
from models.history_verifying import missing_triggers, verify
from models.restoring import NotRestored, restore
from settings import Settings, settings

KEY = 'the key of the backups, as long as it has to be'
NEVER = threading.Event()
_number = itertools.count()
# Restoring a PostgreSQL database takes seconds, most of them its migrations; here the engine makes no difference.
SQLITE = pytest.mark.parametrize('make_place', ['sqlite'], indirect=True)


class Place:
    """Where a portal is: its settings, and a look at its database without the portal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, data_dir: Path, address: str) -> None:
        self._monkeypatch, self.data_dir, self.address = monkeypatch, data_dir, address

    def use(self, **more: str) -> Settings:
        """Make it the one of `settings()`."""
        given = {'PORTAL_DATA_DIR': str(self.data_dir), 'PORTAL_DATABASE_URL': self.address, **more}
        for name, value in given.items():
            self._monkeypatch.setenv(name, value)
        settings.cache_clear()
        return settings()

    async def ask(self, sql: str) -> list[tuple]:
        if self.address:
            connection = await asyncpg.connect(self.address)
            try:
                return [tuple(row) for row in await connection.fetch(sql)]
            finally:
                await connection.close()
        with contextlib.closing(sqlite3.connect(self.data_dir / 'portal.sqlite3')) as file:
            found = file.execute(sql).fetchall()
            file.commit()
            return found

    async def rows(self) -> dict[str, list[tuple]]:
        """Everything that is in the database."""
        named = (
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1" if self.address else
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1"
        )  # fmt: skip
        return {name: await self.ask(f'SELECT * FROM "{name}" ORDER BY 1') for (name,) in await self.ask(named)}

    def tree(self) -> dict[str, bytes]:
        """Every file below the data folder, but for what only locks."""
        found = (path for path in self.data_dir.rglob('*') if path.is_file())
        return {
            str(path.relative_to(self.data_dir)): path.read_bytes()
            for path in found
            if not path.name.endswith(('.migrating', '.backing-up', '-shm', '-wal'))
        }


@pytest.fixture(params=['sqlite', pytest.param('postgres', marks=pytest.mark.postgres)])
async def make_place(request, monkeypatch, tmp_path) -> AsyncIterator[Callable[..., Any]]:
    """Makes places on SQLite or PostgreSQL: with a migrated, empty database, or (`clean`) with nothing at all."""
    made: list[str] = []
    admin = ''
    if request.param == 'postgres':
        postgres = request.getfixturevalue('postgres')
        admin = postgres('postgres')
    template = None if admin else request.getfixturevalue('sqlite_template')

    async def make(*, clean: bool = False) -> Place:
        number = next(_number)
        data_dir = tmp_path / f'place-{number}'
        if not admin:
            if not clean:
                data_dir.mkdir()
                shutil.copy(template, data_dir / 'portal.sqlite3')
            return Place(monkeypatch, data_dir, '')
        name = f'backups_{os.getpid()}_{number}'
        await _execute(admin, f'CREATE DATABASE {name}' + ('' if clean else ' TEMPLATE tests'))
        made.append(name)
        return Place(monkeypatch, data_dir, postgres(name))

    yield make
    for name in made:
        await _execute(admin, f'DROP DATABASE {name} WITH (FORCE)')


_statements: list[str] = []


async def _postgres_tables(address: str) -> str:
    """The statements that make the tables of a PostgreSQL database, in a tenth of the time that migrations take."""
    if not _statements:
        connection = await asyncpg.connect(address)
        folder = await connection.fetchval("SELECT setting FROM pg_config WHERE name = 'BINDIR'")
        await connection.close()
        for part in (['--schema-only'], ['--data-only', '--inserts', '--table', 'tortoise_migrations']):
            dumping = await asyncio.create_subprocess_exec(
                f'{folder}/pg_dump', '--no-owner', *part, '-d', address, stdout=asyncio.subprocess.PIPE
            )
            said, _ = await dumping.communicate()
            assert dumping.returncode == 0
            _statements.extend(line for line in said.decode().splitlines() if not line.startswith('\\'))
    return '\n'.join(_statements)


@pytest.fixture
async def quick_tables(request, make_place, monkeypatch) -> None:
    """Tables of the newest version at once, where a test is not about migrating."""
    if 'postgres' not in request.node.name:
        return
    tables = await _postgres_tables(request.getfixturevalue('postgres')('tests'))

    async def run(config: Any, target: str) -> None:
        address = database.plain_address(config['connections']['default'])
        await _execute(address, tables)

    monkeypatch.setattr(restoring, 'run_migrations', run)


async def _execute(address: str, sql: str) -> None:
    connection = await asyncpg.connect(address)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@pytest.fixture
async def source(make_place) -> Place:
    """The portal that is backed up; the settings are its."""
    place = await make_place()
    place.use()
    return place


@pytest.fixture
async def target(make_place) -> Place:
    """A clean machine."""
    return await make_place(clean=True)


@pytest.fixture(autouse=True)
def _quick_keys(monkeypatch):
    def derived(key: str, salt: bytes) -> tuple[bytes, bytes]:
        both = hashlib.sha512(key.encode() + salt).digest()
        return both[:32], both[32:48]

    monkeypatch.setattr(backup_archive, '_derived', derived)


async def _attach(customer: Customer, by: Any, data: bytes, name: str = 'a.txt') -> Attachment:
    partial = files.Partial(files.originals())
    partial.write(data)
    partial.close()
    return await Attachment.add(
        customer, name=name, path=partial.path, size=partial.size, sha256=partial.sha256, by=by
    )  # fmt: skip


async def _fill(make_northwind: Callable[..., Any], customers: int = 3) -> Any:
    """Northwind IT with customers, a few documents of all kinds, and somebody signed in."""
    northwind = await make_northwind()
    await make_customers(northwind.partner, customers, seed=1)
    real = await Customer.add(northwind.partner, name='Émile’s\tTab\\N', account_code='REAL1')
    for number in range(3):
        await _attach(real, northwind.ana, f'document {number}'.encode())
    await Session.open(northwind.ana, lasts=timedelta(hours=1), address='', agent='')
    return northwind


def _backups(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# -- what is in it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('make_place', 'key'),
    [('sqlite', ''), ('sqlite', KEY), pytest.param('postgres', KEY, marks=pytest.mark.postgres)],
    indirect=['make_place'], ids=['sqlite-plain', 'sqlite-encrypted', 'postgres-encrypted'],
)  # fmt: skip
async def test_a_restored_backup_is_what_was_backed_up(source, target, make_northwind, key):
    given = source.use(PORTAL_BACKUP_KEY=key)
    async with opened(given):
        await _fill(make_northwind)
        made = await back_up()
        assert made is not None
        assert await verify() == []
    assert made.path.parent == source.data_dir / 'backups'
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert made.path.parent.stat().st_mode & 0o777 == 0o700
    assert (made.size, made.missing, made.is_encrypted) == (made.path.stat().st_size, 0, bool(key))
    assert backing_up.NAME.fullmatch(made.path.name)
    before, attached = await source.rows(), source.tree()

    restored = await restore(made.path, target.use())
    assert (restored.kept, restored.contents.is_encrypted) == ([], bool(key))
    after = await target.rows()
    assert after.keys() == before.keys()
    for table in before.keys() - {'session', 'backup_run', 'tortoise_migrations'}:
        if not table.startswith('history_'):
            assert after[table] == before[table], table
    # The newest entries say that it was backed up, which is no part of it, and that it was restored.
    assert after['history_event'][:-1] == before['history_event'][:-1]
    assert after['history_text'][:-1] == before['history_text'][:-1]
    assert [row[1:3] for row in after['tortoise_migrations']] == [row[1:3] for row in before['tortoise_migrations']]
    here = {name: data for name, data in attached.items() if name.startswith('attachments')}
    assert len(here) >= 3
    assert {name: data for name, data in target.tree().items() if name.startswith('attachments')} == here
    for folder in ('attachments', 'attachments/original', 'attachments/pdf'):
        assert (target.data_dir / folder).stat().st_mode & 0o777 == 0o700
    async with opened(settings()):
        assert await verify() == []
        assert await missing_triggers(database.reader()) == []
        last = max(await Customer.all().values_list('id', flat=True))
        northwind = await Customer.filter(id=last).first().prefetch_related('partner')
        assert (await Customer.add(northwind.partner, name='New', account_code='NEW1')).id == last + 1  # type: ignore[union-attr]
    assert [path.name for path in target.data_dir.iterdir() if path.name.startswith(('.restoring', '.backup'))] == []


async def test_every_table_of_the_portal_is_in_it(source):
    async with opened(settings()):
        made = await back_up()
        tables = {model._meta.db_table for model in Tortoise.apps['models'].values()}  # type: ignore[index]
    found = backing_up.verify(made.path, '', settings())  # type: ignore[union-attr]
    assert tables == found.about['columns'].keys() - {'tortoise_migrations'}
    assert found.manifest['tables'].keys() == found.about['columns'].keys()
    newest = max(path.stem for path in (Path(database.__file__).parent / 'migrations').glob('0*.py'))
    assert found.about['schema'][-1] == newest
    assert found.about['portal'] == backing_up.portal_version() != ''


@pytest.mark.usefixtures('quick_tables')
async def test_a_backup_taken_under_load_is_of_one_moment(source, target, make_northwind, monkeypatch):
    """Customers with their monitors and steps, readings, entries and documents come and go while it is taken."""
    slowly = backup_archive.Member.write

    def write(self: Any, data: bytes) -> None:
        time.sleep(0.004)
        slowly(self, data)

    def looking(_stopping: Any) -> Callable[[], None]:
        return lambda: time.sleep(0.002)

    monkeypatch.setattr(backup_archive.Member, 'write', write)
    monkeypatch.setattr(backing_up, 'looking', looking)
    monkeypatch.setattr(backing_up, '_PAGES', 4)
    over, counts = asyncio.Event(), {'customers': 0, 'documents': 0, 'readings': 0}

    async def add_customers(northwind: Any) -> None:
        while not over.is_set():
            counts['customers'] += 1
            customer = await Customer.add(
                northwind.partner, name=f'Customer {counts["customers"]}', account_code=f'X{counts["customers"]}'
            )
            added = await _attach(customer, northwind.ana, os.urandom(500))
            await _attach(customer, northwind.ana, os.urandom(2_000))
            if counts['customers'] % 3 == 0:
                await Attachment.filter(id=added.id).update(state='failed')
                await (await Attachment.get(id=added.id)).delete_original(northwind.ana)
            counts['documents'] += 1

    async def record(ids: list[int]) -> None:
        for number in itertools.count():
            if over.is_set():
                return
            now = datetime.now(UTC)
            state = (MonitorState.GOOD, MonitorState.BAD)[number % 2]
            await Monitor.record([Reading(each, MonitorKind.INBOUND_QUEUE, now, state=state) for each in ids], now=now)
            counts['readings'] += 1
            await asyncio.sleep(0)

    async with opened(settings()):
        northwind = await _fill(make_northwind, customers=20)
        ids = list(await Customer.all().values_list('id', flat=True))
        writers = [asyncio.create_task(add_customers(northwind)), asyncio.create_task(record(ids))]
        await asyncio.sleep(0.2)
        before = dict(counts)
        made = await back_up()
        during = {what: counts[what] - before[what] for what in counts}
        over.set()
        await asyncio.gather(*writers)
        in_all = await Customer.all().count()
    assert min(during.values()) >= 2, during  # how many, the machine decides
    assert made is not None

    given = target.use()
    contents = (await restore(made.path, given)).contents
    assert 0 < contents.rows('customer') < in_all
    async with opened(given):
        assert await verify() == []
        customers = await Customer.all().count()
        assert customers == contents.rows('customer')
        added = await Customer.filter(account_code__startswith='X').count()
        assert added >= before['customers'] > 0
        for model, each in ((Monitor, 5), (ConnectStep, 13)):
            found = model.filter(customer__account_code__startswith='X').values_list('customer_id', flat=True)
            counted = Counter(await found)
            assert (len(counted), set(counted.values())) == (added, {each})
        entries = await HistoryEvent.filter(kind='attachment.added').count()
        attachments = await Attachment.all()
        assert len(attachments) == entries > 3
        lost = 0
        for attachment in attachments:
            if not attachment.has_original:
                continue
            if attachment.original.exists():
                assert hashlib.sha256(attachment.original.read_bytes()).hexdigest() == attachment.sha256
            else:
                lost += 1
        # What was deleted after the database was read, and nothing else; it is written down.
        assert lost == made.missing == contents.manifest['missing'] == len(contents.manifest['named'])
        assert lost <= during['documents']
        stored = {path.name for path in files.originals().iterdir()}
        assert stored <= {attachment.stored for attachment in attachments}


@SQLITE
async def test_a_file_that_is_missing_or_another_is_written_down(source, make_northwind):
    async with opened(settings()):
        await _fill(make_northwind)
        gone, other, _ = await Attachment.filter(uploaded_by='Ana').order_by('id')
        gone.original.unlink()
        other.original.write_bytes(b'something else')
        await Attachment.create(  # of the demo, not drawn yet: nothing of it is missing
            customer_id=gone.customer_id, name='Order', stored=files.new_stored(), size=0, sha256='',
            state=AttachmentState.READY, uploaded_at=gone.uploaded_at,
        )  # fmt: skip
        made = await back_up()
    assert made is not None
    assert made.missing == 1
    found = backing_up.verify(made.path, '', settings())
    assert found.manifest['named'] == [
        f'attachments/original/{gone.stored} is missing',
        f'attachments/original/{other.stored} is not what was uploaded',
    ]


@SQLITE
async def test_what_belongs_to_the_old_place_does_not_go_on(source, target, make_northwind):
    async with opened(settings()):
        northwind = await _fill(make_northwind)
        now = datetime.now(UTC)
        await Message.create(
            partner=northwind.partner,
            key='k1',
            kind='invite',
            recipient='x@y.example',
            subject='s',
            body='b',
            due_at=now,
        )
        await OneTimeLink.create(
            kind=LinkKind.INVITE, user=northwind.tom, token_hash='h', expires_at=now + timedelta(hours=72)
        )
        made = await back_up()
    given = target.use()
    await restore(made.path, given)  # type: ignore[union-attr]
    async with opened(given):
        session, message, link = await Session.get(), await Message.get(), await OneTimeLink.get()
        assert session.ended_at is not None
        assert session.ended_because == 'restored from a backup'
        assert (message.state, message.body) == (MessageState.FAILED, '')
        assert 'not sent' in message.error
        assert link.revoked_at is not None
        assert await BackupRun.all().count() == 0
        entry = await HistoryEvent.filter(partner_id=northwind.partner.id, customer_id=None).order_by('-id').first()
        assert entry is not None
        assert entry.kind == 'portal.restored'


# -- the secret -------------------------------------------------------------------------------------------------------


async def _made_with(source: Place, monkeypatch: pytest.MonkeyPatch, **more: str) -> Path:
    monkeypatch.setenv('PORTAL_SECRET', '')
    given = source.use(**more)
    given.secret_key()
    async with opened(given):
        made = await back_up()
    assert made is not None
    return made.path


@SQLITE
async def test_the_secret_is_in_an_encrypted_backup(source, target, monkeypatch):
    path = await _made_with(source, monkeypatch, PORTAL_BACKUP_KEY=KEY)
    secret = (source.data_dir / 'secret').read_text()
    restored = await restore(path, target.use())
    place = target.data_dir / 'secret'
    assert place.read_text() == secret == settings().secret_key()
    assert place.stat().st_mode & 0o777 == 0o600
    assert restored.secret == ''


@SQLITE
async def test_the_secret_is_in_no_other_and_restoring_says_what_to_bring_along(source, target, monkeypatch):
    path = await _made_with(source, monkeypatch)
    secret = (source.data_dir / 'secret').read_text()
    assert backing_up.verify(path, '', settings()).secret == ''
    restored = await restore(path, target.use())
    assert not (target.data_dir / 'secret').exists()
    assert f'bring the file “secret” along from the data folder of the old machine, into {target.data_dir}' in (
        restored.secret
    )
    (target.data_dir / 'secret').write_text(secret)
    assert (await restore(path, target.use(), force=True)).secret == ''
    assert (await restore(path, target.use(PORTAL_SECRET=secret), force=True)).secret == ''


@SQLITE
async def test_another_secret_that_is_set_is_told_of(source, target, monkeypatch):
    path = await _made_with(source, monkeypatch, PORTAL_BACKUP_KEY=KEY)
    target.data_dir.mkdir(exist_ok=True)
    (target.data_dir / 'secret').write_text('the one of this machine, kept aside from now on')
    restored = await restore(path, target.use(PORTAL_SECRET='y' * 40))
    assert 'remove the setting' in restored.secret
    (kept,) = restored.kept
    assert (Path(kept) / 'secret').read_text().startswith('the one of this machine')


@SQLITE
async def test_a_secret_that_was_a_setting_has_to_be_set(source, target):
    async with opened(settings()):
        made = await back_up()
    given = target.use(PORTAL_SECRET='z' * 40)
    assert 'set PORTAL_SECRET to what it was' in (await restore(made.path, given)).secret  # type: ignore[union-attr]
    assert 'x' * 40 not in made.path.read_bytes().decode('latin-1')  # type: ignore[union-attr]


# -- what is refused, and touches nothing -----------------------------------------------------------------------------


@pytest.fixture
async def backup(source, make_northwind) -> Path:
    """An encrypted backup."""
    given = source.use(PORTAL_BACKUP_KEY=KEY)
    async with opened(given):
        await _fill(make_northwind)
        made = await back_up()
    return made.path  # type: ignore[union-attr]


@pytest.fixture
async def filled(make_place, make_fabrikam) -> Place:
    """A portal of somebody else, which is not to be lost."""
    place = await make_place()
    async with opened(place.use()):
        fabrikam = await make_fabrikam()
        customer = await Customer.add(fabrikam.partner, name='Precious', account_code='P1')
        await _attach(customer, fabrikam.eve, b'precious')
    return place


def _flipped(path: Path, at: float) -> Path:
    damaged = path.with_name('damaged.backup')
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 1
    damaged.write_bytes(content)
    return damaged


@SQLITE
@pytest.mark.parametrize('at', [0.0, 0.001, 0.01, 0.3, 0.9, 1.0])
async def test_a_damaged_backup_touches_nothing(backup, filled, at):
    rows, tree = await filled.rows(), filled.tree()
    with pytest.raises(NotReadable, match=r'damaged|This is no backup'):
        await restore(_flipped(backup, at), filled.use(), force=True)
    cut = backup.with_name('cut.backup')
    cut.write_bytes(backup.read_bytes()[: int(at * (backup.stat().st_size - 1))])
    with pytest.raises(NotReadable):
        await restore(cut, filled.use(), force=True)
    assert await filled.rows() == rows
    assert filled.tree() == tree


async def test_a_wrong_key_touches_nothing(backup, filled):
    rows, tree = await filled.rows(), filled.tree()
    for key, says in (('another key that is long enough for it', 'is not the key'), ('', 'PORTAL_BACKUP_KEY is empty')):
        with pytest.raises(WrongKey, match=says):
            await restore(backup, filled.use(PORTAL_BACKUP_KEY=key), force=True)
    assert await filled.rows() == rows
    assert filled.tree() == tree


@SQLITE
async def test_a_backup_of_a_newer_portal_is_refused(source, filled):
    async with opened(source.use()):
        await source.ask(
            "INSERT INTO tortoise_migrations (app, name, applied_at) VALUES ('models', '9999_later', CURRENT_TIMESTAMP)"
        )
        path = await asyncio.to_thread(lambda: backing_up.write(source.data_dir, settings(), NEVER).path)
    rows, tree = await filled.rows(), filled.tree()
    with pytest.raises(NotRestored, match=r'made by a newer portal .*9999_later'):
        await restore(path, filled.use(), force=True)
    assert await filled.rows() == rows
    assert filled.tree() == tree


async def test_where_there_is_something_it_is_not_restored_without_force(backup, filled):
    rows, tree = await filled.rows(), filled.tree()
    with pytest.raises(NotRestored, match=r'There is (a database|something).*--force'):
        await restore(backup, filled.use())
    assert await filled.rows() == rows
    assert filled.tree() == tree


@SQLITE
async def test_attachments_alone_are_something(backup, target):
    given = target.use()
    files.original_of('a' * 32).write_bytes(b'whose?')
    with pytest.raises(NotRestored, match='There are attachments'):
        await restore(backup, given)
    assert target.tree() == {f'attachments/original/{"a" * 32}': b'whose?'}


@pytest.mark.usefixtures('quick_tables')
async def test_a_portal_that_was_only_started_is_nothing(backup, make_place):
    place = await make_place()
    given = place.use()
    files.pdfs()
    restored = await restore(backup, given)
    assert (await place.ask("SELECT count(*) FROM customer WHERE account_code = 'REAL1'")) == [(1,)]
    if not place.address:
        (kept,) = restored.kept  # an empty database is not worth a word, but no file is ever deleted
        assert (Path(kept) / 'portal.sqlite3').exists()


@pytest.mark.usefixtures('quick_tables')
async def test_with_force_what_was_there_is_kept_beside_it(backup, filled):
    before, attached = await filled.rows(), filled.tree()
    restored = await restore(backup, filled.use(), force=True)
    assert (await filled.ask("SELECT count(*) FROM customer WHERE account_code = 'REAL1'")) == [(1,)]
    assert (await filled.ask("SELECT count(*) FROM customer WHERE name = 'Precious'")) == [(0,)]
    aside = Path(restored.kept[0])
    for name, content in attached.items():
        if name.startswith('attachments'):
            assert (aside / name).read_bytes() == content
    if not filled.address:
        old = Place(filled._monkeypatch, aside, '')
        assert await old.rows() == before
        return
    schema = restored.kept[1].split()[2]
    assert [row for table in before for row in await filled.ask(f'SELECT * FROM "{schema}"."{table}" ORDER BY 1')] == [
        row for rows in before.values() for row in rows
    ]
    async with opened(settings()):
        assert await verify() == []
    with pytest.raises(asyncpg.PostgresError, match='never changed'):
        await filled.ask(f'UPDATE "{schema}".history_event SET kind = \'x\'')


_RUNNING = """
import asyncio, sys
from models.database import opened

async def main():
    async with opened():
        print('open', flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


async def test_where_a_portal_is_running_it_is_not_restored(backup, filled):
    given = filled.use()
    tree = filled.tree()
    running = await asyncio.create_subprocess_exec(
        sys.executable, '-c', _RUNNING, cwd=Path(database.__file__).parent.parent,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        assert await running.stdout.readline() == b'open\n'
        with pytest.raises(NotRestored, match=r'Stop it first|stop the portal'):
            await restore(backup, given, force=True)
    finally:
        await running.communicate(b'')
    assert filled.tree() == tree
    assert (await filled.ask("SELECT count(*) FROM customer WHERE name = 'Precious'")) == [(1,)]


@pytest.mark.usefixtures('quick_tables')
async def test_what_fails_at_the_end_puts_everything_back(backup, filled, monkeypatch):
    rows, tree = await filled.rows(), filled.tree()
    moved = Path.replace

    def fails(self: Path, place: Path) -> Path:
        if place.name in ('attachments', 'portal.sqlite3') and '.restoring' in str(self):
            raise OSError(errno.ENOSPC, 'No space left on device', str(place))
        return moved(self, place)

    monkeypatch.setattr(Path, 'replace', fails)
    with pytest.raises(NotRestored, match='No space left'):
        await restore(backup, filled.use(), force=True)
    assert await filled.rows() == rows
    after = filled.tree()
    assert after.keys() == tree.keys()
    for name in tree.keys() - {'portal.sqlite3'}:  # of which the way of journalling is another for a moment
        assert after[name] == tree[name]


@pytest.mark.parametrize('step', ['_set_sequences', '_settled'])
@pytest.mark.usefixtures('quick_tables')
async def test_what_fails_while_loading_puts_everything_back(backup, filled, monkeypatch, step):
    if not filled.address and step == '_set_sequences':
        pytest.skip('PostgreSQL only')
    rows, tree = await filled.rows(), filled.tree()

    async def fails(*_: Any) -> None:
        raise OSError('the power is low')

    monkeypatch.setattr(restoring, step, fails)
    with pytest.raises(NotRestored, match='the power is low'):
        await restore(backup, filled.use(), force=True)
    assert await filled.rows() == rows
    assert filled.tree() == tree
    async with opened(settings()):
        assert await verify() == []
        assert await missing_triggers(database.reader()) == []


@pytest.mark.postgres
async def test_a_backup_of_one_engine_is_not_restored_into_the_other(sqlite_file, postgres, monkeypatch, tmp_path):
    place = Place(monkeypatch, tmp_path / 'postgres', postgres('tests'))
    async with opened(settings()):
        sqlite = await back_up()
    with pytest.raises(NotRestored, match='is of a SQLite database, and the settings name a PostgreSQL one'):
        await restore(sqlite.path, place.use())  # type: ignore[union-attr]


async def test_an_older_backup_is_brought_up_to_date(make_place, target):
    """It is restored into the tables that it was made of, and then migrated."""
    old = await make_place(clean=True)
    given = old.use()
    old.data_dir.mkdir(exist_ok=True)
    await run_migrations(config=database.config(given, migrating=True), target='models.0005_history_chain')
    await Tortoise.close_connections()
    returning = ' RETURNING id' if old.address else ''
    values = f"VALUES ('Old', 'old-msp', {'false' if old.address else 0}, CURRENT_TIMESTAMP)"
    await old.ask(f'INSERT INTO partner (name, slug, lists_unsent_rfi, created_at) {values}{returning}')
    path = await asyncio.to_thread(lambda: backing_up.write(old.data_dir, given, NEVER).path)
    given = target.use()
    restored = await restore(path, given)
    assert restored.contents.about['schema'][-1] == '0005_history_chain'
    assert await target.ask("SELECT name, currency FROM partner WHERE slug = 'old-msp'") == [('Old', 'USD')]
    async with opened(given):
        assert await missing_triggers(database.reader()) == []
        assert await verify() == []


# -- what goes wrong while one is made --------------------------------------------------------------------------------


async def _run() -> BackupRun:
    return await BackupRun.all().order_by('-id').first()  # type: ignore[return-value]


async def test_a_run_is_written_down(source):
    async with opened(settings()):
        made = await back_up()
        run = await _run()
    assert made is not None
    assert (run.path, run.size, run.is_encrypted, run.error) == (str(made.path), made.size, False, '')
    assert run.verified_at is not None


async def test_a_full_disk_is_one_sentence_and_leaves_nothing_half(source, make_northwind, monkeypatch):
    async with opened(settings()):
        await _fill(make_northwind)
        first = await back_up()
        before = _backups(first.path.parent)  # type: ignore[union-attr]
        monkeypatch.setattr(backing_up, 'ROOM_KEPT', 1 << 60)
        with pytest.raises(NotMade, match='There is not enough room for a backup'):
            await back_up()
        assert 'not enough room' in (await _run()).error
        monkeypatch.undo()
        source.use()
        fsync = os.fsync

        def fails(handle: int) -> None:
            if '.partial' in os.readlink(f'/proc/self/fd/{handle}'):
                raise OSError(errno.ENOSPC, 'No space left on device')
            fsync(handle)

        monkeypatch.setattr(os, 'fsync', fails)
        with pytest.raises(NotMade, match='There is no room left for a backup'):
            await back_up()
        assert _backups(first.path.parent) == before  # type: ignore[union-attr]
        assert not list(source.data_dir.glob('.backup-work-*'))
        assert (await BackupRun.last_good()).path == str(first.path)  # type: ignore[union-attr]


@SQLITE
async def test_a_disk_that_fills_up_meanwhile_is_noticed(source, make_northwind, monkeypatch):
    monkeypatch.setattr(backing_up, '_LOOK', 1)
    looks = iter([None] * 5)

    def check_room(folder: Path, _wanted: int) -> None:
        if next(looks, 'full') == 'full':
            raise NotMade(f'There is not enough room for a backup in {folder}')

    monkeypatch.setattr(backing_up, 'check_room', check_room)
    monkeypatch.setattr(backup_archive, 'CHUNK', 4096)
    async with opened(settings()):
        await _fill(make_northwind)
        with pytest.raises(NotMade):
            await back_up()
    assert _backups(source.data_dir / 'backups') == []


@SQLITE
async def test_a_folder_that_cannot_be_used_is_one_sentence(source):
    (source.data_dir).mkdir(exist_ok=True)
    (source.data_dir / 'file').write_text('')
    async with opened(source.use(PORTAL_BACKUP_DIR=str(source.data_dir / 'file' / 'backups'))):
        with pytest.raises(NotMade, match=r'file.* cannot be used: Not a directory'):
            await back_up()


@pytest.mark.parametrize('how', ['stopped', 'cancelled'])
async def test_one_that_is_interrupted_leaves_nothing(source, make_northwind, monkeypatch, how):
    stopping, began = threading.Event(), threading.Event()
    begin = backing_up._Writing.begin

    def begun(self: Any, *arguments: Any) -> None:
        begin(self, *arguments)
        began.set()
        stopping.wait(10)

    monkeypatch.setattr(backing_up._Writing, 'begin', begun)
    async with opened(settings()):
        await _fill(make_northwind)
        task = asyncio.create_task(back_up(stopping=stopping))
        await asyncio.to_thread(began.wait, 10)
        assert [name.endswith('.partial') for name in _backups(source.data_dir / 'backups')] == [True]
        if how == 'stopped':
            stopping.set()
            with pytest.raises(Stopped):
                await task
        else:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert _backups(source.data_dir / 'backups') == []
        assert not list(source.data_dir.glob('.backup-work-*'))
        assert await BackupRun.all().count() == 0  # it is begun again at the next start, not in an hour


async def test_what_a_killed_process_left_goes_and_what_another_is_writing_stays(source):
    folder = source.data_dir / 'backups'
    folder.mkdir(parents=True)
    left, written = folder / '.portal-20200101-000000.backup.partial', folder / '.portal-20200101-000001.backup.partial'
    work = source.data_dir / '.backup-work-left'
    work.mkdir()
    (work / 'database.sqlite3').write_text('left')
    left.write_text('left')
    with written.open('w') as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        async with opened(settings()):
            await BackupRun.create(started_at=datetime.now(UTC))
            made = await back_up()
            cut_short = await BackupRun.all().order_by('id').first()
    assert _backups(folder) == [written.name, made.path.name]  # type: ignore[union-attr]
    assert cut_short.error == 'It was cut short.'  # type: ignore[union-attr]
    if not source.address:
        assert not work.exists()


async def test_two_are_never_made_at_once_and_both_get_a_name(source):
    async with opened(settings()):
        found = await asyncio.gather(back_up(), back_up(), return_exceptions=True)
        assert sorted(type(each).__name__ for each in found) == ['Busy', 'Made']
        assert isinstance(next(each for each in found if isinstance(each, Busy)), NotMade)
        again = await back_up()
        assert len(_backups(again.path.parent)) == 2  # type: ignore[union-attr]


@SQLITE
async def test_one_that_cannot_be_read_back_is_none(source, monkeypatch):
    def fails(*_: Any, **__: Any) -> None:
        raise Damaged('The backup is damaged at byte 7.')

    monkeypatch.setattr(backup_reading, 'read', fails)
    async with opened(settings()):
        with pytest.raises(NotMade, match='reading it back failed: The backup is damaged at byte 7'):
            await back_up()
        assert (await _run()).verified_at is None
        assert 'damaged at byte 7' in (await _run()).error
        assert _backups(source.data_dir / 'backups') == []
        assert await BackupRun.last_good() is None


@SQLITE
async def test_a_restored_name_cannot_lead_out_of_the_folder(source, target):
    """Nor can a table's, nor anything that is there twice or not at all."""
    source.data_dir.mkdir(exist_ok=True)
    about = b'{"portal":"","engine":"postgres","schema":[],"columns":{},"made_at":"","secret":"","secret_mark":""}'
    for members in (
        [('about.json', about), ('attachments/original/../../evil', b'x')],
        [('about.json', about), ('/evil', b'x')],
        [('about.json', about), ('tables/unknown.copy', b'x')],
        [('about.json', about), ('about.json', about)],
        [('attachments/original/a', b'x')],
        [('about.json', about)],
        [('about.json', about.replace(b'postgres', b'oracle'))],
        [('about.json', b'[]')],
        [('about.json', about.replace(b'{}', b'{"x; DROP": []}'))],
    ):
        path = source.data_dir / 'made-up.backup'
        with path.open('wb') as file:
            writer = backup_archive.Writer(file)
            for name, content in members:
                with writer.member(name) as member:
                    member.write(content)
            writer.finish()
        with pytest.raises(NotReadable):
            await restore(path, target.use())
        assert not [name for name in target.tree() if 'evil' in name]


# -- which are kept ---------------------------------------------------------------------------------------------------


def test_old_ones_go_and_nothing_else(tmp_path):
    now = datetime(2026, 11, 23, tzinfo=UTC)
    names = [f'portal-{now - timedelta(days=days):%Y%m%d-%H%M%S}.backup' for days in range(20)]
    others = [
        'portal-20200101T000000.000000-before-migration.sqlite3', 'portal-20200101-000000.backup.gpg', 'notes.txt',
        'other-20200101-000000.backup', 'portal-20200101-000000.sqlite3', 'portal-20209999-000000.backup',
    ]  # fmt: skip
    for name in [*names, *others]:
        (tmp_path / name).write_text('')
    (tmp_path / 'portal-20190101-000000.backup').mkdir()
    good = str(tmp_path / names[-1])
    gone = backing_up.forget_old(tmp_path, now - timedelta(days=14), {good})
    assert sorted(path.name for path in gone) == sorted(names[15:-1])
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*names[:15], names[-1], *others, 'portal-20190101-000000.backup'}
    # A clock that is years ahead: the newest stay whatever it says.
    backing_up.forget_old(tmp_path, now + timedelta(days=4000), set())
    assert len(backing_up.made_in(tmp_path)) == backing_up.KEPT_AT_LEAST
    assert backing_up.forget_old(tmp_path / 'none', now, set()) == []
