"""What the domain name system says of a domain: where its mail goes, and who may send it.

    found = await ask('example.com')
    found.mx          # ['mx1.example.net', 'mx2.example.net'], the preferred first
    found.spf         # ['v=spf1 include:_spf.example.net -all']
    found.error       # a sentence where it could not be asked, or the domain does not exist

Asking takes five seconds at most and never raises because of the network: a portal without one still works.
"""

import asyncio
from dataclasses import dataclass, field
from ipaddress import ip_address

import dns.asyncresolver
import dns.exception
import dns.resolver
import idna
from dns.nameserver import Do53Nameserver

from settings import name_servers, settings

SECONDS = 5.0
NO_MAIL = '.'  # what an MX record says of a domain that takes no mail (RFC 7505)


@dataclass(frozen=True)
class Found:
    """What was found: hosts of the MX records by preference, and texts of the SPF records, as they are written.

    `error` says what was in the way; `exists` is False where the answer is that there is no such domain, which is an
    answer all the same, and None where nobody knows.
    """

    domain: str
    mx: list[str] = field(default_factory=list)
    spf: list[str] = field(default_factory=list)
    error: str = ''
    exists: bool | None = True

    @property
    def takes_no_mail(self) -> bool:
        return self.mx == [NO_MAIL]


class _Trouble(Exception):
    """Nobody could be asked; the text says why."""


class _NoSuchDomain(Exception):
    """The answer is that there is no such domain."""


async def ask(domain: str) -> Found:
    """MX and SPF records of a domain, asked for at the same time."""
    try:
        name = _in_ascii(domain)
        async with asyncio.timeout(SECONDS + 1):  # a resolver that does not keep to its own time
            mail, texts = await asyncio.gather(_ask(name, 'MX'), _ask(name, 'TXT'))
    except _NoSuchDomain:
        return Found(domain, error=f'There is no domain {domain}.', exists=False)
    except _Trouble as trouble:
        return Found(domain, error=str(trouble), exists=None)
    except TimeoutError:
        return Found(domain, error=_SLOW, exists=None)
    return Found(domain, _by_preference(mail), [text for text in map(_text, texts) if is_spf(text)])


async def mx(domain: str) -> tuple[list[str], str]:
    """The hosts of the MX records, and what was in the way."""
    found = await ask(domain)
    return found.mx, found.error


async def txt(domain: str) -> tuple[list[str], str]:
    """The texts of the TXT records, and what was in the way."""
    try:
        return [_text(record) for record in await _ask(_in_ascii(domain), 'TXT')], ''
    except _NoSuchDomain:
        return [], f'There is no domain {domain}.'
    except _Trouble as trouble:
        return [], str(trouble)


def is_spf(text: str) -> bool:
    return text.lower() == 'v=spf1' or text.lower().startswith('v=spf1 ')


def includes(spf: str, host: str) -> bool:
    """Whether an SPF record leaves it to this host who may send: by `include` or by `redirect`."""
    wanted = host.lower().rstrip('.')
    for term in spf.lower().split()[1:]:
        kind, _, leads_to = term.lstrip('+').replace('redirect=', 'include:').partition(':')
        if kind == 'include' and leads_to.rstrip('.') == wanted:
            return True
    return False


def leads_to(host: str, hosts: list[str]) -> bool:
    """Whether a mail server is one of these hosts, or below one of them."""
    name = host.lower().rstrip('.')
    return any(name == wanted or name.endswith(f'.{wanted}') for wanted in (h.lower().rstrip('.') for h in hosts))


# -- asking -----------------------------------------------------------------------------------------------------------

_SLOW = f'No answer from the name servers within {SECONDS:.0f} seconds.'


def _in_ascii(domain: str) -> str:
    name = domain.strip().rstrip('.')
    try:
        return name.lower() if name.isascii() else idna.encode(name, uts46=True).decode()
    except idna.IDNAError:
        raise _Trouble(f'“{domain[:60]}” is not a domain.') from None


def _resolver() -> dns.asyncresolver.Resolver:
    given = name_servers(settings().dns)
    try:
        resolver = dns.asyncresolver.Resolver(configure=not given)
    except (dns.resolver.NoResolverConfiguration, OSError):
        raise _Trouble('This machine does not know any name server.') from None
    if given:
        resolver.nameservers = [Do53Nameserver(str(ip_address(host)), port) for host, port in given]
    resolver.lifetime = SECONDS
    resolver.timeout = SECONDS / 2
    return resolver


async def _ask(name: str, kind: str) -> list:
    """The records of this kind; none where the domain has none. Raises `_Trouble` and `_NoSuchDomain`."""
    try:
        # Absolute: a search list of this machine would answer for another domain.
        return list(await _resolver().resolve(f'{name}.', kind, search=False))
    except dns.resolver.NXDOMAIN:
        raise _NoSuchDomain from None
    except dns.resolver.NoAnswer:
        return []
    except (dns.resolver.LifetimeTimeout, dns.exception.Timeout):
        raise _Trouble(_SLOW) from None
    except dns.resolver.NoNameservers:
        raise _Trouble('No name server could answer.') from None
    except (dns.exception.DNSException, OSError, ValueError) as error:
        raise _Trouble(f'The name servers could not be asked ({type(error).__name__}).') from None


def _by_preference(records: list) -> list[str]:
    found = sorted(records, key=lambda record: (record.preference, str(record.exchange).lower()))
    return [str(record.exchange).lower().rstrip('.') or NO_MAIL for record in found]


def _text(record: object) -> str:
    """A TXT record as one text: its parts belong together without anything between them."""
    return b''.join(getattr(record, 'strings', ())).decode('utf-8', 'replace')
