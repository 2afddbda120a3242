"""What automatic checks of Connect ask, and when they pass: one entry of `CHECKS` each.

A check answers with an `Outcome`: what was asked, what came back, and whether it passed. What cannot be asked has not
passed and has not failed: `passed` is None, and the answer says why. Nothing here changes anything:
jobs/connect_checks.py runs the checks, and `ConnectStep.found` stores what they found.

There is no check of the lock-down of a firewall: it would mean that this server connects to port 25 of machines of
others, from an address that is not the vendor's. Many networks do not let it out, some would take it for an attack, and
a refused connection from here does not prove that others are refused.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from models import dns_asking
from models.connect_step import CONFIGURES, ConnectStep, StepState
from models.database import reader
from models.infrastructure import Infrastructure
from models.monitor import Monitor, MonitorState
from models.order import Order, OrderKind, VendorState
from models.partner import Partner
from models.rfi import Rfi, RfiState

if TYPE_CHECKING:
    from models.customer import Customer

MOST_DOMAINS = 20  # of one customer, asked at once
RECENT = timedelta(hours=24)  # a good reading older than that proves nothing
_LONGEST = 1000  # of an answer that is kept
NO_VENDOR = 'the portal has no connection to the vendor for this customer.'


@dataclass(frozen=True)
class Outcome:
    """What a check found; `passed` is None where it could not be asked."""

    asked: str
    answer: str
    passed: bool | None

    def as_evidence(self, by: str, at: datetime | None = None) -> dict[str, Any]:
        """As it is attached to a step."""
        return {
            'at': (at or datetime.now(UTC)).isoformat(), 'by': by, 'asked': self.asked[:_LONGEST],
            'answer': self.answer[:_LONGEST], 'passed': self.passed,
        }  # fmt: skip


def cannot(asked: str, why: str) -> Outcome:
    return Outcome(asked, f'Could not be checked: {why}', None)


@dataclass(frozen=True)
class Check:
    """`title` is what a template's editor shows, `asks` what passes it. `of_vendor`: nobody but the vendor knows."""

    title: str
    asks: str
    run: 'Callable[[Customer, ConnectStep], Awaitable[Outcome]]'
    of_vendor: bool = False

    def why_not(self, customer: 'Customer') -> str:
        """Why it cannot be asked of this customer at all; empty where it can. The simulated vendor knows its own."""
        return NO_VENDOR if self.of_vendor and not customer.is_simulated else ''


async def run(customer: 'Customer', step: ConnectStep) -> Outcome:
    """Ask the check of this step now."""
    check = CHECKS.get(step.check_key)
    if check is None:
        return cannot(step.title, 'there is no such check any more.')
    return await check.run(customer, step)


# -- the form, the account --------------------------------------------------------------------------------------------


async def _rfi(customer: 'Customer', step: ConnectStep) -> Outcome:
    asked = 'Is the RFI form complete?'
    form = await Rfi.filter(customer_id=customer.id).using_db(reader()).first()
    if form is None:
        return cannot(asked, 'there is no form.')
    passed = form.state in (RfiState.COMPLETE, RfiState.NOT_APPLICABLE)
    return Outcome(asked, f'The form is {form.state.value.replace("_", " ")}.', passed)


async def _account(customer: 'Customer', step: ConnectStep) -> Outcome:
    asked = 'Has the vendor given an account code?'
    if customer.code_is_provisional:
        return Outcome(asked, f'{customer.account_code} is the portal’s own code, until the vendor accepts.', False)
    orders = Order.filter(customer_id=customer.id, kind=OrderKind.NEW).using_db(reader())
    if not (told := await orders.values_list('vendor', flat=True)):
        # Somebody typed the code, or a file had it in it: that says nothing about the account behind it.
        return cannot(asked, 'the customer was not ordered in the portal.')
    if VendorState.ACCEPTED in told:
        return Outcome(asked, f'The order was accepted; the account code is {customer.account_code}.', True)
    return Outcome(asked, 'The vendor has not accepted the order yet.', False)


# -- the domain name system -------------------------------------------------------------------------------------------


async def domains_of(customer: 'Customer') -> list[str]:
    """The e-mail domains of the RFI form; where it names none, what is known otherwise."""
    form = await Rfi.filter(customer_id=customer.id).using_db(reader()).first()
    answers = form.answers if form is not None and isinstance(form.answers, dict) else {}
    known = await Infrastructure.of(customer.id)
    for named in (answers.get('email_domains'), known['domains'], [customer.domain]):
        if isinstance(named, list) and (found := [str(one).strip() for one in named if str(one).strip()]):
            return list(dict.fromkeys(found))[:MOST_DOMAINS]
    return []


async def _dns_mx(customer: 'Customer', step: ConnectStep) -> Outcome:
    hosts = (await _partner(customer)).mx_hosts or []

    def judged(found: dns_asking.Found) -> tuple[bool, str]:
        if not found.mx or found.takes_no_mail:
            return False, 'no MX record'
        elsewhere = [host for host in found.mx if not dns_asking.leads_to(host, hosts)]
        return not elsewhere, ', '.join(found.mx) + (f' – not {", ".join(elsewhere)}' if elsewhere else '')

    asked = 'Do the MX records of {} lead to ' + (_or(hosts) if hosts else 'the vendor') + '?'
    missing = '' if hosts else 'the settings do not say where MX records lead to.'
    return await _of_every_domain(customer, asked, missing, judged)


async def _dns_spf(customer: 'Customer', step: ConnectStep) -> Outcome:
    wanted = (await _partner(customer)).spf_include

    def judged(found: dns_asking.Found) -> tuple[bool, str]:
        if len(found.spf) > 1:
            return False, f'{len(found.spf)} SPF records, and only one may be there: {"; ".join(found.spf)}'
        if not found.spf:
            return False, 'no SPF record'
        return dns_asking.includes(found.spf[0], wanted), found.spf[0]

    asked = 'Does the SPF record of {} include ' + (wanted or 'the vendor') + '?'
    missing = '' if wanted else 'the settings do not say what SPF records include.'
    return await _of_every_domain(customer, asked, missing, judged)


async def _of_every_domain(
    customer: 'Customer', asked: str, missing: str, judged: Callable[[dns_asking.Found], tuple[bool, str]]
) -> Outcome:
    """Ask about every domain of the customer; it passes where all do. `asked` has {} in it, where the domains go."""
    domains = await domains_of(customer)
    asked = asked.format(', '.join(domains) or 'the customer’s domains')
    if missing or not domains:
        return cannot(asked, missing or 'no domain of the customer is known.')
    results = await asyncio.gather(*(dns_asking.ask(domain) for domain in domains))
    said, unknown, wrong = [], False, False
    for domain, found in zip(domains, results, strict=True):
        if found.error:
            said.append(f'{domain}: {found.error}')
            unknown, wrong = unknown or found.exists is None, wrong or found.exists is False
        else:
            passed, text = judged(found)
            wrong = wrong or not passed
            said.append(f'{domain}: {text}')
    answer = '\n'.join(said)
    # One that is wrong is enough to fail; otherwise what nobody answered keeps all from passing.
    if unknown and not wrong:
        return cannot(asked, answer)
    return Outcome(asked, answer, not wrong)


def _or(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f'{", ".join(names[:-1])} or {names[-1]}'


async def _partner(customer: 'Customer') -> Partner:
    return await Partner.get(id=customer.partner_id, using_db=reader())


# -- readings ---------------------------------------------------------------------------------------------------------


async def _monitors(customer: 'Customer', step: ConnectStep) -> Outcome:
    """The signals that this step configures; of a step that configures none, those of all steps of the customer."""
    kinds = CONFIGURES.get(step.key, ())
    if not kinds:
        applies = ConnectStep.filter(customer_id=customer.id).exclude(state=StepState.SKIPPED).using_db(reader())
        keys = await applies.values_list('key', flat=True)
        kinds = tuple(kind for key in CONFIGURES if key in keys for kind in CONFIGURES[key])
    asked = 'Is there a good reading of the last day of ' + _and([kind.title.lower() for kind in kinds]) + '?'
    if not kinds:
        return cannot('Are there good readings?', 'no signal belongs to this step.')
    found = {m.kind: m for m in await Monitor.filter(customer_id=customer.id, kind__in=kinds).using_db(reader())}
    now = datetime.now(UTC)
    said, passed, never = [], True, True
    for kind in kinds:
        monitor = found.get(kind)
        if monitor is None or monitor.read_at is None:
            said.append(f'{kind.title}: never read')
            passed = False
            continue
        never = False
        recent = now - monitor.read_at <= RECENT
        passed = passed and recent and monitor.state == MonitorState.GOOD
        value = f' ({monitor.value:g} waiting)' if monitor.value is not None and kind.is_queue else ''
        said.append(f'{kind.title}: {_STATES[monitor.state]}{value}, read {monitor.read_at:%Y-%m-%d %H:%M} UTC')
    answer = '\n'.join(said)
    return cannot(asked, answer) if never else Outcome(asked, answer, passed)


async def _at_vendor(customer: 'Customer', step: ConnectStep) -> Outcome:
    return cannot(CHECKS[step.check_key].asks, NO_VENDOR)


_STATES = {
    MonitorState.GOOD: 'good', MonitorState.BAD: 'problem', MonitorState.UNKNOWN: 'unknown',
    MonitorState.NOT_CONFIGURED: 'not configured',
}  # fmt: skip


def _and(names: list[str]) -> str:
    names = [name.replace('active directory', 'Active Directory') for name in names]
    return names[0] if len(names) == 1 else f'{", ".join(names[:-1])} and {names[-1]}' if names else ''


CHECKS: dict[str, Check] = {
    'rfi': Check('RFI form', 'The form is complete.', _rfi),
    'account': Check('Account code', 'The vendor has accepted the order and given the account code.', _account),
    'dns_mx': Check('MX records', 'The MX records of every domain lead to the vendor, and nowhere else.', _dns_mx),
    'dns_spf': Check('SPF record', 'The SPF record of every domain includes the vendor.', _dns_spf),
    'domains': Check(
        'Domains at the vendor', 'The vendor has every domain of the RFI form, and none of them waits to be confirmed.',
        _at_vendor, of_vendor=True,
    ),
    'recipients': Check(
        'Recipients at the vendor', 'The vendor takes mail for known recipients only.', _at_vendor, of_vendor=True
    ),
    'monitors': Check('Readings', 'The signals that the step configures have had good readings today.', _monitors),
}  # fmt: skip
OF_VENDOR = frozenset(key for key, check in CHECKS.items() if check.of_vendor)
