import os
import re
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from settings import Settings, doubtful, misspelt, settings

ROOT = Path(__file__).parent.parent


def _documented() -> dict[str, tuple[str, str]]:
    """Default and description, by name, as the README's table of settings gives them."""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    found = re.findall(r'^\| `PORTAL_(\w+)` \| (.*?) \| (.*?) \|$', text, re.MULTILINE)
    assert len(found) == len({name for name, *_ in found}), 'a setting is listed twice'
    return {name.lower(): (default, description) for name, default, description in found}


def _written(default: Any) -> str:
    if isinstance(default, bool):
        return '`on`' if default else '`off`'
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    return f'`{default}`' if str(default) else '(empty)'


def test_the_readme_lists_every_setting_with_its_default_and_its_description():
    expected = {name: (_written(field.default), field.description) for name, field in Settings.model_fields.items()}
    assert _documented() == expected


def test_every_setting_has_a_description_that_is_a_sentence():
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith('.'), name


# -- a wrong setting --------------------------------------------------------------------------------------------------


def _environment(folder: Path, **given: str) -> dict[str, str]:
    ours = ('PORTAL_', 'PYTEST_', 'NICEGUI_')
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {'PORTAL_DATA_DIR': str(folder / 'data')} | {f'PORTAL_{name.upper()}': v for name, v in given.items()}


def _served(folder: Path, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / 'main.py'), 'serve'], env=_environment(folder, **given), cwd=folder,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


WRONG = [
    ('port', '99999'), ('port', 'x'), ('database_url', 'mysql://x'), ('help_url', 'javascript:x'), ('secret', 'short'),
    ('session_hours', '0'), ('poll_seconds', '1'), ('demo', 'perhaps'), ('demo_rate', '-1'), ('log_level', 'loud'),
    ('host', ''), ('data_dir', ''), ('port', ''), ('demo', ''), ('demo_rate', 'nan'), ('help_url', 'http://'),
    ('help_url', 'http://['), ('database_url', 'sqlite://'), ('database_url', 'sqlite://:memory:'),
    ('upload_mb', '0'), ('upload_mb', '5000'), ('attachments_per_customer', 'x'),
    ('public_url', 'https://portal.example/msp'), ('public_url', 'https://a@portal.example'),
    ('public_url', 'https://portal.example:x'), ('public_url', 'portal.example'), ('trusted_proxies', '10.0.0.0/99'),
]  # fmt: skip


@pytest.mark.parametrize(('name', 'value'), WRONG)
def test_a_wrong_setting_ends_the_process_with_one_line_that_names_it(monkeypatch, name, value):
    monkeypatch.setenv(f'PORTAL_{name.upper()}', value)
    settings.cache_clear()
    with pytest.raises(SystemExit) as ended:
        settings()
    said = str(ended.value)
    assert said.startswith(f'PORTAL_{name.upper()}: ')
    assert '\n' not in said
    assert not re.search('Input|String|valid', said), 'these are words for whoever writes programs'


@pytest.mark.parametrize(
    ('name', 'value'), [('secret', 'hunter2-hunter2'), ('database_url', 'mysql://me:hunter2@host/portal')]
)
def test_a_wrong_setting_that_is_secret_is_not_printed(monkeypatch, name, value):
    monkeypatch.setenv(f'PORTAL_{name.upper()}', value)
    settings.cache_clear()
    with pytest.raises(SystemExit) as ended:
        settings()
    assert 'hunter2' not in str(ended.value)


@pytest.mark.parametrize(
    ('name', 'value'),
    [('port', '99999'), ('database_url', 'mysql://x'), ('help_url', 'javascript:x'), ('secret', 'short')],
)
def test_a_wrong_setting_stops_the_start(tmp_path, name, value):
    ended = _served(tmp_path, **{name: value})
    assert ended.returncode == 1
    assert ended.stderr.startswith(f'PORTAL_{name.upper()}: ')
    assert ended.stderr.count('\n') == 1
    assert ended.stdout == ''
    assert not (tmp_path / 'data').exists()


def test_an_address_that_cannot_be_listened_on_stops_the_start_with_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = _served(tmp_path, port=str(port))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f'PORTAL_HOST/PORTAL_PORT: 127.0.0.1:{port} cannot be listened on')
    assert ended.stderr.count('\n') == 1


def test_a_folder_that_cannot_be_used_is_one_line_that_names_its_setting(tmp_path):
    file = tmp_path / 'file'
    file.write_text('')
    for folder in ('/proc/nope', str(file)):
        ended = _served(tmp_path, data_dir=folder, port='8089')
        assert (ended.returncode, ended.stderr.count('\n')) == (1, 1)
        assert 'PORTAL_DATA_DIR' in ended.stderr


def test_a_name_that_is_nearly_a_setting_is_said_at_the_start(tmp_path):
    ended = _served(tmp_path, prot='1', data_dir='/proc/nope')
    assert 'PORTAL_PROT is no setting and changes nothing; is it PORTAL_PORT?' in ended.stderr


@pytest.mark.parametrize('host', ['no.such.host.invalid', '300.1.1.1', '192.0.2.1', 'a' * 300, '::g'])
def test_a_host_that_is_none_stops_the_start_with_one_line(monkeypatch, host):
    import main

    monkeypatch.setenv('PORTAL_HOST', host)
    settings.cache_clear()
    with pytest.raises(SystemExit) as ended:
        main.check_port()
    assert str(ended.value).startswith('PORTAL_HOST/PORTAL_PORT: ')
    assert '\n' not in str(ended.value)


# -- what settings mean -----------------------------------------------------------------------------------------------


@pytest.fixture
def env_file(tmp_path, monkeypatch) -> Path:
    """Where the settings are read from; there is nothing yet."""
    file = tmp_path / '.env'
    monkeypatch.setitem(Settings.model_config, 'env_file', str(file))
    settings.cache_clear()
    return file


def test_settings_are_read_from_a_file_and_the_environment_goes_first(env_file, monkeypatch):
    env_file.write_text('PORTAL_PORT=8181\nPORTAL_HOST=0.0.0.0\nPORTAL_UNKNOWN=1\nOTHER=2\n')
    monkeypatch.setenv('PORTAL_HOST', '127.0.0.2')
    settings.cache_clear()
    assert (settings().port, settings().host) == (8181, '127.0.0.2')


def test_a_file_that_is_no_text_ends_the_process_with_one_line(env_file):
    env_file.write_bytes(b'PORTAL_PORT=\xff\xfe')
    with pytest.raises(SystemExit, match=r'\.env cannot be read'):
        settings()


@pytest.mark.parametrize(('text', 'says'), [('PORTAL_PORT=8181\nPORTAL_DEMO\n', 'line 2'), ('a b c\n', 'line 1')])
def test_a_line_that_sets_nothing_ends_the_process_with_one_line(env_file, text, says):
    env_file.write_text(text)
    with pytest.raises(SystemExit, match=rf'^\.env, {says}: this is not NAME=value\.$'):
        settings()


def test_a_folder_in_the_place_of_the_file_ends_the_process_with_one_line(env_file):
    env_file.mkdir()
    with pytest.raises(SystemExit, match=r'^\.env cannot be read'):
        settings()


def test_make_wants_the_demo_unless_somebody_says_otherwise(env_file, monkeypatch):
    monkeypatch.setenv('PORTAL_DEMO_UNLESS_SET', '1')
    for text, given, expected in (('', None, True), ('PORTAL_DEMO=0', None, False), ('PORTAL_DEMO=0', '1', True)):
        env_file.write_text(text)
        monkeypatch.setenv('PORTAL_DEMO', given) if given else monkeypatch.delenv('PORTAL_DEMO', raising=False)
        settings.cache_clear()
        assert settings().demo is expected
    assert 'PORTAL_DEMO=' not in (ROOT / 'Makefile').read_text()


def test_names_that_are_no_settings_are_known(env_file, monkeypatch):
    env_file.write_text('PORTAL_POTR=1\nOTHER=1\nPORTAL_HOST=127.0.0.1\n')
    monkeypatch.setenv('PORTAL_XYZZY', '1')
    assert misspelt() == [
        'PORTAL_POTR is no setting and changes nothing; is it PORTAL_PORT?',
        'PORTAL_XYZZY is no setting and changes nothing.',
    ]


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        ({}, []), ({'public_url': 'http://127.0.0.1:8080'}, []),
        ({'public_url': 'https://p.example'}, ['PORTAL_TRUSTED_PROXIES is empty']),
        ({'public_url': 'https://p.example', 'trusted_proxies': '127.0.0.1'}, []),
        ({'public_url': 'https://p.example', 'trusted_proxies': '10.0.0.0/8', 'host': '0.0.0.0'}, []),
        ({'host': '0.0.0.0'}, ['listens on 0.0.0.0 without https']),
        ({'host': '::', 'public_url': 'http://p.example'}, ['listens on :: without https']),
    ],
)  # fmt: skip
def test_what_is_hardly_meant_is_said_at_the_start(monkeypatch, given, said):
    for name, value in given.items():
        monkeypatch.setenv(f'PORTAL_{name.upper()}', value)
    settings.cache_clear()
    found = doubtful()
    assert len(found) == len(said)
    assert all(part in sentence for part, sentence in zip(said, found, strict=True))


def test_the_secret_is_made_once_and_kept_for_its_owner_only(tmp_path, monkeypatch):
    monkeypatch.setenv('PORTAL_SECRET', '')
    settings.cache_clear()
    secret = settings().secret_key()
    assert len(secret) >= 32
    assert (settings().data_dir / 'secret').stat().st_mode & 0o777 == 0o600
    assert settings().data_dir.stat().st_mode & 0o777 == 0o700
    settings.cache_clear()
    assert settings().secret_key() == secret


@pytest.mark.parametrize('content', [b'', b'short', b'\xff' * 64])
def test_a_secret_that_is_none_ends_the_process_with_one_line(monkeypatch, content):
    monkeypatch.setenv('PORTAL_SECRET', '')
    settings.cache_clear()
    path = settings().data_dir / 'secret'
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        settings().secret_key()
    assert str(ended.value).startswith('PORTAL_SECRET: ')
    assert '\n' not in str(ended.value)
    path.unlink()
    path.mkdir()
    with pytest.raises(SystemExit, match=r'^PORTAL_SECRET: '):
        settings().secret_key()


def test_a_secret_is_there_as_a_whole_or_not_at_all(monkeypatch):
    """And where two make one at the same time, both have the same."""
    monkeypatch.setenv('PORTAL_SECRET', '')
    settings.cache_clear()
    folder = settings().data_dir
    made = secrets.token_urlsafe

    def fails(_: int) -> str:
        raise OSError('the power failed')

    monkeypatch.setattr(secrets, 'token_urlsafe', fails)
    with pytest.raises(SystemExit):
        settings().secret_key()
    assert list(folder.iterdir()) == []

    def beaten(size: int) -> str:
        (folder / 'secret').write_text('y' * 40)
        return made(size)

    monkeypatch.setattr(secrets, 'token_urlsafe', beaten)
    assert settings().secret_key() == 'y' * 40
    assert [file.name for file in folder.iterdir()] == ['secret']


def test_loopback_is_known(monkeypatch):
    for host, expected in (('127.0.0.1', True), ('localhost', True), ('::1', True), ('0.0.0.0', False)):
        monkeypatch.setenv('PORTAL_HOST', host)
        settings.cache_clear()
        assert settings().is_loopback is expected


def test_nothing_shows_the_secret(test_settings):
    assert 'x' * 40 not in repr(test_settings)
    assert 'x' * 40 not in str(test_settings)
