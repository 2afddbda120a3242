"""The named colours: whatever is written on whatever ground can be read, and what can be pressed has an edge."""

import pytest

from components.theme import DARK, LIGHT

GROUNDS = ('canvas', 'surface', 'raised', 'tint', 'accent-tint', 'bad-tint', 'old-tint')


def _light(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_light(one), _light(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize('tokens', [LIGHT, DARK], ids=['light', 'dark'])
def test_texts_and_edges_stand_out_from_every_ground(tokens: dict[str, str]) -> None:
    pairs = [(text, ground, 4.5) for text in ('text', 'quiet', 'accent', 'bad', 'old', 'unknown') for ground in GROUNDS]
    pairs += [('accent-text', 'accent', 4.5), ('bad-text', 'bad', 4.5)]
    pairs += [(edge, ground, 3) for edge in ('line-strong', 'good', 'none') for ground in GROUNDS[:5]]
    weak = {(one, other): _contrast(tokens[one], tokens[other]) for one, other, least in pairs
            if _contrast(tokens[one], tokens[other]) < least}  # fmt: skip
    assert not weak
