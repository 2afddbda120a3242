"""The board of Connect: what somebody does is seen on every open one, without a reload, nobody losing their place."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visitors

pytestmark = pytest.mark.browser


def opened(visitors: Visitors, who: str, address: str = '/connect') -> Page:
    page = visitors.page(who, address)
    page.wait_for_selector('.board-card')
    page.wait_for_function("document.documentElement.dataset.live === 'live' && !document.getElementById('early')")
    page.evaluate('window.stillHere = true')
    return page


def column(page: Page, title: str) -> Locator:
    return page.get_by_role('region', name=re.compile(f'^{re.escape(title)} '))


def card(page: Page, title: str, name: str) -> Locator:
    return column(page, title).get_by_role('listitem').filter(has=page.get_by_role('link', name=name, exact=True))


def move(page: Page, name: str, step: str, verb: str, **more: str) -> None:
    """As the customer's page does it."""
    href = page.get_by_role('link', name=name, exact=True).first.get_attribute('href')
    answer = page.request.post(
        f'/api/ui{href}/steps/{step}/move',
        data={'verb': verb, **more},
        headers={'Origin': page.url.split('/connect')[0]},
    )
    assert answer.ok, answer.text()


def test_a_card_moves_on_every_open_board(visitors: Visitors) -> None:
    name, before, after = 'Håkansson Forestry', 'Validate domains', 'Directory synchronization'
    ana, tom = opened(visitors, 'ana'), opened(visitors, 'tom')
    assert column(tom, 'Account configuration').count() == 0, 'Tom does not see who is there'
    expect(card(tom, before, name)).to_contain_text('Blocked')
    for page in (ana, tom):
        page.route(
            '**/api/ui/connect*', lambda route: None
        )  # what is told has to be enough: nothing is asked for again
    mine = card(tom, before, name).get_by_role('link', name=name)
    mine.focus()
    move(ana, name, 'domain_validation', 'complete')
    move(ana, name, 'directory_sync', 'start')
    for page in (ana, tom):
        expect(card(page, after, name)).to_be_visible(timeout=4000)
        expect(column(page, before).get_by_role('link', name=name)).to_have_count(0)
        expect(card(page, after, name)).not_to_contain_text('Blocked')
        assert page.evaluate('window.stillHere') is True
    assert tom.evaluate('document.activeElement.textContent') == name, 'the focus went with the card'

    # Under a pointer nothing moves: the card says where it is by now, and goes there when the pointer has left.
    here = card(ana, after, name)
    here.hover()
    move(ana, name, 'directory_sync', 'block', because='Nobody answers')
    expect(here).to_contain_text('Blocked: Nobody answers')
    move(ana, name, 'directory_sync', 'complete')
    expect(here).to_contain_text('Now: ')
    expect(ana.get_by_role('button', name='1 moved')).to_be_visible()
    ana.mouse.move(5, 5)
    expect(column(ana, after).get_by_role('link', name=name)).to_have_count(0, timeout=4000)
    expect(ana.get_by_role('link', name=name, exact=True)).to_have_count(1)


def test_what_narrows_the_board_is_a_step_that_back_undoes(visitors: Visitors) -> None:
    ana = opened(visitors, 'ana')
    names = ana.locator('.board-name')
    all_ = names.count()
    ana.get_by_role('button', name=re.compile('^On hold')).click()
    expect(names).to_have_text(['Tamura Ceramics'])
    ana.get_by_label('Search customers in Connect').fill('ÉMILE')
    expect(ana.get_by_text('Nobody in Connect matches “ÉMILE”')).to_be_visible()
    ana.get_by_role('button', name='Show everybody').click()
    expect(names).to_have_count(all_)
    ana.go_back()
    expect(ana).to_have_url(re.compile(r'q=.*state=held'))
    ana.go_back()
    expect(names).to_have_text(['Tamura Ceramics'])
    ana.go_back()
    expect(names).to_have_count(all_)
    first = names.first
    first.focus()
    ana.keyboard.press('ArrowRight')
    assert ana.evaluate(
        "document.activeElement.closest('.board-column') === document.querySelectorAll('.board-column')[1]"
    )
    ana.keyboard.press('Enter')
    expect(ana).to_have_url(re.compile(r'/customers/\d+$'))
    expect(ana.locator('.fold-title').first).to_be_visible()


def test_somebody_is_chosen_to_look_after_a_customer_on_the_board(visitors: Visitors) -> None:
    ana, tom = opened(visitors, 'ana', '/connect?q=Forestry'), opened(visitors, 'tom', '/connect?who=mine')
    name = 'Håkansson Forestry'
    box = ana.get_by_role('listitem').filter(has=ana.get_by_role('link', name=name, exact=True))
    box.get_by_role('button', name=re.compile('^Looked after by')).click()
    choice = ana.get_by_label('Looks after this customer')
    other = 'Tom Okafor' if choice.locator('option:checked').text_content() != 'Tom Okafor' else 'Ana Lindqvist'
    choice.select_option(label=other)
    ana.get_by_role('button', name='Save').click()
    expect(box.get_by_role('button', name=f'Looked after by {other}: change')).to_be_visible()
    expect(tom.get_by_role('link', name=name, exact=True)).to_have_count(
        1 if other == 'Tom Okafor' else 0, timeout=4000
    )
