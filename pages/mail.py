"""The e-mail of the MSP: what was sent, what waits and what failed, and why. What a message says is shown to nobody."""

from typing import Any

from tortoise.expressions import Q

from components.live_table import Choice, LiveTable
from models import Attachment, Customer, Message, MessageState, Order, Partner, PortalUser, VendorState
from models.database import reader
from models.rights import may
from pages.listed import SqlColumn, list_page

RIGHT = 'mail.see'
EXPLAINED = (
    'Invitations, links to RFI forms, orders for the vendor and reminders are listed here as soon as they are written, '
    'with what became of them.'
)
NEWEST_FIRST = {'sort': 'written', 'dir': 'desc'}


# -- the list ---------------------------------------------------------------------------------------------------------


def _column(name: str, heading: str, **described: Any) -> SqlColumn:
    return SqlColumn(name, heading, Message.ORDERS[name], **described)


class WrittenColumn(SqlColumn):
    """When it was written, and with it what the other columns need."""

    async def fill(self, user: PortalUser, found: list[dict[str, Any]]) -> None:
        mail = {each.id: each for each in await Message.filter(id__in=[row['id'] for row in found]).using_db(reader())}
        about = {each.customer_id for each in mail.values() if each.customer_id is not None}
        # Through the one door: a name is shown to nobody who may not know of the customer.
        seen = Customer.visible_to(user).filter(id__in=about)
        names = dict(await seen.values_list('id', 'name')) if about else {}
        for row in found:
            message = mail.get(row['id'])
            if message is None:  # forgotten meanwhile
                row.update(customer='', kind='', state='', mark=None, written=None)
                continue
            row['customer'] = names.get(message.customer_id, '')
            row['kind'], row['written'] = message.kind_title, message.created_at
            row['state'], row['mark'] = message.state.title, _mark(message)


_MARKS = {
    MessageState.SENT: ('done', 'good', 'The mail server took it'),
    MessageState.WAITING: ('clock', 'none', 'It is sent as soon as it can be'),
    MessageState.FAILED: ('bad', 'bad', 'It was not sent'),
    MessageState.STOPPED: ('none', 'none', 'It was taken back before it left'),
}


def _mark(message: Message) -> tuple[str, str, str]:
    """Shape, tone and what the state means, or what the last error was."""
    drawn, tone, said = _MARKS[message.state]
    return drawn, tone, message.error or said


table = LiveTable(
    'mail', Message, [
        'subject', 'recipient', _column('customer', 'Customer'), _column('kind', 'Kind'),
        _column('state', 'State', marks='mark'), 'attempts', 'error',
        WrittenColumn('written', 'Written', Message.ORDERS['written'], 'date'),
    ],
    Message.visible_to, noun='messages', right=RIGHT, narrow=('state',), hidden=('error',),
    yields=('attempts', 'kind'),
    links={'subject': '/mail#{id}', 'customer': '/customers/{customer_id}'},
    searched='subject, recipient or error', told_by='mail', told_to=lambda user: {'explained': EXPLAINED},
    choice=Choice('Show', {
        '': ('All mail', Q(id__gt=0)),
        **{state.value: (state.title, Q(state=state)) for state in (
            MessageState.WAITING, MessageState.FAILED, MessageState.SENT, MessageState.STOPPED,
        )},
    }),
)  # fmt: skip


async def mail_page(user: PortalUser) -> None:
    await list_page(user, table, 'mail.js', RIGHT, _config)


async def _config(who: PortalUser, listed: dict[str, Any]) -> dict[str, Any]:
    if 'sort' not in listed['asked']:
        listed['asked'] |= NEWEST_FIRST
    return {'standing': await standing_of(who)}


# -- what the page asks for again --------------------------------------------------------------------------------------


async def standing_of(user: PortalUser) -> dict[str, Any]:
    """How mail is going: whether there is a mail server, and of what this person sees how much waits and why.

    A mail server that cannot be used is found out by one message; the others wait behind it.
    """
    partner = await Partner.get(id=user.partner_id, using_db=reader())
    waiting = Message.visible_to(user).filter(state=MessageState.WAITING)
    stuck = waiting.exclude(error='')
    newest = await stuck.order_by('-id').first()
    soonest = await stuck.order_by('due_at').first()
    return {
        'server': partner.smtp_host, 'may_set': may(user, 'settings.change'), 'waiting': await waiting.count(),
        'error': newest.error if newest else '',
        'next_at': soonest.due_at if soonest else None,
    }  # fmt: skip


async def details_of(message: Message, user: PortalUser) -> dict[str, Any]:
    """Everything that the panel about one message shows. What it says is not among it."""
    customer = None
    if message.customer_id is not None:
        customer = await Customer.visible_to(user).get_or_none(id=message.customer_id)
    document = None
    if message.attachment_id is not None and customer is not None:
        document = await Attachment.get_or_none(id=message.attachment_id, customer_id=customer.id)
    failed = message.state == MessageState.FAILED
    at = f'/api/ui/customers/{document.customer_id}/attachments/{document.id}.pdf' if document is not None else ''
    return {
        'id': message.id, 'subject': message.subject, 'recipient': message.recipient, 'kind': message.kind_title,
        'state': message.state, 'state_title': message.state.title, 'mark': _mark(message),
        'attempts': message.attempts, 'error': message.error, 'written_at': message.created_at,
        'sent_at': message.sent_at, 'next_at': message.due_at if message.may_be_tried else None,
        'last_moment': message.last_moment if message.state == MessageState.WAITING else None,
        'message_id': message.key, 'may_try': message.may_be_tried,
        'customer': customer and {'id': customer.id, 'name': customer.name},
        'document': document and {'name': document.pdf_name, 'href': at},
        'anew': await _anew(message, customer, user) if failed else None,
    }  # fmt: skip


async def _anew(message: Message, customer: Customer | None, user: PortalUser) -> dict[str, str]:
    """Where a message that failed is written again: a sentence, and a way there for those who may go it."""
    at = f'/customers/{customer.id}' if customer is not None else ''
    match message.kind:
        case 'invite' | 'reset':
            said = 'Check the address, then send the person another link.'
            if not may(user, 'user.manage'):
                return {'said': f'{said} An administrator can do that.'}
            who = await PortalUser.get_or_none(email=message.recipient, partner_id=user.partner_id)
            return {'said': said, 'text': 'To the person', 'href': f'/users#{who.id}' if who else '/users'}
        case 'rfi' | 'rfi_reminder' if at:
            return {'said': 'Check the address, then send the link to the form again.', 'text': 'To the RFI',
                    'href': f'{at}#rfi'}  # fmt: skip
        case 'order_desk' if at:
            waits = await Order.exists(message_id=message.id, vendor=VendorState.BY_HAND)
            said = 'The order is to be passed on by hand, or sent again.' if waits else 'See how the order stands now.'
            return {'said': said, 'text': 'To the orders', 'href': f'{at}#orders'}
        case 'step_reminder' | 'digest':
            return {'said': 'The next one is written by itself, with everything that is still due then.'}
    if at:
        return {'said': 'It has to be sent anew from the customer’s page.', 'text': 'To the customer', 'href': at}
    return {'said': 'It has to be sent anew from where it came from.'}
