"""docs/nginx.conf, run: what the portal promises behind https holds with the file that people copy."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages.guard import COOKIE, SECURE_COOKIE
from tests.nginx import NAME, Nginx, skip_where_there_is_none

ANA = 'ana@northwind.example'


@pytest.fixture(scope='module')
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    skip_where_there_is_none()
    if shutil.which('curl') is None:
        pytest.skip('curl is not installed: docs/nginx.conf is not tested')
    with Nginx(tmp_path_factory.mktemp('nginx')) as nginx:
        yield nginx
    assert 'Traceback' not in nginx.portal.printed(), nginx.portal.printed()[-6000:]


def _form(nginx: Nginx) -> tuple[str, ...]:
    return ('--data-urlencode', f'email={ANA}', '--data-urlencode', f'password={nginx.portal.password}')


@pytest.fixture(scope='module')
def cookie(nginx: Nginx) -> str:
    """Of a session that was begun through nginx."""
    answer = nginx.curl('/login', *_form(nginx), '--header', f'Origin: {nginx.public}')
    assert answer.status == 303, answer.body
    return answer.headers['set-cookie'].split(';')[0]


def _address_of(nginx: Nginx, set_cookie: str) -> str:
    """The address that the session of this cookie is noted with."""
    token = set_cookie.split('=', 1)[1].split(';')[0]
    return nginx.portal.aside(f"""
        from models.session import token_hash
        return (await Session.get(token_hash=token_hash({token!r}))).address
    """)


def test_http_leads_to_https(nginx: Nginx) -> None:
    answer = nginx.curl('/customers/complete?sort=name', base=f'http://{NAME}:{nginx.http_port}')
    assert (answer.status, answer.headers['location']) == (301, f'{nginx.public}/customers/complete?sort=name')


def test_the_cookie_is_secure_and_https_is_remembered(nginx: Nginx) -> None:
    answer = nginx.curl('/login', *_form(nginx))
    assert answer.status == 303, answer.body
    assert answer.headers['location'] == '/'
    given = answer.headers['set-cookie']
    assert given.startswith(f'{SECURE_COOKIE}=')
    assert {'secure', 'httponly', 'samesite=lax', 'path=/'} <= {part.strip().lower() for part in given.split(';')}
    assert answer.headers['strict-transport-security'] == 'max-age=31536000'
    assert 'unsafe' not in answer.headers['content-security-policy']


def test_the_session_is_one_and_its_name_over_http_is_not(nginx: Nginx, cookie: str) -> None:
    assert nginx.curl('/api/ui/session', '--cookie', cookie).status == 200
    assert nginx.curl('/api/ui/session', '--cookie', cookie.replace(SECURE_COOKIE, COOKIE)).status == 401
    assert nginx.curl('/').headers['location'].startswith('/login')


def test_the_portal_knows_who_asked_and_not_what_they_wrote(nginx: Nginx) -> None:
    spoofed = ('X-Forwarded-For: 203.0.113.9', 'X-Real-IP: 203.0.113.9', 'Forwarded: for=203.0.113.9;proto=http')
    headers = [part for header in (*spoofed, 'X-Forwarded-Proto: http') for part in ('--header', header)]
    answer = nginx.curl('/login', *_form(nginx), *headers, '--interface', '127.0.0.5')
    assert answer.headers['set-cookie'].startswith(SECURE_COOKIE)
    assert _address_of(nginx, answer.headers['set-cookie']) == '127.0.0.5'


def test_past_nginx_nothing_that_is_forwarded_counts(nginx: Nginx) -> None:
    """The portal listens on every address here; 127.0.0.6 stands for somebody who is no proxy."""
    headers = ('--header', 'X-Forwarded-For: 203.0.113.9', '--header', 'X-Forwarded-Proto: https')
    answer = nginx.curl('/login', *_form(nginx), *headers, '--interface', '127.0.0.6', base=nginx.portal.address)
    assert answer.status == 303, answer.body
    assert answer.headers['set-cookie'].startswith(f'{COOKIE}=')
    assert 'secure' not in answer.headers['set-cookie'].lower()
    assert 'strict-transport-security' not in answer.headers
    assert _address_of(nginx, answer.headers['set-cookie']) == '127.0.0.6'


def test_other_sites_send_nothing(nginx: Nginx, cookie: str) -> None:
    for origin in ('https://evil.example', f'http://{NAME}:{nginx.port}', f'https://{NAME}', 'null'):
        answer = nginx.curl('/api/ui/theme', '--cookie', cookie, '--header', f'Origin: {origin}', '--json', '{}')
        assert answer.status == 403, origin
    own = ('--header', f'Origin: {nginx.public}', '--json', '{"theme": "dark"}')
    assert nginx.curl('/api/ui/theme', '--cookie', cookie, *own).status == 200


def _upgrade(nginx: Nginx, path: str, cookie: str, origin: str) -> tuple[str, bytes]:
    """The first line of the answer to a websocket's greeting, and what came with it or first after it."""
    lines = (
        f'GET {path} HTTP/1.1', f'Host: {NAME}', 'Upgrade: websocket', 'Connection: Upgrade', f'Origin: {origin}',
        f'Cookie: {cookie}', 'Sec-WebSocket-Version: 13', f'Sec-WebSocket-Key: {base64.b64encode(b"x" * 16).decode()}',
    )  # fmt: skip
    with nginx.connect() as wire:
        wire.sendall(('\r\n'.join(lines) + '\r\n\r\n').encode())
        head, _, rest = b''.partition(b'\r\n\r\n')
        received = b''
        while b'\r\n\r\n' not in received or (b' 101 ' in received.split(b'\r\n')[0] and not rest):
            part = wire.recv(4096)
            if not part:
                break
            received += part
            head, _, rest = received.partition(b'\r\n\r\n')
    return head.decode().split('\r\n')[0], rest


def test_both_sockets_pass_and_only_for_pages_of_the_portal(nginx: Nginx, cookie: str) -> None:
    status, first = _upgrade(nginx, '/live', cookie, nginx.public)
    assert ' 101 ' in status + ' '
    assert json.loads(first[re.search(rb'\{', first).start() :].split(b'}')[0] + b'}')['t'] == 'hello'  # type: ignore[union-attr]
    framework = '/_nicegui_ws/socket.io/?EIO=4&transport=websocket&client_id=gone'
    status, first = _upgrade(nginx, framework, cookie, nginx.public)
    assert ' 101 ' in status + ' '
    assert b'"sid"' in first
    for origin in ('https://evil.example', f'https://{NAME}'):
        assert ' 403 ' in _upgrade(nginx, '/live', cookie, origin)[0] + ' '
    assert ' 403 ' in _upgrade(nginx, '/live', '', nginx.public)[0] + ' '


def test_a_large_upload_passes_and_one_that_is_too_large_is_refused_by_the_portal(
    nginx: Nginx, cookie: str, tmp_path: Path
) -> None:
    customer = nginx.portal.aside("return (await Customer.filter(partner__slug='northwind-it').first()).id")
    for megabytes, status in ((20, 201), (30, 413)):
        file = tmp_path / f'{megabytes}.txt'
        file.write_bytes(b'A line of text.\n' * (megabytes * 65536))
        answer = nginx.curl(
            f'/api/ui/customers/{customer}/attachments?name={file.name}', '--cookie', cookie, '--header',
            f'Origin: {nginx.public}', '--request', 'POST', '--data-binary', f'@{file}',
        )  # fmt: skip
        assert answer.status == status, answer.body
        assert 'nginx' not in answer.body


def test_it_is_watched_past_nginx_and_through_it(nginx: Nginx) -> None:
    for base in ('', nginx.portal.address):
        assert nginx.curl('/healthz', base=base).status == 200
        assert nginx.curl('/readyz', base=base).status == 200
