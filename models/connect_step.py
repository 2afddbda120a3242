"""The steps of Connect, from the Request for Information to the sign-off (domain.md 5.1)."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tortoise import Model, fields

from models import events, rights
from models.calendar import at, day_of
from models.checking import Impossible
from models.events import transaction
from models.history import HistoryEvent
from models.monitor import Monitor, MonitorKind
from models.text import printable

if TYPE_CHECKING:
    from tortoise.backends.base.client import BaseDBAsyncClient

    from models.customer import Customer
    from models.partner import Partner
    from models.rfi import RfiState
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
    """A step as a template has it (models/connect_template.py)."""

    key: str
    title: str
    services: str  # S e-mail security, A archiving
    owner: StepOwner
    needs: tuple[str, ...] = ()
    optional: bool = False
    not_on: tuple[str, ...] = ()  # mail platforms on which it is left out
    directories: tuple[str, ...] = ()  # the only directories with which it is there; empty: whatever there is
    due_days: int | None = None  # after Connect began; the form: after it was asked for
    help_url: str = ''
    check: str = ''  # the automatic check (models/connect_checks.py)

    @property
    def is_optional(self) -> bool:
        return self.optional

    def why_not(self, platform: str, directory: str) -> str:
        """Why the step is not needed with this infrastructure; empty where it is, or nobody knows yet."""
        from models.infrastructure import Directory, MailPlatform

        if platform and platform in self.not_on:
            return f'Not needed with {MailPlatform(platform).title}'
        if directory and self.directories and directory not in self.directories:
            named = 'without a directory' if directory == Directory.NONE else f'with {Directory(directory).title}'
            return f'Not needed {named}'
        return ''


HOSTED = ('microsoft_365', 'google_workspace', 'hosted_exchange')  # nobody there can close a port
_WITH_A_DIRECTORY = ('active_directory_ldap', 'entra_id', 'google', 'ad_push')
_MANDATORY = (
    'rfi', 'account_configuration', 'domain_validation', 'outbound_email', 'directory_sync', 'recipient_validation',
    'journaling', 'inbound_email', 'lockdown', 'monitoring',
)  # fmt: skip
TEMPLATES = (
    Template('rfi', 'Request for Information', 'SA', StepOwner.CUSTOMER, due_days=10, check='rfi'),
    Template('account_configuration', 'Account configuration', 'SA', StepOwner.VENDOR, ('rfi',), due_days=4,
             check='account'),
    Template('domain_validation', 'Validate domains', 'SA', StepOwner.CUSTOMER, ('account_configuration',),
             due_days=7, check='domains'),
    Template('outbound_email', 'Outbound email', 'S', StepOwner.CUSTOMER,
             ('account_configuration', 'domain_validation'), due_days=11, check='dns_spf'),
    Template('directory_sync', 'Directory synchronization', 'SA', StepOwner.CUSTOMER, ('account_configuration',),
             directories=_WITH_A_DIRECTORY, due_days=14, check='monitors'),
    Template('recipient_validation', 'Recipient validation', 'SA', StepOwner.PARTNER,
             ('domain_validation', 'directory_sync'), due_days=17, check='recipients'),
    Template('journaling', 'Journaling', 'A', StepOwner.CUSTOMER, ('account_configuration', 'domain_validation'),
             due_days=21, check='monitors'),
    Template('user_authentication', 'User authentication', 'SA', StepOwner.PARTNER, ('directory_sync',), True),
    Template('permitted_senders', 'Permitted senders', 'S', StepOwner.PARTNER, ('outbound_email',), True),
    Template('inbound_email', 'Inbound email', 'S', StepOwner.CUSTOMER, ('outbound_email', 'recipient_validation'),
             due_days=25, check='dns_mx'),
    Template('lockdown', 'Firewall lock-down', 'S', StepOwner.CUSTOMER, ('inbound_email',), not_on=HOSTED,
             due_days=29),
    Template('monitoring', 'Service Monitor and alerts', 'SA', StepOwner.PARTNER,
             ('outbound_email', 'inbound_email', 'journaling'), due_days=32, check='monitors'),
    Template('handover', 'Sign-off', 'SA', StepOwner.PARTNER, _MANDATORY, due_days=35),
)  # fmt: skip
BY_KEY = {template.key: template for template in TEMPLATES}
RFI = 'rfi'  # the step that the form itself moves


def among(templates: Iterable[Template], of: Mapping[str, Template] = BY_KEY) -> list[Template]:
    """These steps, each needing only steps that are among them: what another would have needed stands in its place.

    `of` are all steps of the template.
    """
    templates = list(templates)
    present = {template.key for template in templates}
    return [replace(template, needs=_needs(template, present, of)) for template in templates]


def _needs(template: Template, present: Set[str], of: Mapping[str, Template]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = list(template.needs)
    while waiting:
        key = waiting.pop(0)
        if key in seen:
            continue
        seen.add(key)
        if key in present:
            found[key] = None
        elif key in of:
            waiting += of[key].needs
    return tuple(found)


@cache
def _applicable(services: str) -> tuple[Template, ...]:
    return tuple(among(t for t in TEMPLATES if not services or set(t.services) & set(services)))


class Move(NamedTuple):
    """What a verb does: from which states, to which one, whether it says why, and how the history calls it."""

    allowed: frozenset[StepState]
    leads_to: StepState
    says_why: bool
    past: str


# The table of legal moves; the tests walk it. Who may: of a step of the vendor's `step.advance_for_vendor`, with a
# reason, of any other `step.advance`; and nobody moves the form's own step by hand.
MOVES: dict[str, Move] = {
    'start': Move(frozenset({StepState.TODO, StepState.BLOCKED}), StepState.IN_PROGRESS, False, 'started'),
    'complete': Move(
        frozenset({StepState.TODO, StepState.IN_PROGRESS, StepState.BLOCKED}), StepState.COMPLETE, False, 'completed'
    ),
    'block': Move(frozenset({StepState.TODO, StepState.IN_PROGRESS}), StepState.BLOCKED, True, 'blocked'),
    'skip': Move(
        frozenset({StepState.LOCKED, StepState.TODO, StepState.IN_PROGRESS, StepState.BLOCKED}), StepState.SKIPPED,
        True, 'skipped',
    ),
    'reopen': Move(frozenset({StepState.COMPLETE, StepState.SKIPPED}), StepState.IN_PROGRESS, True, 'reopened'),
}  # fmt: skip
DONE = (StepState.COMPLETE, StepState.SKIPPED)
CHECKED = (StepState.TODO, StepState.IN_PROGRESS, StepState.BLOCKED)  # the states in which a check can complete it
AUTOMATIC = 'Automatic check'
BY_RULE = 'Portal'  # who skipped what does not apply: it comes back once it does
# Which signals are there once a step is done: they are watched from then on.
CONFIGURES: dict[str, tuple[MonitorKind, ...]] = {
    'outbound_email': (MonitorKind.OUTBOUND_QUEUE,), 'inbound_email': (MonitorKind.INBOUND_QUEUE,),
    'journaling': (MonitorKind.JOURNAL_QUEUE, MonitorKind.JOURNAL_CONNECTOR),
    'directory_sync': (MonitorKind.DIRECTORY_CONNECTOR,),
}  # fmt: skip
EVIDENCE_KEPT = 10
NO_FORM = 'No RFI form is asked for'
LONGEST_REASON = 200


def plan(steps: Iterable[Any], begun: datetime, partner: 'Partner', *, is_back: bool) -> dict[str, datetime | None]:
    """Until when each step (with `key` and `due_days`) is to be done: the end of work on that day of the MSP's.

    Until the form is back (`is_back`) nothing but the form itself is planned.
    """
    day = day_of(partner, begun)
    return {
        step.key: at(partner, day + timedelta(days=step.due_days))
        if step.due_days is not None and (is_back or step.key == RFI)
        else None
        for step in steps
    }


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
    # Copied from the template when Connect began: a template that is edited later changes nothing here.
    needs: Any = fields.JSONField(default=list, db_default='[]')
    due_days = fields.SmallIntField(null=True)
    help_url = fields.CharField(max_length=300, default='', db_default='')
    check_key = fields.CharField(max_length=30, default='', db_default='')
    # What automatic checks found, newest first, a few: `at`, `by`, `asked`, `answer`, `passed`.
    evidence: Any = fields.JSONField(default=list, db_default='[]')
    checked_at = fields.DatetimeField(null=True)
    # Of a product that a live customer bought later: it is set up while the customer stays live.
    is_later = fields.BooleanField(default=False, db_default=False)
    done_by_id = fields.IntField(null=True)
    done_by = fields.CharField(max_length=120, default='', db_default='')
    assignee: 'fields.ForeignKeyNullableRelation[PortalUser]' = fields.ForeignKeyField(
        'models.PortalUser', related_name='steps', null=True, on_delete=fields.SET_NULL
    )
    assignee_id: int | None

    class Meta:
        table = 'connect_step'
        table_description = 'A step of a customer on the way to going live'
        unique_together = (('customer_id', 'key'),)
        indexes = (('state', 'due_at'), ('assignee_id',))

    class NotAllowed(Impossible):
        """A rule of Connect does not allow this now; the sentence says which."""

    @staticmethod
    def applicable(services: str) -> list[Template]:
        """The portal's own steps for what was bought; everything where that is not known."""
        return list(_applicable(services))

    @staticmethod
    def columns(template: Template) -> dict[str, Any]:
        """What is copied from a template into a customer's step."""
        return {
            'key': template.key, 'title': template.title, 'owner': template.owner, 'is_optional': template.optional,
            'needs': list(template.needs), 'due_days': template.due_days, 'help_url': template.help_url,
            'check_key': template.check,
        }  # fmt: skip

    @property
    def seen(self) -> str:
        """What somebody saw of the step, in short: whoever moves it says this, and is told where it is another."""
        told = f'{self.state.value} {self.started_at} {self.completed_at} {self.reason}'
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def possible(self, steps: Mapping[str, 'ConnectStep']) -> list[str]:
        """What can be done with the step now, by whoever may; `steps` are all of the customer's."""
        if self.key == RFI:
            return []
        found = [verb for verb, move in MOVES.items() if self.state in move.allowed]
        return [verb for verb in found if verb != 'complete' or not self._missing(steps)]

    @property
    def can_be_checked(self) -> bool:
        return bool(self.check_key) and self.state in CHECKED

    async def move(
        self, verb: str, *, by: 'PortalUser | None' = None, because: str = '', seen: str | None = None,
        done_by: str = '', evidence: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """start, complete, block, skip or reopen (`MOVES`). `block`, `skip` and `reopen` say why, and so does whoever
        moves a step of the vendor's on its behalf; without `by` it is the vendor, or `done_by`.

        `seen` is what somebody saw (`ConnectStep.seen`). Raises `Refused`, and `ConnectStep.NotAllowed` with the rule
        that is in the way, also when somebody else was quicker.
        """
        because = printable(because)
        if (move := MOVES.get(verb)) is None:
            raise ConnectStep.NotAllowed('There is no such move.')
        for_vendor = by is not None and self.owner == StepOwner.VENDOR
        if by is not None:
            rights.require(by, 'step.advance_for_vendor' if for_vendor else 'step.advance')
        if for_vendor and not because:
            raise ConnectStep.NotAllowed(f'{self.title} is the vendor’s step: to {verb} it on their behalf, say why.')
        if move.says_why and not because:
            raise ConnectStep.NotAllowed(f'To {verb} a step, say why.')
        if len(because) > LONGEST_REASON:
            raise ConnectStep.NotAllowed(f'A reason cannot be longer than {LONGEST_REASON} characters.')
        if by is not None and self.key == RFI:
            raise ConnectStep.NotAllowed('This step follows the RFI form: send the form back, or reopen it there.')
        async with transaction() as connection:
            customer = await self._held(connection, begins=verb == 'complete')
            fresh = await ConnectStep.get(id=self.id)
            steps = {step.key: step for step in await ConnectStep.filter(customer_id=self.customer_id)}
            fresh._require(verb, move, customer, steps, seen)
            changes = fresh._changes(verb, move, because, by, done_by)
            if not await ConnectStep.filter(id=self.id, state=fresh.state).update(**changes):
                raise ConnectStep.NotAllowed(f'{self.title}: somebody else was quicker.')
            self.update_from_dict(changes)
            await unlock(self.customer_id)
            if move.leads_to in DONE:
                fresh._wake(steps)
            if verb == 'complete':
                await Monitor.begin(connection, self.customer_id, CONFIGURES.get(self.key, ()))
            more: dict[str, Any] = {'for_vendor': True} if for_vendor else {}
            if evidence is not None:
                more['evidence'] = dict(evidence)
            who = f' by the {done_by[0].lower()}{done_by[1:]}' if done_by else ''
            await HistoryEvent.add(
                customer.partner_id, f'connect.step_{move.leads_to.value}',
                f'{self.title}: {move.past}{who}' + _why(because, for_vendor=for_vendor),
                customer_id=customer.id, by=by, step=self.key, **more,
            )  # fmt: skip
            await customer.moved_on()

    async def _held(self, connection: 'BaseDBAsyncClient', *, begins: bool) -> 'Customer':
        """The customer, kept from whoever else moves Connect on; its monitors first, the order in which readings are
        stored."""
        from models.customer import Customer, hold_monitors

        if begins and self.key in CONFIGURES:
            await hold_monitors(connection, [self.customer_id])
        return await Customer.filter(id=self.customer_id).select_for_update(no_key=True).get()

    def _require(
        self, verb: str, move: Move, customer: 'Customer', steps: Mapping[str, 'ConnectStep'], seen: str | None
    ) -> None:
        """Raise `NotAllowed` with the rule that does not allow this now."""
        if (why := customer.why_no_step_moves(self)) is not None:
            raise ConnectStep.NotAllowed(why)
        if seen is not None and seen != self.seen:
            raise ConnectStep.NotAllowed(f'{self._now(capital=True)}. You saw it as it was before; look again.')
        if self.state not in move.allowed:
            if self.state == StepState.LOCKED:
                raise ConnectStep.NotAllowed(self._locked(steps, verb))
            raise ConnectStep.NotAllowed(f'{self._now(capital=True)}; it cannot be {move.past} now.')
        if verb == 'complete' and self._missing(steps):
            raise ConnectStep.NotAllowed(self._locked(steps, verb))

    def _wake(self, steps: Mapping[str, 'ConnectStep']) -> None:
        """Steps that have passed their check and waited for this one are asked again at once."""
        for step in steps.values():
            if self.key in (step.needs or ()) and step.can_be_checked and step.evidence and step.evidence[0]['passed']:
                events.CHECK_WANTED.emit(step.id, AUTOMATIC)

    def _now(self, *, capital: bool = False) -> str:
        """How the step is, for whoever was not the quickest: 'Outbound email is complete already (Ana)'."""
        said = {
            StepState.LOCKED: 'is locked', StepState.TODO: 'is not begun', StepState.IN_PROGRESS: 'is in progress',
            StepState.BLOCKED: 'is blocked', StepState.COMPLETE: 'is complete', StepState.SKIPPED: 'is skipped',
        }[self.state]  # fmt: skip
        whose = f' ({self.done_by})' if self.done_by and self.state in DONE else ''
        return f'{self.title if capital else "it"} {said}{whose}'

    def _missing(self, steps: Mapping[str, 'ConnectStep']) -> list['ConnectStep']:
        """The steps that this one needs and that are not done."""
        return [steps[key] for key in self.needs or () if key in steps and steps[key].state not in DONE]

    def _locked(self, steps: Mapping[str, 'ConnectStep'], verb: str) -> str:
        names = [step.title for step in self._missing(steps)]
        first = names[0] if len(names) == 1 else f'{", ".join(names[:-1])} and {names[-1]}' if names else ''
        if not first:
            return f'{self.title} is locked; to {verb} it, start it first.'
        comes = 'comes' if len(names) == 1 else 'come'
        return f'{self.title} is locked: {first} {comes} first.'

    def _changes(self, verb: str, move: Move, because: str, by: 'PortalUser | None', done_by: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        done = move.leads_to in DONE
        changes: dict[str, Any] = {
            'state': move.leads_to, 'reason': because if verb in ('block', 'skip', 'reopen') else '',
            'completed_at': now if done else None, 'done_by_id': by.id if by and done else None,
            'done_by': (by.name if by else done_by)[:120] if done else '',
        }  # fmt: skip
        # Reopened, it begins anew: whoever still sees it as it was before does not complete it by mistake.
        if verb in ('start', 'reopen') or (verb == 'complete' and self.started_at is None):
            changes['started_at'] = now
        if verb == 'reopen':
            changes |= self.overruled(by.name if by else done_by or 'the vendor')
        return changes

    def overruled(self, who: str) -> dict[str, Any]:
        """What is kept of a step that is reopened: its check is not asked again at once, and where the check had
        passed, the same answer once more does not complete the step."""
        evidence = [dict(each) for each in self.evidence or ()]
        if evidence and evidence[0]['passed'] is True:
            evidence[0]['overruled'] = who
        return {'checked_at': datetime.now(UTC), 'evidence': evidence}

    # -- automatic checks ---------------------------------------------------------------------------------------------

    async def want_check(self, *, by: 'PortalUser') -> None:
        """Let the automatic check run at once (jobs/connect_checks.py). Raises `Refused` and `NotAllowed`."""
        from models.connect_checks import CHECKS

        rights.require(by, 'step.check')
        async with transaction() as connection:
            customer = await self._held(connection, begins=False)
            fresh = await ConnectStep.get(id=self.id)
            if (check := CHECKS.get(fresh.check_key)) is None:
                raise ConnectStep.NotAllowed(f'{self.title} has no automatic check.')
            if why := check.why_not(customer):
                raise ConnectStep.NotAllowed(f'{self.title} cannot be checked: {why}')
            if (why := customer.why_no_step_moves(fresh)) is not None:
                raise ConnectStep.NotAllowed(why)
            if fresh.state not in CHECKED:
                steps = {step.key: step for step in await ConnectStep.filter(customer_id=self.customer_id)}
                locked = fresh.state == StepState.LOCKED
                said = fresh._locked(steps, 'check') if locked else f'{fresh._now(capital=True)}; nothing to check.'
                raise ConnectStep.NotAllowed(said)
            await ConnectStep.filter(id=self.id).update(checked_at=None)
            events.CHECK_WANTED.emit(self.id, by.name)
            events.CUSTOMER_TOUCHED.emit(customer.partner_id, {customer.id: frozenset({'connect'})})

    @classmethod
    async def check_again(cls, customer_id: int, check_key: str) -> None:
        """What this check asks about has just changed: let it run at once, and not when its pause is over."""
        open_ = cls.filter(customer_id=customer_id, check_key=check_key, state__in=list(CHECKED))
        for step in await open_.only('id'):
            events.CHECK_WANTED.emit(step.id, AUTOMATIC)

    async def found(self, evidence: Mapping[str, Any]) -> bool:
        """Attach what a check found (`at`, `by`, `asked`, `answer`, `passed`: True, False, or None where it could not
        be asked); what passed is complete. Return whether it came to be.

        Somebody who reopened a step that had passed knows better: the job finding the same again does not complete it.
        """
        async with transaction() as connection:
            customer = await self._held(connection, begins=True)
            fresh = await ConnectStep.get_or_none(id=self.id)
            if fresh is None:
                return False
            newest, before = dict(evidence), list(fresh.evidence or ())
            who = before[0].get('overruled') if before else None
            if is_overruled := bool(who) and newest['passed'] is not False and newest['by'] == AUTOMATIC:
                newest['overruled'] = who
            kept = [newest, *before][:EVIDENCE_KEPT]
            await ConnectStep.filter(id=self.id).update(evidence=kept, checked_at=datetime.now(UTC))
            events.CUSTOMER_TOUCHED.emit(customer.partner_id, {customer.id: frozenset({'connect'})})
            if newest['passed'] is not True or is_overruled or fresh.state not in CHECKED:
                return False
            try:
                await fresh.move('complete', done_by=AUTOMATIC, evidence=evidence)
            except ConnectStep.NotAllowed:  # put on hold, say, while it was asked
                return False
        return True


def _why(because: str, *, for_vendor: bool) -> str:
    if for_vendor:
        return f' on the vendor’s behalf: {because}'
    return f' – {because}' if because else ''


async def begin(customer_id: int, templates: Iterable[Template], *, form: 'RfiState') -> None:
    """Make these steps (needing only each other) for a customer that has none, the form's as the form is."""
    from models.rfi import RfiState

    templates, now = list(templates), datetime.now(UTC)
    done = {RfiState.COMPLETE: StepState.COMPLETE, RfiState.NOT_APPLICABLE: StepState.SKIPPED}.get(form)
    await ConnectStep.bulk_create([
        ConnectStep(
            customer_id=customer_id, position=position, **ConnectStep.columns(template), state=state,
            completed_at=now if template.key == RFI and done else None,
            reason=NO_FORM if state == StepState.SKIPPED else '',
        )
        for position, (template, state) in enumerate(zip(templates, states(templates, done), strict=True), 1)
    ])  # fmt: skip


def states(templates: Sequence[Template], form: StepState | None) -> list[StepState]:
    """The states in which steps begin; `form` is how the form's own step is done, if it is."""
    done = {RFI} if form else set()
    return [
        form if form and template.key == RFI else StepState.TODO if set(template.needs) <= done else StepState.LOCKED
        for template in templates
    ]


async def unlock(customer_id: int) -> None:
    """Unlock the steps whose prerequisites are done, lock those whose prerequisites were reopened."""
    steps = await ConnectStep.filter(customer_id=customer_id)
    done = {step.key for step in steps if step.state in DONE}
    present = {step.key for step in steps}
    for step in steps:
        needs = set(step.needs or ()) & present
        if step.state == StepState.LOCKED and needs <= done:
            await ConnectStep.filter(id=step.id, state=StepState.LOCKED).update(state=StepState.TODO)
        elif step.state == StepState.TODO and not needs <= done:
            await ConnectStep.filter(id=step.id, state=StepState.TODO).update(state=StepState.LOCKED)


def begins(customer: 'Customer', now: datetime) -> datetime:
    """From when on what is planned now is reckoned. While Connect rests it is the day on which that began: as it goes
    on, all that is due moves by the days that it rested."""
    return customer.held_at if customer.held_at is not None else now


async def plan_open(customer_id: int, begun: datetime, *, is_back: bool) -> None:
    """Give the open steps that have none their due dates."""
    customer = await kept(customer_id)
    steps = await ConnectStep.filter(customer_id=customer_id).order_by('position')
    waiting = [s for s in steps if s.state not in DONE]
    for key, due in plan(waiting, begins(customer, begun), customer.partner, is_back=is_back).items():
        if due is not None:
            await ConnectStep.filter(customer_id=customer_id, key=key, due_at__isnull=True).update(due_at=due)


async def step_done(
    customer_id: int, key: str, at: datetime, *, evidence: Mapping[str, Any], by: 'PortalUser | None' = None
) -> None:
    """Note that a step came to be complete by what happened elsewhere (the RFI was accepted, say)."""
    await kept(customer_id)
    for step in await ConnectStep.filter(customer_id=customer_id, key=key, completed_at__isnull=True):
        await ConnectStep.filter(id=step.id).update(
            state=StepState.COMPLETE, completed_at=at, reason='', done_by_id=by.id if by else None,
            done_by=by.name[:120] if by else '', evidence=[dict(evidence), *(step.evidence or ())][:EVIDENCE_KEPT],
        )  # fmt: skip
    await unlock(customer_id)


async def step_undone(customer_id: int, key: str) -> None:
    """Note that a step came to be open again by what happened elsewhere (the RFI was reopened, say)."""
    await kept(customer_id)
    await ConnectStep.filter(customer_id=customer_id, key=key, state__in=DONE).update(
        state=StepState.IN_PROGRESS, started_at=datetime.now(UTC), completed_at=None, reason='', done_by_id=None,
        done_by='',
    )  # fmt: skip
    await unlock(customer_id)


async def kept(customer_id: int) -> 'Customer':
    """The customer, kept from whoever else moves its Connect on; before the steps, as `ConnectStep.move` does."""
    from models.customer import Customer

    found = await Customer.filter(id=customer_id).select_for_update(no_key=True).get()
    await found.fetch_related('partner')
    return found
