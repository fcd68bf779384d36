/**
 * Are two unpacked export directories the same export?
 *
 * What may differ, and why:
 * - the order of rows and keys, how floats are spelled, indentation, where messages-NNNNNN.json are cut
 * - columns that Zulip exports although they are secrets (STRIPPED): they must be absent, null or empty
 * - zerver_realmexport and audit rows of event 206: the bookkeeping of the run that made the expected export
 * - the random colour of scrubbed subscriptions and the random address of hidden users (consent and public modes)
 * - last_modified of files; statistics; further files at the top level
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { compareArea } from './compare-files.js';
import { compareValue, show } from './compare-value.js';
import type { Report, Row } from './compare-value.js';

type Tables = Readonly<Record<string, readonly Row[]>>;

const USER_SECRETS = ['zoom_token', 'third_party_api_state', 'password', 'api_key', 'uuid'];
const ZOOM_KEYS = ['zoom_api_key', 'zoom_api_secret'];
const STRIPPED: Readonly<Record<string, readonly string[]>> = {
  zerver_service: ['token'],
  zerver_botconfigdata: ['value'],
  zerver_userprofile: USER_SECRETS,
  zerver_userprofile_mirrordummy: USER_SECRETS,
  zerver_stream: ['email_token'],
  zerver_realm: ZOOM_KEYS,
  zerver_analytics: ZOOM_KEYS,
};
/** The realm's identity to the push-notification service may be kept or stripped. */
const FREE: Readonly<Record<string, readonly string[]>> = { zerver_realm: ['uuid_owner_secret'] };

/** Lists of ids that Zulip writes in no particular order. */
const UNORDERED = new Set(['messages', 'scheduled_messages', 'members', 'direct_members', 'direct_subgroups']);

const TABLE_FILES = ['realm.json', 'user.json', 'analytics.json', 'attachment.json'];
const AREAS = ['uploads', 'avatars', 'emoji', 'realm_icons'];
const REALM_EXPORTED = 206;
const HIDDEN_ADDRESS = /^exported-user-[0-9a-f]{32}@/;
const COLOUR = /^#[0-9a-f]{6}$/i;

/**
 * The differences of `actual` from `expected`, one line each; none when they are the same export.
 *
 * @param expected an unpacked export directory; a name that ends in -consent, -public or -approved says that its rows are scrubbed
 */
export function compareExports(expected: string, actual: string): string[] {
  const differences: string[] = [];
  const report: Report = (where, what) => void differences.push(`${where}: ${what}`);
  const scrubbed = /-(consent|public|approved)$/.test(basename(expected));

  for (const name of TABLE_FILES) {
    const files = bothFiles(name, expected, actual, report);
    if (files !== undefined) compareTables(name, load(files[0]) as Tables, load(files[1]) as Tables, scrubbed, report);
  }
  compareTables('messages', messageTables(expected), messageTables(actual), scrubbed, report);
  checkMessageFiles(actual, report);
  compareMigrations(expected, actual, report);
  compareConsent(expected, actual, report);
  for (const area of AREAS) compareArea(area, join(expected, area), join(actual, area), report);
  return differences;
}

function compareTables(where: string, expected: Tables, actual: Tables, scrubbed: boolean, report: Report): void {
  for (const table of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
    if (table === 'zerver_realmexport') continue;
    const place = `${where} ${table}`;
    const [ours, theirs] = [actual[table], expected[table]];
    if (theirs === undefined) report(place, 'not in the expected export');
    else if (ours === undefined) report(place, 'missing table');
    else if (!Array.isArray(theirs) || !Array.isArray(ours)) compareValue(place, theirs, ours, report);
    else compareRows(where, table, theirs as Row[], ours as Row[], scrubbed, report);
  }
}

function compareRows(where: string, table: string, expected: readonly Row[], actual: readonly Row[], scrubbed: boolean, report: Report): void {
  const place = `${where} ${table}`;
  const counts = (row: Row): boolean => !(table === 'zerver_realmauditlog' && row.event_type === REALM_EXPORTED);
  const byId = new Map(actual.filter(counts).map((row) => [row.id, row]));
  if (byId.size !== actual.filter(counts).length) report(place, 'an id occurs twice');
  for (const row of expected.filter(counts)) {
    const other = byId.get(row.id);
    if (other === undefined) report(place, `row ${String(row.id)} is missing`);
    else compareRow(place, table, row, other, scrubbed, report);
    byId.delete(row.id);
  }
  for (const id of byId.keys()) report(place, `row ${String(id)} should not be there`);
}

function compareRow(place: string, table: string, expected: Row, actual: Row, scrubbed: boolean, report: Report): void {
  for (const key of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
    const [wanted, found] = [expected[key], actual[key]];
    if (FREE[table]?.includes(key) === true) continue;
    if (STRIPPED[table]?.includes(key) === true) {
      if (!isEmpty(found)) report(`${place}.${key}`, `row ${String(expected.id)} carries a secret`);
      continue;
    }
    if (scrubbed && table === 'zerver_subscription' && key === 'color' && matches(COLOUR, found)) continue;
    if (key === 'delivery_email' && matches(HIDDEN_ADDRESS, wanted) && matches(HIDDEN_ADDRESS, found)) continue;
    if (UNORDERED.has(key) && isDeepStrictEqual(asSet(wanted), asSet(found))) continue;
    compareValue(`${place}.${key}`, wanted, found, report, `row ${String(expected.id)}: `);
  }
}

/** The import reads messages-000001.json and so on until one is missing, and needs each usermessage beside its message. */
function checkMessageFiles(actual: string, report: Report): void {
  messageFiles(actual).forEach((name, index) => {
    if (name !== `messages-${String(index + 1).padStart(6, '0')}.json`) report('messages', `${name}: the import reads files by number, without gaps`);
    const { zerver_message: messages = [], zerver_usermessage: usermessages = [] } = load(join(actual, name)) as Tables;
    const ids = new Set(messages.map(({ id }) => id));
    if (usermessages.some(({ message }) => !ids.has(message))) report('messages', `${name} has a usermessage whose message is in another file`);
  });
}

function compareMigrations(expected: string, actual: string, report: Report): void {
  const name = 'migration_status.json';
  const files = bothFiles(name, expected, actual, report);
  if (files === undefined) return;
  interface Status { zulip_version: string; migrations_by_app: Record<string, string[]> }
  const [wanted, found] = files.map((file) => load(file)) as [Status, Status];
  compareValue(`${name} zulip_version`, wanted.zulip_version, found.zulip_version, report);
  const apps = found.migrations_by_app ?? {};
  for (const app of new Set([...Object.keys(wanted.migrations_by_app), ...Object.keys(apps)])) {
    compareSets(`${name} ${app}`, wanted.migrations_by_app[app] ?? [], apps[app] ?? [], report);
  }
}

function compareConsent(expected: string, actual: string, report: Report): void {
  const files = bothFiles('consented_user_ids.json', expected, actual, report);
  if (files !== undefined) compareSets('consented_user_ids.json', load(files[0]) as unknown[], load(files[1]) as unknown[], report);
}

function compareSets(where: string, expected: readonly unknown[], actual: readonly unknown[], report: Report): void {
  for (const each of expected) if (!actual.includes(each)) report(where, `${show(each)} is missing`);
  for (const each of actual) if (!expected.includes(each)) report(where, `${show(each)} should not be there`);
}

/** The paths of a file in both directories; undefined where it is not expected, or missing and reported. */
function bothFiles(name: string, expected: string, actual: string, report: Report): [string, string] | undefined {
  if (!existsSync(join(expected, name))) return undefined;
  if (existsSync(join(actual, name))) return [join(expected, name), join(actual, name)];
  report(name, 'missing file');
  return undefined;
}

function messageFiles(directory: string): string[] {
  return readdirSync(directory).filter((name) => /^messages-\d{6}\.json$/.test(name)).sort();
}

function messageTables(directory: string): Tables {
  const tables: Record<string, Row[]> = {};
  for (const name of messageFiles(directory)) {
    for (const [table, rows] of Object.entries(load(join(directory, name)) as Tables)) (tables[table] ??= []).push(...rows);
  }
  return tables;
}

function load(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}

function matches(pattern: RegExp, value: unknown): boolean {
  return typeof value === 'string' && pattern.test(value);
}

function asSet(value: unknown): unknown {
  return Array.isArray(value) ? [...(value as unknown[])].sort() : value;
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === '' || isDeepStrictEqual(value, {});
}
