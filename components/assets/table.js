// The live table: AG Grid in its infinite row model, fed by a JSON route and patched in place by the live socket.
// Search, letter and sort live in the address; each change is a step that Back undoes.
import * as AgGrid from 'nicegui-aggrid';
import { clock, h, live, number, parseTime } from './live.js';
import { Tips, read } from './tips.js';
import { HEALTH, RFI, shape, stateIcon } from './icons.js';
import { glyph } from './glyphs.js';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ#';
const REORDER_PAUSE = 2000; // ms at least between two re-orderings that nobody asked for
const NARROW = 600;
const TEXT = 190; // px of a column of text, and of the other kinds:
const WIDTHS = { number: 110, enum: 130, date: 150, rfi: 64, health: 52, console: 166 };
const RENDERED = ['health', 'rfi', 'number', 'console'];

AgGrid.ModuleRegistry.registerModules([
  AgGrid.InfiniteRowModelModule, AgGrid.ColumnApiModule, AgGrid.RowApiModule, AgGrid.CellApiModule,
  AgGrid.ScrollApiModule, AgGrid.EventApiModule, AgGrid.CellStyleModule, AgGrid.RowStyleModule,
  AgGrid.GridStateModule, AgGrid.RenderApiModule, AgGrid.HighlightChangesModule,
].filter(Boolean));

const theme = AgGrid.themeQuartz.withParams({
  backgroundColor: 'var(--surface)', foregroundColor: 'var(--text)', headerBackgroundColor: 'var(--surface)',
  headerTextColor: 'var(--quiet)', borderColor: 'var(--line)', rowBorder: { color: 'var(--line)' },
  columnBorder: false, wrapperBorder: false, wrapperBorderRadius: 0, accentColor: 'var(--accent)',
  rowHoverColor: 'var(--tint)', oddRowBackgroundColor: 'var(--surface)', fontFamily: 'inherit', fontSize: 14,
  headerFontSize: 13, headerFontWeight: 600, rowHeight: 36, headerHeight: 36, cellHorizontalPadding: 12, spacing: 6,
});

const ASKED = ['q', 'letter', 'sort', 'dir'];
const query = (asked, more = {}) => {
  const params = new URLSearchParams();
  // Always in one order, whatever was asked first: a place is kept and found under its address.
  for (const name of ASKED) if (asked[name]) params.set(name, asked[name]);
  for (const [name, value] of Object.entries(more)) if (value) params.set(name, value);
  const text = params.toString();
  return text ? '?' + text : '';
};

// Lists that were left. They go on being patched and cost nothing else, so that coming back shows them at once.
const parked = new Map();
const MOST_PARKED = 3;

// A list that is the first thing of a page is made while the page framework is still starting, in a picture of the frame
// (#early, components/live_table.py), and moves into the page when that is there.
let early = null;

export function begin(config, address) {
  const answer = fetch(address).then(read); // the answer to what the head has asked for already
  answer.catch(() => {}); // told where it is used
  const start = () => {
    const root = document.getElementById('early-table');
    if (root) early = new Table(root, config, () => {}, { address, answer });
    else if (document.readyState === 'loading') requestAnimationFrame(start);
  };
  start();
}

export function mount(root, config, tell) {
  const table = early?.config.key === config.key ? early : parked.get(config.key);
  if (table && table === early) table.moveTo(root, tell);
  else table?.resume(root, config, tell);
  parked.delete(config.key);
  early = null;
  document.getElementById('early')?.remove();
  const shown = table || new Table(root, config, tell);
  return { destroy: () => shown.park() };
}

class Table {
  constructor(root, config, tell, asked = null) {
    Object.assign(this, { config, tell, path: config.path, askedEarly: asked });
    this.root = h('div', { class: 'table-island' });
    root.append(this.root);
    this.asked = { ...config.asked };
    this.columns = Object.fromEntries(config.columns.map((column) => [column.name, column]));
    this.counts = null;
    this.moved = new Set();
    this.generation = 0; // of questions asked: an answer to an older one is not shown
    this.undo = [];
    this.tips = new Tips((name) => this.columns[name].heading);
    this.expectRows();
    this.build();
    this.makeGrid();
    this.refreshCounts();
    this.undo.push(
      live.on('changes', (message) => this.patch(message)),
      live.on('again', () => this.askAgain()),
    );
    const onPop = () => !this.isParked && location.pathname === this.path && this.readAddress();
    addEventListener('popstate', onPop);
    this.undo.push(() => removeEventListener('popstate', onPop));
    this.resizing = new ResizeObserver(() => this.fitToWidth());
    this.resizing.observe(this.gridBox);
    this.undo.push(() => this.resizing.disconnect());
  }

  park() {
    this.keepPlace();
    this.tips.hide();
    [this.countTimer, this.reorderTimer, this.pauseTimer, this.placeTimer].forEach(clearTimeout);
    this.reorderTimer = null;
    this.isParked = true;
    this.root.remove();
    parked.set(this.config.key, this);
    if (parked.size > MOST_PARKED) {
      const [key, oldest] = parked.entries().next().value;
      parked.delete(key);
      oldest.destroy();
    }
  }

  moveTo(root, tell, top = this.gridBox.querySelector('.ag-body-viewport').scrollTop) {
    Object.assign(this, { tell, isParked: false });
    root.append(this.root);
    this.fitToWidth();
    const viewport = this.gridBox.querySelector('.ag-body-viewport');
    viewport.scrollTop = top;
    viewport.dispatchEvent(new Event('scroll')); // taking it out of the page has scrolled it without a word
  }

  resume(root, config, tell) {
    this.moveTo(root, tell, this.restoredPlace()?.top || 0);
    if (query(config.asked) !== query(this.asked)) {
      this.asked = {};
      return this.ask(config.asked, { push: false });
    }
    this.box.value = this.asked.q || '';
    if (this.moved.size) this.reorder();
    this.refreshCounts();
  }

  destroy() {
    this.gone = true;
    this.undo.forEach((undo) => undo());
    this.stopRefocusing?.();
    [this.countTimer, this.reorderTimer, this.keepTimer, this.pauseTimer].forEach(clearTimeout);
    this.tips.hide();
    this.api?.destroy();
  }

  // -- what is around the grid ----------------------------------------------------------------------------------------

  build() {
    const searching = `Search ${this.config.noun[0].toUpperCase()}${this.config.noun.slice(1)}`;
    this.box = h('input', {
      type: 'search', id: 'search', name: 'q', autocomplete: 'off', maxlength: 200, spellcheck: 'false',
      placeholder: searching, 'aria-label': searching, title: `Part of a ${this.config.searched}`,
    });
    this.box.value = this.asked.q || '';
    const form = h('form', { role: 'search', class: 'search', onsubmit: (event) => {
      event.preventDefault();
      this.ask({ q: this.box.value.trim() });
    } }, this.box, h('button', { type: 'submit', class: 'button' }, 'Go'));
    this.box.addEventListener('search', () => !this.box.value && this.asked.q && this.ask({ q: '' }));
    this.count = h('p', { class: 'count', role: 'status', 'aria-live': 'polite' }, '\u00a0');
    this.pill = h('button', { type: 'button', class: 'pill', hidden: true, onclick: () => this.reorder() });
    this.strip = h('nav', { class: 'letters', 'aria-label': 'By first letter' });
    this.letterButtons = ['', ...LETTERS].map((letter) => h('a', {
      href: '#', role: 'button', 'data-letter': letter.toLowerCase(), 'aria-label': letter === '#' ? 'Other first letters' : letter || 'All',
      onclick: (event) => { event.preventDefault(); event.stopPropagation(); this.ask({ letter: letter.toLowerCase() }); },
    }, letter || 'All'));
    this.strip.append(...this.letterButtons);
    this.problem = h('div', { class: 'notice bad', role: 'alert', hidden: true });
    this.note = h('div', { class: 'notice', hidden: true });
    this.empty = h('div', { class: 'empty', hidden: true });
    this.gridBox = h('div', { class: 'grid', 'data-table': this.config.key });
    this.columnMenu = this.buildColumnMenu();
    this.exports = this.buildExports();
    this.root.append(
      this.note,
      h('div', { class: 'table-bar' }, form, this.count, this.pill, h('span', { class: 'grow' }), this.columnMenu, this.exports),
      this.strip, this.problem, h('div', { class: 'grid-frame' }, this.gridBox, this.empty),
    );
    this.showLetters();
  }

  buildColumnMenu() {
    const list = h('div', { class: 'menu-list' });
    const details = h('details', { class: 'menu' }, h('summary', { class: 'button plain', title: 'Choose columns' }, shape('columns'), h('span', {}, 'Columns')), list);
    details.addEventListener('toggle', () => {
      if (!details.open) return;
      list.replaceChildren(...this.config.columns.slice(1).map((column) => {
        const tick = h('input', { type: 'checkbox' });
        tick.checked = this.api.getColumn(column.name)?.isVisible() ?? true;
        tick.addEventListener('change', () => this.api.setColumnsVisible([column.name], tick.checked));
        return h('label', { class: 'menu-item' }, tick, column.heading);
      }), h('button', { type: 'button', class: 'menu-item', onclick: () => { this.api.resetColumnState(); this.showSort(); this.fitToWidth(); this.tell('columns', null); details.open = false; } }, 'Back to the standard columns'));
    });
    closeOutside(details, this.undo);
    return details;
  }

  buildExports() {
    const link = (kind, text) => h('a', { class: 'menu-item', download: true, onclick: (event) => {
      event.currentTarget.href = `/api/ui/tables/${this.config.key}/export.${kind}${query(this.asked)}`;
      details.open = false;
    }, href: `/api/ui/tables/${this.config.key}/export.${kind}` }, text);
    const details = h('details', { class: 'menu' }, h('summary', { class: 'button plain', title: 'Export what is listed' }, shape('download'), h('span', {}, 'Export')),
      h('div', { class: 'menu-list' }, link('csv', 'CSV'), link('xlsx', 'Excel (XLSX)')));
    closeOutside(details, this.undo);
    return details;
  }

  // -- the grid -------------------------------------------------------------------------------------------------------

  makeGrid() {
    const restored = this.restoredPlace();
    this.widths = this.shared(this.config.columns.map((c) => c.name).filter((name) => !this.config.hidden.includes(name)));
    this.api = AgGrid.createGrid(this.gridBox, {
      theme, rowModelType: 'infinite', cacheBlockSize: this.config.block, maxBlocksInCache: 6, cacheOverflowSize: 1,
      infiniteInitialRowCount: restored?.rows || 1, maxConcurrentDatasourceRequests: 2, blockLoadDebounceMillis: 0,
      getRowId: (p) => String(p.data.id), suppressMultiSort: true, ensureDomOrder: true,
      suppressColumnMoveAnimation: true, animateRows: false, suppressDragLeaveHidesColumns: true, rowBuffer: 6,
      enableCellTextSelection: true, columnDefs: this.config.columns.map((c, i) => this.definition(c, i)),
      defaultColDef: { resizable: true, sortingOrder: ['asc', 'desc'], suppressHeaderMenuButton: true, minWidth: 44 },
      initialState: this.config.state ? { ...this.config.state, partialColumnState: true } : undefined,
      datasource: { getRows: (params) => this.load(params) },
      onSortChanged: (event) => this.sortChosen(event),
      onColumnResized: (e) => e.finished && ['uiColumnResized', 'autosizeColumns'].includes(e.source) && this.keepColumns(),
      onColumnMoved: (e) => e.finished && e.source !== 'api' && this.keepColumns(), onColumnVisible: () => this.keepColumns(),
      onBodyScrollEnd: () => this.keepPlaceSoon(), onCellFocused: (event) => this.cellFocused(event),
      onCellKeyDown: (event) => this.keyDown(event),
      onFirstDataRendered: () => restored && this.restorePlace(restored),
      loadThemeGoogleFonts: false,
    });
    this.gridBox.addEventListener('pointerover', (event) => this.hovered(event));
    this.gridBox.addEventListener('pointerleave', () => { this.tips.hide(); this.reorderSoon(); });
    this.gridBox.addEventListener('focusout', () => setTimeout(() => this.reorderSoon(), 0));
    this.fitToWidth();
  }

  definition(column, index) {
    // The order it opens with: setting it afterwards would ask for the rows again.
    const order = column.name === this.sortColumn() ? (this.asked.dir === 'desc' ? 'desc' : 'asc') : null;
    const hide = this.config.hidden.includes(column.name);
    const kind = index === 0 ? 'name' : RENDERED.includes(column.kind) ? column.kind : 'text';
    const definition = {
      field: column.name, colId: column.name, headerName: column.heading, sortable: column.sortable, initialSort: order,
      hide, width: this.widths[column.name] || WIDTHS[column.kind] || TEXT, cellRenderer: this.renderer(kind, column),
    };
    if (kind === 'name') return { ...definition, pinned: 'left', minWidth: 140, lockPosition: 'left' };
    if (kind === 'number') return { ...definition, type: 'rightAligned', cellClass: 'number' };
    if (kind === 'rfi') return { ...definition, headerClass: 'icon-header', cellClass: 'icon-cell' };
    if (kind === 'health') return { ...definition, headerClass: 'icon-header', cellClass: 'icon-cell', headerComponent: iconHeader(column) };
    return definition;
  }

  // What is left of the width goes to the name, then to the other columns of text, so that a wide screen is used.
  shared(names) {
    const texts = names.slice(1).filter((name) => this.columns[name].kind === 'text');
    const fixed = names.slice(1).reduce((sum, name) => sum + (WIDTHS[this.columns[name].kind] || TEXT), 0);
    const left = this.gridBox.clientWidth - fixed - 20;
    const name = Math.min(480, Math.max(240, left));
    const text = TEXT + Math.max(0, Math.min(260, Math.floor((left - name) / Math.max(1, texts.length))));
    return Object.fromEntries([[names[0], name], ...texts.map((key) => [key, text])]);
  }

  renderer(kind, column) {
    const table = this;
    return class {
      init(params) {
        this.box = document.createElement('span');
        this.box.className = `cell cell-${kind}`;
        this.refresh(params);
      }
      getGui() { return this.box; }
      refresh(params) {
        if (!params.data) {
          this.box.replaceChildren(h('span', { class: 'skeleton' }));
          return true;
        }
        const value = params.data[column.name];
        if (this.id === params.data.id && this.value === value && typeof value !== 'object' && this.link === table.link(column, params.data)) return true;
        const changed = this.id === params.data.id && this.value !== undefined && this.value !== value;
        this.id = params.data.id;
        this.value = value;
        this.link = table.link(column, params.data);
        this.box.replaceChildren(table.content(kind, column, value, params.data));
        if (changed) flash(this.box);
        return true;
      }
    };
  }

  link(column, row) {
    const pattern = this.config.links[column.name];
    return pattern && pattern.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(row[name] ?? ''));
  }

  content(kind, column, value, row) {
    if (kind === 'health') return withLabel(stateIcon(HEALTH[value] || HEALTH[2], `${column.heading}: ${(HEALTH[value] || HEALTH[2]).word}`), { 'data-monitor': column.name, 'data-customer': row.id });
    const link = this.link(column, row);
    if (kind === 'rfi') {
      const icon = stateIcon(RFI[value] || RFI[1]);
      return link ? h('a', { href: link, class: 'icon-link', title: (RFI[value] || RFI[1]).word }, icon) : icon;
    }
    if (kind === 'console') {
      if (value?.url) return h('a', { class: 'button small', href: value.url, target: '_blank', rel: 'noopener noreferrer', 'aria-label': `Admin Console of ${row.name}` }, 'Admin Console', shape('external'));
      const why = value?.why || 'Not available';
      return h('button', { type: 'button', class: 'button small', 'aria-disabled': 'true', title: why, 'aria-label': `Admin Console of ${row.name}: ${why}`, onclick: (event) => this.tips.say(event.currentTarget, why) }, 'Admin Console');
    }
    let text = value ?? '';
    if (column.titles) text = column.titles[String(value)] ?? text;
    else if (column.kind === 'number') text = number(value);
    else if (column.kind === 'date') text = value ? clock(parseTime(value)) : '–';
    if (link && text) return h('a', { href: link, title: kind === 'name' ? null : 'Read about this' }, String(text));
    return document.createTextNode(String(text || '–'));
  }

  // -- asking for rows ------------------------------------------------------------------------------------------------

  async load(params) {
    const generation = this.generation;
    const address = `/api/ui/tables/${this.config.key}/rows${query(this.asked, { start: String(params.startRow || '') || undefined, end: String(params.endRow) })}`;
    try {
      const known = this.askedEarly?.address === address ? this.askedEarly.answer : null;
      this.askedEarly = null;
      const answer = await (known || fetch(address, { cache: 'no-store' }).then(read));
      if (this.gone || generation !== this.generation) return params.failCallback();
      for (const message of live.epoch === answer.epoch ? live.recent : []) {
        if (message.n > answer.n) for (const row of answer.rows) Object.assign(row, message.rows?.[row.id]);
      }
      const end = params.startRow + answer.rows.length;
      const last = answer.rows.length < params.endRow - params.startRow ? end : this.counts && this.counts.generation === generation ? this.counts.shown : -1;
      this.showProblem(null);
      params.successCallback(answer.rows, last);
      this.firstRowsHere?.();
      if (params.startRow === 0) {
        this.showEmpty(answer.rows.length === 0);
        performance.mark('portal-first-rows');
      }
    } catch (error) {
      if (this.gone) return;
      if (error.status === 401) return live.leave();
      params.failCallback();
      this.firstRowsHere?.();
      this.showProblem(error.message);
    }
  }

  async refreshCounts() {
    const generation = this.generation;
    clearTimeout(this.countTimer);
    try {
      const counts = await fetch(`/api/ui/tables/${this.config.key}/counts${query(this.asked)}`, { cache: 'no-store' }).then(read);
      if (this.gone || generation !== this.generation) return;
      this.counts = { ...counts, generation };
      // After the first rows: empty ones would be drawn in their place and thrown away again.
      await this.firstRows;
      if (this.gone || generation !== this.generation) return;
      if (this.api.getDisplayedRowCount() !== counts.shown) this.api.setRowCount(Math.max(counts.shown, 0), true);
      this.showEmpty(counts.shown === 0);
      this.showCount();
      this.showLetters();
      this.showNote(counts.note);
    } catch {
      if (!this.gone) this.countTimer = setTimeout(() => this.refreshCounts(), 2000);
    }
  }

  countsSoon(after = 400) {
    clearTimeout(this.countTimer);
    this.countTimer = setTimeout(() => this.refreshCounts(), after);
  }

  // -- search, letter, sort and the address -----------------------------------------------------------------------------

  expectRows() {
    this.firstRows = new Promise((resolve) => { this.firstRowsHere = resolve; });
  }

  ask(change, { push = true } = {}) {
    this.asked = Object.fromEntries(Object.entries({ ...this.asked, ...change }).filter(([, value]) => value));
    if (push) {
      this.keepPlace();
      history.pushState({}, '', this.path + query(this.asked));
    }
    this.box.value = this.asked.q || '';
    this.generation++;
    this.counts = null;
    this.expectRows();
    this.moved.clear();
    this.showPill();
    this.showSort();
    this.showLetters();
    this.showEmpty(false);
    this.count.textContent = '…';
    this.api.purgeInfiniteCache();
    this.api.ensureIndexVisible(0, 'top');
    this.refreshCounts();
  }

  readAddress() {
    const params = new URLSearchParams(location.search);
    const asked = {};
    for (const name of ASKED) if (params.get(name)) asked[name] = params.get(name);
    if (asked.letter && !(asked.letter.length === 1 && LETTERS.toLowerCase().includes(asked.letter.toLowerCase()))) delete asked.letter;
    if (asked.sort && !this.columns[asked.sort]?.sortable) delete asked.sort;
    if (query(asked) !== query(this.asked)) {
      this.asked = {};
      this.ask(asked, { push: false });
    }
  }

  sortChosen(event) {
    if (this.settingSort || event.source === 'api') return;
    const sorted = this.api.getColumnState().find((column) => column.sort);
    const sort = sorted?.colId === this.config.columns[0].name ? undefined : sorted?.colId;
    this.ask({ sort, dir: sorted?.sort === 'desc' ? 'desc' : undefined });
  }

  showSort() {
    this.settingSort = true;
    this.api?.applyColumnState({ state: [{ colId: this.sortColumn(), sort: this.asked.dir === 'desc' ? 'desc' : 'asc' }], defaultState: { sort: null } });
    this.settingSort = false;
  }

  sortColumn() { return this.asked.sort || this.config.columns[0].name; }

  // -- what comes in live -----------------------------------------------------------------------------------------------

  patch(message) {
    let reorder = false;
    const here = message.lists && new Set(message.lists[this.config.key] || []);
    const sorted = this.columns[this.sortColumn()];
    for (const [id, cells] of Object.entries(message.rows || {})) {
      const node = this.api.getRowNode(id);
      const joined = message.lists && Object.values(message.lists).some((ids) => ids.includes(Number(id)));
      if (node?.data) {
        const before = node.data[sorted.name];
        node.setData({ ...node.data, ...cells });
        if (sorted.name in cells && cells[sorted.name] !== before) { reorder = true; this.moved.add(id); }
        if (here && joined && !here.has(Number(id))) { reorder = true; this.moved.add(id); node.setData({ ...node.data, gone: true }); }
      } else if (here?.has(Number(id)) || (sorted.needs || []).some((need) => need in cells)) {
        reorder = true;
        this.moved.add(id);
      }
    }
    if (message.lists && !this.isParked) this.countsSoon();
    if (reorder) this.reorderSoon();
  }

  askAgain() {
    if (this.isParked) return void this.moved.add('everything'); // asked for when somebody looks again
    this.moved.clear();
    this.showPill();
    this.readAnew();
    this.countsSoon(0);
  }

  isBusy() {
    return this.gridBox.querySelector('.ag-body')?.matches(':hover') || this.gridBox.querySelector('.ag-body')?.contains(document.activeElement);
  }

  reorderSoon() {
    if (this.gone || this.isParked || !this.moved.size) return;
    if (this.isBusy()) return this.showPill();
    if (this.reorderTimer) return;
    const wait = Math.max(0, (this.reorderedAt || 0) + REORDER_PAUSE - Date.now());
    this.reorderTimer = setTimeout(() => {
      this.reorderTimer = null;
      if (this.isBusy()) this.showPill();
      else this.reorder();
    }, wait);
  }

  reorder() {
    this.reorderedAt = Date.now();
    this.moved.clear();
    this.showPill();
    this.readAnew();
    this.countsSoon();
  }

  readAnew() {
    const focused = this.api.getFocusedCell();
    const id = focused && this.api.getDisplayedRowAtIndex(focused.rowIndex)?.id;
    this.api.refreshInfiniteCache();
    if (id) this.refocus(id, focused);
  }

  // The grid keeps the focus on the row's number; it belongs to the customer, who may have another number in a moment.
  refocus(id, { rowIndex, column }) {
    this.stopRefocusing?.();
    const again = () => {
      const now = this.api.getFocusedCell();
      const moved = this.api.getRowNode(id)?.rowIndex ?? rowIndex;
      if (now?.rowIndex === rowIndex && now.column === column && moved === rowIndex) return;
      const mayMove = now?.rowIndex === rowIndex && now.column === column && this.gridBox.contains(document.activeElement);
      this.stopRefocusing();
      if (mayMove) this.api.setFocusedCell(moved, column);
    };
    const enough = setTimeout(() => this.stopRefocusing(), 5000);
    this.stopRefocusing = () => {
      clearTimeout(enough);
      this.stopRefocusing = null;
      if (!this.gone) this.api.removeEventListener('modelUpdated', again);
    };
    this.api.addEventListener('modelUpdated', again);
  }

  showPill() {
    const count = this.moved.size;
    this.pill.hidden = !count || !this.isBusy();
    if (!this.pill.hidden) this.pill.replaceChildren(shape('up'), `${number(count)} moved`);
    clearTimeout(this.pauseTimer);
    if (count) this.pauseTimer = setTimeout(() => this.reorderSoon(), 500);
  }

  // -- what is shown around ---------------------------------------------------------------------------------------------

  showCount() {
    const { shown, all } = this.counts;
    this.count.textContent = shown === all ? `${number(all)} ${this.config.noun}` : `${number(shown)} of ${number(all)} ${this.config.noun}`;
  }

  showLetters() {
    const current = this.asked.letter || '';
    for (const button of this.letterButtons) {
      const letter = button.dataset.letter;
      const off = letter && letter !== current && this.counts?.letters != null && !this.counts.letters.includes(letter);
      button.classList.toggle('off', Boolean(off));
      button.setAttribute('aria-disabled', String(Boolean(off)));
      button.tabIndex = off ? -1 : 0;
      if (letter === current) button.setAttribute('aria-current', 'true');
      else button.removeAttribute('aria-current');
      button.href = this.path + query({ ...this.asked, letter });
    }
  }

  showNote(note) {
    this.note.hidden = !note;
    if (note) this.note.replaceChildren(h('span', {}, note.text + ' '), note.href ? h('a', { href: note.href }, note.link) : '');
  }

  showProblem(text) {
    this.problem.hidden = !text;
    if (text) this.problem.replaceChildren(h('span', {}, `The list cannot be read: ${text} `), h('button', { type: 'button', class: 'button small', onclick: () => { this.api.purgeInfiniteCache(); this.refreshCounts(); } }, 'Try again'));
  }

  showEmpty(empty) {
    this.empty.hidden = !empty;
    if (!empty) return;
    const { q, letter } = this.asked;
    const narrowed = [q && `“${q}”`, letter && `the letter ${letter.toUpperCase()}`].filter(Boolean).join(' under ');
    this.empty.replaceChildren(
      h('p', { class: 'empty-title' }, narrowed ? `No ${this.config.noun} match ${narrowed}` : `No ${this.config.noun} here yet`),
      h('p', { class: 'quiet' }, narrowed ? `The search looks in ${this.config.searched}. Shorten it, or widen it:` : 'They appear here by themselves.'),
      h('p', { class: 'empty-actions' },
        q && letter && h('button', { type: 'button', class: 'button', onclick: () => this.ask({ letter: '' }) }, 'All letters'),
        narrowed && h('button', { type: 'button', class: 'button', onclick: () => this.ask({ q: '', letter: '' }) }, `Show all ${this.config.noun}`)),
    );
  }

  fitToWidth() {
    if (!this.api || this.gone || !this.gridBox.clientWidth) return;
    const narrow = this.gridBox.clientWidth < NARROW && this.gridBox.clientWidth > 0;
    if (narrow !== this.narrow) {
      this.narrow = narrow;
      const keep = this.config.columns.map((c) => c.name).filter((name) => this.config.narrow?.includes(name));
      if (narrow) {
        this.wide = this.api.getColumnState();
        this.fitting = true;
        this.api.setColumnsVisible(this.config.columns.slice(1).map((c) => c.name).filter((name) => !keep.includes(name)), false);
        this.api.setColumnsVisible(keep, true);
        const others = keep.reduce((sum, name) => sum + (this.columns[name].kind === 'text' ? 132 : 60), 0);
        this.api.applyColumnState({ state: [{ colId: this.config.columns[0].name, width: Math.max(140, this.gridBox.clientWidth - others - 2), pinned: null }, ...keep.map((colId) => ({ colId, width: this.columns[colId].kind === 'text' ? 132 : 60 }))] });
      } else if (this.wide) {
        this.fitting = true;
        this.api.applyColumnState({ state: this.wide.map(({ sort, sortIndex, ...rest }) => rest), applyOrder: true });
      }
      setTimeout(() => { this.fitting = false; }, 50);
    }
    if (!narrow && !this.config.state) this.growName();
  }

  growName() {
    const widths = this.shared(this.api.getAllDisplayedColumns().map((column) => column.getColId()));
    const changed = Object.entries(widths).filter(([name, width]) => this.api.getColumn(name).getActualWidth() !== width);
    if (!changed.length) return;
    this.fitting = true;
    this.api.setColumnWidths(changed.map(([key, newWidth]) => ({ key, newWidth })));
    setTimeout(() => { this.fitting = false; }, 50);
  }

  // -- what is kept -----------------------------------------------------------------------------------------------------

  keepColumns() {
    if (this.fitting || this.narrow || this.settingSort) return;
    clearTimeout(this.keepTimer);
    this.keepTimer = setTimeout(() => {
      const { columnVisibility, columnSizing, columnOrder } = this.api.getState();
      this.config.state = { columnVisibility, columnSizing, columnOrder };
      this.tell('columns', this.config.state);
    }, 600);
  }

  placeKey() { return 'portal place ' + this.path + query(this.asked); }

  keepPlaceSoon() {
    clearTimeout(this.placeTimer);
    this.placeTimer = setTimeout(() => !this.gone && this.keepPlace(), 200);
  }

  keepPlace() {
    if (this.isParked) return; // out of the page there is no place to keep
    try {
      const range = this.api.getVerticalPixelRange();
      sessionStorage.setItem(this.placeKey(), JSON.stringify({ index: Math.floor(range.top / 36), top: range.top, rows: this.api.getDisplayedRowCount() }));
    } catch { /* a full or forbidden storage costs the place, nothing else */ }
  }

  restoredPlace() {
    if (!window.portalCameBack) return null;
    try {
      const place = JSON.parse(sessionStorage.getItem(this.placeKey()));
      return place?.top > 0 ? place : null;
    } catch { return null; }
  }

  restorePlace({ index, top }) {
    this.api.ensureIndexVisible(Math.min(index, this.api.getDisplayedRowCount() - 1), 'top');
    this.gridBox.querySelector('.ag-body-viewport').scrollTop = top;
  }

  // -- details of an icon -------------------------------------------------------------------------------------------------

  hovered(event) {
    const icon = event.target.closest?.('[data-monitor]');
    if (icon !== this.tips.anchor) icon ? this.tips.show(icon) : this.tips.hide();
  }

  cellFocused(event) {
    if (event.rowIndex == null || !event.column) return this.tips.hide();
    requestAnimationFrame(() => {
      const icon = this.gridBox.querySelector(`[row-index="${event.rowIndex}"] [col-id="${event.column.getColId?.() || event.column}"] [data-monitor]`);
      icon ? this.tips.show(icon) : this.tips.hide();
    });
  }

  keyDown({ event, node, column }) {
    if (event.key === 'Escape') this.tips.hide();
    if (event.key !== 'Enter' || !node?.data) return;
    const cell = this.gridBox.querySelector(`[row-index="${node.rowIndex}"] [col-id="${column.getColId()}"] :is(a, button)`);
    if (cell) cell.click();
  }
}

function withLabel(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function flash(element) {
  element.classList.remove('changed');
  requestAnimationFrame(() => element.classList.add('changed'));
}

function closeOutside(details, undo) {
  const close = (event) => { if (details.open && !details.contains(event.target)) details.open = false; };
  const escape = (event) => { if (event.key === 'Escape' && details.open) { details.open = false; details.querySelector('summary').focus(); } };
  document.addEventListener('pointerdown', close);
  details.addEventListener('keydown', escape);
  undo.push(() => document.removeEventListener('pointerdown', close));
}

// A column of icons has an icon for a heading; its name is there for hovering and for screen readers.
function iconHeader(column) {
  return class {
    init(params) {
      this.params = params;
      this.box = h('button', { type: 'button', class: 'icon-head', title: column.heading, 'aria-label': column.heading, tabindex: '-1', onclick: () => params.progressSort(false) });
      this.show = () => {
        const sort = params.column.getSort();
        this.box.replaceChildren(glyph(column.name), sort ? h('span', { class: 'sorted', 'aria-hidden': 'true' }, sort === 'asc' ? '▴' : '▾') : '');
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
