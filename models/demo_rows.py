"""Sketches of customers, and their rows written by the thousand.

Adding 100,000 customers by their verbs would take an hour; so the rows are written as the verbs would leave them, and
the tests hold both against each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.fields.data import JSON_DUMPS
from tortoise.models import Model

from models.connect_step import BY_KEY, ConnectStep, StepOwner, StepState, Template
from models.contact import Contact, ContactKind
from models.customer import AccountType, Closing, Customer, Listing, current_of, resting
from models.history import append_many
from models.infrastructure import Directory, Infrastructure, MailPlatform
from models.monitor import OLD_AFTER, Health, Monitor, MonitorKind, MonitorState
from models.product import CustomerProduct, Product, next_renewal
from models.rfi import Rfi, RfiState

if TYPE_CHECKING:
    from models.demo_history import Person

READY = 'ready'  # as `Sketch.step`: every step is done, and nobody has completed Connect yet


@dataclass
class Signal:
    """What was read last of one monitor."""

    state: MonitorState = MonitorState.NOT_CONFIGURED
    value: float | None = None
    since: datetime | None = None
    read_at: datetime | None = None
    reason: str = ''
    expected_every: int = int(OLD_AFTER.total_seconds())
    begins: datetime | None = None  # when it was read first, where that is not when the customer went live

    @property
    def old_at(self) -> int | None:
        ages = self.read_at is not None and self.state in (MonitorState.GOOD, MonitorState.BAD)
        return int(self.read_at.timestamp()) + self.expected_every if ages and self.read_at else None

    def health(self, now: datetime) -> Health:
        return Health.of(self.state, is_old=self.old_at is not None and self.old_at <= now.timestamp())


class Somebody(NamedTuple):
    """A contact of a customer."""

    kind: ContactKind
    first_name: str
    last_name: str
    email: str
    phone: str = ''
    mobile: str = ''


class Hold(NamedTuple):
    """Why Connect rests, since when, and until which day."""

    because: str
    since: datetime
    until: date | None = None


class Closed(NamedTuple):
    """Why, and when, a customer was closed; `asked` is when that was ordered, from when on nobody does much there."""

    closing: Closing
    because: str
    asked: datetime
    at: datetime


@dataclass
class Known:
    """What is known of a customer's infrastructure."""

    domains: list[str]
    platform: MailPlatform = MailPlatform.UNKNOWN
    server: str = ''
    system: str = ''
    directory: Directory = Directory.UNKNOWN
    outbound: list[str] = field(default_factory=list)
    inbound: list[str] = field(default_factory=list)


@dataclass
class Sketch:
    """A customer as it is to be made; `since` is when its present Connect status began. Of one that is closed this and
    `listing` are what they were before."""

    name: str
    domain: str
    seats: int
    products: tuple[str, ...]
    rfi: RfiState
    listing: Listing
    created_at: datetime
    since: datetime
    account_type: AccountType = AccountType.STANDARD
    account_code: str = ''
    completed_at: datetime | None = None
    step: str = ''
    step_state: StepState = StepState.IN_PROGRESS
    because: str = ''
    has_steps: bool = True
    errors: list[dict] = field(default_factory=list)
    signals: dict[MonitorKind, Signal] = field(default_factory=dict)
    contacts: list[Somebody] = field(default_factory=list)
    known: Known | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    responsible: int | None = None  # who looks after it
    hold: Hold | None = None
    closed: Closed | None = None


def services_of(products: tuple[str, ...], catalogue: dict[str, Product]) -> str:
    return ''.join(catalogue[code].connect_services for code in products)


def step_states(sketch: Sketch, services: str) -> list[tuple[Template, StepState]]:
    """The customer's steps and their states: done before `sketch.step`, and after it what that unlocks."""
    templates = ConnectStep.applicable(services)
    keys = [template.key for template in templates]
    at = keys.index(sketch.step) if sketch.step in keys else len(keys) if sketch.step == READY else 0
    at = len(keys) if sketch.listing == Listing.COMPLETE else at
    states: dict[str, StepState] = {}
    for position, template in enumerate(templates):
        if template.key == 'rfi':
            state = {RfiState.COMPLETE: StepState.COMPLETE, RfiState.NOT_APPLICABLE: StepState.SKIPPED}.get(
                sketch.rfi, StepState.TODO
            )
        elif position < at:
            skipped = template.optional and (len(sketch.name) + position) % 2 == 0
            state = StepState.SKIPPED if skipped else StepState.COMPLETE
        elif position == at:
            state = sketch.step_state
        else:
            needs = {states[key] for key in template.needs if key in states}
            state = StepState.TODO if needs <= {StepState.COMPLETE, StepState.SKIPPED} else StepState.LOCKED
        states[template.key] = state
    return [(template, states[template.key]) for template in templates]


class StepMoments(NamedTuple):
    """A step, its state, and when it was begun and done, if it was."""

    template: Template
    state: StepState
    started: datetime | None
    ended: datetime | None


class Moments(NamedTuple):
    """When what happened to a customer on its way, if it did: the RFI, and the steps in their order."""

    requested: datetime | None
    returned: datetime | None
    completed: datetime | None
    steps: list[StepMoments]


def moments_of(sketch: Sketch, services: str) -> Moments:
    """The moments for all that tells of them: two cards that worked them out would contradict each other."""
    begin, until = sketch.created_at, sketch.completed_at or sketch.since
    asked = sketch.rfi not in (RfiState.NOT_REQUESTED, RfiState.NOT_APPLICABLE)
    looked_at = sketch.listing == Listing.IN_PROGRESS and not sketch.step
    # While the form is looked at, the present status began when it came back.
    back = sketch.since if looked_at else begin + (until - begin) / 3
    return Moments(
        begin if asked else None,
        back if asked and sketch.listing != Listing.WAITING else None,
        back if sketch.rfi == RfiState.COMPLETE else None,
        _step_moments(sketch, services, back, until) if sketch.has_steps else [],
    )


def _step_moments(sketch: Sketch, services: str, back: datetime, until: datetime) -> list[StepMoments]:
    """One step after the other: the first begins when the RFI is done, the last ends when what is now began."""
    steps = step_states(sketch, services)
    done = (StepState.COMPLETE, StepState.SKIPPED)
    count = sum(state in done for template, state in steps if template.key != 'rfi')
    moments, nth, before = [], 0, back
    for template, state in steps:
        started = ended = None
        if state in done and template.key == 'rfi':
            started, ended = sketch.created_at, back
        elif state in done:
            nth += 1
            started, ended = before, back + (until - back) * nth / count
            before = ended
        elif state in (StepState.IN_PROGRESS, StepState.BLOCKED):
            started = sketch.since
        moments.append(StepMoments(template, state, None if state == StepState.SKIPPED else started, ended))
    return moments


def reason_of(sketch: Sketch, state: StepState) -> str:
    return sketch.because if state == StepState.BLOCKED else 'Not needed here' if state == StepState.SKIPPED else ''


def connect_status(sketch: Sketch) -> tuple[str, str]:
    """The text and the key that `Customer.restate` would find."""
    if sketch.closed:
        return sketch.closed.closing.title, 'closed'
    if sketch.listing == Listing.COMPLETE:
        return 'Complete', 'complete'
    if sketch.hold:
        return resting(*connect_status(replace(sketch, hold=None))), 'on_hold'
    if sketch.listing == Listing.WAITING:
        return 'RFI requested', 'rfi_requested'
    if sketch.step == READY:
        return 'Ready to complete', 'handover'
    return (BY_KEY[sketch.step].title, sketch.step) if sketch.step else ('RFI received', 'rfi_received')


async def insert_customers(
    connection: BaseDBAsyncClient, partner_id: int, sketches: list[Sketch], catalogue: dict[str, Product],
    people: 'Sequence[Person]' = (),
) -> list[int]:  # fmt: skip
    """Write these customers and all that belongs to them; return their ids. Belongs in a transaction.

    `people` are those who did something there; without them, the history has the milestones alone.
    """
    from models.demo_history import history_of

    sqlite = connection.capabilities.dialect == 'sqlite'
    ids = await _reserve_ids(connection, len(sketches), sqlite=sqlite)
    rows: dict[type[Model], list[list]] = {model: [] for model in _COLUMNS}
    now = datetime.now(UTC)
    today = now.date()
    moments = [moments_of(sketch, services_of(sketch.products, catalogue)) for sketch in sketches]
    for customer_id, sketch, when in zip(ids, sketches, moments, strict=True):
        steps = _step_rows(customer_id, sketch, when)
        rows[Customer].append(_customer_row(customer_id, partner_id, sketch, now, steps))
        rows[Rfi].append(_rfi_row(customer_id, sketch, when))
        since = sketch.created_at.date()  # with its contract, by which it renews
        bought: list[Any] = [since, next_renewal(since, today)]
        bought = [day.isoformat() for day in bought] if sqlite else bought
        rows[CustomerProduct] += [
            [customer_id, catalogue[code].id, sketch.seats, *bought] for code in sketch.products
        ]  # fmt: skip
        rows[Contact] += [[customer_id, one.kind.value, *one[1:]] for one in sketch.contacts]
        if sketch.known:
            rows[Infrastructure].append(_infrastructure_row(customer_id, sketch.known))
        rows[ConnectStep] += steps
        rows[Monitor] += [_monitor_row(customer_id, kind, sketch, now) for kind in MonitorKind]
    for model, made in rows.items():
        await insert_many(connection, model, _COLUMNS[model], made)
    await append_many(connection, (
        entry
        for customer_id, sketch, when in zip(ids, sketches, moments, strict=True)
        for entry in history_of(partner_id, customer_id, sketch, when, people)
    ))  # fmt: skip
    return ids


async def insert_many(connection: BaseDBAsyncClient, model: type[Model], columns: list[str], rows: list[list]) -> None:
    """Insert these rows with one prepared statement."""
    if not rows:
        return
    sqlite = connection.capabilities.dialect == 'sqlite'
    marks = ['?' if sqlite else f'${n}' for n in range(1, len(columns) + 1)]
    if sqlite:
        rows = [[_as_text(value) if isinstance(value, date) else value for value in row] for row in rows]
    names = ','.join(f'"{column}"' for column in columns)
    await connection.execute_many(f'INSERT INTO "{model._meta.db_table}" ({names}) VALUES ({",".join(marks)})', rows)


def _as_text(moment: date) -> str:
    """A moment or a day as SQLite keeps it."""
    return moment.isoformat(' ') if isinstance(moment, datetime) else moment.isoformat()


async def _reserve_ids(connection: BaseDBAsyncClient, count: int, *, sqlite: bool) -> list[int]:
    """Ids that no customer has or ever had: the history names customers by number only."""
    if sqlite:  # the transaction holds the write lock: nobody else takes these
        last = await connection.execute_query_dict("SELECT seq FROM sqlite_sequence WHERE name='customer'")
        first = last[0]['seq'] + 1 if last else 1
        return list(range(first, first + count))
    taken = await connection.execute_query_dict(
        "SELECT nextval(pg_get_serial_sequence('customer', 'id')) AS id FROM generate_series(1, $1::int)", [count]
    )
    return [row['id'] for row in taken]


_COLUMNS: dict[type[Model], list[str]] = {
    Customer: [
        'id', 'partner_id', 'name', 'name_key', 'initial', 'search_key', 'account_code', 'domain', 'seats',
        'account_type', 'products_in_short', 'listing', 'connect_status', 'connect_key', 'connect_since',
        'blocked_because', 'rfi', 'rfi_returned', *(kind.value for kind in MonitorKind), 'worst', 'console_url',
        'is_simulated', 'created_at', 'completed_at', 'connect_owner', 'connect_due', 'steps_done', 'steps_of',
        'contract_start', 'responsible_id', 'connect_person_id', 'hold_because', 'held_at', 'hold_until', 'closing',
        'closed_because', 'closed_at',
    ],
    Rfi: [
        'customer_id', 'state', 'answers', 'errors', 'requested_at', 'returned_at', 'completed_at', 'sent_to',
        'opened_at', 'reminders',
    ],
    CustomerProduct: ['customer_id', 'product_id', 'quantity', 'since', 'renews_on'],
    Contact: ['customer_id', *Somebody._fields],
    Infrastructure: [
        'customer_id', 'domains', 'mail_platform', 'mail_server', 'server_os', 'directory', 'outbound_ips',
        'inbound_ips',
    ],
    ConnectStep: [
        'customer_id', 'key', 'title', 'position', 'owner', 'is_optional', 'state', 'reason', 'started_at',
        'completed_at', 'due_at', 'needs', 'due_days', 'check_key',
    ],
    Monitor: [
        'customer_id', 'kind', 'state', 'value', 'threshold', 'reason', 'since', 'read_at', 'expected_every', 'old_at',
        'is_old',
    ],
}  # fmt: skip
_NOTHING_READ = Signal()
# Names follow rules that belong to the noun; one customer lends itself to all, an instance for each would be slow.
_NAMED = Customer()


def _customer_row(
    customer_id: int, partner_id: int, sketch: Sketch, now: datetime, steps: list[list[Any]]
) -> list[Any]:
    _NAMED.account_code, _NAMED.domain = sketch.account_code, sketch.domain
    _NAMED.set_name(sketch.name)
    status, key = connect_status(sketch)
    icons = [int(sketch.signals.get(kind, _NOTHING_READ).health(now)) for kind in MonitorKind]
    hold, closed = sketch.hold, sketch.closed
    blocked = sketch.because if sketch.step_state == StepState.BLOCKED and not (hold or closed) else ''
    in_connect = sketch.listing in (Listing.WAITING, Listing.IN_PROGRESS) and not closed
    since = closed.at if closed else hold.since if hold else sketch.since
    return [
        customer_id, partner_id, sketch.name, _NAMED.name_key, _NAMED.initial, _NAMED.search_key, sketch.account_code,
        sketch.domain, sketch.seats, sketch.account_type.value, ', '.join(sketch.products)[:200],
        (Listing.CLOSED if closed else sketch.listing).value, status, key, since, blocked, int(sketch.rfi.icon),
        sketch.listing != Listing.WAITING, *icons, min(icons),
        f'https://console.example/{sketch.account_code}', True, sketch.created_at, sketch.completed_at,
        *_board(sketch, steps), sketch.created_at.date(), sketch.responsible,
        sketch.responsible if in_connect else None, hold.because if hold else '', hold.since if hold else None,
        hold.until if hold else None, (closed.closing if closed else Closing.NONE).value,
        closed.because if closed else '', closed.at if closed else None,
    ]  # fmt: skip


def _board(sketch: Sketch, rows: list[list[Any]]) -> tuple[str, datetime | None, int, int]:
    """Owner and due date of the current step, and how many steps are done of how many: as `Customer.restate` leaves
    them."""
    columns = _COLUMNS[ConnectStep]
    steps = [SimpleNamespace(**dict(zip(columns, row, strict=True))) for row in rows]
    done = sum(step.state == StepState.COMPLETE and not step.is_optional for step in steps)
    left = sum(step.state not in (StepState.COMPLETE, StepState.SKIPPED) and not step.is_optional for step in steps)
    if sketch.closed or sketch.listing == Listing.COMPLETE:
        return '', None, done, done + left
    current: Any = steps[0] if sketch.listing == Listing.WAITING and steps else current_of(steps)
    if current is None:
        return StepOwner.PARTNER.value, None, done, done + left
    return current.owner, None if sketch.hold else current.due_at, done, done + left


def _rfi_row(customer_id: int, sketch: Sketch, moments: Moments) -> list[Any]:
    sent = moments.requested
    whom = {one.kind: one.email for one in sketch.contacts}
    lead = whom.get(ContactKind.TECHNICAL) or whom.get(ContactKind.MAIN, '')
    is_silent, opened = sketch.rfi == RfiState.REQUESTED, None
    if sent is not None and not is_silent:
        opened = sent + min((moments.returned or datetime.now(UTC)) - sent, timedelta(hours=20)) / 2
    return [
        customer_id, sketch.rfi.value, JSON_DUMPS(sketch.answers), JSON_DUMPS(sketch.errors), sent, moments.returned,
        moments.completed, lead if sent else '', opened, int(is_silent),
    ]  # fmt: skip


def _infrastructure_row(customer_id: int, known: Known) -> list[Any]:
    return [
        customer_id, JSON_DUMPS(known.domains), known.platform.value, known.server, known.system,
        known.directory.value, JSON_DUMPS(known.outbound), JSON_DUMPS(known.inbound),
    ]  # fmt: skip


def _step_rows(customer_id: int, sketch: Sketch, moments: Moments) -> list[list]:
    rows, due = [], sketch.since.replace(hour=17, minute=0, second=0, microsecond=0) + _IN_TIME
    for position, (template, state, started, ended) in enumerate(moments.steps, 1):
        rows.append([
            customer_id, template.key, template.title, position, template.owner.value, template.optional, state.value,
            reason_of(sketch, state), started, ended, _due(sketch, template, due, ended),
            _as_json(template.needs), template.due_days, template.check,
        ])  # fmt: skip
        if ended is None and not template.optional:
            due += _EACH
    return rows


@cache
def _as_json(needs: tuple[str, ...]) -> str:
    return JSON_DUMPS(list(needs))


_IN_TIME, _EACH = timedelta(days=10), timedelta(days=4)


def _due(sketch: Sketch, template: Template, due: datetime, ended: datetime | None) -> datetime | None:
    """Until when the step is to be done, or was. Nothing is planned before the form is back."""
    if template.optional or (sketch.listing == Listing.WAITING and template.key != 'rfi'):
        return None
    if ended:
        return ended.replace(hour=17, minute=0, second=0, microsecond=0) + timedelta(days=len(template.title) % 3)
    return due


def _monitor_row(customer_id: int, kind: MonitorKind, sketch: Sketch, now: datetime) -> list[Any]:
    signal = sketch.signals.get(kind, _NOTHING_READ)
    old_at = signal.old_at
    return [
        customer_id, kind.value, signal.state.value, signal.value, Monitor.default_threshold(kind, sketch.seats),
        signal.reason, signal.since, signal.read_at, signal.expected_every, old_at,
        old_at is not None and old_at <= now.timestamp(),
    ]  # fmt: skip
