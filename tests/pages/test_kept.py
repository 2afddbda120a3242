"""Files that never change are answered from memory: once read and compressed, and the same to everybody."""

import gzip
from typing import Any

import pytest
from starlette.staticfiles import StaticFiles

from components import theme
from pages import kept
from pages.kept import Kept

CSS = '/assets/{}/portal.css'


class Files:
    """Whatever serves the files, and how often it was asked."""

    def __init__(self, body: bytes = b'a { color: red }' * 200, status: int = 200, kind: bytes = b'text/css') -> None:
        self.body, self.status, self.kind, self.asked = body, status, kind, []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(dict(scope['headers']))
        headers = [(b'content-type', self.kind), (b'content-length', str(len(self.body)).encode()), (b'etag', b'"1"')]
        await send({'type': 'http.response.start', 'status': self.status, 'headers': headers})
        for start in range(0, len(self.body), 1000):
            await send({'type': 'http.response.body', 'body': self.body[start : start + 1000], 'more_body': True})
        await send({'type': 'http.response.body', 'body': b''})


async def asked(app: Any, path: str = '/a.css', query: bytes = b'', **headers: str) -> tuple[int, dict, bytes]:
    said: list[dict] = []
    given = [(name.replace('_', '-').encode(), value.encode()) for name, value in headers.items()]
    scope = {'type': 'http', 'method': 'GET', 'path': path, 'query_string': query, 'headers': given}

    async def receive() -> dict:
        return {'type': 'http.request', 'body': b''}

    async def send(message: dict) -> None:
        said.append(message)

    await app(scope, receive, send)
    body = b''.join(message.get('body', b'') for message in said[1:])
    return said[0]['status'], dict(said[0]['headers']), body


async def test_a_file_is_read_once_and_given_as_each_browser_takes_it():
    files = Files()
    app = Kept(files)
    for _ in range(2):
        status, headers, body = await asked(app, accept_encoding='gzip, br')
        assert (status, headers[b'content-encoding'], gzip.decompress(body)) == (200, b'gzip', files.body)
        assert int(headers[b'content-length']) == len(body) < len(files.body)
        status, headers, body = await asked(app)
        assert (status, headers[b'content-encoding'], body) == (200, b'identity', files.body)
        assert headers[b'vary'] == b'accept-encoding'
    assert len(files.asked) == 1
    assert b'accept-encoding' not in files.asked[0], 'it would be kept as one browser takes it'


@pytest.mark.parametrize('given', [{'range': 'bytes=0-5'}, {'if_none_match': '"1"'}, {'query': b'v=1'}])
async def test_what_is_asked_for_in_another_way_is_not_ours(given):
    files = Files()
    app = Kept(files)
    await asked(app)
    await asked(app, **given)
    assert len(files.asked) == 2


@pytest.mark.parametrize('files', [Files(status=404), Files(body=b'x' * (kept.LARGEST + 1))])
async def test_what_is_not_there_or_too_large_is_passed_on(files):
    app = Kept(files)
    for _ in range(2):
        status, headers, body = await asked(app, accept_encoding='gzip')
        assert (status, b'content-encoding' in headers, body) == (files.status, False, files.body)
    assert len(files.asked) == 2


async def test_pictures_are_not_compressed_again_and_no_more_is_kept_than_the_bound(monkeypatch):
    monkeypatch.setattr(kept, 'MOST', 1)
    files = Files(kind=b'image/png')
    app = Kept(files)
    for path in ('/a.png', '/b.png', '/a.png', '/b.png'):
        _, headers, body = await asked(app, path, accept_encoding='gzip')
        assert (headers[b'content-encoding'], body) == (b'identity', files.body)
    assert len(files.asked) == 3


async def test_the_portals_own_assets_are_kept_with_all_their_headers(portal):
    path = CSS.format(theme.version())
    first = await portal.http.get(path)
    again = await portal.http.get(path)
    assert first.status_code == again.status_code == 200
    assert first.text == again.text == (theme.ASSETS / 'portal.css').read_text(encoding='utf-8')
    for answer in (first, again):
        assert answer.headers['cache-control'] == 'public, max-age=31536000, immutable'
        assert answer.headers['content-encoding'] == 'gzip'
        assert answer.headers['x-content-type-options'] == 'nosniff'


async def test_who_leaves_while_a_file_is_read_leaves_it_whole_for_the_others():
    app = Kept(StaticFiles(directory=theme.ASSETS))
    scope = {'type': 'http', 'method': 'GET', 'path': '/live.js', 'query_string': b'', 'headers': []}

    async def gone() -> dict:
        return {'type': 'http.disconnect'}

    async def send(message: dict) -> None:
        pass

    await app(scope, gone, send)
    assert (await asked(app, '/live.js'))[2] == (theme.ASSETS / 'live.js').read_bytes()
