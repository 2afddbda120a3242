"""Which steps of Connect a customer needs, as products and infrastructure change: what does not apply is skipped, what
applies again comes back, and what a product that was bought later needs is added."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from models.connect_step import (
    BY_RULE,
    CHECKED,
    DONE,
    RFI,
    ConnectStep,
    StepState,
    Template,
    among,
    begins,
    kept,
    plan,
    unlock,
)
from models.connect_template import ConnectTemplate
from models.history import HistoryEvent
from models.infrastructure import Infrastructure
from models.monitor import Monitor, MonitorKind, MonitorState

if TYPE_CHECKING:
    from models.customer import Customer
    from models.user import PortalUser

_OPEN = (*CHECKED, StepState.LOCKED)
# Of whom nothing else is known: which signals are watched says what was set up.
_SIGNALS = {
    'S': (MonitorKind.INBOUND_QUEUE, MonitorKind.OUTBOUND_QUEUE),
    'A': (MonitorKind.JOURNAL_QUEUE, MonitorKind.JOURNAL_CONNECTOR),
}


async def fit(customer_id: int, *, by: 'PortalUser | None' = None) -> list[str]:
    """Skip the open steps that the infrastructure, as it is known by now, does not need, and bring back those that were
    skipped because of what it was; return their titles.

    Called within a transaction by whoever learns of the infrastructure, before `restate`.
    """
    customer = await kept(customer_id)
    if not customer.is_in_connect:
        return []
    known = await Infrastructure.get_or_none(customer_id=customer_id)
    if known is None:
        return []
    of = await ConnectTemplate.that_made(customer)
    changed = await _skip(customer, lambda template: _why_not(template, known), of, by)
    changed += await _bring_back(customer, await _services(customer_id), known, of, by)
    if changed:
        await unlock(customer_id)
    return changed


async def refit(customer_id: int, *, by: 'PortalUser') -> None:
    """The same for whoever changes what is known of the infrastructure, with all that follows from it."""
    if await fit(customer_id, by=by):
        await (await kept(customer_id)).moved_on()


async def set_up_products(customer: 'Customer', by: 'PortalUser | None' = None, *, had: str | None = None) -> list[str]:
    """Have what the customer bought by now set up: steps of its own template that apply now and did not before are
    added, open ones of what it has no longer are skipped. Return the titles of what is to be done.

    Called within the transaction of whoever changed the products, the monitors and then the customer held. `had` are
    the services from before (letters, as `rfi_knowing.services_of`); where nobody knows them, the steps that are
    there tell, or what is watched. A customer that is live stays so: what is added for it is marked (`is_later`) and
    done beside.
    """
    fresh = await kept(customer.id)
    services = await _services(fresh.id)
    if fresh.closing or not services:
        return []
    steps = {step.key: step for step in await ConnectStep.filter(customer_id=fresh.id).order_by('position')}
    of = await _template_of(fresh, steps)
    known = await Infrastructure.get_or_none(customer_id=fresh.id)
    if not had and not steps:
        had = await _watched(fresh.id)
    skipped = await _skip(fresh, lambda template: _not_bought(template, services), of, by)
    back = await _bring_back(fresh, services, known, of, by, had)
    added = [template for template in of.values() if _is_new(template, fresh, steps, services, known, had)]
    await _add(fresh, added, of, by)
    if skipped or back or added:
        await unlock(fresh.id)
        await fresh.moved_on()
    return [*back, *(template.title for template in added)]


async def to_set_up(customer: 'Customer', services: str) -> list[str]:
    """What `set_up_products` would have set up (titles) if the customer had products of these services, by letters.
    Nothing is changed."""
    had = await _services(customer.id)
    if customer.closing or not set(services) - set(had):
        return []
    found = await ConnectStep.filter(customer_id=customer.id).order_by('position')
    steps = {step.key: step for step in found}
    if steps or customer.template_id is not None:
        of = await ConnectTemplate.that_made(customer)
    else:
        of = (await ConnectTemplate.current(customer.partner_id)).by_key()
    known = await Infrastructure.get_or_none(customer_id=customer.id)
    if not had and not steps:
        had = await _watched(customer.id)
    back = [step.title for step in found
            if step.state in DONE and _comes_back(step, of.get(step.key), services, known, had)]  # fmt: skip
    new = [template.title for template in of.values() if _is_new(template, customer, steps, services, known, had)]
    return [*back, *new]


def _is_new(
    template: Template, customer: 'Customer', steps: Mapping[str, ConnectStep], services: str,
    known: Infrastructure | None, had: str | None,
) -> bool:  # fmt: skip
    """Whether a step applies that the customer has not got, and did not with what it had."""
    return (
        template.key not in steps and not _not_bought(template, services) and not _why_not(template, known)
        and (not had or not set(template.services) & set(had))
        and (template.key != RFI or customer.is_in_connect)  # of a live customer nobody asks for the form
    )  # fmt: skip


def _comes_back(
    step: ConnectStep, template: Template | None, services: str, known: Infrastructure | None, had: str | None
) -> bool:
    """Whether a step that is done is to be done again: it was skipped by rule, or done for what was gone meanwhile."""
    if template is None or _not_bought(template, services) or _why_not(template, known):
        return False
    by_rule = step.state == StepState.SKIPPED and step.done_by_id is None and step.done_by == BY_RULE
    return by_rule or bool(had and _not_bought(template, had))


async def _services(customer_id: int) -> str:
    from models.rfi_knowing import services_of

    return await services_of(customer_id)


async def _template_of(customer: 'Customer', steps: Mapping[str, ConnectStep]) -> dict[str, Template]:
    """The steps to choose from. Who has none, having come to the portal live, begins with the MSP's template of now."""
    from models.customer import Customer

    if steps or customer.template_id is not None:
        return await ConnectTemplate.that_made(customer)
    current = await ConnectTemplate.current(customer.partner_id)
    await Customer.filter(id=customer.id).update(template_id=current.id)
    return current.by_key()


async def _watched(customer_id: int) -> str:
    configured = Monitor.filter(customer_id=customer_id).exclude(state=MonitorState.NOT_CONFIGURED)
    kinds = set(await configured.values_list('kind', flat=True))
    return ''.join(letter for letter, signals in _SIGNALS.items() if kinds & set(signals))


def _why_not(template: Template, known: Infrastructure | None) -> str:
    return template.why_not(known.mail_platform, known.directory) if known is not None else ''


def _not_bought(template: Template, services: str) -> str:
    return '' if not services or set(template.services) & set(services) else 'Not bought any more'


async def _skip(customer: 'Customer', why_not: Any, of: Mapping[str, Template], by: 'PortalUser | None') -> list[str]:
    """Skip the open steps for which `why_not` has a reason."""
    skipped = []
    for step in await ConnectStep.filter(customer_id=customer.id, state__in=list(_OPEN)).order_by('position'):
        why = why_not(of[step.key]) if step.key in of else ''
        if not why:
            continue
        await ConnectStep.filter(id=step.id).update(
            state=StepState.SKIPPED, reason=why, completed_at=datetime.now(UTC), done_by_id=None, done_by=BY_RULE
        )
        await _say(customer, 'connect.step_skipped', f'{step.title}: skipped – {why}', by, step=step.key)
        skipped.append(step.title)
    return skipped


async def _bring_back(
    customer: 'Customer', services: str, known: Infrastructure | None, of: Mapping[str, Template],
    by: 'PortalUser | None', had: str | None = None,
) -> list[str]:  # fmt: skip
    """Have the steps done that were skipped by rule and apply again, and those that were done for what was not there
    meanwhile (`had`)."""
    back = []
    for step in await ConnectStep.filter(customer_id=customer.id, state__in=list(DONE)).order_by('position'):
        if not _comes_back(step, of.get(step.key), services, known, had):
            continue
        await ConnectStep.filter(id=step.id).update(
            state=StepState.LOCKED, reason='', started_at=None, completed_at=None, done_by_id=None, done_by='',
            is_later=not customer.is_in_connect, due_at=_due(customer, [step])[step.key],
        )  # fmt: skip
        await _say(customer, 'connect.step_needed', f'{step.title}: needed again', by, step=step.key)
        back.append(step.title)
    return back


async def _add(
    customer: 'Customer', added: Iterable[Template], of: Mapping[str, Template], by: 'PortalUser | None'
) -> None:
    """Make these steps beside those that there are; what is open waits for them as the template has it."""
    added = list(added)
    if not added:
        return
    there = {step.key: step for step in await ConnectStep.filter(customer_id=customer.id)}
    keys = {*there, *(template.key for template in added)}
    needs = {template.key: list(template.needs) for template in among([of[key] for key in of if key in keys], of)}
    for key, step in there.items():
        if step.state not in DONE and key in needs and needs[key] != step.needs:
            await ConnectStep.filter(id=step.id).update(needs=needs[key])
    due = _due(customer, added)
    for template in added:
        columns: dict[str, Any] = ConnectStep.columns(template) | {
            'customer_id': customer.id, 'position': 0, 'state': StepState.LOCKED, 'needs': needs[template.key],
            'due_at': due[template.key], 'is_later': not customer.is_in_connect,
        }  # fmt: skip
        await ConnectStep(**columns).save()
    places = {key: place for place, key in enumerate(of)}
    steps = await ConnectStep.filter(customer_id=customer.id)
    steps.sort(key=lambda step: (places.get(step.key, len(places)), step.position))
    for position, step in enumerate(steps, 1):
        await ConnectStep.filter(id=step.id).update(position=position)
    titles = ', '.join(template.title for template in added)
    await _say(customer, 'connect.extended', f'To be set up: {titles}', by, steps=[each.key for each in added])


def _due(customer: 'Customer', steps: Iterable[Any]) -> dict[str, datetime | None]:
    is_back = customer.is_form_back or not customer.is_in_connect
    return plan(steps, begins(customer, datetime.now(UTC)), customer.partner, is_back=is_back)


async def _say(customer: 'Customer', kind: str, said: str, by: 'PortalUser | None', **facts: Any) -> None:
    await HistoryEvent.add(customer.partner_id, kind, said, customer_id=customer.id, by=by, **facts)
