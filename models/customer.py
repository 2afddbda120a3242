import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q, Subquery
from tortoise.functions import Lower
from tortoise.queryset import QuerySet

from models import calendar, checking, events, rights
from models.access import CustomerAccess
from models.calendar import add_months, at, day_of, today
from models.connect_step import (
    CHECKED,
    LONGEST_REASON,
    RFI,
    TEMPLATES,
    ConnectStep,
    StepOwner,
    StepState,
    begin,
    plan_open,
    unlock,
)
from models.connect_template import ConnectTemplate
from models.events import Changed, transaction
from models.history import HistoryEvent, numbered
from models.monitor import Health, Monitor, MonitorKind, MonitorState
from models.partner import CompletionRule, Partner
from models.rfi import Rfi, RfiIcon, RfiState
from models.tag import CustomerTag, UserTag
from models.text import fold, initial, printable, sort_key

if TYPE_CHECKING:
    from models.admin_console import AdminConsole
    from models.user import PortalUser

log = logging.getLogger(__name__)


class AccountType(StrEnum):
    STANDARD = 'standard'
    EXPRESS = 'express'
    TRIAL = 'trial'
    NFR = 'nfr'
    INTERNAL = 'internal'

    @property
    def title(self) -> str:
        return 'Not for resale' if self == AccountType.NFR else self.value.capitalize()


class Listing(StrEnum):
    """In which list a customer is."""

    WAITING = 'waiting'
    IN_PROGRESS = 'in_progress'
    COMPLETE = 'complete'
    CLOSED = 'closed'


class Closing(StrEnum):
    """Why a customer is no longer one."""

    NONE = ''
    CANCELLED = 'cancelled'
    ABANDONED = 'abandoned'
    MOVED = 'moved'

    @property
    def title(self) -> str:
        return _CLOSINGS[self]


_CLOSINGS = {
    Closing.NONE: '', Closing.CANCELLED: 'Cancelled', Closing.ABANDONED: 'Connect abandoned',
    Closing.MOVED: 'Moved to another partner',
}  # fmt: skip


class Customer(Model):
    """A customer of an MSP. The descriptions of the fields are the headings of lists."""

    id = fields.IntField(primary_key=True)
    partner: fields.ForeignKeyRelation[Partner] = fields.ForeignKeyField(
        'models.Partner', related_name='customers', on_delete=fields.RESTRICT
    )
    partner_id: int
    name = fields.CharField(max_length=200, description='Customer')
    name_key = fields.CharField(max_length=220)
    initial = fields.CharField(max_length=1)
    search_key = fields.CharField(max_length=700)
    account_code = fields.CharField(max_length=40, description='Account code')
    # Until the vendor has accepted the order: the portal's own code stands in.
    code_is_provisional = fields.BooleanField(default=False, db_default=False)
    domain = fields.CharField(max_length=253, default='', db_default='', description='Domain')
    seats = fields.IntField(default=0, db_default=0, description='Licences')
    account_type = fields.CharEnumField(AccountType, max_length=10, description='Account type')
    products_in_short = fields.CharField(max_length=200, default='', db_default='', description='Products')
    listing = fields.CharEnumField(Listing, max_length=12, default=Listing.IN_PROGRESS, description='List')
    connect_status = fields.CharField(max_length=120, default='', db_default='', description='Connect status')
    connect_key = fields.CharField(max_length=30, default='', db_default='')
    connect_since = fields.DatetimeField(null=True, description='In this step since')
    blocked_because = fields.CharField(max_length=200, default='', db_default='', description='Blocked because')
    # What the board of Connect goes by, worked out by `restate`: whose the current step is, until when it is to be
    # done, who of the MSP's people sees to it, and how many of the steps that apply are done.
    connect_owner = fields.CharField(max_length=10, default='', db_default='', description='Owner of the step')
    connect_due = fields.DatetimeField(null=True, description='Due')
    connect_person_id = fields.IntField(null=True)
    steps_done = fields.SmallIntField(default=0, db_default=0)
    steps_of = fields.SmallIntField(default=0, db_default=0)
    # The version of the template that its steps were copied from; none where they are the portal's own.
    template_id = fields.IntField(null=True)
    hold_because = fields.CharField(max_length=200, default='', db_default='', description='On hold because')
    hold_until = fields.DateField(null=True, description='On hold until')
    held_at = fields.DatetimeField(null=True)
    responsible: 'fields.ForeignKeyNullableRelation[PortalUser]' = fields.ForeignKeyField(
        'models.PortalUser', related_name='looks_after', null=True, on_delete=fields.SET_NULL
    )
    responsible_id: int | None
    rfi = fields.IntEnumField(RfiIcon, default=RfiIcon.INCOMPLETE, description='RFI')
    rfi_returned = fields.BooleanField(default=False, db_default=False)
    # The icons as they are shown, so that a list of 100,000 sorts by them at once; `models.monitor` alone writes them.
    inbound_queue = fields.IntEnumField(Health, default=Health.NOT_CONFIGURED, description='Inbound email queue')
    outbound_queue = fields.IntEnumField(Health, default=Health.NOT_CONFIGURED, description='Outbound email queue')
    journal_queue = fields.IntEnumField(Health, default=Health.NOT_CONFIGURED, description='Journaling queue')
    journal_connector = fields.IntEnumField(Health, default=Health.NOT_CONFIGURED, description='Journaling connector')
    directory_connector = fields.IntEnumField(
        Health, default=Health.NOT_CONFIGURED, description='Active Directory connector'
    )
    worst = fields.IntEnumField(Health, default=Health.NOT_CONFIGURED, description='Worst signal')
    console_url = fields.CharField(max_length=300, default='', db_default='')
    console: 'fields.ForeignKeyNullableRelation[AdminConsole]' = fields.ForeignKeyField(
        'models.AdminConsole', related_name='customers', null=True, on_delete=fields.SET_NULL
    )
    console_id: int | None
    is_simulated = fields.BooleanField(default=False, db_default=False)
    created_at = fields.DatetimeField(auto_now_add=True, description='Customer since')
    completed_at = fields.DatetimeField(null=True, description='Live since')
    # When the subscription began: cancelling goes by it.
    contract_start = fields.DateField(null=True, description='Contract since')
    closing = fields.CharEnumField(Closing, max_length=10, default=Closing.NONE, db_default='', description='Closed')
    closed_because = fields.CharField(max_length=300, default='', db_default='', description='Reason')
    closed_at = fields.DatetimeField(null=True, description='Closed on')

    steps: fields.ReverseRelation[ConnectStep]
    monitors: fields.ReverseRelation[Monitor]

    # What lists do with a customer: the folded text they search, the letter it is filed under, and by what a heading
    # sorts where that is not the field itself.
    SEARCHED_IN = 'search_key'
    FILED_UNDER = 'initial'
    SORTED_BY = {'name': 'name_key'}

    class Meta:
        table = 'customer'
        table_description = 'A customer of an MSP'
        unique_together = (('partner_id', 'account_code'),)
        indexes = (
            ('partner_id', 'listing', 'name_key'),
            ('partner_id', 'listing', 'initial', 'name_key'),
            ('partner_id', 'worst', 'name_key'),
            ('partner_id', 'listing', 'connect_since'),
            ('partner_id', 'listing', 'connect_owner'),
            ('partner_id', 'listing', 'seats', 'name_key'),
            ('partner_id', 'domain'),
            *(('partner_id', 'listing', kind.value, 'name_key') for kind in MonitorKind),
        )

    Invalid = checking.Invalid

    def __str__(self) -> str:
        return self.name

    # -- questions ----------------------------------------------------------------------------------------------------

    @classmethod
    def visible_to(cls, user: 'PortalUser') -> QuerySet['Customer']:
        """The one door: every customer that this user may know of."""
        from models.database import reader

        mine = Customer.filter(partner_id=user.partner_id).using_db(reader())
        exceptions = CustomerAccess.filter(user_id=user.id, allowed=not user.sees_all).values('customer_id')
        if user.sees_all:
            return mine.filter(id__not_in=Subquery(exceptions))
        tags = Subquery(UserTag.filter(user_id=user.id).values('tag'))
        tagged = Subquery(CustomerTag.filter(tag__in=tags).values('customer_id'))
        return mine.filter(Q(id__in=Subquery(exceptions)) | Q(id__in=tagged))

    @classmethod
    def listed(cls, user: 'PortalUser', *listings: Listing) -> QuerySet['Customer']:
        visible = cls.visible_to(user)
        return visible.filter(listing=listings[0]) if len(listings) == 1 else visible.filter(listing__in=listings)

    @classmethod
    def listed_in_progress(cls, user: 'PortalUser') -> QuerySet['Customer']:
        """Those going through Connect whose RFI has come back, or all of them where the partner wants it so.

        The reference page: a new customer is not displayed until its RFI has been sent back.
        """
        at_once = Subquery(Partner.filter(lists_unsent_rfi=True).values('id'))
        return cls.visible_to(user).filter(
            Q(listing=Listing.IN_PROGRESS) | Q(listing=Listing.WAITING, partner_id__in=at_once)
        )

    @classmethod
    def with_codes(cls, partner_id: int, codes: Iterable[str]) -> QuerySet['Customer']:
        """Those with one of these account codes, whatever is a capital: reads all codes of the partner in its index."""
        # SQLite lowers ASCII only, PostgreSQL what its locale says.
        wanted = {form for code in codes for form in (code.lower(), re.sub('[A-Z]', lambda c: c[0].lower(), code))}
        theirs = Customer.filter(partner_id=partner_id).annotate(code=Lower('account_code'))
        return theirs.filter(code__in=sorted(wanted))

    # -- verbs --------------------------------------------------------------------------------------------------------

    def set_name(self, name: str) -> None:
        """Set the name and what follows from it and the other searched facts."""
        self.name = name
        self.name_key = sort_key(name)[:220]
        self.initial = initial(name)
        self.search_key = '\n'.join(fold(part) for part in (name, self.account_code, self.domain))[:700]

    @classmethod
    def check(cls, **facts: Any) -> dict[str, Any]:
        """The facts as they would be stored; raises `Customer.Invalid` with all that cannot be."""
        return checking.each(facts, cls._checked)

    @classmethod
    def _checked(cls, field: str, value: Any) -> Any:
        if field in ('name', 'account_code', 'domain'):
            value = printable(str(value))
            limit = {'name': 200, 'account_code': 40, 'domain': 253}[field]
            if not value and field != 'domain':
                raise cls.Invalid(field, 'is empty')
            if len(value) > limit:
                raise cls.Invalid(field, f'is longer than {limit} characters')
            if field == 'account_code' and any(c.isspace() for c in value):
                raise cls.Invalid(field, 'has a space in it')
            return checking.domain(field, value) if field == 'domain' else value
        if field == 'seats':
            try:
                # Digits as everybody here reads them; `int` takes 1_000, ٣ and a half of 2.5 as well.
                if not re.fullmatch(r'\s*[+-]?[0-9]+(\.0)?\s*', str(value)):
                    raise ValueError(value)
                value = int(float(value)) if isinstance(value, float) else int(value)
            except (TypeError, ValueError, OverflowError):
                raise cls.Invalid(field, f'{checking.quoted(value, 40)} is not a whole number') from None
            if not 0 <= value <= 10_000_000:
                raise cls.Invalid(field, 'must be between 0 and 10,000,000')
            return value
        if field == 'account_type':
            return checking.one_of(field, value, AccountType)
        if field == 'console_url':
            return _console_address(field, value)
        if field == 'contract_start':
            return _contract_day(field, value)
        raise cls.Invalid(str(field)[:40], 'is not a fact about a customer')

    @classmethod
    async def add(
        cls, partner: Partner, *, by: 'PortalUser | None' = None, rfi: RfiState = RfiState.REQUESTED,
        listing: Listing = Listing.IN_PROGRESS, products: Sequence[str] = (), right: str = 'customer.create',
        code_is_provisional: bool = False, template: str = '', **facts: Any,
    ) -> 'Customer':  # fmt: skip
        """Create a customer with its RFI, Connect steps and monitors; raises `Customer.Invalid` and `Refused`.

        `listing` COMPLETE is a customer that has been through Connect elsewhere; otherwise what it is listed under
        follows from the RFI (`restate`). Whoever adds one sees it, also where they see some customers only. `right` is
        what they need for it; `template` is the key of the Connect template, the MSP's default one where it is empty.
        """
        if by is not None:
            rights.require(by, right)
            if by.partner_id != partner.id:
                raise rights.Refused('These customers are another MSP’s.')
        clean: dict[str, Any] = {}
        problems = checking.Problems()
        with problems.noted():
            usual = {'account_type': AccountType.STANDARD, 'domain': '', 'seats': 0, 'contract_start': None}
            clean = cls.check(**facts, **{name: usual[name] for name in usual.keys() - facts.keys()})
        if problems.found and all(each.field != 'account_code' for each in problems.found):
            with problems.noted():  # told with the others, not after they are corrected
                await cls._require_free(partner.id, printable(str(facts.get('account_code', ''))))
        problems.refuse()
        try:
            return await cls._add(
                partner, clean | {'code_is_provisional': code_is_provisional}, by=by, rfi=rfi, listing=listing,
                products=products, template=template,
            )  # fmt: skip
        except IntegrityError:  # somebody else added the same code at the same moment
            raise cls.Invalid('account_code', taken(clean['account_code'])) from None

    @classmethod
    async def _add(
        cls, partner: Partner, clean: dict[str, Any], *, by: 'PortalUser | None', rfi: RfiState, listing: Listing,
        products: Sequence[str], template: str,
    ) -> 'Customer':  # fmt: skip
        from models.product import CustomerProduct, load_catalogue, renewal

        now = datetime.now(UTC)
        since = clean['contract_start'] or now.date()
        renews_on = renewal(clean['contract_start'], since)
        async with transaction():
            await cls._require_free(partner.id, clean['account_code'])
            catalogue = await load_catalogue(partner.id) if products else {}
            unknown = [code for code in products if code not in catalogue]
            if unknown:
                raise cls.Invalid('products', f'{checking.quoted(unknown[0], 40)} is not in the catalogue')
            customer = cls(partner=partner, **clean)
            customer.set_name(clean['name'])
            customer.products_in_short = ', '.join(products)[:200]
            customer.rfi = rfi.icon
            customer.rfi_returned = rfi not in (RfiState.NOT_REQUESTED, RfiState.REQUESTED, RfiState.DRAFT)
            customer.listing = listing
            customer.connect_since = now
            if listing == Listing.COMPLETE:
                customer.completed_at = now
                customer.connect_status, customer.connect_key = 'Complete', 'complete'
            await customer.save()
            await Rfi.create(customer=customer, state=rfi, requested_at=now if rfi == RfiState.REQUESTED else None)
            await CustomerProduct.bulk_create(
                [
                    CustomerProduct(
                        customer=customer, product=product, quantity=customer.seats, since=since, renews_on=renews_on
                    )
                    for product in (catalogue[code] for code in products)
                ]
            )
            services = ''.join(catalogue[code].connect_services for code in products)
            if listing != Listing.COMPLETE:
                chosen = await ConnectTemplate.current(partner, template)
                await Customer.filter(id=customer.id).update(template_id=chosen.id)
                customer.template_id = chosen.id
                await begin(customer.id, chosen.applicable(services), form=rfi)
                is_back = customer.rfi_returned or rfi == RfiState.NOT_APPLICABLE
                await plan_open(customer.id, now, is_back=is_back)
            await Monitor.bulk_create(
                [
                    Monitor(customer=customer, kind=kind, threshold=Monitor.default_threshold(kind, customer.seats))
                    for kind in MonitorKind
                ]
            )
            await customer.restate()
            if by is not None and not by.sees_all:
                await CustomerAccess.create(user=by, customer=customer, allowed=True)
                events.SIGHT_CHANGED.emit(by.id)
            await HistoryEvent.add(
                partner.id, 'customer.created', f'{customer.name} was added', customer_id=customer.id, by=by
            )
            events.CUSTOMERS_ADDED.emit(
                Changed(partner.id, {customer.id: frozenset({'name'})}, frozenset({customer.id}))
            )
        return customer

    async def change(
        self, *, was: Mapping[str, Any] | None = None, by: 'PortalUser | None' = None, **facts: Any
    ) -> set[str]:
        """Change facts (name, account_code, domain, seats, account_type, console_url, contract_start); return the names
        that differ.

        `was` is what the editor saw. Raises `Customer.Invalid`, `Refused`, or `ChangedMeanwhile` where somebody else
        was quicker; then nothing is stored. Each change is in the history with before and after.
        """
        if by is not None:
            rights.require(by, 'customer.change')
        from models.product import follow_contracts

        clean = self.check(**facts)
        async with transaction() as connection:
            if 'seats' in clean:
                await hold_monitors(connection, [self.id])
            fresh = await Customer.filter(id=self.id).select_for_update().get()
            before = checking.differing({field: getattr(fresh, field) for field in clean}, clean, was)
            if not before:
                return set()
            after = {field: clean[field] for field in before}
            if 'account_code' in before:
                await self._require_free(self.partner_id, clean['account_code'], but=self.id)
            fresh.update_from_dict(after)
            fresh.set_name(fresh.name)
            derived = {'name_key', 'initial', 'search_key'} - set(before)
            if 'account_code' in before:  # whoever types one knows the account's own
                fresh.code_is_provisional = False
                derived.add('code_is_provisional')
            await fresh.save(update_fields=[*before, *derived])
            await HistoryEvent.add(
                self.partner_id, 'customer.changed', checking.in_words(_CHANGED, before, after),
                customer_id=self.id, by=by, before=checking.as_data(before), after=checking.as_data(after),
            )  # fmt: skip
            if 'seats' in before:
                await follow_seats(connection, self.partner_id, {self.id: (before['seats'], after['seats'])})
            if 'contract_start' in before:
                await follow_contracts(connection, {self.id: after['contract_start']})
            moved = frozenset({self.id} if {'name', 'account_code', 'domain'} & set(before) else ())
            told = frozenset({*before, *derived & {'code_is_provisional'}})
            events.CUSTOMERS_CHANGED.emit(Changed(self.partner_id, {self.id: told}, moved))
        self.update_from_dict(after)
        self.set_name(self.name)
        return set(before)

    async def receive_code(self, code: str, *, by: 'PortalUser') -> None:
        """Take the account code that the vendor has given in place of the provisional one; within the transaction of
        the verb that knows who may. Raises `Customer.Invalid`."""
        code = self.check(account_code=code)['account_code']
        try:
            async with transaction():
                fresh = await Customer.filter(id=self.id).select_for_update().get()
                provisional = fresh.account_code
                if not fresh.code_is_provisional:
                    if provisional == code:
                        return
                    raise self.Invalid('account_code', f'The account has its code already: {provisional}')
                await self._require_free(fresh.partner_id, code, but=fresh.id)
                fresh.account_code, fresh.code_is_provisional = code, False
                fresh.set_name(fresh.name)
                await fresh.save(update_fields=['account_code', 'code_is_provisional', 'search_key'])
                said = f'The account was created: its code is {code}, in place of the provisional {provisional}'
                await HistoryEvent.add(fresh.partner_id, 'account.created', said, customer_id=fresh.id, by=by)
                names = frozenset({'account_code', 'code_is_provisional'})
                events.CUSTOMERS_CHANGED.emit(Changed(fresh.partner_id, {fresh.id: names}, frozenset({fresh.id})))
        except IntegrityError:  # somebody else was given the same code at the same moment
            raise self.Invalid('account_code', taken(code)) from None
        self.account_code, self.code_is_provisional, self.search_key = code, False, fresh.search_key

    @classmethod
    async def _require_free(cls, partner_id: int, code: str, *, but: int | None = None) -> None:
        """Raise `Customer.Invalid` where this account code is another customer's, or differs from it by capitals only.

        People read and type codes without looking at capitals: two such customers would be taken for one.
        """
        others = await cls.with_codes(partner_id, [code]).order_by('id').values_list('id', 'account_code')
        for other in (other for id_, other in others if id_ != but):
            raise cls.Invalid('account_code', taken(code, other))

    async def restate(self) -> set[str]:
        """Work out list and Connect status, and what the board goes by, from the RFI, the steps, hold and closing;
        store them and return the fields that changed."""
        before = {name: getattr(self, name) for name in RESTATED}
        steps = await ConnectStep.filter(customer_id=self.id).order_by('position')
        # Those that have to be done: an optional one that somebody does, or skips, changes neither number.
        counting = [s for s in steps if not s.is_optional and s.state != StepState.SKIPPED]
        self.steps_done = sum(step.state == StepState.COMPLETE for step in counting)
        self.steps_of = len(counting)
        self.blocked_because = self.connect_owner = ''
        self.connect_due = self.connect_person_id = None
        if self.closing != Closing.NONE or self.listing == Listing.CLOSED:
            self.listing = Listing.CLOSED
            self.connect_status, self.connect_key = self.closing.title or 'Closed', 'closed'
        elif self.listing == Listing.COMPLETE:
            self.connect_status, self.connect_key = 'Complete', 'complete'
            if (later := current_of(step for step in steps if step.is_later)) is not None:
                self._restate_later(later)
        else:
            self._restate_connect(current_of(steps), steps)
        changed = {name for name, old in before.items() if old != getattr(self, name)}
        if 'connect_key' in changed or self.connect_since is None:
            self.connect_since = datetime.now(UTC)
            changed.add('connect_since')
        await self.save(update_fields=[*RESTATED, 'connect_since', 'rfi', 'rfi_returned', 'completed_at'])
        return changed

    def _restate_later(self, current: ConnectStep) -> None:
        """A live customer for whom something that was bought later is to be set up."""
        self.connect_status, self.connect_key = current.title, current.key
        self.connect_owner, self.connect_due = current.owner.value, current.due_at
        self.connect_person_id = current.assignee_id or self.responsible_id
        if current.state == StepState.BLOCKED:
            self.blocked_because = current.reason

    def _restate_connect(self, current: ConnectStep | None, steps: Sequence[ConnectStep]) -> None:
        """List and status of a customer that is in Connect."""
        self.listing = Listing.IN_PROGRESS if self.is_form_back else Listing.WAITING
        if self.listing == Listing.WAITING:
            current = next((step for step in steps if step.key == 'rfi'), current)
            self.connect_status, self.connect_key = 'RFI requested', 'rfi_requested'
        elif current is None:
            self.connect_status, self.connect_key = 'Ready to complete', 'handover'
        elif current.key == 'rfi':
            self.connect_status, self.connect_key = 'RFI received', 'rfi_received'
        else:
            self.connect_status, self.connect_key = current.title, current.key
            if current.state == StepState.BLOCKED:
                self.blocked_because = current.reason
        self.connect_owner = (current.owner if current else StepOwner.PARTNER).value
        self.connect_due = current.due_at if current else None
        self.connect_person_id = (current.assignee_id if current else None) or self.responsible_id
        if self.held_at is not None:  # nothing is overdue while everything rests
            self.connect_status, self.connect_key = resting(self.connect_status, self.connect_key), 'on_hold'
            self.connect_due, self.blocked_because = None, ''

    async def _current_step(self) -> ConnectStep | None:
        """The step that is worked on, else what stalls, else the next one; None when all that applies is done."""
        return current_of(await ConnectStep.filter(customer_id=self.id).order_by('position'))

    @property
    def is_form_back(self) -> bool:
        """Whether the RFI form has come back, or none is asked for."""
        return self.rfi_returned or self.rfi == RfiIcon.NOT_APPLICABLE

    @property
    def is_in_connect(self) -> bool:
        return self.listing in (Listing.WAITING, Listing.IN_PROGRESS)

    def why_no_step_moves(self, step: ConnectStep | None = None) -> str | None:
        """Why no step of this customer, or not this one, can be moved now; None where it can."""
        if self.listing == Listing.CLOSED:
            return f'{self.name} is closed; nothing of its Connect changes any more.'
        if self.listing == Listing.COMPLETE:
            if step is not None and (step.is_later or step.is_optional):
                return None  # neither makes or unmakes a live customer
            return f'Connect of {self.name} is complete; reopen it first.'
        if self.held_at is not None:
            until = f' until {calendar.said(self.hold_until)}' if self.hold_until else ''
            return f'Connect is on hold{until}: {self.hold_because}. Let it go on first.'
        return None

    async def moved_on(self) -> None:
        """Steps were moved: work out what follows and tell it, within the verb's transaction. Where the MSP wants it
        so, Connect is complete with the last step."""
        was = self.listing
        changed = await self.restate()
        events.CONNECT_MOVED.emit(Changed(
            self.partner_id, {self.id: frozenset(changed)}, frozenset({self.id} if self.listing != was else ()),
        ))  # fmt: skip
        await self.complete_by_rule()

    async def complete_by_rule(self) -> None:
        """Complete Connect where all that applies is done and the MSP wants nobody to confirm it."""
        if (self.connect_key, self.connect_status) == ('handover', 'Ready to complete') and self.steps_of:
            partner = await Partner.get(id=self.partner_id)
            if partner.completion == CompletionRule.AUTOMATIC:
                await self.complete_connect()

    async def complete_connect(self, *, by: 'PortalUser | None' = None) -> None:
        """Move from In Progress to Complete; raises `Refused`, and `ConnectStep.NotAllowed` while a step that applies
        is open. Without `by` it is the vendor, or the MSP's rule."""
        if by is not None:
            rights.require(by, 'connect.complete')
        async with transaction():
            fresh = await self._fresh()
            if fresh.listing == Listing.COMPLETE:
                return
            if (why := fresh.why_no_step_moves()) is not None:
                raise ConnectStep.NotAllowed(why)
            if (step := await fresh._current_step()) is not None:
                raise ConnectStep.NotAllowed(f'{step.title} is still to be done.')
            # Named by the old list: of two who complete it at once, one does.
            if not await Customer.filter(id=fresh.id, listing=fresh.listing).update(listing=Listing.COMPLETE):
                return
            fresh.listing, fresh.completed_at = Listing.COMPLETE, datetime.now(UTC)
            changed = await fresh.restate()
            await HistoryEvent.add(
                fresh.partner_id, 'connect.completed', 'Connect complete: the customer is live',
                customer_id=fresh.id, by=by,
            )  # fmt: skip
            fresh._tell({*changed, 'listing'}, joined=True)

    async def reopen_connect(self, step_key: str, *, because: str, by: 'PortalUser | None' = None) -> None:
        """Bring a live customer back into Connect at one of its steps, or one of its template (an upgrade, say)."""
        if by is not None:
            rights.require(by, 'connect.complete')
        because = _reason(because, 'To reopen Connect, say why.')
        async with transaction():
            fresh = await self._fresh()
            known = await ConnectStep.get_or_none(customer_id=fresh.id, key=step_key)
            made_by = {t.key: t for t in TEMPLATES} | await ConnectTemplate.that_made(fresh)
            template = made_by.get(step_key)
            if known is None and template is None:
                raise ConnectStep.NotAllowed('There is no such step.')
            if fresh.listing == Listing.CLOSED:
                raise ConnectStep.NotAllowed(f'{fresh.name} is closed.')
            if fresh.listing != Listing.COMPLETE:
                raise ConnectStep.NotAllowed('The customer is in Connect already.')
            if step_key == RFI:
                raise ConnectStep.NotAllowed('This step follows the RFI form: reopen the form, or choose another step.')
            if not await Customer.filter(id=fresh.id, listing=fresh.listing).update(listing=Listing.IN_PROGRESS):
                return
            again: dict[str, Any] = {
                'is_optional': False, 'state': StepState.IN_PROGRESS, 'started_at': datetime.now(UTC),
                'completed_at': None, 'reason': because, 'done_by_id': None, 'done_by': '',
            }  # fmt: skip
            if known is not None:
                await ConnectStep.filter(id=known.id).update(**again | known.overruled(by.name if by else 'the vendor'))
            elif template is not None:
                place = {'position': 1 + list(made_by).index(step_key), 'customer_id': fresh.id}
                await ConnectStep(**(ConnectStep.columns(template) | place | again)).save()
            await unlock(fresh.id)
            fresh.listing, fresh.completed_at = Listing.IN_PROGRESS, None
            changed = await fresh.restate()
            await HistoryEvent.add(
                fresh.partner_id, 'connect.reopened', f'Back in Connect – {because}', customer_id=fresh.id, by=by
            )
            fresh._tell({*changed, 'listing'}, joined=True)

    # -- hold, and the end ---------------------------------------------------------------------------------------------

    async def hold(self, because: str, until: date | None = None, *, by: 'PortalUser') -> None:
        """Let Connect rest, until the morning of a day or until somebody lets it go on. Raises `Refused`, `Invalid`
        and `ConnectStep.NotAllowed`."""
        rights.require(by, 'connect.hold')
        because = _reason(because, 'To put Connect on hold, say why.')
        async with transaction():
            fresh = await self._fresh()
            if (why := fresh.why_no_step_moves()) is not None:
                raise ConnectStep.NotAllowed(why)
            partner = await Partner.get(id=fresh.partner_id)
            if until is not None and until <= today(partner):
                raise checking.Invalid('until', 'must be a day to come')
            if until is not None and until > add_months(today(partner), 24):
                raise checking.Invalid('until', 'cannot be more than two years from now')
            fresh.hold_because, fresh.hold_until, fresh.held_at = because, until, datetime.now(UTC)
            await fresh.save(update_fields=_HELD)
            changed = await fresh.restate()
            said = f' until {calendar.said(until)}' if until else ''
            await HistoryEvent.add(
                fresh.partner_id, 'connect.held', f'Connect put on hold{said} – {because}', customer_id=fresh.id, by=by
            )
            fresh._tell({*changed, *_HELD})

    async def resume(self, *, by: 'PortalUser | None' = None) -> None:
        """Let Connect go on; what is due moves by the days that it rested. Without `by` it is because the day has come.

        Raises `Refused`, and `ConnectStep.NotAllowed` where it is not on hold.
        """
        if by is not None:
            rights.require(by, 'connect.hold')
        async with transaction():
            fresh = await self._fresh()
            if fresh.held_at is None or not fresh.is_in_connect:
                raise ConnectStep.NotAllowed('Connect is not on hold.')
            partner, now = await Partner.get(id=fresh.partner_id), datetime.now(UTC)
            rested = (day_of(partner, now) - day_of(partner, fresh.held_at)).days
            if rested > 0:
                for step in await ConnectStep.filter(customer_id=fresh.id, state__in=[*CHECKED, StepState.LOCKED]):
                    if step.due_at is not None:
                        due = at(partner, day_of(partner, step.due_at) + timedelta(days=rested))
                        await ConnectStep.filter(id=step.id).update(due_at=due)
            fresh.hold_because, fresh.hold_until, fresh.held_at = '', None, None
            await fresh.save(update_fields=_HELD)
            changed = await fresh.restate()
            days = f'; what is due moves by {rested} {"day" if rested == 1 else "days"}' if rested > 0 else ''
            whose = '' if by else ': the day has come'
            await HistoryEvent.add(
                fresh.partner_id, 'connect.resumed', f'Connect goes on{whose}{days}', customer_id=fresh.id, by=by
            )
            fresh._tell({*changed, *_HELD})
            await fresh.complete_by_rule()

    @classmethod
    async def end_holds(cls, *, now: datetime | None = None, limit: int = 200) -> int:
        """Let those go on whose day has come where their MSP is; return how many."""
        from models.database import is_away, reader

        held = cls.filter(held_at__isnull=False, hold_until__isnull=False).exclude(listing=Listing.CLOSED)
        ended = 0
        for customer in await held.order_by('hold_until').limit(limit).select_related('partner').using_db(reader()):
            if customer.hold_until is not None and customer.hold_until <= today(customer.partner, now=now):
                try:
                    await customer.resume()
                except ConnectStep.NotAllowed:  # somebody was quicker
                    continue
                except Exception as error:  # one that cannot go on keeps no other from it
                    if is_away(error):
                        raise
                    log.exception('Connect of customer %d cannot go on', customer.id)
                    continue
                ended += 1
        return ended

    async def abandon(self, because: str, *, by: 'PortalUser') -> None:
        """Give up Connect: the customer is closed, and nothing of it is lost. Raises `Refused`, `NotAllowed`."""
        rights.require(by, 'connect.abandon')
        because = _reason(because, 'To abandon Connect, say why.')
        async with transaction() as connection:
            await hold_monitors(connection, [self.id])
            fresh = await self._fresh()
            if fresh.listing == Listing.CLOSED:
                raise ConnectStep.NotAllowed(f'{fresh.name} is closed already.')
            if fresh.listing == Listing.COMPLETE:
                raise ConnectStep.NotAllowed(f'Connect of {fresh.name} is complete; cancel the customer instead.')
            await fresh.close(Closing.ABANDONED, because, by)

    async def close(self, closing: Closing, because: str, by: 'PortalUser | None' = None) -> None:
        """Move to Closed; called within the transaction of the verb that knows who may. Nothing is deleted, and nothing
        is watched any more; what was ordered and has not come about is over."""
        from models import cancelling

        async with transaction() as connection:
            await hold_monitors(connection, [self.id])
            fresh = await self._fresh()
            if fresh.listing == Listing.CLOSED:
                raise ConnectStep.NotAllowed(f'{fresh.name} is closed already.')
            fresh.closing, fresh.closed_because, fresh.closed_at = closing, because[:300], datetime.now(UTC)
            fresh.hold_because, fresh.hold_until, fresh.held_at = '', None, None
            await fresh.save(update_fields=[
                'closing', 'closed_because', 'closed_at', 'hold_because', 'hold_until', 'held_at',
            ])  # fmt: skip
            changed = await fresh.restate()
            await Monitor.end(connection, fresh.id)
            await cancelling.lapse_all(fresh, connection)
            kind = 'connect.abandoned' if closing == Closing.ABANDONED else 'customer.closed'
            await HistoryEvent.add(
                fresh.partner_id, kind, f'{closing.title} – {because}' if because else closing.title,
                customer_id=fresh.id, by=by, closing=closing.value,
            )  # fmt: skip
            fresh._tell({*changed, *_HELD, 'closing', 'closed_because', 'closed_at'}, joined=True)
        self.update_from_dict({name: getattr(fresh, name) for name in (*RESTATED, 'closing', 'closed_because')})

    async def _fresh(self) -> 'Customer':
        """The customer as it is now, kept from whoever else moves its Connect on."""
        return await Customer.filter(id=self.id).select_for_update(no_key=True).get()

    def _tell(self, changed: Iterable[str], *, joined: bool = False) -> None:
        rows = {self.id: frozenset(changed)}
        events.CONNECT_MOVED.emit(Changed(self.partner_id, rows, frozenset({self.id} if joined else ())))

    async def record_readings(self, readings: dict[MonitorKind, MonitorState | float], *, at: datetime) -> int:
        """Store what was read of this customer: a state or a value for each monitor; return how many flipped."""
        from models.monitor import Reading

        recorded = await Monitor.record(
            Reading(
                self.id,
                kind,
                at,
                value=None if isinstance(found, MonitorState) else float(found),
                state=found if isinstance(found, MonitorState) else None,
            )
            for kind, found in readings.items()
        )
        return recorded.flips


# What a hold is made of; the board of Connect goes by all of it.
_HELD = ('hold_because', 'hold_until', 'held_at')
# What `restate` works out.
RESTATED = (
    'listing', 'connect_status', 'connect_key', 'blocked_because', 'connect_owner', 'connect_due', 'connect_person_id',
    'steps_done', 'steps_of',
)  # fmt: skip
_URGENT = {StepState.BLOCKED: 0, StepState.IN_PROGRESS: 1, StepState.TODO: 2, StepState.LOCKED: 3}


def current_of(steps: Iterable[Any]) -> Any:
    """Of a customer's steps what stalls, else what is worked on, else the next one; None when none is left."""
    open_steps = [
        step for step in steps
        if step.state in _URGENT and not (step.is_optional and step.state in (StepState.TODO, StepState.LOCKED))
    ]  # fmt: skip
    return min(open_steps, key=lambda step: (_URGENT[step.state], step.position), default=None)


def resting(status: str, key: str) -> str:
    """What is said of a customer whose Connect rests where it would have this status."""
    is_step = key not in ('rfi_requested', 'rfi_received') and status != 'Ready to complete'
    return f'On hold at {status}'[:120] if is_step else f'On hold, {status.replace("Ready", "ready")}'


def _reason(because: str, missing: str) -> str:
    """Why somebody does something, in one line; raises `Invalid`."""
    if not (text := checking.line('because', because, LONGEST_REASON)):
        raise checking.Invalid('because', missing)
    return text


def taken(code: str, other: str = '') -> str:
    """Why a customer cannot have this account code: another one has it, or writes it with other capitals."""
    written = f', who writes it {checking.quoted(other, 40)}' if other not in ('', code) else ''
    return f'{checking.quoted(code, 40)} is the account code of another customer{written}'


def _console_address(field: str, value: Any) -> str:
    """The address of a customer's own console, where a browser can be sent; nothing is the empty text."""
    from models.admin_console import is_console_url

    text = checking.line(field, value, 300)
    if text and not is_console_url(text):
        raise checking.Invalid(field, f'{checking.quoted(text)} is not a whole address that begins with https://')
    return text


_EARLIEST = date(1990, 1, 1)  # before it, a year was mistyped


def _contract_day(field: str, value: Any) -> date | None:
    """When a contract began, or will begin soon; None where nobody has said so."""
    found = checking.day(field, value)
    if found is not None and not _EARLIEST <= found <= add_months(datetime.now(UTC).date(), 60):
        raise checking.Invalid(field, f'must be between {_EARLIEST.year} and five years from now')
    return found


async def hold_monitors(connection: BaseDBAsyncClient, customer_ids: list[int]) -> None:
    """Keep the monitors from other writers before the customers themselves: the order in which readings take them."""
    from models.database import rows_within

    if connection.capabilities.support_for_update:
        monitors = Monitor.filter(customer_id__in=customer_ids).order_by('id')
        await rows_within(connection, monitors.values('id'), lock=True)


async def follow_seats(connection: BaseDBAsyncClient, partner_id: int, changed: Mapping[int, tuple[int, int]]) -> None:
    """What is reckoned from the licences of these customers (id: before, after) is reckoned anew.

    A threshold or quantity that is not what followed from the licences before was set by somebody, and stays. The
    state stays until the next reading: nobody knows whether the last one was told or judged.
    """
    thresholds = [
        [Monitor.default_threshold(kind, after), customer_id, kind.value, Monitor.default_threshold(kind, before)]
        for customer_id, (before, after) in changed.items() for kind in MonitorKind if kind.is_queue
    ]  # fmt: skip
    if not thresholds:
        return
    await connection.execute_many(
        numbered(
            connection,
            'UPDATE "monitor" SET "threshold"=?1 WHERE "customer_id"=?2 AND "kind"=?3 AND "threshold"=?4',
        ),
        [each for each in thresholds if each[0] != each[3]],
    )
    await connection.execute_many(
        numbered(connection, 'UPDATE "customer_product" SET "quantity"=?1 WHERE "customer_id"=?2 AND "quantity"=?3'),
        [[after, customer_id, before] for customer_id, (before, after) in changed.items()],
    )
    touched = dict.fromkeys(changed, frozenset({'products', 'monitor'}))
    events.CUSTOMER_TOUCHED.emit(partner_id, touched)


CONSOLE_HEADING = 'Admin Console address'
# What the history calls the facts that change.
_CHANGED = {
    'name': 'Name',
    **{
        name: Customer._meta.fields_map[name].description or name
        for name in ('account_code', 'domain', 'seats', 'account_type', 'contract_start')
    },
    'console_url': CONSOLE_HEADING,
}
