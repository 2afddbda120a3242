"""Every setting of the portal, one line each; read from the environment (prefix PORTAL_) and from `.env`."""

import contextlib
import difflib
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, SettingsConfigDict

SHORTEST_SECRET = 32
# Of the Makefile and of the tests; they begin like a setting and are none.
_NO_SETTINGS = ('PORTAL_DEMO_UNLESS_SET', 'PORTAL_TEST_LONG')


_SECRETS = ('secret', 'database_url', 'backup_key', 'oidc_client_secret')


def _not_empty(text: Any) -> Any:
    if not str(text).strip():
        raise ValueError('must not be empty')
    return text


def _database(url: str) -> str:
    if url and not url.startswith(('sqlite://', 'postgres://', 'postgresql://', 'asyncpg://')):
        raise ValueError('must start with sqlite:// or postgres://')
    if url.startswith('sqlite://') and url.removeprefix('sqlite://').split('?')[0] in ('', '/', ':memory:'):
        raise ValueError('must name a file, such as sqlite:///srv/portal/portal.sqlite3')
    return url.replace('postgresql://', 'postgres://', 1)


def _http(url: str) -> str:
    if url and not url.startswith(('http://', 'https://')):
        raise ValueError('must start with http:// or https://')
    host = None
    with contextlib.suppress(ValueError):  # half an IPv6 address
        host = urlsplit(url).hostname
    if url and not host:
        raise ValueError('must be a whole address, such as https://help.example.com')
    return url.rstrip('/')


def _bare(url: str) -> str:
    parts = urlsplit(url)
    try:
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        port_is_one = False
    if parts.path or parts.query or parts.fragment or '@' in parts.netloc or not port_is_one:
        raise ValueError('must be a host alone, such as https://portal.example.com')
    return url


def _networks(text: str) -> str:
    for part in filter(None, (part.strip() for part in text.split(','))):
        try:
            ip_network(part, strict=False)
        except ValueError:
            raise ValueError(f'must be addresses or networks, and {part[:60]} is none') from None
    return text


def name_servers(text: str) -> list[tuple[str, int]]:
    """Address and port of each: `192.0.2.53, [2001:db8::53]:5353`; raises ValueError."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(','))):
        host, port = part, '53'
        if part.startswith('[') and ']' in part:
            host, _, port = part[1:].partition(']')
            port = port.removeprefix(':') or '53'
        elif part.count(':') == 1:
            host, port = part.split(':')
        if not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536):
            raise ValueError(f'must be addresses of name servers, and {part[:60]} has no port that can be')
        try:
            found.append((str(ip_address(host)), int(port)))
        except ValueError:
            raise ValueError(
                f'must be addresses of name servers such as 192.0.2.53:53, and {part[:60]} is none'
            ) from None
    return found


def _name_servers(text: str) -> str:
    name_servers(text)
    return text


def _long_enough(secret: SecretStr) -> SecretStr:
    if secret.get_secret_value() and len(secret.get_secret_value()) < SHORTEST_SECRET:
        raise ValueError(f'must have at least {SHORTEST_SECRET} characters')
    return secret


def _level(name: str) -> str:
    if name.lower() not in ('debug', 'info', 'warning', 'error'):
        raise ValueError('must be debug, info, warning or error')
    return name


class Settings(BaseSettings):
    """The settings; the description of each is what the README shows."""

    model_config = SettingsConfigDict(env_prefix='PORTAL_', env_file='.env', extra='ignore', validate_default=True)

    host: Annotated[str, BeforeValidator(_not_empty)] = Field('127.0.0.1', description='Address to listen on.')
    port: int = Field(8080, ge=1, le=65535, description='Port to listen on.')
    data_dir: Annotated[Path, BeforeValidator(_not_empty)] = Field(
        Path('data'), description='Folder of the SQLite database, its backups and the secret.'
    )
    database_url: Annotated[str, AfterValidator(_database)] = Field(
        '', description='`postgres://user:password@host/name` for PostgreSQL; empty: SQLite in the data folder.'
    )
    demo: bool = Field(
        False, description='Load the demo MSPs into an empty database and let a simulated vendor move them.'
    )
    demo_rate: float = Field(
        2.0, ge=0, le=1000, description='Changes per second that the simulated vendor makes at most, over all.'
    )
    secret: Annotated[SecretStr, AfterValidator(_long_enough)] = Field(
        SecretStr(''), description='Key for what is derived from it; made once and kept in the data folder if empty.'
    )
    help_url: Annotated[str, AfterValidator(_http)] = Field(
        '', description='Base address of an outside knowledge base; empty: the articles that come with the portal.'
    )
    session_hours: int = Field(12, ge=1, le=24 * 90, description='Hours after which a sign-in ends.')
    poll_seconds: int = Field(900, ge=5, le=86400, description='Seconds between two readings of one customer.')
    upload_mb: int = Field(25, ge=1, le=100, description='Megabytes that one uploaded file may have.')
    attachments_per_customer: int = Field(200, ge=1, le=10_000, description='Attachments that one customer may have.')
    public_url: Annotated[str, AfterValidator(_http), AfterValidator(_bare)] = Field(
        '',
        description='Address by which people reach the portal, for links in mails: `https://portal.example.com`. '
        'Reminders and digests need it, and a mail server.',
    )
    trusted_proxies: Annotated[str, AfterValidator(_networks)] = Field(
        '', description='Addresses or networks of proxies whose X-Forwarded headers count, with commas between them.'
    )
    dns: Annotated[str, AfterValidator(_name_servers)] = Field(
        '', description='Name servers that are asked about domains, as `192.0.2.53:53`; empty: those of the machine.'
    )
    oidc_issuer: Annotated[str, AfterValidator(_http)] = Field(
        '', description='Address of an OpenID Connect provider with which people may sign in; empty: none.'
    )
    oidc_client_id: str = Field('', description='What the portal is called at this provider.')
    oidc_client_secret: SecretStr = Field(SecretStr(''), description='The portal’s secret at this provider.')
    oidc_name: str = Field('single sign-on', description='What the button of sign-in calls this provider.')
    backup_dir: str = Field('', description='Folder for backups; empty: `backups` in the data folder.')
    backup_key: Annotated[SecretStr, AfterValidator(_long_enough)] = Field(
        SecretStr(''), description='Key with which backups are encrypted, 32 characters or more; empty: they are not.'
    )
    backup_days: int = Field(14, ge=0, le=3650, description='Days for which daily backups are kept; 0: none are made.')
    log_level: Annotated[str, AfterValidator(_level)] = Field('INFO', description='debug, info, warning or error.')
    reload: bool = Field(False, description='Restart on a change of the source (`make dev`).')

    @classmethod
    def settings_customise_sources(cls, settings_cls: Any, *sources: Any, **named: Any) -> tuple[Any, ...]:
        """`make run` wants the demo unless the environment or `.env` says something else."""
        wanted = {'demo': True} if os.environ.get('PORTAL_DEMO_UNLESS_SET') else {}
        return (*sources, *named.values(), InitSettingsSource(settings_cls, wanted))

    @property
    def is_sqlite(self) -> bool:
        return not self.database_url or self.database_url.startswith('sqlite://')

    @property
    def sqlite_path(self) -> Path:
        """Where the SQLite database is; only meaningful when `is_sqlite`."""
        if self.database_url:
            return Path(self.database_url.removeprefix('sqlite://').split('?')[0]).absolute()
        return self.data_dir.absolute() / 'portal.sqlite3'

    @property
    def is_loopback(self) -> bool:
        return _is_loopback(self.host)

    @property
    def is_published(self) -> bool:
        """Whether people reach it from elsewhere by its public address, whatever it listens on."""
        return bool(self.public_url) and not _is_loopback(urlsplit(self.public_url).hostname or '')

    def secret_key(self) -> str:
        """The secret, made and kept in the data folder the first time."""
        if given := self.secret.get_secret_value():
            return given
        path = self.data_dir.absolute() / 'secret'
        try:
            if not path.exists():
                _make_secret(path)
            found = path.read_text(encoding='ascii').strip()
        except (OSError, UnicodeDecodeError) as error:
            sys.exit(f'PORTAL_SECRET: it is empty, and {path}, where it is kept, cannot be used ({_why(error)}).')
        if len(found) < SHORTEST_SECRET:
            sys.exit(
                f'PORTAL_SECRET: it is empty, and what is kept in {path} is shorter than {SHORTEST_SECRET} characters. '
                'Put the right one back, or remove the file and a new one is made.'
            )
        return found


def _is_loopback(host: str) -> bool:
    return host in ('localhost', '::1') or host.startswith('127.')


def _make_secret(path: Path) -> None:
    """The whole file or none, whoever else makes it at the same time and whenever the power fails."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile('w', dir=path.parent, prefix='.secret-') as file:  # readable for its owner only
        file.write(secrets.token_urlsafe(48))
        file.flush()
        os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was quicker; its secret is the one to use
            path.hardlink_to(file.name)


def _why(error: Exception) -> str:
    return getattr(error, 'strerror', '') or 'it is no text'


# -- what is wrong with them ------------------------------------------------------------------------------------------

_IN_WORDS = {
    'int_parsing': 'must be a whole number', 'int_from_float': 'must be a whole number',
    'float_parsing': 'must be a number', 'bool_parsing': 'must be on or off',
    'greater_than_equal': 'must be at least {ge:g}', 'less_than_equal': 'must be at most {le:g}',
}  # fmt: skip


def _in_file() -> Iterator[str]:
    """The names that `.env` gives; ends the process at a line that gives nothing."""
    path = Path(str(Settings.model_config.get('env_file') or ''))
    if path.is_dir() and path.name:
        sys.exit(f'{path.name} cannot be read: it is a folder.')
    if not path.is_file():
        return
    with path.open(encoding='utf-8') as file:
        for line in parse_stream(file):
            if line.error or (line.key and line.value is None):
                sys.exit(f'{path.name}, line {line.original.line}: this is not NAME=value.')
            if line.key:
                yield line.key


def misspelt() -> list[str]:
    """A sentence for each name in the environment or `.env` that begins like a setting and is none."""
    known = [name.upper() for name in Settings.model_fields]
    ours = {name.upper() for name in (*os.environ, *_in_file()) if name.upper().startswith('PORTAL_')}
    found = []
    for name in sorted(name.removeprefix('PORTAL_') for name in ours - set(_NO_SETTINGS)):
        if name not in known:
            near = ''.join(difflib.get_close_matches(name, known, 1))
            meant = f'; is it PORTAL_{near}?' if near else '.'
            found.append(f'PORTAL_{name} is no setting and changes nothing{meant}')
    return found


def doubtful() -> list[str]:
    """A sentence for what can be set, and is hardly meant: the portal runs, and not as it should for others."""
    given, found = settings(), []
    is_safe = given.public_url.startswith('https://')
    if is_safe and not given.trusted_proxies.strip():  # the portal itself speaks no https: there is a proxy
        found.append(
            'PORTAL_PUBLIC_URL is https, and PORTAL_TRUSTED_PROXIES is empty: nobody is believed who a visitor is. '
            'Failed sign-ins of one slow down all, and the audit shows the address of the proxy.'
        )
    if not given.is_loopback and not is_safe:
        found.append(
            f'The portal listens on {given.host} without https: whoever is on the way reads passwords. '
            'docs/deploy.md puts it behind https; PORTAL_PUBLIC_URL then begins with https://.'
        )
    return found


@cache
def settings() -> Settings:
    """The settings of this process; a wrong one ends it with one line that names it."""
    try:
        list(_in_file())
        return Settings()  # pyright: ignore[reportCallIssue] # all have defaults, in Field()
    except ValidationError as error:
        first = error.errors()[0]
        name = f'PORTAL_{str(first["loc"][0]).upper()}'
        # What has a password in it is not repeated: consoles are logged.
        shown = '' if first['loc'][0] in _SECRETS else str(first['input'])[:80]
        given = f' (it is {shown})' if shown else ''
        said = _IN_WORDS.get(first['type'], '').format(**first.get('ctx', {}))
        sys.exit(f'{name}: {said or first["msg"].removeprefix("Value error, ")}{given}')
    except (UnicodeDecodeError, OSError) as error:
        sys.exit(f'.env cannot be read: {error}')
