"""The form of a change order: its fields, what each may be, and what it takes to submit it (domain.md 1.9).

`clean` judges one field after the other and lets a quote be unfinished; `judged` judges the whole against what the
customer has, and says what it costs: what is taken away in negative lines, what takes its place in positive ones.
Nothing here is stored.
"""

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from models import checking
from models.calendar import add_months
from models.catalogue import any_of
from models.checking import Invalid, Problems, day
from models.order import ChangeMode
from models.order_form import MOST_PRODUCTS
from models.price import Price
from models.pricing import Line, fees, line, shown
from models.product import Product, ProductKind

if TYPE_CHECKING:
    from models.order import Order

FIELDS = ('mode', 'seats', 'primary', 'add_ons', 'drop', 'lead', 'effective_on', 'po_number', 'po_waived')
NOBODY = 'is nobody who sees this customer and can sign in'
FARTHEST = 24  # months from now: what is meant to happen later is ordered later


@dataclass(frozen=True)
class Held:
    """What the customer has: licences in total, and how many of which product (the quantities by code)."""

    seats: int
    quantities: Mapping[str, int] = field(default_factory=dict)


def first_of_next_month(today: date) -> date:
    return add_months(today.replace(day=1), 1)


def empty_for(held: Held, today: date, lead: int | None = None) -> dict[str, Any]:
    """What the form begins with: everything as it is, from the first of next month on. `lead` is who looks after the
    customer."""
    return {
        'mode': ChangeMode.KEEP.value, 'seats': held.seats or '', 'primary': [], 'add_ons': [], 'drop': [],
        'lead': lead or '', 'effective_on': first_of_next_month(today).isoformat(), 'po_number': '', 'po_waived': False,
    }  # fmt: skip


def stored(order: 'Order') -> dict[str, Any]:
    """The fields of the form as the order has them."""
    details = order.details if isinstance(order.details, dict) else {}
    return {
        'mode': (order.mode or ChangeMode.KEEP).value, 'seats': order.seats or '',
        **{name: list(details.get(name, ())) for name in ('primary', 'add_ons', 'drop')},
        'lead': details.get('lead', ''), 'effective_on': order.effective_on.isoformat() if order.effective_on else '',
        'po_number': order.po_number, 'po_waived': order.po_waived,
    }  # fmt: skip


def put(order: 'Order', facts: Mapping[str, Any]) -> None:
    """Give the order what `clean` has made of the form."""
    order.mode, order.seats = ChangeMode(facts['mode']), facts['seats'] or 0
    order.effective_on = day('effective_on', facts['effective_on'])
    order.po_number, order.po_waived = facts['po_number'], facts['po_waived']
    order.details = {
        **(order.details if isinstance(order.details, dict) else {}),
        **{name: facts[name] for name in ('primary', 'add_ons', 'drop', 'lead')},
    }  # fmt: skip


# -- one field after the other ----------------------------------------------------------------------------------------


def clean(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they would be stored; raises `Invalid` with all that cannot be. What is empty may stay so."""
    found = checking.each(facts, _clean)
    if found.get('mode') == ChangeMode.KEEP:  # chosen before the mode was: of no account
        found['primary'] = []
    if found.get('po_waived'):
        found['po_number'] = ''
    return found


def _clean(name: str, value: Any) -> Any:
    if name == 'mode':
        mode = checking.one_of(name, value, ChangeMode)
        if mode == ChangeMode.NONE:
            raise Invalid(name, 'is empty; say what becomes of the primary product')
        return mode.value
    if name == 'seats':
        return _number(name, value)
    if name in ('primary', 'add_ons', 'drop'):
        codes = checking.several(name, value, lambda field, one: checking.line(field, one, 20))
        if len(codes) > MOST_PRODUCTS:
            raise Invalid(name, f'cannot have more than {MOST_PRODUCTS} entries')
        return codes
    if name == 'lead':
        return _person(name, value)
    if name == 'effective_on':
        found = day(name, value)
        return found.isoformat() if found else ''
    if name == 'po_number':
        return checking.line(name, value, 60)
    if name == 'po_waived':
        if not isinstance(value, bool):
            raise Invalid(name, 'must be yes or no')
        return value
    raise Invalid(str(name)[:40], 'is not a field of the change order')


def _person(name: str, value: Any) -> int | str:
    """The id of one of the MSP's people; nothing is the empty text."""
    if value in (None, ''):
        return ''
    if isinstance(value, bool) or not re.fullmatch('[0-9]{1,9}', str(value)):
        raise Invalid(name, NOBODY)
    return int(value) or ''


def _number(name: str, value: Any) -> int | str:
    """A number of licences; nothing, and 0, is the empty text."""
    from models.customer import Customer

    if isinstance(value, bool) or value in (None, ''):
        return ''
    return int(Customer.check(**{name: value})[name]) or ''


# -- the whole --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """What a change costs, and all that is in the way of submitting it. `after` are the quantities by code, primary
    products first; `added` and `removed` are codes. Lines are there for what changes only."""

    lines: list[Line]
    fees: dict[str, str]  # monthly and annual: the difference, `…_before` and `…_after`; one_time
    currency: str
    after: dict[str, int]
    added: list[str]
    removed: list[str]
    problems: Problems
    is_priced: bool  # everything that there is and would be has a price: without, the sums of `fees` are too small

    @property
    def lines_data(self) -> list[dict[str, Any]]:
        return [each.as_data() for each in self.lines]


def judged(
    facts: Mapping[str, Any], held: Held, catalogue: Mapping[str, Product], prices: Mapping[str, Price], currency: str,
    today: date, leads: Container[int] | None = None,
) -> Judged:  # fmt: skip
    """Old lines negative, new lines positive, and what the form still lacks, field by field.

    `facts` are as `clean` has made them; `leads` are the people (ids) who can lead the change. A product that is at
    fault is the field `product CODE`.
    """
    problems = Problems()
    after = _after(facts, held, catalogue, problems)
    added = [code for code in after if code not in held.quantities]
    removed = [code for code in held.quantities if code not in after]
    moved = [code for code in after if after[code] != held.quantities.get(code, 0)]
    for code in dict.fromkeys([*held.quantities, *after]):
        with problems.noted():
            _require_price(code, held, catalogue, prices.get(code), currency)
    for code in after:
        with problems.noted():
            _require_rules(code, held, after, catalogue)
    if not any(catalogue[code].kind == ProductKind.PRIMARY for code in after if code in catalogue):
        problems.found.append(Invalid('primary', 'must not be empty: there has to be a primary product'))
    _seats(facts, held, problems, changes_products=bool(added or removed))
    if not (added or removed or moved) and (facts['seats'] or held.seats) == held.seats and not problems.found:
        problems.found.append(
            Invalid('seats', 'Nothing changes: type another number of licences, or choose other products')
        )
    if leads is not None and facts['lead'] and facts['lead'] not in leads:
        problems.found.append(Invalid('lead', NOBODY))
    _agreed(facts, today, problems)
    can = {code: (catalogue[code], price) for code, price in prices.items()
           if code in catalogue and price.currency == currency}  # fmt: skip
    lines = list(_lines(dict.fromkeys([*held.quantities, *after]), held, after, can))
    costs = _fees(lines, held, after, can, currency)
    return Judged(lines, costs, currency, after, added, removed, problems, {*held.quantities, *after} <= can.keys())


def _after(
    facts: Mapping[str, Any], held: Held, catalogue: Mapping[str, Product], problems: Problems
) -> dict[str, int]:
    """Which products the customer would have, and how many of each, primary products first."""
    mode, total = ChangeMode(facts['mode']), facts['seats'] or held.seats
    primary = [code for code in facts['primary'] if _known(code, ProductKind.PRIMARY, 'primary', catalogue, problems)]
    add_ons = [code for code in facts['add_ons'] if _known(code, ProductKind.ADD_ON, 'add_ons', catalogue, problems)]
    stays = [code for code in held.quantities if code not in facts['drop'] or _is_primary(code, catalogue)]
    if mode == ChangeMode.SELECT_NEW:
        stays = [code for code in stays if not _is_primary(code, catalogue) or code in primary]
    if mode != ChangeMode.KEEP:
        with problems.noted():
            _require_other_primary(mode, primary, held, catalogue)
    new = [code for code in (*primary, *add_ons) if code not in held.quantities]
    # What comes may take the place of something that is there: a bundle of one of its parts.
    replaced = {gone for code in new for gone in catalogue[code].codes('replaces')}
    wanted = dict.fromkeys([*(code for code in stays if code not in replaced), *new])
    ordered = sorted(wanted, key=lambda code: not _is_primary(code, catalogue))
    return {code: _quantity(held.quantities.get(code), held.seats, total) for code in ordered}


def _known(code: str, kind: ProductKind, name: str, catalogue: Mapping[str, Product], problems: Problems) -> bool:
    product = catalogue.get(code)
    if product is not None and product.kind == kind:
        return True
    what = 'is not in your catalogue any more' if product is None else f'is no {kind.title.lower()}'
    problems.found.append(Invalid(name, f'{checking.quoted(code)} {what}'))
    return False


def _is_primary(code: str, catalogue: Mapping[str, Product]) -> bool:
    return code in catalogue and catalogue[code].kind == ProductKind.PRIMARY


def _require_other_primary(mode: ChangeMode, primary: list[str], held: Held, catalogue: Mapping[str, Product]) -> None:
    if not primary:
        raise Invalid('primary', 'is empty; choose which product comes')
    has = {code for code in held.quantities if _is_primary(code, catalogue)}
    if mode == ChangeMode.SELECT_NEW and set(primary) == has:
        raise Invalid('primary', 'is what the customer has already; keep it, or choose another one')
    if mode == ChangeMode.ADD and (twice := [code for code in primary if code in has]):
        raise Invalid('primary', f'{catalogue[twice[0]].name} is what the customer has already')


def _quantity(now: int | None, was: int, total: int) -> int:
    """What is for everybody stays so; a number of its own stays, but does not rise above all licences that are left."""
    if now is None or now == was:
        return total
    return now if total == was else min(now, total)


def _require_price(code: str, held: Held, catalogue: Mapping[str, Product], price: Price | None, currency: str) -> None:
    """Raise where it cannot be said what a product costs, or what its going saves."""
    name, is_there = f'product {code}', code in held.quantities
    if (product := catalogue.get(code)) is None:
        raise Invalid(name, f'{checking.quoted(code)} is not in your catalogue any more')
    if not is_there and not product.is_active:
        raise Invalid(name, 'is not sold any more')
    if price is None:
        # domain.md 1.9: nothing can be changed whose primary product is not in the current price list.
        raise Invalid(name, 'is not in your price list' + (', so nothing can be changed yet' if is_there else ''))
    if price.currency != currency:
        raise Invalid(name, f'has no price in {currency} yet')


def _require_rules(code: str, held: Held, after: Mapping[str, int], catalogue: Mapping[str, Product]) -> None:
    """Raise where a product does not go together with the others that there would be.

    What the customer has already is not judged anew; but nothing that it needs may be taken away from it.
    """
    if (product := catalogue.get(code)) is None:
        return
    name, is_new = f'product {code}', code not in held.quantities
    if is_new and (not_with := [other for other in product.codes('excludes') if other in after]):
        raise Invalid(name, f'does not go together with {catalogue[not_with[0]].name}')
    needs = [other for other in product.codes('requires') if other in catalogue]
    had = is_new or any(other in held.quantities for other in needs)
    if needs and had and not any(other in after for other in needs):
        raise Invalid(name, f'needs {any_of([catalogue[other] for other in needs])}')


def _seats(facts: Mapping[str, Any], held: Held, problems: Problems, *, changes_products: bool) -> None:
    total = facts['seats']
    if not total:
        problems.found.append(Invalid('seats', 'must be at least 1'))
    elif total < held.seats and changes_products:
        problems.found.append(Invalid(  # domain.md 0, trap 5
            'seats',
            f'cannot fall below {held.seats:,} in the same change order that changes products. Make two of it: one '
            'for the products, one for the licences',
        ))  # fmt: skip


def _agreed(facts: Mapping[str, Any], today: date, problems: Problems) -> None:
    effective_on = day('effective_on', facts['effective_on'])
    if effective_on is None:
        problems.found.append(Invalid('effective_on', 'is empty'))
    elif effective_on < today:
        problems.found.append(Invalid('effective_on', 'must be today or later'))
    elif effective_on > add_months(today, FARTHEST):
        problems.found.append(Invalid('effective_on', f'cannot be more than {FARTHEST} months from now'))
    if not facts['po_number'] and not facts['po_waived']:
        problems.found.append(Invalid('po_number', 'is empty; tick that none is required if that is so'))


# -- what it costs ----------------------------------------------------------------------------------------------------

Priced = Mapping[str, tuple[Product, Price]]


def _lines(codes: Iterable[str], held: Held, after: Mapping[str, int], can: Priced) -> Iterable[Line]:
    """For each product that changes what is taken away, and what comes in its place."""
    for code in sorted((code for code in codes if code in can), key=lambda code: _place(can[code][0])):
        was, will_be = held.quantities.get(code, 0), after.get(code, 0)
        if was == will_be:
            continue
        if was:
            yield line(*can[code], -was, with_one_time_fee=False)
        if will_be:
            yield line(*can[code], will_be, with_one_time_fee=code not in held.quantities)


def _place(product: Product) -> tuple[bool, str]:
    return product.kind != ProductKind.PRIMARY, product.name


def _fees(lines: list[Line], held: Held, after: Mapping[str, int], can: Priced, currency: str) -> dict[str, str]:
    changes = fees(lines, currency)
    before = fees([line(*can[code], n, with_one_time_fee=False) for code, n in held.quantities.items() if code in can],
                  currency)  # fmt: skip
    later = fees([line(*can[code], n, with_one_time_fee=False) for code, n in after.items() if code in can], currency)
    found = {'one_time': shown(changes.one_time, currency)}
    for name in ('monthly', 'annual'):
        found[name] = shown(getattr(changes, name), currency)
        found[f'{name}_before'] = shown(getattr(before, name), currency)
        found[f'{name}_after'] = shown(getattr(later, name), currency)
    return found


def changes_said(facts: Mapping[str, Any], held: Held, found: Judged, catalogue: Mapping[str, Product]) -> str:
    """The change in a line: `25 → 40 licences; URL protection comes; Archiving goes`."""
    total = facts['seats'] or held.seats
    licences = f'{total:,} {"licence" if total == 1 else "licences"}'
    said = [f'{held.seats:,} → {licences}' if total != held.seats else licences]
    for codes, verb in ((found.added, 'come'), (found.removed, 'go')):
        names = [catalogue[code].name if code in catalogue else code for code in codes]
        if names:
            together = names[0] if len(names) == 1 else f'{", ".join(names[:-1])} and {names[-1]}'
            said.append(f'{together} {verb if len(names) > 1 else "comes" if verb == "come" else "goes"}')
    return '; '.join(said)
