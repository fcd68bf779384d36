/** The steps of a backup, with their weights as soon as it is known how much there is. */
import { COMPARISON } from '../backup/prove.js';
import { INDEXES } from '../backup/restore/restore-post-data.js';
import { RESTORED_ROWS } from '../backup/restore/restore-rows.js';
import { UPLOADED_FILES } from '../backup/save/save-uploads.js';
import { PARTS } from '../backup/verify-backup.js';
import { tellAhead } from '../narration.js';

/** In bytes: what each file costs beside its content, and a schema. */
const FILE = 20_000;
const SCHEMA = 100_000;

export class BackupSteps {
  readonly #asked: { readonly uploads: boolean; readonly prove: boolean; readonly verify: boolean };
  #rows = 1;
  #files = 0;

  /** @param asked what is done beside the rows */
  constructor(asked: { readonly uploads: boolean; readonly prove: boolean; readonly verify: boolean }) {
    this.#asked = asked;
    this.#tell();
  }

  /** @param bytes of all tables on the server's disk */
  rows(bytes: number): void {
    this.#rows = bytes;
    this.#tell();
  }

  files(count: number, bytes: number): void {
    this.#files = bytes + count * FILE;
    this.#tell();
  }

  #tell(): void {
    const { uploads, prove, verify } = this.#asked;
    const [rows, files] = [this.#rows, this.#files];
    tellAhead([
      { name: 'rows', weight: rows }, ...(uploads ? [{ name: UPLOADED_FILES, weight: files }] : []),
      ...(prove ? [{ name: 'schema', weight: SCHEMA }, { name: RESTORED_ROWS, weight: rows / 2 }, { name: INDEXES, weight: rows / 2 }, { name: COMPARISON, weight: rows / 4 }] : []),
      ...(verify || (prove && uploads) ? [{ name: PARTS, weight: (verify ? rows + files : files) / 4 }] : []),
    ]);
  }
}
