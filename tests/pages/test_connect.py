"""The Connect card and the page of the templates: what they are told, what they send, what is refused and how."""

from datetime import UTC, datetime, timedelta

import pytest

from components import live
from models import ConnectStep, ConnectTemplate, Customer, Listing, PortalRole, StepState
from models.calendar import said

BASE = '/api/ui/customers/{}'


@pytest.fixture
async def ash(portal) -> Customer:
    return await portal.add(portal.northwind.partner, 'Ash', account_code='ASH1', domain='ash.example')


async def _card(browser, customer: Customer) -> dict:
    live._shared.clear()  # nobody watches here, so what was read stands for half a second
    answer = await browser.get(BASE.format(customer.id) + '/parts?want=connect,gist%20connect')
    return answer.json()


async def _send(browser, customer: Customer, path: str, **body):
    return await browser.post(f'{BASE.format(customer.id)}/{path}', json=body, headers={'origin': 'http://test'})


async def test_the_card_says_what_can_be_done_with_each_step(portal, ash):
    ana = await portal.signed_in(portal.northwind.ana)
    told = (await _card(ana, ash))['connect']
    steps = {step['key']: step for step in told['steps']}
    assert (told['done'], told['of'], told['is_ready'], told['hold'], told['why_not']) == (0, 10, False, None, None)
    account, inbound = steps['account_configuration'], steps['inbound_email']
    assert (account['owner'], account['is_vendors'], account['state']) == ('Vendor', True, 'todo')
    assert account['moves'] == ['start', 'complete', 'block', 'skip']
    assert account['can_check'] is True
    assert account['help'] == 'step/account_configuration'
    assert (inbound['state'], inbound['moves'], inbound['can_check']) == ('locked', ['skip'], False)
    assert inbound['needs'] == ['outbound_email', 'recipient_validation']
    assert steps['rfi']['moves'] == []


async def test_a_step_is_moved_and_everybody_sees_it(portal, ash):
    ana, tom = await portal.signed_in(portal.northwind.ana), portal.northwind.tom
    tom.sees_all = True
    await tom.save()
    toms = await portal.signed_in(tom)
    seen = {step['key']: step['seen'] for step in (await _card(ana, ash))['connect']['steps']}
    path = 'steps/account_configuration/move'
    assert (await _send(toms, ash, path, verb='complete', because='x')).status_code == 403
    answer = await _send(ana, ash, path, verb='complete', seen=seen['account_configuration'])
    assert (answer.status_code, answer.json()['error']) == (
        409, 'Account configuration is the vendor’s step: to complete it on their behalf, say why.',
    )  # fmt: skip
    answer = await _send(ana, ash, path, verb='complete', because='by phone', seen=seen['account_configuration'])
    assert answer.json() == {'state': 'complete'}
    answer = await _send(ana, ash, path, verb='complete', because='again', seen=seen['account_configuration'])
    assert answer.status_code == 409
    assert answer.json()['error'] == 'Account configuration is complete (Ana). You saw it as it was before; look again.'
    steps = {step['key']: step for step in (await _card(toms, ash))['connect']['steps']}
    assert (steps['account_configuration']['state'], steps['account_configuration']['done_by']) == ('complete', 'Ana')
    assert (await _send(toms, ash, 'steps/domain_validation/move', verb='start')).status_code == 200
    assert (await _send(ana, ash, 'steps/nothing/move', verb='start')).status_code == 404
    assert (await _send(ana, ash, path, verb=['x'])).status_code == 422


async def test_connect_rests_goes_on_and_ends(portal, ash):
    ana = await portal.signed_in(portal.northwind.ana)
    answer = await _send(ana, ash, 'connect/hold', because='waits', until='soon')
    assert (answer.status_code, answer.json()['field']) == (422, 'until')
    answer = await _send(ana, ash, 'connect/hold', because=' ', until='')
    assert (answer.status_code, answer.json()['field']) == (422, 'because')
    until = datetime.now(UTC).date() + timedelta(days=9)
    assert (await _send(ana, ash, 'connect/hold', because='waits', until=until.isoformat())).status_code == 200
    card = await _card(ana, ash)
    assert card['connect']['hold']['until'] == until.isoformat()
    assert card['gist connect']['text'] == '0 of 10 steps, on hold at Account configuration: waits'
    head = (await ana.get(f'{BASE.format(ash.id)}/parts?want=head')).json()['head']
    assert (head['status'], head['list']) == (f'On hold until {said(until)}', 'In Progress')
    assert all(step['moves'] == [] for step in card['connect']['steps'])
    assert (await _send(ana, ash, 'connect/resume')).status_code == 200
    assert (await _send(ana, ash, 'connect/resume')).status_code == 409
    assert (await _send(ana, ash, 'connect/complete')).json()['error'] == 'Account configuration is still to be done.'
    await ConnectStep.filter(customer_id=ash.id).update(state=StepState.COMPLETE)
    await (await Customer.get(id=ash.id)).restate()
    card = await _card(ana, ash)
    assert card['connect']['is_ready']
    assert card['gist connect']['text'] == '11 of 11 steps, ready to complete'
    assert (await _send(ana, ash, 'connect/complete')).status_code == 200
    assert (await Customer.get(id=ash.id)).listing == Listing.COMPLETE
    assert (await _send(ana, ash, 'connect/abandon', because='no')).status_code == 409
    assert (await _send(ana, ash, 'connect/reopen', step='journaling', because='more')).status_code == 200
    assert (await _send(ana, ash, 'connect/abandon', because='went <b>elsewhere</b>')).status_code == 200
    card = await _card(ana, ash)
    assert card['connect']['listing'] == 'closed'
    assert card['gist connect']['text'] == 'Connect abandoned'
    assert card['connect']['closed_because'] == 'went <b>elsewhere</b>'
    whole = await ana.get(f'{BASE.format(ash.id)}/parts?want=head,connect,monitor')
    assert whole.json()['head']['list'] == 'Closed'


async def test_of_a_live_customer_what_was_bought_later_is_to_be_done_and_nothing_else(portal, ash):
    ana = await portal.signed_in(portal.northwind.ana)
    await ConnectStep.filter(customer_id=ash.id).exclude(is_optional=True).update(state=StepState.COMPLETE)
    await ash.complete_connect(by=portal.northwind.ana)
    await ConnectStep.filter(customer_id=ash.id, key='journaling').update(state=StepState.TODO, is_later=True)
    await (await Customer.get(id=ash.id)).moved_on()
    card = await _card(ana, ash)
    steps = {step['key']: step for step in card['connect']['steps']}
    assert card['connect']['later'] == ['Journaling']
    assert card['gist connect']['text'].endswith('; live, Journaling to be set up')
    assert (steps['inbound_email']['moves'], steps['journaling']['moves'][:2]) == ([], ['start', 'complete'])
    assert steps['permitted_senders']['moves'], 'it is optional: it neither makes nor unmakes a live customer'
    assert (await ana.get('/api/ui/connect')).json()['rows'][0][0] == ash.id
    [row] = (await ana.get('/api/ui/tables/complete/rows')).json()['rows']
    assert row['connect_owner'], 'the list says that something is to be set up'
    assert (await _send(ana, ash, 'steps/inbound_email/move', verb='reopen', because='x')).status_code == 409
    assert (await _send(ana, ash, 'steps/journaling/move', verb='complete')).status_code == 200
    card = await _card(ana, ash)
    assert (card['connect']['later'], card['connect']['listing']) == ([], 'complete')
    assert (await ana.get('/api/ui/connect')).json()['rows'] == []


async def test_evidence_of_a_check_is_on_the_card(portal, ash):
    ana = await portal.signed_in(portal.northwind.ana)
    step = await ConnectStep.get(customer_id=ash.id, key='account_configuration')
    at = datetime.now(UTC).isoformat()
    await step.found({'at': at, 'by': 'Automatic check', 'asked': 'asked?', 'answer': 'no', 'passed': None})
    [told] = [s for s in (await _card(ana, ash))['connect']['steps'] if s['key'] == step.key]
    assert told['evidence'] == [{'at': at, 'by': 'Automatic check', 'asked': 'asked?', 'answer': 'no', 'passed': None}]
    assert told['checking'] is False
    assert (await _send(ana, ash, 'steps/account_configuration/check')).status_code == 200
    [told] = [s for s in (await _card(ana, ash))['connect']['steps'] if s['key'] == step.key]
    assert told['checking'] is True


async def test_templates_are_edited_copied_and_made_the_default(portal):
    ana = await portal.signed_in(portal.northwind.ana)

    async def send(path: str, **body):
        return await ana.post(f'/api/ui/templates{path}', json=body, headers={'origin': 'http://test'})

    [first, second] = (await ana.get('/api/ui/templates')).json()['templates']
    assert (first['key'], first['is_default'], len(first['steps']), second['key']) == ('default', True, 13, 'classic')
    steps = first['steps']
    steps[1]['title'] = ''
    answer = await send('/default', name='Ours', steps=steps, was=1)
    assert (answer.status_code, answer.json()['field']) == (422, 'steps 2 title')
    steps[1]['title'] = 'Account <i>set up</i>'
    answer = await send('/default', name='Ours', steps=steps, was=1)
    assert answer.json()['version'] == 2
    assert answer.json()['now']['templates'][0]['steps'][1]['title'] == 'Account <i>set up</i>'
    assert (await send('/default', name='Ours', steps=steps, was=1)).status_code == 409
    assert (await send('/default', name='Ours', steps=steps, was='1')).status_code == 422
    assert (await send('/nothing', name='Ours', steps=steps, was=1)).status_code == 409
    old = (await ana.get('/api/ui/templates/default/versions/1')).json()
    assert (old['name'], old['steps'][1]['title']) == ('Thirteen steps', 'Account configuration')
    key = (await send('/classic/copy', name='Mine')).json()['key']
    now = (await send(f'/{key}/default')).json()['now']['templates']
    assert [(one['key'], one['is_default']) for one in now] == [(key, True), ('classic', False), ('default', False)]
    assert (await send(f'/{key}/remove')).json()['error'].startswith('New customers begin with this template.')
    now = (await send('/classic/remove')).json()['now']['templates']
    assert [one['key'] for one in now] == [key, 'default']
    assert (await send('/classic/default')).status_code == 409
    assert await ConnectTemplate.filter(partner_id=portal.fabrikam.partner.id).count() == 0
    await portal.sign_in(portal.northwind.ana)
    await portal.user.open('/settings/templates')
    await portal.should_see('Mine')
    portal.northwind.ana.role = PortalRole.IMPLEMENTATION
    await portal.northwind.ana.save()
    assert (await send('/classic/copy', name='No')).status_code == 403


async def test_the_msp_says_what_checks_compare_with_and_who_completes(portal, ash):
    ana = await portal.signed_in(portal.northwind.ana)
    facts = {'completion': 'automatic', 'mx_hosts': 'in.vendor.example\n', 'spf_include': 'include:_spf.Vendor.example'}
    answer = await ana.post('/api/ui/settings', json={'facts': facts}, headers={'origin': 'http://test'})
    assert answer.status_code == 200, answer.text
    now = answer.json()['now']['facts']
    assert (now['mx_hosts'], now['spf_include']) == (['in.vendor.example'], '_spf.vendor.example')
    answer = await ana.post(
        '/api/ui/settings', json={'facts': {'spf_include': 'a b'}}, headers={'origin': 'http://test'}
    )
    assert answer.json()['field'] == 'spf_include'
    await ConnectStep.filter(customer_id=ash.id).exclude(key='handover').update(state=StepState.COMPLETE)
    await ConnectStep.filter(customer_id=ash.id, key='handover').update(state=StepState.TODO)
    assert (await _send(ana, ash, 'steps/handover/move', verb='complete')).status_code == 200
    assert (await Customer.get(id=ash.id)).listing == Listing.COMPLETE
