"""Connect as people take a customer through it: steps, their checks, a rest, the end; seen in a second browser."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Visitors, once
from tests.browser.portal import Portal
from tests.browser.test_customer import card, number, opened

pytestmark = pytest.mark.browser


def _step(page: Page, title: str):
    return card(page, 'connect').locator('.step').filter(has=page.get_by_text(title, exact=True))


def _because(page: Page, why: str, button: str) -> None:
    dialog = page.get_by_role('dialog')
    dialog.get_by_role('textbox').first.fill(why)
    dialog.get_by_role('button', name=button, exact=True).click()
    expect(dialog).to_have_count(0)


def _no_wider(page: Page) -> None:
    assert page.evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth')


@pytest.mark.alone
def test_a_customer_is_taken_through_connect_and_others_see_each_step(visitors: Visitors, portal: Portal) -> None:
    plum = number(portal, 'Plum Telecom')
    portal.aside("await Partner.all().update(spf_include='')")  # nobody here is to ask the name servers of the world
    page, other = (opened(visitors, 'ana', plum, 'connect') for _ in range(2))
    # The vendor's step, on its behalf: nothing without a reason.
    _step(page, 'Account configuration').get_by_role('button', name='Start').click()
    dialog = page.get_by_role('dialog', name='Start Account configuration')
    dialog.get_by_role('button', name='Start', exact=True).click()
    expect(dialog.get_by_role('textbox')).to_have_attribute('aria-invalid', 'true')
    _because(page, 'the vendor called', 'Start')
    expect(_step(other, 'Account configuration').get_by_role('img').first).to_have_accessible_name('In progress')
    # Whoever sees it as it was is told.
    _step(other, 'Account configuration').get_by_role('button', name='More about').click()
    expect(_step(other, 'Account configuration').get_by_role('button', name='Check now')).to_be_visible()
    _step(page, 'Account configuration').get_by_role('button', name='Complete').click()
    _because(page, 'the vendor called again', 'Complete')
    expect(_step(other, 'Account configuration')).to_contain_text('by Ana')
    expect(_step(page, 'Account configuration').get_by_role('img').first).to_have_accessible_name('Complete')
    domains = _step(page, 'Validate domains')
    place = domains.get_by_role('button', name='Start').bounding_box()
    assert place is not None
    page.mouse.click(place['x'] + place['width'] / 2, place['y'] + place['height'] / 2)
    expect(domains.get_by_role('img').first).to_have_accessible_name('In progress')
    page.mouse.down(click_count=2)  # the second click of a double click finds Complete in the same place
    page.mouse.up(click_count=2)
    domains.get_by_role('button', name='More about').click()
    domains.get_by_role('button', name='Block').click()
    _because(page, 'waits for <b>the registrar</b>', 'Block')
    expect(_step(other, 'Validate domains')).to_contain_text('waits for <b>the registrar</b>')
    expect(card(other, 'connect').locator('.fold-gist')).to_contain_text('blocked at Validate domains')
    _step(page, 'Validate domains').get_by_role('button', name='Complete').click()
    expect(_step(other, 'Outbound email').get_by_role('button', name='Start')).to_be_visible()
    # Whoever does something else meanwhile does not wait for the answer.
    outbound, held = _step(page, 'Outbound email'), list[Route]()
    page.route('**/steps/*/move', lambda route: held.append(route), times=1)
    outbound.get_by_role('button', name='Start').click()
    once(page, lambda: held)
    # Whoever has no pointer stays at the step: not at what is pressed next, for a key may be held down.
    directory = _step(page, 'Directory synchronization')
    directory.get_by_role('button', name='Start').focus()
    page.keyboard.press('Enter')
    expect(directory.get_by_role('img').first).to_have_accessible_name('In progress')
    expect(directory.get_by_role('button', name='More about')).to_be_focused()
    held[0].continue_()
    expect(outbound.get_by_role('img').first).to_have_accessible_name('In progress')
    # The automatic check: without settings it says that it cannot ask.
    outbound.get_by_role('button', name='More about').click()
    outbound.get_by_role('button', name='Check now').click()
    _step(other, 'Outbound email').get_by_role('button', name='More about').click()
    expect(_step(other, 'Outbound email').locator('.evidence')).to_contain_text('the settings do not say')
    # What a step configures is watched at once.
    outbound.get_by_role('button', name='Complete').click()
    icon = other.locator('.customer-signals [data-monitor=outbound_queue]')
    expect(icon).to_have_accessible_name('Outbound email queue: Unknown')
    # A rest, and on.
    card(page, 'connect').get_by_role('button', name='Put on hold').click()
    _because(page, 'waits for the board', 'Put on hold')
    expect(card(other, 'connect').locator('.fold-gist')).to_contain_text(
        'on hold at Directory synchronization: waits for the board'
    )
    expect(_step(other, 'Recipient validation').get_by_role('button', name='Start')).to_have_count(0)
    card(other, 'connect').get_by_role('button', name='Go on now').click()
    expect(_step(page, 'Recipient validation').get_by_role('button', name='Start')).to_have_count(0)  # still locked
    card(page, 'connect').get_by_role('button', name='Time line').click()
    rows = card(page, 'connect').get_by_role('table').get_by_role('row')
    expect(rows).to_have_count(14)
    expect(rows.filter(has_text='Outbound email')).to_contain_text(re.compile(r'\d{4}'))
    portal.aside(f"""
        steps = ConnectStep.filter(customer_id={plum}).exclude(state='complete')
        await steps.exclude(key='handover').update(state='skipped', completed_at=datetime.now(UTC))
        await steps.filter(key='handover').update(state='in_progress')
        await (await Customer.get(id={plum})).moved_on()
    """)
    # What is left to be done is where the last step was done: nothing jumps, and Tab leads there.
    last = _step(other, 'Sign-off')
    complete = last.get_by_role('button', name='Complete')
    complete.scroll_into_view_if_needed()
    complete.focus()
    before = last.bounding_box()
    complete.press('Enter')
    confirm = card(other, 'connect').get_by_role('button', name='Confirm that Connect is complete')
    expect(confirm).to_have_count(2)
    expect(confirm.last).to_be_in_viewport()
    after = last.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(after['y'] - before['y']) < 2, (before, after)
    expect(last.get_by_role('button', name='More about Sign-off')).to_be_focused()
    other.keyboard.press('Tab')
    expect(confirm.last).to_be_focused()
    other.keyboard.press('Enter')
    expect(page.locator('.customer-facts')).to_contain_text('Complete')
    expect(page.locator('.recent')).to_contain_text('Connect complete: the customer is live')
    other.set_viewport_size({'width': 390, 'height': 800})
    _no_wider(other)


def test_a_template_is_edited_with_the_keyboard(visitors: Visitors, portal: Portal) -> None:
    page = visitors.page('ana', '/settings/templates')
    steps = page.locator('.template-step .template-fold b')
    expect(steps).to_have_count(13)
    page.get_by_role('button', name='Move Journaling up').focus()
    page.keyboard.press('Alt+ArrowUp')
    expect(steps.nth(5)).to_have_text('Journaling')
    page.keyboard.press('Alt+ArrowUp')
    expect(steps.nth(4)).to_have_text('Journaling')
    expect(page.get_by_role('button', name='Move Journaling up')).to_be_focused()
    page.locator('.template-fold', has_text='Sign-off').click()
    page.get_by_label('Title').fill('')
    visitors.expect_trouble('422')
    page.get_by_role('button', name='Save as a new version').click()
    expect(page.get_by_label('Title')).to_have_attribute('aria-invalid', 'true')
    expect(page.get_by_text('Title is empty.')).to_be_visible()
    page.get_by_label('Title').fill('Good-bye')
    page.reload()
    expect(page.get_by_text('Not saved yet.')).to_be_visible()
    expect(steps.nth(4)).to_have_text('Journaling')
    # What is typed while it is being saved stays typed.
    held: list[Route] = []
    page.route('**/api/ui/templates/*', lambda route: held.append(route), times=1)
    page.get_by_role('button', name='Save as a new version').click()
    once(page, lambda: held)
    page.get_by_label('Name', exact=True).fill('Thirteen')
    held[0].continue_()
    expect(page.locator('.template-list')).to_contain_text('version 2')
    expect(page.locator('.template-editor')).not_to_contain_text('Somebody else')  # as the news, before the answer, say
    name = page.get_by_label('Name', exact=True)
    expect(name).to_have_value('Thirteen')
    # Somebody else changes another one: whoever types is not disturbed.
    name.focus()
    page.keyboard.press('End')
    origin = {'Origin': portal.address}
    copied = page.request.post(
        f'{portal.address}/api/ui/templates/default/copy', data={'name': 'A copy'}, headers=origin
    )
    assert copied.ok, copied.text()
    expect(page.locator('.template-list')).to_contain_text('A copy')
    page.keyboard.type('!')
    expect(name).to_have_value('Thirteen!')
    page.get_by_role('button', name='Save as a new version').click()
    expect(page.get_by_text('Saved as version 3.')).to_be_visible()
    expect(steps.last).to_have_text('Good-bye')
    page.get_by_role('button', name='Versions of').click()
    page.get_by_role('dialog').get_by_role('button', name='Edit from this one').last.click()
    expect(steps.last).to_have_text('Sign-off')
    # The focus is never lost, though what was pressed goes away.
    expect(page.get_by_role('button', name='Versions of')).to_be_focused()
    page.get_by_role('button', name='Remove A copy').click()
    page.get_by_role('dialog').get_by_role('button', name='Remove').click()
    expect(page.locator('.template-list')).not_to_contain_text('A copy')
    expect(page.locator('.template-pick[aria-pressed=true]')).to_be_focused()
    page.set_viewport_size({'width': 390, 'height': 800})
    _no_wider(page)
