"""Orders of every kind: the first one, changes of it, and its end (domain.md 1.8–1.10).

What the portal records (`state`) and what the vendor was told (`vendor`) are two things, and both are kept and shown.
How the second moves is the table `MOVES`: an order is mailed to the vendor's order desk or passed on by a person, and
what the vendor says of it is recorded.
"""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from tortoise import Model, fields
from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from models import calendar, checking, events, rights
from models.checking import Impossible, Invalid
from models.events import transaction
from models.history import HistoryEvent
from models.mailing import post
from models.message import Message, MessageState
from models.partner import Partner
from models.prospect import Prospect
from models.text import fold

if TYPE_CHECKING:
    from models.customer import Customer
    from models.user import PortalUser


class OrderKind(StrEnum):
    NEW = 'new'
    CHANGE = 'change'
    CANCELLATION = 'cancel'

    @property
    def title(self) -> str:
        return {'new': 'Order', 'change': 'Change order', 'cancel': 'Cancellation'}[self.value]


class OrderState(StrEnum):
    """How far it is in the portal. A first order is accepted with the vendor's word; a change is applied on its day."""

    DRAFT = 'draft'
    SUBMITTED = 'submitted'
    ACCEPTED = 'accepted'
    APPLIED = 'applied'
    REJECTED = 'rejected'
    WITHDRAWN = 'withdrawn'

    @property
    def title(self) -> str:
        return self.value.capitalize()


class VendorState(StrEnum):
    """What the vendor was told, and said."""

    NOT_TOLD = 'not_told'
    WAITING = 'waiting'  # for the job that delivers it
    SENDING = 'sending'  # its mail is on its way
    BY_HAND = 'by_hand'  # there is no way but a person's
    DELIVERED = 'delivered'
    ACCEPTED = 'accepted'
    REJECTED = 'rejected'
    RECALL = 'recall'  # it has what was withdrawn: somebody has to say so
    RECALLED = 'recalled'

    @property
    def title(self) -> str:
        return _VENDOR[self]


_VENDOR = {
    VendorState.NOT_TOLD: 'Not told yet',
    VendorState.WAITING: 'Waiting to be delivered',
    VendorState.SENDING: 'On its way by e-mail',
    VendorState.BY_HAND: 'To be passed on by hand',
    VendorState.DELIVERED: 'Delivered',
    VendorState.ACCEPTED: 'Accepted',
    VendorState.REJECTED: 'Rejected',
    VendorState.RECALL: 'Not told of the withdrawal',
    VendorState.RECALLED: 'Told of the withdrawal',
}


@dataclass(frozen=True)
class Move:
    """A way on: from which states of the vendor's side, and in which of the portal's, to what."""

    past: str  # 'ORD-000012 cannot be … now'
    since: frozenset[VendorState]
    to: VendorState
    while_: frozenset[OrderState] = field(default=frozenset({OrderState.SUBMITTED}))
    right: str = ''  # without one it is the job's
    kinds: frozenset[OrderKind] = field(default=frozenset(OrderKind))


_TOLD = frozenset({VendorState.BY_HAND, VendorState.DELIVERED})
# What was submitted may be in force before the vendor has answered.
_IN_FORCE = frozenset({OrderState.SUBMITTED, OrderState.APPLIED})
_WITHDRAWN = frozenset({OrderState.WITHDRAWN})
MOVES: dict[str, Move] = {
    'send': Move('sent', frozenset({VendorState.WAITING}), VendorState.SENDING),
    'keep': Move('left to a person', frozenset({VendorState.WAITING}), VendorState.BY_HAND),
    'sent': Move('delivered', frozenset({VendorState.SENDING}), VendorState.DELIVERED, _IN_FORCE),
    'not_sent': Move('left to a person', frozenset({VendorState.SENDING}), VendorState.BY_HAND, _IN_FORCE),
    # Its mail was leaving as the order was withdrawn.
    'sent_in_vain': Move('delivered', frozenset({VendorState.SENDING}), VendorState.RECALL, _WITHDRAWN),
    'never_sent': Move('given up', frozenset({VendorState.SENDING}), VendorState.NOT_TOLD, _WITHDRAWN),
    'recalled': Move('taken back', frozenset({VendorState.RECALL}), VendorState.RECALLED, _WITHDRAWN, 'order.record'),
    # Also while its mail waits for a mail server that is down: the mail is held back then.
    'passed_on': Move('passed on', frozenset({VendorState.BY_HAND, VendorState.SENDING}), VendorState.DELIVERED,
                      right='order.record'),
    'accept': Move('accepted', _TOLD, VendorState.ACCEPTED, _IN_FORCE, 'order.record'),
    'reject': Move('rejected', _TOLD, VendorState.REJECTED, _IN_FORCE, 'order.record'),
    'deliver_again': Move('delivered again', frozenset({VendorState.BY_HAND}), VendorState.WAITING,
                          right='order.record'),
    # A first order that was rejected is not over: its customer is there, and is being connected.
    'order_again': Move('delivered again', frozenset({VendorState.REJECTED}), VendorState.WAITING,
                        frozenset({OrderState.REJECTED}), 'order.record', frozenset({OrderKind.NEW})),
    # What it says is put right, and it is delivered from the beginning; a change is withdrawn and ordered anew.
    'correct': Move('corrected', _TOLD | {VendorState.WAITING, VendorState.SENDING, VendorState.REJECTED},
                    VendorState.WAITING, frozenset({OrderState.SUBMITTED, OrderState.REJECTED}), 'order.submit',
                    frozenset({OrderKind.NEW})),
}  # fmt: skip
UNANSWERED = timedelta(days=7)  # after which somebody should ask the vendor; so long a rejection is news
QUEUED = timedelta(seconds=15)  # after which somebody is told that its mail waits for its turn
STUCK = timedelta(hours=1)  # after which a person should rather tell the vendor
STILL_QUEUED = 'It waits for its turn, and for the mail server if that could not be used lately.'
WITHDRAWN = 'was withdrawn'  # why its mail is held back
LONGEST_NOTE = 254
# Of `details`: what was put right since the vendor had it, and whether it had rejected it.
AGAIN, WAS_REJECTED = 'again', 'was_rejected'


class ChangeMode(StrEnum):
    """What a change order does to the primary product (domain.md 1.9)."""

    NONE = ''
    KEEP = 'keep'
    ADD = 'add'
    SELECT_NEW = 'select_new'

    @property
    def title(self) -> str:
        return {'': '', 'keep': 'Keep existing', 'add': 'Add to', 'select_new': 'Select new'}[self.value]


_LETTERS = {OrderKind.NEW: 'ORD', OrderKind.CHANGE: 'CHG', OrderKind.CANCELLATION: 'CAN'}


class Order(Model):
    """An order, a change order or a cancellation. `customer` is there from the submission of the first order on."""

    id = fields.IntField(primary_key=True)
    partner: fields.ForeignKeyRelation[Partner] = fields.ForeignKeyField(
        'models.Partner', related_name='orders', on_delete=fields.RESTRICT
    )
    partner_id: int
    prospect: fields.ForeignKeyNullableRelation[Prospect] = fields.ForeignKeyField(
        'models.Prospect', related_name='orders', null=True, on_delete=fields.CASCADE
    )
    prospect_id: int | None
    customer: 'fields.ForeignKeyNullableRelation[Customer]' = fields.ForeignKeyField(
        'models.Customer', related_name='orders', null=True, on_delete=fields.CASCADE
    )
    customer_id: int | None
    kind = fields.CharEnumField(OrderKind, max_length=8, default=OrderKind.NEW)
    state = fields.CharEnumField(OrderState, max_length=10, default=OrderState.DRAFT, description='State')
    # Rises with every saving: who saves or submits names the one that they saw.
    version = fields.IntField(default=1, db_default=1)
    seats = fields.IntField(default=0, db_default=0, description='Licences')
    was_seats = fields.IntField(null=True)
    mode = fields.CharEnumField(ChangeMode, max_length=10, default=ChangeMode.NONE, db_default='')
    products: Any = fields.JSONField(default=list, db_default='[]', description='Products')
    # As it was agreed, with the prices of that day: `code`, `name`, `quantity`, `unit_price`, `term`, `one_time`, and
    # the sums `monthly` and `annual`; amounts are texts of decimals. What a change takes away has negative quantities.
    lines: Any = fields.JSONField(default=list, db_default='[]')
    fees: Any = fields.JSONField(default=dict, db_default='{}')
    currency = fields.CharField(max_length=3, default='', db_default='')
    # What belongs to one kind only: the infrastructure block, the type of a cancellation.
    details: Any = fields.JSONField(default=dict, db_default='{}')
    # Of a cancellation: what `details` say of the customer's data, in a form that can be asked for (`cancelling`).
    export_open = fields.BooleanField(default=False, db_default=False)
    po_number = fields.CharField(max_length=60, default='', db_default='', description='Order (PO) number')
    po_waived = fields.BooleanField(default=False, db_default=False, description='Order number not required')
    accepts_agreement = fields.BooleanField(default=False, db_default=False)
    is_authorised = fields.BooleanField(default=False, db_default=False)
    effective_on = fields.DateField(null=True, description='Effective')
    withdraw_until = fields.DateField(null=True, description='Can be withdrawn until')
    created_by_id = fields.IntField(null=True)
    created_by = fields.CharField(max_length=120, default='', db_default='')
    created_at = fields.DatetimeField(auto_now_add=True)
    changed_at = fields.DatetimeField(auto_now_add=True)
    submitted_by_id = fields.IntField(null=True)
    submitted_by = fields.CharField(max_length=120, default='', db_default='')
    submitted_at = fields.DatetimeField(null=True, description='Submitted')
    vendor = fields.CharEnumField(
        VendorState, max_length=10, default=VendorState.NOT_TOLD, db_default='not_told', description='Vendor'
    )
    vendor_how = fields.CharField(max_length=10, default='', db_default='')  # mail, hand, api
    vendor_to = fields.CharField(max_length=254, default='', db_default='')
    vendor_at = fields.DatetimeField(null=True)
    vendor_error = fields.CharField(max_length=300, default='', db_default='')
    message_id = fields.BigIntField(null=True)
    decided_at = fields.DatetimeField(null=True)
    decided_by = fields.CharField(max_length=120, default='', db_default='')
    decided_because = fields.CharField(max_length=300, default='', db_default='')
    applied_at = fields.DatetimeField(null=True)
    attachment_id = fields.IntField(null=True)

    # All but a cancellation whose document is being drawn: it is nothing before that.
    SHOWN = ~Q(kind=OrderKind.CANCELLATION, state=OrderState.DRAFT)

    class Meta:
        table = 'customer_order'
        table_description = 'An order, a change order or a cancellation'
        indexes = (
            ('partner_id', 'state'),
            ('customer_id', 'kind'),
            ('prospect_id', 'state'),
            ('vendor', 'changed_at'),
            ('state', 'effective_on'),
        )

    @property
    def number(self) -> str:
        """What people call it."""
        return f'{_LETTERS[self.kind]}-{self.id:06}'

    @classmethod
    def visible_to(cls, user: 'PortalUser') -> QuerySet['Order']:
        """The one door: orders of prospects and customers that this person sees."""
        from tortoise.expressions import Q, Subquery

        from models.customer import Customer
        from models.database import reader

        prospects = Subquery(Prospect.visible_to(user).values('id'))
        customers = Subquery(Customer.visible_to(user).values('id'))
        mine = Order.filter(cls.SHOWN, partner_id=user.partner_id).using_db(reader())
        return mine.filter(Q(customer_id__in=customers) | Q(customer_id__isnull=True, prospect_id__in=prospects))

    @classmethod
    def search_in(cls, found: QuerySet['Order'], typed: str) -> QuerySet['Order']:
        """Those with this number or PO number, or of a customer or prospect with this in its name, code or domain."""
        wanted = fold(typed)
        names = (
            Q(customer__search_key__contains=wanted) | Q(prospect__search_key__contains=wanted)
            | Q(po_number__icontains=typed.strip())
        )  # fmt: skip
        digits = typed.rpartition('-')[2].strip()
        if digits.isascii() and digits.isdecimal() and len(digits) <= 9:
            return found.filter(names | Q(id=int(digits)))
        return found.filter(names)

    @classmethod
    def needing_somebody(cls, *, now: datetime | None = None) -> Q:
        """Which orders need a person: to pass them on, also where their mail does not leave, to ask the vendor, to read
        why it rejected them, to tell it of a withdrawal, to type the account code that it gave, or to hand over
        the data of a customer who leaves."""
        now = now or datetime.now(UTC)
        is_open = Q(customer__listing__not='closed')
        return (
            Q(vendor=VendorState.BY_HAND, state=OrderState.SUBMITTED)
            | Q(vendor=VendorState.SENDING, changed_at__lt=now - STUCK, state=OrderState.SUBMITTED)
            | Q(vendor=VendorState.RECALL)
            | Q(vendor=VendorState.DELIVERED, vendor_at__lt=now - UNANSWERED, state__in=list(_IN_FORCE))
            | Q(vendor=VendorState.REJECTED, decided_at__gte=now - UNANSWERED)
            | Q(is_open, Q(kind=OrderKind.NEW) | Q(state=OrderState.APPLIED), vendor=VendorState.REJECTED)
            | Q(is_open, vendor=VendorState.ACCEPTED, kind=OrderKind.NEW, customer__code_is_provisional=True)
            | Q(export_open=True, state__in=list(_IN_FORCE))
        )

    @property
    def vendor_said(self) -> str:
        """How the vendor's side is, in words."""
        is_over = self.state == OrderState.WITHDRAWN and self.vendor == VendorState.NOT_TOLD
        return 'Was never told' if is_over else self.vendor.title

    @property
    def since(self) -> datetime:
        """Since when the vendor's side is what it is."""
        return self.decided_at or self.vendor_at or self.submitted_at or self.changed_at

    def moves(self) -> list[str]:
        """What a person can do about the vendor's side now, by the keys of `MOVES`."""
        return [verb for verb, move in MOVES.items() if move.right and self._allows(move)]

    def _allows(self, move: Move) -> bool:
        return self.vendor in move.since and self.state in move.while_ and self.kind in move.kinds

    # -- what a person records ----------------------------------------------------------------------------------------

    async def passed_on(self, by: 'PortalUser', note: str = '') -> None:
        """Somebody has told the vendor; `note` says whom, or how. Raises `Refused`, `Invalid` and `Impossible`."""
        note = checking.line('note', note, LONGEST_NOTE)
        async with self._moving('passed_on', by) as fresh:
            fresh.vendor_how, fresh.vendor_to, fresh.vendor_at = 'hand', note, datetime.now(UTC)
            fresh.vendor_error = ''
            said = f'{fresh.number} was passed on to the vendor by hand{f" – {note}" if note else ""}'
            await fresh._write('order.passed_on', said, by)

    async def accept(self, by: 'PortalUser', account_code: str = '') -> None:
        """The vendor has accepted it. With a first order the account code may be there already; it takes the place of
        the provisional one. Raises `Refused`, `Invalid` and `Impossible`."""
        from models.customer import Customer

        code = checking.line('account_code', account_code, 200)
        async with self._moving('accept', by) as fresh:
            if code and fresh.kind != OrderKind.NEW:
                raise Invalid('account_code', 'comes with the first order only')
            if code:  # the customer before the history
                await Customer.filter(id=fresh.customer_id).select_for_update().get()
            fresh._decided(by)
            if fresh.kind == OrderKind.NEW:
                fresh.state = OrderState.ACCEPTED
            await fresh._write('order.accepted', f'The vendor accepted {fresh.number}', by)
            if code:
                await fresh._take_code(code, by)

    async def reject(self, by: 'PortalUser', because: str) -> None:
        """The vendor has rejected it, and why. A change or a cancellation that is not in force is over; a first order
        leaves its customer in Connect. Raises `Refused`, `Invalid` and `Impossible`."""
        because = checking.line('because', because, 300)
        if not because:
            raise Invalid('because', 'To record that it was rejected, say why.')
        async with self._moving('reject', by) as fresh:
            fresh._decided(by, because)
            if fresh.state == OrderState.SUBMITTED:
                fresh.state = OrderState.REJECTED
            await fresh._write('order.rejected', f'The vendor rejected {fresh.number} – {because}', by)

    async def recalled(self, by: 'PortalUser', note: str = '') -> None:
        """Somebody has told the vendor that it was withdrawn; `note` says whom, or how. Raises `Refused`, `Invalid` and
        `Impossible`."""
        note = checking.line('note', note, LONGEST_NOTE)
        async with self._moving('recalled', by) as fresh:
            said = f'The vendor was told that {fresh.number} is withdrawn{f" – {note}" if note else ""}'
            await fresh._write('order.recalled', said, by)

    async def untold(self) -> VendorState:
        """What the vendor's side becomes as the order is withdrawn, within that transaction; its e-mail is stopped
        unless it has left."""
        if self.vendor in (VendorState.DELIVERED, VendorState.ACCEPTED):
            return VendorState.RECALL
        if self.vendor == VendorState.SENDING and not await self._hold_back(WITHDRAWN):
            return VendorState.SENDING  # it is leaving at this moment: `settle` tells what became of it
        return VendorState.NOT_TOLD

    async def deliver_again(self, by: 'PortalUser', note: str = '') -> None:
        """Deliver it once more: what was wrong is right now, or there is a way by now. `note` says what was put right.
        Raises `Refused`, `Invalid` and `Impossible`."""
        note = checking.line('note', note, LONGEST_NOTE)
        async with self._moving('deliver_again', by, 'order_again') as fresh:
            fresh._begin_again(note)
            said = f'{fresh.number} is delivered again{f" – {note}" if note else ""}'
            await fresh._write('order.delivered_again', said, by)

    async def name_account(self, by: 'PortalUser', account_code: str) -> None:
        """The account code came after the acceptance. Raises `Refused`, `Invalid` and `Impossible`."""
        rights.require(by, 'order.record')
        self._require_own(by)
        code = checking.line('account_code', account_code, 200)
        async with transaction():
            fresh = await self._fresh()
            if fresh.kind != OrderKind.NEW or fresh.vendor != VendorState.ACCEPTED:
                raise Impossible(f'The account code comes with the acceptance. {fresh._now()}')
            await fresh._take_code(code, by)
            fresh._tell()

    def require_correctable(self) -> None:
        """Raise `Impossible` where what it says cannot be put right, as it is known here."""
        if not self._allows(MOVES['correct']):
            raise Impossible(self._now())

    @asynccontextmanager
    async def correction(self, by: 'PortalUser', said: str) -> AsyncGenerator['Order']:
        """The order as it is now, to be put right by the caller (models/correcting.py), and then delivered from the
        beginning. Raises `Refused`, and `Impossible` where it cannot be or is not what the caller knew."""
        async with self._moving('correct', by) as fresh:
            if fresh.version != self.version:
                raise Impossible(f'{self.number}: somebody else was quicker. Look at it again.')
            yield fresh
            fresh._begin_again(said)
            await fresh._write('order.corrected', f'{fresh.number} was corrected – {said}', by)

    def _begin_again(self, note: str) -> None:
        """Nobody has been told, or what the vendor had is told in the e-mail: what was put right (`note`)."""
        if self.vendor_at is not None:
            was_rejected = self.decided_at is not None
            self.details = {**(self.details or {}), AGAIN: note, WAS_REJECTED: was_rejected}
        self.state = OrderState.SUBMITTED
        self.vendor_how = self.vendor_to = self.vendor_error = self.decided_by = self.decided_because = ''
        self.vendor_at = self.decided_at = self.message_id = None

    def _decided(self, by: 'PortalUser', because: str = '') -> None:
        now = datetime.now(UTC)
        if self.vendor_at is None:  # to be rejected or accepted it was passed on
            self.vendor_how, self.vendor_at = 'hand', now
        self.decided_at, self.decided_by, self.decided_because, self.vendor_error = now, by.name[:120], because, ''

    async def _take_code(self, code: str, by: 'PortalUser') -> None:
        from models.connect_step import ConnectStep
        from models.customer import Customer

        assert self.customer_id is not None
        customer = await Customer.get(id=self.customer_id)
        await customer.receive_code(code, by=by)
        await ConnectStep.check_again(customer.id, 'account')

    # -- what the job does --------------------------------------------------------------------------------------------

    @classmethod
    async def waiting(cls, *, but: Iterable[int] = (), limit: int = 100) -> list[Self]:
        """Those that are to be delivered, the oldest first; `but` are ids that are left out."""
        found = cls.filter(vendor=VendorState.WAITING, state=OrderState.SUBMITTED, id__not_in=list(but))
        return await found.order_by('changed_at', 'id').limit(limit)

    @classmethod
    async def sending(cls, *, but: Iterable[int] = (), limit: int = 500) -> list[Self]:
        """Those whose mail is on its way, the oldest first; `but` are ids that are left out."""
        found = cls.filter(vendor=VendorState.SENDING, id__not_in=list(but))
        return await found.order_by('changed_at', 'id').limit(limit)

    async def deliver(self) -> bool:
        """Write to the vendor's order desk, or leave it to a person and say why. The message and the order's new state
        are stored together or not at all; False where somebody else was quicker."""
        async with transaction():
            fresh = await self._fresh()
            if not fresh._allows(MOVES['send']):
                return False
            partner = await Partner.get(id=fresh.partner_id)
            message, why = await fresh._posted(partner)
            before = fresh.vendor, fresh.state
            if message is None:
                fresh.vendor, fresh.vendor_error = MOVES['keep'].to, why[:300]
                await fresh._store(before)
                await fresh._write('order.by_hand', f'{fresh.number} is to be passed on to the vendor by hand. {why}')
            else:
                fresh.vendor, fresh.message_id, fresh.vendor_error = MOVES['send'].to, message.id, ''
                fresh.vendor_how, fresh.vendor_to = 'mail', message.recipient
                await fresh._store(before)
            fresh._tell()
        return True

    async def settle(self) -> bool:
        """Look what has become of its mail; whether anything was stored."""
        message = await Message.get_or_none(id=self.message_id or 0)
        is_waiting = message is not None and message.state == MessageState.WAITING
        if is_waiting and self.state == OrderState.WITHDRAWN:  # its first try has failed: there is no other
            is_waiting = not await self._hold_back(WITHDRAWN)
        if message is not None and is_waiting:
            is_late = datetime.now(UTC) - message.created_at > QUEUED
            return await self._delayed(message.error or (STILL_QUEUED if is_late else ''))
        async with transaction():
            fresh = await self._fresh()
            was_sent = message is not None and message.state == MessageState.SENT
            is_withdrawn = fresh.state == OrderState.WITHDRAWN
            verb = ('sent_in_vain', 'never_sent') if is_withdrawn else ('sent', 'not_sent')
            move = MOVES[verb[0] if was_sent else verb[1]]
            if not fresh._allows(move) or fresh.message_id != self.message_id:
                return False
            before = fresh.vendor, fresh.state
            fresh.vendor = move.to
            if message is not None and was_sent:
                fresh.vendor_at, fresh.vendor_error = message.sent_at or datetime.now(UTC), ''
                kind, said = 'order.delivered', f'{fresh.number} was delivered to {fresh.vendor_to} by e-mail'
                said += ' as it was withdrawn: the vendor has to be told' if is_withdrawn else ''
            elif is_withdrawn:
                fresh.vendor_how = fresh.vendor_to = fresh.vendor_error = ''
                kind, said = 'order.not_sent', f'{fresh.number} was not e-mailed: the vendor has not got it'
            else:
                why = message.error if message is not None else 'What has become of its e-mail is not known any more.'
                fresh.vendor_how, fresh.vendor_error = '', why[:300]
                kind = 'order.by_hand'
                said = (
                    f'{fresh.number} could not be e-mailed to {fresh.vendor_to}: it is to be passed on by hand. {why}'
                )
                fresh.vendor_to = ''
            await fresh._store(before)
            await fresh._write(kind, said)
            fresh._tell()
        return True

    async def _delayed(self, why: str) -> bool:
        """Show why its mail has not gone out yet."""
        if why == self.vendor_error:
            return False
        async with transaction():
            there = Order.filter(id=self.id, vendor=VendorState.SENDING, message_id=self.message_id)
            if not await there.update(vendor_error=why[:300]):
                return False
            self._tell()
        return True

    async def _posted(self, partner: Partner) -> tuple[Message | None, str]:
        """The message to the order desk; or None, and why a person has to tell the vendor."""
        from models.attachment import Attachment
        from models.customer import Customer

        if not partner.order_desk:
            return None, 'The settings name no order desk that takes orders by e-mail.'
        if not partner.smtp_host:
            return None, 'The portal has no mail server to send it by.'
        customer = await Customer.get(id=self.customer_id or 0)
        document = await Attachment.get_or_none(id=self.attachment_id or 0, customer_id=customer.id)
        if document is None:
            return None, 'There is no document of it that could be sent.'
        code = f'{customer.account_code}{" (provisional)" if customer.code_is_provisional else ""}'
        facts = {
            'title': self.kind.title, 'number': self.number, 'customer': customer.name, 'account_code': code,
            'po_number': 'Not required' if self.po_waived else self.po_number, 'by': self.submitted_by,
            'effective': calendar.said(self.effective_on, none=''),
            'asks_for_code': self.kind == OrderKind.NEW and customer.code_is_provisional,
            'again': (self.details or {}).get(AGAIN), 'was_rejected': (self.details or {}).get(WAS_REJECTED, True),
        }  # fmt: skip
        try:
            message = await post(
                partner, kind='order_desk', recipient=partner.order_desk, template='order_desk', facts=facts,
                customer_id=customer.id, attachment_id=document.id,
            )  # fmt: skip
        except Invalid as error:
            return None, f'The order desk cannot be written to: {error.message}.'
        return message, ''

    # -- how all of them move -----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _moving(self, verb: str, by: 'PortalUser', or_else: str = '') -> AsyncGenerator['Order']:
        """A person moves the vendor's side on: the order as it is now, to be filled in; stored at the end, or not at
        all. Of two people at once, the second is told what the first has recorded."""
        move = MOVES[verb]
        rights.require(by, move.right)
        self._require_own(by)
        async with transaction():
            fresh = await self._fresh()
            if or_else and not fresh._allows(move):
                move = MOVES[or_else]
            if not fresh._allows(move):
                raise Impossible(fresh._now())
            before = fresh.vendor, fresh.state
            if fresh.vendor == VendorState.SENDING and not await fresh._hold_back('went another way'):
                raise Impossible(f'{self.number} is being e-mailed at this moment. Look again in a moment.')
            fresh.vendor = move.to
            yield fresh
            await fresh._store(before)
            fresh._tell()
        self.update_from_dict({name: getattr(fresh, name) for name in _MOVED})

    async def _hold_back(self, why: str) -> bool:
        """Keep its mail from leaving, so that the vendor is not told twice; False where it is leaving or has left."""
        message = await Message.get_or_none(id=self.message_id or 0)
        if message is None or message.state in (MessageState.FAILED, MessageState.STOPPED):
            return True
        return await Message.stop(message.id, f'{self.number} {why} before it was sent.')

    def _require_own(self, by: 'PortalUser') -> None:
        if by.partner_id != self.partner_id:
            raise rights.Refused('This is another MSP’s order.')

    async def _fresh(self) -> 'Order':
        """The order as it is now, kept from whoever else moves it on."""
        return await Order.filter(id=self.id).select_for_update(no_key=True).get()

    async def _store(self, before: tuple[VendorState, OrderState]) -> None:
        """Store what a move has changed, if it is still what it was before; raises `Impossible`."""
        self.version += 1
        self.changed_at = datetime.now(UTC)
        there = Order.filter(id=self.id, vendor=before[0], state=before[1], version=self.version - 1)
        if not await there.update(**{name: getattr(self, name) for name in _MOVED}):
            raise Impossible(f'{self.number}: somebody else was quicker. Look at it again.')

    async def _write(self, kind: str, said: str, by: 'PortalUser | None' = None) -> None:
        """Write it down for the customer, and for the MSP where the prospect's life and the audit are."""
        from models.customer import Customer

        about: dict[str, Any] = {'order': self.id} | ({'prospect': self.prospect_id} if self.prospect_id else {})
        await HistoryEvent.add(self.partner_id, kind, said, customer_id=self.customer_id, by=by, **about)
        name = (await Customer.get(id=self.customer_id or 0)).name
        about['customer'] = self.customer_id
        await HistoryEvent.add(self.partner_id, kind, f'{name}: {said}', by=by, **about)

    def _tell(self) -> None:
        if self.customer_id is not None:
            events.CUSTOMER_TOUCHED.emit(self.partner_id, {self.customer_id: frozenset({'orders'})})
        if self.prospect_id is not None:
            events.PROSPECTS_CHANGED.emit(self.partner_id)

    def _now(self) -> str:
        """How it stands, in a sentence, for somebody who wanted to move it on."""
        who = self.decided_by or 'Somebody'
        if self.vendor == VendorState.RECALL:
            return f'{self.number} was withdrawn, and the vendor is to be told.'
        if self.vendor == VendorState.RECALLED:
            return f'Somebody has recorded already that the vendor was told of the withdrawal of {self.number}.'
        if self.state in (OrderState.DRAFT, OrderState.WITHDRAWN):
            is_draft = self.state == OrderState.DRAFT
            return f'{self.number} {"is not submitted yet" if is_draft else "was withdrawn"}.'
        return {
            VendorState.NOT_TOLD: f'{self.number} is not submitted yet.',
            VendorState.WAITING: f'{self.number} is about to be delivered. Look again in a moment.',
            VendorState.SENDING: f'{self.number} is on its way by e-mail.',
            VendorState.BY_HAND: f'{self.number} is to be passed on by hand first.',
            VendorState.DELIVERED: f'{self.number} is delivered already.',
            VendorState.ACCEPTED: f'{who} has recorded already that the vendor accepted {self.number}.',
            VendorState.REJECTED: f'{who} has recorded already that the vendor rejected {self.number}.',
        }[self.vendor]


# What a move may change.
_MOVED = (
    'state', 'version', 'changed_at', 'vendor', 'vendor_how', 'vendor_to', 'vendor_at', 'vendor_error', 'message_id',
    'decided_at', 'decided_by', 'decided_because', 'details', 'po_number', 'po_waived', 'attachment_id',
)  # fmt: skip
