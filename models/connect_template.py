"""The steps that Connect is made of, as data: an MSP edits them, and customers who are in Connect keep theirs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields

from models import checking, events, rights
from models.checking import ChangedMeanwhile, Impossible, Invalid
from models.connect_step import RFI, TEMPLATES, StepOwner, Template, among
from models.events import transaction
from models.history import HistoryEvent
from models.infrastructure import Directory, MailPlatform
from models.partner import Partner

if TYPE_CHECKING:
    from models.customer import Customer
    from models.user import PortalUser

DEFAULT, CLASSIC = 'default', 'classic'
MOST_STEPS = 40
MOST_TEMPLATES = 20
_KEY = re.compile(r'[a-z][a-z0-9_]{0,29}')
_SERVICES = ('SA', 'S', 'A')
# domain.md 5.1: the six of the reference, in its order. Where an earlier one does not apply, the one before it counts.
_CLASSIC = ('rfi', 'outbound_email', 'recipient_validation', 'journaling', 'inbound_email', 'lockdown')


class ConnectTemplate(Model):
    """One version of a template; editing makes another version, and the older ones stay.

    `steps` is a list in their order: `key`, `title`, `services` (S e-mail security, A archiving; both: 'SA'), `owner`,
    `needs` (keys), `is_optional`, `not_on` (mail platforms on which the step is left out), `directories` (the only ones
    with which it is there; none: whatever there is), `due_days` (after the start; null where it is not planned),
    `help_url`, `check_key` (the automatic check, or '').
    """

    id = fields.IntField(primary_key=True)
    partner: fields.ForeignKeyRelation[Partner] = fields.ForeignKeyField(
        'models.Partner', related_name='connect_templates', on_delete=fields.CASCADE
    )
    partner_id: int
    key = fields.CharField(max_length=30)
    name = fields.CharField(max_length=80)
    version = fields.IntField(default=1, db_default=1)
    steps: Any = fields.JSONField(default=list, db_default='[]')
    # Of all versions of a key at most one is current; of the current ones one is the default for new customers.
    is_current = fields.BooleanField(default=True, db_default=True)
    is_default = fields.BooleanField(default=False, db_default=False)
    made_by = fields.CharField(max_length=120, default='', db_default='')
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = 'connect_template'
        table_description = 'A version of the steps of Connect'
        unique_together = (('partner_id', 'key', 'version'),)

    # -- questions ----------------------------------------------------------------------------------------------------

    @classmethod
    async def of(cls, partner_id: int) -> list['ConnectTemplate']:
        """The current templates of an MSP, the default one first; made when they are asked for first."""
        found = await cls.filter(partner_id=partner_id, is_current=True)
        if not found:
            await cls.bulk_create(
                [
                    cls(partner_id=partner_id, key=key, name=name, steps=steps, is_default=key == DEFAULT)
                    for key, name, steps in _first()
                ],
                ignore_conflicts=True,  # somebody else asked at the same moment
            )
            found = await cls.filter(partner_id=partner_id, is_current=True)
        return sorted(found, key=lambda template: (not template.is_default, template.name.lower(), template.id))

    @classmethod
    async def current(cls, partner: Partner | int, key: str = '') -> 'ConnectTemplate':
        """The template for new customers, or the one with this key. Raises `Impossible` where there is none."""
        found = await cls.of(partner if isinstance(partner, int) else partner.id)
        if not key:
            return found[0]
        for template in found:
            if template.key == key:
                return template
        raise Impossible('There is no such template.')

    @classmethod
    async def that_made(cls, customer: 'Customer') -> dict[str, Template]:
        """The steps, by key, of the version that this customer's were copied from; the portal's own where none was."""
        made = await cls.get_or_none(id=customer.template_id) if customer.template_id is not None else None
        return made.by_key() if made is not None else {template.key: template for template in TEMPLATES}

    def by_key(self) -> dict[str, Template]:
        return {step['key']: from_data(step) for step in self.steps}

    def applicable(self, services: str, *, platform: str = '', directory: str = '') -> list[Template]:
        """The steps for what was bought, on this infrastructure; what nobody knows yet leaves nothing out.

        Each needs only steps that are among them.
        """
        of = self.by_key()
        fitting = [
            step for step in of.values()
            if (not services or set(step.services) & set(services)) and not step.why_not(platform, directory)
        ]  # fmt: skip
        return among(fitting, of)

    # -- verbs --------------------------------------------------------------------------------------------------------

    @classmethod
    async def edit(
        cls, partner: Partner, key: str, *, name: str, steps: object, was: int, by: 'PortalUser'
    ) -> 'ConnectTemplate':
        """Make a new version of a template; customers who are in Connect keep the steps they have.

        `was` is the version that the editor saw. Raises `Refused`, `Invalid` (the field is `name`, or `steps 3 title`
        of the third), or `ChangedMeanwhile` where somebody else was quicker. Nothing new is made where nothing differs.
        """
        rights.require(by, 'template.change')
        clean, called = check(steps), _name(name)
        async with transaction():
            before = await cls._held(partner, key, by)
            if before.version != was:
                raise ChangedMeanwhile('version', before.version)
            if (before.steps, before.name) == (clean, called):
                return before
            await cls._require_free(partner, called, but=key)
            await cls.filter(partner_id=partner.id, key=key).update(is_current=False, is_default=False)
            made = await cls.create(
                partner=partner, key=key, name=called, version=before.version + 1, steps=clean,
                is_default=before.is_default, made_by=by.name[:120],
            )  # fmt: skip
            await HistoryEvent.add(
                partner.id, 'settings.changed',
                f'Connect template “{called}”, version {made.version}: {_differences(before, made)}', by=by,
                template=key, version=made.version,
            )  # fmt: skip
            events.PARTNER_CHANGED.emit(partner.id)
        return made

    @classmethod
    async def copy(cls, partner: Partner, key: str, *, name: str, by: 'PortalUser') -> 'ConnectTemplate':
        """Make another template that begins as this one. Raises `Refused`, `Invalid` and `Impossible`."""
        rights.require(by, 'template.change')
        called = _name(name)
        async with transaction():
            model = await cls._held(partner, key, by)
            known = set(await cls.filter(partner_id=partner.id).values_list('key', flat=True))
            if len(await cls.of(partner.id)) >= MOST_TEMPLATES:
                raise Impossible(f'There are {MOST_TEMPLATES} templates already.')
            await cls._require_free(partner, called)
            new = next(free for n in range(1, len(known) + 2) if (free := f'own_{n}') not in known)
            made = await cls.create(partner=partner, key=new, name=called, steps=model.steps, made_by=by.name[:120])
            await HistoryEvent.add(
                partner.id, 'settings.changed', f'Connect template “{called}” was made from “{model.name}”', by=by,
                template=new,
            )  # fmt: skip
            events.PARTNER_CHANGED.emit(partner.id)
        return made

    @classmethod
    async def make_default(cls, partner: Partner, key: str, *, by: 'PortalUser') -> None:
        """New customers begin with this one. Raises `Refused` and `Impossible`."""
        rights.require(by, 'template.change')
        async with transaction():
            chosen = await cls._held(partner, key, by)
            if chosen.is_default:
                return
            await cls.filter(partner_id=partner.id, is_default=True).update(is_default=False)
            await cls.filter(id=chosen.id).update(is_default=True)
            await HistoryEvent.add(
                partner.id, 'settings.changed', f'New customers begin with the Connect template “{chosen.name}”', by=by,
                template=key,
            )  # fmt: skip
            events.PARTNER_CHANGED.emit(partner.id)

    @classmethod
    async def remove(cls, partner: Partner, key: str, *, by: 'PortalUser') -> None:
        """New customers cannot begin with this one any more; whoever did keeps its steps. Raises `Refused`, and
        `Impossible` for the one that they begin with."""
        rights.require(by, 'template.change')
        async with transaction():
            gone = await cls._held(partner, key, by)
            if gone.is_default:
                raise Impossible('New customers begin with this template. Make another one the default first.')
            await cls.filter(partner_id=partner.id, key=key).update(is_current=False)
            await HistoryEvent.add(
                partner.id, 'settings.changed', f'Connect template “{gone.name}” was removed', by=by, template=key
            )
            events.PARTNER_CHANGED.emit(partner.id)

    @classmethod
    async def _held(cls, partner: Partner, key: str, by: 'PortalUser') -> 'ConnectTemplate':
        """The current version; whoever else changes templates waits."""
        if by.partner_id != partner.id:
            raise rights.Refused('These are the templates of another MSP.')
        await cls.of(partner.id)
        await Partner.filter(id=partner.id).select_for_update(no_key=True).get()
        return await cls.current(partner, key or 'none')

    @classmethod
    async def _require_free(cls, partner: Partner, name: str, *, but: str = '') -> None:
        for other in await cls.of(partner.id):
            if other.key != but and other.name.lower() == name.lower():
                raise Invalid('name', 'is the name of another template')


# -- data and steps ---------------------------------------------------------------------------------------------------


def from_data(step: Mapping[str, Any]) -> Template:
    return Template(
        step['key'], step['title'], step['services'], StepOwner(step['owner']), tuple(step['needs']),
        step['is_optional'], tuple(step['not_on']), tuple(step['directories']), step['due_days'], step['help_url'],
        step['check_key'],
    )  # fmt: skip


def as_data(template: Template) -> dict[str, Any]:
    return {
        'key': template.key, 'title': template.title, 'services': template.services, 'owner': template.owner.value,
        'needs': list(template.needs), 'is_optional': template.optional, 'not_on': list(template.not_on),
        'directories': list(template.directories), 'due_days': template.due_days, 'help_url': template.help_url,
        'check_key': template.check,
    }  # fmt: skip


def _first() -> list[tuple[str, str, list[dict[str, Any]]]]:
    """What an MSP begins with: key, name and steps."""
    whole = [as_data(template) for template in TEMPLATES]
    by_key = {step['key']: step for step in whole}
    classic = [
        by_key[key] | {
            # In the order of the reference; the firewall waits for the mail to arrive, and for that alone.
            'needs': ['inbound_email'] if key == 'lockdown' else list(_CLASSIC[:n]),
        }
        for n, key in enumerate(_CLASSIC)
    ]  # fmt: skip
    return [(DEFAULT, 'Thirteen steps', whole), (CLASSIC, 'Classic six', classic)]


# -- what a template may be -------------------------------------------------------------------------------------------


def check(steps: object) -> list[dict[str, Any]]:
    """The steps as they would be stored; raises `Invalid` with all that cannot be, the field of each naming the step
    by its number, from 1: `steps 3 title`."""
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise Invalid('steps', 'is not a list of steps')
    if not 1 <= len(steps) <= MOST_STEPS:
        raise Invalid('steps', f'must be between 1 and {MOST_STEPS}')
    problems = checking.Problems()
    clean: list[dict[str, Any]] = []
    for n, step in enumerate(steps, 1):
        kept: dict[str, Any] = {}
        for name, checked in _CHECKS.items():
            with problems.noted():
                kept[name] = checked(f'steps {n} {name}', step.get(name))
        clean.append(kept)
    keys = [step.get('key') for step in clean]
    for n, key in enumerate(keys, 1):
        if key is not None and key in keys[: n - 1]:
            problems.found.append(Invalid(f'steps {n} key', f'{checking.quoted(key)} is the key of another step'))
    if RFI not in keys:
        problems.found.append(Invalid('steps', 'must have the step of the RFI form, with the key rfi'))
    typed = [step.get('key') for step in steps]  # a key that cannot be is told where it stands, not where it is needed
    for n, step in enumerate(clean, 1):
        if step.get('key') == RFI and (step.get('is_optional') or step.get('not_on') or step.get('directories')
                                       or step.get('services', 'SA') != 'SA'):  # fmt: skip
            problems.found.append(Invalid(f'steps {n} is_optional', 'cannot be: every customer fills in the RFI form'))
        unknown = [key for key in step.get('needs', ()) if key not in typed or key == step.get('key')]
        if unknown:
            which = 'itself' if unknown[0] == step.get('key') else f'{checking.quoted(unknown[0])}, which is no step'
            problems.found.append(Invalid(f'steps {n} needs', f'names {which}'))
    problems.refuse()
    if circle := _circle(clean):
        titles = {step['key']: step['title'] for step in clean}
        way = ' needs '.join(titles[key] for key in circle)
        raise Invalid(f'steps {1 + keys.index(circle[0])} needs', f'go round in a circle: {way}')
    return clean


def _circle(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys of steps that need each other, the first one again at the end; none where there is no such circle."""
    needs = {step['key']: step['needs'] for step in steps}
    safe: set[str] = set()

    def walk(key: str, way: list[str]) -> list[str]:
        if key in way:
            return [*way[way.index(key) :], key]
        if key not in safe:
            for needed in needs[key]:
                if found := walk(needed, [*way, key]):
                    return found
            safe.add(key)
        return []

    return next((found for key in needs if (found := walk(key, []))), [])


def _name(value: object) -> str:
    if not (text := checking.line('name', value, 80)):
        raise Invalid('name', 'is empty')
    return text


def _key(field: str, value: object) -> str:
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        raise Invalid(field, 'must begin with a small letter, then letters, digits and _, up to 30')
    return value


def _title(field: str, value: object) -> str:
    if not (text := checking.line(field, value, 80)):
        raise Invalid(field, 'is empty')
    return text


def _services(field: str, value: object) -> str:
    if value not in _SERVICES:
        raise Invalid(field, 'must be S, A or both')
    return str(value)


def _yes_or_no(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise Invalid(field, 'must be yes or no')
    return value


def _several(field: str, value: object, known: Iterable[str] | None = None) -> list[str]:
    if not isinstance(value, list) or len(value) > MOST_STEPS or not all(isinstance(one, str) for one in value):
        raise Invalid(field, 'is not a list')
    if known is not None and (strange := [one for one in value if one not in set(known)]):
        raise Invalid(field, f'names {checking.quoted(strange[0])}, which there is not')
    return list(dict.fromkeys(value))


def _days(field: str, value: object) -> int | None:
    if value in (None, ''):
        return None
    text = str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal() and int(text[:5]) <= 730):
        raise Invalid(field, 'must be a number of days up to 730, or empty')
    return int(text)


def _address(field: str, value: object) -> str:
    from models.partner_facts import address

    return address(field, '' if value is None else value)


def _check_key(field: str, value: object) -> str:
    from models.connect_checks import CHECKS

    if value not in ('', None, *CHECKS):
        raise Invalid(field, f'{checking.quoted(value)} is no automatic check')
    return str(value or '')


_CHECKS: dict[str, Any] = {
    'key': _key, 'title': _title, 'services': _services,
    'owner': lambda field, value: checking.one_of(field, value, StepOwner).value,
    'needs': _several, 'is_optional': _yes_or_no,
    'not_on': lambda field, value: _several(field, value, [one.value for one in MailPlatform if one.value]),
    'directories': lambda field, value: _several(field, value, [one.value for one in Directory if one.value]),
    'due_days': _days, 'help_url': _address, 'check_key': _check_key,
}  # fmt: skip


def _differences(before: ConnectTemplate, after: ConnectTemplate) -> str:
    """What was changed, for the audit."""
    old, new = ({step['key']: step for step in template.steps} for template in (before, after))
    said = []
    if before.name != after.name:
        said.append(f'was “{before.name}”')
    for word, keys, of in (
        ('added', [key for key in new if key not in old], new),
        ('removed', [key for key in old if key not in new], old),
        ('changed', [key for key in new if key in old and new[key] != old[key]], new),
    ):  # fmt: skip
        if keys:
            said.append(f'{word} {", ".join(of[key]["title"] for key in keys)}')
    if [key for key in new if key in old] != [key for key in old if key in new]:
        said.append('another order')
    return '; '.join(said)[:500] or 'as before'
