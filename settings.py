"""Every setting of the portal, one line each; read from the environment (prefix PORTAL_) and from `.env`."""

import secrets
import sys
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


def _database(url: str) -> str:
    if url and not url.startswith(('sqlite://', 'postgres://', 'postgresql://', 'asyncpg://')):
        raise ValueError('must start with sqlite:// or postgres://')
    return url.replace('postgresql://', 'postgres://', 1)


def _http(url: str) -> str:
    if url and not url.startswith(('http://', 'https://')):
        raise ValueError('must start with http:// or https://')
    return url.rstrip('/')


def _long_enough(secret: SecretStr) -> SecretStr:
    if secret.get_secret_value() and len(secret.get_secret_value()) < 32:
        raise ValueError('must have at least 32 characters')
    return secret


class Settings(BaseSettings):
    """The settings; the description of each is what the README shows."""

    model_config = SettingsConfigDict(env_prefix='PORTAL_', env_file='.env', extra='ignore', validate_default=True)

    host: str = Field('127.0.0.1', description='Address to listen on.')
    port: int = Field(8080, ge=1, le=65535, description='Port to listen on.')
    data_dir: Path = Field(Path('data'), description='Folder of the SQLite database, its backups and the secret.')
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
    log_level: str = Field(
        'INFO', pattern='(?i)^(debug|info|warning|error)$', description='debug, info, warning or error.'
    )
    reload: bool = Field(False, description='Restart on a change of the source (`make dev`).')

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
        return self.host in ('localhost', '::1') or self.host.startswith('127.')

    def secret_key(self) -> str:
        """The secret, made and kept in the data folder the first time."""
        if given := self.secret.get_secret_value():
            return given
        path = self.data_dir.absolute() / 'secret'
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            made = secrets.token_urlsafe(48)
            try:
                with path.open('x') as file:
                    path.chmod(0o600)
                    file.write(made)
            except FileExistsError:
                pass  # another process was quicker; its secret is the one to use
        return path.read_text().strip()


@cache
def settings() -> Settings:
    """The settings of this process; a wrong one ends it with one line that names it."""
    try:
        return Settings()  # pyright: ignore[reportCallIssue] # all have defaults, in Field()
    except ValidationError as error:
        first = error.errors()[0]
        name = f'PORTAL_{str(first["loc"][0]).upper()}'
        # What has a password in it is not repeated: consoles are logged.
        given = '' if first['loc'][0] in ('secret', 'database_url') else f' (it is {first["input"]!s:.80})'
        sys.exit(f'{name}: {first["msg"].removeprefix("Value error, ")}{given}')
    except (UnicodeDecodeError, OSError) as error:
        sys.exit(f'.env cannot be read: {error}')
