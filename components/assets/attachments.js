// Attachments: each opens as the safe PDF that was made of it; until that is done the row says so.
import { h, when } from './live.js';
import { shape } from './icons.js';
import { openText, send } from './dialog.js';

const size = (bytes) => (bytes == null ? '' : bytes < 1024 * 1024 ? `${Math.max(1, Math.round(bytes / 1024))} kB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`);
const SAYS = { waiting: 'Waiting to be made safe', working: 'Being made safe', failed: 'No safe PDF' };

export class AttachmentsBody {
  constructor(page, box) {
    this.page = page;
    this.uploads = h('ul', { class: 'files', 'aria-live': 'polite' });
    this.list = h('ul', { class: 'files' });
    const actions = [];
    if (page.may('attachment.add')) {
      const input = h('input', { type: 'file', multiple: true, class: 'sr-only', id: 'attach', 'aria-label': 'Attach files', onchange: () => { [...input.files].forEach((file) => this.upload(file)); input.value = ''; } });
      actions.push(h('div', { class: 'card-actions drop' }, h('label', { class: 'button', for: 'attach' }, 'Attach …'), input,
        h('span', { class: 'quiet small' }, `or drop files here: ${page.config.accepted}, up to ${page.config.upload_mb} MB`)));
      box.addEventListener('dragover', (event) => { event.preventDefault(); box.classList.add('is-over'); });
      box.addEventListener('dragleave', () => box.classList.remove('is-over'));
      box.addEventListener('drop', (event) => { event.preventDefault(); box.classList.remove('is-over'); [...event.dataTransfer.files].forEach((file) => this.upload(file)); });
    }
    box.append(...actions, this.uploads, this.list);
  }

  show({ rows }) {
    this.list.replaceChildren(...(rows.length ? rows.map((row) => this.item(row)) : [h('li', { class: 'calm' }, 'No documents yet.')]));
  }

  item(row) {
    const address = `${this.page.address}/attachments/${row.id}.pdf`;
    const facts = [row.kind_title, row.pages ? `${row.pages} ${row.pages === 1 ? 'page' : 'pages'}` : '', row.state === 'ready' ? size(row.pdf_size) : size(row.size), row.uploaded_by].filter(Boolean).join(' · ');
    const opens = row.state === 'ready' && !row.is_closed; // closed: there are prices in it, and this viewer sees none
    return h('li', { class: `file is-${row.state}` }, shape(row.state === 'failed' ? 'bad' : 'file'),
      h('div', { class: 'file-what' },
        opens ? h('a', { href: address, target: '_blank', rel: 'noopener', 'data-keep': `file ${row.id}` }, row.name) : h('b', {}, row.name),
        h('span', { class: 'quiet small' }, facts, ' · ', when(row.uploaded_at)),
        row.is_closed && h('span', { class: 'quiet small' }, 'There are prices in it, which your role does not include.'),
        row.state !== 'ready' && h('span', { class: row.state === 'failed' ? 'tone-bad small' : 'small' }, SAYS[row.state], row.reason ? `: ${row.reason}` : row.state === 'failed' ? '' : ' …')),
      opens && h('a', { class: 'icon-button', href: `${address}?download=1`, download: true, target: '_blank', 'aria-label': `Download ${row.name}`, 'data-keep': `download ${row.id}` }, shape('download')),
      row.has_original && row.state !== 'waiting' && row.state !== 'working' && this.page.may('attachment.delete_original')
        && h('button', { class: 'button plain small', type: 'button', 'data-keep': `original ${row.id}`, onclick: (event) => this.deleteOriginal(row, event.currentTarget) }, 'Delete original'));
  }

  async deleteOriginal(row, button) {
    if (!button.dataset.sure) { // a second press, within some seconds, says that it is meant
      button.dataset.sure = '1';
      button.textContent = 'Delete for good?';
      return void setTimeout(() => { if (button.isConnected) { delete button.dataset.sure; button.textContent = 'Delete original'; } }, 4000);
    }
    try {
      await send('DELETE', `${this.page.address}/attachments/${row.id}/original`);
    } catch (error) { openText('The original was not deleted', h('p', {}, error.message)); }
  }

  upload(file) {
    const bar = h('progress', { max: 1, value: 0, 'aria-label': `Uploading ${file.name}` });
    const says = h('span', { class: 'quiet small' }, 'Uploading …');
    const request = new XMLHttpRequest();
    const stop = h('button', { class: 'button plain small', type: 'button', onclick: () => request.abort() }, 'Cancel');
    const row = h('li', { class: 'file' }, shape('file'), h('div', { class: 'file-what' }, h('b', {}, file.name), bar, says), stop);
    const fail = (text) => {
      bar.remove();
      says.className = 'tone-bad small';
      says.textContent = text;
      stop.textContent = 'Dismiss';
      stop.onclick = () => row.remove();
    };
    request.upload.onprogress = (event) => { if (event.lengthComputable) bar.value = event.loaded / event.total; };
    request.onabort = () => row.remove();
    request.onerror = () => fail('The upload was cut off. Nothing was stored: try again.');
    request.onload = () => {
      if (request.status < 300) return row.remove();
      let text = `The server answered ${request.status}.`;
      try { text = JSON.parse(request.responseText).error || text; } catch { /* the status says enough */ }
      fail(text);
    };
    if (file.size > this.page.config.upload_mb * 1024 * 1024) { // told before megabytes were sent; the server checks all the same
      this.uploads.append(row);
      return fail(`It is ${size(file.size)}; at most ${this.page.config.upload_mb} MB are accepted.`);
    }
    this.uploads.append(row);
    request.open('POST', `${this.page.address}/attachments?name=${encodeURIComponent(file.name)}`);
    request.send(file);
  }
}
