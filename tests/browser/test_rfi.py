"""The RFI form as two people fill it in: one by a link and without an account, one of the MSP inside the portal."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Visitors, once
from tests.browser.portal import Portal

pytestmark = pytest.mark.browser


def test_the_form_is_filled_in_by_two_and_outlives_an_outage_and_a_closed_browser(
    visitors: Visitors, portal: Portal
) -> None:
    visitors.expect_trouble('Failed to load resource.*(409|410|422)', 'ERR_INTERNET_DISCONNECTED')
    customer, address, elsewhere = portal.aside("""
        northwind = await Partner.get(slug='northwind-it')
        from models.rfi import RfiState
        customer = await Customer.add(
            northwind, name='Yarrow Press', account_code='YAR001', domain='yarrow.example', rfi=RfiState.REQUESTED
        )
        issued = await RfiLink.issue(customer, by=None, at='', recipient='lead@yarrow.example')
        elsewhere = await Customer.add(northwind, name='Yew & Sons', account_code='YEW001', rfi=RfiState.SUBMITTED)
        return [customer.id, issued.address, elsewhere.id]
    """)
    waiting = visitors.page('ana', '/customers/waiting')
    row = waiting.locator('.ag-row', has_text='Yarrow Press').first
    expect(row).to_be_visible()
    ana = visitors.page('ana', f'/customers/{customer}/rfi')
    expect(ana.get_by_label('First name')).to_be_visible()
    context = visitors.context()
    lead = context.new_page()
    lead.goto(address)
    expect(lead.get_by_role('heading', level=1)).to_have_text('Request for Information about Yarrow Press')
    expect(waiting.locator('[col-id=rfi_form__opened_at]', has_text=re.compile(r'\d\d:\d\d')).first).to_be_visible()

    # Several links at once: what could not be read is not said to be nobody, and one press sends once.
    visitors.expect_trouble('503')
    waiting.route('**/rows?*end=200', lambda route: route.fulfill(status=503, json={'error': 'Not now.'}), times=1)
    several = waiting.get_by_role('dialog', name='Several links')
    waiting.get_by_role('button', name='Several links').click()
    expect(several.get_by_role('alert')).to_have_text('Not now.')
    several.get_by_role('button', name='Close').click()
    waiting.get_by_role('button', name='Several links').click()
    several.get_by_role('checkbox', name='Yarrow Press').check()
    sent: list[Route] = []
    waiting.route('**/rfi/send', lambda route: sent.append(route))
    several.get_by_role('button', name='Send again').evaluate('button => { button.click(); button.click(); }')
    once(waiting, lambda: sent)
    expect(several.get_by_role('button', name='Send again')).to_have_attribute('aria-busy', 'true')
    sent[0].fulfill(json={'done': [customer], 'why': {}})
    expect(several).to_contain_text('The link was sent again for 1 customer.')
    assert len(sent) == 1
    several.get_by_role('button', name='Close').click()
    waiting.mouse.move(0, 0)  # no row moves under a pointer

    # The platform decides what is asked.
    expect(lead.get_by_label('Inbound IP addresses')).to_be_hidden()
    lead.get_by_label('Mail platform').select_option('on_premises')
    expect(lead.get_by_label('Inbound IP addresses')).to_be_visible()
    for label, value in (('First name', 'Ida'), ('Last name', 'Berg'), ('E-mail', 'ida@yarrow.example')):
        lead.get_by_label(label, exact=True).fill(value)
    # Both see what the other has saved.
    expect(ana.get_by_label('Last name')).to_have_value('Berg')
    ana.get_by_label('Mobile').fill('+44 7700 900123')
    expect(lead.get_by_label('Mobile')).to_have_value('+44 7700 900123')

    # The window is closed while one types on and what was typed before is on its way: nobody else has typed there.
    held: list[Route] = []
    lead.route('**/answers', lambda route: held.append(route))
    lead.get_by_label('Maintenance window').fill('Saturdays')
    once(lead, lambda: held)
    lead.get_by_label('Maintenance window').press_sequentially(' from 18:00')
    assert held[0].fetch().ok
    lead.close()
    expect(ana.get_by_label('Maintenance window')).to_have_value('Saturdays')
    lead = context.new_page()
    lead.goto(address)
    expect(ana.get_by_label('Maintenance window')).to_have_value('Saturdays from 18:00')
    expect(lead.locator('.rfi-conflict:visible')).to_have_count(0)

    # The server is away while they type, and the browser is closed: it comes back with what was typed.
    context.set_offline(True)
    lead.get_by_label('Notes').fill('Typed during the outage')
    expect(lead.get_by_text('Not saved yet')).to_be_visible()
    lead.close()
    ana.get_by_label('Notes').fill('Ana’s own <b>words</b>')
    expect(ana.locator('.rfi-saved')).to_have_text('Saved')
    context.set_offline(False)
    lead = context.new_page()
    lead.goto(address)
    # Somebody else has typed there meanwhile: nothing is overwritten without a question.
    conflict = lead.locator('.rfi-conflict:visible')
    expect(conflict).to_contain_text('has changed this meanwhile. It is now: Ana’s own <b>words</b>')
    expect(lead.get_by_label('Notes')).to_have_value('Typed during the outage')
    conflict.get_by_role('button', name='Use what I typed').click()
    expect(ana.get_by_label('Notes')).to_have_value('Typed during the outage')

    # What became of the link is one press away, on a phone too.
    phone = visitors.page('ana', '/customers/waiting', viewport={'width': 390, 'height': 844})
    expect(phone.get_by_role('columnheader', name='Sent', exact=True)).to_be_visible()
    phone.get_by_role('button', name='RFI link: Yarrow Press').click()
    told = phone.get_by_role('dialog')
    expect(told).to_contain_text(re.compile('Sent to lead@yarrow.example, .* opened'))
    expect(told.get_by_role('listitem')).to_contain_text('good until')
    phone.get_by_role('button', name='Revoke the link for lead@yarrow.example').click()
    expect(phone.get_by_role('dialog', name='Revoke this link')).to_be_visible()
    phone.close()

    # In error once: what is wrong stands beside the field, and the summary leads there.
    lead.get_by_label('Outbound IP addresses').fill('10.0.0.1')
    lead.get_by_label('Inbound IP addresses').fill('8.8.4.4')
    lead.get_by_label('Active Directory environment').select_option('none')
    lead.get_by_label('Recipient validation').select_option('known')
    lead.get_by_label('Protocol').select_option('smtp')
    lead.get_by_label('Journal address').fill('journaling@journal.yarrow.example')
    lead.get_by_label(re.compile('accurate')).check()
    lead.get_by_role('button', name='Send the form back').click()
    summary = lead.get_by_role('group', name='To be corrected')
    expect(summary).to_be_focused()
    expect(summary).to_contain_text('One answer has to be corrected')
    expect(row).to_have_count(0)  # it has come back
    expect(ana.get_by_role('group', name='To be corrected')).to_contain_text('10.0.0.1')
    summary.get_by_role('link').click()
    outbound = lead.get_by_label('Outbound IP addresses')
    expect(outbound).to_be_focused()
    expect(outbound).to_have_attribute('aria-invalid', 'true')
    outbound.fill('8.8.8.8')
    # Somebody else is still typing, and cannot be heard.
    train = visitors.context()
    late = train.new_page()
    late.goto(address)
    expect(late.get_by_label('Notes')).to_have_value('Typed during the outage')
    train.set_offline(True)
    late.get_by_label('Notes').fill('Typed in a tunnel')
    expect(late.get_by_text('Not saved yet')).to_be_visible()
    lead.get_by_label(re.compile('accurate')).check()
    lead.get_by_role('button', name='Send the form back').click()
    expect(lead.get_by_text('Thank you.')).to_be_visible()
    expect(lead.get_by_role('button', name='Send the form back')).to_have_count(0)
    train.set_offline(False)
    expect(late.get_by_role('alert')).to_contain_text('came too late and is not in it: Notes')
    expect(late.get_by_label('Notes')).to_have_attribute('readonly', '')
    expect(late.get_by_role('button', name='Send the form back')).to_be_hidden()
    # The other one reads it, and may reopen it.
    expect(ana.get_by_role('button', name='Reopen')).to_be_visible()
    expect(ana.get_by_text('Typed during the outage')).to_be_visible()
    expect(ana.get_by_label('Notes')).to_have_count(0)
    # A form that came back elsewhere is checked when somebody says so, and can be filled in then.
    ana.goto(f'/customers/{elsewhere}/rfi')
    ana.get_by_role('button', name='Check it now').click()
    expect(ana.get_by_role('group', name='To be corrected')).to_be_focused()
    expect(ana.get_by_label('First name')).to_be_editable()
