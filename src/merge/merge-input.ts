/** The exports to join, oldest snapshot first, and whether they may be joined at all. */
import { join } from 'node:path';
import { EXIT, RealmliftError } from '../errors.js';
import { CONSENT_FILES } from '../package/consent-files.js';
import { openWithoutOrphans, readTop, type FinishedExport } from '../pipe/finished-export.js';
import { eachRow } from '../pipe/each-row.js';
import { eachTableFile, withTableFiles } from '../pipe/opened-tables.js';
import { parsed } from '../json/parsed.js';
import { RowFields } from '../json/row-fields.js';
import type { TableFile } from '../pipe/table-file.js';
import { IdTable } from '../ids/id-table.js';
import { MIGRATION_STATUS, USER_FILE } from '../package/export-files.js';

/** Whose private data an export holds. */
export type Consent = { readonly kind: 'everybody' } | { readonly kind: 'nobody' } | { readonly kind: 'some'; readonly users: IdTable };

export interface MergeInput {
  /** Place among the inputs: the later the snapshot, the higher. */
  readonly index: number;
  readonly source: FinishedExport;
  readonly consent: Consent;
  /** realm.json or user.json, analytics.json, attachment.json; open until the merge ends. */
  readonly files: readonly TableFile[];
  /** Users of a single user's export; undefined for a realm's. */
  readonly users: readonly number[] | undefined;
}

/** Keys of a single user's message that say what this user has done with it. */
export const USER_FLAGS = ['flags', 'flags_mask'] as const;

/**
 * Opens all exports for `use`.
 *
 * @param realmsMayDiffer when their ids are made disjoint, or were
 * @throws RealmliftError MERGE_REALMS, MERGE_SERVERS, MERGE_VERSIONS, MERGE_KINDS, MERGE_SAME_REALM, MERGE_AGAIN: why they cannot be joined
 */
export async function withInputs<T>(directories: readonly string[], realmsMayDiffer: boolean, use: (inputs: readonly MergeInput[]) => Promise<T>): Promise<T> {
  const sources = await Promise.all(directories.map((directory) => openWithoutOrphans(directory)));
  // Timestamps of one form, ISO 8601 in UTC with microseconds: their order is that of their letters. Ties keep the caller's order.
  sources.sort((a, b) => (a.header.snapshot.taken_at < b.header.snapshot.taken_at ? -1 : a.header.snapshot.taken_at > b.header.snapshot.taken_at ? 1 : 0));
  return withTableFiles(async (open) => {
    const inputs = sources.map((source, index): MergeInput => {
      const files = open(source);
      return { index, source, files, consent: consentOf(source), users: source.top.has(USER_FILE) ? idsOf(files, 'zerver_userprofile') : undefined };
    });
    refuseKinds(inputs);
    if (realmsMayDiffer) refuseSameRealm(inputs);
    else refuseRealms(inputs);
    refuseVersions(inputs);
    return use(inputs);
  });
}

function consentOf(source: FinishedExport): Consent {
  const { mode } = source.header;
  if (mode === 'full' || mode === 'user') return { kind: 'everybody' };
  for (const name of CONSENT_FILES) {
    const text = readTop(source, name);
    if (text === undefined) continue;
    const ids = parsed(text);
    if (!Array.isArray(ids) || !ids.every((id) => Number.isSafeInteger(id))) throw new RealmliftError('JSON_DAMAGED', 'merge', `${join(source.directory, name)} is no list of ids`, { hint: 'make that export again' });
    const users = new IdTable();
    for (const id of ids as number[]) users.add(id);
    return { kind: 'some', users };
  }
  return { kind: 'nobody' };
}

/** True when the export holds the user's data as they are, not scrubbed. */
export function isUnscrubbed({ consent }: MergeInput, user: number): boolean {
  return consent.kind === 'everybody' || (consent.kind === 'some' && consent.users.has(user));
}

/** True for exports of several single users: each message says what its user did with it, in keys that only one user can have. */
export function severalUsers(inputs: readonly MergeInput[]): boolean {
  return new Set(inputs.flatMap(({ users }) => users ?? [])).size > 1;
}

function refuse(code: string, message: string, hint: string): never {
  throw new RealmliftError(code, 'merge', message, { hint, exit: EXIT.nothingExported });
}

function refuseKinds(inputs: readonly MergeInput[]): void {
  const single = inputs.filter(({ users }) => users !== undefined);
  if (single.length > 0 && single.length < inputs.length) {
    refuse('MERGE_KINDS', 'a single user\'s export cannot be joined with a realm\'s: its messages go to recipients and groups that no realm export holds',
      'export the realm for these users with --users, and join that');
  }
  for (const { users } of single) {
    if (users?.length !== 1) refuse('MERGE_AGAIN', 'one of these exports already joins several users', 'name the exports of the single users instead, all at once');
  }
}

function refuseRealms(inputs: readonly MergeInput[]): void {
  const [first, ...others] = inputs.map((input) => ({ header: input.source.header, identity: identityOf(input) }));
  for (const other of others) {
    if (first?.header.realm_id === other.header.realm_id && first.identity === other.identity) continue;
    const [a, b] = [first, other].map((each) => `${each?.header.realm} (id ${each?.header.realm_id})`);
    refuse('MERGE_REALMS', a === b ? `the realms ${a} are of different servers: their ids mean different rows` : `${a} and ${b} are different realms or of different servers: equal ids mean different rows`,
      'give every export ids of its own with --remap');
  }
}

/** With ids of their own the rows that two exports of one realm share would come twice. */
function refuseSameRealm(inputs: readonly MergeInput[]): void {
  const seen = new Set<string>();
  for (const input of inputs) {
    const { realm, realm_id: id } = input.source.header;
    const key = `${id} ${identityOf(input)}`;
    if (seen.has(key)) refuse('MERGE_SAME_REALM', `two of the exports are of the same realm ${realm} (id ${id}): with ids of their own its rows would come twice`, 'join these two first, without --remap');
    seen.add(key);
  }
}

/** What stays the same as long as a realm lives on its server; exports of single users hold no row of the realm. */
function identityOf({ files, source }: MergeInput): string {
  for (const fields of eachRow(files, 'zerver_realm')) return `${fields.textOf('uuid') ?? ''} ${fields.bytes(fields.find('date_created')).toString()}`;
  return source.header.realm;
}

/** Versions differ by name, by their migrations, or (where an export names neither) by the columns of their rows. */
function refuseVersions(inputs: readonly MergeInput[]): void {
  const [first, ...others] = inputs as [MergeInput, ...MergeInput[]];
  for (const other of others) {
    const [a, b] = [first, other].map((input) => input.source.header.zulip_version ?? 'unknown');
    if (a !== b) refuse('MERGE_VERSIONS', `the exports are of Zulip ${a} and ${b}`, 'upgrade the older server and export it again');
    const [one, two] = [first, other].map((input) => input.source.top.get(MIGRATION_STATUS)?.sha256);
    if (one !== two) refuse('MERGE_VERSIONS', 'the exports are of different states of the database: their migration_status.json differ', 'export again from a server of one version');
    const columns = columnsOf(first);
    for (const [table, keys] of columnsOf(other)) {
      const known = columns.get(table);
      if (known !== undefined && known !== keys) refuse('MERGE_VERSIONS', `rows of ${table} have other columns in one export than in the other`, 'export both with one version and the same --strip');
    }
  }
}

function columnsOf({ files, source }: MergeInput): Map<string, string> {
  const columns = new Map<string, string>();
  const note = (file: TableFile): void => {
    const fields = new RowFields();
    for (const table of file.tables) {
      for (const row of file.rows(table)) {
        fields.split(row);
        columns.set(table, Array.from({ length: fields.count }, (_, field) => fields.key(field)).sort().join(' '));
        break;
      }
    }
  };
  files.forEach(note);
  for (const file of eachTableFile(source, source.messages.slice(0, 1))) note(file);
  return columns;
}

function idsOf(files: readonly TableFile[], table: string): number[] {
  const ids: number[] = [];
  for (const fields of eachRow(files, table)) ids.push(fields.integerOf('id'));
  return ids;
}
