"""The command line as somebody types it: what ends a process in a process of its own, the rest in this one."""

import asyncio
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import main
from models import ApiToken, Customer, HistoryEvent, HistoryText, Partner, PortalRole, PortalUser
from models.database import opened

ROOT = Path(__file__).parent.parent
COMMANDS = (
    'serve', 'demo', 'import-customers', 'create-user', 'create-token', 'verify-history', 'erase-history',
)  # fmt: skip
PASSWORD = 'a long enough one'


@pytest.fixture
def run(sqlite_file: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `main.py` on a migrated, empty SQLite database."""

    def run(*arguments: str, typed: str = '', **given: str) -> subprocess.CompletedProcess[str]:
        kept = {name: v for name, v in os.environ.items() if not name.startswith(('PYTEST_', 'NICEGUI_'))}
        return subprocess.run(
            [sys.executable, str(ROOT / 'main.py'), *arguments],
            env={**kept, 'PORTAL_DATA_DIR': str(sqlite_file.parent), 'COLUMNS': '200', **given},
            cwd=ROOT, input=typed, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


@dataclass
class Ended:
    returncode: int
    said: str  # on both outputs together
    stdout: str


@pytest.fixture
def call(sqlite_file: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """The same in this process, which saves a second each."""
    monkeypatch.setattr(main, 'start_logging', lambda: None)

    def call(*arguments: str, typed: str = '') -> Ended:
        ended = CliRunner().invoke(main.cli, list(arguments), input=typed)
        assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
        return Ended(ended.exit_code, ended.output, ended.stdout)

    return call


def _ask(question: Callable[[], Any]) -> Any:
    """Ask the database, which is not open between two commands."""

    async def asked() -> Any:
        async with opened():
            return await question()

    return asyncio.run(asked())


def _make(*names: str) -> None:
    async def make() -> None:
        for name in names:
            await Partner.set_up(name, domain=f'{name.lower()}.example')

    _ask(make)


def _is_one_line(ended: Any) -> bool:
    said = ended.said if isinstance(ended, Ended) else ended.stdout + ended.stderr
    return ended.returncode == 1 and said.count('\n') == 1 and 'Traceback' not in said


# -- help -------------------------------------------------------------------------------------------------------------


def test_every_command_says_what_it_does_and_takes_help():
    runner = CliRunner()
    overview = runner.invoke(main.cli, ['--help']).output
    for command in COMMANDS:
        assert command in overview
        ended = runner.invoke(main.cli, [command, '-h'])
        assert ended.exit_code == 0
        assert 'Usage' in ended.output
        assert ('--partner' in ended.output) == (command not in ('serve', 'erase-history'))


def test_an_unknown_command_is_refused_in_words(run):
    ended = run('fly')
    assert ended.returncode == 2
    assert 'No such command' in ended.stderr
    assert 'Traceback' not in ended.stderr


# -- demo -------------------------------------------------------------------------------------------------------------


def test_demo_makes_as_many_customers_as_asked_for(call):
    ended = call('demo', '--customers', '50', '--seed', '7')
    assert ended.returncode == 0, ended.said
    assert ended.stdout == '50 customers were made for Northwind IT.\n'
    before = _ask(lambda: Customer.all().count())
    assert before >= 80
    assert call('demo', '--customers', '5', '--partner', 'fabrikam-managed-services').returncode == 0
    assert _ask(lambda: Customer.all().count()) == before + 5


def test_demo_fills_the_only_msp_there_is(call):
    _make('Contoso')
    assert call('demo', '--customers', '3').stdout == '3 customers were made for Contoso.\n'


@pytest.mark.parametrize('count', ['0', '-1', 'x', '1000001'])
def test_demo_refuses_a_number_that_makes_no_sense(call, count):
    ended = call('demo', '--customers', count)
    assert ended.returncode == 2
    assert 'Traceback' not in ended.said


# -- import -----------------------------------------------------------------------------------------------------------

GOOD = 'name,account_code,licences\nÉmile’s,EMILE1,12\nAcme,ACME1,5\n'


def test_import_stores_the_good_lines_and_names_the_bad_ones(call, tmp_path):
    _make('Contoso')
    file = tmp_path / 'customers.csv'
    file.write_text(GOOD + 'Bad,BAD1,many\n', encoding='utf-8')
    ended = call('import-customers', str(file))
    assert ended.returncode == 1
    assert 'line 4, licences: ' in ended.said
    assert "'many'" in ended.said
    assert ended.stdout == '2 added, 0 updated, 0 unchanged, 1 refused\n'
    again = call('import-customers', str(file), '--all-or-nothing')
    assert again.returncode == 1
    assert _ask(lambda: Customer.all().count()) == 2


def test_import_of_a_good_file_ends_well_and_again_changes_nothing(call, tmp_path):
    _make('Contoso')
    file = tmp_path / 'customers.csv'
    file.write_text(GOOD, encoding='utf-8')
    assert call('import-customers', str(file)).stdout == '2 added, 0 updated, 0 unchanged, 0 refused\n'
    again = call('import-customers', str(file))
    assert (again.returncode, again.stdout) == (0, '0 added, 0 updated, 2 unchanged, 0 refused\n')


@pytest.mark.parametrize('content', [b'', b'\xff\xfe\x00', b'no,such,columns\n1,2,3\n', b'\x00' * 100])
def test_a_file_that_is_no_table_of_customers_is_refused_in_words(call, tmp_path, content):
    _make('Contoso')
    file = tmp_path / 'customers.csv'
    file.write_bytes(content)
    ended = call('import-customers', str(file))
    assert ended.returncode == 1
    assert 'Traceback' not in ended.said
    assert ended.said.strip()
    assert ', :' not in ended.said


def test_an_import_onto_a_full_disk_is_one_line(call, tmp_path):
    _make('Contoso')
    file = tmp_path / 'customers.csv'
    file.write_text('name,account_code\n' + ''.join(f'Customer {n},C{n}\n' for n in range(2000)), encoding='utf-8')
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        ended = call('import-customers', str(file))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert ended.returncode == 1
    assert 'This could not be done: ' in ended.said
    assert call('import-customers', str(file)).returncode == 0


def test_a_file_that_is_not_there_is_refused_in_words(call, tmp_path):
    for path in (tmp_path / 'nowhere.csv', tmp_path):
        ended = call('import-customers', str(path))
        assert ended.returncode == 2
        assert 'Traceback' not in ended.said


# -- people and tokens ------------------------------------------------------------------------------------------------


def _user(**more: str) -> list[str]:
    given = {'email': 'cleo@contoso.example', 'name': 'Cleo', 'password': PASSWORD, 'role': 'administrator', **more}
    return [part for name, value in given.items() for part in (f'--{name}', value)]


def test_a_user_who_was_created_can_sign_in(call):
    _make('Contoso')
    ended = call('create-user', *_user())
    assert ended.stdout == 'cleo@contoso.example can sign in (administrator of Contoso).\n'
    cleo = _ask(lambda: PortalUser.signing_in('cleo@contoso.example', PASSWORD))
    assert (cleo.name, cleo.role, cleo.sees_all) == ('Cleo', PortalRole.ADMINISTRATOR, True)


def test_what_is_not_given_is_asked_for_and_the_password_is_not_shown(call):
    _make('Contoso')
    ended = call('create-user', typed=f'dan@contoso.example\nDan\n{PASSWORD}\n{PASSWORD}\n')
    assert ended.returncode == 0, ended.said
    assert PASSWORD not in ended.stdout + ended.said
    assert _ask(lambda: PortalUser.get(email='dan@contoso.example')).role == PortalRole.TECHNICIAN


@pytest.mark.parametrize(
    ('wrong', 'says'),
    [
        ({'password': 'short'}, 'at least 12'),
        ({'email': 'no address'}, 'not an e-mail address'),
        ({'email': 'a@' + 'b' * 300 + '.example'}, 'not an e-mail address'),
        ({'email': 'msp_client@contoso.example'}, 'already somebody’s'),
        ({'role': 'emperor'}, 'administrator, implementation, technician'),
    ],
)
def test_a_user_who_cannot_be_is_refused_with_one_line(call, wrong, says):
    _make('Contoso')
    ended = call('create-user', *_user(**wrong))
    assert _is_one_line(ended), ended.said
    assert says in ended.said


def test_a_token_is_printed_once_and_works(call):
    _make('Contoso')
    ended = call('create-token', '--name', 'collector')
    assert ended.returncode == 0, ended.said
    token = ended.stdout.strip()
    assert ended.stdout.count('\n') == 1
    holder = _ask(lambda: ApiToken.holder(token))
    assert holder.name == 'collector'
    assert token not in str(dict(holder))


# -- the history ------------------------------------------------------------------------------------------------------


def test_a_history_as_it_was_written_is_said_to_be_so(call):
    _make('Contoso', 'Adatum')
    assert call('verify-history').stdout == '2 entries in 2 chains: all as written\n'
    assert call('verify-history', '--partner', 'adatum').stdout == '1 entry in 1 chain: all as written\n'
    assert call('verify-history', '--partner', 'nobody').returncode == 1


def test_a_tampered_entry_and_a_missing_trigger_are_named(call, sqlite_file):
    _make('Contoso')
    with sqlite3.connect(sqlite_file) as file:
        file.execute('DROP TRIGGER history_event_no_update')
        file.execute("UPDATE history_event SET kind = 'x'")
    file.close()
    ended = call('verify-history')
    assert ended.returncode == 1
    first, second = ended.stdout.splitlines()
    assert first == 'MSP 1, entry 1: was changed: its hash is another one'
    assert 'history_event_no_update is missing' in second


def test_texts_are_erased_on_request_and_it_is_written_down(call):
    _make('Contoso')
    call('create-user', *_user())
    before = _ask(lambda: HistoryEvent.all().order_by('id').values_list('id', flat=True))
    erase = ['erase-history', *map(str, before), '--because', 'asked on Monday', '--by', 'cleo@contoso.example']
    refused = call(*erase, typed='n\n')
    assert refused.returncode == 1
    assert _ask(lambda: HistoryText.all().count()) == 2
    ended = call(*erase, typed='y\n')
    assert ended.returncode == 0, ended.said
    assert 'cannot be brought back' in ended.said
    assert _ask(lambda: HistoryText.filter(event_id__in=before).count()) == 0
    assert call('verify-history').stdout == '4 entries in 1 chain: all as written\n'
    again = call(*erase, '--yes')
    assert _is_one_line(again), again.said
    assert 'erased before' in again.said


@pytest.mark.parametrize(
    ('given', 'says'),
    [(['99', '--by', 'cleo@contoso.example'], 'no entry 99'), (['1', '--by', 'nobody@contoso.example'], 'Nobody')],
)
def test_what_cannot_be_erased_is_one_line(call, given, says):
    _make('Contoso')
    call('create-user', *_user())
    ended = call('erase-history', *given, '--because', 'asked', '--yes')
    assert _is_one_line(ended), ended.said
    assert says in ended.said


# -- which MSP --------------------------------------------------------------------------------------------------------


def test_where_there_are_two_msps_a_command_asks_which(call, tmp_path):
    _make('Contoso', 'Adatum')
    file = tmp_path / 'customers.csv'
    file.write_text(GOOD, encoding='utf-8')
    for command in (['create-token'], ['create-user', *_user()], ['import-customers', str(file)]):
        ended = call(*command)
        assert ended.returncode == 1
        assert 'Say which MSP with --partner. There are: contoso, adatum.' in ended.said
        assert 'Traceback' not in ended.said
        unknown = call(*command, '--partner', 'nobody')
        assert unknown.returncode == 1
        assert "There is no MSP 'nobody'. There are: contoso, adatum." in unknown.said
        assert call(*command, '--partner', 'adatum').returncode == 0
    assert _ask(lambda: Customer.filter(partner__slug='adatum').count()) == 2
    assert _ask(lambda: Customer.filter(partner__slug='contoso').count()) == 0


def test_before_there_is_an_msp_a_command_says_what_to_do_first(call):
    ended = call('create-token')
    assert _is_one_line(ended), ended.said
    assert 'open the portal first' in ended.said


# -- a database that cannot be used -----------------------------------------------------------------------------------


def test_a_database_that_is_garbage_is_one_line(run, sqlite_file):
    sqlite_file.write_bytes(b'garbage ' * 1000)
    for command in (['create-token'], ['serve'], ['demo', '--customers', '1']):
        ended = run(*command, PORTAL_PORT='8089')
        assert _is_one_line(ended), ended.stderr
        assert 'is not a database of the portal' in ended.stderr
    assert sqlite_file.read_bytes().startswith(b'garbage')


def test_a_database_that_another_program_has_locked_is_one_line(run, sqlite_file):
    _make('Contoso')
    holder = sqlite3.connect(sqlite_file, isolation_level=None)
    try:
        holder.execute('BEGIN EXCLUSIVE')
        ended = run('create-token')
    finally:
        holder.close()
    assert _is_one_line(ended), ended.stderr
    assert 'is locked' in ended.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write everything')
def test_a_database_that_is_read_only_is_one_line(run, sqlite_file):
    sqlite_file.chmod(0o444)
    ended = run('create-token')
    assert _is_one_line(ended), ended.stderr
    assert 'read-only' in ended.stderr


def test_a_folder_in_the_place_of_the_database_is_one_line(run, sqlite_file):
    sqlite_file.unlink()
    sqlite_file.mkdir()
    ended = run('create-token')
    assert _is_one_line(ended), ended.stderr


def test_a_postgresql_that_does_not_answer_is_one_line(run):
    ended = run('create-token', PORTAL_DATABASE_URL='postgres://nobody:secret@127.0.0.1:1/none')
    assert _is_one_line(ended), ended.stderr
    assert 'does not answer' in ended.stderr
    assert 'secret' not in ended.stderr
