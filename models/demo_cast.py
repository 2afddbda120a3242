"""The two demo MSPs: who works there, and customers in every state there is."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from models.access import ConsoleRole, CustomerAccess, DelegatedAccess
from models.connect_step import StepState
from models.customer import AccountType, Listing
from models.demo import account_codes, calm, configured_kinds, not_read, troubled
from models.demo_names import BLOCKED_BECAUSE, RFI_ERRORS
from models.demo_rows import READY, Signal, Sketch, insert_customers, insert_many, services_of, step_states
from models.events import transaction
from models.history import HistoryEvent
from models.monitor import Flip, MonitorKind, MonitorState
from models.partner import Partner
from models.product import Product, load_catalogue
from models.rfi import RfiState
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
_TOM_SEES = (
    'Émile Dubois & Fils', 'Łódź Logistics', 'Håkansson Forestry', 'Núñez Arquitectos', 'Sørensen Møbler',
    '3rd Street Dental', 'Bellamy Freight', 'Dvořák Instruments', 'Ravensworth Estates',
)  # fmt: skip
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
    ana = await PortalUser.register(
        northwind, name='Ana Lindqvist', email='ana@northwind.example', password=password,
        role=PortalRole.ADMINISTRATOR,
    )  # fmt: skip
    tom = await PortalUser.register(
        northwind, name='Tom Okafor', email='tom@northwind.example', password=password, role=PortalRole.TECHNICIAN,
        sees_all=False,
    )  # fmt: skip
    eve = await PortalUser.register(
        fabrikam, name='Eve Moreau', email='eve@fabrikam.example', password=password, role=PortalRole.ADMINISTRATOR
    )
    catalogue, now = await load_catalogue(), datetime.now(UTC)
    of_northwind = await _load_customers(northwind, catalogue, now)
    of_fabrikam = await _load_customers(fabrikam, catalogue, now)
    await CustomerAccess.bulk_create(
        [CustomerAccess(user=tom, customer_id=of_northwind[name], allowed=True) for name in _TOM_SEES]
    )
    ana_is = dict(zip(of_northwind, _ANA * 4, strict=False)) | _AT_ONE
    await _delegate(ana, ana_is, of_northwind)
    await _delegate(tom, dict(zip(_TOM_SEES, _TOM * 2, strict=False)), of_northwind)
    await _delegate(eve, dict(zip(of_fabrikam, _ANA, strict=True)), of_fabrikam)


async def _delegate(user: PortalUser, roles: Mapping[str, str], ids: dict[str, int]) -> None:
    await DelegatedAccess.bulk_create([
        DelegatedAccess(user=user, partner_id=user.partner_id, customer_id=ids[name], role=str(role))
        for name, role in roles.items()
        if role
    ])  # fmt: skip


async def _load_customers(partner: Partner, catalogue: dict[str, Product], now: datetime) -> dict[str, int]:
    """Make this MSP's customers and what happened to them so far; return their ids by name."""
    chance = random.Random(_SEED)
    sketches = [
        *(_waiting(now, *row) for row in _WAITING[partner.name]),
        *(_connecting(now, number, *row) for number, row in enumerate(_CONNECTING[partner.name])),
        *(_live(chance, now, catalogue, *row) for row in _LIVE[partner.name]),
    ]
    flips = {sketch.name: _invent_flips(chance, now, sketch) for sketch in sketches}
    for sketch, code in zip(sketches, account_codes(partner), strict=False):
        sketch.account_code = code
        sketch.account_type = _TYPES.get(sketch.name, AccountType.STANDARD)
    async with transaction() as connection:
        ids = await insert_customers(connection, partner.id, sketches, catalogue)
        history = [
            [partner.id, customer_id, *entry]
            for customer_id, sketch in zip(ids, sketches, strict=True)
            for entry in _history(sketch, services_of(sketch.products, catalogue))
        ]
        columns = ['partner_id', 'customer_id', 'at', 'kind', 'summary']
        await insert_many(connection, HistoryEvent, columns, sorted(history, key=lambda row: row[2]))
        named = zip(ids, sketches, strict=True)
        rows = [[customer_id, *flip] for customer_id, sketch in named for flip in flips[sketch.name]]
        columns = ['customer_id', 'at', 'kind', 'old', 'new', 'value', 'reason']
        await insert_many(connection, Flip, columns, sorted(rows, key=lambda row: row[1]))
    return {sketch.name: customer_id for sketch, customer_id in zip(sketches, ids, strict=True)}


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


def _history(sketch: Sketch, services: str) -> list[list]:
    """When, what and in words: the milestones that led to where the customer is."""
    begin, until = sketch.created_at, sketch.completed_at or sketch.since
    entries = [[begin, 'customer.created', f'{sketch.name} was added']]
    if sketch.rfi not in (RfiState.NOT_REQUESTED, RfiState.NOT_APPLICABLE):
        entries.append([begin, 'rfi.requested', 'RFI form sent for completion'])
    back = begin + (until - begin) / 3
    if sketch.rfi == RfiState.DRAFT and sketch.listing == Listing.WAITING:
        entries.append([begin + timedelta(hours=5), 'rfi.draft', 'RFI draft saved'])
    elif sketch.listing != Listing.WAITING and sketch.rfi != RfiState.NOT_APPLICABLE:
        entries.append([back, 'rfi.submitted', 'RFI form sent back'])
    ends = {
        RfiState.COMPLETE: ('rfi.complete', 'RFI complete'), RfiState.ERROR: ('rfi.error', 'RFI found in error'),
    }  # fmt: skip
    if sketch.rfi in ends:
        entries.append([back, *ends[sketch.rfi]])
    if sketch.listing != Listing.WAITING:
        entries += _steps_taken(sketch, services, back, until)
    if sketch.completed_at:
        entries.append([until, 'connect.completed', 'Connect complete: the customer is live'])
    return entries


def _steps_taken(sketch: Sketch, services: str, begin: datetime, until: datetime) -> list[list]:
    steps = step_states(sketch, services)
    said = {StepState.COMPLETE: 'completed', StepState.SKIPPED: 'skipped', StepState.BLOCKED: 'blocked'}
    taken = []
    for position, (template, state) in enumerate(steps, 1):
        if state in said:
            at = until if state == StepState.BLOCKED else begin + (until - begin) * position / (len(steps) + 1)
            summary = f'{template.title}: {said[state]}' + (
                f' – {sketch.because}' if state == StepState.BLOCKED else ''
            )
            taken.append([at, f'connect.step_{state.value}', summary])
    return taken
