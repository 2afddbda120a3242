"""How simulated customers get on in Connect: forms come back, steps are taken or stall, some go live, some return."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

from jobs.sources.population import Block
from jobs.sources.simulated import CONNECT_SHARE, Budget, SimulatedVendor, since
from models import (
    ConnectStep,
    Customer,
    CustomerProduct,
    Health,
    Listing,
    MonitorKind,
    Rfi,
    RfiState,
    StepState,
    connect_checks,
)
from models.connect_checks import Outcome
from models.database import reader
from models.demo import configured_kinds
from models.demo_facts import form_of
from models.demo_names import BLOCKED_BECAUSE, RFI_ERRORS, UPGRADES

_HALF = 86  # with so many customers in Connect it uses half of what the cap allows, with many nearly all of it
_MOST_AT_ONCE = 10  # a step is a dozen statements: more would hold up whoever else writes
_KEPT = 1  # forms of each state that stay as they are
_STUCK = timedelta(days=5)
_TURNS_OUT_DONE = 0.4  # of the steps that are worked on, by their automatic check
_QUICKEST = 60.0  # seconds
VENDOR = 'mail-protection.example'
_OPEN = (StepState.BLOCKED, StepState.IN_PROGRESS, StepState.TODO)


class SimulatedConnect:
    """A `ConnectSource` and `CheckSource` for the simulated customers, who are also the vendor's."""

    def __init__(self, vendor: SimulatedVendor) -> None:
        self._vendor = vendor
        self._population = vendor.population
        self._budget = Budget(vendor.rate * CONNECT_SHARE)
        self._owed = 0.0
        self._at: datetime | None = None

    @property
    def chance(self) -> Random:
        return self._vendor.chance

    async def advance(self) -> int:
        """Take the steps that are due; return how many were taken."""
        now = self._vendor.clock()
        await self._population.count(now)
        going = self._population.in_progress + self._population.waiting
        pace = self._budget.rate * going / (going + _HALF)
        self._owed = min(self._owed + pace * since(self._at, now) * self.chance.uniform(0.4, 1.6), _MOST_AT_ONCE)
        self._at = now
        moved = 0
        while self._owed >= 1:
            self._owed -= 1
            if self._budget.take(now):
                moved += await self._move(now)
        return moved

    async def _move(self, now: datetime) -> bool:
        block = self._population.any_block(self.chance)
        if block is None:
            return False
        try:
            few = min(0.3 * self._population.total, 10 + 0.12 * self._population.total)
            if self._population.in_progress < few and block.live:
                return await self._bring_back(block)
            return await self._go_on(block, now)
        except (ConnectStep.NotAllowed, Rfi.NotReady):  # somebody at a page was quicker
            return False

    async def _go_on(self, block: Block, now: datetime) -> bool:
        members = await self._population.members(block, Listing.WAITING, Listing.IN_PROGRESS)
        # What has been stuck for days stays stuck, mostly: it takes more than waiting.
        fresh = [c for c in members if c.connect_since is None or now - c.connect_since < _STUCK]
        members = fresh if fresh and self.chance.random() > 0.05 else members
        if not members:
            return False
        customer = self.chance.choice(members)
        form = await Rfi.get_or_none(customer_id=customer.id)
        if form is not None and form.state not in (RfiState.COMPLETE, RfiState.NOT_APPLICABLE):
            return await self._move_form(customer, form)
        return await self._move_step(customer)

    async def _move_form(self, customer: Customer, form: Rfi) -> bool:
        is_waiting = customer.listing == Listing.WAITING
        there = Rfi.filter(state=form.state, customer__is_simulated=True).exclude(customer__listing=Listing.CLOSED)
        if await there.count() <= _KEPT:
            return False  # of every state somebody stays: a demo shows all there is, however long it runs
        if form.state == RfiState.NOT_REQUESTED:
            await form.move('request')
        elif form.state == RfiState.SUBMITTED:
            errors = [self.chance.choice(RFI_ERRORS)] if self.chance.random() < 0.2 else None
            await form.move('find_errors' if errors else 'accept', errors=errors)
        elif not is_waiting or self._population.waiting > 2:  # two stay: there is nothing to see without any
            await form.move('submit', answers=form.answers or await form_of(self.chance, customer.id))
            self._population.moved(customer.id, waiting=-is_waiting)
        elif form.state == RfiState.REQUESTED:
            await form.move('save_draft', answers=await form_of(self.chance, customer.id, RfiState.DRAFT))
        else:
            return False
        return True

    async def _move_step(self, customer: Customer) -> bool:
        steps = await ConnectStep.filter(customer_id=customer.id).order_by('position')
        step = self._which(steps)
        if step is None:
            if any(other.state == StepState.LOCKED and not other.is_optional for other in steps):
                return False
            await self._complete(customer)
        elif step.state == StepState.BLOCKED:
            await step.move('start')
        elif step.state == StepState.TODO and step.is_optional and self.chance.random() < 0.5:
            await step.move('skip', because='Not needed here')
        elif step.state == StepState.TODO and step.key != 'rfi':
            await step.move('start')
        elif step.state == StepState.IN_PROGRESS and self.chance.random() < 0.15 and step.key != 'rfi':
            await step.move('block', because=self.chance.choice(BLOCKED_BECAUSE))
        else:
            await step.move('complete')
        return True

    def _which(self, steps: Sequence[ConnectStep]) -> ConnectStep | None:
        """The step that is worked on, as the lists show it; now and then another that could be."""
        could = [step for step in steps if step.state in _OPEN]
        must = [step for step in could if not (step.is_optional and step.state == StepState.TODO)]
        if not must:
            return None
        if self.chance.random() < 0.2:
            return self.chance.choice(could)
        return min(must, key=lambda step: (_OPEN.index(step.state), step.position))

    async def _complete(self, customer: Customer) -> None:
        await customer.complete_connect()
        self._population.moved(customer.id, live=1)
        # Some of its monitors may have begun while it was still in Connect.
        now = await Customer.get(id=customer.id)
        kinds = [kind for kind in await self._kinds(customer.id) if getattr(now, kind) == Health.NOT_CONFIGURED]
        if kinds:
            self._vendor.arrive(customer.id, kinds)

    async def _bring_back(self, block: Block) -> bool:
        live = await self._population.members(block, Listing.COMPLETE)
        calm = [customer for customer in live if customer.worst == Health.GOOD] or live
        if not calm:
            return False
        customer = self.chance.choice(calm)
        services = await _services(customer.id)
        steps = [t for t in ConnectStep.applicable(services)[2:] if not t.optional]
        await customer.reopen_connect(self.chance.choice(steps).key, because=self.chance.choice(UPGRADES))
        self._population.moved(customer.id, live=-1)
        return True

    async def check(self, customer: Customer, step: ConnectStep) -> Outcome:
        """Some of the steps that are worked on turn out to be done; what has been stuck for days stays stuck."""
        fate = Random(f'{customer.id} {step.key} {step.started_at}')  # nosec B311 # no secret hangs on it
        worked = since(step.started_at, self._vendor.clock())
        is_done = (
            step.state == StepState.IN_PROGRESS and fate.random() < _TURNS_OUT_DONE
            and _QUICKEST < worked < _STUCK.total_seconds()
        )  # fmt: skip
        domain = customer.domain or 'the customer’s domain'
        if step.check_key == 'dns_mx':
            hosts = [f'{name}.in.{VENDOR}' for name in 'ab'] if is_done else [f'mx{n}.{domain}' for n in (1, 2)]
            answer = f'{domain}: {", ".join(hosts)}' + ('' if is_done else f' – not {VENDOR}')
            return Outcome(f'Do the MX records of {domain} lead to {VENDOR}?', answer, is_done)
        if step.check_key == 'dns_spf':
            answer = f'{domain}: v=spf1 {f"include:_spf.{VENDOR}" if is_done else "mx"} -all'
            return Outcome(f'Does the SPF record of {domain} include _spf.{VENDOR}?', answer, is_done)
        if step.check_key == 'account':
            answer = f'The account code is {customer.account_code}.' if is_done else 'The account is being made.'
            return Outcome('Has the vendor given an account code?', answer, is_done)
        if step.check_key == 'domains':
            answer = f'{domain}: {"confirmed" if is_done else "waits to be confirmed"}'
            return Outcome(f'Has the vendor {domain}, and is it confirmed?', answer, is_done)
        if step.check_key == 'recipients':
            answer = 'Known recipients only.' if is_done else 'Mail is taken for anybody.'
            return Outcome('For whom does the vendor take mail?', answer, is_done)
        return await connect_checks.run(customer, step)

    async def _kinds(self, customer_id: int) -> list[MonitorKind]:
        return configured_kinds(await _services(customer_id), directory=self.chance.random() < 0.7)


async def _services(customer_id: int) -> str:
    bought = CustomerProduct.filter(customer_id=customer_id).using_db(reader())
    return ''.join(str(services) for services in await bought.values_list('product__connect_services', flat=True))
