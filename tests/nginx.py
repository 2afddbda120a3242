"""nginx with the very file that docs/deploy.md hands out, in front of a portal and with a certificate of its own."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import pytest

from tests.browser.portal import ROOT, Portal, kept_port

NAME = 'portal.example.com'
SHOWN = ROOT / 'docs' / 'nginx.conf'
_AROUND = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/portal.conf;
}}
"""


def _found(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get('PATH', '') + ':/usr/sbin:/usr/local/sbin')


def skip_where_there_is_none() -> None:
    for program in ('nginx', 'openssl'):
        if _found(program) is None:
            pytest.skip(
                f'{program} is not installed (apt-get install nginx-light openssl): docs/nginx.conf is not tested'
            )


class Nginx:
    """A portal behind nginx. `address` is what people use, `portal.address` leads past nginx."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self._kept = kept_port(), kept_port()
        self.http_port, self.port = (kept.getsockname()[1] for kept in self._kept)
        self.public = f'https://{NAME}:{self.port}'
        given = {'PORTAL_PUBLIC_URL': self.public, 'PORTAL_TRUSTED_PROXIES': '127.0.0.1', 'PORTAL_HOST': '0.0.0.0'}
        self.portal = Portal(folder / 'data', **given | settings)
        self._nginx: subprocess.Popen[bytes] | None = None

    def configuration(self) -> str:
        """The file as it is shown, with other ports and the certificate of the test."""
        text = SHOWN.read_text()
        for old, new, times in (
            ('127.0.0.1:8080', f'127.0.0.1:{self.portal.port}', 1),
            (r'listen (\[::\]:)?80;', f'listen 127.0.0.1:{self.http_port};', 2),
            (r'listen (\[::\]:)?443 ssl http2;', f'listen 127.0.0.1:{self.port} ssl http2;', 2),
            (r'/etc/letsencrypt/live/portal\.example\.com', str(self.folder), 2),
            (r'return 301 https://portal\.example\.com', f'return 301 {self.public}', 1),
        ):
            text, found = re.subn(old, new, text)
            assert found == times, f'{old} stands {found} times in docs/nginx.conf'
        # IPv4 and IPv6 have become the same line.
        return re.sub(r'(    listen [^\n]*\n)\1', r'\1', text)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
             '-subj', f'/CN={NAME}', '-addext', f'subjectAltName=DNS:{NAME}', '-keyout', 'privkey.pem',
             '-out', 'fullchain.pem'],
            cwd=self.folder, check=True, capture_output=True,
        )  # fmt: skip
        (self.folder / 'portal.conf').write_text(self.configuration())
        (self.folder / 'nginx.conf').write_text(_AROUND.format(folder=self.folder))
        self.portal.start()
        with (self.folder / 'nginx.log').open('ab') as log:
            self._nginx = subprocess.Popen(
                [_found('nginx') or 'nginx', '-p', str(self.folder), '-c', str(self.folder / 'nginx.conf'), '-e',
                 str(self.folder / 'error.log')],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + 15
        while True:
            assert self._nginx.poll() is None, self.said()
            try:
                socket.create_connection(('127.0.0.1', self.port), 1).close()
                return self
            except OSError:
                assert time.monotonic() < until, self.said()
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        if self._nginx is not None:
            self._nginx.send_signal(signal.SIGTERM)
            self._nginx.wait(15)
        self.portal.stop()

    def said(self) -> str:
        return ''.join(
            path.read_text() for path in (self.folder / 'error.log', self.folder / 'nginx.log') if path.exists()
        )

    @property
    def certificate(self) -> Path:
        return self.folder / 'fullchain.pem'

    def connect(self, source: str = '127.0.0.1') -> ssl.SSLSocket:
        """An encrypted connection to nginx that comes from this address of the machine."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.set_alpn_protocols(['http/1.1'])
        raw = socket.create_connection(('127.0.0.1', self.port), 10, source_address=(source, 0))
        return context.wrap_socket(raw, server_hostname=NAME)

    def curl(self, path: str, *more: str, base: str = '') -> 'Answer':
        """Ask as an outside program does, with nothing of ours in between."""
        done = subprocess.run(
            ['curl', '--silent', '--show-error', '--max-time', '20', '--include', '--cacert', str(self.certificate),
             '--resolve', f'{NAME}:{self.port}:127.0.0.1', '--resolve', f'{NAME}:{self.http_port}:127.0.0.1',
             *more, (base or self.public) + path],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + self.said()
        return Answer(done.stdout)


class Answer:
    """What curl printed: the last status, its headers, the body."""

    def __init__(self, printed: str) -> None:
        head, _, self.body = printed.replace('\r\n', '\n').partition('\n\n')
        while re.match(r'HTTP/[\d.]+ 1\d\d', head):  # 100 Continue
            head, _, self.body = self.body.partition('\n\n')
        first, *lines = head.split('\n')
        self.status = int(first.split()[1])
        self.headers: dict[str, Any] = {}
        for line in lines:
            name, _, value = line.partition(':')
            self.headers[name.lower()] = value.strip()
