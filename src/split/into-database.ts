/** A split into an empty database of another server, or of the same. */
import type pg from 'pg';
import { restorePostData } from '../backup/restore/restore-post-data.js';
import { executeEntry, executeSettings, refuseOtherEncoding, setSequences } from '../backup/restore/restore-schema.js';
import type { SchemaEntry } from '../backup/schema/schema-script.js';
import { sum } from '../numbers.js';
import { runTasks } from '../snapshot/session-pool.js';
import { unlessComplete } from '../copy/commit-outcome.js';
import { targetFault } from '../copy/target-fault.js';
import { useSchema } from '../plan/search-path.js';
import { connect } from '../snapshot/connect.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import { withSession } from '../snapshot/snapshot.js';
import { asPath } from '../snapshot/unqualified-names.js';
import { CopiedRows } from './copied-rows.js';
import { cutReferences } from './cut-references.js';
import { MessageBatches } from './split-messages.js';
import type { SplitRows } from './split-rows.js';
import type { PreparedSplit, SplitOutcome, SplitSteps } from './prepared-split.js';
import { splitSchema } from './split-schema.js';
import { joinSplit, openSplit, SPLIT_SCHEMA } from './unfinished-split.js';

export interface DatabaseTarget {
  readonly kind: 'database';
  readonly settings: ConnectionSettings;
  /** Remove what an unfinished split left in it. */
  readonly restart: boolean;
}

/** Memory for one index: several are made at once, and a server that takes a realm has it. */
const SESSION = "SET synchronous_commit = off; SET client_min_messages = warning; SET maintenance_work_mem = '256MB'";

/** @throws RealmliftError DATABASE_NOT_EMPTY, SPLIT_UNFINISHED, ENCODING, SCHEMA_REFUSED, TARGET_FULL, CONNECTION_LOST, … */
export async function intoDatabase(split: PreparedSplit, { settings, restart }: DatabaseTarget, jobs: number, steps: SplitSteps): Promise<SplitOutcome> {
  const { snapshot, source, encoding } = split;
  const connected = async (): Promise<pg.Client> => {
    const client = await connect(settings, 'split', snapshot.lost);
    await client.query(SESSION);
    return client;
  };
  const session = async (): Promise<pg.Client> => {
    const client = await connected();
    await joinSplit(client);
    return client;
  };
  const holder = await connected();
  try {
    await refuseOtherEncoding(holder, encoding, 'split');
    const journal = await openSplit(holder, { realms: split.realms }, restart);
    steps.begun();
    const path = asPath(holder, split.path);
    const schema = await splitSchema(split, holder);
    const warnings: string[] = [...schema.warnings];
    const execute = async (client: pg.Client, entries: readonly SchemaEntry[]): Promise<void> => {
      for (const entry of entries) {
        const warning = await executeEntry(client, entry, path, 'split');
        if (warning !== undefined) warnings.push(warning);
      }
    };
    // A session of its own: a script's settings stay behind in it.
    const maker = await session();
    await journal.step(maker, 'pre-data', async () => {
      await executeSettings(maker, schema.preData.settings, 'split');
      await execute(maker, schema.preData.entries);
    }).finally(() => maker.end());
    const rows = await copyAll(split, jobs, session);
    await setSequences(holder, split.sequences);
    steps.read();
    const cut = await cutReferences(holder, source, split.references, jobs, session, snapshot.lost);
    const sizes = new Map([...rows].map(([table, count]) => [`${source.schema}.${table}`, count]));
    warnings.push(...(await restorePostData(schema.postData, { work: 'split', jobs, connect: session, path, sizes }, journal, snapshot.lost)));
    steps.last();
    await journal.finish(holder, () => Promise.resolve(), () => execute(holder, schema.last))
      .catch((error: unknown) => unlessComplete(error, { settings, role: 'split', name: SPLIT_SCHEMA, stop: snapshot.lost }));
    return { tables: rows.size, rows: sum(rows.values()), cut, warnings };
  } catch (error) {
    throw targetFault(error, 'split', 'split');
  } finally {
    await holder.end().catch(() => undefined);
  }
}

/** @returns rows by table */
async function copyAll(split: PreparedSplit, jobs: number, session: () => Promise<pg.Client>): Promise<ReadonlyMap<string, number>> {
  const { snapshot, source } = split;
  const copied = new CopiedRows(split);
  const bytes = ({ table }: SplitRows): number => source.catalog.get(table)?.bytes ?? 0;
  try {
    await withSession(snapshot, 'split', async (ids) => {
      await useSchema(ids, source.schema);
      const batches = new MessageBatches(ids, split.messages);
      const messages = Array.from({ length: jobs }, () => copied.messages(batches));
      const tables = [...split.rows].sort((a, b) => bytes(b) - bytes(a)).map((rows) => copied.table(rows));
      await runTasks([...messages, ...tables], jobs, session, snapshot.lost);
      await runTasks((await split.clients(batches.clients)).map((rows) => copied.table(rows)), 1, session, snapshot.lost);
    });
    return copied.counts;
  } finally {
    await copied.close();
  }
}
