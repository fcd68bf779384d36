/**
 * Checks a messages file that was made of one of an earlier export, which was found good, by rows in place of others. When the digest of that file comes out
 * with the old rows put back, the rest is as good as it was, and only the new rows are looked at. So what is asked of each row is asked of few, and
 * still nothing is believed of how the file was made.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { RealmliftError } from '../errors.js';
import { readFile } from '../json/file-input.js';
import type { JsonScanner } from '../json/json-scanner.js';
import type { ReplacedRow } from '../package/replaced-rows.js';
import { FileCensus, replaceInCensus } from './census.js';
import { asRead, type CheckedFile } from './checked-files.js';
import type { TableFileResult } from './check-table-file.js';
import type { Context } from './export-context.js';
import { FindingList } from './findings.js';
import type { Spools } from './message-rows.js';
import { RowCheck } from './row-check.js';
import { scanTexts } from './table-scanner.js';

type Table = 'zerver_message' | 'zerver_usermessage';

/** What stands behind the last usermessage. */
const END = ']}'.length;

const buffer = Buffer.alloc(256 * 1024);

/**
 * @param file relative to the export directory
 * @param known of the file that it was made of
 * @param replaced what was put there, in order
 * @returns undefined where there is anything to tell, or no proof: then it has to be read as any other
 */
export function checkMendedFile(file: string, known: CheckedFile, replaced: readonly ReplacedRow[], scanner: JsonScanner, context: Context, spools: Spools): TableFileResult | undefined {
  const before = asRead(file, known);
  const { ids } = before.messages;
  const back = new PutBack(replaced);
  const { size, sha256, damage } = readFile(join(context.directory, file), (source) => {
    for (let got = source(buffer, 0); got > 0; got = source(buffer, 0)) back.update(buffer.subarray(0, got));
  }, true);
  if (damage !== undefined || back.sha256() !== known.sha256) return undefined;
  try {
    const rows = new Replacement(file, scanner, context, new Set(ids));
    const found = rows.check(byTable(back.replaced, known), known.size - END);
    const census = found && replaceInCensus(before.census, rows.old.result, rows.now.result);
    if (found === undefined || census === undefined) return undefined;
    for (const id of ids) spools.messages.add(id);
    for (const id of found.userMessages) spools.userMessages.add(id);
    before.rows.set('zerver_usermessage', (before.rows.get('zerver_usermessage') ?? 0) + found.more);
    return { ...before, size, sha256, census };
  } catch (error) {
    if (error instanceof RealmliftError) return undefined;
    throw error;
  }
}

/** What was there, where it ended in the earlier file, and what is there now. */
interface Replaced {
  readonly old: Buffer;
  readonly oldEnd: number;
  readonly now: Buffer;
}

/** The digest of the earlier file, taken while the file passes. */
class PutBack {
  readonly replaced: Replaced[] = [];
  readonly #rows: readonly ReplacedRow[];
  readonly #hash = createHash('sha256');
  /** In the file, and in the earlier one. */
  #position = 0;
  #earlier = 0;
  /** What came of the row that is under way. */
  #pieces: Buffer[] = [];

  constructor(rows: readonly ReplacedRow[]) {
    this.#rows = rows;
  }

  update(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      const [start, length, old] = this.#rows[this.replaced.length] ?? [Infinity, 0, ''];
      const within = this.#position >= start;
      const piece = chunk.subarray(at, at + (within ? start + length : start) - this.#position);
      at += piece.length;
      this.#position += piece.length;
      if (within) {
        this.#pieces.push(Buffer.from(piece));
        if (this.#position === start + length) this.#put(Buffer.from(old));
      } else this.#keep(piece);
    }
  }

  sha256(): string {
    return this.#hash.digest('hex');
  }

  #put(old: Buffer): void {
    this.#keep(old);
    this.replaced.push({ old, oldEnd: this.#earlier, now: Buffer.concat(this.#pieces) });
    this.#pieces = [];
  }

  #keep(bytes: Buffer): void {
    this.#hash.update(bytes);
    this.#earlier += bytes.length;
  }
}

/** Which table they are of is known by where they were in the earlier file. */
function byTable(replaced: readonly Replaced[], { size, census: { bytes } }: CheckedFile): Record<Table, Replaced[]> {
  const border = size - (bytes.zerver_usermessage ?? 0);
  return { zerver_message: replaced.filter(({ oldEnd }) => oldEnd < border), zerver_usermessage: replaced.filter(({ oldEnd }) => oldEnd >= border) };
}

class Replacement {
  readonly old = new FileCensus();
  readonly now = new FileCensus();
  readonly #file: string;
  readonly #scanner: JsonScanner;
  readonly #context: Context;
  readonly #messages: ReadonlySet<number>;

  /** @param messages ids of all messages of the file */
  constructor(file: string, scanner: JsonScanner, context: Context, messages: ReadonlySet<number>) {
    [this.#file, this.#scanner, this.#context, this.#messages] = [file, scanner, context, messages];
  }

  /** @param end of the usermessages in the earlier file @returns ids of those that were checked, and how many came behind the others; undefined where there is anything to tell */
  check(replaced: Record<Table, Replaced[]>, end: number): { readonly userMessages: readonly number[]; readonly more: number } | undefined {
    const messages = this.#sameRows('zerver_message', replaced.zerver_message, false);
    const userMessages = this.#sameRows('zerver_usermessage', replaced.zerver_usermessage, replaced.zerver_usermessage.at(-1)?.oldEnd === end);
    return messages === undefined || userMessages === undefined ? undefined : { userMessages, more: userMessages.length - replaced.zerver_usermessage.length };
  }

  /** @param more whether rows may follow behind the last one @returns the ids of the new rows; undefined where there is anything to tell, or they are not one for one in the place of an old one with the same id */
  #sameRows(table: Table, replaced: readonly Replaced[], more: boolean): number[] | undefined {
    // An object of the file, and none in a text of it: there its quotes would have a backslash.
    if (!replaced.every(({ old }) => old.toString('latin1', 0, 2) === '{"')) return undefined;
    const findings = new FindingList();
    const old = this.#scan(table, replaced.map((each) => each.old), this.old, new FindingList());
    const now = this.#scan(table, replaced.map((each) => each.now), this.now, findings);
    if (findings.counts.errors + findings.counts.notes > 0 || old === undefined || now === undefined) return undefined;
    if (old.ids.length !== replaced.length || now.rows.slice(0, more ? -1 : undefined).some((rows) => rows !== 1)) return undefined;
    return old.ids.every((id, at) => id === now.ids[at]) ? now.ids : undefined;
  }

  #scan(table: Table, texts: readonly Buffer[], census: FileCensus, findings: FindingList): { readonly ids: number[]; readonly rows: number[] } | undefined {
    const ids: number[] = [];
    let strange = false;
    const check: RowCheck = new RowCheck(this.#file, table, this.#context, findings, () => undefined, census.beside(table, {
      keys: table === 'zerver_usermessage' ? { message: 'number' } : {},
      row: (row, id) => {
        ids.push(id);
        if (table === 'zerver_usermessage' && !this.#messages.has(row.number('message'))) strange = true;
      },
    }));
    const rows = scanTexts(this.#scanner, check, texts);
    census.result.bytes[table] = texts.reduce((sum, { length }) => sum + length, 0);
    return strange || check.disordered ? undefined : { ids, rows };
  }
}
