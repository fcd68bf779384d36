/**
 * One run of a load, as a table of contents: rights -> journal and ids -> tables that refer to one another -> all others, several at a time
 * -> the last step, which shows the realm.
 */
import type pg from 'pg';
import { runTasks, type SessionTask } from '../backup/session-pool.js';
import { EXIT, RealmliftError } from '../errors.js';
import { Outside } from '../remap/outside.js';
import { ReferenceCatalog } from '../remap/reference-catalog.js';
import { rewriteContext, type RewriteContext } from '../remap/rewrite-row.js';
import { withScratchFiles } from '../remap/scratch-files.js';
import { surveyExport } from '../remap/survey.js';
import { readTarget } from '../remap/target-server.js';
import { withTemporaryDirectory } from '../temporary-directory.js';
import { checkRights } from './check-load.js';
import { digestOfExport } from './export-digest.js';
import { finishRealm } from './last-step.js';
import { loadFault } from './load-fault.js';
import { appliedMigrations, LoadJournal, type LoadIdentity } from './load-journal.js';
import { loadOrder, type LoadOrder } from './load-order.js';
import type { LoadRequest, LoadResult } from './load-request.js';
import { MESSAGES, NOT_LOADED, type LoadSource } from './load-source.js';
import { messageTasks, tableTask } from './load-tasks.js';
import { newClients } from './new-clients.js';
import { realmRow, realmState } from './realm-state.js';
import { ReservedIds, reserveIds } from './reserved-ids.js';
import { layoutOf, type Schema } from './table-layout.js';
import { LISTS, TableLoader } from './table-loader.js';
import { targetSession } from './target-session.js';

/** So many temporary files hold ids. */
const SCRATCH_FILES = 4;

export interface LoadSetup {
  /** Holds the lock of the load. */
  readonly client: pg.Client;
  readonly source: LoadSource;
  readonly schema: Schema;
  readonly request: LoadRequest;
  readonly stop: AbortSignal;
}

/** @param found the journal of the run that is gone on with */
export async function runLoad(setup: LoadSetup, found: LoadJournal | undefined): Promise<LoadResult> {
  const { client, source, schema, request } = setup;
  const order = orderOf(source, schema);
  await checkRights(client, schema.tables, [...new Set([...order.core, ...order.steps.flat(), ...order.messages, ...order.last, 'zerver_client'])]);
  for (const file of source.files) for (const table of file.tables) if (!NOT_LOADED.has(table)) layoutOf(table, file, schema, {});
  const identity = await identityOf(setup);
  const told = { subdomain: identity.subdomain, realmName: identity.realmName, rows: source.rows, files: 0, images: 0, resumed: found?.steps ?? 0, outside: 0 };
  if (request.dryRun) return { ...told, realmId: NaN, deactivated: realmRow(source.files)['deactivated'] === true };
  if (found !== undefined) refuseAnother(found.identity, identity);
  const journal = found ?? await LoadJournal.create(client, identity);
  try {
    return { ...told, ...await load(setup, order, journal) };
  } catch (error) {
    throw unfinishedBy(loadFault(error, 'load'));
  }
}

async function load(setup: LoadSetup, order: LoadOrder, journal: LoadJournal): Promise<Pick<LoadResult, 'realmId' | 'rows' | 'deactivated' | 'outside'>> {
  const { client, source, schema, request: { target, onEvent }, stop } = setup;
  const clients = await newClients(client, journal, source.files);
  await reserveIds(client, journal, schema.tables, source.ids);
  const server = await readTarget(target, schema.registry);
  const ids = new ReservedIds(await journal.ids(client), (table) => server.ids.limit(table));
  return withTemporaryDirectory('realmlift-load-', (scratch) => withScratchFiles(scratch, SCRATCH_FILES, async (fds) => {
    onEvent({ kind: 'phase', name: 'ids' });
    const survey = await surveyExport(source.source, source.files, { bots: server.bots, clients, nextClient: undefined, all: ids, usermessagesAsTheyCome: true }, undefined, fds);
    const { realmName, subdomain } = journal.identity;
    const rewrite: RewriteContext = rewriteContext({ survey, references: new ReferenceCatalog(schema.registry, schema.catalog), outside: new Outside(), avatarNames: new Map(), realmName, subdomain });
    const loader = new TableLoader({ source, schema, rewrite, ids, bots: server.bots });
    const realm = realmState(source.files, ids.nth('zerver_realm', 1));
    await loadTables(setup, order, journal, loader);
    onEvent({ kind: 'phase', name: 'the last step' });
    await client.query('SET synchronous_commit = on');
    await journal.transaction(client, async () => {
      for (const table of order.last) await loader.table(client, table, stop);
      await finishRealm(client, realm, journal, (table, column) => schema.tables.columns.get(table)?.some(({ name }) => name === column) === true);
      await journal.drop(client);
    });
    return { realmId: realm.id, rows: loader.rows, deactivated: realm.deactivated, outside: rewrite.outside.total };
  }));
}

async function loadTables({ client, source, schema, request: { target, jobs, onEvent }, stop }: LoadSetup, order: LoadOrder, journal: LoadJournal, loader: TableLoader): Promise<void> {
  onEvent({ kind: 'phase', name: 'realm, users and channels' });
  await journal.step(client, 'core', async () => {
    for (const table of order.core) await loader.table(client, table, stop);
  });
  onEvent({ kind: 'phase', name: 'messages and all other rows' });
  let messages = 0;
  const done = (files: number): void => onEvent({ kind: 'messages', files: messages += files, of: source.messages.length });
  for (const step of order.steps) {
    const tasks = function* (): Generator<SessionTask> {
      for (const table of step) {
        if (table === MESSAGES) yield* messageTasks(loader, journal, source.messages, order.messages, done);
        else yield tableTask(loader, journal, table);
      }
    };
    await runTasks(tasks(), jobs, () => targetSession(target, schema.tables.schema), stop);
  }
}

function orderOf(source: LoadSource, { registry, tables }: Schema): LoadOrder {
  const live = new Set<string>();
  for (const [name, rows] of source.rows) if (rows > 0 && !NOT_LOADED.has(name)) live.add(registry.tables.get(name)?.table ?? name);
  if (live.has('zerver_attachment')) for (const list of Object.keys(LISTS)) if (tables.columns.has(list)) live.add(list);
  return loadOrder([...live], source.messageTables.filter((table) => live.has(table)), tables.parents);
}

async function identityOf({ client, source, request: { subdomain, realmName, files } }: LoadSetup): Promise<LoadIdentity> {
  const place = files === undefined ? 'none' : files.kind === 'directory' ? files.directory : `s3://${files.uploads} and s3://${files.avatars}`;
  return { subdomain, realmName: realmName ?? subdomain, exportDigest: await digestOfExport(source.source), files: place, migrations: await appliedMigrations(client) };
}

/** @throws RealmliftError LOAD_OF_ANOTHER, TARGET_MIGRATED */
function refuseAnother(earlier: LoadIdentity, present: LoadIdentity): void {
  const differs = (['exportDigest', 'realmName', 'files'] as const).find((key) => earlier[key] !== present[key]);
  if (differs === undefined) return;
  const what = { exportDigest: 'another export, or of one that was changed since', realmName: `a realm named ${JSON.stringify(earlier.realmName)}`, files: `files that go to ${earlier.files}` }[differs];
  throw new RealmliftError('LOAD_OF_ANOTHER', 'load', `the unfinished load of ${present.subdomain} is one of ${what}`, { hint: 'go on with the same words, or remove it by --undo', exit: EXIT.nothingExported });
}

/** Whatever ended the run: what it left is not seen by anybody, and one of two commands deals with it. */
function unfinishedBy(error: unknown): unknown {
  const how = 'the realm is incomplete and deactivated: --resume goes on, --undo removes what was loaded';
  if (!(error instanceof RealmliftError)) return new RealmliftError('UNEXPECTED', 'load', (error as Error).message.split('\n')[0] ?? '', { hint: how, cause: error });
  const { code, stage, message, table, hint, exit } = error;
  const both = hint === undefined ? how : /--undo/.test(hint) ? hint : `${hint}; ${how}`;
  return new RealmliftError(code, stage, message, { table, hint: code === 'STOPPED' ? how : both, exit: exit === EXIT.nothingExported ? EXIT.failed : exit, cause: error });
}
