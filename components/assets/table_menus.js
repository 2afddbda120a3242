// What stands around the rows of a live table to narrow, arrange and take them: letters, columns, export.
// Menus close by themselves in shell.js, as all of the portal's do.
import { h } from './live.js';
import { shape } from './icons.js';
import { acts } from './table_columns.js';

export const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ#';

export class Letters {
  // `choose` is told the letter, `addressOf` gives the address that shows it.
  constructor(choose, addressOf) {
    this.addressOf = addressOf;
    const chosen = (event) => {
      event.stopPropagation();
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // into another tab: the browser's own business
      event.preventDefault();
      if (event.currentTarget.hasAttribute('href')) choose(event.currentTarget.dataset.letter);
    };
    this.links = ['', ...LETTERS].map((letter) => h('a', {
      'data-letter': letter.toLowerCase(), 'aria-label': letter === '#' ? 'Other first letters' : letter || 'All', onclick: chosen,
    }, letter || 'All'));
    this.box = h('nav', { class: 'letters', 'aria-label': 'By first letter' }, ...this.links);
  }

  // A letter that leads nowhere is shown, but off: no address, and nothing happens.
  show(current, leading) {
    for (const link of this.links) {
      const { letter } = link.dataset;
      const off = Boolean(letter && letter !== current && leading != null && !leading.includes(letter));
      link.classList.toggle('off', off);
      set(link, { href: off ? null : this.addressOf(letter), role: off ? 'link' : null, 'aria-disabled': off ? 'true' : null, 'aria-current': letter === current ? 'true' : null });
    }
  }
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null) element.removeAttribute(name);
    else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  }
}

function menu(icon, name, title, list) {
  return h('details', { class: 'menu' },
    h('summary', { class: 'button plain', title }, shape(icon), h('span', {}, name)), list);
}

export function columnMenu(table) {
  const list = h('div', { class: 'menu-list' });
  const box = menu('columns', 'Columns', 'Choose columns', list);
  const tickOf = (column) => {
    const tick = h('input', { type: 'checkbox' });
    tick.checked = table.api.getColumn(column.name)?.isVisible() ?? true;
    tick.addEventListener('change', () => table.api.setColumnsVisible([column.name], tick.checked));
    return h('label', { class: 'menu-item' }, tick, column.heading);
  };
  const reset = () => {
    table.columns.forget();
    box.open = false;
    box.querySelector('summary').focus();
  };
  box.addEventListener('toggle', () => box.open && list.replaceChildren(
    ...table.config.columns.slice(1).map(tickOf),
    h('button', { type: 'button', class: 'menu-item', onclick: reset }, 'Back to the standard columns'),
  ));
  return box;
}

// Ways to what can be done beside the list, for those who may.
export function toolLinks(tools, look = 'button plain', table = null) {
  return (tools || []).filter(({ href }) => href || table).map(({ text, href, icon, act, main }) => (href ? h('a', { class: main ? 'button primary' : look, href, title: text }, shape(icon), h('span', {}, text))
    : h('button', { type: 'button', class: look, title: text, 'aria-haspopup': 'dialog', onclick: () => acts[act]().then((doing) => doing.openSeveral(table)) }, shape(icon), h('span', {}, text))));
}

// `asked` gives the query of what is listed now.
export function exportMenu(key, asked) {
  const address = (kind) => `/api/ui/tables/${key}/export.${kind}`;
  const link = (kind, text) => h('a', { class: 'menu-item', download: true, href: address(kind), onclick: (event) => {
    event.currentTarget.href = address(kind) + asked();
    box.open = false;
  } }, text);
  const box = menu('download', 'Export', 'Export what is listed',
    h('div', { class: 'menu-list' }, link('csv', 'CSV'), link('xlsx', 'Excel (XLSX)')));
  return box;
}
