"""What only a browser shows of prospects: what was typed stays, nobody overwrites anybody unseen, and others see it."""

import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Line, Visitors, go_back, once

pytestmark = pytest.mark.browser
NAME = 'Zebra Crossing Signs'


def _field(page: Page, name: str) -> Locator:
    return page.get_by_role('textbox', name=name, exact=True)


def test_a_prospect_is_written_down_changed_by_two_lost_and_opened_again(visitors: Visitors) -> None:
    visitors.expect_trouble('422', '409')
    other = visitors.page('ana', '/prospects')
    expect(other.locator('.ag-row').first).to_be_visible()
    page = visitors.page('ana', '/prospects/new')
    page.get_by_role('button', name='Save prospect').click()
    expect(page.get_by_text('Company name is empty.')).to_be_visible()
    _field(page, 'Company name').fill(NAME)
    _field(page, 'Domain').fill('larkspur-vets.example')  # of a prospect of the demo
    page.get_by_role('checkbox', name='SEC Email Security').check()
    page.reload()
    expect(page.get_by_text('What you had typed before is still here.')).to_be_visible()
    expect(_field(page, 'Company name')).to_have_value(NAME)
    page.get_by_role('button', name='Save prospect').click()
    expect(page.get_by_role('alert').get_by_role('link', name='Larkspur Veterinary Group')).to_be_visible()
    page.get_by_role('button', name='Save all the same').click()
    expect(page).to_have_url(re.compile(r'/prospects/\d+$'))
    expect(page.get_by_text('Still missing: e-mail of the implementation lead.')).to_be_visible()
    # Somebody else's list has it, and leads to its page.
    other.get_by_role('link', name=NAME, exact=True).click()
    expect(other.get_by_role('heading', name=NAME)).to_be_visible()

    # Whoever goes elsewhere while it is being saved is not fetched away from there.
    held: list[Route] = []
    leaver = visitors.page('ana', '/prospects/new')
    leaver.route('**/api/ui/prospects', lambda route: held.append(route))
    _field(leaver, 'Company name').fill('Left Alone')
    leaver.get_by_role('button', name='Save prospect').click()
    once(leaver, lambda: held)
    leaver.locator('#menu a[href="/help"]').evaluate('link => link.click()')
    leaver.locator('.prospect').wait_for(state='detached')
    held.pop().fulfill(json={'id': 1})
    leaver.wait_for_function('new Promise((done) => setTimeout(() => done(true), 300))')
    expect(leaver).to_have_url(re.compile('/help$'))
    leaver.close()

    # Two change the same: the slower is told, and decides.
    _field(page, 'Licences').fill('5')
    _field(other, 'Licences').fill('7')
    other.get_by_role('button', name='Save', exact=True).click()
    expect(other.get_by_text('Saved.')).to_be_visible()
    expect(page.get_by_text('Licences: 0 → 7')).to_be_visible()
    expect(_field(page, 'Licences')).to_have_value('5')
    page.get_by_role('button', name='Save', exact=True).click()
    expect(page.get_by_text('“Licences” was changed by somebody else meanwhile. It says now: 7')).to_be_visible()
    page.get_by_role('button', name='Save mine').click()
    expect(_field(other, 'Licences')).to_have_value('5')

    # The order begins with what is stored, so nothing typed is left behind on the way there.
    _field(page, 'What else is known').fill('Rings back')
    page.get_by_role('region', name='Order').get_by_role('link', name='Provision').click()
    expect(page.get_by_text('Save what you typed first')).to_be_visible()
    page.get_by_role('button', name='Discard changes').click()

    page.get_by_role('button', name='Mark as lost').click()
    page.get_by_role('dialog').get_by_role('textbox', name='Reason').fill('Too far away')
    page.get_by_role('dialog').get_by_role('button', name='Mark as lost').click()
    expect(other.get_by_text('Lost: Too far away')).to_be_visible()
    expect(other.get_by_role('button', name='Save', exact=True)).to_be_hidden()
    other.get_by_role('button', name='Open again').click()
    expect(page.get_by_role('button', name='Save', exact=True)).to_be_visible()


def test_the_list_is_narrowed_by_state_and_back_undoes_it(visitors: Visitors) -> None:
    page = visitors.page('ana', '/prospects')
    expect(page.get_by_role('link', name='Larkspur Veterinary Group', exact=True)).to_be_visible()
    page.get_by_role('combobox', name='Show').select_option('Lost')
    expect(page.get_by_role('link', name='Stonebridge Recruitment', exact=True)).to_be_visible()
    expect(page.get_by_role('link', name='Larkspur Veterinary Group', exact=True)).to_be_hidden()
    expect(page).to_have_url(re.compile(r'\?only=lost$'))
    page.reload()
    expect(page.get_by_role('combobox', name='Show')).to_have_value('lost')
    expect(page.get_by_role('link', name='Stonebridge Recruitment', exact=True)).to_be_visible()
    page.get_by_role('combobox', name='Show').select_option('Converted')
    expect(page.get_by_text('No prospects under “Converted”')).to_be_visible()
    go_back(page, r'\?only=converted')
    expect(page.get_by_role('combobox', name='Show')).to_have_value('lost')
    expect(page.get_by_text('1 prospect', exact=True)).to_be_visible()


@pytest.mark.alone
def test_what_people_do_one_after_the_other_is_followed_at_once(visitors: Visitors) -> None:
    page = visitors.page('ana', '/prospects')
    expect(page.get_by_role('link', name='Larkspur Veterinary Group', exact=True)).to_be_visible()
    page.mouse.move(5, 5)
    # No readings move the rows of this list, so that it takes no pause of 2 s between two re-orderings.
    address, headers, made = '/api/ui/prospects', {'Origin': visitors.portal.address}, ''
    for name, is_first in (('M in the middle', False), ('A in front', True), ('Z at the end', False)):
        answer = page.request.post(f'{address}{made}', data={'facts': {'name': name}}, headers=headers)
        made = made or f'/{answer.json()["id"]}'
        page.wait_for_function(
            '([name, isFirst]) => { const cells = document.querySelectorAll(".grid .ag-row [col-id=name]");'
            ' const all = [...cells].map((cell) => cell.textContent);'
            ' return all.includes(name) && isFirst === (all[0] === name); }',
            arg=[name, is_first], timeout=1700,
        )  # fmt: skip


def test_news_that_a_page_could_not_hear_reach_it_all_the_same(visitors: Visitors) -> None:
    context = visitors.browser_of('ana')

    def store(path: str, **facts: str) -> int:
        headers = {'Origin': visitors.portal.address}
        answer = context.request.post(f'/api/ui/prospects{path}', data={'facts': facts}, headers=headers)
        assert answer.ok, answer.text()
        return answer.json().get('id', 0)

    # Lost on the way: this page's socket brings nothing but the greeting and heartbeats.
    page = context.new_page()
    line = Line(page)
    page.goto('/prospects')
    expect(page.get_by_role('link', name='Larkspur Veterinary Group', exact=True)).to_be_visible()
    once(page, lambda: line.n >= 0)
    made = store('', name='Unheard Of')
    expect(page.get_by_role('link', name='Unheard Of', exact=True)).to_be_visible()

    # Told before there was anything on the page that could hear it: what draws it is late.
    page, late = context.new_page(), list[Route]()
    page.route('**/prospects.js', lambda route: late.append(route))
    page.goto(f'/prospects/{made}', wait_until='commit')
    once(page, lambda: bool(late) and page.evaluate("document.documentElement.dataset.live === 'live'"))
    store(f'/{made}', name='Heard Of')
    late.pop().continue_()
    expect(_field(page, 'Company name')).to_have_value('Heard Of')
