"""What stands on an order, a change order, a cancellation and the copy of an RFI form. Drawn in a thread."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from models.documents.facts import Answers, Facts
from models.documents.paper import Cell, Column, Msp, Paper, drawn
from models.documents.words import amount, day, decimal, lines_of, moment, money, number, one_line

TERMS = {'month': 'Monthly', 'year': 'Annually'}


def _columns(currency: str) -> tuple[Column, ...]:
    return (
        Column('Product', 33), Column('Licences', 12, right=True), Column('Price a licence', 18, right=True),
        Column('Billed', 13), Column('One-time', 14, right=True),
        Column(f'Amount ({currency})' if currency else 'Amount', 20, right=True),
    )  # fmt: skip


def order(msp: Msp, facts: Facts) -> bytes:
    def draw(paper: Paper) -> None:
        paper.letterhead()
        paper.title(facts.customer)
        paper.facts([*_numbers(facts), ('Account code', facts.account_code)], columns=4)
        _parties(paper, msp, facts)
        paper.heading('Products and licences')
        paper.table(
            _columns(facts.currency), [_row(line, facts.currency) for line in facts.lines], empty='No products.'
        )
        paper.totals(_totals(facts))
        if facts.infrastructure:
            paper.heading('Infrastructure')
            paper.facts(facts.infrastructure, columns=4)
        _agreed(paper, msp, facts, 'order')

    return _drawn(draw, msp, facts, 'Order')


def addendum(msp: Msp, facts: Facts) -> bytes:
    def draw(paper: Paper) -> None:
        paper.letterhead()
        paper.title(f'Addendum for {one_line(facts.customer)}')
        paper.facts([
            *_numbers(facts), ('Account code', facts.account_code), ('Effective', day(facts.effective_on)),
            ('Can be withdrawn until', _withdrawn_until(facts)),
        ])  # fmt: skip
        _parties(paper, msp, facts)
        paper.heading('What changes')
        for sentence in _changes(facts):
            paper.paragraph(sentence)
        paper.table(_columns(facts.currency), [_row(line, facts.currency) for line in facts.lines],
                    empty='The products stay as they are.')  # fmt: skip
        paper.paragraph('What is taken away has negative amounts; what takes its place stands below it.', quiet=True)
        paper.totals(_totals_of_change(facts))
        _agreed(paper, msp, facts, 'change order')

    return _drawn(draw, msp, facts, 'Change order')


def cancellation(msp: Msp, facts: Facts) -> bytes:
    moves = facts.details.get('type') == 'partner_change'

    def draw(paper: Paper) -> None:
        paper.letterhead()
        paper.title(facts.customer)
        paper.facts([
            *_numbers(facts), ('Account code', facts.account_code), ('Effective', day(facts.effective_on)),
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
            paper.table(_columns(facts.currency), [_row(line, facts.currency) for line in facts.lines])
            paper.totals(_totals(facts, 'monthly', 'annual'), strong=0)
        _agreed(paper, msp, facts, 'cancellation')

    return _drawn(draw, msp, facts, 'Partner change' if moves else 'Cancellation')


def rfi(msp: Msp, answers: Answers) -> bytes:
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

    title = 'Request for Information'
    about = ' · '.join(filter(None, (title, one_line(answers.customer), one_line(answers.account_code))))
    return drawn(draw, msp, title=title, about=about, at=answers.at)


# -- pieces -----------------------------------------------------------------------------------------------------------


def _drawn(draw: Any, msp: Msp, facts: Facts, title: str) -> bytes:
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
    paper.parties([(role, msp.name, msp.address), ('For', facts.customer, facts.customer_lines)])


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
        amount(once, currency) if once else '–',
        amount(sum(sums), currency),
    ]


def _totals(facts: Facts, *only: str) -> list[tuple[str, str]]:
    names = (('monthly', 'Total monthly fees'), ('annual', 'Total annual fees'),
             ('one_time', 'Total one-time (up front) fees'), ('initial', 'Initial fees'))  # fmt: skip
    return [
        (title, money(facts.fees[name], facts.currency))
        for name, title in names
        if name in facts.fees
        and (name in only or not only)
        and (name in ('monthly', 'initial') or decimal(facts.fees[name]))
    ]


def _totals_of_change(facts: Facts) -> list[tuple[str, str]]:
    """Before and after, each month and each year. What the order does not say is not made up."""
    found = []
    for name, words in (('annual', 'a year'), ('monthly', 'a month')):
        before, after = (decimal(facts.fees.get(f'{name}_{when}')) for when in ('before', 'after'))
        if before is not None and after is not None and (before or after):
            found += [
                (f'Before, {words}', money(before, facts.currency)),
                (f'Difference, {words}', money(after - before, facts.currency)),
                (f'From then on, {words}', money(after, facts.currency)),
            ]
    if not found:
        found = [
            (f'Difference, {words}', money(facts.fees[name], facts.currency))
            for name, words in (('annual', 'a year'), ('monthly', 'a month'))
            if decimal(facts.fees.get(name)) is not None and (decimal(facts.fees[name]) or name == 'monthly')
        ]
    if decimal(facts.fees.get('one_time')):
        found.insert(0, ('One-time fees', money(facts.fees['one_time'], facts.currency)))
    return found


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
    paper.heading('Agreement', keep=32)
    name = one_line(msp.name)
    said = []
    if facts.accepts_agreement:
        said.append(f'This {what} is governed by the {one_line(facts.agreement)} of {name}.')
    if facts.is_authorised:
        said.append(f'Whoever submits it is authorised to place this {what} on behalf of {name}.')
    paper.paragraph(' '.join(said) or f'This {what} was made in the MSP Portal of {name}.')
    if facts.at is None:
        paper.signed([f'This {what} is a draft.', 'It has not been submitted, and obliges nobody.'])
    else:
        paper.signed([f'Submitted by {facts.by or name}', f'on {moment(facts.at, facts.zone)}, for {name}'])
