// Customer notes: newest first, plain text with links that can be pressed, earlier versions to be read.
import { h, when } from './live.js';
import { openForm, openText, send } from './dialog.js';
import { read, reasonOf } from './tips.js';

const LINK = /\bhttps?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]}]/g; // nothing but the web: a `javascript:` stays text

export function withLinks(text) {
  const found = [];
  let last = 0;
  for (const match of text.matchAll(LINK)) {
    found.push(text.slice(last, match.index), h('a', { href: match[0], target: '_blank', rel: 'noopener noreferrer nofollow' }, match[0]));
    last = match.index + match[0].length;
  }
  return [...found, text.slice(last)];
}

export class NotesBody {
  constructor(page, box) {
    this.page = page;
    this.notes = new Map(); // by id, every one that was shown: none goes away again
    this.items = new Map();
    this.list = h('ul', { class: 'notes' });
    this.more = h('button', { class: 'button', type: 'button', hidden: true, onclick: () => this.loadMore() }, 'Older notes');
    const add = page.may('note.add') && h('button', { class: 'button', type: 'button', 'data-keep': 'add note', onclick: () => this.add() }, 'Add');
    box.append(...(add ? [h('div', { class: 'card-actions' }, add)] : []), this.list, this.more);
  }

  show({ notes, edited, count }) {
    notes.forEach((note) => this.notes.set(note.id, note));
    edited.forEach((note) => this.notes.has(note.id) && this.notes.set(note.id, note));
    this.count = count;
    this.draw();
  }

  // Items that say the same stay where they are, with the focus and the selection in them.
  draw() {
    const all = [...this.notes.values()].sort((one, other) => other.id - one.id);
    const wanted = all.map((note) => {
      const told = JSON.stringify(note);
      if (this.items.get(note.id)?.told !== told) this.items.set(note.id, { told, item: this.item(note) });
      return this.items.get(note.id).item;
    });
    if (!wanted.length) wanted.push(h('li', { class: 'calm' }, 'Nobody has written anything down yet.'));
    for (const item of [...this.list.children]) if (!wanted.includes(item)) item.remove();
    wanted.forEach((item, index) => { if (this.list.children[index] !== item) this.list.insertBefore(item, this.list.children[index] || null); });
    this.more.hidden = this.count <= this.notes.size;
  }

  item(note) {
    const mine = note.author_id === this.page.config.me;
    const mayEdit = (mine && this.page.may('note.edit_own')) || this.page.may('note.edit_any');
    return h('li', { class: 'note' },
      h('div', { class: 'note-head' }, h('b', {}, note.author), h('span', { class: 'quiet small' }, when(note.created_at)),
        note.edited_at && h('button', { class: 'button plain small', type: 'button', 'data-keep': `versions ${note.id}`, title: 'What it said before', onclick: () => this.versions(note) }, `edited by ${note.edited_by} `, when(note.edited_at)),
        h('span', { class: 'grow' }),
        mayEdit && h('button', { class: 'button plain small', type: 'button', 'data-keep': `edit note ${note.id}`, 'aria-label': `Edit the note of ${note.author}`, onclick: () => this.edit(note) }, 'Edit')),
      h('p', { class: 'note-body', dir: 'auto' }, ...withLinks(note.body)));
  }

  form(title, note, store, context, onConflict) {
    openForm({
      title, button: 'Submit', store, context, onConflict, draft: `${this.page.config.me} ${this.page.id} note ${note?.id ?? 'new'}`,
      fields: [{ name: 'body', label: 'Note', kind: 'area', value: note?.body ?? '', help: 'Plain text. Links can be pressed, line breaks are kept.' }],
    });
  }

  add() {
    this.form('Add note', null, ({ body }) => send('POST', `${this.page.address}/notes`, { body }), {});
  }

  edit(note) {
    const context = { seen: note.version }; // a draft brings the version that it began from
    this.form('Edit note', note, ({ body }) => send('POST', `${this.page.address}/notes/${note.id}`, { body, seen: context.seen }), context, (answer) => {
      if (!answer.note) return [];
      context.seen = answer.note.version; // pressing Submit again says: mine, knowing theirs
      return h('div', { class: 'notice theirs' }, h('p', {}, h('b', {}, answer.note.by), ' changed this note while you were typing. It now says:'),
        h('p', { class: 'note-body', dir: 'auto' }, answer.note.body), h('p', {}, 'Your text is kept above. Submit again to put it in the place of theirs; theirs stays among the earlier versions.'));
    });
  }

  async versions(note) {
    try {
      const { versions } = await read(await fetch(`${this.page.address}/notes/${note.id}/versions`, { cache: 'no-store' }));
      openText('Earlier versions', h('ul', { class: 'notes' }, ...versions.map((version) => h('li', { class: 'note' },
        h('div', { class: 'note-head' }, h('b', {}, version.by), h('span', { class: 'quiet small' }, when(version.at))), h('p', { class: 'note-body', dir: 'auto' }, ...withLinks(version.body))))));
    } catch (error) {
      openText('Earlier versions', h('p', {}, `They cannot be read just now: ${reasonOf(error)}`));
    }
  }

  async loadMore() {
    const last = Math.min(...this.notes.keys());
    try {
      const { notes } = await read(await fetch(`${this.page.address}/notes?before=${last}`, { cache: 'no-store' }));
      notes.forEach((note) => this.notes.set(note.id, note));
      if (!notes.length) this.count = this.notes.size;
      this.draw();
    } catch { this.more.textContent = 'Older notes cannot be read just now. Try again'; }
  }
}
