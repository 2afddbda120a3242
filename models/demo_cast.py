"""The two demo MSPs: who works there, and customers in every state there is."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient

from models.access import ConsoleRole, CustomerAccess, DelegatedAccess
from models.admin_console import DEMO_ADDRESS, DEMO_AUDIENCE, DEMO_NAME, AdminConsole, SignOnKind
from models.connect_step import StepState
from models.customer import AccountType, Listing
from models.demo import account_codes, calm, configured_kinds, not_read, troubled, use_demo_console
from models.demo_facts import addresses, admin_of, give_all_facts, jottings, samples
from models.demo_history import Person
from models.demo_names import BLOCKED_BECAUSE, COUNTRIES, HELD_BECAUSE, ONE_TIME_FEES, PRICES, RFI_ERRORS, YEARLY
from models.demo_rows import READY, Hold, Signal, Sketch, insert_customers, insert_many, moments_of, services_of
from models.events import transaction
from models.monitor import Flip, Monitor, MonitorKind, MonitorState
from models.note import Note, NoteVersion
from models.partner import Partner
from models.price import BillingTerm, Price
from models.product import Product, load_catalogue
from models.rfi import RfiState
from models.sample import Sample
from models.user import PortalRole, PortalUser

_SEED = 1
_ALL_SIGNALS = ('SEC+ARC', 'TTP-URL', 'IMP')
_SECURITY = ('SEC', 'TTP-URL', 'TTP-ATT')
_UNIFIED = ('UEM', 'TTP-URL', 'DMARC', 'SAT')
_ARCHIVE = ('ARC',)

# name, domain, licences, products, RFI, days since it was added
_WAITING = {
    'Northwind IT': (
        ('Émile Dubois & Fils', 'dubois-fils.example', 45, _SECURITY, RfiState.REQUESTED, 3),
        ('Tamura Ceramics', 'tamura-ceramics.example', 120, _ALL_SIGNALS, RfiState.DRAFT, 12),
        ('Yates & Daughters Joinery', 'yates-joinery.example', 18, _SECURITY, RfiState.NOT_REQUESTED, 1),
    ),
    'Fabrikam Managed Services': (
        ('Quayside Veterinary', 'quayside-vet.example', 22, _SECURITY, RfiState.REQUESTED, 6),
    ),
}  # fmt: skip

_OPEN, _TODO, _STOP = StepState.IN_PROGRESS, StepState.TODO, StepState.BLOCKED
_DONE, _NONE = RfiState.COMPLETE, RfiState.NOT_APPLICABLE
# name, domain, licences, products, RFI, Connect step ('' while the RFI is looked at), its state, days in it
_CONNECTING = {
    'Northwind IT': (
        ('Ångström Labs', 'angstrom-labs.example', 310, _ALL_SIGNALS, RfiState.SUBMITTED, '', _TODO, 0.4),
        ('Łódź Logistics', 'lodz-logistics.example', 640, _UNIFIED, RfiState.ERROR, '', _TODO, 2.2),
        ('Brennan Brewing', 'brennan-brewing.example', 35, _SECURITY, _DONE, 'user_authentication', _OPEN, 5),
        ('Çelik Marine', 'celik-marine.example', 95, _SECURITY, _DONE, 'account_configuration', _OPEN, 0.2),
        ('Håkansson Forestry', 'hakansson-forestry.example', 150, _ALL_SIGNALS, _DONE, 'domain_validation', _STOP, 18),
        ('Iris & Ivy Interiors', 'iris-ivy.example', 28, _SECURITY, _DONE, 'outbound_email', _OPEN, 1.6),
        ('Jørgensen Shipping', 'jorgensen-shipping.example', 870, _UNIFIED, _DONE, 'directory_sync', _OPEN, 4.5),
        ('Kestrel Aerospace', 'kestrel-aerospace.example', 1450, _ALL_SIGNALS, _NONE, 'recipient_validation', _TODO, 1),
        ('Moreau Notaires', 'moreau-notaires.example', 60, _ALL_SIGNALS, _DONE, 'journaling', _STOP, 33),
        ('Núñez Arquitectos', 'nunez-arquitectos.example', 52, _SECURITY, _DONE, 'permitted_senders', _OPEN, 3.1),
        ('Oakridge Schools', 'oakridge-schools.example', 2300, _UNIFIED, _DONE, 'inbound_email', _STOP, 41),
        ('Pinewood Dental', 'pinewood-dental.example', 14, _SECURITY, _DONE, 'lockdown', _TODO, 7.5),
        ('Quinn & Partners Law', 'quinn-law.example', 75, _ALL_SIGNALS, _DONE, 'monitoring', _OPEN, 0.8),
        ('Sørensen Møbler', 'sorensen-mobler.example', 110, _SECURITY, _DONE, 'handover', _TODO, 2),
    ),
    'Fabrikam Managed Services': (
        ('Übersee Kaffee', 'uebersee-kaffee.example', 48, _SECURITY, RfiState.DRAFT, '', _TODO, 2.6),
        ('Vermeer Optics', 'vermeer-optics.example', 210, _ALL_SIGNALS, _DONE, 'inbound_email', _OPEN, 1.1),
        ('Willow Clinics', 'willow-clinics.example', 330, _UNIFIED, _DONE, READY, _OPEN, 0.5),
    ),
}  # fmt: skip

_IN, _OUT, _QUEUE, _JOURNAL, _DIRECTORY = MonitorKind
_BAD, _UNKNOWN = MonitorState.BAD, MonitorState.UNKNOWN
# name, domain, licences, products, RFI, has a directory connector, months live, what is wrong, is its reading old
_LIVE: dict[str, tuple[tuple[str, str, int, tuple[str, ...], RfiState, bool, float, dict, bool], ...]] = {
    'Northwind IT': (
        ('3rd Street Dental', '3rd-street-dental.example', 24, _SECURITY, _DONE, False, 22, {}, False),
        ('Alder & Sons Timber', 'alder-timber.example', 130, _ALL_SIGNALS, _DONE, True, 20, {}, False),
        ('Bellamy Freight', 'bellamy-freight.example', 520, _UNIFIED, _DONE, True, 18, {_IN: _BAD, _OUT: _BAD}, False),
        ('Dvořák Instruments', 'dvorak-instruments.example', 85, _SECURITY, _DONE, True, 15,
         {_IN: _UNKNOWN, _OUT: _UNKNOWN}, False),
        ('Espinosa Hoteles', 'espinosa-hoteles.example', 940, _ALL_SIGNALS, _DONE, True, 13.5,
         {_QUEUE: _BAD, _JOURNAL: _BAD}, False),
        ('Fjord Seafood', 'fjord-seafood.example', 65, _ALL_SIGNALS, _DONE, True, 11, {}, True),
        ('Granite Mutual', 'granite-mutual.example', 1800, _UNIFIED, _DONE, True, 10, {_DIRECTORY: _BAD}, False),
        ('Löwenthal Pharma', 'loewenthal-pharma.example', 410, _ALL_SIGNALS, _NONE, True, 8,
         {_QUEUE: _UNKNOWN, _JOURNAL: _UNKNOWN, _DIRECTORY: _UNKNOWN}, False),
        ('O’Connor Press', 'oconnor-press.example', 33, _ARCHIVE, _DONE, False, 6, {}, False),
        ('Ravensworth Estates', 'ravensworth-estates.example', 70, _ALL_SIGNALS, _DONE, True, 5,
         dict.fromkeys(MonitorKind, _BAD), True),
        ('Tidewater Credit Union', 'tidewater-cu.example', 280, _UNIFIED, _DONE, True, 3.5, {}, False),
        ('Yıldız Tekstil', 'yildiz-tekstil.example', 190, _SECURITY, _DONE, True, 1.5, {}, False),
        ('Zephyr Wind Energy', 'zephyr-wind.example', 58, _SECURITY, _NONE, True, 0.4, {}, False),
    ),
    'Fabrikam Managed Services': (
        ('42 North Brewing', '42-north.example', 40, _SECURITY, _DONE, False, 16, {}, False),
        ('Falk Maskiner', 'falk-maskiner.example', 260, _ALL_SIGNALS, _DONE, True, 9, {}, False),
        ('Rossi & Figli', 'rossi-figli.example', 90, _UNIFIED, _DONE, True, 4, {_OUT: _UNKNOWN}, False),
        ('Żółkiewski Steel', 'zolkiewski-steel.example', 700, _ALL_SIGNALS, _DONE, True, 2, {}, False),
    ),
}  # fmt: skip

_TYPES = {
    'Zephyr Wind Energy': AccountType.TRIAL, 'Yates & Daughters Joinery': AccountType.TRIAL,
    '3rd Street Dental': AccountType.EXPRESS, 'Pinewood Dental': AccountType.EXPRESS,
    'Brennan Brewing': AccountType.EXPRESS, 'O’Connor Press': AccountType.NFR,
    'Kestrel Aerospace': AccountType.INTERNAL,
}  # fmt: skip
_HELD = ('Tamura Ceramics',)
_TOM_OKAFOR = 'Tom Okafor'
_TOM_SEES = (
    'Émile Dubois & Fils', 'Łódź Logistics', 'Håkansson Forestry', 'Núñez Arquitectos', 'Sørensen Møbler',
    '3rd Street Dental', 'Bellamy Freight', 'Dvořák Instruments', 'Ravensworth Estates',
)  # fmt: skip
_READ_AFTER = {
    'outbound_email': (_OUT,), 'inbound_email': (_IN,), 'journaling': (_QUEUE, _JOURNAL),
    'directory_sync': (_DIRECTORY,),
}  # fmt: skip
_PARTNER = ConsoleRole.PARTNER_ADMINISTRATOR
# Over and over, in the order of the customers: what Ana and Tom are in the Administration Consoles.
_ANA = (_PARTNER, _PARTNER, ConsoleRole.FULL_ADMINISTRATOR, _PARTNER, '', _PARTNER, 'Helpdesk L2', _PARTNER)
_TOM = (_PARTNER, ConsoleRole.BASIC_ADMINISTRATOR, ConsoleRole.REVIEWER, 'Helpdesk L2', '', _PARTNER)
_AT_ONE = {
    'Granite Mutual': ConsoleRole.DISCOVERY_OFFICER, 'Moreau Notaires': ConsoleRole.DISCOVERY_OFFICER,
    'Tamura Ceramics': ConsoleRole.REVIEWER, 'O’Connor Press': ConsoleRole.BASIC_ADMINISTRATOR,
}  # fmt: skip


async def load_cast(password: str) -> None:
    """Make the MSPs, people and customers; belongs in a transaction, in an empty database."""
    northwind = await Partner.set_up('Northwind IT', domain='northwind.example')
    fabrikam = await Partner.set_up('Fabrikam Managed Services', domain='fabrikam.example')
    # Where the simulated vendor takes mail and sends it from (jobs/sources/simulated_connect.py).
    await Partner.filter(id__in=[northwind.id, fabrikam.id]).update(
        mx_hosts=['mail-protection.example'], spf_include='_spf.mail-protection.example'
    )
    # For their documents and messages.
    await Partner.filter(id=northwind.id).update(address='12 Harbour Street\n3011 AB Rotterdam\nThe Netherlands')
    await Partner.filter(id=fabrikam.id).update(address='4 rue des Lilas\n69003 Lyon\nFrance')
    ana = await PortalUser.register(
        northwind, name='Ana Lindqvist', email='ana@northwind.example', password=password,
        role=PortalRole.ADMINISTRATOR,
    )  # fmt: skip
    tom = await PortalUser.register(
        northwind, name=_TOM_OKAFOR, email='tom@northwind.example', password=password, role=PortalRole.TECHNICIAN,
        sees_all=False,
    )  # fmt: skip
    eve = await PortalUser.register(
        fabrikam, name='Eve Moreau', email='eve@fabrikam.example', password=password, role=PortalRole.ADMINISTRATOR
    )
    catalogue, now = await load_catalogue(), datetime.now(UTC)
    of_northwind = await _load_customers(northwind, catalogue, now)
    of_fabrikam = await _load_customers(fabrikam, catalogue, now)
    for partner in (northwind, fabrikam):
        await AdminConsole.create(
            partner=partner, name=DEMO_NAME, sign_on=SignOnKind.ASSERTION, address=DEMO_ADDRESS,
            audience=DEMO_AUDIENCE,
        )  # fmt: skip
        await use_demo_console(partner)
        currency, prices = PRICES[partner.name]
        await Price.bulk_create([_price(partner, catalogue[code], price, currency) for code, price in prices.items()])
        await Partner.filter(id=partner.id).update(currency=currency)
    await CustomerAccess.bulk_create(
        [CustomerAccess(user=tom, customer_id=of_northwind[name], allowed=True) for name in _TOM_SEES]
    )
    ana_is = dict(zip(of_northwind, _ANA * 4, strict=False)) | _AT_ONE
    await _delegate(ana, ana_is, of_northwind)
    await _delegate(tom, dict(zip(_TOM_SEES, _TOM * 2, strict=False)), of_northwind)
    await _delegate(eve, dict(zip(of_fabrikam, _ANA, strict=True)), of_fabrikam)


def _price(partner: Partner, product: Product, price: str, currency: str) -> Price:
    return Price(
        partner=partner, product=product, unit_price=Decimal(price), currency=currency,
        term=BillingTerm.YEAR if product.code in YEARLY else BillingTerm.MONTH,
        one_time_fee=Decimal(ONE_TIME_FEES.get(product.code, 0)),
    )  # fmt: skip


async def _delegate(user: PortalUser, roles: Mapping[str, str], ids: dict[str, int]) -> None:
    await DelegatedAccess.bulk_create([
        DelegatedAccess(user=user, partner_id=user.partner_id, customer_id=ids[name], role=str(role))
        for name, role in roles.items()
        if role
    ])  # fmt: skip


async def _load_customers(partner: Partner, catalogue: dict[str, Product], now: datetime) -> dict[str, int]:
    """Make this MSP's customers and what happened to them so far; return their ids by name."""
    chance = random.Random(_SEED)
    signing_in = PortalUser.filter(partner=partner, can_sign_in=True).order_by('id')
    people = [Person(user.id, user.name) for user in await signing_in]
    sketches = [
        *(_waiting(now, *row) for row in _WAITING[partner.name]),
        *(_connecting(now, number, *row) for number, row in enumerate(_CONNECTING[partner.name])),
        *(_live(chance, now, catalogue, *row) for row in _LIVE[partner.name]),
    ]
    # Chance of its own, so that the facts may grow and the customers stay what they are.
    facts, address = random.Random(f'facts {partner.name}'), addresses(1 if partner.slug.startswith('n') else 120)
    for sketch in sketches:
        if sketch.listing == Listing.IN_PROGRESS:
            _read_in_connect(facts, now, sketch, services_of(sketch.products, catalogue))
    flips = {sketch.name: _invent_flips(chance, now, sketch) for sketch in sketches}
    admin = await admin_of(partner.id)
    for sketch, code in zip(sketches, account_codes(partner), strict=False):
        sketch.account_code = code
        sketch.account_type = _TYPES.get(sketch.name, AccountType.STANDARD)
        give_all_facts(facts, sketch, COUNTRIES.get(sketch.name, 'GB'), address, admin)
    for number, sketch in enumerate(sketches):
        if sketch.listing in (Listing.WAITING, Listing.IN_PROGRESS) and number % 4:
            sees = [one.id for one in people if one.name != _TOM_OKAFOR or sketch.name in _TOM_SEES]
            sketch.responsible = sees[number % len(sees)]
        if sketch.name in _HELD:
            sketch.hold = Hold(HELD_BECAUSE[0], now - timedelta(days=3), (now + timedelta(days=18)).date())
    async with transaction() as connection:
        ids = await insert_customers(connection, partner.id, sketches, catalogue, people)
        named = zip(ids, sketches, strict=True)
        rows = [[customer_id, *flip] for customer_id, sketch in named for flip in flips[sketch.name]]
        columns = ['customer_id', 'at', 'kind', 'old', 'new', 'value', 'reason']
        await insert_many(connection, Flip, columns, sorted(rows, key=lambda row: row[1]))
        by_id = dict(zip(ids, sketches, strict=True))
        await _load_notes(connection, facts, now, by_id, people)
        await _load_samples(connection, facts, now, by_id, flips)
    return {sketch.name: customer_id for sketch, customer_id in zip(sketches, ids, strict=True)}


async def _load_notes(
    connection: BaseDBAsyncClient, chance: random.Random, now: datetime, sketches: dict[int, Sketch],
    people: list[Person],
) -> None:  # fmt: skip
    """Write what people noted; who sees some customers only has noted something at those."""
    notes = []
    for customer_id, sketch in sketches.items():
        there = [person for person in people if person.name != _TOM_OKAFOR or sketch.name in _TOM_SEES]
        notes += [(note, customer_id) for note in jottings(chance, now, sketch, [person.name for person in there])]
    notes.sort(key=lambda row: row[0].at)
    ids = {person.name: person.id for person in people}
    await insert_many(
        connection, Note,
        [
            'customer_id', 'body', 'version', 'author_id', 'author', 'created_at', 'edited_by_id', 'edited_by',
            'edited_at',
        ],
        [
            [
                customer_id, note.body, 2 if note.before else 1, ids[note.author], note.author, note.at,
                ids.get(note.edited_by), note.edited_by, note.edited_at,
            ]
            for note, customer_id in notes
        ],
    )  # fmt: skip
    written = await Note.filter(customer_id__in=list(sketches)).order_by('id').values_list('id', flat=True)
    await NoteVersion.bulk_create(
        [
            NoteVersion(note_id=note_id, version=1, body=note.before, by=note.author, at=note.at)
            for note_id, (note, _) in zip(written, notes, strict=True)
            if note.before
        ]
    )


async def _load_samples(
    connection: BaseDBAsyncClient, chance: random.Random, now: datetime, sketches: dict[int, Sketch],
    flips: dict[str, list[tuple]],
) -> None:  # fmt: skip
    read = Monitor.filter(customer_id__in=list(sketches), read_at__isnull=False).order_by('id')
    rows = []
    for monitor in await read.only('id', 'customer_id', 'kind'):
        sketch = sketches[monitor.customer_id]
        rows += [
            (Sample.id_of(monitor.id, at), at, value, state)
            for at, value, state in samples(chance, now, monitor.kind, sketch, flips[sketch.name])
        ]
    await Sample.store(connection, rows)


def _read_in_connect(chance: random.Random, now: datetime, sketch: Sketch, services: str) -> None:
    """What is switched on by a step that is done is read from then on."""
    for template, state, _, done in moments_of(sketch, services).steps:
        if state == StepState.COMPLETE and done:
            for kind in _READ_AFTER.get(template.key, ()):
                read_at = now - timedelta(minutes=chance.uniform(0.2, 9))
                signal = calm(chance, kind, sketch.seats, since=min(done, read_at), read_at=read_at)
                signal.begins = signal.since
                sketch.signals[kind] = signal


def _waiting(
    now: datetime, name: str, domain: str, seats: int, products: tuple[str, ...], rfi: RfiState, days: float
) -> Sketch:
    created = now - timedelta(days=days)
    return Sketch(name, domain, seats, products, rfi, Listing.WAITING, created, created)


def _connecting(
    now: datetime, number: int, name: str, domain: str, seats: int, products: tuple[str, ...], rfi: RfiState, step: str,
    state: StepState, days: float,
) -> Sketch:  # fmt: skip
    since = now - timedelta(days=days)
    return Sketch(
        name, domain, seats, products, rfi, Listing.IN_PROGRESS, since - timedelta(days=9 + 4 * number), since,
        step=step, step_state=state,
        because=BLOCKED_BECAUSE[number % len(BLOCKED_BECAUSE)] if state == StepState.BLOCKED else '',
        errors=list(RFI_ERRORS[:2]) if rfi == RfiState.ERROR else [],
    )  # fmt: skip


def _live(
    chance: random.Random, now: datetime, catalogue: dict[str, Product], name: str, domain: str, seats: int,
    products: tuple[str, ...], rfi: RfiState, directory: bool, months: float, wrong: dict[MonitorKind, MonitorState],
    is_old: bool,
) -> Sketch:  # fmt: skip
    completed = now - timedelta(days=30 * months)
    created = completed - timedelta(days=chance.uniform(15, 50))
    sketch = Sketch(
        name, domain, seats, products, rfi, Listing.COMPLETE, created, completed, completed_at=completed
    )  # fmt: skip
    # An old reading stays one for most of the time: more is expected of that collector than it is asked for.
    reading: dict[str, Any] = {'expected_every': 300} if is_old else {}
    reading['read_at'] = now - timedelta(minutes=11 if is_old else chance.uniform(0.2, 9))
    for kind in configured_kinds(services_of(products, catalogue), directory=directory):
        state = wrong.get(kind)
        make = {MonitorState.BAD: troubled, MonitorState.UNKNOWN: not_read}.get(state, calm) if state else calm
        since = reading['read_at'] - timedelta(minutes=chance.uniform(2, 90)) if state else completed
        sketch.signals[kind] = make(chance, kind, seats, since=max(since, completed), **reading)
    return sketch


def _invent_flips(chance: random.Random, now: datetime, sketch: Sketch) -> list[tuple]:
    """What the monitors did in the last two days, so that it ends in the state they are in now."""
    flips = []
    for kind, signal in sketch.signals.items():
        flips += _flips_of(chance, now, kind, signal, sketch)
    return flips


def _flips_of(
    chance: random.Random, now: datetime, kind: MonitorKind, signal: Signal, sketch: Sketch
) -> list[tuple]:  # fmt: skip
    good, begin = MonitorState.GOOD, max(now - timedelta(days=2), sketch.since)
    end = signal.since if signal.since and signal.state != good else signal.read_at
    if end is None or end <= begin:
        return []
    make, flips = troubled if chance.random() < 0.8 else not_read, []
    spans = sorted(chance.random() for _ in range(2 * chance.choice((0, 0, 1, 1, 2, 3))))
    for starts, stops in zip(spans[::2], spans[1::2], strict=True):
        began = begin + (end - begin) * starts
        # A queue drains and a connector comes back within the hour, mostly.
        over = min(begin + (end - begin) * stops, began + timedelta(minutes=chance.uniform(2, 70)))
        wrong = make(chance, kind, sketch.seats)
        right = calm(chance, kind, sketch.seats)
        flips += [
            (began, kind.value, good.value, wrong.state.value, wrong.value, wrong.reason),
            (over, kind.value, wrong.state.value, good.value, right.value, ''),
        ]
    if signal.state != good:
        flips.append((end, kind.value, good.value, signal.state.value, signal.value, signal.reason))
    elif flips:
        signal.since = flips[-1][0]
    return flips
