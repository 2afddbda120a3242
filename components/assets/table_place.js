// Where somebody is in a live table: the scroll, the focus, and the order of the rows, which does not change under a
// pointer.
import { h, number } from './live.js';
import { shape } from './icons.js';

const REORDER_PAUSE = 2000; // ms at least between two re-orderings that nobody asked for
const TOLD_PAUSE = 500; // the same of lists that readings do not move: what people do comes one by one
const ROW = 36; // px, as in table.js

export class Place {
  constructor(table) {
    this.table = table;
    this.moved = new Set(); // whose row is elsewhere by now
    this.pill = h('button', { type: 'button', class: 'pill', hidden: true, onfocus: (event) => { this.cameFrom = event.relatedTarget; }, onclick: () => this.pressed() });
  }

  get pause() { return this.table.config.about === 'customers' ? REORDER_PAUSE : TOLD_PAUSE; }
  get api() { return this.table.api; }
  get viewport() { return this.table.gridBox.querySelector('.ag-body-viewport'); }

  // -- order ----------------------------------------------------------------------------------------------------------

  isBusy() {
    const rows = this.table.gridBox.querySelector('.ag-body');
    return rows?.matches(':hover') || rows?.contains(document.activeElement);
  }

  // By name, the rows hardly ever change places: what is new comes at once, and the focus stays with its customer.
  mustWait() { return this.isBusy() && !(this.moved.has('everything') && this.table.isSortedByName()); }

  mayReorder() {
    this.moved.add('everything');
    return !this.mustWait() && Date.now() - (this.reorderedAt || 0) >= this.pause;
  }

  // The pill goes away: the focus goes back to the rows if it was there.
  pressed() {
    const cell = this.table.gridBox.contains(this.cameFrom) && this.api.getFocusedCell();
    if (cell) this.api.setFocusedCell(cell.rowIndex, cell.column);
    this.reorder();
  }

  reorderSoon() {
    if (this.table.gone || this.table.isParked || !this.moved.size) return;
    if (this.mustWait()) return this.showPill();
    if (this.reorderTimer) return;
    const wait = Math.max(0, (this.reorderedAt || 0) + this.pause - Date.now());
    this.reorderTimer = setTimeout(() => {
      this.reorderTimer = null;
      if (this.mustWait()) this.showPill();
      else this.reorder();
    }, wait);
  }

  reorder() {
    this.reorderedAt = Date.now();
    this.forgetMoves();
    this.readAnew();
    this.table.countsSoon();
  }

  forgetMoves() {
    this.moved.clear();
    this.showPill();
  }

  showPill() {
    const count = this.moved.size;
    this.pill.hidden = !count || !this.isBusy();
    if (!this.pill.hidden) this.pill.replaceChildren(shape('up'), this.moved.has('everything') ? 'Order has changed' : `${number(count)} moved`);
    clearTimeout(this.pauseTimer);
    if (count) this.pauseTimer = setTimeout(() => this.reorderSoon(), 500);
  }

  // -- focus ----------------------------------------------------------------------------------------------------------

  readAnew() {
    const focused = this.api.getFocusedCell();
    const id = focused && this.api.getDisplayedRowAtIndex(focused.rowIndex)?.id;
    this.api.refreshInfiniteCache();
    if (id) this.refocus(id, focused);
  }

  // The grid keeps the focus on the row's number; it belongs to the customer, who may have another number in a moment.
  refocus(id, { rowIndex, column }) {
    this.stopRefocusing?.();
    let isOver = false; // the grid may still call who has just been taken off its list
    const again = () => {
      if (isOver) return;
      const now = this.api.getFocusedCell();
      const moved = this.api.getRowNode(id)?.rowIndex ?? rowIndex;
      if (now?.rowIndex === rowIndex && now.column === column && moved === rowIndex) return;
      const mayMove = now?.rowIndex === rowIndex && now.column === column && this.table.gridBox.contains(document.activeElement);
      stop();
      if (mayMove) this.api.setFocusedCell(moved, column);
    };
    const stop = () => {
      isOver = true;
      clearTimeout(enough);
      this.stopRefocusing = null;
      if (!this.table.gone) this.api.removeEventListener('modelUpdated', again);
    };
    const enough = setTimeout(stop, 5000);
    this.stopRefocusing = stop;
    this.api.addEventListener('modelUpdated', again);
  }

  // -- scroll ---------------------------------------------------------------------------------------------------------

  get key() { return 'portal place ' + this.table.address(); }

  keepSoon() {
    clearTimeout(this.keepTimer);
    this.keepTimer = setTimeout(() => !this.table.gone && this.keep(), 200);
  }

  keep() {
    if (this.table.isParked) return; // out of the page there is no place to keep
    try {
      const { top } = this.api.getVerticalPixelRange();
      sessionStorage.setItem(this.key, JSON.stringify({ index: Math.floor(top / ROW), top, rows: this.api.getDisplayedRowCount() }));
    } catch { /* a full or forbidden storage costs the place, nothing else */ }
  }

  kept() {
    if (!window.portalCameBack) return null;
    try {
      const place = JSON.parse(sessionStorage.getItem(this.key));
      return place?.top > 0 ? place : null;
    } catch { return null; }
  }

  restore({ index, top }) {
    this.api.ensureIndexVisible(Math.min(index, this.api.getDisplayedRowCount() - 1), 'top');
    this.viewport.scrollTop = top;
  }

  scrollTo(top) {
    this.viewport.scrollTop = top;
    this.viewport.dispatchEvent(new Event('scroll')); // taking it out of the page has scrolled it without a word
  }

  rest() {
    [this.reorderTimer, this.pauseTimer, this.keepTimer].forEach(clearTimeout);
    this.reorderTimer = null;
  }
}
