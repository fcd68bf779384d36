/**
 * The rows of one messages-NNNNNN.json: every usermessage must be in the file of its message, because the import reads
 * one file at a time.
 */
import type { IdSpool } from '../ids/id-spool.js';
import type { RowCheck, SpecialCheck } from './row-check.js';
import { ABSENT, type TablePlan } from './table-scanner.js';

/** The ids that one worker collects from all of its files, by what they are. */
export interface Spools {
  messages: IdSpool;
  userMessages: IdSpool;
  /** By `table.key`. */
  references: ReadonlyMap<string, IdSpool>;
}

/** The messages of a file. */
export interface MessagesFound {
  min: number;
  max: number;
  /** Sorted. */
  ids: Float64Array;
}

const OUTSIDE = 'message is not in the same file';

/** Holds the message ids of one file; 1000 of them in a usual file. */
export class MessageRows {
  readonly #spools: Spools;
  #ids = new Float64Array(1024);
  #count = 0;
  #sorted = true;
  /** zerver_message has been read, so that `#ids` is complete. */
  #complete = false;
  /** Some usermessages came before the messages and were not checked. */
  #tooEarly = false;
  #cached = NaN;
  #messageSlot: number | undefined;

  constructor(spools: Spools) {
    this.#spools = spools;
  }

  get found(): MessagesFound | undefined {
    if (this.#count === 0) return undefined;
    this.#sort();
    return { min: this.#ids[0]!, max: this.#ids[this.#count - 1]!, ids: this.#ids.slice(0, this.#count) };
  }

  /** What is done with each row besides the usual; undefined for tables that are not of concern here. */
  special(table: string): SpecialCheck | undefined {
    if (table === 'zerver_message') return { keys: {}, row: (_, id) => { this.#addMessage(id); } };
    if (table === 'zerver_usermessage') {
      this.#complete = this.#count > 0;
      return { keys: { message: 'number' }, row: (check, id) => { this.#checkUserMessage(check, id); } };
    }
    return undefined;
  }

  #addMessage(id: number): void {
    if (!Number.isSafeInteger(id)) return;
    if (this.#count === this.#ids.length) {
      const longer = new Float64Array(this.#ids.length * 2);
      longer.set(this.#ids);
      this.#ids = longer;
    }
    if (this.#count > 0 && id < this.#ids[this.#count - 1]!) this.#sorted = false;
    this.#ids[this.#count++] = id;
    this.#spools.messages.add(id);
  }

  #checkUserMessage(check: RowCheck, id: number): void {
    if (Number.isSafeInteger(id)) this.#spools.userMessages.add(id);
    this.#messageSlot ??= check.slotOf('message');
    const message = this.#messageSlot === undefined ? ABSENT : check.values[this.#messageSlot]!;
    if (!this.#complete) this.#tooEarly = true;
    else if (!this.#has(message)) check.report('error', OUTSIDE, `row ${id} -> ${Number.isFinite(message) ? message : '?'}`);
  }

  /**
   * Checks what could not be checked: `rescan` reads the file once more with other plans. Files of ours and of Zulip's
   * have the messages first and need none.
   */
  finish(rescan: (planFor: (table: string) => TablePlan | undefined) => void, report: (message: string, example: string) => void): void {
    if (!this.#tooEarly) return;
    this.#sort();
    const values = new Float64Array(2);
    const plan: TablePlan = {
      values,
      texts: [],
      read: (key) => (key === 'id' || key === 'message' ? { reading: 'number', slot: key === 'id' ? 0 : 1 } : { reading: 'skip', slot: 0 }),
      row: () => {
        if (!this.#has(values[1]!)) report(OUTSIDE, `row ${values[0]} -> ${Number.isFinite(values[1]) ? values[1] : '?'}`);
      },
    };
    rescan((table) => (table === 'zerver_usermessage' ? plan : undefined));
  }

  #has(id: number): boolean {
    // Usermessages of one message tend to follow each other.
    if (id === this.#cached) return true;
    this.#sort();
    const ids = this.#ids;
    let low = 0;
    let high = this.#count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ids[middle]! < id) low = middle + 1;
      else high = middle;
    }
    if (this.#count === 0 || ids[low] !== id) return false;
    this.#cached = id;
    return true;
  }

  #sort(): void {
    if (this.#sorted) return;
    this.#ids.subarray(0, this.#count).sort();
    this.#sorted = true;
  }
}
