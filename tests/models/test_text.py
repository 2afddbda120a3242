import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text import fold, initial, printable, sort_key

anything = st.text(max_size=60)


@pytest.mark.parametrize(
    ('written', 'folded'),
    [
        ('Émile', 'emile'), ('STRASSE', 'strasse'), ('Straße', 'strasse'), ('Łódź', 'lodz'), ('Ærø', 'aero'),
        ('Ǿre', 'ore'), ('İstanbul', 'istanbul'), ('Acme™', 'acmetm'), ('ﬁne', 'fine'), ('a\x00b', 'ab'), ('', ''),
    ],
)  # fmt: skip
def test_a_folded_name_has_neither_accents_nor_capitals(written, folded):
    assert fold(written) == folded


@given(anything)
def test_folding_twice_changes_nothing(text):
    assert fold(fold(text)) == fold(text)


@given(anything)
def test_capitals_fold_alike(text):
    assert fold(text.upper()) == fold(fold(text).upper())


@given(anything)
def test_a_name_is_filed_under_a_letter_or_the_hash(text):
    assert initial(text) in 'abcdefghijklmnopqrstuvwxyz#'
    assert len(initial(text)) == 1


@pytest.mark.parametrize(
    ('name', 'letter'),
    [('Émile', 'e'), ('"Quoted"', 'q'), ('  the', 't'), ('3M', '#'), ('株式会社', '#'), ('', '#'), ('---', '#')],
)
def test_names_are_filed_as_people_look_for_them(name, letter):
    assert initial(name) == letter


@given(anything)
def test_sorting_ignores_case_and_outer_spaces(text):
    assert sort_key(f'  {fold(text)}  ') == sort_key(text)


def test_a_name_of_punctuation_keeps_a_place():
    assert sort_key('---') == '---'
    assert sort_key('"Zeta"') > sort_key('alpha')


@given(anything)
def test_what_a_field_stores_is_one_printable_line(text):
    clean = printable(text)
    assert clean.isprintable()
    assert clean == clean.strip()
    assert '  ' not in clean
    assert printable(clean) == clean
