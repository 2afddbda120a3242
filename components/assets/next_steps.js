// What the administrator of a new MSP does first, each with its state; gone for good when all is done or when it is
// dismissed.
import { h, live } from './live.js';
import { send } from './dialog.js';
import { stateIcon } from './icons.js';
import { read } from './tips.js';

const ADDRESS = '/api/ui/next-steps';
const DONE = { shape: 'done', tone: 'accent', word: 'Done' };
const TO_DO = { shape: 'empty', tone: 'none', word: 'To do' };

export function mount(root) {
  const card = new NextSteps(root);
  return { destroy: () => card.destroy() };
}

class NextSteps {
  constructor(root) {
    this.box = h('section', { class: 'card next-steps', 'aria-labelledby': 'next-steps-title', hidden: true });
    this.told = '';
    root.append(this.box);
    this.undo = [
      live.news(() => this.load()),
      live.on('overview', ({ total }) => { if (total !== this.total) { this.total = total; this.load(); } }),
    ];
    this.load();
  }

  destroy() { this.undo.splice(0).forEach((undo) => undo()); }

  async load() {
    let steps;
    try {
      ({ steps } = await fetch(ADDRESS, { cache: 'no-store' }).then(read));
    } catch { return; /* asked again when something changes */ }
    if (!this.undo.length) return;
    if (!steps) return this.gone();
    const told = JSON.stringify(steps);
    if (told === this.told) return;
    const isFirst = !this.told;
    this.told = told;
    if (!steps.every(({ done }) => done)) return this.show(steps);
    send('POST', `${ADDRESS}/dismiss`, {}).catch(() => {});
    isFirst ? this.gone() : this.show(steps); // whoever did the last of it sees that it was
  }

  show(steps) {
    const done = steps.filter((step) => step.done).length;
    const all = done === steps.length;
    const focused = this.box.contains(document.activeElement);
    const next = steps.find((step) => !step.done);
    this.box.replaceChildren(
      h('div', { class: 'next-head' },
        h('h2', { id: 'next-steps-title', tabindex: '-1' }, all ? 'Your portal is set up' : 'Set up your portal'),
        h('div', { class: 'next-far' },
          h('progress', { max: steps.length, value: done, 'aria-label': 'Steps done' }), h('span', { class: 'quiet small', role: 'status' }, `${done} of ${steps.length} done`)),
        h('button', { class: 'button plain small', type: 'button', onclick: () => this.dismiss() }, all ? 'Close' : 'Dismiss')),
      h('ol', { class: 'next-list' }, ...steps.map((step) => h('li', { class: step.done ? 'next-step is-done' : 'next-step' },
        stateIcon(step.done ? DONE : TO_DO),
        h('div', { class: 'next-what' }, h('b', {}, step.title), h('span', { class: 'quiet small' }, step.about)),
        h('div', { class: 'next-links' }, ...step.links.slice(0, step.done ? 1 : undefined).map(([text, href], index) =>
          h('a', { class: step.done ? 'button plain small' : step === next && !index ? 'button primary' : 'button', href }, text)))))));
    this.box.hidden = false;
    if (focused) this.box.querySelector('h2').focus();
  }

  async dismiss() {
    this.box.querySelector('.form-error')?.remove();
    try {
      await send('POST', `${ADDRESS}/dismiss`, {});
      this.gone();
      const heading = document.querySelector('h1');
      heading.tabIndex = -1;
      heading.focus();
    } catch (error) {
      this.box.append(h('p', { class: 'form-error', role: 'alert' }, error.message));
    }
  }

  gone() {
    this.destroy();
    this.box.remove();
  }
}
