/** `realmlift load --update`: checks first, and then all that update/update-run.ts tells, in one transaction. */
import { join, resolve } from 'node:path';
import type pg from 'pg';
import { EXIT, RealmliftError } from '../errors.js';
import { checkBots, checkExport, checkRights, checkSalt, unwritten, writtenTables } from '../load/check-load.js';
import type { FileTarget } from '../load/files/file-target.js';
import { openFileTarget } from '../load/files/open-file-target.js';
import { LoadJournal, lockLoad, migrationsDigest } from '../load/server/load-journal.js';
import { LoadRecord } from '../load/server/load-record.js';
import { placeOf, type LoadRequest } from '../load/load-request.js';
import type { LoadableExport } from '../load/source/loadable-export.js';
import { readLoadSource } from '../load/source/load-source.js';
import { makeClients } from '../load/server/new-clients.js';
import { patientTransaction } from '../load/server/patient-transaction.js';
import { tellUpdateAhead } from '../load/source/load-steps.js';
import type { Schema } from '../load/rows/table-layout.js';
import { targetSession, withTargetSession } from '../load/server/target-session.js';
import { readTargetTables } from '../load/server/target-tables.js';
import { MANIFEST } from '../package/manifest.js';
import { digestOf } from '../package/part-file.js';
import { inodeOf } from '../package/take-over.js';
import { withTableFiles } from '../pipe/opened-tables.js';
import { readCatalog } from '../plan/views/catalog.js';
import { loadRegistry } from '../plan/views/registry.js';
import { refuseRealmName } from '../remap/remap-request.js';
import { readTarget } from '../remap/target-server.js';
import { removeFiles, settleFiles } from '../update/file-changes.js';
import { holdSame, openEarlier, openLater } from '../update/fitting-exports.js';
import { runUpdate, settleLeft, type Updated, type UpdateSetup } from '../update/update-run.js';
import { isUsed, refuseUsed } from '../update/used-since.js';

export interface UpdateRequest extends LoadRequest {
  /** The directory of the export that was loaded; undefined looks where the load found it. */
  readonly base: string | undefined;
}

export interface UpdateResult extends Omit<Updated, 'fileSide' | 'deactivated'> {
  readonly realmId: number;
  readonly subdomain: string;
  /** False when the realm was that of the export already. */
  readonly differed: boolean;
  /** The rows are not as the load or an update left them, where nothing else was to do. */
  readonly used: boolean;
  readonly deactivated: boolean;
}

/** Milliseconds within which an update that was stopped removes the files that came for it: their place, or the server, may be what does not answer. */
const GRACE = 5_000;

const NOTHING = { added: 0, changed: 0, removed: 0, renumbered: 0, files: 0, filesRemoved: 0, used: false };

/**
 * Brings a realm that was loaded to the state of a later export.
 *
 * @throws RealmliftError USAGE, UPDATE_UNKNOWN, UPDATE_BASE, UPDATE_OF_ANOTHER, UPDATE_REFUSED, LOAD_UNFINISHED, TARGET_MIGRATED, those of a load
 */
export async function updateLoad(directory: string, request: UpdateRequest, stop: AbortSignal): Promise<UpdateResult> {
  refuseRealmName(request.realmName);
  return withTargetSession(request.target, 'update', stop, async (client, schemaName) => {
    await lockLoad(client, request.subdomain);
    const found = await recordOf(client, request);
    const migrations = await refuseMigrated(client, found.record);
    const target = await openFileTarget(request.files, request.fileJobs, request.fromBuckets, stop);
    try {
      return await update({ ...found, client, schemaName, migrations, directory, request, target }, stop);
    } finally {
      target.close();
    }
  });
}

/** An update whose realm was found. */
interface Update extends Found {
  readonly client: pg.Client;
  readonly schemaName: string;
  /** The server's, see migrationsDigest. */
  readonly migrations: string;
  readonly directory: string;
  readonly request: UpdateRequest;
  readonly target: FileTarget;
}

interface Exports {
  readonly earlier: LoadableExport;
  readonly later: LoadableExport;
  /** The realm is in the state of the later one already. */
  readonly isThere: boolean;
}

async function update(work: Update, stop: AbortSignal): Promise<UpdateResult> {
  const { client, record, directory, request } = work;
  const isThere = inodeOf(join(directory, MANIFEST)) !== undefined && (await digestOf(join(directory, MANIFEST))).sha256 === record.identity.exportDigest;
  const earlier = await unwritten(openEarlier(isThere ? directory : request.base, record.identity));
  const later = await unwritten(openLater(directory, earlier.directory));
  // An update that was killed behind its last transaction has files to see to.
  const isSettled = (await record.files(client, 'replaced')).length === 0;
  if (isSettled && (isThere || await unwritten(holdSame(earlier, later)))) return asItIs(work, later.digest, stop);
  tellUpdateAhead(request.dryRun);
  await checkExport(client, directory, request, true, stop);
  for (const each of [earlier, later]) checkSalt(each, request.salt);
  return updateFrom(work, { earlier, later, isThere }, stop);
}

/** Nothing differs: only which export it was is written down. */
async function asItIs({ client, schemaName, record, deactivated, directory, request, target }: Update, exportDigest: string, stop: AbortSignal): Promise<UpdateResult> {
  if (!request.dryRun) {
    await record.rename(client, { directory: resolve(directory), exportDigest });
    await removeLeft(client, record, target, stop);
  }
  return { ...NOTHING, ...named(record), differed: false, used: await isUsed(client, await readTargetTables(client, schemaName), record), deactivated };
}

async function updateFrom({ client, schemaName, record, deactivated, migrations, request, target }: Update, { earlier, later, isThere }: Exports, stop: AbortSignal): Promise<UpdateResult> {
  return withTableFiles(async (open) => {
    const schema: Schema = { tables: await readTargetTables(client, schemaName), registry: loadRegistry(), catalog: await readCatalog(client, schemaName) };
    if (request.dryRun) {
      await refuseUsed(client, schema.tables, record);
      return { ...NOTHING, ...named(record), differed: true, deactivated };
    }
    const server = await readTarget(request.target, schema.registry, stop);
    checkBots(server);
    const [was, is] = await unwritten((async () => [await readLoadSource(earlier, open(earlier)), await readLoadSource(later, open(later))] as const)());
    await checkRights(client, schema.tables, writtenTables([was, is], schema));
    const clients = await makeClients(client, is.files);
    const tidying = graceAfter(stop);
    const noting = await targetSession(request.target, schemaName, tidying);
    // A transaction of ours that was cut off may be open for as long as the server believes in its client.
    await noting.query(`SET lock_timeout = ${GRACE}`);
    const setup: UpdateSetup = {
      context: { client, schema, server, clients, taken: await record.ids(client), salt: request.salt, realmName: request.realmName ?? record.identity.realmName, subdomain: record.identity.subdomain },
      record, earlier: was, later: is, target, place: request.files.kind, fileJobs: request.fileJobs, noting, migrations,
    };
    try {
      await removeLeft(client, record, target, stop);
      if (isThere) {
        await settleLeft(setup, stop);
        return { ...NOTHING, ...named(record), differed: false, used: await isUsed(client, schema.tables, record), deactivated };
      }
      const { fileSide, ...counts } = await changeAll(setup, request, stop, tidying);
      await settleFiles(client, record, fileSide, target, stop);
      return { ...NOTHING, ...counts, ...named(record), differed: true };
    } finally {
      await noting.end().catch(() => undefined);
    }
  });
}

/** Files of a run that was killed, before its transaction was over or behind it: what they were is another's now, who may bring such a file again. */
async function removeLeft(client: pg.Client, record: LoadRecord, target: FileTarget, stop: AbortSignal): Promise<void> {
  for (const state of ['coming', 'going'] as const) await removeFiles(client, record, state, target, stop);
}

function named({ identity: { realmId, subdomain } }: LoadRecord): Pick<UpdateResult, 'realmId' | 'subdomain'> {
  return { realmId, subdomain };
}

/** Aborts some time after `stop` has. */
function graceAfter(stop: AbortSignal): AbortSignal {
  const over = new AbortController();
  stop.addEventListener('abort', () => setTimeout(() => over.abort(stop.reason), GRACE).unref(), { once: true });
  return over.signal;
}

async function changeAll(setup: UpdateSetup, request: UpdateRequest, stop: AbortSignal, tidying: AbortSignal): Promise<Updated> {
  const { context: { client }, record, target, noting } = setup;
  try {
    return await patientTransaction(request.target, client, async () => {
      await client.query('SET LOCAL synchronous_commit = on');
      return runUpdate(setup, stop);
    });
  } catch (error) {
    // If this fails too, the next update does it.
    await removeFiles(noting, record, 'coming', target, tidying).catch(() => undefined);
    throw error;
  }
}

interface Found {
  readonly record: LoadRecord;
  /** As the realm is on the new server at the moment. */
  readonly deactivated: boolean;
}

/** @throws RealmliftError UPDATE_UNKNOWN, LOAD_UNFINISHED, LOAD_OF_ANOTHER */
async function recordOf(client: pg.Client, { subdomain, files }: UpdateRequest): Promise<Found> {
  if ((await LoadJournal.find(client, subdomain)) !== undefined) {
    throw new RealmliftError('LOAD_UNFINISHED', 'load', `the load of ${subdomain} is unfinished`, { hint: 'finish it with --resume of the export that was begun, and update it then', exit: EXIT.nothingExported });
  }
  const record = await LoadRecord.find(client, subdomain);
  if (record === undefined) throw unknown(`nothing is known of a load of ${subdomain} on the new server`);
  const { rows: [realm] } = await client.query<{ name: string; deactivated: boolean }>('SELECT string_id AS name, deactivated FROM zerver_realm WHERE id = $1', [record.identity.realmId]);
  if (realm === undefined) throw unknown(`the realm ${subdomain} that was loaded is not on the new server any more`);
  if (realm.name !== subdomain) throw unknown(`the realm that was loaded as ${subdomain} has another subdomain now, ${realm.name}`, 'give it back its subdomain (manage.py change_realm_subdomain); or load the export afresh, under another one, without --update');
  if (placeOf(files) !== record.identity.files) throw new RealmliftError('LOAD_OF_ANOTHER', 'load', `the files of this load went to ${record.identity.files}`, { hint: 'name that place', exit: EXIT.nothingExported });
  return { record, deactivated: realm.deactivated };
}

function unknown(message: string, hint = 'an update needs a realm that realmlift load has loaded; load the export without --update'): RealmliftError {
  return new RealmliftError('UPDATE_UNKNOWN', 'load', message, { hint, exit: EXIT.nothingExported });
}

/** @returns the server's migrations @throws RealmliftError TARGET_MIGRATED */
async function refuseMigrated(client: pg.Client, { identity }: LoadRecord): Promise<string> {
  const migrations = await migrationsDigest(client);
  if (migrations === identity.migrations) return migrations;
  throw new RealmliftError('TARGET_MIGRATED', 'load', 'the new server was migrated since the realm was loaded', { hint: 'remove the realm there (manage.py delete_realm), export from a server of its version, and load that', exit: EXIT.nothingExported });
}
