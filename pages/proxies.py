"""By which address and from where a request really came, when proxies stand in front of the portal.

A proxy says so in X-Forwarded-For, -Proto and -Host. These count from the proxies of PORTAL_TRUSTED_PROXIES only:
anybody can send them. What counts is written into the request itself – client, scheme and host – and the headers are
taken away, so that nothing behind this asks who said what. `Forwarded` (RFC 7239) is not read: a proxy that sets the
others hands on what a visitor wrote there.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from settings import Settings, settings

_SAID = (b'x-forwarded-', b'forwarded', b'x-real-ip')
_HOST = re.compile(r'(?:[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?')
_HOPS = 20  # proxies in a row; who names more wants something else than to be found
_PORTS = {'http': ':80', 'https': ':443'}


class Proxies:
    """The outermost layer of the portal: behind it, client, scheme and host are those of the visitor."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope['type'] in ('http', 'websocket'):
            _set_right(scope, settings())
        await self.app(scope, receive, send)


def _set_right(scope: Scope, given: Settings) -> None:
    said: dict[bytes, list[str]] = {}
    kept = []
    for name, value in scope['headers']:
        if name.startswith(_SAID):
            said.setdefault(name, []).append(value.decode('latin-1'))
        else:
            kept.append((name, value))
    peer, port = scope.get('client') or ('', 0)
    trusted = _networks(given.trusted_proxies)
    if said and trusted and _is_in(_address(peer), trusted):
        client = client_of(peer, said.get(b'x-forwarded-for', []), trusted)
        scope['client'] = (client, port if client == peer else 0)
        if scheme := _last(said.get(b'x-forwarded-proto', [])).lower():
            _set_scheme(scope, scheme in ('https', 'wss'))
        host = _last(said.get(b'x-forwarded-host', []))
        if _HOST.fullmatch(host):
            kept = [(name, value) for name, value in kept if name != b'host']
            kept.append((b'host', host.encode('latin-1')))
    scope['headers'] = kept
    # What is asked for by the public name was asked for as the public address says, also where no proxy tells so.
    host = dict(kept).get(b'host', b'').decode('latin-1')
    if given.public_url.startswith('https://') and _bare('https', host) == _bare('https', netloc(given.public_url)):
        _set_scheme(scope, True)


def _set_scheme(scope: Scope, is_safe: bool) -> None:
    scope['scheme'] = ('wss' if is_safe else 'ws') if scope['type'] == 'websocket' else 'https' if is_safe else 'http'


def _last(values: list[str]) -> str:
    """What the nearest proxy said; what stands before it was written by whoever asked that proxy."""
    return ','.join(values).rpartition(',')[2].strip()


Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


@lru_cache(maxsize=8)
def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ip_network(part.strip(), strict=False) for part in text.split(',') if part.strip())


def _is_in(address: Address | None, networks: tuple[Network, ...]) -> bool:
    return address is not None and any(address in network for network in networks)


def _address(text: str) -> Address | None:
    """The address in `1.2.3.4`, `1.2.3.4:5`, `::1` or `[::1]:5`; None where there is none."""
    text = text.strip()
    if text.startswith('['):
        text = text[1:].partition(']')[0]
    elif text.count(':') == 1:
        text = text.partition(':')[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return getattr(found, 'ipv4_mapped', None) or found


def client_of(peer: str, forwarded: list[str], trusted: tuple[Network, ...]) -> str:
    """The visitor's address: the right-most of `forwarded` that is no proxy of ours.

    Each proxy appends whom it was asked by, so whatever stands left of that was written by the visitor. Where something
    stands that is no address, the search ends with the proxy that wrote it.
    """
    found = str(_address(peer) or peer)
    for part in ','.join(forwarded).split(',')[: -_HOPS - 1 : -1]:
        address = _address(part)
        if address is None:
            break
        found = str(address)
        if not _is_in(address, trusted):
            break
    return found


# -- what addresses are made of, and compared with --------------------------------------------------------------------


def netloc(url: str) -> str:
    """The host of an address, with its port if it has one, in small letters; '' where there is none."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ''


def _bare(scheme: str, host: str) -> str:
    return host.lower().removesuffix(_PORTS.get(scheme, ':'))


def is_secure(connection: HTTPConnection) -> bool:
    """Whether the visitor's own connection is encrypted."""
    return connection.scope.get('scheme') in ('https', 'wss')


def is_loopback(host: str) -> bool:
    """Whether this Host header names the machine itself."""
    address = _address(host)
    return host.lower().partition(':')[0] == 'localhost' if address is None else address.is_loopback


def is_own_origin(origin: str | None, connection: HTTPConnection) -> bool:
    """Whether a page of this portal sent the request.

    With a public address that is the only one whose pages may, but for the machine itself: somebody who looks after it
    comes by a tunnel. Without one it is whatever host the browser names, as in a try-out.
    """
    host = connection.headers.get('host', '')
    if not origin or not host:
        return False
    # Not the scheme, without a public address: a proxy that encrypts may not have been named as one.
    is_hosts = netloc(origin) == host.lower()
    public = settings().public_url
    if not public:
        return is_hosts
    scheme = urlsplit(public).scheme
    is_public = origin.lower().startswith(f'{scheme}://') and _bare(scheme, netloc(origin)) == _bare(
        scheme, netloc(public)
    )
    return is_public or (is_hosts and is_loopback(host))


def base_url(connection: HTTPConnection) -> str:
    """What links to the portal begin with, without a slash at the end; for mails, QR codes and other sites.

    The public address; without one, what somebody who is signed in uses themselves. Whoever is not signed in gets the
    address that the portal listens at: they write the Host header, and must not choose where a link in a mail leads.
    """
    given = settings()
    if given.public_url:
        return given.public_url
    if 'session' in connection.scope.get('state', {}):
        return str(connection.base_url).rstrip('/')
    return listening_url(given)


def listening_url(given: Settings) -> str:
    """Where the portal listens, as somebody on the same machine would type it."""
    known = {'0.0.0.0': '127.0.0.1', '::': '::1'}  # nosec B104 # compared with, not listened on
    host = known.get(given.host, given.host)
    return f'http://{f"[{host}]" if ":" in host else host}:{given.port}'
