// The templates of Connect: chosen at the top, edited below. What is edited is a draft until it is saved as a new version or
// thrown away; it outlives a reload and a failed save.
import { h, live, when } from './live.js';
import { shape } from './icons.js';
import { openForm, openText, send, worded, wrongFields } from './dialog.js';
import { read } from './tips.js';
import { Asking } from './asking.js';
import { recall, remember } from './drafts.js';

const ADDRESS = '/api/ui/templates';
const NAMES = { key: 'Key', title: 'Title', services: 'For', owner: 'Owner', needs: 'Needs', is_optional: 'Optional', not_on: 'Left out on', directories: 'Only with', due_days: 'Due', help_url: 'Help', check_key: 'Automatic check' };

export function mount(root, config) {
  const page = new TemplatesPage(root, config);
  return { destroy: () => page.destroy() };
}

class TemplatesPage {
  constructor(root, config) {
    this.config = config;
    this.templates = config.templates;
    this.opened = new Set();
    this.problems = {};
    this.choose(this.templates[0].key);
    this.list = h('ul', { class: 'template-list' });
    this.editor = h('section', { class: 'card template-editor', 'aria-labelledby': 'template-title' });
    this.said = h('p', { class: 'sr-only', role: 'status' });
    root.append(h('div', { class: 'page-scroll templates' },
      h('div', { class: 'page-head' }, h('h1', {}, 'Connect templates')),
      h('p', { class: 'quiet templates-about' }, 'The steps that new customers go through. Whoever is in Connect already keeps the steps they have: saving makes a new version, and the older ones stay.'),
      this.list, this.editor, this.said));
    this.asking = new Asking(ADDRESS, { found: (now) => this.take(now) });
    this.undo = [live.news(() => this.renew()), () => this.asking.stop()];
    this.show();
  }

  destroy() { this.undo.forEach((undo) => undo()); }

  get picked() { return this.list.querySelector('[aria-pressed=true]'); }

  get template() { return this.templates.find(({ key }) => key === this.key); }

  get changed() { return JSON.stringify([this.draft.name, this.draft.steps]) !== JSON.stringify([this.template.name, this.template.steps]); }

  // The draft of a template: what was being edited before, or what is stored.
  choose(key) {
    this.key = key;
    this.opened.clear();
    this.problems = {};
    const kept = recall(`template ${key}`);
    this.draft = kept || { was: this.template.version, name: this.template.name, steps: structuredClone(this.template.steps) };
  }

  renew() { return this.asking.load(); }

  take({ templates }) {
    const told = JSON.stringify(templates);
    if (told === JSON.stringify(this.templates)) return;
    const [wasChanged, before] = [this.changed, JSON.stringify(this.template)];
    this.templates = templates;
    const isSame = before === JSON.stringify(this.template); // it was about another one: what is typed in stays in place
    if (!this.template) this.choose(templates[0].key);
    else if (!wasChanged && !isSame) this.choose(this.key);
    this.show({ editor: !isSame });
  }

  // What the answer to something that was stored says of how it is now.
  stored(now) {
    this.asking.overtaken();
    this.take(now);
  }

  keep() {
    remember(`template ${this.key}`, this.changed ? this.draft : null);
    this.showButtons();
  }

  // -- the list -------------------------------------------------------------------------------------------------------

  show({ editor = true } = {}) {
    const focused = document.activeElement?.dataset?.keep;
    this.list.replaceChildren(...this.templates.map((one) => h('li', { class: 'card template-card' },
      h('button', { class: 'template-pick', type: 'button', 'aria-pressed': String(one.key === this.key), 'data-keep': `pick ${one.key}`, onclick: () => { this.choose(one.key); this.show(); } },
        h('b', {}, one.name), one.is_default && h('span', { class: 'chip' }, 'Default'),
        h('span', { class: 'quiet small' }, `${one.steps.length} steps · version ${one.version}`, one.version > 1 ? [', ', when(one.created_at), one.made_by ? ` by ${one.made_by}` : ''] : '')),
      h('div', { class: 'template-acts' },
        !one.is_default && h('button', { class: 'button plain small', type: 'button', 'data-keep': `default ${one.key}`, 'aria-label': `Make ${one.name} the default`, onclick: () => this.act(`${one.key}/default`, `New customers begin with ${one.name}.`) }, 'Make default'),
        h('button', { class: 'button plain small', type: 'button', 'data-keep': `copy ${one.key}`, 'aria-label': `Copy ${one.name}`, onclick: () => this.copy(one) }, 'Copy'),
        !one.is_default && h('button', { class: 'button plain small', type: 'button', 'data-keep': `remove ${one.key}`, 'aria-label': `Remove ${one.name}`, onclick: () => this.retire(one) }, 'Remove'),
        one.versions.length > 1 && h('button', { class: 'button plain small', type: 'button', 'data-keep': `versions ${one.key}`, 'aria-label': `Versions of ${one.name}`, onclick: () => this.versions(one) }, 'Versions')))));
    if (editor) this.showEditor();
    if (focused && document.activeElement?.dataset?.keep !== focused) (document.querySelector(`[data-keep="${CSS.escape(focused)}"]`) || this.picked)?.focus({ preventScroll: true });
  }

  async act(path, said) {
    try {
      const { now } = await send('POST', `${ADDRESS}/${path}`, {});
      this.stored(now);
      this.said.textContent = said;
    } catch (error) { openText('That cannot be done', h('p', {}, error.message)); }
  }

  copy(one) {
    openForm({
      title: `Copy ${one.name}`, about: 'The copy begins with the same steps.', button: 'Make the copy',
      fields: [{ name: 'name', label: 'Name of the copy', longest: 80 }],
      store: async ({ name }) => {
        const { key, now } = await send('POST', `${ADDRESS}/${one.key}/copy`, { name });
        this.asking.overtaken();
        this.templates = now.templates;
        this.choose(key);
        this.show();
      },
    });
  }

  retire(one) {
    const box = openForm({
      title: `Remove ${one.name}`, about: 'New customers cannot begin with it any more. Customers who are in Connect with it keep their steps.', button: 'Remove', danger: true, fields: [],
      store: async () => {
        const { now } = await send('POST', `${ADDRESS}/${one.key}/remove`, {});
        remember(`template ${one.key}`, null);
        this.stored(now);
        this.said.textContent = `${one.name} was removed.`;
      },
    });
    box.addEventListener('close', () => { if (document.activeElement === document.body) this.picked?.focus(); }); // what opened it went with it
  }

  versions(one) {
    openText(`Versions of ${one.name}`, h('ul', { class: 'happened template-versions' }, ...one.versions.map((version) => h('li', {},
      h('b', {}, `Version ${version.version}`), h('span', { class: 'quiet' }, ` · ${version.name} · `, when(version.created_at), version.made_by ? ` by ${version.made_by}` : ''),
      version.version === one.version ? h('span', { class: 'chip' }, 'Current') : h('button', { class: 'button small', type: 'button', onclick: async ({ currentTarget: button }) => {
        let found;
        try {
          found = await read(await fetch(`${ADDRESS}/${one.key}/versions/${version.version}`, { cache: 'no-store' }));
        } catch (error) { button.replaceWith(h('span', { class: 'form-error' }, error.message)); return; }
        button.closest('dialog').close();
        this.choose(one.key);
        this.draft = { was: one.version, name: found.name, steps: found.steps };
        this.keep();
        this.show();
        this.note.textContent = `This is what version ${version.version} said. Save it to make it current again.`;
      } }, 'Edit from this one')))));
  }

  // -- the editor -----------------------------------------------------------------------------------------------------

  showEditor() {
    const { draft, template } = this;
    const name = h('input', { id: 'template-name', 'data-keep': 'template name', value: draft.name, maxlength: 80, autocomplete: 'off', dir: 'auto', 'aria-describedby': 'template-name-help', 'aria-invalid': this.problems.name ? 'true' : null });
    name.addEventListener('input', () => { draft.name = name.value; delete this.problems.name; this.keep(); });
    this.steps = h('ol', { class: 'template-steps' }, ...draft.steps.map((step, index) => this.step(step, index)));
    this.save = h('button', { class: 'button primary', type: 'submit' }, 'Save as a new version');
    this.drop = h('button', { class: 'button plain', type: 'button', onclick: () => { remember(`template ${this.key}`, null); this.choose(this.key); this.show(); this.save.focus(); } }, 'Discard changes');
    this.note = h('span', { class: 'quiet small', role: 'status' });
    this.trouble = h('p', { class: 'form-error', role: 'alert', hidden: !this.problems[''] }, this.problems[''] || '');
    const form = h('form', { class: 'form template-form', novalidate: true },
      h('h2', { id: 'template-title' }, template.name),
      draft.was !== template.version && h('p', { class: 'notice bad' }, `Somebody else has saved version ${template.version} meanwhile. Discard your changes to see it.`),
      h('div', { class: 'field' }, h('label', { for: 'template-name' }, 'Name'), name, h('p', { class: this.problems.name ? 'form-error' : 'form-help', id: 'template-name-help' }, this.problems.name || '')),
      h('p', { class: 'quiet small template-keys' }, 'Alt with ↑ or ↓ moves a step.'),
      this.steps,
      h('div', {}, h('button', { class: 'button', type: 'button', 'data-keep': 'add step', onclick: () => this.add() }, shape('plus'), 'Add a step')),
      this.trouble, h('div', { class: 'settings-buttons' }, this.save, this.drop, this.note));
    form.addEventListener('submit', (event) => { event.preventDefault(); this.store(); });
    this.editor.replaceChildren(form);
    this.showButtons();
  }

  showButtons() {
    this.drop.hidden = !this.changed;
    this.note.textContent = this.changed ? 'Not saved yet.' : '';
  }

  step(step, index) {
    const open = this.opened.has(index);
    const id = `template-step-${index}`;
    const wrong = Object.entries(this.problems).filter(([field]) => field.startsWith(`steps ${index + 1} `));
    const move = (by) => this.move(index, by);
    const titles = Object.fromEntries(this.draft.steps.map(({ key, title }) => [key, title]));
    const about = [pick(this.config.owners, step.owner), step.services !== 'SA' && pick(this.config.services, step.services), step.is_optional && 'optional', step.due_days !== null && step.due_days !== '' && `due after ${step.due_days} days`, step.check_key && `checked: ${pick(this.config.checks, step.check_key)}`].filter(Boolean).join(' · ');
    const item = h('li', { class: 'template-step' },
      h('span', { class: 'template-number quiet' }, String(index + 1)),
      h('button', { class: 'template-fold', type: 'button', 'aria-expanded': String(open), 'aria-controls': id, 'data-keep': `step ${index}`, onclick: () => { open ? this.opened.delete(index) : this.opened.add(index); this.again(`step ${index}`); } },
        h('b', { dir: 'auto' }, step.title || 'New step'), h('span', { class: 'quiet small' }, about), step.needs.length > 0 && h('span', { class: 'quiet small' }, `after ${step.needs.map((key) => titles[key] || key).join(', ')}`),
        !open && wrong.length > 0 && h('span', { class: 'form-error' }, wrong.map(([field, text]) => worded(NAMES[field.split(' ')[2]] || 'Step', text)).join(' '))),
      h('div', { class: 'template-moves' },
        h('button', { class: 'button plain small', type: 'button', 'aria-label': `Move ${step.title} up`, 'aria-disabled': index === 0 ? 'true' : null, 'data-keep': `up ${index}`, onclick: () => move(-1) }, shape('up')),
        h('button', { class: 'button plain small is-down', type: 'button', 'aria-label': `Move ${step.title} down`, 'aria-disabled': index === this.draft.steps.length - 1 ? 'true' : null, 'data-keep': `down ${index}`, onclick: () => move(1) }, shape('up'))),
      open && h('div', { class: 'template-fields', id }, ...this.fields(step, index)));
    item.addEventListener('keydown', (event) => {
      if (!event.altKey || !['ArrowUp', 'ArrowDown'].includes(event.key)) return;
      event.preventDefault();
      move(event.key === 'ArrowUp' ? -1 : 1);
    });
    return item;
  }

  fields(step, index) {
    const { config } = this;
    const others = this.draft.steps.filter((other) => other !== step && other.key).map(({ key, title }) => [key, title]);
    const set = (name, value) => { step[name] = value; delete this.problems[`steps ${index + 1} ${name}`]; this.keep(); };
    const isForm = step.key === 'rfi';
    return [
      this.text(step, index, 'title', set, { longest: 80 }),
      this.text(step, index, 'key', set, { longest: 30, help: 'What the portal calls it: small letters, digits and _. Keys that it knows (journaling, say) start the signals that belong to them.', locked: isForm }),
      this.choice(step, index, 'owner', config.owners, set, 'Whoever has to do it.'),
      !isForm && this.choice(step, index, 'services', config.services, set, 'Customers who bought this have the step.'),
      this.ticks(step, index, 'needs', others, set, 'The step is locked until these are done. Where one does not apply, what it needs counts in its place.'),
      !isForm && this.ticks(step, index, 'not_on', config.platforms, set, 'Mail platforms on which there is nothing to do.'),
      !isForm && this.ticks(step, index, 'directories', config.directories, set, 'Nothing ticked: with any directory, or without one.'),
      this.text(step, index, 'due_days', set, { number: true, label: 'Due after (days)', help: isForm ? 'From the order on.' : 'From the day on which the RFI form came back. Empty: it is not planned.' }),
      this.text(step, index, 'help_url', set, { longest: 300, label: 'Help article', help: 'An address; empty: the portal’s own article.' }),
      this.choice(step, index, 'check_key', [['', 'None: somebody completes it'], ...config.checks], set, config.checks.find(([key]) => key === step.check_key)?.[2] || 'Runs by itself now and then, and completes the step when it passes.'),
      !isForm && this.tick(step, index, set),
      !isForm && h('div', {}, h('button', { class: 'button plain small', type: 'button', onclick: () => this.remove(index) }, 'Remove this step')),
    ].filter(Boolean);
  }

  around(index, name, control, { label, help } = {}) {
    const wrong = this.problems[`steps ${index + 1} ${name}`];
    const id = `s${index}-${name}`;
    if (wrong) control.setAttribute('aria-invalid', 'true');
    control.setAttribute('aria-describedby', `${id}-help`);
    const below = h('p', { class: wrong ? 'form-error' : 'form-help', id: `${id}-help` }, wrong ? worded(label || NAMES[name], wrong) : help || '');
    return control.tagName === 'FIELDSET' ? h('div', { class: 'field is-wide' }, control, below) : h('div', { class: 'field' }, h('label', { for: id }, label || NAMES[name]), control, below);
  }

  text(step, index, name, set, { longest, number, locked, ...words }) {
    const input = h('input', { id: `s${index}-${name}`, 'data-keep': `s${index}-${name}`, value: step[name] ?? '', maxlength: longest, inputmode: number ? 'numeric' : null, autocomplete: 'off', spellcheck: 'false', readonly: locked || null, dir: name === 'title' ? 'auto' : null });
    input.addEventListener('input', () => {
      if (name === 'key') for (const other of this.draft.steps) other.needs = other.needs.map((key) => (key === step.key ? input.value : key));
      set(name, number ? (/^\d+$/.test(input.value.trim()) ? Number(input.value) : input.value.trim() || null) : input.value);
    });
    // Not drawn anew: what was pressed to leave the field must still be there when it is let go.
    if (name === 'title') input.addEventListener('input', () => { this.steps.children[index].querySelector('.template-fold b').textContent = input.value || 'New step'; });
    return this.around(index, name, input, words);
  }

  choice(step, index, name, choices, set, help) {
    const select = h('select', { id: `s${index}-${name}`, 'data-keep': `s${index}-${name}` }, ...choices.map(([value, title]) => h('option', { value }, title)));
    select.value = step[name];
    select.addEventListener('change', () => { set(name, select.value); this.again(`s${index}-${name}`); });
    return this.around(index, name, select, { help });
  }

  ticks(step, index, name, choices, set, help) {
    const all = [...choices, ...step[name].filter((key) => !choices.some(([known]) => known === key)).map((key) => [key, key])];
    const fieldset = h('fieldset', { class: 'template-ticks' }, h('legend', {}, NAMES[name]), ...all.map(([value, title]) => {
      const box = h('input', { type: 'checkbox', value });
      box.checked = step[name].includes(value);
      box.addEventListener('change', () => set(name, all.map(([key]) => key).filter((key) => fieldset.querySelector(`input[value="${CSS.escape(key)}"]`).checked)));
      return h('label', {}, box, title || value);
    }));
    return this.around(index, name, fieldset, { help });
  }

  tick(step, index, set) {
    const box = h('input', { type: 'checkbox', id: `s${index}-is_optional`, 'data-keep': `s${index}-is_optional` });
    box.checked = step.is_optional;
    box.addEventListener('change', () => { set('is_optional', box.checked); this.again(`s${index}-is_optional`); });
    return h('label', { class: 'template-tick' }, box, 'Optional: Connect is complete without it');
  }

  again(keep) {
    this.showEditor();
    if (keep) this.editor.querySelector(`[data-keep="${CSS.escape(keep)}"]`)?.focus({ preventScroll: true });
  }

  move(index, by) {
    const { steps } = this.draft;
    const to = index + by;
    if (to < 0 || to >= steps.length) return;
    const keep = document.activeElement?.dataset?.keep || `step ${index}`;
    [steps[index], steps[to]] = [steps[to], steps[index]];
    this.problems = {};
    const [one, other] = [this.opened.has(index), this.opened.has(to)];
    one ? this.opened.add(to) : this.opened.delete(to);
    other ? this.opened.add(index) : this.opened.delete(index);
    this.keep();
    this.again(keep.replace(/\d+/, String(to)));
    this.said.textContent = `${steps[to].title} is step ${to + 1} of ${steps.length}.`;
  }

  add() {
    const { steps } = this.draft;
    if (steps.length >= this.config.most) { openText('That cannot be done', h('p', {}, `A template has ${this.config.most} steps at most.`)); return; }
    let n = steps.length + 1;
    while (steps.some(({ key }) => key === `own_step_${n}`)) n += 1;
    steps.push({ key: `own_step_${n}`, title: '', services: 'SA', owner: 'partner', needs: [], is_optional: false, not_on: [], directories: [], due_days: null, help_url: '', check_key: '' });
    this.opened.add(steps.length - 1);
    this.keep();
    this.again(`s${steps.length - 1}-title`);
  }

  remove(index) {
    const [gone] = this.draft.steps.splice(index, 1);
    for (const other of this.draft.steps) other.needs = other.needs.filter((key) => key !== gone.key);
    this.opened.clear();
    this.problems = {};
    this.keep();
    this.again('add step');
    this.said.textContent = `${gone.title || 'The step'} was removed.`;
  }

  async store() {
    if (this.save.getAttribute('aria-busy')) return;
    if (!this.changed) { this.note.textContent = 'Nothing was changed.'; return; }
    const { key, draft, save } = this;
    const sent = JSON.stringify(draft);
    save.setAttribute('aria-busy', 'true');
    this.problems = {};
    try {
      const { version, now } = await send('POST', `${ADDRESS}/${key}`, draft);
      this.asking.overtaken();
      this.templates = now.templates;
      const isSame = JSON.stringify(draft) === sent;
      if (!isSame) draft.was = version; // typed on meanwhile: stays
      remember(`template ${key}`, isSame ? null : draft);
      if (this.key === key && isSame) this.choose(key);
      this.show();
      if (this.key === key && isSame) this.note.textContent = `Saved as version ${version}.`;
    } catch (error) {
      if (this.key === key) this.say(error);
      else openText('The template was not saved', h('p', {}, error.message));
    } finally {
      save.removeAttribute('aria-busy');
    }
  }

  say(error) {
    for (const [field, text] of wrongFields(error)) {
      const [, number, name] = field.split(' ');
      if (name && this.draft.steps[number - 1]) { this.problems[field] = text; this.opened.add(number - 1); }
      else if (field === 'name') this.problems.name = worded('Name', text);
      else this.problems[''] = field === 'version' ? 'Somebody else has saved this template meanwhile; your changes are still here. Discard them to see what it says now.' : worded('The steps', text);
    }
    if (!Object.keys(this.problems).length) this.problems[''] = error.message;
    this.show();
    this.note.textContent = 'Not saved.';
    this.editor.querySelector('[aria-invalid=true]')?.focus();
  }
}

const pick = (choices, value) => choices.find(([known]) => known === value)?.[1] || value;
