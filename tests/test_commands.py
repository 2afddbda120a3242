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
from models import (
    ApiToken,
    Customer,
    HistoryChain,
    HistoryEvent,
    HistoryText,
    Partner,
    PortalRole,
    PortalUser,
    Product,
    SigningKey,
    backing_up,
)
from models.catalogue import change_product
from models.database import opened
from models.demo import demo_password, load_demo
from settings import settings

ROOT = Path(__file__).parent.parent
COMMANDS = (
    'serve', 'demo', 'import-customers', 'create-user', 'create-token', 'verify-history', 'erase-history',
    'create-partner', 'remove-demo', 'rotate-keys',
)  # fmt: skip
WITHOUT_PARTNER = ('serve', 'erase-history', 'create-partner', 'remove-demo', 'rotate-keys')
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
        assert ('--partner' in ended.output) == (command not in WITHOUT_PARTNER)


def test_a_wrong_setting_ends_a_command_with_one_line_and_nothing_else(run):
    ended = run('verify-history', PORTAL_BACKUP_KEY='short')
    assert (ended.returncode, ended.stdout) == (1, '')
    assert ended.stderr == 'PORTAL_BACKUP_KEY: must have at least 32 characters\n'


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


# -- create-partner ---------------------------------------------------------------------------------------------------


def test_an_msp_and_its_first_administrator_are_created(call):
    ended = call(
        'create-partner', 'Contoso', '--domain', 'contoso.example', '--admin-email', 'Ida@contoso.example',
        '--admin-name', 'Ida Berg', typed=f'{PASSWORD}\n{PASSWORD}\n',
    )  # fmt: skip
    assert ended.returncode == 0, ended.said
    assert 'Contoso (contoso) was created; ida@contoso.example can sign in as its administrator.' in ended.stdout
    assert PASSWORD not in ended.said
    ida = _ask(lambda: PortalUser.signing_in('ida@contoso.example', PASSWORD))
    assert (ida.name, ida.role) == ('Ida Berg', PortalRole.ADMINISTRATOR)
    assert _ask(lambda: PortalUser.get(email='msp_client@contoso.example')).can_sign_in is False


@pytest.mark.parametrize(
    ('name', 'domain', 'email', 'password'),
    [
        (' ', 'contoso.example', 'ida@contoso.example', PASSWORD), ('Contoso', 'x', 'ida@contoso.example', PASSWORD),
        ('Contoso', 'contoso.example', 'ida', PASSWORD), ('Contoso', 'contoso.example', 'ida@contoso.example', 'short'),
        ('Fabrikam', 'contoso.example', 'ida@contoso.example', PASSWORD),
        ('Contoso', 'fabrikam.example', 'ida@contoso.example', PASSWORD),
    ],
)  # fmt: skip
def test_an_msp_that_cannot_be_is_refused_in_one_line_and_leaves_nothing(call, name, domain, email, password):
    _make('Fabrikam')
    ended = call(
        'create-partner', name, '--domain', domain, '--admin-email', email, '--password', password
    )  # fmt: skip
    assert _is_one_line(ended), ended.said
    assert _ask(lambda: Partner.all().count()) == 1
    assert _ask(lambda: PortalUser.all().count()) == 1


# -- remove-demo ------------------------------------------------------------------------------------------------------


def _with_demo_and_a_real_msp() -> None:
    async def make() -> None:
        await load_demo()
        real = await Partner.set_up('Contoso', domain='contoso.example')
        await Customer.add(real, name='Real', account_code='R1')
        northwind = await Partner.get(slug='northwind-it')
        await Customer.add(northwind, name='Added by hand', account_code='HAND1')
        ana = await PortalUser.get(email='ana@northwind.example')
        await change_product(northwind, 'SEC', {'name': 'A copy of its own'}, was=None, by=ana)

    _ask(make)


def test_the_demo_is_removed_and_what_is_real_stays(call, sqlite_file):
    _with_demo_and_a_real_msp()
    ended = call('remove-demo', typed='y\n')
    assert ended.returncode == 0, ended.said
    assert 'customers: 1, people: 0' in ended.stdout
    assert _ask(lambda: Partner.all().values_list('slug', flat=True)) == ['contoso']
    assert _ask(lambda: Customer.all().values_list('name', flat=True)) == ['Real']
    assert not _ask(lambda: Product.filter(partner_id__isnull=False).exists())
    assert _ask(lambda: PortalUser.all().values_list('email', flat=True)) == ['msp_client@contoso.example']
    for table in ('monitor', 'connect_step', 'rfi', 'note', 'attachment', 'session', 'delegated_access', 'price'):
        with sqlite3.connect(sqlite_file) as file:
            owner = '1=1' if table in ('session', 'price') else 'partner_id <> 3' if table == 'delegated_access' else (
                'customer_id NOT IN (SELECT id FROM customer)'
            )  # fmt: skip
            assert file.execute(f'SELECT COUNT(*) FROM {table} WHERE {owner}').fetchone() == (0,), table
    assert list((sqlite_file.parent / 'backups').glob('*.backup'))


def test_after_it_the_history_still_proves_what_it_proved(call):
    _with_demo_and_a_real_msp()
    call('remove-demo', '--yes', '--no-backup')
    verified = call('verify-history')
    assert verified.returncode == 0, verified.said
    assert 'all as written' in verified.stdout
    chains = _ask(lambda: HistoryChain.all().order_by('chain').values_list('chain', 'length'))
    # Of the demo: its two MSPs, and the customer that somebody added.
    assert [chain for chain, _ in chains if chain.startswith('p:')] == ['p:1', 'p:2', 'p:3']
    assert len([chain for chain, _ in chains if chain.startswith('c:')]) == 2
    kinds = _ask(lambda: HistoryEvent.filter(chain='p:1').order_by('-sequence').first())
    assert kinds.kind == 'partner.removed'


def test_a_database_without_its_demo_is_set_up_for_real_and_the_demo_stays_away(call):
    _ask(load_demo)
    call('remove-demo', '--yes', '--no-backup')
    assert not _ask(Partner.exists)
    _ask(load_demo)  # the next start
    assert not _ask(Partner.exists)
    _make('Contoso')
    real = _ask(lambda: Partner.get())
    assert real.id > 2  # its audit does not go on where that of a demo MSP ended
    assert _ask(lambda: HistoryEvent.filter(partner_id=real.id).count()) == 1


def test_removing_that_was_cut_short_is_finished_the_next_time(call, monkeypatch):
    _ask(load_demo)
    monkeypatch.setattr('models.demo_removing.CHUNK', 7)
    real, calls = HistoryEvent.add, []

    async def fails(*given, **more):
        calls.append(given)
        raise OSError('No space left on device')

    monkeypatch.setattr(HistoryEvent, 'add', fails)
    assert call('remove-demo', '--yes', '--no-backup').returncode == 1
    assert calls
    assert _ask(lambda: Partner.all().count()) == 2
    monkeypatch.setattr(HistoryEvent, 'add', real)
    assert call('remove-demo', '--yes', '--no-backup').returncode == 0
    assert not _ask(Partner.exists)
    assert call('verify-history').returncode == 0


def test_nothing_is_removed_without_a_yes_or_without_a_backup(call, monkeypatch):
    _ask(load_demo)
    assert call('remove-demo', typed='n\n').returncode == 1

    async def fails():
        raise backing_up.NotMade('The disk is full.')

    monkeypatch.setattr(backing_up, 'back_up', fails)
    ended = call('remove-demo', '--yes')
    assert ended.returncode == 1
    assert 'Nothing was removed, because no backup could be made: The disk is full.' in ended.said
    assert _ask(lambda: Partner.all().count()) == 2


def test_where_there_is_no_demo_none_is_removed(call):
    _make('Contoso')
    ended = call('remove-demo', '--yes')
    assert _is_one_line(ended)
    assert _ask(lambda: Partner.all().count()) == 1


# -- what a start says ------------------------------------------------------------------------------------------------


def _announced(capsys, monkeypatch, **given: str) -> str:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    _ask(main.announce)
    return capsys.readouterr().out


def test_a_start_with_the_demo_tells_its_password(sqlite_file, capsys, monkeypatch):
    _ask(load_demo)
    said = _announced(capsys, monkeypatch, PORTAL_DEMO='1')
    assert f'demo password: {_ask(demo_password)}' in said
    assert 'WARNING' not in said


@pytest.mark.parametrize('demo', ['0', '1'])
def test_a_start_on_every_address_with_the_demo_in_it_warns_loudly(sqlite_file, capsys, monkeypatch, demo):
    _ask(load_demo)
    said = _announced(capsys, monkeypatch, PORTAL_DEMO=demo, PORTAL_HOST='0.0.0.0')
    assert '!! WARNING: demonstration sign-ins are open to everybody who reaches 0.0.0.0:8080.' in said
    given = {'PORTAL_HOST': '127.0.0.1', 'PORTAL_PUBLIC_URL': 'https://portal.example.com'}
    said = _announced(capsys, monkeypatch, PORTAL_DEMO=demo, **given)
    # Where a proxy is in front, its address is the one to open, and the one that strangers reach.
    assert said.startswith('MSP Portal: https://portal.example.com/\nlistening on http://127.0.0.1:8080/\n')
    assert '!! WARNING: demonstration sign-ins are open to everybody who reaches https://portal.example.com.' in said


def test_a_start_without_the_setting_says_that_the_demo_is_still_there(sqlite_file, capsys, monkeypatch):
    _ask(load_demo)
    said = _announced(capsys, monkeypatch)
    assert 'remove-demo' in said
    assert 'demo password' not in said


def test_a_start_without_a_demo_tells_no_demo_password(sqlite_file, capsys, monkeypatch):
    _make('Contoso')
    said = _announced(capsys, monkeypatch, PORTAL_DEMO='1', PORTAL_HOST='0.0.0.0')
    assert 'demo' not in said
    assert 'WARNING' not in said


# -- import -----------------------------------------------------------------------------------------------------------

GOOD = 'name,account_code,licences\nÉmile’s,EMILE1,12\nAcme,ACME1,5\n'


def test_import_stores_the_good_lines_and_names_the_bad_ones(call, tmp_path):
    _make('Contoso')
    file = tmp_path / 'customers.csv'
    file.write_text(GOOD + 'Bad,BAD1,many\n', encoding='utf-8')
    ended = call('import-customers', str(file))
    assert ended.returncode == 1
    assert 'line 4, licences: ' in ended.said
    assert '“many” is not a whole number' in ended.said
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


def test_keys_are_rotated_and_the_one_before_stays_published(call):
    first, second = call('rotate-keys'), call('rotate-keys')
    assert (first.returncode, second.returncode) == (0, 0), first.said + second.said
    keys = [key['kid'] for key in _ask(SigningKey.published)['keys']]
    assert len(keys) == 2
    for ended, kid in zip((second, first), keys, strict=True):
        assert ended.stdout.startswith(f'Assertions are signed with {kid} from now on'), keys


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
