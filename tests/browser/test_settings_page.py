"""The settings page as people use it: drafts that are not lost, somebody else who is quicker, a token shown once."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import CAST, Visitors
from tests.browser.test_pages import serious

pytestmark = pytest.mark.browser


def _opened(visitors: Visitors):
    page = visitors.page('ana', '/settings')
    expect(page.get_by_role('heading', level=1)).to_have_text('Settings')
    return page


def test_what_is_typed_outlives_a_reload_and_can_be_thrown_away(visitors: Visitors) -> None:
    page = _opened(visitors)
    page.get_by_label('Smart hosts').fill('relay.northwind.example')
    page.reload()
    expect(page.get_by_label('Smart hosts')).to_have_value('relay.northwind.example')
    expect(page.locator('#rfi')).to_contain_text('What you had typed before is still here.')
    # Whoever signs in after them in this tab finds nothing of it, and they find it again.
    for who, typed in (('eve', ''), ('ana', 'relay.northwind.example')):
        # A page whose session ends goes to sign-in by itself, and would cross the next address.
        page.goto('about:blank')
        page.context.request.post('/login', form={'email': CAST[who], 'password': visitors.portal.password})
        page.goto('/settings')
        expect(page.get_by_label('Smart hosts')).to_have_value(typed)
        expect(page.locator('#rfi').get_by_role('button', name='Discard changes')).to_be_visible(visible=bool(typed))
    page.locator('#rfi').get_by_role('button', name='Discard changes').click()
    expect(page.get_by_label('Smart hosts')).to_have_value('')
    page.reload()
    expect(page.get_by_label('Smart hosts')).to_have_value('')


def test_who_is_slower_sees_what_it_is_now_and_decides(visitors: Visitors) -> None:
    page, other = _opened(visitors), _opened(visitors)
    visitors.expected.append('409')
    for mine, text in ((page, 'Mine House'), (other, 'Their House')):
        mine.get_by_label('Address', exact=True).fill(text)
    other.locator('#msp').get_by_role('button', name='Save').click()
    expect(other.locator('#msp')).to_contain_text('Saved.')
    page.locator('#msp').get_by_role('button', name='Save').click()
    expect(page.locator('#msp')).to_contain_text('Somebody else has changed this meanwhile, to “Their House”')
    expect(page.get_by_label('Address', exact=True)).to_have_value('Mine House')
    page.locator('#msp').get_by_role('button', name='Save').click()
    expect(page.locator('#msp')).to_contain_text('Saved.')
    expect(other.get_by_label('Address', exact=True)).to_have_value('Mine House')  # live


def test_a_token_is_shown_once_and_revoked_after_a_question(visitors: Visitors) -> None:
    page = _opened(visitors)
    tokens = page.locator('#tokens')
    tokens.get_by_label('New token').fill('collector in Leeds')
    tokens.get_by_role('button', name='Make a token').click()
    expect(tokens.locator('code')).to_contain_text('msp_')
    page.reload()
    expect(tokens).to_contain_text('collector in Leeds')
    expect(tokens.locator('code')).to_have_count(0)
    assert not serious(page, '/settings')
    tokens.get_by_role('button', name='Revoke collector in Leeds').click()
    page.get_by_role('dialog').get_by_role('button', name='Revoke').click()
    expect(tokens.get_by_role('row', name='collector in Leeds')).to_contain_text('revoked')
    # A section so near the end that it never comes to the top is marked all the same.
    page.emulate_media(reduced_motion='reduce')
    parts = page.get_by_role('navigation', name='Sections of the settings')
    parts.get_by_role('link', name='API tokens').click()
    page.locator('.page').evaluate("page => page.dispatchEvent(new Event('scroll'))")
    expect(parts.locator('[aria-current]')).to_have_text('API tokens')


def test_another_name_and_what_is_wrong_reach_everybody_who_has_to_know(visitors: Visitors) -> None:
    visitors.expected.append('422')
    page, other = _opened(visitors), visitors.page('tom', '/')
    other.wait_for_function("document.documentElement.dataset.live === 'live'")
    expect(other.locator('#brand')).to_have_text('MSP PortalNorthwind IT')
    msp, rfi = page.locator('#msp'), page.locator('#rfi')
    rfi.get_by_label('Inbound IP addresses').fill('10.0.0.1')
    rfi.get_by_label('Smart hosts').fill('not one')
    rfi.get_by_role('button', name='Save').click()
    expect(rfi.locator('.form-error:visible')).to_have_text(
        ['“10.0.0.1” is not a public address (private).', '“not” is not a domain; “one” is not a domain.']
    )
    expect(rfi.get_by_label('Inbound IP addresses')).to_be_focused()
    for name in ('Northwind & Daughters', 'Northwind IT'):
        msp.get_by_label('Name').fill(name)
        msp.get_by_role('button', name='Save').click()
        expect(msp.get_by_text('Saved.')).to_be_visible()
        expect(other.locator('#brand .brand-name')).to_have_text(name)
        expect(other.get_by_role('link', name=f'MSP Portal, {name}')).to_be_visible()
