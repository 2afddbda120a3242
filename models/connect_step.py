"""The steps of Connect, from the Request for Information to the sign-off (domain.md 5.1)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields

from models import events, rights
from models.events import Changed, transaction
from models.history import HistoryEvent

if TYPE_CHECKING:
    from models.customer import Customer
    from models.user import PortalUser


class StepState(StrEnum):
    LOCKED = 'locked'
    TODO = 'todo'
    IN_PROGRESS = 'in_progress'
    BLOCKED = 'blocked'
    COMPLETE = 'complete'
    SKIPPED = 'skipped'


class StepOwner(StrEnum):
    VENDOR = 'vendor'
    PARTNER = 'partner'
    CUSTOMER = 'customer'


@dataclass(frozen=True)
class Template:
    key: str
    title: str
    services: str  # S e-mail security, A archiving
    owner: StepOwner
    needs: tuple[str, ...] = ()
    optional: bool = False


TEMPLATES = (
    Template('rfi', 'Request for Information', 'SA', StepOwner.CUSTOMER),
    Template('account_configuration', 'Account configuration', 'SA', StepOwner.VENDOR, ('rfi',)),
    Template('domain_validation', 'Validate domains', 'SA', StepOwner.CUSTOMER, ('account_configuration',)),
    Template('outbound_email', 'Outbound email', 'S', StepOwner.CUSTOMER, ('domain_validation',)),
    Template('directory_sync', 'Directory synchronization', 'SA', StepOwner.CUSTOMER, ('account_configuration',)),
    Template('recipient_validation', 'Recipient validation', 'SA', StepOwner.PARTNER, ('domain_validation',)),
    Template('journaling', 'Journaling', 'A', StepOwner.CUSTOMER, ('domain_validation',)),
    Template('user_authentication', 'User authentication', 'SA', StepOwner.PARTNER, ('directory_sync',), True),
    Template('permitted_senders', 'Permitted senders', 'S', StepOwner.PARTNER, ('outbound_email',), True),
    Template('inbound_email', 'Inbound email', 'S', StepOwner.CUSTOMER, ('outbound_email', 'recipient_validation')),
    Template('lockdown', 'Firewall lock-down', 'S', StepOwner.CUSTOMER, ('inbound_email',)),
    Template('monitoring', 'Service Monitor and alerts', 'SA', StepOwner.PARTNER, ('recipient_validation',)),
    Template('handover', 'Sign-off', 'SA', StepOwner.PARTNER, ('monitoring',)),
)
BY_KEY = {template.key: template for template in TEMPLATES}

# From which states each verb may be called, and where it leads; the table the tests walk.
MOVES: dict[str, tuple[set[StepState], StepState]] = {
    'start': ({StepState.TODO, StepState.BLOCKED}, StepState.IN_PROGRESS),
    'complete': ({StepState.TODO, StepState.IN_PROGRESS, StepState.BLOCKED}, StepState.COMPLETE),
    'block': ({StepState.TODO, StepState.IN_PROGRESS}, StepState.BLOCKED),
    'skip': ({StepState.LOCKED, StepState.TODO, StepState.IN_PROGRESS, StepState.BLOCKED}, StepState.SKIPPED),
    'reopen': ({StepState.COMPLETE, StepState.SKIPPED}, StepState.IN_PROGRESS),
}


# How long Connect is planned to take: until the first step is done, and from one to the next.
FIRST_DUE, EACH_DUE = timedelta(days=10), timedelta(days=4)


def plan(steps: Iterable[Any], begun: datetime, *, is_back: bool) -> dict[str, datetime | None]:
    """Until when each step (with `key`, `is_optional`, in their order) is to be done.

    Until the form is back (`is_back`) nothing but the form itself is planned; what is optional never is.
    """
    due = begun.replace(hour=17, minute=0, second=0, microsecond=0) + FIRST_DUE
    planned: dict[str, datetime | None] = {}
    for step in steps:
        if step.is_optional or not (is_back or step.key == 'rfi'):
            planned[step.key] = None
        else:
            planned[step.key] = due
            due += EACH_DUE
    return planned


class ConnectStep(Model):
    id = fields.IntField(primary_key=True)
    customer: 'fields.ForeignKeyRelation[Customer]' = fields.ForeignKeyField(
        'models.Customer', related_name='steps', on_delete=fields.CASCADE
    )
    customer_id: int
    key = fields.CharField(max_length=30)
    title = fields.CharField(max_length=80)
    position = fields.SmallIntField()
    owner = fields.CharEnumField(StepOwner, max_length=10)
    is_optional = fields.BooleanField(default=False, db_default=False)
    state = fields.CharEnumField(StepState, max_length=12, default=StepState.LOCKED)
    reason = fields.CharField(max_length=200, default='', db_default='')
    started_at = fields.DatetimeField(null=True)
    completed_at = fields.DatetimeField(null=True)
    due_at = fields.DatetimeField(null=True)

    class Meta:
        table = 'connect_step'
        table_description = 'A step of a customer on the way to going live'
        unique_together = (('customer_id', 'key'),)

    class NotAllowed(ValueError):
        """The step is in a state in which this cannot be done."""

    @staticmethod
    def applicable(services: str) -> list[Template]:
        """The steps for what was bought; everything where that is not known."""
        return [t for t in TEMPLATES if not services or set(t.services) & set(services)]

    async def move(self, verb: str, *, by: 'PortalUser | None' = None, because: str = '') -> None:
        """start, complete, block, skip or reopen. `block`, `skip` and `reopen` say why, and so does whoever moves a
        step of the vendor's on its behalf; without `by` it is the vendor.

        Raises `Refused`, and `ConnectStep.NotAllowed` where the state does not allow it, also when somebody else was
        quicker.
        """
        from models.customer import Customer

        for_vendor = by is not None and self.owner == StepOwner.VENDOR
        if by is not None:
            rights.require(by, 'step.advance_for_vendor' if for_vendor else 'step.advance')
        if for_vendor and not because.strip():
            raise ConnectStep.NotAllowed(f'{self.title} is the vendor’s step: to {verb} it on their behalf, say why.')
        if verb in ('block', 'skip', 'reopen') and not because.strip():
            raise ConnectStep.NotAllowed(f'To {verb} a step, say why.')
        allowed, state = MOVES[verb]
        now = datetime.now(UTC)
        async with transaction():
            changes: dict[str, Any] = {'state': state, 'reason': because[:200] if verb in ('block', 'skip') else ''}
            if verb == 'start':
                changes['started_at'] = now
            if verb == 'complete' and self.started_at is None:
                changes['started_at'] = now
            changes['completed_at'] = now if state in (StepState.COMPLETE, StepState.SKIPPED) else None
            if not await ConnectStep.filter(id=self.id, state__in=list(allowed)).update(**changes):
                fresh = await ConnectStep.get(id=self.id)
                raise ConnectStep.NotAllowed(f'{self.title} is {fresh.state.value}; it cannot {verb} now.')
            self.update_from_dict(changes)
            await unlock(self.customer_id)
            customer = await Customer.get(id=self.customer_id)
            was = customer.listing
            changed = await customer.restate()
            more: dict[str, Any] = {'for_vendor': True} if for_vendor else {}
            await HistoryEvent.add(
                customer.partner_id, f'connect.step_{state.value}',
                f'{self.title}: {_PAST[verb]}' + _why(because, for_vendor=for_vendor),
                customer_id=customer.id, by=by, step=self.key, **more,
            )  # fmt: skip
            events.CONNECT_MOVED.emit(Changed(
                customer.partner_id, {customer.id: frozenset(changed)},
                frozenset({customer.id} if customer.listing != was else ()),
            ))  # fmt: skip


def _why(because: str, *, for_vendor: bool) -> str:
    if for_vendor:
        return f' on the vendor’s behalf: {because.strip()}'
    return f' – {because}' if because else ''


async def unlock(customer_id: int) -> None:
    """Unlock the steps whose prerequisites are done, lock those whose prerequisites were reopened."""
    steps = await ConnectStep.filter(customer_id=customer_id)
    done = {step.key for step in steps if step.state in (StepState.COMPLETE, StepState.SKIPPED)}
    present = {step.key for step in steps}
    for step in steps:
        needs = set(BY_KEY[step.key].needs) & present if step.key in BY_KEY else set()
        if step.state == StepState.LOCKED and needs <= done:
            await ConnectStep.filter(id=step.id, state=StepState.LOCKED).update(state=StepState.TODO)
        elif step.state == StepState.TODO and not needs <= done:
            await ConnectStep.filter(id=step.id, state=StepState.TODO).update(state=StepState.LOCKED)


async def plan_open(customer_id: int, begun: datetime, *, is_back: bool) -> None:
    """Give the open steps that have none their due dates."""
    steps = await ConnectStep.filter(customer_id=customer_id).order_by('position')
    waiting = [s for s in steps if s.state not in (StepState.COMPLETE, StepState.SKIPPED)]
    for key, due in plan(waiting, begun, is_back=is_back).items():
        await ConnectStep.filter(customer_id=customer_id, key=key, due_at__isnull=True).update(due_at=due)


async def step_done(customer_id: int, key: str, at: datetime) -> None:
    """Note that a step came to be complete by what happened elsewhere (the RFI was accepted, say)."""
    await ConnectStep.filter(customer_id=customer_id, key=key, completed_at__isnull=True).update(
        state=StepState.COMPLETE, completed_at=at, reason=''
    )
    await unlock(customer_id)


_PAST = {
    'start': 'started', 'complete': 'completed', 'block': 'blocked', 'skip': 'skipped', 'reopen': 'reopened',
}  # fmt: skip
