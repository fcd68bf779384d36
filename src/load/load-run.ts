/**
 * One run of a load, as a table of contents: rights -> journal and ids -> tables that refer to one another -> all others, several at a time
 * -> the last step, which shows the realm.
 */
import { resolve } from 'node:path';
import type pg from 'pg';
import { runTasks, type SessionTask } from '../snapshot/session-pool.js';
import { unlessCommitted } from '../copy/commit-outcome.js';
import { stoppedFault } from '../copy/target-fault.js';
import { asRealmliftError, EXIT, RealmliftError } from '../errors.js';
import { isNarrated, tellPhase, tellProgress, tellWarning } from '../narration.js';
import { areaFileCount } from '../pipe/finished-export.js';
import { Outside } from '../remap/outside.js';
import { ReferenceCatalog } from '../remap/reference-catalog.js';
import { UNCHANGED } from '../remap/id-space.js';
import { rewriteContext } from '../remap/rewrite-row.js';
import { withScratchFiles } from '../remap/scratch-files.js';
import { surveyExport } from '../remap/survey.js';
import { readTarget, type TargetServer } from '../remap/target-server.js';
import { withTemporaryDirectory } from '../temporary-directory.js';
import { checkBots, checkColumns, checkRights, checkSalt, writtenTables } from './check-load.js';
import { avatarRenames, firstOwner, type FilePlanContext } from './files/file-plan.js';
import type { FileTarget } from './files/file-target.js';
import { openFileTarget } from './files/open-file-target.js';
import { bareTables, makeAgain } from './server/bare-tables.js';
import { addImageAttachments } from './files/image-attachments.js';
import { finishRealm } from './last-step.js';
import { loadFiles } from './files/load-files.js';
import { wasCommitted } from './server/commit-outcome.js';
import { LoadJournal, migrationsDigest, type LoadIdentity } from './server/load-journal.js';
import { loadOrder, type LoadOrder } from './load-order.js';
import { recordLoad } from './server/load-record.js';
import { placeOf, UNFINISHED, type LoadRequest, type LoadResult } from './load-request.js';
import { MESSAGES, NOT_LOADED, USERMESSAGES, type LoadSource } from './source/load-source.js';
import { messageTasks, tableTask } from './load-tasks.js';
import { newClients } from './server/new-clients.js';
import { STEPS } from './source/load-steps.js';
import { realmRow, realmState } from './source/realm-state.js';
import { ReservedIds, reserveIds } from './server/reserved-ids.js';
import { sharedGroups } from './server/shared-groups.js';
import { NOT_TAKEN } from './rows/import-rules.js';
import type { Schema } from './rows/table-layout.js';
import { LISTS, TableLoader } from './rows/table-loader.js';
import { stepSession } from './server/target-session.js';
import { hasColumn, qualify } from './server/target-tables.js';

/** The major version whose import was compared with a load, row for row. */
const PROVED = 11;
/** So many temporary files hold ids. */
const SCRATCH_FILES = 4;

export interface LoadSetup {
  /** Holds the lock of the load. */
  readonly client: pg.Client;
  readonly source: LoadSource;
  readonly schema: Schema;
  readonly request: LoadRequest;
  readonly stop: AbortSignal;
  /** Told before anything is written. */
  readonly onBegin: () => void;
}

/** @param found the journal of the run that is gone on with */
export async function runLoad(setup: LoadSetup, found: LoadJournal | undefined): Promise<LoadResult> {
  const { client, source, schema, request } = setup;
  const order = orderOf(source, schema);
  await checkRights(client, schema.tables, writtenTables([source], schema));
  checkColumns(source, schema);
  const server = await readTarget(request.target, schema.registry, setup.stop);
  checkBots(server);
  if (server.version.major !== PROVED) {
    tellWarning(`what Zulip's import sets beside the rows was proved for Zulip ${PROVED}; on this server of Zulip ${server.version.release} a load does the same in the tables and columns that it has`);
  }
  const identity = await identityOf(setup);
  checkSalt(source.source, request.salt);
  const target = await openFileTarget(request.files, request.fileJobs, request.fromBuckets, setup.stop);
  const told = { subdomain: identity.subdomain, realmName: identity.realmName, rows: source.rows, files: 0, images: 0, resumed: found?.steps ?? 0, outside: 0 };
  try {
    if (request.dryRun) return { ...told, realmId: NaN, deactivated: realmRow(source.files)['deactivated'] === true };
    if (found !== undefined) refuseAnother(found.identity, identity);
    setup.onBegin();
    const journal = found ?? await LoadJournal.create(client, identity);
    return { ...told, ...await load(setup, order, journal, server, target).catch((error: unknown) => { throw unfinishedBy(stoppedFault(error, setup.stop, 'load')); }) };
  } finally {
    target.close();
  }
}

type Loaded = Pick<LoadResult, 'realmId' | 'rows' | 'deactivated' | 'outside' | 'files' | 'images'>;

async function load(setup: LoadSetup, order: LoadOrder, journal: LoadJournal, server: TargetServer, target: FileTarget): Promise<Loaded> {
  const { client, source, schema, request, stop } = setup;
  const { salt } = request;
  const hasImages = hasColumn(schema.tables, 'zerver_imageattachment', 'realm_id');
  const clients = await newClients(client, journal, source.files);
  const known = await sharedGroups(client, source.files, server.bots, await journal.ids(client));
  await reserveIds(client, journal, schema.tables, new Map([...source.ids].map(([table, count]) => [table, count - (known[table]?.length ?? 0)])));
  const ids = new ReservedIds(await journal.ids(client), (table) => server.ids.limit(table));
  return withTemporaryDirectory('load', (scratch) => withScratchFiles(scratch, SCRATCH_FILES, async (fds) => {
    tellPhase(STEPS.ids, 'steps');
    const survey = await surveyExport(source.source, source.files, { bots: server.bots, clients, nextClient: undefined, all: ids, known, usermessagesAsTheyCome: true }, undefined, fds);
    const { realmName, subdomain } = journal.identity;
    const users = survey.spaces.get('zerver_userprofile') ?? UNCHANGED;
    const { zerverMigration } = server.version;
    const avatarNames = avatarRenames(source.source, { salt, users, zerverMigration });
    const rewrite = rewriteContext({ survey, references: new ReferenceCatalog(schema.registry, schema.catalog), outside: new Outside(NOT_TAKEN), avatarNames, strays: 'moved', realmName, subdomain });
    const loader = new TableLoader({ source, schema, rewrite, ids, bots: server.bots, known });
    const realm = realmState(source.files, ids.nth('zerver_realm', 1));
    await loadTables(setup, order, journal, loader);
    tellPhase(STEPS.files, 'files', isNarrated() ? await areaFileCount(source.source) : undefined);
    const realms = { old: survey.realmId, new: realm.id };
    const plan: FilePlanContext = { realms, users, salt, zerverMigration, place: request.files.kind, owner: await firstOwner(client, realm.id) };
    const files = await loadFiles({ client, journal, source: source.source, target, plan, jobs: request.fileJobs }, stop);
    tellPhase(STEPS.images, 'files');
    if (hasImages) await journal.step(client, 'images', () => addImageAttachments(client, source.source, realms, survey.strays, schema.tables, stop));
    await analyze(setup, order);
    tellPhase(STEPS.last, 'steps');
    const images = hasImages ? await countImages(client, realm.id) : 0;
    await journal.finishLoad(client, async () => {
      for (const table of order.last) await loader.table(client, table, stop);
      await finishRealm(client, realm, journal, schema.tables);
      await recordLoad(client, journal, { directory: resolve(source.source.directory), realmId: realm.id, tables: schema.tables });
    }).catch((error: unknown) => unlessCommitted(error, () => wasCommitted(request.target, schema.tables.schema, request.subdomain), () => undecided(stoppedFault(error, stop, 'load'))));
    return { realmId: realm.id, rows: source.rows, deactivated: realm.deactivated, outside: rewrite.outside.total, files, images };
  }));
}

async function loadTables({ client, source, schema, request: { target, subdomain, jobs, indexesLaterFrom }, stop }: LoadSetup, order: LoadOrder, journal: LoadJournal, loader: TableLoader): Promise<void> {
  const bare = await bareTables(client, journal, schema.tables.schema, (source.rows.get(USERMESSAGES) ?? 0) >= indexesLaterFrom);
  tellPhase(STEPS.core, 'steps');
  await journal.step(client, 'core', async () => {
    for (const table of order.core) await loader.table(client, table, stop);
  });
  tellPhase(STEPS.rows, 'bytes', source.messages.reduce((sum, { listed }) => sum + listed.size, 0));
  const session = (): Promise<pg.Client> => stepSession(target, schema.tables.schema, subdomain, stop);
  for (const step of order.steps) {
    const tasks = function* (): Generator<SessionTask> {
      for (const table of step) {
        if (table === MESSAGES) yield* messageTasks(loader, journal, source.messages, order.messages);
        else yield tableTask(loader, journal, table);
      }
    };
    await runTasks(tasks(), jobs, session, stop);
    if (!bare || !step.includes(MESSAGES)) continue;
    const { indexes, keys } = await makeAgain(client, journal);
    tellPhase(STEPS.indexes, 'steps', indexes.length + keys.length);
    await runTasks(indexes, jobs, session, stop);
    // One after the other: each locks the tables that it ties together.
    await runTasks(keys, 1, session, stop);
    await journal.allMade(client);
  }
}

/** Plans of the first queries would else be made for tables without these rows. */
async function analyze({ client, request: { target, subdomain, jobs }, schema: { tables }, stop }: LoadSetup, order: LoadOrder): Promise<void> {
  const loaded = [...new Set([...order.core, ...order.steps.flat(), ...order.messages])];
  tellPhase(STEPS.statistics, 'tables', loaded.length);
  await runTasks(loaded.map((table) => async (session) => {
    await session.query(`ANALYZE ${qualify(client, tables.schema, table)}`);
    tellProgress(1);
  }), jobs, () => stepSession(target, tables.schema, subdomain, stop), stop);
}

async function countImages(client: pg.Client, realm: number): Promise<number> {
  return (await client.query<{ images: number }>('SELECT count(*)::float8 AS images FROM zerver_imageattachment WHERE realm_id = $1', [realm])).rows[0]?.images ?? 0;
}

function orderOf(source: LoadSource, { registry, tables }: Schema): LoadOrder {
  const live = new Set<string>();
  for (const [name, rows] of source.rows) if (rows > 0 && !NOT_LOADED.has(name)) live.add(registry.tables.get(name)?.table ?? name);
  if (live.has('zerver_attachment')) for (const list of Object.keys(LISTS)) if (tables.columns.has(list)) live.add(list);
  return loadOrder([...live], source.messageTables.filter((table) => live.has(table)), tables.parents);
}

async function identityOf({ client, source, request: { subdomain, realmName, files } }: LoadSetup): Promise<LoadIdentity> {
  return { subdomain, realmName: realmName ?? subdomain, exportDigest: source.source.digest, files: placeOf(files), migrations: await migrationsDigest(client) };
}

/** @throws RealmliftError LOAD_OF_ANOTHER, TARGET_MIGRATED */
function refuseAnother(earlier: LoadIdentity, present: LoadIdentity): void {
  const differs = (['exportDigest', 'realmName', 'files'] as const).find((key) => earlier[key] !== present[key]);
  if (differs === undefined) return;
  const what = { exportDigest: 'another export, or of one that was changed since', realmName: `a realm named ${JSON.stringify(earlier.realmName)}`, files: `files that go to ${earlier.files}` }[differs];
  throw new RealmliftError('LOAD_OF_ANOTHER', 'load', `the unfinished load of ${present.subdomain} is one of ${what}`, { hint: 'go on with the same words, or remove it by --undo', exit: EXIT.nothingExported });
}

/** The server was about to commit, or has, when the session ended. */
function undecided(error: unknown): unknown {
  if (!(error instanceof RealmliftError)) return error;
  return error.with({ left: 'the server did not say whether the last step was committed, which shows the realm', hint: 'if it was, the realm is loaded; if not, --resume goes on, --undo removes what was loaded' });
}

/** Whatever ended the run: what it left is not seen by anybody, and one of two commands deals with it. */
function unfinishedBy(raised: unknown): RealmliftError {
  const error = asRealmliftError(raised, 'load');
  const { code, hint = '' } = error;
  const exit = error.exit === EXIT.nothingExported ? EXIT.failed : error.exit;
  if (hint.includes('--undo')) return error.advising(hint, exit);
  // Its hint is that of a load of which nothing was written.
  return code === 'STOPPED' ? error.advising(UNFINISHED) : error.ending(UNFINISHED, exit);
}
