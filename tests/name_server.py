"""A real name server on this machine, over UDP, which a test tells what to answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset


class NameServer(asyncio.DatagramProtocol):
    """`zones` maps a domain to its records by kind; what is not in it does not exist. `silent` gives no answer."""

    def __init__(self) -> None:
        self.zones: dict[str, dict[str, list[str]]] = {}
        self.asked: list[tuple[str, str]] = []
        self.silent = False
        self.rcode: dns.rcode.Rcode | None = None
        self.address = ''

    def mail(self, domain: str, *hosts: str, spf: str = '') -> None:
        """Let a domain's mail go to these hosts, the first preferred."""
        self.zones[domain] = {'MX': [f'{10 * n} {host}.' for n, host in enumerate(hosts, 1)]}
        if spf:
            self.zones[domain]['TXT'] = [f'"{spf}"']

    def connection_made(self, transport) -> None:
        self.transport = transport
        host, port = transport.get_extra_info('sockname')
        self.address = f'{host}:{port}'

    def datagram_received(self, data: bytes, addr: tuple) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text().rstrip('.').lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if self.silent:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if self.rcode is not None:
            answer.set_rcode(self.rcode)
        elif name not in self.zones:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif records := self.zones[name].get(kind):
            answer.answer.append(dns.rrset.from_text_list(question.name, 60, dns.rdataclass.IN, kind, records))
        self.transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        NameServer, local_addr=('127.0.0.1', 0)
    )
    try:
        yield server
    finally:
        transport.close()
