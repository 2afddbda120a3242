import asyncio
import copy

import pytest

from models import ConnectStep, ConnectTemplate, Customer, HistoryEvent, Infrastructure, PortalRole, RfiState, StepState
from models.checking import ChangedMeanwhile, Impossible, Invalid
from models.connect_fitting import fit
from models.connect_step import HOSTED, TEMPLATES, among
from models.connect_template import CLASSIC, DEFAULT, as_data, check, from_data
from models.rights import Refused

# domain.md 5.1: what there is, whose it is, what it needs and how it is checked.
DOMAIN = {
    'rfi': ('SA', 'customer', '', 'rfi'),
    'account_configuration': ('SA', 'vendor', 'rfi', 'account'),
    'domain_validation': ('SA', 'customer', 'account_configuration', 'domains'),
    'outbound_email': ('S', 'customer', 'account_configuration domain_validation', 'dns_spf'),
    'directory_sync': ('SA', 'customer', 'account_configuration', 'monitors'),
    'recipient_validation': ('SA', 'partner', 'domain_validation directory_sync', 'recipients'),
    'journaling': ('A', 'customer', 'account_configuration domain_validation', 'monitors'),
    'user_authentication': ('SA', 'partner', 'directory_sync', ''),
    'permitted_senders': ('S', 'partner', 'outbound_email', ''),
    'inbound_email': ('S', 'customer', 'outbound_email recipient_validation', 'dns_mx'),
    'lockdown': ('S', 'customer', 'inbound_email', ''),
    'monitoring': ('SA', 'partner', 'outbound_email inbound_email journaling', 'monitors'),
    'handover': (
        'SA', 'partner', 'rfi account_configuration domain_validation outbound_email directory_sync '
        'recipient_validation journaling inbound_email lockdown monitoring', '',
    ),
}  # fmt: skip


def _steps() -> list[dict]:
    return [as_data(template) for template in TEMPLATES]


def test_the_thirteen_steps_are_those_of_the_domain():
    assert {
        t.key: (t.services, t.owner.value, ' '.join(t.needs), t.check) for t in TEMPLATES
    } == DOMAIN  # fmt: skip
    assert {t.key for t in TEMPLATES if t.optional} == {'user_authentication', 'permitted_senders'}
    assert {t.key: t.not_on for t in TEMPLATES if t.not_on} == {'lockdown': HOSTED}
    assert all((t.due_days is None) == t.optional for t in TEMPLATES)
    assert check(_steps()) == _steps()
    assert [from_data(step) for step in _steps()] == list(TEMPLATES)


async def test_an_msp_begins_with_two_templates_and_they_are_made_once(db, northwind, fabrikam):
    found = await asyncio.gather(*(ConnectTemplate.of(northwind.partner.id) for _ in range(4)))
    assert {tuple(one.key for one in each) for each in found} == {(DEFAULT, CLASSIC)}
    assert await ConnectTemplate.filter(partner=northwind.partner).count() == 2
    default = await ConnectTemplate.current(fabrikam.partner)
    assert (default.key, default.version, default.is_default) == (DEFAULT, 1, True)
    classic = await ConnectTemplate.current(northwind.partner, CLASSIC)
    assert [step['key'] for step in classic.steps] == [
        'rfi', 'outbound_email', 'recipient_validation', 'journaling', 'inbound_email', 'lockdown',
    ]  # fmt: skip
    with pytest.raises(Impossible):
        await ConnectTemplate.current(northwind.partner, 'nothing')


@pytest.mark.parametrize(
    ('services', 'platform', 'directory', 'left_out'),
    [
        ('', '', '', ''),
        ('S', '', '', 'journaling'),
        ('A', '', '', 'outbound_email permitted_senders inbound_email lockdown'),
        ('SA', 'microsoft_365', 'entra_id', 'lockdown'),
        ('SA', 'hosted_exchange', 'none', 'lockdown directory_sync'),
        ('SA', 'hybrid_m365', 'domino', 'directory_sync'),
        ('SA', 'on_premises', 'active_directory_ldap', ''),
    ],
)  # fmt: skip
async def test_which_steps_apply_follows_what_was_bought_and_the_infrastructure(
    sqlite_db, northwind, services, platform, directory, left_out
):
    template = await ConnectTemplate.current(northwind.partner)
    steps = template.applicable(services, platform=platform, directory=directory)
    keys = {step.key for step in steps}
    assert set(DOMAIN) - keys == set(left_out.split())
    for step in steps:
        assert set(step.needs) <= keys, step.key
        assert step.needs or step.key == 'rfi', 'what another would have needed stands in its place'


def test_what_a_step_that_is_left_out_needed_counts_in_its_place():
    left = among([t for t in TEMPLATES if t.key not in ('directory_sync', 'account_configuration')])
    needs = {step.key: step.needs for step in left}
    assert needs['user_authentication'] == ('rfi',)
    assert needs['domain_validation'] == ('rfi',)


async def test_the_classic_six_come_one_after_the_other(db, northwind):
    await ConnectTemplate.make_default(northwind.partner, CLASSIC, by=northwind.ana)
    customer = await Customer.add(
        northwind.partner, name='Ash', account_code='A', products=['SEC'], rfi=RfiState.NOT_APPLICABLE
    )
    for key in ('outbound_email', 'recipient_validation', 'inbound_email', 'lockdown'):
        to_do = await ConnectStep.filter(customer_id=customer.id, state=StepState.TODO).values_list('key', flat=True)
        assert to_do == [key]
        await (await ConnectStep.get(customer_id=customer.id, key=key)).move('complete', by=northwind.ana)
    assert (await Customer.get(id=customer.id)).connect_status == 'Ready to complete'


# -- editing ----------------------------------------------------------------------------------------------------------


async def test_editing_makes_a_version_and_who_is_in_connect_keeps_theirs(db, northwind):
    before = await Customer.add(northwind.partner, name='Ash', account_code='A', rfi=RfiState.NOT_APPLICABLE)
    steps = _steps()
    steps[1] |= {'title': 'Account', 'owner': 'partner', 'due_days': 2, 'check_key': ''}
    del steps[7:9]
    steps.append(steps[2] | {'key': 'welcome', 'title': 'Welcome call', 'needs': ['rfi'], 'due_days': None})
    made = await ConnectTemplate.edit(northwind.partner, DEFAULT, name=' Ours ', steps=steps, was=1, by=northwind.ana)
    assert (made.version, made.name, made.is_default, made.is_current, made.made_by) == (2, 'Ours', True, True, 'Ana')
    after = await Customer.add(northwind.partner, name='Birch', account_code='B', rfi=RfiState.NOT_APPLICABLE)
    old, new = [await ConnectStep.filter(customer_id=c.id).order_by('position') for c in (before, after)]
    assert [step.title for step in old] == [template.title for template in TEMPLATES]
    assert [step.key for step in new] == [step['key'] for step in steps]
    assert (new[1].title, new[1].owner, new[1].check_key, new[-1].due_at) == ('Account', 'partner', '', None)
    assert new[-1].state == StepState.TODO
    assert new[1].due_at < old[1].due_at
    events = await HistoryEvent.filter(partner_id=northwind.partner.id, customer_id=None, kind='settings.changed')
    text = await events[-1].text()
    assert text.summary == (
        'Connect template “Ours”, version 2: was “Thirteen steps”; added Welcome call; removed User authentication, '
        'Permitted senders; changed Account'
    )
    # Nothing differs: no version of it.
    again = await ConnectTemplate.edit(northwind.partner, DEFAULT, name='Ours', steps=steps, was=2, by=northwind.ana)
    assert again.version == 2
    # The rules with which a customer began count for it, not those of today.
    steps[10 - 2] |= {'not_on': []}
    await ConnectTemplate.edit(northwind.partner, DEFAULT, name='Ours', steps=steps, was=2, by=northwind.ana)
    await Infrastructure.create(customer_id=before.id, mail_platform='microsoft_365', directory='entra_id')
    assert await fit(before.id) == ['Firewall lock-down']


async def test_of_two_who_edit_one_is_told(db, northwind):
    async def edit(title: str) -> ConnectTemplate:
        steps = _steps()
        steps[0]['title'] = title
        return await ConnectTemplate.edit(northwind.partner, DEFAULT, name='x', steps=steps, was=1, by=northwind.ana)

    results = await asyncio.gather(edit('One'), edit('Two'), return_exceptions=True)
    assert sum(isinstance(each, ChangedMeanwhile) for each in results) == 1
    assert await ConnectTemplate.filter(partner=northwind.partner, key=DEFAULT, is_current=True).count() == 1
    assert await ConnectTemplate.filter(partner=northwind.partner, is_default=True).count() == 1


async def test_a_template_can_be_copied_and_made_the_default(db, northwind, fabrikam):
    made = await ConnectTemplate.copy(northwind.partner, CLASSIC, name='Quick', by=northwind.ana)
    assert made.steps == (await ConnectTemplate.current(northwind.partner, CLASSIC)).steps
    with pytest.raises(Invalid, match='name of another'):
        await ConnectTemplate.copy(northwind.partner, CLASSIC, name='quick', by=northwind.ana)
    await ConnectTemplate.make_default(northwind.partner, made.key, by=northwind.ana)
    assert (await ConnectTemplate.of(northwind.partner.id))[0].key == made.key
    assert (await ConnectTemplate.current(northwind.partner)).name == 'Quick'
    chosen = await Customer.add(northwind.partner, name='A', account_code='A', template=DEFAULT)
    assert await ConnectStep.filter(customer_id=chosen.id).count() == 13
    northwind.tom.role = PortalRole.IMPLEMENTATION
    for by, refused in ((northwind.tom, northwind.partner), (fabrikam.eve, northwind.partner)):
        with pytest.raises(Refused):
            await ConnectTemplate.make_default(refused, DEFAULT, by=by)
        with pytest.raises(Refused):
            await ConnectTemplate.edit(refused, DEFAULT, name='x', steps=_steps(), was=1, by=by)


# -- what a template may be --------------------------------------------------------------------------------------------


def _changed(number: int, **changes) -> list[dict]:
    steps = copy.deepcopy(_steps())
    steps[number - 1] |= changes
    return steps


@pytest.mark.parametrize(
    ('steps', 'field', 'said'),
    [
        ('x', 'steps', 'not a list'), ([], 'steps', 'between 1 and 40'), (_steps() * 4, 'steps', 'between 1 and 40'),
        (_steps()[1:], 'steps', 'RFI form'),
        (_changed(2, key='Account!'), 'steps 2 key', 'small letter'),
        (_changed(2, key='handover'), 'steps 13 key', 'another step'),
        (_changed(2, title=' '), 'steps 2 title', 'empty'), (_changed(2, title='x' * 81), 'steps 2 title', 'longer'),
        (_changed(3, owner='nobody'), 'steps 3 owner', 'none of'),
        (_changed(3, services='X'), 'steps 3 services', 'S, A or both'),
        (_changed(3, is_optional='yes'), 'steps 3 is_optional', 'yes or no'),
        (_changed(3, needs=['nothing']), 'steps 3 needs', '“nothing”, which is no step'),
        (_changed(3, needs=['domain_validation']), 'steps 3 needs', 'itself'),
        (_changed(3, needs='rfi'), 'steps 3 needs', 'list'),
        (_changed(1, needs=['handover']), 'steps 1 needs',
         'go round in a circle: Request for Information needs Sign-off needs Request for Information'),
        (_changed(2, needs=['inbound_email']), 'steps 2 needs', 'circle'),
        (_changed(4, not_on=['moon']), 'steps 4 not_on', '“moon”'),
        (_changed(4, directories=[1]), 'steps 4 directories', 'list'),
        (_changed(4, due_days=-1), 'steps 4 due_days', 'number of days'),
        (_changed(4, due_days=True), 'steps 4 due_days', 'number'),
        (_changed(4, due_days='9999999'), 'steps 4 due_days', 'number'),
        (_changed(4, help_url='javascript:alert(1)'), 'steps 4 help_url', 'not an address'),
        (_changed(4, check_key='nothing'), 'steps 4 check_key', 'no automatic check'),
        (_changed(1, is_optional=True), 'steps 1 is_optional', 'every customer'),
    ],
)  # fmt: skip
def test_what_a_template_cannot_be_is_said_beside_the_step(steps, field, said):
    with pytest.raises(Invalid) as refused:
        check(steps)
    assert said in refused.value.errors[field], refused.value.errors


def test_all_that_is_wrong_is_said_at_once():
    steps = _changed(2, title='', owner='x')
    steps[4]['due_days'] = 'soon'
    with pytest.raises(Invalid) as refused:
        check(steps)
    assert set(refused.value.errors) == {'steps 2 title', 'steps 2 owner', 'steps 5 due_days'}


async def test_a_removed_template_is_not_begun_with_and_whoever_did_keeps_it(db, northwind, fabrikam):
    partner, ana = northwind.partner, northwind.ana
    customer = await Customer.add(
        partner, name='A', account_code='A', rfi=RfiState.NOT_APPLICABLE, template=CLASSIC, products=['SEC']
    )
    for refused, key, by in ((Refused, CLASSIC, northwind.tom), (Impossible, DEFAULT, ana), (Impossible, 'x', ana)):
        with pytest.raises(refused):
            await ConnectTemplate.remove(partner, key, by=by)
    await ConnectTemplate.remove(partner, CLASSIC, by=ana)
    assert [one.key for one in await ConnectTemplate.of(partner.id)] == [DEFAULT]
    assert CLASSIC in [one.key for one in await ConnectTemplate.of(fabrikam.partner.id)]
    assert list(await ConnectTemplate.that_made(customer))[1] == 'outbound_email'
    with pytest.raises(Impossible):
        await ConnectTemplate.edit(partner, CLASSIC, name='C', steps=_steps(), was=1, by=ana)


def test_a_key_that_cannot_be_is_told_where_it_stands_and_not_where_it_is_needed():
    steps = _steps()
    steps[9]['key'] = 'In bound'
    for step in steps:
        step['needs'] = ['In bound' if key == 'inbound_email' else key for key in step['needs']]
    with pytest.raises(Invalid) as refused:
        check(steps)
    assert list(refused.value.errors) == ['steps 10 key']
