// The board of Connect: everybody who is in it, in a column for each step. Columns keep their order, whoever is in them;
// one that is empty is narrow. All cards are known here, so filters and search answer at once; they are drawn as far as
// somebody has scrolled. What is shown is in the address.
import { carry, h, inZone, live, number as spelled, parseTime } from './live.js';
import { shape as drawn } from './icons.js';
import { isRefused, read, reasonOf } from './tips.js';
import { lookAfter } from './looking_after.js';

const ADDRESS = '/api/ui/connect';
const ASKED = ['q', 'owner', 'who', 'state', 'column'];
const SENT = ['q', 'owner', 'who', 'state']; // what the server narrows by where it cannot send everybody
const OWNERS = { vendor: ['cloud', 'Vendor'], partner: ['person', 'You (the MSP)'], customer: ['building', 'Customer'] };
const STATES = { overdue: 'Overdue', blocked: 'Blocked', held: 'On hold' };
const WHO = { mine: 'Me', nobody: 'Nobody' };
const DAY = 86400000;
const FIRST = 6; // cards of a column that are drawn before anything is painted; on a large screen more
const CHUNK = 12;
const CARD = 152; // px, about what one takes
const COLUMN = 296; // px, with what is between two; as in portal.css
const NARROW = 56;
const FIXED = { waiting: 'Waiting for RFI', rfi_received: 'RFI received', ready: 'Ready to complete', on_hold: 'On hold' };
const EMPTY_FOR = 60000; // ms until a column that has become empty makes room, if nobody is at the board
const HAND = 6000; // ms that a pointer may rest on a column until nobody is taken to be looking for something there
const PATIENCE = 30000; // ms that an answer may take
const RELOAD_PAUSE = 2000;
const TRY_AGAIN = 5000; // ms until what could not be read is asked for once more
const DRAW_PAUSE = 200; // ms at least between two drawings that nobody asked for, and twice what the last one took

let early = null;
let parked = null; // the board that was left: it goes on being told of what changes, so that coming back shows it at once

export function begin(config, address) {
  const answer = fetch(address, { signal: AbortSignal.timeout(PATIENCE) }).then(read);
  answer.catch(() => {}); // told where it is used
  const start = () => {
    const root = document.getElementById('early-table');
    if (root) {
      early = new Board(root, config, answer);
      early.ready.then(() => requestAnimationFrame(() => setTimeout(window.portalPainted)));
    } else if (document.readyState === 'loading') requestAnimationFrame(start);
  };
  start();
}

export function mount(root, config) {
  const known = early || parked;
  const board = known || new Board(root, config);
  if (known) board.moveTo(root, early ? null : config.asked);
  early = parked = null;
  document.getElementById('early')?.remove();
  return { destroy: () => { board.park(); parked = board; } };
}

// A hundred cards are drawn at once, with three pictures each: a copy costs less than another one.
const pictures = {};
const shape = (name) => (pictures[name] ||= drawn(name)).cloneNode(true);
const number = (value) => (value < 1000 ? String(value) : spelled(value));
const fold = (text) => text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
const query = (asked, names = ASKED) => {
  const params = new URLSearchParams();
  for (const name of names) if (asked[name]) params.set(name, asked[name]);
  const text = params.toString();
  return text ? `?${text}` : '';
};

class Board {
  constructor(root, config, answer = null) {
    this.config = config;
    this.asked = { ...config.asked };
    this.rows = new Map();
    this.people = {};
    this.titles = new Map(); // of the steps of the templates, in their order
    this.keys = new Set(Object.keys(FIXED)); // of all columns
    this.shownIn = new Map(); // in which column a card is shown
    this.cards = new Map(); // the elements of those that are drawn
    this.lists = new Map(); // the columns that are shown
    this.current = null; // the card that the focus was in last
    this.stops = new Set(); // what Tab comes to: one card of each column, and the button of that card
    this.hand = { key: null, at: 0 };
    this.wanted = new Set(); // customers that have come into Connect and are not known here yet
    this.drawnAt = -Infinity;
    this.drawTook = 0;
    this.ready = new Promise((done) => { this.isReady = done; });
    this.build(root);
    addEventListener('popstate', () => !this.isParked && location.pathname === this.config.path && this.readAddress());
    new ResizeObserver(() => setTimeout(() => this.fillSoon(), 100)).observe(this.columns);
    live.on('changes', (message) => this.patch(message));
    live.news(() => this.loadSoon(), 'users', 'settings');
    setInterval(() => this.arrange(), 30000);
    setInterval(() => this.pending && this.arrange(), 500);
    this.outline(config.outline);
    this.load(answer);
  }

  park() {
    this.left = { address: this.address(), left: this.columns.scrollLeft, tops: this.tops() };
    clearTimeout(this.typing);
    this.wasTyping = false;
    this.hand = { key: null, at: 0 };
    this.isParked = true;
    this.root.remove();
    for (const list of this.lists.values()) if (this.isLoaded && !this.left.tops[list.key]) this.show(list, Math.min(list.drawn, FIRST)); // the rest is drawn when it is back
  }

  // To its place in the page, from the picture of the frame or from where it was left.
  moveTo(root, asked) {
    const before = this.left || { left: this.columns.scrollLeft, tops: this.tops() };
    const sent = query(this.asked, SENT);
    this.isParked = false;
    this.left = null;
    carry(this.root, root);
    if (asked) {
      this.asked = { ...asked };
      this.showAsked();
      if (this.missed) this.loadSoon();
      if (this.isPart && query(this.asked, SENT) !== sent) this.load();
      this.arrange({ anew: this.address() !== before.address });
      if (!window.portalCameBack || this.address() !== before.address) return this.scrollTo(0, Object.fromEntries([...this.lists.keys()].map((key) => [key, 0])));
    }
    this.scrollTo(before.left, before.tops);
  }

  // -- what is around the columns -------------------------------------------------------------------------------------

  build(root) {
    const choice = (name, label, options) => {
      const select = h('select', { name, 'aria-label': label, onchange: () => this.ask({ [name]: select.value }) }, ...options.map(([value, title]) => h('option', { value }, title)));
      return [select, h('label', { class: 'table-choice' }, h('span', { class: 'quiet' }, label), select)];
    };
    this.box = h('input', { type: 'search', id: 'search', name: 'q', autocomplete: 'off', maxlength: 200, spellcheck: 'false', placeholder: 'Search customers', 'aria-label': 'Search customers in Connect', title: 'Part of a name, an account code or a domain' });
    this.box.addEventListener('input', () => { clearTimeout(this.typing); this.typing = setTimeout(() => this.ask({ q: this.box.value.trim() }, { push: !this.wasTyping, typed: true }), 150); });
    this.box.addEventListener('blur', () => { this.wasTyping = false; });
    const search = h('form', { role: 'search', class: 'search', onsubmit: (event) => { event.preventDefault(); clearTimeout(this.typing); this.ask({ q: this.box.value.trim() }); } }, this.box);
    const [owner, ownerBox] = choice('owner', 'Whose turn', [['', 'Anybody’s'], ...Object.entries(OWNERS).map(([value, [, title]]) => [value, title])]);
    const [who, whoBox] = choice('who', 'Looked after by', [['', 'Anybody'], ...Object.entries(WHO)]);
    this.states = Object.fromEntries(Object.entries(STATES).map(([name, title]) => [name, h('button', { type: 'button', class: 'choice', 'aria-pressed': 'false', onclick: () => this.ask({ state: this.asked.state === name ? '' : name }) }, title, h('b', {}, '\u2007'))]));
    this.picker = h('select', { class: 'board-picker', 'aria-label': 'Column', onchange: () => this.ask({ column: this.picker.value }) });
    Object.assign(this, { owner, who });
    this.count = h('p', { class: 'count', role: 'status', 'aria-live': 'polite' }, 'Loading');
    this.pill = h('button', { type: 'button', class: 'pill', hidden: true, onclick: () => { this.hand.at = 0; this.arrange(); } });
    this.note = h('div', { class: 'notice', hidden: true });
    this.problem = h('div', { class: 'notice bad', role: 'alert', hidden: true });
    this.columns = h('div', { class: 'board-columns', role: 'group', 'aria-label': 'Steps of Connect; arrow keys go from card to card' });
    this.empty = h('div', { class: 'board-empty', hidden: true });
    this.root = h('div', { class: 'board-island' },
      h('div', { class: 'table-bar board-bar' }, search, h('div', { class: 'choices', role: 'group', 'aria-label': 'Show only' }, ...Object.values(this.states)), ownerBox, whoBox, this.count, this.pill),
      this.note, this.problem, this.picker, this.columns, this.empty);
    root.append(this.root);
    this.columns.addEventListener('keydown', (event) => this.keyDown(event));
    this.columns.addEventListener('focusin', ({ target }) => this.focused(target.closest('.board-card')));
    this.columns.addEventListener('scroll', () => this.fillSoon(), { capture: true, passive: true });
    this.columns.addEventListener('pointermove', (event) => {
      if (event.pointerType === 'mouse') this.hand = { key: event.target.closest?.('.board-column')?.dataset.column || null, at: Date.now() };
    });
    this.columns.addEventListener('pointerleave', () => { this.hand = { key: null, at: 0 }; });
    this.showAsked();
  }

  showAsked() {
    if (document.activeElement !== this.box) this.box.value = this.asked.q || '';
    this.owner.value = this.asked.owner || '';
    this.who.value = this.asked.who || '';
    for (const [name, button] of Object.entries(this.states)) button.setAttribute('aria-pressed', String(this.asked.state === name));
  }

  // -- the address ----------------------------------------------------------------------------------------------------

  address(asked = this.asked) { return this.config.path + query(asked); }

  // Letters typed one after the other are one step that Back undoes.
  ask(change, { push = true, typed = false } = {}) {
    const [before, sent] = [this.address(), query(this.asked, SENT)];
    this.asked = Object.fromEntries(Object.entries({ ...this.asked, ...change }).filter(([, value]) => value));
    if (this.address() !== before) history[push ? 'pushState' : 'replaceState']({}, '', this.address());
    if (typed) this.wasTyping = true;
    this.changed(sent);
  }

  readAddress() {
    const [before, sent] = [this.address(), query(this.asked, SENT)];
    const params = new URLSearchParams(location.search);
    const allowed = { owner: OWNERS, who: WHO, state: STATES };
    this.asked = {};
    for (const name of ASKED) if (params.get(name) && (!allowed[name] || Object.hasOwn(allowed[name], params.get(name)))) this.asked[name] = params.get(name);
    if (this.address() !== before) this.changed(sent);
  }

  changed(sent) {
    this.showAsked();
    if (this.isPart && query(this.asked, SENT) !== sent) this.load();
    this.arrange({ anew: true });
  }

  // -- asking for cards -----------------------------------------------------------------------------------------------

  loadSoon() {
    if (this.isParked) return void (this.missed = true); // asked for when somebody looks again
    if (this.loadTimer) return;
    this.loadTimer = setTimeout(() => { this.loadTimer = null; this.load(); }, Math.max(0, (this.loadedAt || 0) + RELOAD_PAUSE - Date.now()));
  }

  async load(asked = null) {
    if (this.loading) return void (this.loadAgain = true);
    this.loading = true;
    this.loadAgain = this.missed = false;
    this.loadedAt = Date.now();
    clearTimeout(this.tryAgain);
    if (!this.isLoaded) this.count.textContent = 'Loading';
    try {
      const answer = await (asked || fetch(ADDRESS + (this.isPart ? query(this.asked, SENT) : ''), { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) }).then(read));
      this.problem.hidden = true;
      this.take(answer, { whole: true });
      if (!live.isWhole(answer.epoch, answer.n)) this.loadSoon();
      const first = !this.isLoaded;
      this.isLoaded = true;
      this.arrange({ anew: first });
      if (first && this.isPart && query(this.asked, SENT)) this.loadAgain = true;
      this.isReady();
      performance.mark('portal-first-rows');
    } catch (error) {
      if (error.status === 401) return live.leave();
      this.isReady();
      if (!this.isLoaded) this.isNotThere();
      this.tell(`The board cannot be read: ${reasonOf(error)}`, h('button', { type: 'button', class: 'button small', onclick: () => this.load() }, 'Try again'));
      if (!isRefused(error)) this.tryAgainSoon();
    } finally {
      this.loading = false;
    }
    if (this.loadAgain) this.loadSoon();
  }

  tryAgainSoon() {
    clearTimeout(this.tryAgain);
    this.tryAgain = setTimeout(() => (live.state === 'live' ? this.loadSoon() : this.tryAgainSoon()), TRY_AGAIN);
  }

  // Said once, however often it fails: whoever is about to press the button keeps it.
  tell(text, ...more) {
    if (this.problem.hidden || this.problem.firstChild?.textContent !== `${text} `) this.problem.replaceChildren(h('span', {}, `${text} `), ...more);
    this.problem.hidden = false;
  }

  take({ names, rows, people, order, all, n, epoch }, { whole }) {
    const before = this.rows;
    if (whole) {
      this.rows = new Map();
      this.isPart = all > rows.length || (this.isPart && SENT.some((name) => this.asked[name]));
      this.all = all;
    }
    Object.assign(this.people, people);
    this.titles = new Map(order);
    this.order = [...this.titles.keys()];
    for (const key of this.order) if (key !== 'rfi') this.keys.add(key); // who is there is in one of the first two
    for (const values of rows) {
      const row = {};
      for (let i = 0; i < names.length; i++) row[names[i]] = values[i];
      row.live = before.get(row.id)?.live || 0;
      this.rows.set(row.id, worked(row));
    }
    for (const message of live.epoch === epoch ? live.recent : []) if (message.n > n && message.rows) this.apply(message);
  }

  // Customers that have come into Connect: together, and one question at a time.
  async loadIds() {
    const ids = [...this.wanted].slice(0, 200);
    this.wanted = new Set([...this.wanted].slice(200));
    this.loadingIds = true;
    try {
      const answer = await fetch(`${ADDRESS}?ids=${ids}`, { cache: 'no-store', signal: AbortSignal.timeout(15000) }).then(read);
      this.take(answer, { whole: false });
      if (!live.isWhole(answer.epoch, answer.n)) this.loadSoon();
      for (const id of ids) if (this.rows.has(id)) this.rows.get(id).live++;
      this.arrangeSoon();
    } catch (error) {
      if (error.status === 401) return live.leave();
      this.loadSoon();
    } finally {
      this.loadingIds = false;
    }
    this.wantIds();
  }

  // Soon after the first of them, whatever else is told meanwhile.
  wantIds() {
    if (this.wanted.size && !this.loadingIds) this.idsTimer ||= setTimeout(() => { this.idsTimer = null; this.loadIds(); }, 60);
  }

  // -- what comes in live ---------------------------------------------------------------------------------------------

  patch(message) {
    if (this.isLoaded && this.apply(message)) this.arrangeSoon();
  }

  // What is told is known at once and drawn at once, but where much is told, only as often as leaves the browser most of
  // its time: a board that is drawn anew for each of fifty changes a second falls behind them.
  arrangeSoon() {
    if (this.isParked || this.drawTimer) return;
    const wait = this.drawnAt + Math.max(DRAW_PAUSE, 2 * this.drawTook) - performance.now();
    if (wait <= 0) this.arrange();
    else this.drawTimer = setTimeout(() => this.arrange(), wait);
  }

  apply({ rows = {}, lists }) {
    let something = false;
    for (const [key, cells] of Object.entries(rows)) {
      const id = Number(key);
      const row = this.rows.get(id);
      const listed = 'listing' in cells ? isIn(cells) : cells.connect_owner || lists && (lists.waiting?.includes(id) || lists['in-progress']?.includes(id));
      if (row) {
        const told = Object.keys(cells).filter((name) => name in row && cells[name] !== row[name]);
        if (!told.length) continue;
        for (const name of told) row[name] = cells[name];
        row.live++;
        row.closed = !isIn(row);
        worked(row);
        something = true;
        if (['connect_person_id', 'responsible_id'].some((name) => row[name] != null && !this.people[row[name]])) this.wanted.add(id);
      } else if (listed) this.wanted.add(id);
    }
    this.wantIds();
    return something;
  }

  // -- which card is where --------------------------------------------------------------------------------------------

  holds(row) {
    const { owner, who, state } = this.asked;
    if (this.words && !row.searched.includes(this.words)) return false;
    if (owner && row.connect_owner !== owner) return false;
    if (state && !row.is[state]) return false;
    if (who === 'mine') return row.connect_person_id === this.config.me || row.responsible_id === this.config.me;
    return who !== 'nobody' || !this.people[row.connect_person_id]?.[1];
  }

  isFrozen(key) { return key !== null && key !== undefined && this.hand.key === key && Date.now() - this.hand.at < HAND; }

  // Work out what is shown where, and draw it. `anew` is because somebody asked for something else; otherwise nothing
  // moves in a column that a pointer is in.
  arrange({ anew = false } = {}) {
    clearTimeout(this.drawTimer);
    this.drawTimer = null;
    if (!this.isLoaded || this.isParked) return;
    const began = performance.now();
    this.isOutline(false);
    const now = live.now();
    this.words = this.asked.q ? fold(this.asked.q) : '';
    const counts = { overdue: 0, blocked: 0, held: 0 };
    const groups = new Map();
    let all = 0;
    let shown = 0;
    let pending = 0;
    for (const [id, row] of this.rows) {
      judge(row, now);
      if (!row.closed) {
        all++;
        for (const name of Object.keys(counts)) if (row.is[name]) counts[name]++;
      }
      const before = this.shownIn.get(id);
      let to = row.closed || !this.holds(row) ? null : columnOf(row);
      if (to !== null) shown++;
      if (!anew && to !== (before ?? null) && (this.isFrozen(before) || this.isFrozen(to))) {
        pending++;
        to = before ?? null;
        row.waits = true;
      } else row.waits = false;
      if (row.closed && !row.waits) this.rows.delete(id);
      if (to === null) { this.shownIn.delete(id); continue; }
      this.shownIn.set(id, to);
      if (!groups.has(to)) groups.set(to, []);
      groups.get(to).push(row);
    }
    for (const id of [...this.shownIn.keys()]) if (!this.rows.has(id)) this.shownIn.delete(id);
    this.pending = pending;
    this.draw(groups, anew);
    this.showCounts(all, shown, counts);
    this.drawnAt = performance.now();
    this.drawTook = this.drawnAt - began;
    requestAnimationFrame(() => setTimeout(() => { this.drawTook = performance.now() - began; })); // and until it is painted
  }

  // While the cards are being read: the columns as they will be, with something in the shape of a card for each of the
  // first. Whoever listens or uses the keyboard meets none of it, only that the board is loading.
  outline({ order = [], places = [] } = {}) {
    if (this.isLoaded || !places.length) return;
    this.titles = new Map(order);
    this.order = [...this.titles.keys()];
    for (const key of this.order) if (key !== 'rfi') this.keys.add(key);
    const groups = new Map();
    for (const [listing, key, status, count] of places) {
      const row = { listing, connect_key: key, connect_status: status, held_at: key === 'on_hold' ? '' : null };
      const at = columnOf(row);
      this.keys.add(at);
      const group = groups.get(at) || { rows: [], count: 0 };
      groups.set(at, { rows: [...group.rows, row], count: group.count + count });
    }
    const most = Math.max(FIRST, Math.ceil(innerHeight / CARD));
    const keys = this.inOrder();
    for (const key of keys) {
      const { rows, count } = groups.get(key) || { rows: [], count: 0 };
      const list = this.column(key);
      list.order = Array(count).fill(null);
      list.name(this.titleOf(key, rows), null, 0);
      this.setWidth(list, true);
      list.body.append(...list.order.slice(0, most).map(() => h('li', { class: 'board-coming' }, ...['', ' small', ' small', ' small', ' small'].map((size) => h('span', { class: `board-bone${size}` }, h('span', { class: 'skeleton' }))))));
      this.columns.append(list.box);
    }
    this.pick(keys);
    this.isOutline(true);
  }

  isOutline(yes) {
    for (const part of [this.columns, this.picker]) {
      part.inert = yes;
      if (yes) part.setAttribute('aria-hidden', 'true');
      else part.removeAttribute('aria-hidden');
    }
  }

  // What could not be read is not shown as something that is on its way, and not as empty.
  isNotThere() {
    this.count.textContent = '\u00a0';
    this.columns.hidden = this.picker.hidden = true;
  }

  inOrder() { return [...this.keys].sort((a, b) => this.place(a) - this.place(b) || a.localeCompare(b)); }

  draw(groups, anew) {
    const focused = document.activeElement?.closest?.('.board-card')?.dataset.id;
    const part = document.activeElement?.dataset?.part;
    for (const key of groups.keys()) this.keys.add(key);
    const keys = this.inOrder();
    const held = this.held();
    const heldAt = this.leftOf(held, keys);
    // Asked once and before anything is changed: an answer in between would cost another layout of everything.
    const right = innerWidth + this.columns.scrollLeft;
    const most = Math.max(FIRST, Math.ceil(innerHeight / CARD));
    let left = 0;
    keys.forEach((key, index) => {
      const rows = groups.get(key) || [];
      const list = this.lists.get(key) || this.column(key);
      if (anew) list.drawn = 0;
      const before = new Map(list.order.map((id, place) => [id, place]));
      if (!anew && this.isFrozen(key) && list.order.length) rows.sort((a, b) => (before.get(a.id) ?? 1e9) - (before.get(b.id) ?? 1e9));
      else rows.sort((a, b) => a.rank - b.rank || a.since - b.since || a.id - b.id);
      list.order = rows.map(({ id }) => id);
      list.name(this.titleOf(key, rows), rows.length, rows.filter((row) => row.is.overdue).length);
      if (this.columns.children[index] !== list.box) this.columns.insertBefore(list.box, this.columns.children[index] || null);
      this.setWidth(list, anew);
      const kept = focused ? list.order.indexOf(Number(focused)) + 1 : 0; // wherever it goes, the focus goes with it
      this.show(list, Math.max(list.drawn, kept, left < right || key === this.asked.column ? most : 0));
      left += widthOf(list);
    });
    const moved = this.leftOf(held, keys) - heldAt;
    if (held && moved && !anew) this.columns.scrollLeft += moved; // what somebody points at stays under their hand
    if (anew) for (const { body } of this.lists.values()) body.scrollTop = 0;
    if (anew) this.picked = null;
    const some = keys.filter((key) => this.lists.get(key).order.length);
    this.pick(SENT.some((name) => this.asked[name]) && some.length ? some : keys);
    if (focused) this.refocus(Number(focused), part);
    this.setStops();
    for (const [id, card] of this.cards) if (!card.isConnected) this.cards.delete(id);
    this.fillTimer ||= setTimeout(() => { this.fillTimer = null; this.fillSoon(); }, 100); // what is in view is there
  }

  // The column that somebody points at, or is in with the keyboard.
  held() {
    const key = Date.now() - this.hand.at < HAND ? this.hand.key : null;
    return key || document.activeElement?.closest?.('.board-column')?.dataset.column || null;
  }

  leftOf(key, keys) {
    let left = 0;
    for (const other of keys) if (other === key) break; else left += widthOf(this.lists.get(other));
    return left;
  }

  // One that is empty is narrow. If it has become so before somebody's eyes, it waits until they look for something else
  // or are gone: columns that move are hard to find again.
  setWidth(list, anew) {
    const isEmpty = !list.order.length;
    const isFirst = list.emptySince === undefined;
    if (!isEmpty) list.emptySince = null;
    else list.emptySince ??= performance.now();
    const isOld = () => performance.now() - list.emptySince > EMPTY_FOR && !this.held();
    list.isNarrow = isEmpty && (list.isNarrow || isFirst || anew || isOld());
    list.box.classList.toggle('is-narrow', list.isNarrow);
    list.body.hidden = isEmpty;
    list.none.hidden = !isEmpty;
  }

  // The title of a step is what most of those at it call it: a template may have been edited meanwhile.
  titleOf(key, rows) {
    if (FIXED[key]) return FIXED[key];
    const counted = {};
    for (const row of rows) if (columnOf(row) === key) counted[row.connect_status] = (counted[row.connect_status] || 0) + 1;
    return Object.entries(counted).sort((a, b) => b[1] - a[1])[0]?.[0] || this.titles.get(key) || this.lists.get(key)?.called || key;
  }

  place(key) {
    if (key === 'waiting') return -2;
    if (key === 'rfi_received') return -1;
    if (key === 'ready') return 1000;
    if (key === 'on_hold') return 1001;
    const known = this.order.indexOf(key);
    return known < 0 ? 900 : known;
  }

  column(key) {
    const id = `board-${key}`;
    const title = h('span', {});
    const count = h('span', { class: 'board-count' });
    const late = h('span', { class: 'board-late', hidden: true });
    const body = h('ul', { class: 'board-cards', 'aria-labelledby': id });
    const box = h('section', { class: 'board-column', 'data-column': key, 'aria-labelledby': id }, h('h2', { id, class: 'board-head' }, title, ' ', count, ' ', late), body);
    const rest = h('li', { class: 'board-rest', 'aria-hidden': 'true' });
    const none = h('p', { class: 'board-none quiet small', hidden: true }, 'Nobody');
    box.append(none);
    const list = { key, box, body, rest, none, order: [], drawn: 0, name: (text, all, overdue) => {
      const said = JSON.stringify([text, all, overdue]);
      if (list.said === said) return;
      list.said = said;
      if (title.textContent !== text) title.textContent = text;
      count.replaceChildren(...(all === null ? [] : [number(all), h('span', { class: 'sr-only' }, all === 1 ? ' customer' : ' customers')]));
      late.hidden = !overdue;
      late.title = `${number(overdue)} overdue`;
      late.replaceChildren(shape('clock'), number(overdue), h('span', { class: 'sr-only' }, ' overdue'));
      list.title = all === null ? text : `${text} (${number(all)})`;
      list.called = text;
    } };
    this.lists.set(key, list);
    return list;
  }

  // So many cards of a column, in their order; those that are there already stay the elements they are.
  show(list, count) {
    list.drawn = Math.min(count, list.order.length);
    let next = list.body.firstChild;
    for (let place = 0; place < list.drawn; place++) {
      const id = list.order[place];
      const card = this.card(this.rows.get(id));
      if (card === next) next = next.nextSibling;
      else list.body.insertBefore(card, next);
    }
    while (next) {
      const after = next.nextSibling;
      if (next !== list.rest) next.remove();
      next = after;
    }
    const left = list.order.length - list.drawn;
    list.rest.style.height = `${left * CARD}px`;
    if (!left) list.rest.remove();
    else if (list.body.lastChild !== list.rest) list.body.append(list.rest);
  }

  fillSoon() {
    this.filling ||= requestAnimationFrame(() => { this.filling = null; if (!this.isParked) this.fill(); });
  }

  // More cards where somebody has scrolled near the end of what is drawn.
  fill() {
    if (!this.isLoaded) return;
    const { left, right, bottom } = this.columns.getBoundingClientRect();
    const short = [...this.lists.values()].filter((list) => {
      if (list.drawn >= list.order.length) return false;
      const box = list.box.getBoundingClientRect();
      if (!box.width || box.right < left - COLUMN || box.left > right + COLUMN) return false;
      return !list.drawn || list.rest.getBoundingClientRect().top <= bottom + 600;
    });
    for (const list of short) this.show(list, list.drawn + CHUNK);
    if (!short.length) return;
    this.setStops();
    this.fillSoon();
  }

  // On a narrow screen one column is shown at a time.
  pick(keys) {
    const first = keys.includes(this.picked) ? this.picked : keys.find((key) => this.lists.get(key).order.length);
    const wanted = keys.includes(this.asked.column) ? this.asked.column : first || keys[0];
    this.picked = wanted;
    for (const [key, list] of this.lists) list.box.classList.toggle('is-picked', key === wanted);
    const options = keys.map((key) => [key, this.lists.get(key).title]);
    const known = [...this.picker.options];
    // One that is being looked at stays open: only its words change.
    if (known.length !== options.length || options.some(([value], place) => known[place].value !== value)) this.picker.replaceChildren(...options.map(([value, title]) => h('option', { value }, title)));
    else options.forEach(([, title], place) => { if (known[place].textContent !== title) known[place].textContent = title; });
    this.picker.value = wanted || '';
    this.picker.hidden = !keys.length;
  }

  // -- one card -------------------------------------------------------------------------------------------------------

  card(row) {
    let card = this.cards.get(row.id);
    const said = this.said(row);
    if (card?.said === said) return card;
    const isNew = !card;
    if (isNew) {
      card = h('li', { class: 'board-card', 'data-id': row.id });
      this.cards.set(row.id, card);
    }
    card.said = said;
    card.replaceChildren(...this.content(row));
    card.className = `board-card${row.is.overdue ? ' is-late' : row.is.blocked ? ' is-blocked' : row.is.held ? ' is-held' : ''}`;
    if (card.live !== undefined ? row.live !== card.live : row.live > 0) {
      card.classList.add('changed');
      setTimeout(() => card.classList.remove('changed'), 700);
    }
    card.live = row.live;
    return card;
  }

  said(row) {
    const person = this.people[row.connect_person_id];
    return JSON.stringify([row.name, row.account_code, row.seats, row.connect_owner, row.connect_status, row.blocked_because, row.due, row.days, row.hold_because, row.hold_until, row.steps_done, row.steps_of, row.waits, row.live, person, row.closed, row.listing]);
  }

  content(row) {
    const [icon, whose] = OWNERS[row.connect_owner] || [];
    const person = this.people[row.connect_person_id];
    const called = person ? (person[1] ? person[0] : `${person[0]} (disabled)`) : 'Nobody';
    const face = [shape('person'), h('span', { class: 'board-called', dir: 'auto' }, called)];
    return [
      h('a', { class: 'board-name', href: `/customers/${row.id}`, dir: 'auto', tabindex: '-1', 'data-part': 'name', title: row.name }, row.name),
      h('p', { class: 'board-facts quiet small' }, h('span', { class: 'mono' }, row.account_code), ` · ${number(row.seats)} ${row.seats === 1 ? 'licence' : 'licences'}`, row.listing === 'complete' && !row.closed && ' · live'),
      row.waits && h('p', { class: 'board-now small' }, shape('action'), row.closed ? 'Not in Connect any more' : columnOf(row) === this.shownIn.get(row.id) ? 'Changed just now' : `Now: ${row.connect_status}`),
      h('p', { class: 'board-line small' },
        whose && h('span', { class: 'board-owner', title: 'Whose turn it is' }, shape(icon), whose),
        h('span', { class: 'quiet', title: row.since ? `In this step since ${day(row.since)}` : null }, row.days)),
      row.is.held && !row.waits && row.connect_status !== 'On hold' && h('p', { class: 'board-rests small' }, row.connect_status),
      row.is.held ? h('p', { class: 'board-why small', dir: 'auto' }, row.hold_until ? `Until ${dayItself(row.hold_until)}: ${row.hold_because}` : row.hold_because)
        : row.due && h('p', { class: `board-due small${row.is.overdue ? ' tone-bad' : ' quiet'}` }, row.is.overdue && shape('clock'), row.due),
      row.is.blocked && h('p', { class: 'board-why tone-bad small', dir: 'auto', title: row.blocked_because }, shape('bad'), h('span', {}, `Blocked: ${row.blocked_because}`)),
      h('div', { class: 'board-foot small' },
        h('span', { class: 'board-progress', role: 'img', 'aria-label': `${row.steps_done} of ${row.steps_of} steps done` }, bar(row), h('span', { 'aria-hidden': 'true', class: 'quiet' }, `${row.steps_done}/${row.steps_of}`)),
        this.config.assigns
          ? h('button', { type: 'button', class: `board-person${person?.[1] ? '' : ' is-nobody'}`, tabindex: '-1', 'data-part': 'person', 'aria-label': `Looked after by ${called}: change`, title: `Looked after by ${called}`, onclick: () => this.lookAfter(row) }, ...face)
          : h('span', { class: `board-person${person?.[1] ? '' : ' is-nobody'}`, title: `Looked after by ${called}` }, ...face)),
    ].filter(Boolean);
  }

  async lookAfter(row) {
    try {
      await lookAfter({ id: row.id, name: row.name, step: row.connect_key.startsWith('rfi_') ? 'rfi' : row.connect_key });
    } catch (error) {
      if (error.status === 401) return live.leave();
      this.tell(error.message);
    }
  }

  // -- the keyboard ---------------------------------------------------------------------------------------------------

  focused(card) {
    if (!card || Number(card.dataset.id) === this.current) return;
    this.current = Number(card.dataset.id);
    const list = this.lists.get(card.closest('.board-column').dataset.column);
    if (list) list.current = this.current;
    this.setStops();
  }

  // Tab goes from column to column, to the card where somebody was in each; arrows walk from card to card.
  setStops() {
    const stops = new Set();
    for (const list of this.lists.values()) {
      const place = list.order.indexOf(list.current);
      if (place < 0 || place >= list.drawn) list.current = list.order[0];
      stops.add(this.cards.get(list.current)?.querySelector('[data-part=name]'));
    }
    stops.add(this.cards.get(this.current)?.querySelector('[data-part=person]:is(button)'));
    stops.delete(undefined);
    stops.delete(null);
    for (const stop of this.stops) if (!stops.has(stop)) stop.tabIndex = -1;
    for (const stop of stops) stop.tabIndex = 0;
    this.stops = stops;
  }

  // The card has moved, or was drawn anew: the focus stays with it; where it is gone, it goes to what is nearest.
  refocus(id, part = 'name') {
    if (document.activeElement !== document.body && document.activeElement?.isConnected) return;
    const card = this.cards.get(id);
    const stop = card?.isConnected && card.querySelector(`[data-part="${part}"]`);
    if (stop) stop.focus({ preventScroll: true });
    else (this.columns.querySelector('.board-name') || this.box).focus({ preventScroll: true });
  }

  keyDown(event) {
    const card = event.target.closest?.('.board-card');
    const steps = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], Home: ['first', 0], End: ['last', 0] };
    const step = steps[event.key];
    if (!card || !step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const keys = [...this.columns.children].filter((box) => box.offsetParent).map((box) => box.dataset.column);
    const key = card.closest('.board-column').dataset.column;
    const place = this.lists.get(key).order.indexOf(Number(card.dataset.id));
    let column = keys.indexOf(key) + step[1];
    while (step[1] && this.lists.get(keys[column])?.order.length === 0) column += step[1]; // there is nothing to go to
    const list = this.lists.get(keys[column]);
    if (!list) return;
    const to = step[1] ? Math.min(place, list.order.length - 1) : step[0] === 'first' ? 0 : step[0] === 'last' ? list.order.length - 1 : place + step[0];
    if (to < 0 || to >= list.order.length) return;
    if (to >= list.drawn) this.show(list, to + CHUNK);
    this.cards.get(list.order[to]).querySelector('.board-name').focus();
  }

  // -- where somebody was -----------------------------------------------------------------------------------------------

  tops() { return Object.fromEntries([...this.lists].map(([key, { body }]) => [key, body.scrollTop])); }

  scrollTo(left, tops) {
    for (const [key, top] of Object.entries(tops)) {
      const list = this.lists.get(key);
      if (!list) continue;
      if (top && this.isLoaded) this.show(list, Math.max(list.drawn, Math.ceil(top / CARD) + CHUNK));
      list.body.scrollTop = top;
    }
    this.columns.scrollLeft = left;
  }

  // -- numbers and words around -----------------------------------------------------------------------------------------

  showCounts(all, shown, counts) {
    const total = this.isPart ? Math.max(this.all, all) : all;
    const of = `${number(total)} ${total === 1 ? 'customer' : 'customers'}`;
    const said = shown === total ? of : `${number(shown)} of ${of}`;
    if (this.count.textContent !== said) this.count.textContent = said; // it is read out when it changes
    for (const [name, button] of Object.entries(this.states)) {
      const some = counts[name] > 0 && name !== 'held';
      button.classList.toggle('has-bad', some);
      const text = [STATES[name], h('b', {}, number(counts[name]))];
      if (button.textContent !== `${STATES[name]}${number(counts[name])}`) button.replaceChildren(...text);
    }
    this.pill.hidden = !this.pending;
    if (this.pending) this.pill.replaceChildren(shape('up'), `${number(this.pending)} moved`);
    this.note.hidden = !(this.isPart && this.all > all);
    if (!this.note.hidden) this.note.textContent = `These are the ${number(all)} of ${number(this.all)} that need attention first. Search or narrow to see others.`;
    this.showEmpty(all, shown);
  }

  showEmpty(all, shown) {
    const isEmpty = shown === 0 && !this.shownIn.size;
    this.empty.hidden = !isEmpty;
    this.columns.hidden = isEmpty;
    if (!isEmpty) return;
    const narrowed = SENT.some((name) => this.asked[name]);
    const said = JSON.stringify([narrowed, this.asked]);
    if (this.empty.dataset.said === said) return;
    this.empty.dataset.said = said;
    const { q, state, who } = this.asked;
    const found = q ? `Nobody in Connect matches “${q}”` : state === 'overdue' ? 'Nothing is overdue here' : state === 'blocked' ? 'Nothing is blocked here' : state === 'held' ? 'Nobody is on hold here' : who === 'mine' ? 'You look after nobody in Connect' : 'Nobody fits';
    this.empty.replaceChildren(...(narrowed ? [
      h('p', { class: 'empty-title' }, found), h('p', { class: 'empty-actions' }, h('button', { type: 'button', class: 'button', onclick: () => { this.box.value = ''; this.ask({ q: '', owner: '', who: '', state: '' }); this.box.focus(); } }, 'Show everybody')),
    ] : [
      h('p', { class: 'empty-title' }, 'Nobody is in Connect'), h('p', { class: 'quiet' }, 'Whoever is ordered or added is shown here at once, from the RFI form until everything is done.'),
      h('p', { class: 'empty-actions' }, h('a', { class: 'button', href: '/customers/complete' }, 'Customers who are complete')),
    ]));
  }
}

// -- what follows from a row ----------------------------------------------------------------------------------------------

// Live customers too, as long as something that they bought later is to be set up.
const isIn = ({ listing, connect_owner: owner }) => listing === 'waiting' || listing === 'in_progress' || (listing === 'complete' && Boolean(owner));

// What does not change with time.
function worked(row) {
  row.searched = fold(`${row.name}\n${row.account_code}\n${row.domain || ''}`);
  row.since = parseTime(row.connect_since) || 0;
  row.dueAt = parseTime(row.connect_due);
  row.judged = null;
  return row;
}

// What does: whether it is late, by how much, and for how long it has been there.
function judge(row, now) {
  const minute = Math.floor(now / 60000);
  if (row.judged === minute) return;
  row.judged = minute;
  const held = row.held_at != null;
  const overdue = !held && row.dueAt != null && row.dueAt < now;
  row.is = { overdue, blocked: row.blocked_because !== '', held };
  row.rank = overdue ? 0 : row.is.blocked ? 1 : 2;
  const days = daysSince(row.since);
  row.days = !row.since ? '' : days < 1 ? 'since today' : days === 1 ? '1 day here' : `${number(days)} days here`;
  const late = overdue ? daysSince(row.dueAt) : 0;
  row.due = row.dueAt == null || held ? '' : !overdue ? `Due ${day(row.dueAt)}` : late < 1 ? 'Overdue since today' : `${number(late)} ${late === 1 ? 'day' : 'days'} late`;
}

function columnOf(row) {
  if (row.held_at != null) return 'on_hold';
  if (row.listing === 'waiting') return 'waiting';
  if (row.connect_status === 'Ready to complete') return 'ready';
  return row.connect_key;
}

// As it is laid out: one that is not there yet takes nothing.
const widthOf = (list) => (!list ? 0 : list.isNarrow ? NARROW : COLUMN);

function bar({ steps_done: done, steps_of: of }) {
  const inside = h('span', {});
  inside.style.width = `${of ? (100 * done) / of : 0}%`;
  return h('span', { class: 'board-bar-done' }, inside);
}

const days = new Map(); // writing a date takes longer than the rest of a card
function calendar() {
  const [minute, zone] = [Math.floor(live.now() / 60000), inZone({}).timeZone];
  if (days.minute !== minute || days.zone !== zone) {
    days.clear();
    Object.assign(days, { minute, zone, dates: days.zone === zone && days.dates ? days.dates : new Map(), name: new Intl.DateTimeFormat('en-CA', inZone({})), near: new Intl.DateTimeFormat('en-GB', inZone({ day: 'numeric', month: 'short' })), far: new Intl.DateTimeFormat('en-GB', inZone({ dateStyle: 'medium' })) });
    [days.today, days.tomorrow] = [live.now(), live.now() + DAY].map((ms) => days.name.format(ms));
  }
  return days;
}

function day(at) {
  calendar();
  if (!days.has(at)) {
    const on = days.name.format(at);
    days.set(at, on === days.today ? 'today' : on === days.tomorrow ? 'tomorrow' : (on.slice(0, 4) === days.today.slice(0, 4) ? days.near : days.far).format(at));
  }
  return days.get(at);
}

// A day that is one, and no moment: the same wherever somebody is.
function dayItself(text) {
  const { today, tomorrow } = calendar();
  const on = `${text}`.slice(0, 10);
  if (on === today || on === tomorrow) return on === today ? 'today' : 'tomorrow';
  return new Date(Date.parse(on)).toLocaleDateString('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC', ...(on.slice(0, 4) === today.slice(0, 4) ? {} : { year: 'numeric' }) });
}

// As the calendar counts them: what was due yesterday evening is a day late this morning.
function daysSince(at) {
  const { dates, name, today } = calendar();
  if (dates.size > 20000) dates.clear(); // a screen that stays open for weeks
  if (!dates.has(at)) dates.set(at, Date.parse(name.format(at)));
  return Math.round((Date.parse(today) - dates.get(at)) / DAY);
}
