// The live table: AG Grid in its infinite row model, fed by a JSON route and patched in place by the live socket.
// Search, letter and sort live in the address; each change is a step that Back undoes.
import * as AgGrid from 'nicegui-aggrid';
import { carry, h, live, number } from './live.js';
import { Tips, isRefused, read, reasonOf } from './tips.js';
import { Columns } from './table_columns.js';
import { LETTERS, Letters, columnMenu, exportMenu, toolLinks } from './table_menus.js';
import { Place } from './table_place.js';

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

const TOLD = '[data-monitor], [data-tip]'; // what a tip tells more about
const LONGEST = 30000; // ms that an answer may take: what never comes would keep all others from being asked for
const TRY_AGAIN = 3000; // ms until what could not be read is asked for once more
const COUNT_PAUSE = 1500; // ms at least between two countings that nobody asked for
const STOPS = ':is(.ag-row, .ag-header-row)[tabindex="0"], [class*=-viewport]';
const ASKED = ['q', 'letter', 'only', 'sort', 'dir'];
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
    if (root) {
      early = new Table(root, config, () => {}, { address, answer });
      // Once they are painted, the page framework may have the browser for itself (shell.js).
      early.firstRows.then(() => requestAnimationFrame(() => setTimeout(window.portalPainted)));
    }
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
    this.columns = new Columns(this);
    this.place = new Place(this);
    this.counts = null;
    this.generation = 0; // of questions asked: an answer to an older one is not shown
    this.undo = [];
    this.tips = new Tips((name) => this.columns.named[name].heading);
    this.expectRows();
    this.build();
    this.makeGrid();
    this.refreshCounts();
    this.heard = live.recent.at(-1)?.n ?? 0; // what was told before this list was there to hear it
    this.undo.push(
      ...(config.about === 'customers'
        ? [live.on('changes', (message) => this.patch(message)), live.on('again', () => this.askAgain())]
        : [live.news(() => this.askAgain(), config.about)]),
    );
    const onPop = () => !this.isParked && location.pathname === this.path && this.readAddress();
    addEventListener('popstate', onPop);
    this.undo.push(() => removeEventListener('popstate', onPop));
    this.resizing = new ResizeObserver(() => this.columns.fit());
    this.resizing.observe(this.gridBox);
    this.undo.push(() => this.resizing.disconnect());
  }

  park() {
    this.place.keep();
    this.place.rest();
    this.tips.hide();
    clearTimeout(this.countTimer);
    this.isParked = true;
    this.root.remove();
    parked.set(this.config.key, this);
    if (parked.size > MOST_PARKED) {
      const [key, oldest] = parked.entries().next().value;
      parked.delete(key);
      oldest.destroy();
    }
  }

  moveTo(root, tell, top = this.place.viewport.scrollTop) {
    Object.assign(this, { tell, isParked: false });
    carry(this.root, root);
    this.columns.fit();
    this.place.scrollTo(top);
  }

  resume(root, config, tell) {
    this.moveTo(root, tell, this.place.kept()?.top || 0);
    if (query(config.asked) !== query(this.asked)) {
      this.asked = {};
      return this.ask(config.asked, { push: false });
    }
    this.box.value = this.asked.q || '';
    this.showChoice();
    if (this.place.moved.size) this.place.reorder();
    this.refreshCounts();
  }

  destroy() {
    this.gone = true;
    this.undo.forEach((undo) => undo());
    this.place.stopRefocusing?.();
    this.place.rest();
    [this.countTimer, this.again, this.columns.keepTimer].forEach(clearTimeout);
    this.tips.hide();
    this.api?.destroy();
  }

  // -- what is around the grid ----------------------------------------------------------------------------------------

  build() {
    const searching = `Search ${capital(this.config.noun)}`;
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
    this.choice = choiceBox(this.config.choice, (only) => this.ask({ only }));
    this.count = h('p', { class: 'count', role: 'status', 'aria-live': 'polite' }, '\u00a0');
    this.letters = new Letters((letter) => this.ask({ letter }), (letter) => this.address({ ...this.asked, letter }));
    this.problem = h('div', { class: 'notice bad', role: 'alert', hidden: true });
    this.note = h('div', { class: 'notice', hidden: true });
    this.empty = h('div', { class: 'empty', hidden: true });
    this.gridBox = h('div', { class: 'grid', 'data-table': this.config.key });
    this.columnMenu = columnMenu(this);
    this.root.append(
      this.note,
      h('div', { class: 'table-bar' }, form, this.choice, this.count, this.place.pill, h('span', { class: 'grow' }),
        h('div', { class: 'table-tools' }, ...toolLinks(this.config.tools, 'button plain', this), this.columnMenu, this.config.exports && exportMenu(this.config.key, () => query(this.asked)))),
      this.config.letters ? this.letters.box : '', this.problem, h('div', { class: 'grid-frame' }, this.gridBox, this.empty),
    );
    this.showLetters();
    this.showChoice();
  }

  // -- the grid -------------------------------------------------------------------------------------------------------

  makeGrid() {
    const restored = this.place.kept();
    this.api = AgGrid.createGrid(this.gridBox, {
      theme, rowModelType: 'infinite', cacheBlockSize: this.config.block, maxBlocksInCache: 6, cacheOverflowSize: 1,
      infiniteInitialRowCount: restored?.rows || 1, maxConcurrentDatasourceRequests: 2, blockLoadDebounceMillis: 0,
      getRowId: (p) => String(p.data.id), suppressMultiSort: true, ensureDomOrder: true,
      suppressColumnMoveAnimation: true, animateRows: false, suppressDragLeaveHidesColumns: true, rowBuffer: 3,
      enableCellTextSelection: true, columnDefs: this.columns.definitions(),
      defaultColDef: { resizable: true, sortingOrder: ['asc', 'desc'], suppressHeaderMenuButton: true, minWidth: 44 },
      initialState: this.config.state ? { ...this.config.state, partialColumnState: true } : undefined,
      datasource: { getRows: (params) => this.load(params) },
      onSortChanged: (event) => this.sortChosen(event),
      onColumnResized: (e) => e.finished && ['uiColumnResized', 'autosizeColumns'].includes(e.source) && this.columns.keep(),
      onColumnMoved: (e) => e.finished && e.source !== 'api' && this.columns.keep(), onColumnVisible: () => this.columns.keep(),
      onBodyScrollEnd: () => this.place.keepSoon(), onCellKeyDown: (event) => this.keyDown(event),
      tabToNextCell: () => this.letGo(), tabToNextHeader: () => this.letGo(),
      onFirstDataRendered: () => restored && this.place.restore(restored),
      loadThemeGoogleFonts: false,
    });
    this.gridBox.querySelector('[role=grid], [role=treegrid]')?.setAttribute('aria-label', capital(this.config.noun));
    // As long as a scrollbar of its own is not to be seen (nothing to scroll, or out of the page), the grid looks for it a
    // hundred times a second, for ever, and once more so each time that the list is moved. To it they are to be seen.
    for (const bar of this.gridBox.querySelectorAll('.ag-body-vertical-scroll-viewport, .ag-body-horizontal-scroll-viewport')) bar.checkVisibility = () => true;
    this.gridBox.addEventListener('pointerover', (event) => this.hovered(event));
    this.gridBox.addEventListener('pointerleave', () => { this.tips.hide(); this.place.reorderSoon(); });
    this.gridBox.addEventListener('focusin', (event) => this.focused(event.target));
    this.gridBox.addEventListener('focusout', ({ relatedTarget: next }) => {
      if (next && !this.gridBox.contains(next)) this.tips.hide();
      setTimeout(() => this.place.reorderSoon(), 0);
    });
    this.columns.fit();
  }

  // -- asking for rows ------------------------------------------------------------------------------------------------

  async load(params) {
    const generation = this.generation;
    const address = `/api/ui/tables/${this.config.key}/rows${query(this.asked, { start: String(params.startRow || '') || undefined, end: String(params.endRow) })}`;
    try {
      const known = this.askedEarly?.address === address ? this.askedEarly.answer : null;
      this.askedEarly = null;
      const answer = await (known || fetch(address, { cache: 'no-store', signal: AbortSignal.timeout(LONGEST) }).then(read));
      if (this.gone || generation !== this.generation) return params.failCallback();
      if (!live.isWhole(answer.epoch, answer.n)) setTimeout(() => !this.gone && this.askAgain());
      const since = this.since(answer);
      for (const message of since) for (const row of answer.rows) Object.assign(row, message.rows?.[row.id]);
      const end = params.startRow + answer.rows.length;
      const last = answer.rows.length < params.endRow - params.startRow ? end : this.counts && this.counts.generation === generation ? this.counts.shown : -1;
      this.showProblem(null);
      this.columns.measure(answer.rows);
      params.successCallback(answer.rows, last);
      for (const message of since) if (message.n <= this.heard) this.patch(message);
      this.heard = 0; // what is read from now on was asked for later
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
      this.showProblem(reasonOf(error), isRefused(error));
    }
  }

  // What was told after these rows were read.
  since({ epoch, n }) {
    return live.epoch === epoch && this.config.about === 'customers' ? live.recent.filter((message) => message.n > n) : [];
  }

  async refreshCounts() {
    const generation = this.generation;
    const turn = this.countTurn = (this.countTurn || 0) + 1;
    clearTimeout(this.countTimer);
    this.countTimer = null;
    this.countedAt = Date.now();
    try {
      const counts = await fetch(`/api/ui/tables/${this.config.key}/counts${query(this.asked)}`, { cache: 'no-store', signal: AbortSignal.timeout(LONGEST) }).then(read);
      if (this.gone || generation !== this.generation || turn < (this.countShown || 0)) return; // a later one was quicker
      this.countShown = turn;
      this.counts = { ...counts, generation };
      // After the first rows: empty ones would be drawn in their place and thrown away again.
      await this.firstRows;
      if (this.gone || generation !== this.generation) return;
      if (this.api.getDisplayedRowCount() !== counts.shown) this.api.setRowCount(Math.max(counts.shown, 0), true);
      this.showEmpty(counts.shown === 0);
      this.showCount();
      this.showLetters();
      this.showNote(counts.note);
    } catch (error) {
      if (!this.gone && !isRefused(error)) this.countsSoon(2000);
    }
  }

  // Soon after the first change, however many follow; and not again and again while they do.
  countsSoon(after = 400) {
    const due = Math.max(Date.now() + after, (this.countedAt || 0) + (after && COUNT_PAUSE));
    if (this.countTimer && this.countDue <= due) return;
    clearTimeout(this.countTimer);
    this.countDue = due;
    this.countTimer = setTimeout(() => this.refreshCounts(), due - Date.now());
  }

  // -- search, letter, sort and the address -----------------------------------------------------------------------------

  expectRows() {
    this.firstRows = new Promise((resolve) => { this.firstRowsHere = resolve; });
  }

  ask(change, { push = true } = {}) {
    const before = this.address();
    if (push) this.place.keep();
    this.asked = Object.fromEntries(Object.entries({ ...this.asked, ...change }).filter(([, value]) => value));
    if (push && this.address() !== before) history.pushState({}, '', this.address()); // a step that Back undoes
    this.box.value = this.asked.q || '';
    this.showChoice();
    this.generation++;
    this.counts = null;
    this.expectRows();
    this.place.forgetMoves();
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
    if (asked.letter) asked.letter = asked.letter.toLowerCase();
    if (asked.letter && !(asked.letter.length === 1 && LETTERS.toLowerCase().includes(asked.letter))) delete asked.letter;
    if (asked.only && !this.config.choice?.options.some(([value]) => value === asked.only)) delete asked.only;
    if (asked.sort && !this.columns.named[asked.sort]?.sortable) delete asked.sort;
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

  isSortedByName() { return this.sortColumn() === this.config.columns[0].name; }

  address(asked = this.asked) { return this.path + query(asked); }

  // -- what comes in live -----------------------------------------------------------------------------------------------

  patch(message) {
    let reorder = false;
    const here = message.lists && new Set(message.lists[this.config.key] || []);
    const sorted = this.columns.named[this.sortColumn()];
    for (const [id, cells] of Object.entries(message.rows || {})) {
      const node = this.api.getRowNode(id);
      const joined = message.lists && Object.values(message.lists).some((ids) => ids.includes(Number(id)));
      if (node?.data) {
        const before = node.data[sorted.name];
        this.renew(node, cells);
        if (sorted.name in cells && cells[sorted.name] !== before) { reorder = true; this.place.moved.add(id); }
        if (here?.has(Number(id)) && node.data.gone) this.renew(node, { gone: false }); // and is back
        if (here && joined && !here.has(Number(id))) { reorder = true; this.place.moved.add(id); this.renew(node, { gone: true }); }
      } else if (here?.has(Number(id)) || (sorted.needs || []).some((need) => need in cells)) {
        reorder = true;
        this.place.moved.add(id);
      }
    }
    if (message.lists && !this.isParked) this.countsSoon();
    if (reorder) this.place.reorderSoon();
  }

  // Only the cells that say something else are drawn anew: focus and selection in the others stay.
  renew(node, cells) {
    node.updateData({ ...node.data, ...cells });
    this.api.refreshCells({ rowNodes: [node], force: true }); // a link may follow from another field
  }

  // Much has changed, or something was missed. The order follows the same rule as after a single change.
  askAgain() {
    if (this.isParked) return void this.place.moved.add('everything'); // asked for when somebody looks again
    this.countsSoon(0);
    if (this.place.mayReorder()) return this.place.reorder();
    this.place.reorderSoon();
    this.renewHeld();
  }

  // What the rows say now, without any of them moving.
  async renewHeld() {
    if (this.renewing) return void (this.renewAgain = true);
    this.renewing = true;
    this.renewAgain = false;
    let pause = 250;
    const held = [];
    this.api.forEachNode((node) => node.data && held.push(node.data.id));
    try {
      for (let start = 0; start < held.length && !this.gone; start += 200) {
        const ids = held.slice(start, start + 200);
        const answer = await fetch(`/api/ui/tables/${this.config.key}/rows?ids=${ids}`, { cache: 'no-store', signal: AbortSignal.timeout(LONGEST) }).then(read);
        const found = Object.fromEntries(answer.rows.map((row) => [row.id, row]));
        const since = this.since(answer);
        if (!live.isWhole(answer.epoch, answer.n)) this.renewAgain = true;
        for (const id of this.gone ? [] : ids) {
          const node = this.api.getRowNode(String(id));
          if (node?.data) this.renew(node, Object.assign(found[id] || { gone: true }, ...since.map(({ rows }) => rows?.[id])));
        }
      }
    } catch (error) {
      if (error.status === 401) return live.leave();
      pause = TRY_AGAIN;
      this.renewAgain = !isRefused(error);
      if (!this.renewAgain) this.showProblem(error.message, true);
    } finally {
      this.renewing = false;
    }
    if (this.renewAgain && !this.gone) setTimeout(() => !this.gone && this.renewHeld(), pause);
  }

  // -- what is shown around ---------------------------------------------------------------------------------------------

  nouns(count) { return count === 1 ? this.config.noun.replace(/s$/, '') : this.config.noun; }

  showCount() {
    const { shown, all } = this.counts;
    this.count.textContent = `${shown === all ? '' : `${number(shown)} of `}${number(all)} ${this.nouns(all)}`;
  }

  showChoice() { if (this.choice) this.choice.lastChild.value = this.asked.only || ''; }

  showLetters() { this.letters.show(this.asked.letter || '', this.counts?.letters); }

  showNote(note) {
    this.note.hidden = !note;
    if (note) this.note.replaceChildren(h('span', {}, note.text + ' '), note.href ? h('a', { href: note.href }, note.link) : '');
  }

  // Said once, however often it fails: whoever is about to press the button keeps it. What is refused is asked for again
  // when somebody presses it, or when something is told that may have changed it.
  showProblem(text, isForGood = false) {
    const known = !this.problem.hidden && this.problem.dataset.said === text;
    this.problem.hidden = !text;
    clearTimeout(this.again);
    if (text && !isForGood) this.tryAgainSoon();
    if (!text || known) return;
    this.problem.dataset.said = text;
    this.problem.replaceChildren(h('span', {}, `The list cannot be read: ${text} `), h('button', { type: 'button', class: 'button small', onclick: () => { this.api.purgeInfiniteCache(); this.refreshCounts(); } }, 'Try again'));
  }

  tryAgainSoon() {
    clearTimeout(this.again);
    this.again = setTimeout(() => {
      if (this.gone || this.problem.hidden) return;
      if (this.isParked || live.state !== 'live') return this.tryAgainSoon();
      this.api.refreshInfiniteCache();
      this.refreshCounts();
    }, TRY_AGAIN);
  }

  showEmpty(empty) {
    this.empty.hidden = !empty;
    if (!empty) return;
    const { q, letter, only } = this.asked;
    const { noun, searched, beginning, tools, choice, explained } = this.config;
    const chosen = only && choice?.options.find(([value]) => value === only)?.[1];
    const words = [q && `“${q}”`, letter && `the letter ${letter.toUpperCase()}`].filter(Boolean).join(' under ');
    const narrowed = words || chosen;
    const wider = (text, change) => h('button', { type: 'button', class: 'button', onclick: () => {
      this.ask(change);
      this.box.focus(); // the button goes away with what it stands in
    } }, text);
    this.empty.replaceChildren(
      h('p', { class: 'empty-title' }, words ? `No ${noun} match ${words}${chosen ? ` under “${chosen}”` : ''}` : chosen ? `No ${noun} under “${chosen}”` : `No ${noun} here yet`),
      h('p', { class: 'quiet' }, words ? `The search looks in ${searched}. Shorten it, or widen it:` : chosen ? '' : explained || 'Whoever is added or imported is listed here at once.'),
      h('p', { class: 'empty-actions' },
        q && letter && wider('All letters', { letter: '' }),
        words && wider(`Show all ${noun}`, { q: '', letter: '' }),
        chosen && wider(`Show ${lower(choice.options[0][1])}`, { q: '', letter: '', only: '' }),
        ...(narrowed ? [] : toolLinks(tools, 'button')),
        !narrowed && beginning && h('a', { class: 'button', href: beginning.href, ...(beginning.href.startsWith('/') ? {} : { target: '_blank', rel: 'noopener' }) }, beginning.text)),
    );
  }

  // -- what hovering and focus tell -----------------------------------------------------------------------------------

  hovered(event) {
    const told = event.target.closest?.(TOLD);
    if (told !== this.tips.anchor) told ? this.explain(told) : this.tips.hide();
    const cut = event.target.closest?.('.cell');
    if (cut && !told && cut.scrollWidth > cut.clientWidth) (cut.querySelector('a') || cut).title = cut.textContent;
  }

  focused(element) {
    const held = element.closest('.ag-cell, .ag-header-cell');
    this.told(held, held);
  }

  // Tell what there is to tell about something in this box; `held` has the focus.
  told(box, held) {
    const told = box?.querySelector(TOLD);
    told ? this.explain(told, held) : this.tips.hide();
  }

  explain(told, held = told) {
    if (told.dataset.tip) this.tips.say(told, told.dataset.tip, held);
    else this.tips.show(told, held);
  }

  // Arrows walk over headings and cells; Tab leaves them all. Each row would be a stop for it, and what scrolls: not while
  // the browser looks for the next one.
  letGo() {
    const stops = [...this.gridBox.querySelectorAll(STOPS)].map((stop) => [stop, stop.getAttribute('tabindex')]);
    for (const [stop] of stops) stop.tabIndex = -1;
    setTimeout(() => {
      for (const [stop, before] of stops) before == null ? stop.removeAttribute('tabindex') : stop.setAttribute('tabindex', before);
    }, 0);
    return false;
  }

  keyDown({ event, node, column }) {
    if (event.key !== 'Enter' || !node?.data) return;
    const cell = this.gridBox.querySelector(`[row-index="${node.rowIndex}"] [col-id="${column.getColId()}"] :is(a, button)`);
    if (cell) cell.click();
  }
}

const lower = (text) => text[0].toLowerCase() + text.slice(1);

// A choice beside the search that narrows the list.
function choiceBox(choice, choose) {
  if (!choice) return '';
  const select = h('select', { 'aria-label': choice.heading, onchange: () => choose(select.value) }, ...choice.options.map(([value, title]) => h('option', { value }, title)));
  return h('label', { class: 'table-choice' }, h('span', { class: 'quiet' }, choice.heading), select);
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
