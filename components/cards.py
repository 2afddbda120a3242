"""The cards of a customer's page: what each shows, read from its models, and what makes it read again.

    Card('notes', 'Customer notes', shows={'notes'}, gist=…, content=…)

A closed card says its gist in one line; an open one gets its content too. Both are the same for everybody who may see
the customer, and are read once for all who look (`read`). What differs from viewer to viewer (role, button, rights) is
told beside them by pages/customer.py. The browser's side is assets/customer.js.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tortoise import Model
from tortoise.fields import DateField

from components import live, order_card
from models import (
    Attachment,
    AttachmentState,
    ConnectStep,
    Contact,
    ContactKind,
    Customer,
    CustomerProduct,
    CustomerTag,
    Directory,
    Health,
    Infrastructure,
    Listing,
    MailPlatform,
    Monitor,
    MonitorKind,
    MonitorState,
    Note,
    Partner,
    PortalUser,
    ProductKind,
    Rfi,
    RfiLink,
    RfiState,
    Sample,
    StepOwner,
    StepState,
    calendar,
    cancelling,
    changing,
    history_reading,
    rfi_schema,
)
from models.checking import phone_shown
from models.connect_checks import CHECKS
from models.connect_step import BY_KEY, CHECKED, DONE, RFI
from models.customer import CONSOLE_HEADING, current_of
from models.database import reader, rows
from models.rfi import FILLING
from models.upgrade import options

_LABELS = {'console_url': CONSOLE_HEADING}  # of fields that have no heading of their own
_HELP = {'contract_start': 'Renewals and cancelling go by it. Empty: not known.'}
Gist = dict[str, str]  # `text`, and `tone`: '' (calm), 'bad' or 'accent'


@dataclass(frozen=True)
class Card:
    """One card: `shows` are the parts of a customer (models/events.py) that it is made of."""

    key: str
    title: str
    shows: frozenset[str]
    gist: Callable[[Customer], Awaitable[Gist]]
    content: Callable[[Customer], Awaitable[dict[str, Any]]]


def said(text: str, tone: str = '') -> Gist:
    return {'text': text, 'tone': tone}


def counted(number: int, one: str, many: str) -> str:
    return f'{number:,} {one if number == 1 else many}'


def described(model: type[Model], names: Iterable[str], values: dict[str, Any]) -> list[dict[str, Any]]:
    """These fields of a model as a card shows them and a form edits them: label, value, choices, length."""
    found = []
    for name in names:
        field = model._meta.fields_map[name]
        enum: type[Enum] | None = getattr(field, 'enum_type', None)
        value = values.get(name)
        choices = [[str(m.value), getattr(m, 'title', str(m.value))] for m in enum] if enum else None
        text = dict(choices).get(str(value), '') if choices else value
        found.append({
            'name': name, 'value': value,
            'label': _LABELS.get(name) or field.description or name.replace('_', ' ').capitalize(),
            'text': ', '.join(text) if isinstance(text, list) else text, 'choices': choices,
            'many': isinstance(value, list), 'longest': getattr(field, 'max_length', None),
            'kind': 'date' if isinstance(field, DateField) else '', 'help': _HELP.get(name, ''),
        })  # fmt: skip
    return found


# -- products and upgrades --------------------------------------------------------------------------------------------


async def _products_gist(customer: Customer) -> Gist:
    return said(f'{customer.products_in_short or "None yet"} · {counted(customer.seats, "licence", "licences")}')


async def _products(customer: Customer) -> dict[str, Any]:
    return {
        'rows': await CustomerProduct.list_of(customer.id), 'seats': customer.seats,
        'renews': customer.listing != Listing.CLOSED, 'contract_start': customer.contract_start,
    }  # fmt: skip


async def _upgrades_gist(customer: Customer) -> Gist:
    available = sum(option.available for option in await options(customer))
    return said(counted(available, 'option', 'options') + ' available' if available else 'Nothing available just now')


async def _upgrades(customer: Customer) -> dict[str, Any]:
    found = await options(customer)
    partner = await Partner.get(id=customer.partner_id, using_db=reader())
    return {
        'why_not': changing.why_no_upgrade(customer, partner), 'quotes': len(await changing.quotes_of(customer)),
        'rows': [
            {
                'code': o.code, 'name': o.name, 'kind': ProductKind(o.kind).title, 'available': o.available,
                'why': o.why, 'price': None if o.price is None else f'{o.price:,.2f}', 'currency': o.currency,
                'term': o.term.value,
            }
            for o in found
        ]
    }  # fmt: skip


# -- infrastructure and contacts --------------------------------------------------------------------------------------

INFRASTRUCTURE = (
    'domains', 'mail_platform', 'mail_server', 'server_os', 'directory', 'outbound_ips', 'inbound_ips',
)  # fmt: skip
CONTACT = ('first_name', 'last_name', 'email', 'phone', 'mobile')
FACTS = ('name', 'account_code', 'account_type', 'domain', 'console_url', 'contract_start')


async def _infrastructure_gist(customer: Customer) -> Gist:
    known = {fact['name']: fact['text'] for fact in await _infrastructure_facts(customer) if fact['value']}
    parts = [str(known[name]) for name in ('mail_platform', 'directory') if known.get(name)]
    return said(' · '.join([customer.domain, *parts]) if customer.domain else ' · '.join(parts) or 'Not known yet')


async def _infrastructure_facts(customer: Customer) -> list[dict[str, Any]]:
    return described(Infrastructure, INFRASTRUCTURE, await Infrastructure.of(customer.id))


async def _infrastructure(customer: Customer) -> dict[str, Any]:
    return {'facts': await _infrastructure_facts(customer)}


async def contacts(customer: Customer) -> list[dict[str, Any]]:
    """Every kind of contact, also those that nobody has entered yet."""
    known = {found['kind']: found for found in await Contact.list_of(customer.id)}
    found = []
    for kind in ContactKind:
        values = known.get(kind.value, {})
        facts = described(Contact, CONTACT, values)
        for fact in facts:  # numbers are stored without spaces, and read with them
            fact['text'] = values.get(f'{fact["name"]}_shown', fact['text'])
        found.append({'kind': kind.value, 'title': kind.title, 'facts': facts})
    return found


# -- RFI --------------------------------------------------------------------------------------------------------------

_RFI = {
    RfiState.NOT_REQUESTED: 'Not sent yet',
    RfiState.REQUESTED: 'Sent, not back yet',
    RfiState.DRAFT: 'Being filled in',
    RfiState.SUBMITTED: 'Sent back, to be checked',
    RfiState.COMPLETE: 'Complete',
    RfiState.ERROR: 'In error',
    RfiState.NOT_APPLICABLE: 'Not applicable',
}


async def _form(customer: Customer) -> Rfi | None:
    return await Rfi.get_or_none(customer_id=customer.id)


async def _rfi_gist(customer: Customer) -> Gist:
    form = await _form(customer)
    if form is None:
        return said('There is no form')
    if form.state == RfiState.ERROR:
        wrong = counted(len(form.errors or []), 'field', 'fields') + ' to correct'
        return said(f'In error: {wrong}' if form.errors else 'In error; what is wrong was not told', 'bad')
    return said(_form_state(form))


def _form_state(form: Rfi) -> str:
    if form.state == RfiState.REQUESTED and form.sent_to and form.requested_at is None:
        return 'To be sent'  # no mail could be sent, and nobody was told the link
    return _RFI[form.state]


async def _rfi(customer: Customer) -> dict[str, Any]:
    form = await _form(customer)
    if form is None:
        nothing: dict[str, Any] = {name: [] for name in ('answers', 'errors', 'warnings', 'happened', 'links')}
        return {'state': 'Not applicable', 'icon': int(customer.rfi), **nothing}
    entries, _ = await history_reading.page(customer.id, group='rfi', limit=20)
    return {
        'state': _form_state(form), 'icon': int(form.state.icon), 'since': entries[0]['at'] if entries else None,
        'requested_at': form.requested_at, 'returned_at': form.returned_at, 'completed_at': form.completed_at,
        'errors': [_wrong(error) for error in form.errors or []],
        'warnings': [_wrong(warning) for warning in form.warnings or []],
        'is_open': form.state in FILLING, 'is_unchecked': form.state == RfiState.SUBMITTED,
        'answers': [
            [rfi_schema.full_label(name) if name in rfi_schema.FIELDS else worded(name), _answered(name, value)]
            for name, value in sorted((form.answers or {}).items(), key=lambda each: _ORDER.get(each[0], len(_ORDER)))
            if value not in ('', None, [])
        ],
        'sent_to': form.sent_to, 'opened_at': form.opened_at, 'reminders': form.reminders,
        'remind_at': form.remind_at if form.state in FILLING else None, 'links': await RfiLink.list_of(customer.id),
        'happened': [{'at': e['at'], 'actor': e['actor'], 'summary': e['summary']} for e in entries],
    }  # fmt: skip


_ORDER = {name: place for place, name in enumerate(rfi_schema.FIELDS)}


def _wrong(error: dict[str, Any]) -> dict[str, Any]:
    """What is wrong with a field, with a message that goes on from the name of the field."""
    name = str(error.get('field', ''))
    asked = rfi_schema.FIELDS.get(name)
    label = asked.label if asked else worded(name)
    message = str(error.get('message') or 'is not right')
    return {
        **error, 'field': rfi_schema.full_label(name) if asked else label, 'message': message.removeprefix(f'{label} '),
    }  # fmt: skip


def _answered(name: str, value: Any) -> str:
    if name in rfi_schema.FIELDS:
        return rfi_schema.shown(name, value)
    return phone_shown(value) if name.endswith(('mobile', 'phone')) else _answer(value)


def _answer(value: Any) -> str:
    if isinstance(value, list):
        return ', '.join(map(_answer, value))
    if isinstance(value, bool):
        return 'Yes' if value else 'No'
    return _CHOICES.get(value, value) if isinstance(value, str) else str(value)


# What a form stores of a choice, and what the choice is called.
_CHOICES = {
    **{choice.value: choice.title for choice in (*MailPlatform, *Directory) if choice.value},
    'ldap': 'LDAP', 'smtp': 'SMTP', 'smtp_null': 'SMTP with <>', 'pop3': 'POP3', 'strict': 'Strict',
    'relaxed': 'Relaxed', 'known': 'Known recipients', 'any': 'Any', 'backup_mx': 'Backup MX',
}  # fmt: skip
_SHORT = {
    'ip': 'IP', 'ips': 'IP addresses', 'os': 'OS', 'rfi': 'RFI', 'dn': 'DN', 'm365': 'Microsoft 365', 'smtp': 'SMTP',
    'email': 'e-mail', 'msp': 'MSP',
}  # fmt: skip


def worded(name: str) -> str:
    """The name of an answer as a person reads it: `outbound_ips` is 'Outbound IP addresses'."""
    words = ' '.join(_SHORT.get(word, word) for word in name.split('_'))
    return words[:1].upper() + words[1:]


# -- Connect ----------------------------------------------------------------------------------------------------------

_OWNER = {StepOwner.VENDOR: 'Vendor', StepOwner.PARTNER: 'You', StepOwner.CUSTOMER: 'Customer'}


async def _connect_gist(customer: Customer) -> Gist:
    if customer.listing == Listing.CLOSED:
        return said(customer.connect_status)
    if not customer.steps_of and not await ConnectStep.filter(customer_id=customer.id).using_db(reader()).exists():
        return said('Complete' if customer.completed_at else 'No steps')
    text = f'{customer.steps_done} of {customer.steps_of} steps'
    if customer.held_at is not None:
        return said(f'{text}, {customer.connect_status.replace("On hold", "on hold")}: {customer.hold_because}')
    if customer.blocked_because:
        return said(f'{text}, blocked at {customer.connect_status}', 'bad')
    if customer.listing == Listing.COMPLETE and customer.connect_owner:
        return said(f'{text}; live, {customer.connect_status} to be set up')
    is_done = customer.steps_done >= customer.steps_of
    return said(f'{text}, {customer.connect_status}' if not is_done else f'{text}, {_done(customer)}')


def _done(customer: Customer) -> str:
    return 'complete' if customer.listing == Listing.COMPLETE else 'ready to complete'


def _called(person: PortalUser | None) -> str:
    """Who sees to something, by name; nothing where nobody does."""
    return person.name if person is not None else ''


async def _connect(customer: Customer) -> dict[str, Any]:
    """The steps with all that can be said and done about them; who may do it is the viewer's affair."""
    found = ConnectStep.filter(customer_id=customer.id).order_by('position').using_db(reader())
    steps = {step.key: step for step in await found.select_related('assignee')}
    why_not = customer.why_no_step_moves()
    known = PortalUser.filter(id=customer.responsible_id).using_db(reader()) if customer.responsible_id else None
    form = await _rfi_gist(customer)
    wrong = {'reason': form['text'], 'is_wrong': True} if form['tone'] == 'bad' else {}
    return {
        'responsible': _called(await known.first()) if known else '',
        'steps': [
            _step(step, steps, customer) | (wrong if step.key == RFI else {})
            for step in steps.values()
        ],
        'done': customer.steps_done, 'of': customer.steps_of, 'status': customer.connect_status,
        'completed_at': customer.completed_at, 'listing': customer.listing.value, 'why_not': why_not,
        'begun_at': customer.created_at, 'closed_because': customer.closed_because, 'closed_at': customer.closed_at,
        'hold': {'because': customer.hold_because, 'until': customer.hold_until, 'since': customer.held_at}
        if customer.held_at is not None else None,
        'later': [step.title for step in steps.values() if step.is_later and step.state not in DONE]
        if customer.listing == Listing.COMPLETE else [],
        'is_ready': why_not is None and bool(steps) and current_of(steps.values()) is None,
    }  # fmt: skip


def _step(step: ConnectStep, steps: dict[str, ConnectStep], customer: Customer) -> dict[str, Any]:
    check, stopped = CHECKS.get(step.check_key), customer.why_no_step_moves(step) is not None
    open_ = step.state in CHECKED and not stopped
    no_check = check.why_not(customer) if check else ''
    return {
        'key': step.key, 'title': step.title, 'owner': _OWNER[step.owner], 'is_vendors': step.owner == StepOwner.VENDOR,
        'is_optional': step.is_optional, 'state': step.state.value, 'reason': step.reason,
        'started_at': step.started_at, 'completed_at': step.completed_at, 'due_at': step.due_at,
        'done_by': step.done_by, 'assignee': _called(step.assignee),
        'needs': [key for key in step.needs or () if key in steps], 'seen': step.seen,
        'help': step.help_url or (f'step/{step.key}' if step.key in BY_KEY else ''),
        'moves': [] if stopped else step.possible(steps),
        'check': f'{check.asks} Not possible yet: {no_check}' if check and no_check else check.asks if check else '',
        'can_check': bool(check) and open_ and not no_check,
        'checking': bool(check) and open_ and step.state != StepState.BLOCKED and step.checked_at is None
        and bool(step.evidence),
        'checked_at': step.checked_at, 'evidence': step.evidence or [],
    }  # fmt: skip


# -- monitor ----------------------------------------------------------------------------------------------------------


async def _monitors(customer: Customer) -> list[dict[str, Any]]:
    found = await rows(
        Monitor.filter(customer_id=customer.id).values(
            'kind', 'state', 'value', 'threshold', 'reason', 'since', 'read_at', 'expected_every', 'is_old'
        )
    )
    by_kind = {row['kind']: row for row in found}
    empty = {'state': MonitorState.NOT_CONFIGURED.value, 'is_old': False}
    return [
        {'title': kind.title, 'is_queue': kind.is_queue, **by_kind.get(kind.value, empty | {'kind': kind.value})}
        for kind in MonitorKind
    ]


async def _monitor_gist(customer: Customer) -> Gist:
    health = [Health(getattr(customer, kind.value)) for kind in MonitorKind]
    bad = [kind.title for kind, state in zip(MonitorKind, health, strict=True) if state <= Health.BAD_OLD]
    watched = sum(state != Health.NOT_CONFIGURED for state in health)
    if bad:
        return said(f'Problem: {", ".join(bad)}', 'bad')
    if customer.listing == Listing.CLOSED:
        return said('Nothing is watched any more')
    if not watched:
        return said('Nothing is watched yet')
    unsure = sum(state in (Health.UNKNOWN, Health.GOOD_OLD) for state in health)
    return said(f'{watched} watched, {unsure} not known just now' if unsure else f'{watched} watched, all good')


async def _monitor(customer: Customer) -> dict[str, Any]:
    charts = await Sample.chart(customer.id)
    return {
        'signals': [
            signal | {'health': int(Health.of(signal['state'], is_old=bool(signal['is_old']))),
                      'chart': charts.get(signal['kind'])}
            for signal in await _monitors(customer)
        ]
    }  # fmt: skip


# -- notes, history, attachments --------------------------------------------------------------------------------------

NOTES = 30


async def _notes_gist(customer: Customer) -> Gist:
    count = await Note.count_of(customer.id)
    return said(counted(count, 'note', 'notes') if count else 'None yet')


async def _notes(customer: Customer) -> dict[str, Any]:
    found = await Note.list_of(customer.id, limit=NOTES)
    newest = {note['id'] for note in found}
    # Older ones too, where they were edited lately: somebody may be looking at them.
    edited = [note for note in await Note.edited_lately(customer.id) if note['id'] not in newest]
    return {'notes': found, 'edited': edited, 'count': await Note.count_of(customer.id)}


async def _history_gist(customer: Customer) -> Gist:
    latest = await history_reading.recent(customer.id, limit=1)
    return said(latest[0]['summary'] if latest else 'Nothing yet')


async def _history(customer: Customer) -> dict[str, Any]:
    """What the card needs before any entry; these come by pages (pages/api/customer.py)."""
    return {'people': [[key, name] for key, name in await history_reading.people(customer.id)]}


async def _attachments_gist(customer: Customer) -> Gist:
    states = [row['state'] for row in await rows(Attachment.filter(customer_id=customer.id).values('state'))]
    if failed := states.count(AttachmentState.FAILED):
        return said(f'{counted(len(states), "document", "documents")}, {failed} could not be made safe', 'bad')
    if working := len(states) - states.count(AttachmentState.READY):
        return said(f'{counted(len(states), "document", "documents")}, {working} being made safe')
    return said(counted(len(states), 'document', 'documents') if states else 'None yet')


async def _attachments(customer: Customer) -> dict[str, Any]:
    return {'rows': await Attachment.list_of(customer.id)}


CARDS = {
    card.key: card
    for card in (
        Card('products', 'Products', frozenset({'products', 'facts'}), _products_gist, _products),
        Card('upgrades', 'Upgrade options', frozenset({'products', 'facts', 'rfi', 'connect', 'orders'}),
             _upgrades_gist, _upgrades),
        Card('infrastructure', 'Infrastructure', frozenset({'infrastructure', 'facts'}), _infrastructure_gist,
             _infrastructure),
        Card('rfi', 'RFI details', frozenset({'rfi'}), _rfi_gist, _rfi),
        Card('connect', 'Connect details', frozenset({'connect', 'rfi'}), _connect_gist, _connect),
        Card('orders', 'Orders', frozenset({'orders', 'facts', 'rfi'}), order_card.gist, order_card.content),
        Card('monitor', 'Monitor', frozenset({'monitor'}), _monitor_gist, _monitor),
        Card('notes', 'Customer notes', frozenset({'notes'}), _notes_gist, _notes),
        Card('history', 'History log', frozenset({'history', 'monitor'}), _history_gist, _history),
        Card('attachments', 'Attachments', frozenset({'attachments'}), _attachments_gist, _attachments),
    )
}  # fmt: skip


# -- reading for whoever looks ----------------------------------------------------------------------------------------

_LIST = {
    Listing.WAITING: ('Waiting for RFI', '/customers/waiting'),
    Listing.IN_PROGRESS: ('In Progress', '/customers/in-progress'),
    Listing.COMPLETE: ('Complete', '/customers/complete'),
    Listing.CLOSED: ('Closed', '/customers/closed'),
}
HEAD = (
    'name', 'account_code', 'code_is_provisional', 'account_type', 'domain', 'seats', 'listing', 'connect_status',
    'blocked_because',
)  # fmt: skip


def _as_fact(tags: list[str]) -> dict[str, Any]:
    return {
        'name': 'tags', 'label': 'Tags', 'value': tags, 'text': ', '.join(tags), 'choices': None, 'many': True,
        'longest': None,
    }  # fmt: skip


async def _head(customer: Customer) -> dict[str, Any]:
    tags = await CustomerTag.of(customer.id)
    partner = await Partner.get(id=customer.partner_id, using_db=reader())
    leaving = await cancelling.leaving(customer, partner)
    # On hold is no list of its own, and yet all that is to be known of where it stands.
    until = f' until {calendar.said(customer.hold_until)}' if customer.hold_until else ''
    status = _LIST[customer.listing][0] if customer.held_at is None else f'On hold{until}'
    return {
        **{name: getattr(customer, name) for name in HEAD},
        'closed': None if customer.listing != Listing.CLOSED else {
            'closing': customer.closing.title or 'Closed', 'at': customer.closed_at, 'because': customer.closed_because,
        },
        'leaving': {'possible': leaving.is_possible, 'why': leaving.why},
        'end': await order_card.end_of(customer, partner), 'status': status,
        'facts': [*described(Customer, FACTS, {name: getattr(customer, name) for name in FACTS}), _as_fact(tags)],
        'tags': tags,
        'list': _LIST[customer.listing][0], 'list_href': _LIST[customer.listing][1],
        'health': {kind.value: int(getattr(customer, kind.value)) for kind in MonitorKind},
    }  # fmt: skip


async def _recent(customer: Customer) -> list[dict[str, Any]]:
    return await history_reading.recent(customer.id, limit=10)


BESIDES: dict[str, Callable[[Customer], Awaitable[Any]]] = {'head': _head, 'recent': _recent, 'contacts': contacts}


async def read(customer: Customer, wanted: Iterable[str], *, audience: str) -> dict[str, Any]:
    """The parts of a page that are wanted: `head`, `recent`, `contacts`, `gist KEY` or a card's key, each read once for
    all of an audience who ask between two changes of this customer; unknown names are left out."""
    found: dict[str, Any] = {}
    changes = live.hub.touches.get(customer.id, 0)
    for name in dict.fromkeys(wanted):
        make = _maker(name)
        if make is not None:
            key = f'customer {customer.id} {name} {changes}'
            found[name] = await live.shared(key, audience, 0.5, lambda make=make: make(customer))
    return found


def _maker(name: str) -> Callable[[Customer], Any] | None:
    if name in BESIDES:
        return BESIDES[name]
    card = CARDS.get(name.removeprefix('gist '))
    if card is None:
        return None
    return card.gist if name.startswith('gist ') else card.content
