/**
 * Indexes, constraints and all else that comes after the rows, several at a time.
 *
 * What the server refuses stops nothing else: it is set aside, and tried again when the rest is there. What it still refuses is then
 * told, all of it, and the database stays unfinished, with every row and everything else in place: once that is mended, the restore goes on. A
 * materialized view is no reason for that: its rows are those of other tables, or of other servers.
 */
import type pg from 'pg';
import type { CopyInJournal } from '../../copy/copy-in-journal.js';
import { RealmliftError } from '../../errors.js';
import { tellPhase, tellProgress } from '../../narration.js';
import { executeEntries } from '../schema/schema-order.js';
import type { SchemaEntry, SchemaScript } from '../schema/schema-script.js';
import { executeEntry, executeSettings, type SchemaWork } from './restore-schema.js';

/** The step's name. */
export const INDEXES = 'indexes and constraints';

export interface PostDataSessions {
  readonly work: SchemaWork;
  readonly jobs: number;
  readonly connect: () => Promise<pg.Client>;
  /** The database's own search path, in SQL; empty for none. */
  readonly path: string;
  /** Bytes of a table, by `schema.name`: the largest come first. */
  readonly sizes: ReadonlyMap<string, number>;
}

/** An entry that the server refused. */
interface Refused {
  readonly entry: SchemaEntry;
  readonly error: RealmliftError;
}

/** @returns what was left out, in words @throws RealmliftError SCHEMA_REFUSED naming the objects */
export async function restorePostData({ settings, entries }: SchemaScript, { work, jobs, connect, path, sizes }: PostDataSessions, journal: CopyInJournal<unknown>, stop: AbortSignal): Promise<string[]> {
  const steps = new Map(entries.map((entry, at) => [entry, `post-data ${at + 1}`]));
  const warnings: string[] = [];
  const free: pg.Client[] = [];
  const all: pg.Client[] = [];
  const attempt = async (entry: SchemaEntry): Promise<Refused | undefined> => {
    stop.throwIfAborted();
    const client = free.pop() as pg.Client;
    try {
      await journal.step(client, steps.get(entry) as string, async () => {
        const warning = await executeEntry(client, entry, path, work);
        if (warning !== undefined) warnings.push(warning);
      });
      free.push(client);
      return undefined;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      free.push(client);
      return { entry, error };
    }
  };
  try {
    for (let n = 0; n < jobs; n++) {
      const client = await connect();
      all.push(client);
      free.push(client);
      await executeSettings(client, settings, work);
    }
    tellPhase(INDEXES, 'steps', entries.length);
    let refused: Refused[] = [];
    await executeEntries(entries, jobs, (table) => sizes.get(table) ?? 0, async (entry) => {
      const refusal = await attempt(entry);
      tellProgress(1);
      if (refusal !== undefined) refused.push(refusal);
    });
    for (let before = Infinity; refused.length > 0 && refused.length < before;) {
      before = refused.length;
      const again = refused;
      refused = [];
      for (const { entry } of again.sort((a, b) => entries.indexOf(a.entry) - entries.indexOf(b.entry))) {
        const refusal = await attempt(entry);
        if (refusal !== undefined) refused.push(refusal);
      }
    }
    const views = refused.filter(({ entry }) => entry.type === 'MATERIALIZED VIEW DATA');
    const others = refused.filter((each) => !views.includes(each));
    if (others.length > 0) throw told(others, work);
    return [...warnings, ...views.map(({ error }) => `a materialized view was not filled: ${error.message}`)];
  } finally {
    await Promise.all(all.map((client) => client.end().catch(() => undefined)));
  }
}

/** The server's own no to this object; not a right that is missing, nor a failure of server, disk or connection. */
function isRefusal(error: unknown): error is RealmliftError {
  const { code, cause } = error as RealmliftError;
  const state = (cause as { code?: string } | undefined)?.code ?? '';
  return code === 'SCHEMA_REFUSED' && /^(0A|2|3|42|44|55|P0)/.test(state) && state !== '42501';
}

/** Objects that a message names. */
const NAMED = 5;

function told(refused: readonly Refused[], work: SchemaWork): RealmliftError {
  const [first] = refused as [Refused];
  const messages = refused.slice(0, NAMED).map(({ error }) => error.message).join('; ');
  const hint = work === 'split' ? first.error.hint : `${first.error.hint ?? 'mend it in the database, where all rows and all else are'}; then run the restore again`;
  return new RealmliftError('SCHEMA_REFUSED', work, `${messages}${refused.length > NAMED ? `; and ${refused.length - NAMED} more` : ''}`, { hint, cause: first.error });
}
