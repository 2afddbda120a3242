"""Customers to show the portal with: the demo MSPs, and as many believable customers as somebody wants."""

import asyncio
import hmac
import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from models import events
from models.admin_console import DEMO_AUDIENCE, AdminConsole
from models.connect_step import ConnectStep, StepState
from models.customer import AccountType, Customer, Listing
from models.demo_names import (
    BLOCKED_BECAUSE,
    CONNECTOR_FAILED,
    ENDINGS,
    FIRST,
    HELD_BECAUSE,
    MIDDLE,
    NOT_READ,
    RFI_ERRORS,
    TRADES,
)
from models.demo_rows import READY, Hold, Signal, Sketch, insert_customers, services_of
from models.events import transaction
from models.history import HistoryChain
from models.monitor import Monitor, MonitorKind, MonitorState
from models.partner import TAGLINE, Partner
from models.product import Product, load_catalogue
from models.rfi import RfiState
from models.sealed import seal, unseal
from models.text import fold
from models.user import PortalUser
from settings import settings

CHUNK = 2000  # customers a transaction: a server beside it can write in between
_DAY = timedelta(days=1)
_PRIMARY = ('SEC', 'SEC', 'SEC', 'SEC+ARC', 'SEC+ARC', 'SEC+ARC', 'UEM', 'UEM', 'ARC', 'CONT')
_ADD_ONS = ('TTP-URL', 'TTP-ATT', 'IMP', 'IEP', 'DLP', 'ENC', 'LFS', 'DMARC', 'SAT')
_TYPES = (*[AccountType.STANDARD] * 14, *[AccountType.EXPRESS] * 3, AccountType.TRIAL, AccountType.NFR)
_SEATS = (5, 10, 15, 25, 40, 60, 85, 120, 180, 250, 400, 650, 1200, 3500)


# The generic accounts of the demo MSPs. Nobody has an address in .example, so no MSP is taken for one of them.
ACCOUNTS = (f'{TAGLINE}@northwind.example', f'{TAGLINE}@fabrikam.example')
# Among the preferences of the generic account, and what it is sealed for.
_PASSWORD = 'demo password'  # nosec B105 # a name


async def load_demo() -> None:
    """Make the demo MSPs, their people and their customers in a database in which nothing has ever happened.

    A history says that something has: the demo does not come back after it was removed. All or nothing: a start that
    was cut short leaves an empty database, which the next start fills.
    """
    from models.demo_cast import load_cast
    from models.demo_changes import load_changes
    from models.demo_closed import load_closed
    from models.demo_documents import load_documents
    from models.demo_orders import load_orders
    from models.demo_prospects import load_prospects

    async with transaction():
        if not await Partner.exists() and not await HistoryChain.exists():
            password = '-'.join(secrets.token_hex(2) for _ in range(4))
            await load_cast(password)
            await load_documents()
            await load_orders()
            await load_prospects()
            # What came later comes later here too: nobody else’s number changes by it.
            await load_closed()
            await load_documents()
            await load_orders()
            await load_changes()
            await PortalUser.filter(email__in=ACCOUNTS).update(preferences={_PASSWORD: seal(password, _PASSWORD)})


async def demo_partners() -> list[Partner]:
    """The demo MSPs that are there."""
    return await Partner.filter(users__email__in=ACCOUNTS).distinct().order_by('id')


async def demo_password() -> str | None:
    """The one password of the demo users, another one in every database; None where there is no demo.

    It is kept sealed, because every start tells it. Databases of before had one that follows from the secret.
    """
    account = await PortalUser.filter(email__in=ACCOUNTS).order_by('id').first()
    if account is None:
        return None
    if sealed := (account.preferences or {}).get(_PASSWORD):
        return unseal(sealed, _PASSWORD)
    digest = hmac.new(settings().secret_key().encode(), b'demo password', 'sha256').hexdigest()
    return '-'.join(digest[i : i + 4] for i in range(0, 16, 4))


async def make_customers(
    partner: Partner, count: int, *, seed: int, progress: Callable[[int, int], None] | None = None
) -> int:
    """Make `count` believable simulated customers; the same ones for the same seed. Return how many were made."""
    from models.demo_facts import give_facts

    chance, now = random.Random(seed), datetime.now(UTC)
    facts = random.Random(f'facts {seed}')
    catalogue = await load_catalogue(partner.id)
    codes = account_codes(partner)
    people = await _looking_after(partner)
    made = 0
    while made < count:
        sketches = [_sketch(chance, now, catalogue) for _ in range(min(CHUNK, count - made))]
        async with transaction() as connection:
            free = await _free_codes(partner, codes, len(sketches))
            for sketch, code in zip(sketches, free, strict=True):
                sketch.account_code = code
                give_facts(facts, sketch)
                look_after(facts, now, sketch, people)
            ids = await insert_customers(connection, partner.id, sketches, catalogue)
            await use_demo_console(partner, ids)
        made += len(sketches)
        if progress:
            progress(made, count)
        await asyncio.sleep(0)
    if made:
        events.MANY_CHANGED.emit(partner.id)
    return made


async def _looking_after(partner: Partner) -> list[int]:
    """Those (ids) who see every customer and so may look after any."""
    theirs = PortalUser.filter(partner_id=partner.id, can_sign_in=True, disabled_at__isnull=True, sees_all=True)
    return [row['id'] for row in await theirs.order_by('id').values('id')]


def look_after(chance: random.Random, now: datetime, sketch: Sketch, people: Sequence[int]) -> None:
    """Most of those in Connect are looked after by somebody, and a few rest."""
    if sketch.listing not in (Listing.WAITING, Listing.IN_PROGRESS):
        return
    if people and chance.random() < 0.7:
        sketch.responsible = chance.choice(people)
    if sketch.step and sketch.step != READY and chance.random() < 0.04:
        since = max(sketch.since, now - _DAY * chance.uniform(0.2, 20))
        until = (now + _DAY * chance.randrange(2, 60)).date() if chance.random() < 0.7 else None
        sketch.hold = Hold(chance.choice(HELD_BECAUSE), since, until)


async def use_demo_console(partner: Partner, ids: list[int] | None = None) -> None:
    """Let simulated customers of this MSP (these, or all) have the demo's console, where the MSP has it."""
    console = await AdminConsole.filter(partner_id=partner.id, audience=DEMO_AUDIENCE).first()
    if console is not None:
        theirs = Customer.filter(partner_id=partner.id, is_simulated=True)
        await (theirs if ids is None else theirs.filter(id__in=ids)).update(console_id=console.id)


def account_codes(partner: Partner) -> Iterator[str]:
    """Codes such as `NIC12A34`, in an order that looks like none; some millions before they repeat."""
    prefix = ''.join(c for c in ''.join(word[:1] for word in partner.slug.split('-')) if c.isalnum()).upper()[:2]
    for series in 'CDEFGHJKLMNPQRSTUVWXYZ':
        for n in range(260_000):
            high, rest = divmod((n * 104_729 + 12_345) % 260_000, 2600)
            letter, low = divmod(rest, 100)
            yield f'{prefix}{series}{high:02}{chr(65 + letter)}{low:02}'


async def _free_codes(partner: Partner, codes: Iterator[str], count: int) -> list[str]:
    free: list[str] = []
    while len(free) < count:
        wanted = [next(codes) for _ in range(count - len(free))]
        taken = set(await Customer.filter(partner_id=partner.id, account_code__in=wanted).values_list(
            'account_code', flat=True
        ))  # fmt: skip
        free += [code for code in wanted if code not in taken]
    return free


# -- one believable customer ------------------------------------------------------------------------------------------


def _sketch(chance: random.Random, now: datetime, catalogue: dict[str, Product]) -> Sketch:
    name, domain = _name(chance)
    products = (chance.choice(_PRIMARY), *sorted(set(chance.choices(_ADD_ONS, k=chance.choice((0, 0, 1, 2, 3))))))
    seats = max(1, round(chance.choice(_SEATS) * chance.uniform(0.7, 1.5)))
    kind = chance.choice(_TYPES)
    lot = chance.random()
    if lot < 0.03:
        return _waiting(chance, now, name=name, domain=domain, seats=seats, products=products, account_type=kind)
    make = _in_progress if lot < 0.18 else _complete
    services = services_of(products, catalogue)
    return make(chance, now, services, name=name, domain=domain, seats=seats, products=products, account_type=kind)


def _name(chance: random.Random) -> tuple[str, str]:
    first, trade = chance.choice(FIRST), chance.choice(TRADES)
    words = [first, chance.choice(MIDDLE), trade, chance.choice(ENDINGS)]
    # A number, because thousands share a first word and a trade, and a domain belongs to one.
    label = ''.join(c for c in fold(first + trade) if c.isascii() and c.isalnum())
    return ' '.join(word for word in words if word), f'{label}{chance.randrange(1_000_000)}.example'


def _waiting(chance: random.Random, now: datetime, **facts) -> Sketch:
    created = now - _DAY * chance.uniform(0, 40)
    rfi = chance.choice((RfiState.NOT_REQUESTED, RfiState.REQUESTED, RfiState.REQUESTED, RfiState.DRAFT))
    return Sketch(**facts, rfi=rfi, listing=Listing.WAITING, created_at=created, since=created)


def _in_progress(chance: random.Random, now: datetime, services: str, **facts) -> Sketch:
    age = chance.uniform(2, 120)
    created = now - _DAY * age
    # Most are in their step for days, some for weeks.
    since = now - _DAY * min(age, chance.expovariate(1 / 6))
    sketch = Sketch(
        **facts, rfi=RfiState.COMPLETE, listing=Listing.IN_PROGRESS, created_at=created, since=since
    )  # fmt: skip
    lot = chance.random()
    if lot < 0.15:
        sketch.rfi = chance.choice((RfiState.SUBMITTED, RfiState.SUBMITTED, RfiState.ERROR, RfiState.DRAFT))
        sketch.errors = [chance.choice(RFI_ERRORS)] if sketch.rfi == RfiState.ERROR else []
        return sketch
    if lot < 0.2:
        sketch.rfi = RfiState.NOT_APPLICABLE
    template = chance.choice([None, *ConnectStep.applicable(services)[1:]])
    sketch.step = template.key if template else READY
    lot = chance.random()
    if template and lot < 0.15:
        sketch.step_state, sketch.because = StepState.BLOCKED, chance.choice(BLOCKED_BECAUSE)
    elif template and lot < 0.4 and not template.optional:
        sketch.step_state = StepState.TODO
    return sketch


def _complete(chance: random.Random, now: datetime, services: str, **facts) -> Sketch:
    age = chance.uniform(20, 730)
    completed = now - _DAY * max(1.0, age - chance.uniform(10, 70))
    rfi = RfiState.NOT_APPLICABLE if chance.random() < 0.1 else RfiState.COMPLETE
    sketch = Sketch(
        **facts, rfi=rfi, listing=Listing.COMPLETE, created_at=now - _DAY * age, since=completed,
        completed_at=completed, has_steps=False,
    )  # fmt: skip
    _connect_signals(chance, now, sketch, services)
    return sketch


def configured_kinds(services: str, *, directory: bool) -> list[MonitorKind]:
    """Which monitors a customer with these services has."""
    queues = [MonitorKind.INBOUND_QUEUE, MonitorKind.OUTBOUND_QUEUE] if 'S' in services else []
    journal = [MonitorKind.JOURNAL_QUEUE, MonitorKind.JOURNAL_CONNECTOR] if 'A' in services else []
    return [*queues, *journal, *([MonitorKind.DIRECTORY_CONNECTOR] if directory else [])]


def _connect_signals(chance: random.Random, now: datetime, sketch: Sketch, services: str) -> None:
    kinds = configured_kinds(services, directory=chance.random() < 0.7)
    # Now and then a customer's collector has been silent for hours.
    silent = chance.uniform(50, 300) * 60 if chance.random() < 0.003 else 0
    read_at = now - timedelta(seconds=silent + chance.random() * 900)
    steady = max(sketch.since, now - _DAY * chance.uniform(0.1, 60))
    for kind in kinds:
        sketch.signals[kind] = calm(chance, kind, sketch.seats, since=steady, read_at=read_at)
    lot = chance.random()
    if kinds and lot < 0.02:
        kind = chance.choice(kinds)
        began = read_at - timedelta(minutes=chance.uniform(1, 600))
        # Three in four have a problem, of the fourth nobody knows.
        make = troubled if lot < 0.015 else not_read
        sketch.signals[kind] = make(chance, kind, sketch.seats, since=max(began, sketch.since), read_at=read_at)


def calm(chance: random.Random, kind: MonitorKind, seats: int, **read) -> Signal:
    """A good reading of this monitor."""
    threshold = Monitor.default_threshold(kind, seats)
    value = None if threshold is None else float(int(threshold * chance.random() ** 3 * 0.6))
    return Signal(MonitorState.GOOD, value, **read)


def troubled(chance: random.Random, kind: MonitorKind, seats: int, **read) -> Signal:
    """A bad reading of this monitor."""
    threshold = Monitor.default_threshold(kind, seats)
    if threshold is None:
        return Signal(MonitorState.BAD, reason=chance.choice(CONNECTOR_FAILED[kind.value]), **read)
    return Signal(MonitorState.BAD, float(int(threshold * chance.uniform(1.1, 6)) + 1), **read)


def not_read(chance: random.Random, kind: MonitorKind, seats: int, **read) -> Signal:
    """A reading that failed."""
    return Signal(MonitorState.UNKNOWN, reason=chance.choice(NOT_READ), **read)
