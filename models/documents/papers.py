"""What stands on an order, a change order, a cancellation and the copy of an RFI form. Drawn in a thread."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from models.calendar import moment_said as moment
from models.calendar import said as day
from models.documents.facts import Answers, Facts, Pdf
from models.documents.paper import Cell, Column, Msp, Paper, drawn
from models.documents.words import amount, decimal, difference, lines_of, money, number, one_line
from models.pricing import PERMITTED, TITLES

TERMS = {'month': 'Monthly', 'year': 'Annually'}


def _columns(currency: str) -> tuple[Column, ...]:
    unit = f' ({currency})' if currency else ''
    return (
        Column('Product', 31), Column('Licences', 12, right=True), Column(f'A licence{unit}', 18, right=True),
        Column('Billed', 12), Column(f'Recurring{unit}', 19, right=True), Column(f'One-time{unit}', 18, right=True),
    )  # fmt: skip


def order(msp: Msp, facts: Facts) -> Pdf:
    def draw(paper: Paper) -> None:
        paper.letterhead()
        paper.title(facts.customer)
        corrected = [('Corrected', facts.corrected)] if facts.corrected else []
        users = (PERMITTED, number(facts.seats))
        paper.facts([*_numbers(facts), ('Account code', facts.account_code), users, *corrected], columns=4)
        _parties(paper, msp, facts)
        paper.heading('Products and licences')
        paper.table(_columns(facts.currency), [_row(line, facts.currency) for line in facts.lines],
                    empty='No products.', sums=_totals(facts))  # fmt: skip
        if facts.infrastructure:
            paper.heading('Infrastructure')
            paper.facts(facts.infrastructure, columns=4)
        _agreed(paper, msp, facts, 'order')

    return _drawn(draw, msp, facts, 'Order')


def addendum(msp: Msp, facts: Facts) -> Pdf:
    def draw(paper: Paper) -> None:
        paper.letterhead()
        paper.title(f'Addendum for {one_line(facts.customer)}')
        paper.facts([
            *_numbers(facts), ('Account code', facts.account_code), ('Effective', day(facts.effective_on)),
            ('Can be withdrawn until', _withdrawn_until(facts)),
            *([('Lead on our side', str(lead))] if (lead := facts.details.get('lead_said')) else []),
        ])  # fmt: skip
        _parties(paper, msp, facts)
        paper.heading('What changes')
        for sentence in _changes(facts):
            paper.paragraph(sentence)
        paper.table(_columns(facts.currency), [_row(line, facts.currency) for line in facts.lines],
                    empty='The products stay as they are.')  # fmt: skip
        if any(decimal(line.get('quantity')) and line['quantity'] < 0 for line in facts.lines):
            paper.paragraph(
                'What is taken away has negative amounts; what takes its place stands below it.', quiet=True
            )
        _fees_of_change(paper, facts)
        _agreed(paper, msp, facts, 'change order')

    return _drawn(draw, msp, facts, 'Change order')


def cancellation(msp: Msp, facts: Facts) -> Pdf:
    moves = facts.details.get('type') == 'partner_change'

    def draw(paper: Paper) -> None:
        paper.letterhead()
        paper.title(facts.customer)
        numbers = _numbers(facts)
        paper.facts([
            *(numbers if facts.po_number else numbers[:1]), ('Account code', facts.account_code),
            ('Effective', day(facts.effective_on)),
            ('Data export', 'Required' if facts.details.get('data_export') else 'Not required'),
            ('Can be withdrawn until', _withdrawn_until(facts)),
        ])  # fmt: skip
        _parties(paper, msp, facts, 'Asked for by')
        paper.heading('What is asked for')
        on, who = day(facts.effective_on), one_line(facts.customer)
        if moves:
            paper.paragraph(f'{who} moves to another partner on {on} and keeps its products there.')
        else:
            paper.paragraph(f'The subscription of {who} ends on {on}, with all its products.')
        if facts.details.get('data_export'):
            paper.paragraph('An export of the customer’s data is required before it ends.')
        else:
            paper.paragraph('No export of the customer’s data is required.')
        if because := facts.details.get('because') or facts.details.get('reason'):
            paper.paragraph(f'Reason: {because}')
        if facts.lines:
            paper.heading('Products and licences')
            paper.table(_columns(facts.currency), [_row(line, facts.currency) for line in facts.lines],
                        sums=_totals(facts, 'monthly', 'annual'), strong=0)  # fmt: skip
        _agreed(paper, msp, facts, 'partner change' if moves else 'cancellation')

    return _drawn(draw, msp, facts, 'Partner change' if moves else 'Cancellation')


def rfi(msp: Msp, answers: Answers) -> Pdf:
    def draw(paper: Paper) -> None:
        paper.letterhead()
        paper.title(answers.customer)
        given: list[tuple[str, str]] = [
            ('Account code', answers.account_code), ('Sent back', moment(answers.at, answers.zone)),
            ('Sent back by', answers.by or '–'),
        ]  # fmt: skip
        if answers.state:
            given.append(('State', answers.state))
        if answers.version:
            given.append(('Version', number(answers.version)))
        paper.facts(given)
        for section, questions in answers.sections:
            paper.heading(section)
            paper.table(
                (Column('Question', 36), Column('Answer', 64)),
                [(question, answer if lines_of(answer) else '–') for question, answer in questions],
                empty='Nothing is asked here.',
            )  # fmt: skip
        if not answers.sections:
            paper.paragraph('Nothing was asked that was answered.', quiet=True)

    title = 'Request for Information'
    about = ' · '.join(filter(None, (title, one_line(answers.customer), one_line(answers.account_code))))
    return drawn(draw, msp, title=title, about=about, at=answers.at)


# -- pieces -----------------------------------------------------------------------------------------------------------


def _drawn(draw: Any, msp: Msp, facts: Facts, title: str) -> Pdf:
    about = f'{title} {facts.number} · {one_line(facts.customer)}'
    return drawn(draw, msp, title=f'{title} {facts.number}', about=about, at=facts.at or facts.made_at)


def _withdrawn_until(facts: Facts) -> str:
    """The last day for it; a day that had passed when it was submitted is none."""
    until, at = facts.withdraw_until, facts.at
    passed = until is not None and at is not None and until < at.astimezone(ZoneInfo(facts.zone)).date()
    return 'Not any more' if passed else day(until)


def _numbers(facts: Facts) -> list[tuple[str, str]]:
    ordered = 'Not required' if facts.po_waived and not facts.po_number else facts.po_number or '–'
    return [
        ('Date', day(facts.at, facts.zone) if facts.at else 'Draft, not submitted'),
        ('Order (PO) number', ordered),
    ]


def _parties(paper: Paper, msp: Msp, facts: Facts, role: str = 'Ordered by') -> None:
    # The address of the MSP stands above, beside its logo or name.
    paper.parties([(role, msp.name, [facts.by] if facts.by else []), ('For', facts.customer, facts.customer_lines)])


def _row(line: Mapping[str, Any], currency: str) -> list[str | Cell]:
    quantity = line.get('quantity')
    name, code = str(line.get('name') or line.get('code') or ''), str(line.get('code') or '')
    sums = [decimal(line.get(term)) or 0 for term in ('monthly', 'annual')]
    once = decimal(line.get('one_time'))
    return [
        Cell(name, code if code != name else ''),
        number(quantity) if isinstance(quantity, int) else str(quantity or '–'),
        amount(line.get('unit_price'), currency),
        TERMS.get(str(line.get('term')), '–'),
        amount(sum(sums), currency),
        amount(once, currency) if once else '–',
    ]


def _totals(facts: Facts, *only: str) -> list[tuple[str, str]]:
    return [
        (title, money(facts.fees[name], facts.currency))
        for name, title in TITLES.items()
        if name in facts.fees
        and (name in only or not only)
        and (name in ('monthly', 'initial') or decimal(facts.fees[name]))
    ]


def _fees_of_change(paper: Paper, facts: Facts) -> None:
    """Before and after, each month and each year. What the order does not say is not made up."""
    fees, currency = facts.fees, facts.currency
    known = []
    for name in ('monthly', 'annual'):
        before, after = (decimal(fees.get(f'{name}_{when}')) for when in ('before', 'after'))
        if before is not None and after is not None and (before or after):
            changed = difference(after - before, currency)
            known.append([TITLES[name], amount(before, currency), changed, amount(after, currency)])
    once = decimal(fees.get('one_time'))
    if known:
        paper.table((Column(f'Fees ({currency})' if currency else 'Fees', 31), Column('Before', 23, right=True),
                     Column('Difference', 23, right=True), Column('From then on', 23, right=True)), known,
                    sums=[(TITLES['one_time'], money(once, currency))] if once else [])  # fmt: skip
        return
    sums = [
        (f'{TITLES[name]}, difference', f'{currency} {difference(fees[name], currency)}'.strip())
        for name in ('annual', 'monthly')
        if decimal(fees.get(name)) is not None and (decimal(fees[name]) or name == 'monthly')
    ]
    paper.totals([(TITLES['one_time'], money(once, currency)), *sums] if once else sums)


def _changes(facts: Facts) -> list[str]:
    said = []
    modes = {'keep': 'The primary product stays.', 'add': 'Products are added; those that there are stay.',
             'select_new': 'The primary product is replaced by another one.'}  # fmt: skip
    if facts.was_seats is not None and facts.was_seats != facts.seats:
        word = 'rises' if facts.seats > facts.was_seats else 'falls'
        was, now = number(facts.was_seats), number(facts.seats)
        said.append(f'The number of licences {word} from {was} to {now} in total.')
    elif facts.was_seats is not None:
        said.append(f'The number of licences stays {number(facts.seats)}.')
    if facts.mode in modes:
        said.append(modes[facts.mode])
    return [' '.join(said)] if said else []


def _agreed(paper: Paper, msp: Msp, facts: Facts, what: str) -> None:
    name = one_line(msp.name)
    said = []
    if facts.accepts_agreement:
        said.append(f'This {what} is governed by the {one_line(facts.agreement)} of {name}.')
    if facts.is_authorised:
        said.append(f'Whoever submits it is authorised to place this {what} on behalf of {name}.')
    agreed = ' '.join(said) or f'This {what} was made in the MSP Portal of {name}.'
    if facts.at is None:
        signed = [f'This {what} is a draft.', 'It has not been submitted, and obliges nobody.']
    else:
        signed = [f'Submitted by {facts.by or name}', f'on {moment(facts.at, facts.zone)}, for {name}']
    paper.heading('Agreement', keep=paper.height_of_texts(agreed, *signed) + 14)
    paper.paragraph(agreed)
    paper.signed(signed)
