"""A business document on A4: letterhead, facts, tables that go on over pages with their heads, page numbers.

The numbers of pages are drawn last, when it is known how many there are. The two fonts are DejaVu Sans, embedded:
letters of Latin, Greek, Cyrillic and the like are as they were typed; Hebrew and Arabic run from right to left, and
Arabic ones are joined (letters.py). A character that the fonts have not (Chinese, say) is drawn as �, and a line at the
end of the document says so. Nothing in a text is an instruction. All of this blocks: callers use a thread.
"""

import contextlib
import io
import logging
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from fontTools.ttLib import TTFont
from fpdf import FPDF, ViewerPreferences
from fpdf.bidi import BidiParagraph
from PIL import Image

from models.documents.facts import Pdf
from models.documents.letters import joined
from models.documents.words import lines_of, one_line

# They tell of every letter that a document has.
for _talker in ('fontTools', 'fpdf'):
    logging.getLogger(_talker).setLevel(logging.WARNING)

FONTS = Path(__file__).parent / 'fonts'
FAMILY = 'DejaVu'
WIDTH, HEIGHT = 210.0, 297.0  # mm, as everything here
LEFT = RIGHT = 22.0
TOP, BOTTOM = 18.0, 23.0
INNER = WIDTH - LEFT - RIGHT
LOGO_WIDTH, LOGO_HEIGHT = 60.0, 18.0
# One scale of type, in points.
SMALL, BODY, HEADING, TITLE = 7.5, 9.0, 11.0, 20.0
LEADING = 1.45
INK, QUIET, LINE, TINT = (27, 31, 36), (91, 100, 112), (214, 219, 225), (244, 246, 248)
UNKNOWN = '\ufffd'
UNKNOWN_SAID = (
    f'Some characters cannot be printed in this document and are shown as {UNKNOWN}; '
    'the portal shows them as they were typed.'
)
COUNTED = 30.0  # how wide “Page 100 of 100” may be
LONGEST = 20_000  # characters of one text; what is longer is cut, and says so


class Msp(NamedTuple):
    """Whose paper it is: name, lines of its address, its logo (a PNG) or nothing."""

    name: str
    address: Sequence[str]
    logo: bytes | None = None


class Column(NamedTuple):
    """A column of a table; `share` of the width that there is, `right` for numbers."""

    title: str
    share: float
    right: bool = False


class Cell(NamedTuple):
    """A text, and a quiet one below it."""

    text: str
    below: str = ''


class Line(NamedTuple):
    """A line as it is drawn."""

    text: str
    size: float = BODY
    bold: bool = False
    colour: tuple[int, int, int] = INK

    @property
    def height(self) -> float:
        return height_of(self.size)


def height_of(size: float) -> float:
    """How high a line of this size is."""
    return size * 0.3528 * LEADING


# -- letters ----------------------------------------------------------------------------------------------------------


@cache
def _widths(bold: bool) -> dict[int, float]:
    """How wide the letters of a font are, in parts of its size."""
    with TTFont(_file(bold), lazy=True) as font:
        em = font['head'].unitsPerEm  # type: ignore[attr-defined]
        advances = font['hmtx'].metrics  # type: ignore[attr-defined]
        letters: dict[int, str] = font.getBestCmap() or {}
        return {code: advances[name][0] / em for code, name in letters.items()}


def _file(bold: bool) -> Path:
    return FONTS / ('DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf')


def width_of(text: str, size: float, bold: bool = False) -> float:
    widths = _widths(bold)
    return sum(widths.get(ord(c), 0.6) for c in text) * size * 0.3528


def known(text: str) -> str:
    """The text with � for every character that one of the fonts has not, nor anything that says the same."""
    regular, bold = _widths(False), _widths(True)

    def has(some: str) -> bool:
        return all(ord(c) in regular and ord(c) in bold for c in some)

    if has(text):
        return text
    plain = {c: unicodedata.normalize('NFKC', c) for c in set(text)}
    return ''.join(c if has(c) else plain[c] if has(plain[c]) else UNKNOWN for c in text)


def wrapped(text: str, width: float, size: float = BODY, bold: bool = False) -> list[str]:
    """The text in lines that are not wider than this, broken between words, and within one that is too long."""
    done, line = [], ''
    for word in text.split(' '):
        longer = f'{line} {word}' if line else word
        if width_of(longer, size, bold) <= width:
            line = longer
            continue
        if line:
            done.append(line)
        while width_of(word, size, bold) > width and len(word) > 1:
            fits = _fitting(word, width, size, bold)
            done.append(word[:fits])
            word = word[fits:]
        line = word
    return [*done, line] if line else done


def _fitting(word: str, width: float, size: float, bold: bool) -> int:
    """How many letters fit, one at least; a mark stays with the letter it belongs to."""
    widths, used = _widths(bold), 0.0
    for count, letter in enumerate(word):
        used += widths.get(ord(letter), 0.6) * size * 0.3528
        if used > width and count:
            while count > 1 and unicodedata.combining(word[count]):
                count -= 1
            return count
    return len(word)


def _in_order(text: str) -> str:
    """As it is read: letters of Hebrew and Arabic from right to left."""
    if not any(unicodedata.bidirectional(c) in ('R', 'AL') for c in text):
        return text
    return BidiParagraph(text).get_reordered_string()


# -- the paper --------------------------------------------------------------------------------------------------------


class _Pdf(FPDF):
    def __init__(self) -> None:
        super().__init__(format='A4')
        self.alias_nb_pages('')  # what looks like one in somebody's text stays text
        self.set_auto_page_break(False)
        self.set_margin(0)
        for style, bold in (('', False), ('B', True)):
            self.add_font(FAMILY, style, _file(bold))

    @contextlib.contextmanager
    def tagged(self, kind: str) -> Iterator[None]:
        """What is drawn is a piece of the document for those who have it read to them: /P, /H1, /H2, /Figure."""
        mcid = self.struct_builder.next_mcid_for_page(self.page)
        self._add_marked_content(struct_type=kind, mcid=mcid)
        self._out(f'{kind} <</MCID {mcid}>> BDC')
        yield
        self._out('EMC')

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """What is drawn is furniture of the page, and not read."""
        self._out('/Artifact BMC')
        yield
        self._out('EMC')


class Paper:
    """A document while it is drawn, from the top down. Texts are as people typed them."""

    def __init__(self, msp: Msp, *, title: str, about: str, at: datetime) -> None:
        """`about` stands at the head of every page but the first; `at` is when the document was made."""
        self.has_unknown = False
        self._headed: list[Line] = []  # a heading that waits for what it is about
        self._section = ''  # the heading under which is drawn
        self._pdf = pdf = _Pdf()
        self._msp = Msp(self._text(msp.name), [self._text(line) for line in msp.address], msp.logo)
        self._title, self._about = self._text(title), self._text(about)
        pdf.set_lang('en-GB')
        pdf.set_title(self._title)
        pdf.set_author(self._msp.name)
        pdf.set_producer('MSP Portal')
        pdf.set_creator('MSP Portal')
        pdf.set_creation_date(at)
        pdf.viewer_preferences = ViewerPreferences(display_doc_title=True)
        self.y = TOP
        self._turn()

    def _text(self, text: object) -> str:
        """A text of somebody as one line that can be drawn."""
        said = one_line(str(text if text is not None else '')[:LONGEST])
        shown = known(joined(said))
        self.has_unknown = self.has_unknown or UNKNOWN in shown
        return shown

    def _texts(self, text: object) -> list[str]:
        given = str(text if text is not None else '')
        cut = given if len(given) <= LONGEST else given[:LONGEST] + ' … (the rest is in the portal)'
        return [self._text(line) for line in lines_of(cut)]

    # -- pages ---------------------------------------------------------------------------------------------------------

    @property
    def end(self) -> float:
        """Below this line stands the foot of the page."""
        return HEIGHT - BOTTOM

    def _turn(self) -> None:
        if self._pdf.page:
            self._foot()
        self._pdf.add_page()
        self.y = TOP
        if self._pdf.page > 1:
            with self._pdf.beside():
                self._put(LEFT, TOP - 6, Line(self._cut(self._about, INNER, SMALL), SMALL, colour=QUIET))
                self._rule(TOP - 0.5)
            self.y = TOP + 5

    def room(self, height: float) -> None:
        """Go on at the next page where so much does not fit on this one any more; a heading that waits goes with it,
        so that none stands alone."""
        above = 6 + sum(line.height for line in self._headed) if self._headed else 0.0
        if self.y + above + height > self.end and self.y > TOP + 6:
            self._turn()
        if not self._headed:
            return
        said, self._headed = self._headed, []
        self.y += 4
        with self._pdf.tagged('/H2'):
            for line in said:
                self._put(LEFT, self.y, line)
                self.y += line.height
        self.y += 2

    def space(self, height: float) -> None:
        self.y = min(self.y + height, self.end)

    def _foot(self) -> None:
        """What stands at the foot of a page, but which one it is."""
        with self._pdf.beside():
            self._rule(HEIGHT - BOTTOM + 6)
            for n, line in enumerate(self._flowing([self._msp.name, *self._msp.address], INNER - COUNTED)):
                self._put(LEFT, HEIGHT - BOTTOM + 8 + n * height_of(SMALL), Line(line, SMALL, colour=QUIET))

    def _count(self) -> None:
        """Page 1 of 3, on every page."""
        count = self._pdf.pages_count
        for page in range(1, count + 1):
            self._pdf.page = page
            self._pdf.font_family = ''  # no page knows of the font of another
            with self._pdf.beside():
                counted = Line(f'Page {page} of {count}', SMALL, colour=QUIET)
                self._put(LEFT, HEIGHT - BOTTOM + 8, counted, INNER, right=True)

    def _flowing(self, parts: Sequence[str], width: float) -> list[str]:
        """Parts with a dot between them in two lines at most, broken between the parts where they fit."""
        lines: list[str] = []
        for part in filter(None, parts):
            longer = f'{lines[-1]} · {part}' if lines else part
            if lines and (width_of(longer, SMALL) <= width or len(lines) == 2):
                lines[-1] = longer
            else:
                lines.append(part)
        return [self._cut(line, width, SMALL) for line in lines]

    # -- drawing -------------------------------------------------------------------------------------------------------

    def _put(self, x: float, y: float, line: Line, width: float = 0.0, *, right: bool = False) -> None:
        """A line whose upper edge is at y; nothing is broken here."""
        if not line.text:
            return
        self._pdf.set_font(FAMILY, 'B' if line.bold else '', line.size)
        self._pdf.set_text_color(*line.colour)
        if right:
            x += width - width_of(line.text, line.size, line.bold)
        # The baseline: capitals stand in the middle of the line's height.
        self._pdf.text(x, y + line.height / 2 + line.size * 0.3528 * 0.365, _in_order(line.text))

    def _rule(self, y: float, *, strong: bool = False, x: float = LEFT, width: float = INNER) -> None:
        self._pdf.set_draw_color(*(INK if strong else LINE))
        self._pdf.set_line_width(0.35 if strong else 0.2)
        self._pdf.line(x, y, x + width, y)

    def _cut(self, text: str, width: float, size: float, bold: bool = False) -> str:
        if width_of(text, size, bold) <= width:
            return text
        return text[: _fitting(text, width - width_of('…', size, bold), size, bold)].rstrip() + '…'

    # -- parts of a document -------------------------------------------------------------------------------------------

    def letterhead(self) -> None:
        """Logo or name of the MSP on the left, where it is on the right."""
        top, pdf = self.y, self._pdf
        drawn = self._logo(top)
        below = top + drawn
        if not drawn:
            width = INNER * (0.55 if self._msp.address else 1)
            said = wrapped(self._msp.name, width, 14, bold=True)
            if len(said) > 3:
                said = [*said[:2], self._cut(' '.join(said[2:]), width, 14, bold=True)]
            with pdf.tagged('/P'):
                for line in said:
                    self._put(LEFT, below, Line(line, 14, bold=True))
                    below += height_of(14)
        y = top
        with pdf.tagged('/P'):
            name = [self._msp.name] if drawn else []
            for n, part in enumerate([*name, *self._msp.address]):
                for line in wrapped(part, INNER * 0.4, SMALL, bold=n < len(name))[:3]:
                    self._put(LEFT, y, Line(line, SMALL, n < len(name), QUIET), INNER, right=True)
                    y += height_of(SMALL)
        self.y = max(below, y) + 5
        with pdf.beside():
            self._rule(self.y)
        self.y += 7

    def _logo(self, top: float) -> float:
        """How high the logo is that was drawn; 0 where there is none, or what is stored is no picture."""
        if not self._msp.logo:
            return 0.0
        try:
            with Image.open(io.BytesIO(self._msp.logo), formats=('PNG', 'JPEG', 'WEBP')) as found:
                picture = found.convert('RGBA')
        except Exception:  # whatever damaged bytes make of the decoder: the document has the name instead
            return 0.0
        # Onto white paper, where a logo made for a dark page would not be seen either way.
        paper = Image.new('RGB', picture.size, 'white')
        paper.paste(picture, mask=picture.getchannel('A'))
        scale = min(LOGO_WIDTH / picture.width, LOGO_HEIGHT / picture.height)
        width, height = picture.width * scale, picture.height * scale
        self._pdf.image(paper, LEFT, top, width, height, alt_text=f'Logo of {self._msp.name}')
        return height

    def title(self, below: str = '') -> None:
        """What the document is, and about whom."""
        with self._pdf.tagged('/H1'):
            for line in wrapped(self._title, INNER, TITLE, bold=True):
                self._put(LEFT, self.y, Line(line, TITLE, bold=True))
                self.y += height_of(TITLE)
        if below:
            self.y += 0.5
            self._lines(below, HEADING, colour=QUIET)
        self.y += 4

    def heading(self, text: str, *, keep: float = 0.0) -> None:
        """A heading. It is drawn together with what comes next, and on a page with room for `keep` below it."""
        self._section = self._text(text)
        self._headed = [Line(line, HEADING, True) for line in wrapped(self._section, INNER, HEADING, bold=True)]
        if keep:
            self.room(keep)

    def paragraph(self, text: str, *, quiet: bool = False, bold: bool = False) -> None:
        self._lines(text, BODY, bold=bold, colour=QUIET if quiet else INK)
        self.y += 2

    def height_of_texts(self, *texts: str) -> float:
        """How high these texts are below each other, as paragraphs and in `signed`."""
        return sum(len(wrapped(part, INNER - 8)) for text in texts for part in self._texts(text)) * height_of(BODY)

    def _lines(self, text: object, size: float, *, bold: bool = False, colour: tuple[int, int, int] = INK) -> None:
        lines = [each for part in self._texts(text) for each in wrapped(part, INNER, size, bold)]
        while lines:
            self.room(height_of(size) * min(2, len(lines)))
            fit = max(1, int((self.end - self.y) / height_of(size)))
            with self._pdf.tagged('/P'):
                for line in lines[:fit]:
                    self._put(LEFT, self.y, Line(line, size, bold, colour))
                    self.y += height_of(size)
            lines = lines[fit:]

    def facts(self, given: Sequence[tuple[str, str]], *, columns: int = 3) -> None:
        """Labels with what they say, side by side."""
        gap = 6.0
        width = (INNER - gap * (columns - 1)) / columns
        for start in range(0, len(given), columns):
            drawn = []
            for label, value in given[start : start + columns]:
                lines = [Line(line, SMALL, colour=QUIET) for line in wrapped(self._text(label), width, SMALL)]
                said = [each for part in self._texts(value) for each in wrapped(part, width)]
                drawn.append([*lines, *(Line(line) for line in said or ['–'])])
            self._side_by_side([(LEFT + n * (width + gap), lines) for n, lines in enumerate(drawn)])
            self.y += 3

    def parties(self, given: Sequence[tuple[str, str, Sequence[str]]]) -> None:
        """Who has to do with it: what they are here, a name, and lines such as an address."""
        gap = 8.0
        width = (INNER - gap * (len(given) - 1)) / len(given)
        drawn = []
        for label, name, lines in given:
            shown = [Line(self._text(label), SMALL, colour=QUIET)]
            shown += [Line(line, bold=True) for line in wrapped(self._text(name), width, bold=True)]
            shown += [Line(each) for line in lines for part in self._texts(line) for each in wrapped(part, width)]
            drawn.append(shown)
        self._side_by_side([(LEFT + n * (width + gap), lines) for n, lines in enumerate(drawn)])
        self.y += 3

    def _side_by_side(self, blocks: list[tuple[float, list[Line]]]) -> None:
        """Blocks of lines beside each other, over as many pages as they need."""
        self.room(min(max(sum(line.height for line in lines) for _, lines in blocks), 60.0))
        left = [(x, list(lines)) for x, lines in blocks]
        while any(lines for _, lines in left):
            if self.y + height_of(BODY) > self.end:
                self._turn()
            deepest = self.y
            for x, lines in left:
                y = self.y
                if not lines:
                    continue
                with self._pdf.tagged('/P'):
                    while lines and y + lines[0].height <= self.end:
                        line = lines.pop(0)
                        self._put(x, y, line)
                        y += line.height
                deepest = max(deepest, y)
            self.y = deepest
            if any(lines for _, lines in left):
                self._turn()

    def table(
        self, columns: Sequence[Column], rows: Sequence[Sequence[str | Cell]], *, empty: str = '',
        sums: Sequence[tuple[str, str]] = (), strong: int = 1,
    ) -> None:  # fmt: skip
        """A table, with its sums below it. Its head is repeated on every page, with the heading above it; a row stays
        whole where it can, and the last two of them stay together, with the sums."""
        pad, gap = 1.6, 4.0
        total = sum(column.share for column in columns)
        widths = [(INNER - gap * (len(columns) - 1)) * column.share / total for column in columns]
        places = [LEFT + sum(widths[:n]) + gap * n for n in range(len(columns))]

        def cells_of(row: Sequence[str | Cell]) -> list[list[Line]]:
            drawn = []
            for cell, width, column in zip(row, widths, columns, strict=True):
                text, below = cell if isinstance(cell, Cell) else (cell, '')
                size = BODY
                if column.right:  # a number is not broken, but written smaller
                    while size > SMALL - 2 and width_of(self._text(text), size) > width:
                        size -= 0.5
                lines = [Line(line, size) for part in self._texts(text) for line in wrapped(part, width, size)]
                drawn.append(lines + [
                    Line(line, SMALL, colour=QUIET) for line in wrapped(self._text(below), width, SMALL)
                ])  # fmt: skip
            return drawn

        def height_of_row(cells: list[list[Line]]) -> float:
            return max(sum(line.height for line in lines) for lines in cells) + 2 * pad

        heads = [
            [Line(line, SMALL, True, QUIET) for line in wrapped(self._text(c.title), w, SMALL, bold=True)]
            for c, w in zip(columns, widths, strict=True)
        ]  # fmt: skip
        head_height = max(len(lines) for lines in heads) * height_of(SMALL) + 2 * pad

        def draw(cells: list[list[Line]]) -> None:
            y = self.y + pad
            for lines, x, width, column in zip(cells, places, widths, columns, strict=True):
                at = y
                for line in lines:
                    self._put(x, at, line, width, right=column.right)
                    at += line.height

        def head(inside: Callable[[], Any]) -> None:
            with self._pdf.beside():
                self._pdf.set_fill_color(*TINT)
                self._pdf.rect(LEFT - 2, self.y, INNER + 4, head_height, style='F')
            with inside():
                draw(heads)
            self.y += head_height

        def turn() -> None:
            self._turn()
            if self._section:
                said = Line(self._cut(f'{self._section} (continued)', INNER, SMALL), SMALL, colour=QUIET)
                with self._pdf.beside():
                    self._put(LEFT, self.y, said)
                self.y += said.height + 1
            head(self._pdf.beside)

        drawn = [cells_of(row) for row in rows]
        heights = [height_of_row(cells) for cells in drawn]
        whole = self.end - TOP - 10 - head_height  # what fits on a page of its own
        # What has to fit below a row that begins here: the sums below the last one, and the last one below that before.
        below = [0.0] * len(rows)
        if rows:
            below[-1] = self._height_of_totals(sums) if sums else 0.0
        if len(rows) > 1:
            below[-2] = heights[-1] + below[-1]
        self.room(head_height + (min(heights[0] + below[0], whole, 60.0) if rows else 14))
        head(lambda: self._pdf.tagged('/P'))
        for n, cells in enumerate(drawn):
            if n and self.y + heights[n] + below[n] > self.end and heights[n] + below[n] <= whole:
                turn()
            while any(cells):
                height = height_of_row(cells)
                if self.y + height > self.end:
                    if n and (height <= whole or self.end - self.y < 20):
                        turn()
                        if self.y + height <= self.end:
                            continue
                    now, cells = _split(cells, self.end - self.y - 2 * pad)
                    height = min(height_of_row(now), self.end - self.y)
                else:
                    now, cells = cells, []
                with self._pdf.tagged('/P'):
                    draw(now)
                self.y += height
                with self._pdf.beside():
                    self._rule(self.y, x=LEFT - 2, width=INNER + 4)
                if any(cells):
                    turn()
        if not rows and empty:
            self.y += pad
            self.paragraph(empty, quiet=True)
        self.y += 3
        if sums:
            self.totals(sums, strong=strong)

    @staticmethod
    def _height_of_totals(given: Sequence[tuple[str, str]]) -> float:
        return len(given) * (height_of(BODY) + 3) + 5

    def totals(self, given: Sequence[tuple[str, str]], *, strong: int = 1) -> None:
        """Sums below a table, on the right; the last `strong` of them are what counts."""
        if not given:
            return
        width = INNER * 0.55
        x = WIDTH - RIGHT - width
        self.room(self._height_of_totals(given) - 3)
        for n, (label, value) in enumerate(given):
            bold = n >= len(given) - strong
            lines = wrapped(self._text(label), width * 0.6, BODY, bold)
            if bold and n == len(given) - strong:
                with self._pdf.beside():
                    self._rule(self.y + 0.6, strong=True, x=x, width=width + 2)
                self.y += 1.2
            with self._pdf.tagged('/P'):
                for place, line in enumerate(lines):
                    self._put(x, self.y + 1 + place * height_of(BODY), Line(line, BODY, bold))
                self._put(x, self.y + 1, Line(self._text(value), BODY, bold), width, right=True)
            self.y += max(1, len(lines)) * height_of(BODY) + 1.4
        self.y += 2

    def signed(self, given: Sequence[str]) -> None:
        """Who did it and when, in a quiet box that stays whole where it can."""
        lines = [Line(each, BODY, n == 0) for n, text in enumerate(given) for part in self._texts(text)
                 for each in wrapped(part, INNER - 8, BODY, n == 0)]  # fmt: skip
        height = sum(line.height for line in lines) + 8
        self.room(height + 2)
        self.y += 2
        if self.y + height > self.end:  # a text longer than a page
            for text in given:
                self.paragraph(text)
            return
        with self._pdf.beside():
            self._pdf.set_fill_color(*TINT)
            self._pdf.rect(LEFT - 2, self.y, INNER + 4, height, style='F')
        y = self.y + 4
        with self._pdf.tagged('/P'):
            for line in lines:
                self._put(LEFT + 2, y, line)
                y += line.height
        self.y += height + 2

    def done(self) -> Pdf:
        if self._headed:
            self.room(0)
        if self.has_unknown:
            self.room(height_of(SMALL) + 3)
            self.y += 3
            self._lines(UNKNOWN_SAID, SMALL, colour=QUIET)
        self._foot()
        self._count()
        return Pdf(bytes(self._pdf.output()), self._pdf.pages_count)


def _split(cells: list[list[Line]], height: float) -> tuple[list[list[Line]], list[list[Line]]]:
    """What of a row fits into so much height, a line at least, and the rest of it."""
    now, rest = [], []
    for lines in cells:
        used, count = 0.0, 0
        for line in lines:
            if used + line.height > height and count:
                break
            used, count = used + line.height, count + 1
        now.append(lines[:count])
        rest.append(lines[count:])
    return now, rest


def drawn(draw: Callable[[Paper], None], msp: Msp, *, title: str, about: str, at: datetime) -> Pdf:
    """The document that `draw` draws, as a PDF; the same whenever it is drawn of the same."""
    paper = Paper(msp, title=title, about=about, at=at)
    draw(paper)
    return paper.done()
