// Asks the server for what a page shows: one question at a time, so that an answer never overtakes a newer one.
import { live } from './live.js';
import { isRefused, read } from './tips.js';

const TRY_AGAIN = 5000; // ms until what could not be read is asked for once more

export class Asking {
  constructor(address, { found, failed = () => {} }) { Object.assign(this, { address, found, failed }); }

  stop() {
    this.gone = true;
    clearTimeout(this.soon);
  }

  // Something was stored, and is shown: an answer that is on its way may have been read before, and is not.
  overtaken() { if (this.loading) this.isOld = this.again = true; }

  // Who wants an answer while another one is on its way gets it afterwards.
  async load() {
    if (this.loading) return void (this.again = true);
    this.loading = true;
    this.again = this.isOld = false;
    clearTimeout(this.soon);
    try {
      const answer = await read(await fetch(this.address, { cache: 'no-store', signal: AbortSignal.timeout(15000) }));
      if (!this.gone && !this.isOld) this.found(answer);
    } catch (error) {
      if (this.gone) return;
      if (error.status === 401) return void live.leave();
      this.failed(error);
      if (!isRefused(error)) this.soon = setTimeout(() => this.load(), TRY_AGAIN);
    } finally {
      this.loading = false;
    }
    if (this.again && !this.gone) this.load();
  }
}
