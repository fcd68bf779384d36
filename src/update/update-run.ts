/**
 * One update, as a table of contents: which rows are there -> ids for those that come -> what differs in the tables and the messages files ->
 * files -> what a load finds out at its end -> the record. All that is seen is one transaction.
 */
import { resolve } from 'node:path';
import type pg from 'pg';
import { RealmliftError } from '../errors.js';
import type { FileTarget } from '../load/files/file-target.js';
import { firstOwner, type FilePlanContext } from '../load/files/file-plan.js';
import { addImageAttachments } from '../load/files/image-attachments.js';
import { IMAGE_TYPES } from '../load/files/image-types.js';
import { finishRealm } from '../load/last-step.js';
import type { LoadRecord } from '../load/server/load-record.js';
import { USERMESSAGES, type LoadSource } from '../load/source/load-source.js';
import { realmState } from '../load/source/realm-state.js';
import { ReservedIds } from '../load/server/reserved-ids.js';
import { removeAdded, youngerUsers } from '../load/server/realm-census.js';
import { isCounting } from '../load/server/server-jobs.js';
import { UPDATE_STEPS as STEPS } from '../load/source/load-steps.js';
import { hasColumn, qualify } from '../load/server/target-tables.js';
import { tellPhase } from '../narration.js';
import { UNCHANGED } from '../remap/id-space.js';
import { withScratchFiles } from '../remap/scratch-files.js';
import type { Survey } from '../remap/survey.js';
import { withTemporaryDirectory } from '../temporary-directory.js';
import { assignIds } from './assign-ids.js';
import { changeFiles, settleFiles, type FileSide } from './file-changes.js';
import { changeMessages } from './message-changes.js';
import { NumberedSpace } from './numbered-space.js';
import { RowChanges } from './row-changes.js';
import { boundedFiles, sideOf, surveySide, type Side, type SideContext, type Surveyed } from './sides.js';
import { changeTables } from './table-changes.js';
import { refuseUsed } from './used-since.js';

/** So many temporary files hold the ids of one export. */
const SCRATCH_FILES = 4;

export interface UpdateSetup {
  readonly context: SideContext;
  readonly record: LoadRecord;
  readonly earlier: LoadSource;
  readonly later: LoadSource;
  readonly target: FileTarget;
  readonly place: FilePlanContext['place'];
  readonly fileJobs: number;
  /** Commits by itself. */
  readonly noting: pg.Client;
  readonly migrations: string;
}

export interface Updated {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  readonly renumbered: number;
  readonly files: number;
  readonly filesRemoved: number;
  readonly deactivated: boolean;
  /** For what is to be done with files afterwards. */
  readonly fileSide: FileSide;
}

/** In the transaction of the caller, whose session is that of the context. */
export async function runUpdate(setup: UpdateSetup, signal: AbortSignal): Promise<Updated> {
  const { context, record, earlier, later } = setup;
  const { client, schema: { tables } } = context;
  const { realmId, transaction } = record.identity;
  await client.query('SET CONSTRAINTS ALL DEFERRED');
  // Whoever comes now - every row that somebody writes names a user or the realm - waits for the end of this transaction.
  await client.query('SELECT FROM zerver_realm WHERE id = $1 FOR UPDATE', [realmId]);
  await client.query('SELECT FROM zerver_userprofile WHERE realm_id = $1 FOR UPDATE', [realmId]);
  tellPhase(STEPS.used, 'steps');
  const added = await refuseUsed(client, tables, record);
  // The server's jobs wrote to them, or the load when all was there: they are written again.
  const amended = new Set([...await record.notes(client, 'broken avatar'), ...await youngerUsers(client, realmId, transaction)]);
  return withTemporaryDirectory('update', (directory) => withScratchFiles(directory, SCRATCH_FILES * 2, async (fds) => {
    tellPhase(STEPS.ids, 'steps');
    const ids = new ReservedIds(context.taken, (table) => context.server.ids.limit(table));
    const was = await surveySide(earlier, context, ids, fds.slice(0, SCRATCH_FILES));
    const is = await surveySide(later, context, undefined, fds.slice(SCRATCH_FILES));
    const { ranges, renumbered } = await assignIds(client, tables, { earlier: was, ids, later: is });
    const newIds = new ReservedIds(ranges, (table) => context.server.ids.limit(table));
    const sides = { earlier: sideOf(was, ids, context), later: sideOf(numbered(is, newIds), newIds, context) };
    await removeOwn(setup, added);
    const changes = new RowChanges(client, tables, directory, record.schema);
    tellPhase(STEPS.rows, 'bytes', later.messages.reduce((sum, { listed }) => sum + listed.size, 0));
    await changeTables({ schema: context.schema, ...sides, amended }, changes);
    const usermessages = await changeMessages({ client, schema: context.schema, ...sides, earlierFiles: boundedFiles(was), laterFiles: boundedFiles(is), thorough: renumbered > 0 }, changes, signal);
    await changes.insert(signal);
    const { counts, fileSide } = await files(setup, sides, signal);
    tellPhase(STEPS.last, 'steps');
    const realm = realmState(later.files, realmId);
    await finishRealm(client, realm, record, tables);
    const { directory: from, digest: exportDigest } = later.source;
    await record.renew(client, { ...record.identity, realmName: context.realmName, directory: resolve(from), exportDigest, migrations: setup.migrations }, tables, [...ranges, ...usermessages]);
    return { ...changes.counts, renumbered, files: counts.copied, filesRemoved: counts.removed, deactivated: realm.deactivated, fileSide };
  })).catch((error: unknown) => { throw aboutReferences(error); });
}

function numbered(surveyed: Surveyed, ids: ReservedIds): Surveyed {
  const spaces = new Map([...surveyed.survey.spaces].map(([table, space]) => [table, space === UNCHANGED || table === USERMESSAGES ? space : new NumberedSpace(space, (n) => ids.nth(table, n))]));
  return { ...surveyed, survey: { ...surveyed.survey, spaces } };
}

/** What the load wrote down of itself, which is written anew, and what the server has added since, which the later export says better. */
async function removeOwn({ context: { client, schema: { tables } }, record }: UpdateSetup, added: readonly string[]): Promise<void> {
  for (const table of added) await removeAdded(client, tables, record.identity.realmId, record.identity.transaction, table);
  const ofRealm = new Set((tables.references.get('zerver_realm') ?? []).filter(({ column }) => column === 'realm_id').map(({ table }) => table));
  for (const table of ofRealm) {
    if (table !== 'zerver_realmauditlog' && !isCounting(table)) continue;
    await client.query(`DELETE FROM ${qualify(client, tables.schema, table)} AS t WHERE realm_id = $1 AND NOT EXISTS (SELECT FROM ${record.schema}.ids i WHERE i."table" = $2 AND t.id BETWEEN i.first AND i.first + i.count - 1)`, [record.identity.realmId, table]);
  }
}

async function files(setup: UpdateSetup, sides: { readonly earlier: Side; readonly later: Side }, signal: AbortSignal): Promise<{ readonly counts: { copied: number; removed: number }; readonly fileSide: FileSide }> {
  const { context: { client, schema: { tables } }, record, earlier, later, target, fileJobs, noting } = setup;
  const { realmId } = record.identity;
  tellPhase(STEPS.files, 'files');
  const fileSide = await fileSideOf(setup, later, sides.later.rewrite.survey);
  const counts = await changeFiles({ client, noting, record, earlier: await fileSideOf(setup, earlier, sides.earlier.rewrite.survey), later: fileSide, target, jobs: fileJobs }, signal);
  if (hasColumn(tables, 'zerver_imageattachment', 'realm_id')) {
    await client.query(`
      DELETE FROM zerver_imageattachment i WHERE realm_id = $1 AND NOT EXISTS (
        SELECT FROM zerver_attachment a WHERE a.path_id = i.path_id AND a.realm_id = $1 AND a.content_type = ANY ($2))`, [realmId, IMAGE_TYPES]);
    await addImageAttachments(client, later.source, fileSide.plan.realms, sides.later.rewrite.survey.strays, tables, signal);
  }
  return { counts, fileSide };
}

async function fileSideOf({ context: { client, salt, server }, record, place }: UpdateSetup, source: LoadSource, survey: Survey): Promise<FileSide> {
  const { realmId } = record.identity;
  const users = survey.spaces.get('zerver_userprofile') ?? UNCHANGED;
  return { source: source.source, plan: { realms: { old: survey.realmId, new: realmId }, users, salt, zerverMigration: server.version.zerverMigration, place, owner: await firstOwner(client, realmId) } };
}

/** Files of an update whose transaction is over, and which was stopped behind it. */
export async function settleLeft(setup: UpdateSetup, signal: AbortSignal): Promise<void> {
  const { context, record, later, target } = setup;
  await withTemporaryDirectory('update', (directory) => withScratchFiles(directory, SCRATCH_FILES, async (fds) => {
    const { survey } = await surveySide(later, context, new ReservedIds(context.taken, (table) => context.server.ids.limit(table)), fds);
    await settleFiles(context.client, record, await fileSideOf(setup, later, survey), target, signal);
  }));
}

/** Rows that no load makes point to one that is to go. */
function aboutReferences(error: unknown): unknown {
  const { code, table } = error as { code?: string; table?: string };
  if (code !== '23503') return error;
  return new RealmliftError('UPDATE_REFUSED', 'load', `nothing was changed: rows of ${table ?? 'another table'} that the load did not make refer to rows that are gone`, { table, hint: 'somebody used the realm meanwhile: load the export afresh', cause: error });
}
