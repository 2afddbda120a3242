"""What the RFI form of a customer begins with, and what its answers are checked against: facts that others hold."""

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from models import calendar, checking, dns_asking
from models import rfi_schema as schema
from models.contact import Contact, ContactKind
from models.infrastructure import Infrastructure, MailPlatform
from models.order import Order, OrderKind, OrderState
from models.partner import Partner
from models.product import CustomerProduct
from models.rfi_schema import Known

if TYPE_CHECKING:
    from models.customer import Customer

# What an order says of the infrastructure, and which question of the form that answers.
_OF_ORDER = {
    'mail_platform': 'mail_platform', 'mail_server': 'mail_server', 'server_os': 'server_os', 'directory': 'directory',
    'archive_solution': 'archive_solution', 'security_msp': 'security_msp', 'security_onprem': 'security_onprem',
    'continuity': 'continuity', 'citrix': 'citrix_terminal_server', 'citrix_terminal_server': 'citrix_terminal_server',
}  # fmt: skip
_OF_INFRASTRUCTURE = {
    'domains': 'email_domains', 'mail_platform': 'mail_platform', 'mail_server': 'mail_server',
    'server_os': 'server_os', 'directory': 'directory', 'outbound_ips': 'outbound_ips', 'inbound_ips': 'inbound_ips',
}  # fmt: skip
_OF_CONTACT = {
    'first_name': 'emergency_first_name', 'last_name': 'emergency_last_name', 'email': 'emergency_email',
    'mobile': 'emergency_mobile',
}  # fmt: skip


MOST_ASKED = 5  # domains of one form that DNS is asked about
ASKED_AGAIN = 120.0  # seconds until the same domain is asked about again
_asked: dict[str, tuple[float, 'asyncio.Future[dns_asking.Found]']] = {}


async def services_of(customer_id: int) -> str:
    """What was bought, by letters: S e-mail security, A archiving; empty where nobody knows."""
    bought = CustomerProduct.filter(customer_id=customer_id).values_list('product__connect_services', flat=True)
    return ''.join(sorted({letter for letters in await bought for letter in str(letters)}))


async def prefill(customer: 'Customer') -> dict[str, Any]:
    """What is known before anybody answers: the MSP's settings, the order, and what the portal knows of the customer,
    the surer facts last. Nothing is in it that would be refused as an answer."""
    partner = await Partner.get(id=customer.partner_id)
    found: dict[str, Any] = {
        'outbound_ips': partner.outbound_ips, 'inbound_ips': partner.inbound_ips, 'smart_hosts': partner.smart_hosts,
        'email_domains': [customer.domain] if customer.domain else [],
    }  # fmt: skip
    order = await (
        Order.filter(customer_id=customer.id, kind=OrderKind.NEW)
        .exclude(state=OrderState.DRAFT)
        .order_by('-id')
        .first()
    )
    details = (order.details or {}) if order is not None else {}
    block = details.get('infrastructure', details)
    found |= {_OF_ORDER[key]: value for key, value in block.items() if key in _OF_ORDER and value}
    if 'mail_platform' not in found and found.get('mail_server') in set(MailPlatform):
        found['mail_platform'] = found.pop('mail_server')  # an order asks for both in one list
    known = await Infrastructure.get_or_none(customer_id=customer.id)
    if known is not None:
        found |= {to: value for name, to in _OF_INFRASTRUCTURE.items() if (value := getattr(known, name))}
    contacts = {each.kind: each for each in await Contact.filter(customer_id=customer.id)}
    whom = contacts.get(ContactKind.EMERGENCY) or contacts.get(ContactKind.TECHNICAL)
    if whom is not None:
        found |= {to: getattr(whom, name) for name, to in _OF_CONTACT.items() if getattr(whom, name)}
    return {
        key: clean for key, value in found.items() if (clean := _usable(key, value, customer)) not in schema.NOTHING
    }


def _usable(key: str, value: Any, customer: 'Customer') -> Any:
    try:
        return schema.check_one(key, value, documentation=customer.is_simulated)
    except checking.Invalid:
        return ''


async def in_dns(answers: schema.Answers) -> list[dict[str, str]]:
    """What DNS says of the domains that were answered, a sentence each (`domain`, `said`): to be looked at, no more."""
    names = [name for name in _clean_list('email_domains', answers, True) if '.' in name][:MOST_ASKED]
    now = time.monotonic()
    for name in [name for name, (until, _) in _asked.items() if until < now]:
        del _asked[name]
    for name in names:
        if name not in _asked:
            _asked[name] = (now + ASKED_AGAIN, asyncio.ensure_future(dns_asking.ask(name)))
    return [{'domain': name, 'said': _said(await asyncio.shield(_asked[name][1]))} for name in names]


def _said(found: dns_asking.Found) -> str:
    if found.error or found.exists is False:
        return found.error or 'There is no such domain yet.'
    mail = 'takes no mail' if found.takes_no_mail else f'mail goes to {", ".join(found.mx[:3])}' if found.mx else ''
    spf = 'SPF is set' if found.spf else 'there is no SPF record'
    return f'{mail or "there is no MX record"}; {spf}'


async def known_of(customer: 'Customer', answers: schema.Answers) -> Known:
    """What these answers of this customer are checked against."""
    partner = await Partner.get(id=customer.partner_id)
    documentation = customer.is_simulated
    domains = _clean_list('email_domains', answers, documentation)
    ips = [ip for name in schema.IP_FIELDS for ip in _clean_list(name, answers, documentation)]
    # What the MSP's settings give to every customer is no sign of a mistake.
    shared = [*partner.outbound_ips, *partner.inbound_ips]
    found = await _addresses_of_others(customer, [ip for ip in ips if not schema.overlaps(ip, shared)])
    elsewhere = frozenset(ip for ip in found if not schema.overlaps(ip, shared))
    return Known(
        services=await services_of(customer.id), domain=customer.domain, documentation=documentation,
        taken=await _domains_of_others(customer, domains), elsewhere=elsewhere,
        today=calendar.day_of(partner, datetime.now(UTC)),
    )  # fmt: skip


def _clean_list(name: str, answers: schema.Answers, documentation: bool) -> list[str]:
    try:
        return schema.check_one(name, answers.get(name), documentation=documentation)
    except checking.Invalid:
        return []


async def _domains_of_others(customer: 'Customer', domains: list[str]) -> frozenset[str]:
    """Those of these domains that another customer of the MSP has; who has left may come back as a new one."""
    from models.customer import Customer, Listing

    if not domains:
        return frozenset()
    others = Customer.filter(partner_id=customer.partner_id, domain__in=domains).exclude(id=customer.id)
    others = others.exclude(listing=Listing.CLOSED)
    found = {str(domain) for domain in await others.values_list('domain', flat=True)}
    for row in await _rows_with(customer, ('domains',), [f'"{domain}"' for domain in domains]):
        found |= set(row['domains'])
    return frozenset(found & set(domains))


async def _addresses_of_others(customer: 'Customer', ips: list[str]) -> frozenset[str]:
    """Addresses and networks of other customers of the MSP that may overlap with these; `schema.overlaps` tells."""
    if not ips:
        return frozenset()
    # A network is found by how it begins, and every network of others has to be looked at.
    parts = [f'"{_beginning(ip)}' if '/' in ip else f'"{ip}"' for ip in ips]
    found: set[str] = set()
    for row in await _rows_with(customer, ('outbound_ips', 'inbound_ips'), [*parts, '/']):
        found |= {*row['outbound_ips'], *row['inbound_ips']}
    return frozenset(found)


def _beginning(network: str) -> str:
    """The part of a network's text that everything inside it begins with."""
    address, _, length = network.partition('/')
    if ':' in address:
        return address.split(':')[0][:2] if int(length) < 16 else address.split(':')[0] + ':'
    octets = address.split('.')[: int(length) // 8]
    return '.'.join(octets) + '.' if octets else ''


async def _rows_with(customer: 'Customer', columns: tuple[str, ...], parts: list[str]) -> list[dict[str, Any]]:
    """Infrastructure of the MSP's other customers, but for those that are closed, where one of these columns has one of
    these texts in it."""
    import orjson
    from tortoise.connection import get_connection

    from models.history import numbered

    connection = get_connection('default')
    like = ' OR '.join(
        f'CAST(i."{column}" AS TEXT) LIKE ?{n}' for column in columns for n in range(3, 3 + len(parts))
    )  # fmt: skip
    picked = ', '.join(f'i."{column}"' for column in columns)
    sql = (
        f'SELECT {picked} FROM "infrastructure" i JOIN "customer" c ON c."id" = i."customer_id" '  # nosec B608
        f'WHERE c."partner_id" = ?1 AND c."id" <> ?2 AND c."listing" <> \'closed\' AND ({like})'
    )
    values = [customer.partner_id, customer.id, *(f'%{part}%' for part in parts)]
    found = await connection.execute_query_dict(numbered(connection, sql), values)
    return [
        {name: orjson.loads(value) if isinstance(value, str | bytes) else value for name, value in dict(row).items()}
        for row in found
    ]
