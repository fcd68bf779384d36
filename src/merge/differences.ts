/**
 * What the exports disagreed about: counted by table, and each named in the report by table, id and keys. Values are never
 * repeated. The list goes to disk as it grows.
 */
import { RealmliftError } from '../errors.js';
import { PartFile } from '../package/part-file.js';
import { differentKeys, type Choice } from './choose-row.js';
import type { Candidate } from './sorted-rows.js';

export interface Disagreement {
  /** Rows or files whose versions differ; that of the later snapshot was taken. */
  differing: number;
  /** Versions of scrubbed users that gave way to the users as they are. */
  scrubbed_gave_way: number;
  /** Rows that gave way to the same thing made anew under another id. */
  superseded: number;
  /** Usermessages of users who have become placeholders since. */
  of_former_accounts: number;
}

export class Differences {
  /** By table, or `files` for the files. */
  readonly counts = new Map<string, Disagreement>();
  readonly #fail: boolean;
  readonly #file: PartFile;
  #listed = 0;

  /**
   * @param path where the list is gathered, as a JSON array
   * @param fail stop at the first difference
   */
  constructor(path: string, fail: boolean) {
    this.#fail = fail;
    this.#file = new PartFile(path);
    this.#file.writeText('[');
  }

  /** @throws RealmliftError MERGE_CONFLICT when differences are to stop the merge */
  rows({ chosen, differing, gaveWay }: Choice): void {
    if (gaveWay > 0) this.#of(chosen.table).scrubbed_gave_way += gaveWay;
    for (const other of differing) {
      const keys = differentKeys(chosen, other);
      this.#differ(chosen.table, { table: chosen.table, id: chosen.id, keys, kept: chosen.input.index, dropped: other.input.index }, `row ${chosen.id} differs in ${keys.join(', ')}`);
    }
  }

  file(path: string, kept: number, dropped: number): void {
    this.#differ('files', { file: path, kept, dropped }, `${path} has another content`);
  }

  superseded({ table, id, input }: Candidate): void {
    this.#of(table).superseded += 1;
    this.#list({ table, id, superseded: true, dropped: input.index });
  }

  formerAccount({ table, id, input }: Candidate): void {
    this.#of(table).of_former_accounts += 1;
    this.#list({ table, id, of_former_account: true, dropped: input.index });
  }

  /** Rows and files that differed. */
  get total(): number {
    return [...this.counts.values()].reduce((sum, each) => sum + each.differing, 0);
  }

  async finish(): Promise<void> {
    this.#file.writeText(this.#listed === 0 ? ']' : '\n]');
    await this.#file.finish();
  }

  abandon(): void {
    this.#file.abandon();
  }

  #differ(where: string, entry: object, what: string): void {
    if (this.#fail) {
      throw new RealmliftError('MERGE_CONFLICT', 'merge', `${what} between the exports`, {
        table: where === 'files' ? undefined : where, hint: 'without --on-conflict fail the later snapshot wins, and the report names each difference',
      });
    }
    this.#of(where).differing += 1;
    this.#list(entry);
  }

  #of(where: string): Disagreement {
    let counts = this.counts.get(where);
    if (counts === undefined) this.counts.set(where, (counts = { differing: 0, scrubbed_gave_way: 0, superseded: 0, of_former_accounts: 0 }));
    return counts;
  }

  #list(entry: object): void {
    this.#file.writeText(`${this.#listed++ === 0 ? '' : ','}\n${JSON.stringify(entry)}`);
  }
}
