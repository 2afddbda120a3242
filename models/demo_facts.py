"""What is known of demo customers: whom to call, what their mail runs on, what they answered, what was noted and read.

Nothing of it belongs to anybody: the phone numbers are of the ranges that are kept for films, the addresses of those
that are kept for documentation.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any

from models.contact import Contact, ContactKind
from models.customer import Customer, Listing
from models.demo_names import GATEWAYS, NOTES, PEOPLE, PLATFORMS
from models.demo_rows import Known, Sketch, Somebody
from models.infrastructure import Directory, Infrastructure, MailPlatform
from models.monitor import Monitor, MonitorKind, MonitorState
from models.rfi import RfiState
from models.sample import EVERY, KEPT
from models.text import fold
from models.user import PortalUser

_CLOUD = (MailPlatform.MICROSOFT_365, MailPlatform.GOOGLE_WORKSPACE, MailPlatform.HOSTED_EXCHANGE)
_WITH_DIRECTORY = [one for one in PLATFORMS if one[3] != Directory.NONE]
_WITHOUT = [one for one in PLATFORMS if one[3] == Directory.NONE]
_COUNTRIES = ('GB', 'GB', 'GB', 'US', 'US', 'SE', 'DE', 'FR')
_GERMAN_MOBILES = ('+491729925904', '+4915228817386', '+491749464308')
# The three networks of RFC 5737. They are too small for thousands of customers: there, several have the same.
_NETWORKS = ('192.0.2', '198.51.100', '203.0.113')


def _phones(chance: random.Random, country: str) -> tuple[str, str]:
    """A phone and a mobile number of the ranges that no country gives to anybody."""
    n = int(chance.random() * 1000)
    if country == 'US':
        area = (212, 312, 415, 617, 713)[n % 5]
        return f'+1{area}55501{n // 10:02}', f'+1{area}55501{99 - n // 10:02}'
    if country == 'SE':
        return f'+468465004{n // 10:02}', f'+467017406{5 + n // 11:02}'
    if country == 'FR':
        return f'+3319900{n:04}', f'+3363998{n * 7 % 10000:04}'
    if country == 'DE':
        return f'+493023125{n:03}', _GERMAN_MOBILES[n % 3]
    return f'+442079460{n:03}', f'+447700900{999 - n:03}'


@cache
def _ascii(name: str) -> str:
    return ''.join(c for c in fold(name) if 'a' <= c <= 'z')


def somebody(chance: random.Random, kind: ContactKind, domain: str, country: str) -> Somebody:
    firsts, lasts = PEOPLE[country]
    first, last = firsts[int(chance.random() * len(firsts))], lasts[int(chance.random() * len(lasts))]
    phone, mobile = _phones(chance, country)
    if kind == ContactKind.BILLING:
        return Somebody(kind, first, last, f'accounts@{domain}', phone)
    return Somebody(kind, first, last, f'{_ascii(first)}.{_ascii(last)}@{domain}', phone, mobile)


def known_of(chance: random.Random, sketch: Sketch, address: Iterator[str] | None = None) -> Known:
    """What the customer's mail runs on, as far as its form has said; `address` gives IP addresses of its own."""
    live = sketch.listing == Listing.COMPLETE
    lot = _WITHOUT if live and MonitorKind.DIRECTORY_CONNECTOR not in sketch.signals else _WITH_DIRECTORY
    platform, server, system, directory = lot[int(chance.random() * len(lot))]
    domains = [sketch.domain]
    if chance.random() < 0.2:
        domains.append(f'{sketch.domain.removesuffix(".example")}-group.example')
    if sketch.listing == Listing.WAITING:
        return Known(domains[:1], platform, server)
    outbound = [next(address) if address else _address(chance) for _ in range(1 + (chance.random() < 0.3))]
    inbound = [] if platform in _CLOUD else outbound[:1]
    return Known(domains, platform, server, system, directory, outbound, inbound)


def _address(chance: random.Random) -> str:
    n = int(chance.random() * 762)
    return f'{_NETWORKS[n % 3]}.{1 + n // 3}'


def addresses(first: int) -> Iterator[str]:
    """Addresses one after the other, from the `first`."""
    for n in range(first, 762):
        yield f'{_NETWORKS[n % 3]}.{1 + n // 3}'


def give_facts(chance: random.Random, sketch: Sketch) -> None:
    """The facts of one of many: its main and its technical contact, and its infrastructure."""
    country = _COUNTRIES[int(chance.random() * len(_COUNTRIES))]
    sketch.contacts = [
        somebody(chance, ContactKind.MAIN, sketch.domain, country),
        somebody(chance, ContactKind.TECHNICAL, sketch.domain, country),
    ]
    sketch.known = known_of(chance, sketch)


async def admin_of(partner_id: int) -> str:
    """The address of an MSP's administrator, as its customers' forms name it."""
    generic = await PortalUser.filter(partner_id=partner_id, can_sign_in=False).order_by('id').first()
    return f'msp.admin@{generic.email.partition("@")[2]}' if generic else ''


def give_all_facts(chance: random.Random, sketch: Sketch, country: str, address: Iterator[str], admin: str) -> None:
    """The facts of one of the cast: contacts, infrastructure, and the form as far as it is filled in."""
    kinds = [ContactKind.MAIN]
    if sketch.listing != Listing.WAITING or sketch.rfi == RfiState.DRAFT:
        kinds += [ContactKind.TECHNICAL]
        kinds += [kind for kind in (ContactKind.EMERGENCY, ContactKind.BILLING) if chance.random() < 0.6]
    sketch.contacts = [somebody(chance, kind, sketch.domain, country) for kind in kinds]
    sketch.known = known_of(chance, sketch, address)
    sketch.answers = _answers(chance, sketch, admin)


# -- the form ---------------------------------------------------------------------------------------------------------


def _answers(chance: random.Random, sketch: Any, admin: str) -> dict[str, Any]:
    """What the form says, in the order of domain.md 5.2: nothing before it was begun, some of it in a draft."""
    known, called = sketch.known, {one.kind: one for one in sketch.contacts}
    if known is None or sketch.rfi in (RfiState.NOT_REQUESTED, RfiState.REQUESTED, RfiState.NOT_APPLICABLE):
        return {}
    technical = called.get(ContactKind.EMERGENCY) or called.get(ContactKind.TECHNICAL) or sketch.contacts[0]
    answers: dict[str, Any] = {
        'emergency_first_name': technical.first_name, 'emergency_last_name': technical.last_name,
        'emergency_email': technical.email, 'emergency_mobile': technical.mobile,
        'mail_platform': known.platform.value, 'mail_server': known.server, 'email_domains': list(known.domains),
    }  # fmt: skip
    if sketch.rfi == RfiState.DRAFT:
        return answers
    wrong = {error['field'] for error in sketch.errors}
    on_premises = known.platform not in _CLOUD
    answers |= {
        'partner_admin_email': f'admin@{sketch.domain}' if 'partner_admin_email' in wrong else admin,
        'server_os': known.system, 'directory': known.directory.value,
        'security_msp': chance.choice(GATEWAYS), 'citrix_terminal_server': on_premises and chance.random() < 0.4,
        'outbound_ips': [*known.outbound, *(['192.168.10.4'] if 'outbound_ips' in wrong else [])],
        'inbound_ips': list(known.inbound), 'forwarding_addresses': [],
        'smart_hosts': [f'relay.{sketch.domain}'] if on_premises else [],
        'recipient_validation_type': 'known' if known.directory == Directory.NONE else 'ldap',
    }  # fmt: skip
    if known.directory in (Directory.ACTIVE_DIRECTORY, Directory.AD_PUSH):
        root = ','.join(f'DC={part}' for part in sketch.domain.split('.'))
        answers |= {
            'directory_host': f'dc1.{sketch.domain}', 'directory_port': 636, 'directory_encryption': 'strict',
            'directory_root_dn': root, 'directory_user_dn': f'CN=sync,OU=Service,{root}',
        }  # fmt: skip
    elif known.directory == Directory.ENTRA_ID:
        answers['tenant_domain'] = f'{sketch.domain.removesuffix(".example")}.onmicrosoft.example'
    if any('ARC' in code or code == 'UEM' for code in sketch.products):
        answers |= {'journal_protocol': 'smtp', 'journal_address': f'journaling@journal.{sketch.domain}'}
    return answers | {
        'desired_go_live': (sketch.created_at + timedelta(days=45)).date().isoformat(),
        'maintenance_window': chance.choice(('Saturdays from 18:00', 'Weekdays after 20:00', 'Any time')),
        'current_gateway': chance.choice(GATEWAYS),
        'notes': chance.choice(('', '', 'Please call before anything is changed in DNS.')),
    }


async def form_of(chance: random.Random, customer_id: int, state: RfiState = RfiState.SUBMITTED) -> dict[str, Any]:
    """What a demo customer's form says once it is begun or sent back: what is known of the customer."""
    customer = await Customer.get(id=customer_id)
    found = await Infrastructure.get_or_none(customer_id=customer_id)
    contacts = [
        Somebody(ContactKind(one.kind), one.first_name, one.last_name, one.email, one.phone, one.mobile)
        for one in await Contact.filter(customer_id=customer_id).order_by('id')
    ]
    if found is None or not contacts:
        return {}
    return _answers(chance, SimpleNamespace(
        known=Known(
            found.domains, found.mail_platform, found.mail_server, found.server_os, found.directory,
            found.outbound_ips, found.inbound_ips,
        ),
        contacts=contacts, rfi=state, errors=[], domain=customer.domain, created_at=customer.created_at,
        products=customer.products_in_short.split(', '),
    ), await admin_of(customer.partner_id))  # fmt: skip


# -- notes ------------------------------------------------------------------------------------------------------------


@dataclass
class Jotting:
    """A note, and what it said before."""

    author: str
    at: datetime
    body: str
    before: str = ''
    edited_by: str = ''
    edited_at: datetime | None = None


def jottings(chance: random.Random, now: datetime, sketch: Sketch, people: list[str]) -> list[Jotting]:
    """Notes about a customer of the cast, the oldest first."""
    end = now - timedelta(hours=1)
    whom = sketch.contacts[0] if sketch.contacts else None
    facts = {
        'code': sketch.account_code, 'domain': sketch.domain, 'seats': sketch.seats,
        'person': f'{whom.first_name} {whom.last_name}' if whom else 'Somebody', 'phone': whom.phone if whom else '',
    }  # fmt: skip
    begin = min(sketch.created_at + timedelta(hours=2), end)
    few = chance.sample(NOTES, chance.choice((0, 1, 1, 2, 2, 3, 4, 6)))
    made = []
    for at, (body, before) in zip(sorted(chance.random() for _ in few), few, strict=True):
        note = Jotting(chance.choice(people), begin + (end - begin) * at, body.format(**facts))
        if before:
            note.before, note.edited_by = before.format(**facts), note.author
            note.edited_at = note.at + (now - note.at) * 0.3 * chance.random()
        made.append(note)
    return made


# -- what was read ----------------------------------------------------------------------------------------------------


def samples(
    chance: random.Random, now: datetime, kind: MonitorKind, sketch: Sketch, flips: list[tuple]
) -> Iterator[tuple[int, float | None, str]]:
    """When, value and state: what charts show of the last 48 hours, as the flips (at, kind, old, new …) have it."""
    signal = sketch.signals[kind]
    if signal.read_at is None:
        return
    mine = sorted((flip for flip in flips if flip[1] == kind.value), key=lambda flip: flip[0])
    threshold = Monitor.default_threshold(kind, sketch.seats)
    begins = max(now - timedelta(seconds=EVERY * (KEPT - 1)), signal.begins or sketch.since)
    lag, level, place = chance.randrange(240), chance.uniform(0.05, 0.3), 0
    state = mine[0][2] if mine else signal.state.value
    last = int(signal.read_at.timestamp())
    for slot in range(math.ceil(begins.timestamp() / EVERY), last // EVERY + 1):
        at = min(slot * EVERY + lag, last)
        # In whole seconds, as charts have them.
        while place < len(mine) and int(mine[place][0].timestamp()) <= at:
            state = mine[place][3]
            place += 1
        # By day there is more mail than by night.
        busy = 0.6 + 0.4 * math.sin((at / 3600 % 24 - 8) / 24 * 2 * math.pi)
        level = min(0.6, max(0.01, level + chance.uniform(-0.05, 0.05)))
        value = None
        if threshold is not None and state == MonitorState.BAD:
            peak = (signal.value or 0) / threshold if signal.state == state else 2.0
            value = float(int(threshold * max(1.05, peak * chance.uniform(0.7, 1.05))) + 1)
        elif threshold is not None and state == MonitorState.GOOD:
            value = float(int(threshold * level * busy))
        yield at, value, state
