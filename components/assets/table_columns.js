// The columns of a live table: their definitions, what stands in their cells, how wide they are, and how a person has
// arranged them.
import { clock, h, inZone, number, parseTime } from './live.js';
import { HEALTH, RFI, shape, stateIcon } from './icons.js';
import { glyph } from './glyphs.js';

const NARROW = 600; // px below which there are the name and a few columns more
const SCROLLBAR = 20;
const NAME = { least: 240, usual: 280, most: 480 };
const TEXT = { least: 150, usual: 190, need: 420, most: 560 };
const WIDTHS = { number: 110, enum: 130, date: 150, day: 130, calendar: 130, rfi: 64, health: 52, console: 166, action: 124 };
// A word that is one of a few: as wide as usual, or as the longest of them.
const widthOf = ({ kind, titles }) => (kind === 'enum' && titles ? Math.max(WIDTHS.enum, 28 + 7.4 * Math.max(...Object.values(titles).map((title) => title.length))) : WIDTHS[kind] || TEXT.usual);
const ON_PHONES = { name: 140, text: 148, enum: 148, icon: 56, date: 128, day: 128, calendar: 128, action: 94 };
const PADDING = 30; // px in a cell beside its text
const MARK = 26; // px of a state beside a text
const BOLD = 1.1; // how much wider a bold name is, about
const RENDERED = ['health', 'rfi', 'number', 'console', 'action'];

export class Columns {
  constructor(table) {
    this.table = table;
    this.config = table.config;
    this.named = Object.fromEntries(this.config.columns.map((column) => [column.name, column]));
    this.name = this.config.columns[0].name;
    this.needs = null; // px that the texts of the first rows need
  }

  get api() { return this.table.api; }

  definitions() {
    const shown = this.config.columns.map((c) => c.name).filter((name) => !this.config.hidden.includes(name));
    const widths = this.shared(shown);
    return this.config.columns.map((column) => this.definition(column, widths));
  }

  definition(column, widths) {
    const { asked } = this.table;
    // The order it opens with: setting it afterwards would ask for the rows again.
    const order = column.name === this.table.sortColumn() ? (asked.dir === 'desc' ? 'desc' : 'asc') : null;
    const hide = this.config.hidden.includes(column.name);
    const kind = column.name === this.name ? 'name' : RENDERED.includes(column.kind) ? column.kind : 'text';
    const definition = {
      field: column.name, colId: column.name, headerName: column.heading, sortable: column.sortable, initialSort: order,
      hide, width: widths[column.name] || widthOf(column), cellRenderer: this.renderer(kind, column),
    };
    if (kind === 'name') return { ...definition, pinned: 'left', minWidth: ON_PHONES.name, lockPosition: 'left', cellClass: 'first', headerClass: 'first' };
    if (kind === 'number') return { ...definition, type: 'rightAligned', cellClass: 'number' };
    if (kind === 'rfi') return { ...definition, headerClass: 'icon-header', cellClass: 'icon-cell' };
    if (kind === 'health') return { ...definition, headerClass: 'icon-header', cellClass: 'icon-cell', headerComponent: iconHeader(column) };
    return definition;
  }

  // -- cells ----------------------------------------------------------------------------------------------------------

  renderer(kind, column) {
    const columns = this;
    return class {
      init(params) {
        this.box = document.createElement('span');
        this.box.className = `cell cell-${kind}`;
        if (kind === 'name') this.box.dir = 'auto'; // a name that is too long loses its end, not its beginning
        this.refresh(params);
      }
      getGui() { return this.box; }
      refresh(params) {
        if (!params.data) {
          this.box.replaceChildren(h('span', { class: 'skeleton' }));
          return true;
        }
        const value = params.data[column.name];
        const link = columns.link(column, params.data);
        const same = this.id === params.data.id;
        const told = JSON.stringify(column.marks ? [value, params.data[column.marks]] : column.flag ? [value, params.data[column.flag.by]] : value) ?? '';
        if (same && this.told === told && this.link === link) return true;
        const changed = same && this.told !== undefined && this.told !== told;
        Object.assign(this, { id: params.data.id, told, link });
        const { anchor, held } = columns.table.tips;
        const isTold = this.box.contains(anchor);
        this.box.replaceChildren(columns.content(kind, column, value, params.data));
        if (isTold) columns.table.told(this.box, held === anchor ? undefined : held);
        if (changed) flash(this.box);
        return true;
      }
    };
  }

  link(column, row) {
    let pattern = this.config.links[column.name];
    if (pattern?.own) { // some rows have an address of their own
      const own = pattern.own[row[pattern.by]];
      if (own) return own;
      pattern = pattern.others;
    }
    // {+place} is a whole address that the server has made.
    return pattern && pattern.replace(/\{(\+?)(\w+)\}/g, (_, whole, name) => (whole ? row[name] ?? '' : encodeURIComponent(row[name] ?? '')));
  }

  // Nothing in a cell is a stop of its own for Tab: arrows walk over the cells, and Enter presses what is in one.
  content(kind, column, value, row) {
    if (kind === 'health') return this.health(column, value, row);
    const link = this.link(column, row);
    if (kind === 'rfi') {
      let { word, ...state } = RFI[value] || RFI[1];
      if (state.shape === 'empty' && row.connect_key === 'rfi_received') word = 'RFI sent back, not complete';
      const icon = stateIcon({ ...state, word });
      return h(link ? 'a' : 'span', { href: link, class: 'icon-link', tabindex: link && '-1', 'data-tip': word }, icon);
    }
    if (kind === 'console') return this.console(value, row);
    if (kind === 'action') return this.action(value, row);
    const text = String(this.text(column, value));
    if (link && text) {
      return h('a', { href: link, tabindex: '-1', title: kind === 'name' || link.startsWith('/customers/') ? null : 'Read about this', ...outside(link) }, text);
    }
    if (column.marks && row[column.marks]) return this.marked(text, row[column.marks]);
    const flag = text && row[column.flag?.by] ? column.flag : null;
    const tip = [column.spelled && text && spelledOut(text, column.spelled), flag?.tip].filter(Boolean).join('. ');
    if (tip) return h('span', { 'data-tip': tip }, text, flag && ' ', flag && h('span', { class: 'code-mark' }, flag.word));
    return document.createTextNode(text || '–');
  }

  text(column, value) {
    if (column.titles) return column.titles[String(value)] ?? value ?? '';
    if (column.kind === 'number') return number(value);
    if (column.kind === 'date') return value ? clock(parseTime(value)) : '–';
    if (column.kind === 'day') return value ? new Date(parseTime(value)).toLocaleDateString('en-GB', inZone({ dateStyle: 'medium' })) : '–';
    if (column.kind === 'calendar') return value ? new Date(Date.parse(value)).toLocaleDateString('en-GB', { dateStyle: 'medium', timeZone: 'UTC' }) : '–';
    return value ?? '';
  }

  health(column, value, row) {
    const state = HEALTH[value] || HEALTH[2];
    const icon = stateIcon(state, `${column.heading}: ${state.word}`);
    Object.assign(icon.dataset, { monitor: column.name, customer: row.id });
    return icon;
  }

  // A text with a state beside it: shape, tone and word.
  marked(text, [shape_, tone, word]) {
    return h('span', { class: 'marked' }, h('span', { class: 'marked-text' }, text), h('span', { class: 'cell-mark', 'data-tip': word }, stateIcon({ shape: shape_, tone, word })));
  }

  // What can be done about a row: a way to it, a dialog, or nothing.
  action(value, row) {
    if (!value) return document.createTextNode('–');
    if (value.act) return h('button', { type: 'button', class: 'button small', tabindex: '-1', 'aria-haspopup': 'dialog', 'aria-label': `${value.text}: ${row.name}`, onclick: () => acts[value.act]().then((act) => act.openRow(row)) }, value.text);
    return h('a', { class: 'button small', href: value.href, tabindex: '-1', 'data-tip': value.tip, 'aria-label': `${value.text}: ${row.name}` }, value.text);
  }

  console(value, row) {
    // A form: signing on is an act, and no other site can make a browser do it.
    if (value?.url) return h('form', { method: 'post', action: value.url, target: '_blank', rel: 'noopener', class: 'console-door' }, h('button', { type: 'submit', class: 'button small', tabindex: '-1', 'aria-label': `Admin Console of ${row.name}` }, 'Admin Console', shape('external')));
    const why = value?.why || 'Not available';
    const say = ({ currentTarget: button }) => this.table.tips.say(button, why, button.closest('.ag-cell'));
    return h('button', { type: 'button', class: 'button small', tabindex: '-1', 'aria-disabled': 'true', 'data-tip': why, 'aria-label': `Admin Console of ${row.name}: ${why}`, onclick: say }, 'Admin Console');
  }

  // -- widths ---------------------------------------------------------------------------------------------------------

  // How wide these columns are: the name as it usually is, then each text what it needs, then what is left for all of
  // them, so that a wide screen is used.
  shared(names) {
    const texts = names.filter((name) => name !== this.name && this.named[name].kind === 'text');
    // Where columns yield, none keeps room that its texts do not need.
    const least = (name) => (this.config.yields?.length ? Math.min(TEXT.least, this.needs?.[name] ?? TEXT.least) : TEXT.least);
    const width = Object.fromEntries([[this.name, NAME.least], ...texts.map((name) => [name, least(name)])]);
    const fixed = this.fixed(names);
    const taken = Object.values(width).reduce((sum, one) => sum + one, 0);
    let left = this.table.gridBox.clientWidth - SCROLLBAR - fixed - taken;
    const grow = (some, most) => {
      for (let open = some; left >= open.length && open.length;) {
        const each = Math.floor(left / open.length);
        for (const name of open) {
          const more = Math.max(0, Math.min(each, most(name) - width[name]));
          width[name] += more;
          left -= more;
        }
        const still = open.filter((name) => width[name] < most(name));
        if (still.length === open.length) break;
        open = still;
      }
    };
    grow([this.name], () => NAME.usual);
    grow(texts, (name) => Math.min(TEXT.need, this.needs?.[name] ?? TEXT.usual));
    grow([this.name, ...texts], (name) => (name === this.name ? NAME.most : TEXT.most));
    return width;
  }

  // How much room columns take whose width does not go by what stands in them.
  fixed(names) {
    return names.filter((name) => name !== this.name && this.named[name].kind !== 'text').reduce((sum, name) => sum + widthOf(this.named[name]), 0);
  }

  // What matters least goes, one column after the other, until every text has room; it is back on a wider screen. Who
  // has arranged the columns has said what matters.
  yield() {
    const { yields = [], hidden, columns } = this.config;
    if (!yields.length || !this.needs) return;
    const need = (name) => (name === this.name ? Math.min(NAME.usual, Math.ceil(this.needs[name] * BOLD)) : Math.min(TEXT.need, this.needs[name] ?? 0));
    const usual = columns.map(({ name }) => name).filter((name) => !hidden.includes(name));
    let shown = usual;
    for (const name of yields) {
      if (this.fixed(shown) + shown.reduce((sum, each) => sum + need(each), 0) <= this.table.gridBox.clientWidth - SCROLLBAR) break;
      shown = shown.filter((each) => each !== name);
    }
    const gone = usual.filter((name) => !shown.includes(name));
    const changed = usual.filter((name) => this.api.getColumn(name).isVisible() === gone.includes(name));
    if (changed.length) this.quietly(() => { this.api.setColumnsVisible(shown, true); this.api.setColumnsVisible(gone, false); });
  }

  // Before the first rows are drawn: what their longest texts need.
  measure(rows) {
    if (this.needs || !rows.length) return;
    const pen = document.createElement('canvas').getContext('2d');
    const { fontFamily } = getComputedStyle(this.table.gridBox);
    pen.font = `14px ${fontFamily}`;
    this.needs = {};
    for (const column of this.config.columns) {
      if (column.kind !== 'text') continue;
      const texts = rows.map((row) => String(this.text(column, row[column.name])));
      const longest = texts.reduce((most, text) => (text.length > most.length ? text : most), column.heading + ' ↑');
      this.needs[column.name] = Math.ceil(pen.measureText(longest).width) + PADDING + (column.marks ? MARK : 0);
    }
    this.fit();
  }

  fit() {
    const width = this.table.gridBox.clientWidth;
    if (!this.api || this.table.gone || !width) return;
    const narrow = width < NARROW;
    if (narrow !== this.narrow) {
      this.narrow = narrow;
      this.table.columnMenu.hidden = narrow; // there is nothing to choose, and what was chosen is for wide screens
      if (narrow) this.becomeNarrow(width);
      else if (this.wide) this.quietly(() => this.api.applyColumnState({ state: this.wide.map(({ sort, sortIndex, ...rest }) => rest), applyOrder: true }));
    }
    if (!narrow && !this.config.state) this.spread();
  }

  becomeNarrow(width) {
    const names = this.config.columns.map((c) => c.name);
    const keep = names.filter((name) => this.config.narrow?.includes(name));
    const own = (name) => ON_PHONES[this.named[name].kind] || ON_PHONES.icon;
    const others = keep.reduce((sum, name) => sum + own(name), 0);
    this.wide = this.api.getColumnState();
    this.quietly(() => {
      this.api.setColumnsVisible(names.filter((name) => name !== this.name && !keep.includes(name)), false);
      this.api.setColumnsVisible(keep, true);
      this.api.applyColumnState({ state: [{ colId: this.name, width: Math.max(ON_PHONES.name, width - others - 2), pinned: null }, ...keep.map((colId) => ({ colId, width: own(colId) }))] });
    });
  }

  spread() {
    this.yield();
    const widths = this.shared(this.api.getAllDisplayedColumns().map((column) => column.getColId()));
    const changed = Object.entries(widths).filter(([name, width]) => this.api.getColumn(name).getActualWidth() !== width);
    if (changed.length) this.quietly(() => this.api.setColumnWidths(changed.map(([key, newWidth]) => ({ key, newWidth }))));
  }

  // What nobody has arranged is not kept.
  quietly(change) {
    this.fitting = true;
    change();
    setTimeout(() => { this.fitting = false; }, 50);
  }

  // -- what is kept ---------------------------------------------------------------------------------------------------

  keep() {
    if (this.fitting || this.narrow || this.table.settingSort) return;
    clearTimeout(this.keepTimer);
    this.keepTimer = setTimeout(() => {
      const { columnVisibility, columnSizing, columnOrder } = this.api.getState();
      this.config.state = { columnVisibility, columnSizing, columnOrder };
      this.table.tell('columns', this.config.state);
    }, 600);
  }

  forget() {
    clearTimeout(this.keepTimer);
    this.config.state = null;
    this.quietly(() => this.api.resetColumnState());
    this.table.showSort();
    this.fit();
    this.table.tell('columns', null);
  }
}

// What a button in a list does; fetched when it is pressed.
export const acts = { rfi: () => import('./rfi_links.js') };

// Help that lies elsewhere opens beside the portal, and learns nothing of it.
const outside = (link) => (/^https?:/.test(link) ? { target: '_blank', rel: 'noopener' } : {});

const spelledOut = (codes, names) => codes.split(', ').map((code) => (names[code] ? `${code} – ${names[code]}` : code)).join('\n');

function flash(element) {
  element.classList.remove('changed');
  requestAnimationFrame(() => element.classList.add('changed'));
}

// A column of icons has an icon for a heading; its name is there for hovering, for the keyboard and for screen readers.
function iconHeader(column) {
  return class {
    init(params) {
      this.params = params;
      this.box = h('button', { type: 'button', class: 'icon-head', 'data-tip': column.heading, 'aria-label': column.heading, tabindex: '-1', onclick: () => params.progressSort(false) });
      this.show = () => {
        const sort = params.column.getSort();
        this.box.replaceChildren(glyph(column.name), sort ? h('span', { class: `sorted is-${sort}` }, shape('up')) : '');
        this.box.setAttribute('aria-label', column.heading + (sort ? `, sorted ${sort === 'asc' ? 'worst first' : 'best first'}` : ''));
      };
      params.column.addEventListener('sortChanged', this.show);
      this.show();
    }
    getGui() { return this.box; }
    refresh() { return true; }
    destroy() { this.params.column.removeEventListener('sortChanged', this.show); }
  };
}
