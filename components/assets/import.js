// Importing customers: a file is taken in and judged, what would change is shown, and only then is anything stored. The
// server goes on by itself; whoever comes back to the page finds what became of the file.
import { h, live, number } from './live.js';
import { read } from './tips.js';
import { send } from './dialog.js';
import { shape } from './icons.js';

const EVERY = 400; // ms between two looks at how far it is
const WORDS = { added: 'New', updated: 'Changed', unchanged: 'Unchanged', refused: 'Refused' };
const BECAME = { added: 'new', updated: 'changed', unchanged: 'unchanged', refused: 'refused' };

export function mount(root, config) {
  const page = new ImportPage(root, config);
  return { destroy: () => page.destroy() };
}

class ImportPage {
  constructor(root, config) {
    this.config = config;
    this.box = h('div', { class: 'import-box' });
    this.said = h('p', { class: 'sr-only', role: 'status' });
    root.append(this.box, this.said);
    this.showChoice();
    this.comeBack();
  }

  destroy() {
    this.gone = true;
    clearTimeout(this.soon);
    this.sending?.abort();
  }

  // -- choosing a file ------------------------------------------------------------------------------------------------

  showChoice(problem = '') {
    clearTimeout(this.soon);
    this.upload = null;
    const input = h('input', { type: 'file', accept: '.csv,text/csv,text/plain', class: 'sr-only', id: 'import-file', onchange: () => input.files[0] && this.take(input.files[0]) });
    const drop = h('div', { class: 'drop' },
      shape('upload'),
      h('p', { class: 'empty-title' }, 'Drop a CSV file here'),
      h('p', { class: 'quiet' }, `or choose one, up to ${Math.round(this.config.largest / 1e6)} MB. Nothing is stored before you have seen what would change.`),
      input, h('label', { class: 'button primary', for: 'import-file' }, 'Choose a file'));
    const over = (on) => (event) => { event.preventDefault(); drop.classList.toggle('is-over', on); };
    drop.addEventListener('dragover', over(true));
    drop.addEventListener('dragleave', over(false));
    drop.addEventListener('drop', (event) => {
      over(false)(event);
      const [file] = event.dataTransfer.files;
      if (file) this.take(file);
    });
    this.show(problem && notice(problem), drop,
      h('p', { class: 'quiet' }, 'New account codes make new customers; known ones are updated, and an empty cell keeps what is stored. ',
        h('a', { href: '/api/ui/import-template.csv', download: true }, 'Template'), ' · ', h('a', { href: this.config.help, ...(this.config.help.startsWith('/') ? {} : { target: '_blank', rel: 'noopener' }) }, 'Which columns there are')));
  }

  async take(file) {
    if (file.size > this.config.largest) return this.showChoice(`${file.name} is larger than ${Math.round(this.config.largest / 1e6)} MB, which is the most that is taken. Split it into several files.`);
    if (!file.size) return this.showChoice(`${file.name} is empty.`);
    this.showProgress({ name: file.name, state: 'sending', done: 0, lines: 0 });
    this.sending = new AbortController();
    try {
      const response = await fetch(`/api/ui/imports?name=${encodeURIComponent(file.name)}`, { method: 'POST', headers: { 'Content-Type': 'text/csv' }, body: file, signal: this.sending.signal });
      this.told(await read(response));
    } catch (error) {
      if (this.gone) return;
      if (error.status === 401) return live.leave();
      this.showChoice(error.status ? error.message : 'The file could not be sent: the server does not answer. Nothing was stored; try again in a moment.');
    }
  }

  async comeBack() {
    try {
      const { upload } = await fetch('/api/ui/imports', { cache: 'no-store' }).then(read);
      if (!this.gone && !this.upload && !this.sending && upload) this.told(upload);
    } catch (error) {
      if (error.status === 401) live.leave();
    }
  }

  // -- how far it is --------------------------------------------------------------------------------------------------

  told(upload) {
    if (this.gone) return;
    const before = this.upload;
    this.upload = upload;
    clearTimeout(this.soon);
    if (['reading', 'waiting', 'importing'].includes(upload.state)) {
      this.showProgress(upload);
      this.soon = setTimeout(() => this.look(), EVERY);
    } else if (upload.state === 'refused') {
      this.showChoice(`${upload.name} cannot be imported. ${upload.error}`);
    } else if (upload.state === 'failed') {
      this.showChoice(`The import of ${upload.name} stopped. ${upload.error}`);
    } else if (upload.state === 'done') {
      this.showResult();
    } else if (before?.state !== 'ready' || before.id !== upload.id) this.showPreview();
  }

  async look() {
    const { id } = this.upload;
    try {
      const upload = await fetch(`/api/ui/imports/${id}`, { cache: 'no-store', signal: AbortSignal.timeout(8000) }).then(read);
      if (this.upload?.id === id) this.told(upload);
    } catch (error) {
      if (this.gone || this.upload?.id !== id) return;
      if (error.status === 401) return live.leave();
      if (error.status === 404) return this.showChoice('The portal was started anew and no longer knows the file. What was stored before stays: choose the file again to see what is left to do.');
      this.soon = setTimeout(() => this.look(), 4 * EVERY); // the server is away
    }
  }

  showProgress({ name, state, done, lines }) {
    const doing = { sending: 'Sending the file …', reading: 'Reading the lines …', waiting: 'Waiting for another import to be done …', importing: 'Importing …' }[state];
    if (this.progress?.isConnected && this.progress.dataset.name === name) {
      this.bar.removeAttribute('value');
      if (lines) { this.bar.max = lines; this.bar.value = done; }
      this.doing.textContent = doing;
      this.far.textContent = lines ? `${number(done)} of ${number(lines)} lines` : '';
      this.stays.textContent = state === 'importing' || state === 'waiting' ? 'You may leave this page: the import goes on.' : 'Nothing is stored yet.';
      return;
    }
    this.bar = h('progress', { 'aria-label': 'How far it is' });
    this.doing = h('b', {}, doing);
    this.far = h('span', { class: 'quiet' });
    this.stays = h('p', { class: 'quiet' }, 'Nothing is stored yet.');
    this.progress = h('section', { class: 'card import-progress', 'data-name': name }, h('h2', { dir: 'auto' }, name), h('p', { role: 'status' }, this.doing), h('div', { class: 'progress-line' }, this.bar, this.far), this.stays);
    this.show(this.progress);
    if (lines) this.showProgress({ name, state, done, lines });
  }

  // -- what would change ----------------------------------------------------------------------------------------------

  showPreview() {
    const { name, preview, size } = this.upload;
    const some = preview.added + preview.updated;
    const choices = [['skip', 'Import the others', 'A refused line is left out; everything else is stored.'], ['all', 'Import nothing', 'All lines or none.']]
      .map(([value, title, about]) => [h('input', { type: 'radio', name: 'refused', value }), title, about]);
    choices[0][0].checked = true;
    const button = h('button', { class: 'button primary', type: 'submit' });
    const why = h('p', { class: 'quiet small', role: 'status' });
    const judge = () => {
      const all = choices[1][0].checked;
      const stops = all && preview.refused > 0;
      button.textContent = some ? `Import ${number(some)} ${some === 1 ? 'customer' : 'customers'}` : 'Import';
      button.setAttribute('aria-disabled', String(stops));
      why.textContent = stops ? `Nothing would be imported: ${lines(preview.refused)} refused. Correct ${preview.refused === 1 ? 'it' : 'them'}, or import the others.` : '';
    };
    const form = h('form', { class: 'card import-apply' },
      h('fieldset', {}, h('legend', {}, 'If a line is refused'), ...choices.map(([input, title, about]) => h('label', { class: 'tick' }, input, h('span', {}, title, h('span', { class: 'quiet small tick-about' }, about))))),
      why, h('div', { class: 'dialog-buttons' }, this.again(), button));
    form.addEventListener('change', judge);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (button.getAttribute('aria-disabled') !== 'true') this.apply(choices[1][0].checked, button);
    });
    judge();
    const nothing = h('section', { class: 'card' }, h('h2', {}, 'There is nothing to import'),
      h('p', { class: 'quiet' }, preview.refused ? 'Every line that would change something was refused. Correct the file and choose it again.' : 'Everything in this file is stored as it is already.'),
      h('div', { class: 'dialog-buttons' }, this.again('primary')));
    this.show(
      h('p', { class: 'import-file' }, shape('file'), h('b', { dir: 'auto' }, name), h('span', { class: 'quiet' }, ` ${bytes(size)} – nothing is stored yet`)),
      figures(preview, 'would be'),
      ...preview.warnings.map((text) => h('p', { class: 'notice' }, text)),
      some ? form : nothing,
      this.refusals(preview),
      this.samples('What would change', preview.changed, preview.updated, false),
      this.samples('What would be added', preview.new, preview.added, true),
    );
    this.said.textContent = `${name}: ${number(preview.added)} new, ${number(preview.updated)} changed, ${number(preview.unchanged)} unchanged, ${number(preview.refused)} refused.`;
    this.box.querySelector('.figure-row')?.focus();
  }

  async apply(all, button) {
    if (button.getAttribute('aria-busy')) return;
    button.setAttribute('aria-busy', 'true');
    try {
      this.told(await send('POST', `/api/ui/imports/${this.upload.id}/apply`, { sha256: this.upload.sha256, all_or_nothing: all }));
    } catch (error) {
      button.removeAttribute('aria-busy');
      if (error.status === 404) return this.showChoice('The portal no longer knows this file: it was kept for an hour. Choose it again.');
      this.box.querySelector('.notice.bad')?.remove();
      this.box.prepend(notice(error.message));
    }
  }

  // -- what became of it ----------------------------------------------------------------------------------------------

  showResult() {
    const { name, result, all_or_nothing: all } = this.upload;
    const stored = result.added + result.updated;
    const nothing = all && result.refused > 0;
    const differs = result.unlike?.length ? h('section', { class: 'card' }, h('h2', {}, 'Not as it was shown before'),
      h('p', { class: 'quiet' }, 'Somebody changed customers between the preview and the import. These lines came out differently:'),
      table(['Line', 'Before', 'Now'], result.unlike.map(([line, before, now]) => [number(line), BECAME[before], BECAME[now]]))) : null;
    this.show(
      nothing ? notice(`Nothing was imported from ${name}: ${lines(result.refused)} refused, and all or nothing was chosen.`)
        : h('p', { class: 'notice import-done', tabindex: '-1' }, shape('done'), h('span', {}, stored ? `${name} was imported.` : `${name}: there was nothing left to change.`)),
      nothing ? null : figures(result, 'were'),
      differs, this.refusals(result),
      h('div', { class: 'card-actions' }, h('a', { class: 'button primary', href: '/customers/in-progress' }, 'To the customers'), this.again('', 'Import another file')));
    this.said.textContent = nothing ? 'Nothing was imported.' : `Imported: ${number(result.added)} new, ${number(result.updated)} changed, ${number(result.refused)} refused.`;
    this.box.querySelector('.import-done')?.focus();
  }

  refusals({ refused, reasons, refusals }) {
    if (!reasons) return null;
    const few = reasons > refusals.length ? `The first ${number(refusals.length)} of ${number(reasons)} reasons. ` : '';
    const more = h('p', { class: 'quiet small' }, `${few}The CSV holds the refused lines as they are, with what is wrong: correct them there, and import it.`);
    return h('section', { class: 'card' },
      h('div', { class: 'card-head' }, h('h2', {}, `${lines(refused)} refused`), h('a', { class: 'button', download: true, target: '_blank', href: `/api/ui/imports/${this.upload.id}/refused.csv` }, shape('download'), 'CSV')),
      more, table(['Line', 'Column', 'Reason'], refusals.map(({ line, column, why }) => [number(line), column || '–', why]), 'long-table'));
  }

  samples(title, samples, count, isNew) {
    if (!samples.length) return null;
    const rows = samples.map(({ line, name, account_code: code, changes }) => [number(line), h('span', { dir: 'auto' }, h('b', {}, name), h('span', { class: 'quiet' }, ` ${code}`)),
      h('ul', { class: 'changes' }, ...changes.map(([heading, before, after]) => h('li', {}, h('span', { class: 'quiet' }, `${heading}: `), ...(isNew ? [after] : [before ? h('s', {}, before) : h('i', { class: 'quiet' }, 'empty'), h('span', { 'aria-hidden': 'true' }, ' → '), h('span', { class: 'sr-only' }, ' becomes '), h('b', {}, after || 'empty')]))))]);
    return h('section', { class: 'card' }, h('h2', {}, title),
      count > samples.length && h('p', { class: 'quiet small' }, `The first ${number(samples.length)} of ${number(count)}.`),
      table(['Line', 'Customer', isNew ? 'With' : 'Change'], rows, 'long-table'));
  }

  again(look = '', text = 'Choose another file') {
    return h('button', { class: `button ${look}`, type: 'button', onclick: () => { this.showChoice(); this.box.querySelector('input[type=file]').focus(); } }, text);
  }

  show(...parts) { this.box.replaceChildren(...parts.filter(Boolean)); }
}

const lines = (count) => `${number(count)} ${count === 1 ? 'line is' : 'lines are'}`;
const bytes = (size) => (size < 1e6 ? `${Math.max(1, Math.round(size / 1000))} KB` : `${(size / 1e6).toFixed(1)} MB`);
const notice = (text) => h('p', { class: 'notice bad', role: 'alert' }, shape('bad'), h('span', {}, text));

function figures(counts, verb) {
  return h('dl', { class: 'figure-row', tabindex: '-1', 'aria-label': `Lines that ${verb} …` }, ...Object.entries(WORDS).map(([key, word]) =>
    h('div', { class: `figure-small${key === 'refused' && counts.refused ? ' is-bad' : ''}` }, h('dt', {}, key === 'refused' && counts.refused ? shape('bad') : '', word), h('dd', {}, number(counts[key])))));
}

function table(headings, rows, look = '') {
  return h('div', { class: `plain-table-box ${look}`, tabindex: '0', role: 'region', 'aria-label': headings.join(', ') }, h('table', { class: 'plain-table' },
    h('thead', {}, h('tr', {}, ...headings.map((heading) => h('th', { scope: 'col' }, heading)))),
    h('tbody', {}, ...rows.map((cells) => h('tr', {}, ...cells.map((cell, index) => h('td', { 'data-label': headings[index] }, cell)))))));
}
