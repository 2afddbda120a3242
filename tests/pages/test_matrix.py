"""Who reaches what: every route, page, list and handler × every role, in one's own MSP and in another, and signed out.

One dict for each room says what is expected. What has no entry fails, and the failure says which entry is missing and
what it could look like. An entry is made by one of

    anybody(200, 303)                  open to strangers; the statuses that it may answer with
    everybody()                        whoever is signed in
    role('customer.import')            whoever's role includes the right, whichever MSP they are of
    customer('note.add')               about the customer {customer_id}: nothing for those who may not see it
    thing('user.manage', 'user_id')    about something of one MSP that the address names: nothing for the other MSP
    mine('account.change', 'session_id')    about something of one person that the address names: nothing for others
    machine()                          an API token, and no session at all

each with `fill=` for what stands in the address (a text, or an async function of the world that makes something and
gives its number, called before every request), `send=` for the JSON object that is sent (values may be such functions),
`query=`, and `gives=` for the statuses where what is allowed has others than success.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from importlib import import_module
from tempfile import TemporaryFile
from typing import Any

import httpx
import pytest
from nicegui.version import __version__
from starlette.routing import Mount

import main  # noqa: F401  # registers whatever there is
from components import theme
from components.live_table import TABLES
from models import (
    AdminConsole,
    ApiToken,
    Attachment,
    AttachmentState,
    ChangeMode,
    Customer,
    Message,
    Note,
    Order,
    OrderKind,
    OrderState,
    Partner,
    PortalRole,
    PortalUser,
    Prospect,
    ProspectState,
    RfiLink,
    Session,
    VendorState,
)
from models.customer_import import ImportResult
from models.rights import RIGHTS, may
from models.session import token_hash
from pages import guard
from pages.acting import ACTS, ANYBODY, MACHINE, READS, SESSION, SIGNED_IN
from pages.api import imports
from pages.shell import RIGHTS as PAGE_RIGHTS
from pages.shell import ROUTES

UNKNOWN = '999999999'
Fill = str | Callable[['World'], Awaitable[object]]


@dataclass(frozen=True)
class Case:
    """What is expected of one route, page, list or handler; made by the functions below."""

    right: str
    of: str = ''  # the parameter of the address that names what is not everybody's
    fill: dict[str, Fill] = field(default_factory=dict)
    query: str = ''
    send: dict[str, Any] | None = None
    gives: tuple[int, ...] = ()
    mine: str = ''
    handler: str = ''

    def includes(self, who: PortalUser) -> bool:
        return self.right not in RIGHTS or may(who, self.right)


def anybody(*gives: int, **more: Any) -> Case:
    return Case(ANYBODY, gives=gives, **more)


def everybody(**more: Any) -> Case:
    return Case(SIGNED_IN, **more)


def role(right: str, **more: Any) -> Case:
    return Case(right, **more)


def customer(right: str = 'customer.see', **more: Any) -> Case:
    return Case(right, of='customer_id', **more)


def thing(right: str, of: str, **more: Any) -> Case:
    return Case(right, of=of, **more)


def mine(right: str, of: str, **more: Any) -> Case:
    return Case(right, mine=of, **more)


def machine(**more: Any) -> Case:
    return Case(MACHINE, **more)


def handler(right: str, where: str) -> Case:
    """What a page of the framework does; `where` is its module and name."""
    return Case(right, handler=where)


# -- the world of one request -----------------------------------------------------------------------------------------


@dataclass
class Viewer:
    name: str
    user: PortalUser
    token: str


class World:
    """Northwind with a customer and what hangs on it; everybody of every role, here and there, signed in."""

    def __init__(self, portal: Any) -> None:
        self.portal = portal
        self.own: list[Viewer] = []  # of Northwind, who see every customer
        self.blind: list[Viewer] = []  # of Northwind, who see none
        self.foreign: list[Viewer] = []  # of Fabrikam
        self.asks: PortalUser | None = None  # whose turn it is
        self.made = 0

    async def build(self) -> None:
        northwind, fabrikam = self.portal.northwind.partner, self.portal.fabrikam.partner
        self.partner: Partner = northwind
        self.ana: PortalUser = self.portal.northwind.ana
        self.customer: Customer = await self.portal.add(northwind, 'Émile’s Bakery')
        for group, name, partner, sees_all in (
            (self.own, 'own', northwind, True), (self.blind, 'blind', northwind, False),
            (self.foreign, 'foreign', fabrikam, True),
        ):  # fmt: skip
            for each in PortalRole:
                group.append(await self._viewer(f'{name}-{each.value}', partner, each, sees_all))

    async def _viewer(self, name: str, partner: Partner, each: PortalRole, sees_all: bool) -> Viewer:
        user = await PortalUser.create(
            partner=partner, name=name, email=f'{name}@matrix.example', role=each, sees_all=sees_all,
            registered_at=datetime.now(UTC),
        )  # fmt: skip
        token = name.ljust(43, 'x')
        await Session.create(token_hash=token_hash(token), user=user, expires_at=datetime.now(UTC) + timedelta(hours=1))
        return Viewer(name, user, token)

    def number(self) -> int:
        self.made += 1
        return self.made


async def a_customer(world: World) -> int:
    return world.customer.id


async def a_note(world: World) -> int:
    """Of whoever asks, where they may write one."""
    who = world.asks if world.asks and may(world.asks, 'note.add') else world.ana
    return (await Note.add(world.customer, f'Note {world.number()}', by=who)).id


async def an_attachment(world: World) -> int:
    """One whose safe PDF lies in its place."""
    number = world.number()
    made = await Attachment.create(
        customer=world.customer, name='a.pdf', state=AttachmentState.READY, size=1, sha256=f'{number:064}',
        stored=f'{number:032}', pages=1, uploaded_at=datetime.now(UTC),
    )  # fmt: skip
    made.pdf.parent.mkdir(parents=True, exist_ok=True)
    made.pdf.write_bytes(b'%PDF-1.4')
    return made.id


async def a_colleague(world: World) -> int:
    """Somebody of Northwind, not the last administrator and not who acts."""
    number = world.number()
    made = await PortalUser.create(
        partner=world.partner, name=f'Colleague {number}', email=f'colleague{number}@matrix.example',
        role=PortalRole.TECHNICIAN, registered_at=datetime.now(UTC),
    )  # fmt: skip
    return made.id


async def a_session(world: World) -> int:
    """A session of somebody of Northwind."""
    user = await PortalUser.get(id=await a_colleague(world))
    token = f'session-{world.number()}'.ljust(43, 'x')
    until = datetime.now(UTC) + timedelta(hours=1)
    return (await Session.create(token_hash=token_hash(token), user=user, expires_at=until)).id


async def a_token(world: World) -> int:
    await ApiToken.issue(world.partner, f'token {world.number()}')
    return (await ApiToken.filter(partner_id=world.partner.id).order_by('-id').first()).id  # type: ignore[union-attr]


async def a_fellow(world: World) -> int:
    """Somebody of the MSP of whoever asks."""
    who = world.asks or world.ana
    return (await PortalUser.filter(partner_id=who.partner_id, role=PortalRole.SALES).first()).id  # type: ignore[union-attr]


async def an_own_session(world: World) -> int:
    """Another session of whoever asks."""
    token = f'own-{world.number()}'.ljust(43, 'x')
    until = datetime.now(UTC) + timedelta(hours=1)
    return (await Session.create(token_hash=token_hash(token), user=world.asks or world.ana, expires_at=until)).id


async def a_message(world: World) -> int:
    """One that waits after a try."""
    made = await Message.create(
        partner=world.partner, key=f'key{world.number()}', kind='test', recipient='a@b.example', subject='Test',
        due_at=datetime.now(UTC), error='No answer.', attempts=1,
    )  # fmt: skip
    return made.id


async def a_console(world: World) -> int:
    name = f'Console {world.number()}'
    return (await AdminConsole.create(partner=world.partner, name=name)).id


async def an_rfi_link(world: World) -> int:
    made = await RfiLink.create(
        customer=world.customer, token_hash=f'{world.number():064}', expires_at=datetime.now(UTC) + timedelta(days=1)
    )
    return made.id


async def an_upload(world: World) -> str:
    """A file that whoever asks has begun to import."""
    name, who = f'upload{world.number()}', world.asks or world.ana
    file = TemporaryFile()  # noqa: SIM115 # it is kept as long as the upload
    file.write(b'x')
    imports._uploads[name] = imports.Upload(
        id=name, user_id=who.id, name='a.csv', file=file, size=1, sha256=sha256(b'x').hexdigest(), state='failed',
        preview=ImportResult(),
    )  # fmt: skip
    return name


async def a_prospect(world: World) -> int:
    """One of Northwind that whoever asks has written down, so that those see it who see some customers only."""
    who = world.asks if world.asks and world.asks.partner_id == world.partner.id else world.ana
    made = Prospect(
        partner=world.partner, created_by_id=who.id, domain=f'bakery{world.number()}.example', lead_email='a@b.example',
        state=ProspectState.OPEN,
    )  # fmt: skip
    made.set_name('A Bakery to be')
    await made.save()
    return made.id


def an_order(vendor: str) -> Fill:
    """A first order of the customer, in this state of the vendor's side."""

    async def made(world: World) -> int:
        await Customer.filter(id=world.customer.id).update(code_is_provisional=True)
        order = await Order.create(
            partner=world.partner, customer=world.customer, vendor=VendorState(vendor),
            state={VendorState.RECALL: OrderState.WITHDRAWN, VendorState.REJECTED: OrderState.REJECTED,
                   VendorState.ACCEPTED: OrderState.ACCEPTED}.get(VendorState(vendor), OrderState.SUBMITTED),
        )  # fmt: skip
        return order.id

    return made


async def a_cancellation(world: World) -> int:
    """One that requires an export of the customer's data."""
    made = await Order.create(
        partner=world.partner, customer=world.customer, kind=OrderKind.CANCELLATION, state=OrderState.SUBMITTED,
        details={'data_export': True},
    )  # fmt: skip
    return made.id


async def a_code(world: World) -> str:
    return f'CODE{world.number()}'


async def a_quote(world: World) -> int:
    """A change order of Northwind's customer that was not submitted."""
    made = await Order.create(
        partner=world.partner, customer=world.customer, kind=OrderKind.CHANGE, mode=ChangeMode.KEEP, version=1
    )
    return made.id


# What stands in an address where an entry says nothing else.
USUAL: dict[str, Fill] = {
    'customer_id': a_customer, 'note_id': a_note, 'attachment_id': an_attachment, 'user_id': a_colleague,
    'session_id': a_session, 'token_id': a_token,
    'console_id': a_console, 'upload_id': an_upload, 'kind': 'main', '_': 'customers/in-progress', 'version': '0',
}  # fmt: skip

Table = dict[tuple[str, str], Case]

# -- the rooms --------------------------------------------------------------------------------------------------------

FRAMEWORK: Table = {
    ('MOUNT', '/_nicegui_ws'): everybody(gives=(404,)),  # its socket is no socket over http; test_guard.py has the rest
    ('MOUNT', '/_nicegui/{version}/static'): anybody(404),
    ('GET', '/_nicegui/{version}/libraries/{key}'): anybody(404),
    ('GET', '/_nicegui/{version}/components/{key}'): anybody(404),
    ('GET', '/_nicegui/{version}/resources/{key}/{path}'): anybody(404),
    ('GET', '/_nicegui/{version}/dynamic_resources/{name}'): anybody(404),
    ('GET', '/_nicegui/{version}/esm/{key}/{path}'): anybody(404),
    ('MOUNT', '/assets/{version}'): anybody(404),
    ('GET', '/favicon.ico'): anybody(307),
    ('HEAD', '/favicon.ico'): anybody(200),
    ('GET', '/'): everybody(),
    ('GET', '/{_}'): everybody(),
}
HEALTH: Table = {
    ('GET', '/healthz'): anybody(200), ('HEAD', '/healthz'): anybody(200),
    ('GET', '/readyz'): anybody(200), ('HEAD', '/readyz'): anybody(200),
}  # fmt: skip
SIGNING_IN: Table = {
    ('GET', '/login'): anybody(200, 303), ('HEAD', '/login'): anybody(200, 303),
    ('POST', '/login'): anybody(401, 429),
    ('GET', '/login/code'): anybody(303), ('POST', '/login/code'): anybody(401),
    ('GET', '/login/enrol'): anybody(303), ('POST', '/login/enrol'): anybody(401),
    ('GET', '/oidc/start'): anybody(404),  # without a provider, as here
    ('GET', '/oidc/callback'): anybody(404),
    ('GET', '/invite/{token}'): anybody(404), ('HEAD', '/invite/{token}'): anybody(404),
    ('POST', '/invite/{token}'): anybody(404),
    ('GET', '/reset/{token}'): anybody(404), ('HEAD', '/reset/{token}'): anybody(404),
    ('POST', '/reset/{token}'): anybody(404),
    ('GET', '/forgot'): anybody(200), ('HEAD', '/forgot'): anybody(200), ('POST', '/forgot'): anybody(200, 429),
    ('GET', '/setup'): anybody(303), ('POST', '/setup'): anybody(303),
    ('POST', '/logout'): Case(SESSION, gives=(303,)),
}  # fmt: skip
MOVING_ABOUT: Table = {
    ('GET', '/customers'): everybody(gives=(303,)),
    ('GET', '/noc/'): everybody(gives=(303,)),
    ('GET', '/logout'): everybody(gives=(303,)),
    ('GET', '/noc'): everybody(),
    ('WS', '/live'): everybody(),
    ('GET', '/api/ui/session'): everybody(),
    ('GET', '/api/ui/overview'): everybody(),
    ('GET', '/api/ui/trends'): everybody(),
    ('GET', '/api/ui/find'): everybody(query='q=x'),
    ('GET', '/api/ui/partner'): everybody(),
    ('GET', '/api/ui/partner/logo'): everybody(gives=(404,)),  # there is none here
    ('POST', '/api/ui/theme'): role('account.prefer', send={'theme': 'dark'}),
    ('POST', '/api/ui/open-cards'): role('account.prefer', send={'open': []}),
    ('EVENT', 'columns'): handler('account.prefer', 'pages.customers:keep_columns'),
    ('PAGE', '/'): everybody(),
    ('PAGE', '/help'): everybody(),
    ('PAGE', '/help/{topic}/{key}'): everybody(fill={'topic': 'status', 'key': 'blocked'}),
}
LISTS: Table = {
    ('PAGE', '/customers/in-progress'): everybody(),
    ('PAGE', '/customers/complete'): everybody(),
    ('PAGE', '/customers/waiting'): everybody(),
    ('PAGE', '/customers/closed'): everybody(),
    ('TABLE', 'closed'): everybody(),
    ('TABLE', 'in-progress'): everybody(),
    ('TABLE', 'complete'): everybody(),
    ('TABLE', 'waiting'): everybody(),
    ('GET', '/api/ui/tables/{key}/rows'): everybody(fill={'key': 'in-progress'}),
    ('GET', '/api/ui/tables/{key}/counts'): everybody(fill={'key': 'in-progress'}),
    ('GET', '/api/ui/tables/{key}/export.csv'): role('list.export', fill={'key': 'in-progress'}),
    ('GET', '/api/ui/tables/{key}/export.xlsx'): role('list.export', fill={'key': 'in-progress'}),
    ('GET', '/api/ui/import-template.csv'): everybody(),
}
FACTS = {'facts': {}, 'was': {}}
CUSTOMER: Table = {
    ('PAGE', '/customers/{id}'): thing('customer.see', 'customer_id'),
    ('GET', '/api/ui/customers/{customer_id}/parts'): customer(query='want=head'),
    ('GET', '/api/ui/customers/{customer_id}/monitors/{kind}'): customer(fill={'kind': 'inbound_queue'}),
    ('GET', '/api/ui/customers/{customer_id}/history'): customer(),
    ('GET', '/api/ui/customers/{customer_id}/history.csv'): customer('history.export'),
    ('GET', '/api/ui/customers/{customer_id}/notes'): customer(query='before=9'),
    ('GET', '/api/ui/customers/{customer_id}/notes/{note_id}/versions'): customer(),
    ('POST', '/api/ui/customers/{customer_id}/notes'): customer('note.add', send={'body': 'x'}),
    ('POST', '/api/ui/customers/{customer_id}/notes/{note_id}'): customer(
        'note.edit_own', send={'body': 'x', 'seen': 1}
    ),
    ('POST', '/api/ui/customers/{customer_id}/facts'): customer('customer.change', send=FACTS),
    ('POST', '/api/ui/customers/{customer_id}/contacts/{kind}'): customer('contact.change', send=FACTS),
    ('POST', '/api/ui/customers/{customer_id}/infrastructure'): customer('infrastructure.change', send=FACTS),
}
DOCUMENTS: Table = {
    ('POST', '/api/ui/customers/{customer_id}/attachments'): customer('attachment.add', gives=(201, 409)),
    ('GET', '/api/ui/customers/{customer_id}/attachments/{attachment_id}.pdf'): customer(),
    ('DELETE', '/api/ui/customers/{customer_id}/attachments/{attachment_id}/original'): customer(
        'attachment.delete_original'
    ),
}
VENDOR_SIDE: Table = {
    ('PAGE', '/orders'): role('order.see'),
    ('TABLE', 'orders'): role('order.see'),
    **{
        ('POST', f'/api/ui/customers/{{customer_id}}/orders/{{order_id}}/{act}'): customer(
            'order.record', fill={'order_id': an_order(vendor)}, send=send
        )
        for act, vendor, send in (
            ('passed-on', 'by_hand', {}), ('accepted', 'delivered', {}), ('rejected', 'delivered', {'because': 'x'}),
            ('recalled', 'recall', {}),
            ('deliver-again', 'rejected', {}), ('account-code', 'accepted', {'account_code': a_code}),
        )
    },
    ('POST', '/api/ui/customers/{customer_id}/orders/{order_id}/exported'): customer(
        'order.record', fill={'order_id': a_cancellation}, send={}
    ),
    ('POST', '/api/ui/customers/{customer_id}/orders/{order_id}/correct'): customer(
        'order.submit', fill={'order_id': an_order('delivered')},
        send={'version': 1, 'facts': {'po_number': 'X', 'lead_last_name': 'L', 'lead_email': 'l@bakery.example'}},
    ),
}  # fmt: skip
CONNECT: Table = {
    ('PAGE', '/connect'): everybody(),
    ('GET', '/api/ui/connect'): role('customer.see'),
    ('GET', '/api/ui/customers/{customer_id}/looking-after'): customer('step.assign'),
    ('POST', '/api/ui/customers/{customer_id}/looking-after'): customer('step.assign', send={'person': None}),
    ('POST', '/api/ui/customers/{customer_id}/steps/{step}/assignee'): customer(
        'step.assign', fill={'step': 'account_configuration'}, send={'person': None}
    ),
    ('POST', '/api/ui/customers/{customer_id}/steps/{step}/move'): customer(
        'step.advance', fill={'step': 'recipient_validation'}, send={'verb': 'start'}, gives=(200, 409)
    ),
    ('POST', '/api/ui/customers/{customer_id}/steps/{step}/check'): customer(
        'step.check', fill={'step': 'account_configuration'}, gives=(200, 409)
    ),
    ('POST', '/api/ui/customers/{customer_id}/connect/hold'): customer(
        'connect.hold', send={'because': 'x', 'until': ''}, gives=(200, 409)
    ),
    ('POST', '/api/ui/customers/{customer_id}/connect/resume'): customer('connect.hold', gives=(200, 409)),
    ('POST', '/api/ui/customers/{customer_id}/connect/complete'): customer('connect.complete', gives=(200, 409)),
    ('POST', '/api/ui/customers/{customer_id}/connect/reopen'): customer(
        'connect.complete', send={'step': 'journaling', 'because': 'x'}, gives=(200, 409)
    ),
    ('POST', '/api/ui/customers/{customer_id}/connect/abandon'): customer(
        'connect.abandon', send={'because': 'x'}, gives=(200, 409)
    ),
    ('PAGE', '/settings/templates'): role('template.change'),
    ('GET', '/api/ui/templates'): role('template.change'),
    ('GET', '/api/ui/templates/{key}/versions/{version}'): role(
        'template.change',
        fill={'key': 'default', 'version': '1'},
        gives=(200, 404),  # 404: nobody has asked for it yet
    ),
    ('POST', '/api/ui/templates/{key}'): role(
        'template.change', fill={'key': 'default'}, send={'name': 'x', 'steps': [], 'was': 1}, gives=(422,)
    ),
    ('POST', '/api/ui/templates/{key}/copy'): role('template.change', fill={'key': 'default'}, gives=(422,)),
    ('POST', '/api/ui/templates/{key}/default'): role('template.change', fill={'key': 'classic'}, gives=(200,)),
    ('POST', '/api/ui/templates/{key}/remove'): role('template.change', fill={'key': 'nothing'}, gives=(409,)),
}
PROSPECT = {'prospect_id': a_prospect}
PROSPECTS: Table = {
    ('PAGE', '/prospects'): role('prospect.see'),
    ('PAGE', '/prospects/new'): role('prospect.change'),
    ('PAGE', '/prospects/{id}'): thing('prospect.see', 'id', fill={'id': a_prospect}),
    ('TABLE', 'prospects'): role('prospect.see'),
    ('GET', '/api/ui/prospects/{prospect_id}'): thing('prospect.see', 'prospect_id', fill=PROSPECT),
    ('POST', '/api/ui/prospects'): role('prospect.change', send={'facts': {'name': 'A'}}),
    ('POST', '/api/ui/prospects/{prospect_id}'): thing(
        'prospect.change', 'prospect_id', fill=PROSPECT, send={'facts': {'seats': 2}}
    ),
    ('POST', '/api/ui/prospects/{prospect_id}/state'): thing(
        'prospect.change', 'prospect_id', fill=PROSPECT, send={'state': 'lost', 'because': 'x'}
    ),
    ('POST', '/api/ui/prospects/verify'): role('prospect.change', gives=(422,)),  # nothing is asked about no domain
    ('POST', '/api/ui/prospects/{prospect_id}/verify'): thing(
        'prospect.change', 'prospect_id', fill=PROSPECT, send={'domain': 'no domain'}, gives=(422,)
    ),
}
ORDER = '/api/ui/prospects/{prospect_id}/order'
ORDERS: Table = {
    ('PAGE', '/prospects/{id}/order'): thing('prospect.change', 'id', fill={'id': a_prospect}),
    ('GET', ORDER): thing('prospect.change', 'prospect_id', fill=PROSPECT),
    ('GET', f'{ORDER}/fees'): thing('prospect.change', 'prospect_id', fill=PROSPECT, query='seats=1&products=SEC'),
    ('GET', f'{ORDER}/review'): thing('prospect.change', 'prospect_id', fill=PROSPECT, gives=(409,)),  # none is saved
    ('POST', ORDER): thing(
        'prospect.change', 'prospect_id', fill=PROSPECT, send={'facts': {'seats': 1}, 'version': 0}
    ),
    ('POST', f'{ORDER}/submit'): thing(
        'order.submit', 'prospect_id', fill=PROSPECT, send={'version': 0, 'fees': {}}, gives=(409,)
    ),
}  # fmt: skip
PRICES: Table = {
    ('PAGE', '/settings/prices'): role('price.see'),
    ('GET', '/api/ui/prices'): role('price.see'),
    ('POST', '/api/ui/prices'): role('price.change', send={'facts': {}}, gives=(422,)),
    ('POST', '/api/ui/prices/change'): role('price.change', send={'code': 'SEC', 'facts': {'price': '1'}}),
}
RFI: Table = {
    ('PAGE', '/customers/{id}/rfi'): thing('customer.see', 'customer_id'),
    ('GET', '/rfi/{token}'): anybody(404, 429), ('HEAD', '/rfi/{token}'): anybody(404, 429),
    ('GET', '/rfi/{token}/logo'): anybody(404),
    ('POST', '/rfi/{token}/open'): anybody(404, 429), ('GET', '/rfi/{token}/now'): anybody(404, 429),
    ('POST', '/rfi/{token}/answers'): anybody(404, 429), ('POST', '/rfi/{token}/submit'): anybody(404, 429),
    ('GET', '/rfi/{token}/domains'): anybody(404, 429),
    ('GET', '/api/ui/customers/{customer_id}/rfi'): customer(),
    ('GET', '/api/ui/customers/{customer_id}/rfi/domains'): customer('rfi.fill'),
    ('POST', '/api/ui/customers/{customer_id}/rfi/answers'): customer('rfi.fill', gives=(422,)),  # none were sent
    ('POST', '/api/ui/customers/{customer_id}/rfi/submit'): customer('rfi.fill', gives=(422,)),  # undeclared
    ('POST', '/api/ui/customers/{customer_id}/rfi/check'): customer('rfi.fill', gives=(409,)),  # it needs no form
    ('GET', '/api/ui/customers/{customer_id}/rfi/links'): customer('rfi.send'),
    ('POST', '/api/ui/customers/{customer_id}/rfi/reopen'): customer('rfi.reopen', gives=(422,)),  # without a reason
    ('POST', '/api/ui/customers/{customer_id}/rfi/send'): customer('rfi.send', gives=(409,)),  # it needs no form
    ('POST', '/api/ui/customers/{customer_id}/rfi/revoke'): customer('rfi.send', gives=(200,)),
    ('POST', '/api/ui/customers/{customer_id}/rfi/links/{link_id}/revoke'): customer(
        'rfi.send', fill={'link_id': an_rfi_link}
    ),
    ('POST', '/api/ui/rfi/{what}'): role('rfi.send', fill={'what': 'send'}, send={'customers': []}),
}  # fmt: skip
UPGRADES: Table = {
    ('PAGE', '/customers/{id}/upgrade'): thing('prospect.change', 'customer_id'),
    ('GET', '/api/ui/customers/{customer_id}/upgrade'): customer('prospect.change'),
    ('GET', '/api/ui/customers/{customer_id}/upgrade/preview'): customer('prospect.change', query='seats=9'),
    ('POST', '/api/ui/customers/{customer_id}/upgrade'): customer('prospect.change', send={'facts': {'seats': '9'}}),
    ('POST', '/api/ui/customers/{customer_id}/upgrade/{order_id}/discard'): customer(
        'prospect.change', fill={'order_id': a_quote}, send={'version': 1}
    ),
    # The quote lacks nearly everything; nothing is ticked; what was not submitted cannot be withdrawn.
    ('GET', '/api/ui/customers/{customer_id}/upgrade/{order_id}/review'): customer(
        'prospect.change', fill={'order_id': a_quote}, gives=(422,)
    ),
    ('POST', '/api/ui/customers/{customer_id}/upgrade/{order_id}/submit'): customer(
        'order.submit', fill={'order_id': a_quote}, send={'version': 1, 'fees': {}}, gives=(422,)
    ),
    ('POST', '/api/ui/customers/{customer_id}/orders/{order_id}/withdraw'): customer(
        'order.submit', fill={'order_id': a_quote}, gives=(409,)
    ),
    ('GET', '/api/ui/customers/{customer_id}/cancellation'): customer('order.submit'),
    # Its contract has just begun.
    ('POST', '/api/ui/customers/{customer_id}/cancellation'): customer(
        'order.submit', send={'facts': {}}, gives=(409,)
    ),
}
NEW_CUSTOMERS: Table = {
    ('PAGE', '/customers/new'): role('customer.create'),
    ('PAGE', '/customers/import'): role('customer.import'),
    ('POST', '/api/ui/customers'): role('customer.create'),
    ('POST', '/api/ui/imports'): role('customer.import'),
    ('GET', '/api/ui/imports'): role('customer.import'),
    ('GET', '/api/ui/imports/{upload_id}'): mine('customer.import', 'upload_id'),
    ('GET', '/api/ui/imports/{upload_id}/refused.csv'): mine('customer.import', 'upload_id'),
    ('POST', '/api/ui/imports/{upload_id}/apply'): mine('customer.import', 'upload_id', send={'sha256': '0' * 64}),
}
PEOPLE: Table = {
    ('PAGE', '/users'): role('user.manage'),
    ('TABLE', 'users'): role('user.manage'),
    ('GET', '/api/ui/people/customers'): role('user.manage'),
    ('GET', '/api/ui/people/tags'): role('user.manage'),
    ('GET', '/api/ui/people/{user_id}'): thing('user.manage', 'user_id'),
    ('POST', '/api/ui/people'): role('user.manage'),
    ('POST', '/api/ui/people/{user_id}/facts'): thing(
        'user.manage', 'user_id', send={'name': 'Nina', 'email': 'nina@northwind.example'}
    ),
    ('POST', '/api/ui/people/{user_id}/role'): thing('user.manage', 'user_id', send={'role': 'sales'}),
    ('POST', '/api/ui/people/{user_id}/sight'): thing('user.manage', 'user_id'),
    ('POST', '/api/ui/people/{user_id}/disable'): thing('user.manage', 'user_id'),
    ('POST', '/api/ui/people/{user_id}/enable'): thing('user.manage', 'user_id'),
    ('POST', '/api/ui/people/{user_id}/link'): thing('user.manage', 'user_id'),
    ('POST', '/api/ui/people/{user_id}/link/revoke'): thing('user.manage', 'user_id'),
    ('POST', '/api/ui/people/{user_id}/two-factor/reset'): thing('user.manage', 'user_id'),
    ('POST', '/api/ui/people/{user_id}/single-sign-on/unlink'): thing('user.manage', 'user_id'),
    ('POST', '/api/ui/people/{user_id}/sessions/end'): thing('user.manage', 'user_id'),
}
ACCOUNT: Table = {
    ('PAGE', '/account'): everybody(),
    ('GET', '/api/ui/account'): everybody(),
    ('POST', '/api/ui/account/name'): role('account.change'),
    ('POST', '/api/ui/account/password'): role('account.change'),
    ('POST', '/api/ui/account/time-zone'): role('account.change'),
    ('POST', '/api/ui/account/connect-mail'): role('account.change', send={'digest': False, 'reminders': True}),
    ('POST', '/api/ui/account/sessions/others/end'): role('account.change'),
    ('POST', '/api/ui/account/sessions/{session_id}/end'): mine(
        'account.change', 'session_id', fill={'session_id': an_own_session}
    ),
    ('POST', '/api/ui/account/two-factor/begin'): role('account.change'),
    ('POST', '/api/ui/account/two-factor/codes'): role('account.change'),
    ('POST', '/api/ui/account/two-factor/confirm'): role('account.change'),
    ('POST', '/api/ui/account/two-factor/off'): role('account.change'),
}
CONSOLES: Table = {
    ('PAGE', '/access'): role('access.grant'),
    ('GET', '/.well-known/jwks.json'): anybody(200),
    ('GET', '/demo-console'): anybody(404), ('POST', '/demo-console'): anybody(404),  # without the demo, as here
    ('POST', '/customers/{customer_id}/console'): customer('console.open', gives=(200, 409)),
    ('GET', '/api/ui/access'): role('access.grant'),
    ('GET', '/api/ui/access/begin'): everybody(),
    ('GET', '/api/ui/access/{person_id}/customers'): thing(
        'access.grant', 'person_id', fill={'person_id': a_colleague}
    ),
    ('POST', '/api/ui/access/begin'): role('access.grant_generic'),
    ('POST', '/api/ui/access/grant'): role('access.grant', send={'user': a_fellow, 'customers': []}),
    ('POST', '/api/ui/access/revoke'): role('access.grant', send={'user': a_fellow, 'customers': []}),
    ('GET', '/api/ui/customers/{customer_id}/access'): customer('access.grant'),
    ('POST', '/api/ui/customers/{customer_id}/access'): customer('access.grant', send={'user': a_fellow}),
    ('POST', '/api/ui/customers/{customer_id}/access/revoke'): customer('access.grant', send={'user': a_fellow}),
    ('POST', '/api/ui/customers/{customer_id}/access/console'): customer('customer.change', send={'console': None}),
    ('GET', '/api/ui/consoles'): role('settings.change'),
    ('POST', '/api/ui/consoles'): role('settings.change'),
    ('POST', '/api/ui/consoles/{console_id}'): thing('settings.change', 'console_id'),
    ('POST', '/api/ui/consoles/{console_id}/remove'): thing('settings.change', 'console_id'),
}  # fmt: skip
SETTINGS: Table = {
    ('PAGE', '/settings'): role('settings.change'),
    ('GET', '/api/ui/settings'): role('settings.change'),
    ('POST', '/api/ui/settings'): role('settings.change'),
    ('GET', '/api/ui/next-steps'): role('settings.change'),
    ('POST', '/api/ui/next-steps/dismiss'): role('settings.change'),
    ('POST', '/api/ui/settings/logo'): role('settings.change'),
    ('DELETE', '/api/ui/settings/logo'): role('settings.change'),
    ('POST', '/api/ui/settings/mail/test'): role('settings.change'),
    ('POST', '/api/ui/settings/mail/retry'): role('settings.change'),
    ('POST', '/api/ui/settings/tokens'): role('token.manage'),
    ('DELETE', '/api/ui/settings/tokens/{token_id}'): thing('token.manage', 'token_id'),
}
AUDIT: Table = {
    ('PAGE', '/audit'): role('audit.see'),
    ('GET', '/api/ui/audit'): role('audit.see'),
    ('GET', '/api/ui/audit.csv'): role('audit.see'),
}
MAIL: Table = {
    ('PAGE', '/mail'): role('mail.see'),
    ('TABLE', 'mail'): role('mail.see'),
    ('GET', '/api/ui/mail'): role('mail.see'),
    ('POST', '/api/ui/mail/retry'): role('mail.see'),
    ('GET', '/api/ui/mail/{message_id}'): thing('mail.see', 'message_id', fill={'message_id': a_message}),
    ('POST', '/api/ui/mail/{message_id}/retry'): thing('mail.see', 'message_id', fill={'message_id': a_message}),
}
READINGS: Table = {
    ('POST', '/api/v1/readings'): machine(send={'readings': []}),
    ('GET', '/api/v1/readings'): anybody(405),
}

ROOMS = (
    FRAMEWORK, HEALTH, SIGNING_IN, MOVING_ABOUT, LISTS, CUSTOMER, DOCUMENTS, NEW_CUSTOMERS, PEOPLE, ACCOUNT, CONSOLES,
    SETTINGS, AUDIT, MAIL, READINGS, CONNECT, PROSPECTS, RFI, ORDERS, VENDOR_SIDE, PRICES, UPGRADES,
)  # fmt: skip
MATRIX: Table = {key: case for room in ROOMS for key, case in room.items()}
NAMED = ACTS | READS  # the right that a route itself names


# -- nothing is missing -----------------------------------------------------------------------------------------------


def _everything(routes: Any) -> Iterator[tuple[str, str]]:
    for method, path in _routes(routes):
        path = path.replace(__version__, '{version}').replace(theme.version(), '{version}')
        yield method, re.sub(r'{(\w+):\w+}', r'{\1}', path)
    yield from (('PAGE', path) for path in ROUTES)
    yield from (('TABLE', key) for key in TABLES)
    yield from NAMED


def _routes(routes: Any) -> Iterator[tuple[str, str]]:
    for route in routes:
        if hasattr(route, 'original_router'):  # a router that FastAPI includes lazily
            yield from _routes(route.original_router.routes)
        elif isinstance(route, Mount):
            yield 'MOUNT', route.path
        elif methods := getattr(route, 'methods', None):
            yield from ((method, route.path) for method in sorted(methods))
        else:
            yield 'WS', route.path


def _advice(key: tuple[str, str]) -> str:
    """The line that is missing, as well as it can be guessed."""
    kind, path = key
    right, names = NAMED.get(key) or PAGE_RIGHTS.get(path, ''), re.findall(r'{(\w+)}', path)
    if kind == 'EVENT':
        entry = f"handler('{right}', 'pages.…:…')"
    elif right == MACHINE:
        entry = 'machine()'
    elif right == SESSION:
        entry = 'Case(SESSION)'
    elif right == ANYBODY or (kind in ('GET', 'HEAD', 'WS', 'MOUNT') and guard.is_public(path)):
        entry = 'anybody(200)'
    elif 'customer_id' in names:
        entry = f"customer('{right}')" if right else 'customer()'
    elif names and kind != 'TABLE':
        entry = f"thing('{right or 'the.right'}', '{names[0]}')"
    else:
        entry = f"role('{right}')" if right in RIGHTS else 'everybody()'
    needed = [name for name in names if name not in USUAL]
    fill = f' with fill={{{", ".join(f"{name!r}: …" for name in needed)}}}' if needed else ''
    doubt = '' if right or entry.startswith('anybody') else '  # or with the right that it needs'
    return f'    {key!r}: {entry},{doubt}{fill}'


async def test_everything_that_can_be_reached_has_an_entry(portal):
    missing = sorted(set(_everything(portal.app.router.routes)) - MATRIX.keys())
    lines = '\n'.join(map(_advice, missing))
    assert not missing, f'add to a room of tests/pages/test_matrix.py, and see that it is what you mean:\n{lines}'


async def test_every_entry_is_of_something_that_there_is(portal):
    gone = sorted(MATRIX.keys() - set(_everything(portal.app.router.routes)))
    assert not gone, f'nothing is there any more of {gone}; take it out of tests/pages/test_matrix.py'


def test_no_entry_is_in_two_rooms():
    assert sum(map(len, ROOMS)) == len(MATRIX)


def test_every_route_is_expected_to_need_the_right_that_it_names():
    differs = [
        f'{key}: its route names {right!r}, its entry {MATRIX[key].right!r}'
        for key, right in NAMED.items()
        if key in MATRIX and MATRIX[key].right != right
    ]
    assert not differs, '\n'.join(differs)


def test_every_route_below_a_customer_asks_who_sees_it():
    loose = [key for key in NAMED if '{customer_id}' in key[1] and key in MATRIX and MATRIX[key].of != 'customer_id']
    assert not loose


# -- and it is so -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def world(portal) -> World:
    made = World(portal)
    await made.build()
    return made


class Asking:
    """One entry, asked by one viewer after the other."""

    def __init__(self, world: World, key: tuple[str, str], case: Case) -> None:
        self.world, self.case = world, case
        self.kind, path = key
        if self.kind == 'TABLE':
            path = f'/api/ui/tables/{path}/rows'
        elif self.kind == 'MOUNT':
            path += '/x'
        self.path = path.replace('/customers/{id}', '/customers/{customer_id}')
        self.method = self.kind if self.kind in ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE') else 'GET'
        self.troubles: list[str] = []

    async def address(self, *, unknown: bool = False) -> str:
        address, fills = self.path, USUAL | self.case.fill
        for name in dict.fromkeys(re.findall(r'{(\w+)}', self.path)):
            value = fills.get(name, 'x')
            filled = value if isinstance(value, str) else str(await value(self.world))
            address = address.replace(
                f'{{{name}}}', UNKNOWN if unknown and name in (self.case.of, self.case.mine) else filled
            )
        return address + (f'?{self.case.query}' if self.case.query else '')

    async def ask(self, token: str, *, unknown: bool = False, **headers: str) -> httpx.Response:
        browser = self.world.portal.browser(token)
        body = {name: await v(self.world) if callable(v) else v for name, v in (self.case.send or {}).items()}
        sent: Any = {'json': body} if self.method not in ('GET', 'HEAD') else {}
        headers = {'origin': 'http://test'} | headers
        if self.case.right == ANYBODY:
            sent = {'data': {}} if sent else {}
        return await browser.request(self.method, await self.address(unknown=unknown), headers=headers, **sent)

    # What an answer may be -------------------------------------------------------------------------------------------

    def allowed(self, answer: httpx.Response) -> str:
        status = answer.status_code
        if self.case.gives:
            return '' if status in self.case.gives else f'gave {status} and not {self.case.gives}'
        if status in (401, 403, 404) or status >= 500 or _to_sign_in(answer):
            return f'gave {status}, though it is allowed{_said(answer)}'
        return ''

    def signed_out(self, answer: httpx.Response) -> str:
        return '' if answer.status_code == 401 or _to_sign_in(answer) else f'gave {answer.status_code}'

    def refused(self, answer: httpx.Response) -> str:
        """In a sentence; a page may also be as if it were not there."""
        if self.kind == 'PAGE' and answer.status_code == 404:
            return ''
        if answer.status_code != 403:
            return f'gave {answer.status_code}, though their role does not include {self.case.right}'
        return '' if _sentence(answer) else f'was refused without a sentence{_said(answer)}'

    def hidden(self, answer: httpx.Response, unknown: httpx.Response, who: PortalUser) -> str:
        """As if there were nothing, to the last byte; who may not act at all can be told that, but always."""
        if answer.status_code != unknown.status_code:
            return f'gave {answer.status_code} for what is hidden, {unknown.status_code} for what there is not'
        if answer.status_code != 404 and not (answer.status_code == 403 and not self.case.includes(who)):
            return f'gave {answer.status_code} for what is hidden{_said(answer)}'
        if self.kind == 'PAGE':  # it has a number of its own in it
            return 'named what is hidden' if 'Bakery' in answer.text else ''
        return '' if answer.content == unknown.content else 'told what is hidden from what there is not'

    async def each(self) -> list[str]:
        """What is wrong, in the words of the failure."""
        case, world = self.case, self.world
        viewers = [*world.own, *world.blind, *world.foreign]
        inside = world.own if case.of == 'customer_id' else [*world.own, *world.blind] if case.of else viewers
        found: list[str] = []

        def note(who: str, what: str) -> None:
            if what:
                found.append(f'{who} {what}')

        answer = await self.ask('')
        note('who is signed out', (self.allowed if case.right == ANYBODY else self.signed_out)(answer))
        for viewer in viewers:
            world.asks = viewer.user
            answer = await self.ask(viewer.token)
            if viewer not in inside:
                note(viewer.name, self.hidden(answer, await self.ask(viewer.token, unknown=True), viewer.user))
            elif not case.includes(viewer.user):
                note(viewer.name, self.refused(answer))
            else:
                note(viewer.name, self.allowed(answer))
                if case.mine:  # the same of somebody else
                    world.asks = world.ana
                    theirs = await self.ask(viewer.token)
                    note(viewer.name, self.hidden(theirs, await self.ask(viewer.token, unknown=True), viewer.user))
                if case.of:
                    gone = await self.ask(viewer.token, unknown=True)
                    note(viewer.name, '' if gone.status_code == 404 else f'gave {gone.status_code} for nothing')
        return found


def _to_sign_in(answer: httpx.Response) -> bool:
    return answer.status_code == 303 and answer.headers['location'].split('?')[0] == '/login'


def _sentence(answer: httpx.Response) -> bool:
    if answer.headers.get('content-type', '').startswith('application/json'):
        return str(answer.json().get('error', '')).endswith('.')
    return 'does not include this' in answer.text


def _said(answer: httpx.Response) -> str:
    return f': {answer.text[:200]}' if answer.headers.get('content-type', '').startswith('application/json') else ''


def _named(keys: Any) -> Any:
    return pytest.mark.parametrize('key', [pytest.param(key, id=' '.join(key)) for key in keys])


ASKED = [key for key, case in MATRIX.items() if not case.handler and case.right != MACHINE and key[0] != 'WS']


@_named(ASKED)
async def test_each_is_given_what_their_role_includes_and_nothing_else(world, key):
    troubles = '\n'.join(await Asking(world, key, MATRIX[key]).each())
    assert not troubles, f'{" ".join(key)}:\n{troubles}'


@_named([key for key, case in MATRIX.items() if case.right == MACHINE])
async def test_a_machine_needs_its_token_and_no_session_is_one(world, key):
    asking = Asking(world, key, MATRIX[key])
    for viewer in [None, *world.own, *world.foreign]:
        assert (await asking.ask(viewer.token if viewer else '')).status_code == 401
    token = await ApiToken.issue(world.partner, 'matrix')
    answer = await asking.ask('', authorization=f'Bearer {token}')
    assert not asking.allowed(answer)
    assert (await asking.ask('', authorization=f'Bearer {token[:-1]}x')).status_code == 401


@_named([key for key in MATRIX if key[0] == 'WS'])
async def test_a_socket_is_for_whoever_is_signed_in(world, wire, key):
    for viewer in [None, *world.own, *world.blind, *world.foreign]:
        headers = {'cookie': f'{guard.COOKIE}={viewer.token}'} if viewer else {}
        async with wire(world.portal.app, key[1], headers=headers) as socket:
            heard = (await socket.heard())['type']
        assert heard == ('websocket.accept' if viewer else 'websocket.close'), viewer and viewer.name


@_named([key for key, case in MATRIX.items() if case.handler])
async def test_a_handler_hears_only_those_whose_role_includes_it(world, key, monkeypatch):
    case = MATRIX[key]
    module, _, name = case.handler.partition(':')
    hear = getattr(import_module(module), name)
    heard: list[int] = []

    async def hearing(who: PortalUser, *_: Any) -> None:
        heard.append(who.id)

    cell = hear.__closure__[hear.__code__.co_freevars.index('hearing')]
    monkeypatch.setattr(cell, 'cell_contents', hearing)
    viewers = [*world.own, *world.blind, *world.foreign]
    for viewer in viewers:
        session = await Session.get(token_hash=token_hash(viewer.token))
        monkeypatch.setitem(guard._owners, viewer.name, session.id)
        await hear(_Page(viewer.name))
    await hear(_Page('nobody’s'))
    assert heard == [viewer.user.id for viewer in viewers if case.includes(viewer.user)]
    heard.clear()
    for viewer in viewers:
        await (await Session.get(token_hash=token_hash(viewer.token))).end(because='signed out')
        await hear(_Page(viewer.name))
    assert not heard


@dataclass
class _Page:
    id: str
