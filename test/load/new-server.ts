/** Loads into databases of freshly installed servers, as the command line would. */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadExport } from '../../src/commands/load.js';
import { updateLoad, type UpdateRequest, type UpdateResult } from '../../src/commands/update.js';
import type { LoadRequest, LoadResult } from '../../src/load/load-request.js';
import { undoLoad, type UndoResult } from '../../src/load/undo-load.js';
import { withNarrator, type Narrator } from '../../src/narration.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { withClient } from '../testbed/database-client.js';
import { NEW_SALT } from '../testbed/test-data.js';

/** Runs `work` and hears what it tells. */
export function hearing<T>(told: Partial<Narrator>, work: () => Promise<T>): Promise<T> {
  const deaf: Narrator = { ahead: () => undefined, phase: () => undefined, total: () => undefined, advance: () => undefined, warning: () => undefined, waiting: () => undefined };
  return withNarrator({ ...deaf, ...told }, work);
}

/** Stops a load when the first piece of the step is done. */
export async function stoppedIn(step: string, work: (stop: AbortSignal) => Promise<unknown>): Promise<void> {
  const stop = new AbortController();
  let present = '';
  await hearing({ phase: (name) => { present = name; }, advance: () => { if (present === step) stop.abort(new Error('stopped')); } }, () => work(stop.signal));
}

/**
 * Stops `work` while the server commits, which does not notice that nobody waits for it any more, and has it go on when somebody waits for that.
 * @param event on zerver_realm in the transaction @param waiting of whom, by pg_stat_activity
 */
export async function stoppedAtCommit<T>(url: string, event: 'INSERT' | 'UPDATE', work: (stop: AbortSignal) => Promise<T>, waiting: string): Promise<T> {
  const stop = new AbortController();
  return withClient(url, async (client) => {
    const until = async (condition: string): Promise<void> => {
      while ((await client.query(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND ${condition}`)).rowCount === 0) await sleep(20);
    };
    await client.query(`
      SELECT pg_advisory_lock(77);
      SET search_path = zulip;
      CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('client_connection_check_interval', '0', false), pg_advisory_xact_lock(77); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER wait AFTER ${event} ON zerver_realm DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()`);
    const working = work(stop.signal);
    // It looks for its client once more.
    await until("query = 'COMMIT' AND query_start < now() - interval '0.3 s'");
    stop.abort(new Error('stopped'));
    await until(waiting);
    await client.query('SELECT pg_advisory_unlock(77)');
    const result = await working;
    await client.query('DROP TRIGGER wait ON zerver_realm; DROP FUNCTION wait');
    return result;
  });
}

const FULL_MEMBERS = "(SELECT usergroup_ptr_id FROM zerver_namedusergroup WHERE realm_id = 2 AND name = 'role:fullmembers')";

/** What the processes and jobs of a server do to a realm that nobody uses, each in its way; acme has somebody who is idle. */
export const SERVER_JOBS: readonly string[] = [
  "UPDATE zerver_message SET search_tsvector = to_tsvector('simple', content)",
  "UPDATE zerver_imageattachment SET thumbnail_metadata = '[{}]'",
  'UPDATE zerver_stream SET is_recently_active = NOT is_recently_active',
  "INSERT INTO analytics_realmcount (realm_id, property, end_time, value) VALUES (2, 'the day between', '2030-01-02 00:00+00', 0)",
  // The push service answers.
  `UPDATE zerver_realm SET push_notifications_enabled = true WHERE id = 2;
   INSERT INTO zerver_realmauditlog (realm_id, event_type, event_time, backfilled, extra_data) VALUES (2, 207, now(), false, '{"1": false, "2": true, "property": "push_notifications_enabled"}')`,
  // soft_deactivate_users
  `WITH idle AS (UPDATE zerver_userprofile SET long_term_idle = true, last_active_message_id = 3 WHERE id = (SELECT max(id) FROM zerver_userprofile WHERE realm_id = 2 AND NOT is_bot AND is_active AND NOT long_term_idle) RETURNING id)
   INSERT INTO zerver_realmauditlog (realm_id, event_type, event_time, backfilled, extra_data, modified_user_id) SELECT 2, 121, now(), false, '{}', id FROM idle`,
  `INSERT INTO zerver_usermessage (flags, message_id, user_profile_id) SELECT 0, m.id, u.id FROM zerver_userprofile u, zerver_message m
     WHERE u.long_term_idle AND u.realm_id = 2 AND m.realm_id = 2 AND m.is_channel_message AND NOT EXISTS (SELECT FROM zerver_usermessage o WHERE o.message_id = m.id AND o.user_profile_id = u.id);
   UPDATE zerver_userprofile SET last_active_message_id = (SELECT max(id) FROM zerver_message WHERE realm_id = 2) WHERE long_term_idle AND realm_id = 2`,
  // promote_new_full_members
  `WITH made AS (INSERT INTO zerver_usergroupmembership (user_group_id, user_profile_id) SELECT ${FULL_MEMBERS}, u.id FROM zerver_userprofile u
     WHERE u.realm_id = 2 AND NOT EXISTS (SELECT FROM zerver_usergroupmembership m WHERE m.user_profile_id = u.id AND m.user_group_id = ${FULL_MEMBERS}) RETURNING user_profile_id)
   INSERT INTO zerver_realmauditlog (realm_id, event_type, event_time, backfilled, extra_data, modified_user_id, modified_user_group_id) SELECT 2, 703, now(), false, '{}', user_profile_id, ${FULL_MEMBERS} FROM made`,
  // enqueue_digest_emails
  "INSERT INTO zerver_realmauditlog (realm_id, event_type, event_time, backfilled, extra_data, modified_user_id) SELECT 2, 133, now(), false, '{}', id FROM zerver_userprofile WHERE realm_id = 2",
  // deactivate_realm, by the administrator of the server
  "UPDATE zerver_realm SET deactivated = true WHERE id = 2; INSERT INTO zerver_realmauditlog (realm_id, event_type, event_time, backfilled, extra_data) VALUES (2, 201, now(), false, '{}')",
];

let uploadsRoot: string | undefined;

/** An empty directory that stands for LOCAL_UPLOADS_DIR, until this process ends. */
export function emptyUploads(): string {
  if (uploadsRoot === undefined) {
    const root = uploadsRoot = mkdtempSync(join(tmpdir(), 'realmlift-load-test-'));
    process.once('exit', () => rmSync(root, { recursive: true, force: true }));
  }
  const directory = join(mkdtempSync(join(uploadsRoot, 'server-')), 'uploads');
  mkdirSync(directory);
  return directory;
}

export function request(url: string, uploads: string, choices: Partial<LoadRequest> = {}): LoadRequest {
  return {
    target: connectionSettings(url, {}), subdomain: 'acme', allowReserved: false, realmName: undefined, jobs: 2, indexesLaterFrom: Infinity, dryRun: false, resume: false,
    files: { kind: 'directory', directory: uploads }, fromBuckets: undefined, fileJobs: 8, salt: NEW_SALT, ...choices,
  };
}

export async function load(directory: string, url: string, uploads: string, choices: Partial<LoadRequest> = {}): Promise<LoadResult> {
  return loadExport(directory, request(url, uploads, choices), new AbortController().signal);
}

export async function undo(url: string, uploads: string, choices: Partial<LoadRequest> = {}): Promise<UndoResult> {
  return undoLoad(request(url, uploads, choices), new AbortController().signal);
}

export async function update(directory: string, url: string, uploads: string, choices: Partial<UpdateRequest> = {}): Promise<UpdateResult> {
  return updateLoad(directory, { ...request(url, uploads), base: undefined, ...choices }, new AbortController().signal);
}

/** Digests of all files, and their names where these are not made of ids. */
export function filesBelow(uploads: string): string[] {
  return readdirSync(uploads, { recursive: true, withFileTypes: true }).filter((each) => each.isFile()).map(({ parentPath, name }) => {
    const path = join(parentPath, name);
    return `${relative(uploads, path).replace(/[0-9a-f]{40}/, 'AVATAR')} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`;
  }).sort();
}

/**
 * A digest of each of Zulip's tables, its rows and its indexes and constraints, and what schemas of unfinished loads there are.
 *
 * @param except rows that are not to count, by table, as SQL over `t`
 */
export async function digests(url: string, except: Readonly<Record<string, string>> = {}): Promise<Record<string, string>> {
  return withClient(url, async (client) => {
    await client.query("SET search_path = zulip; SET timezone = 'UTC'");
    const { rows } = await client.query<{ name: string }>("SELECT relname AS name FROM pg_class WHERE relnamespace = 'zulip'::regnamespace AND relkind = 'r' ORDER BY 1");
    const found: Record<string, string> = {};
    for (const { name } of rows) {
      const { rows: [row] } = await client.query<{ digest: string | null }>(`SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text)) AS digest FROM ${client.escapeIdentifier(name)} AS t WHERE NOT coalesce((${except[name] ?? 'false'}), false)`);
      found[name] = row?.digest ?? 'empty';
    }
    const { rows: [schema] } = await client.query<{ text: string }>(`
      SELECT (SELECT string_agg(concat(pg_get_indexdef(indexrelid), obj_description(indexrelid, 'pg_class'), c.reltablespace, indisvalid, (SELECT max(attstattarget) FROM pg_attribute WHERE attrelid = indexrelid)), E'\\n' ORDER BY indexrelid::regclass::text) FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE c.relnamespace = 'zulip'::regnamespace)
        || (SELECT string_agg(concat(conrelid::regclass, ' ', conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint'), (SELECT string_agg(tgenabled::text, '' ORDER BY tgenabled) FROM pg_trigger WHERE tgconstraint = pg_constraint.oid)), E'\\n' ORDER BY conrelid::regclass::text, conname) FROM pg_constraint WHERE connamespace = 'zulip'::regnamespace)
        || coalesce((SELECT string_agg(nspname, ',') FROM pg_namespace WHERE nspname LIKE 'realmlift\\_load\\_%'), '') AS text`);
    return { ...found, schema: createHash('md5').update(schema?.text ?? '').digest('hex') };
  });
}
