/**
 * Lists of people: the users whose transfer was approved, or whose single exports are wanted. One address or id a line, `#`
 * starts a comment; or CSV with a header that names a column `email` or `id` (and perhaps `realm`).
 */
import { readFileSync } from 'node:fs';
import type pg from 'pg';
import { EXIT, RealmliftError } from '../errors.js';
import { ioReason } from '../io-reason.js';
import { counted } from '../numbers.js';
import type { Realm } from './realm.js';

export interface UserEntry {
  /** Address or id, as written. */
  readonly user: string;
  /** Subdomain, where the list says one. */
  readonly realm: string | undefined;
}

const ID_COLUMNS = ['email', 'delivery_email', 'id', 'user_id'];

/** @throws RealmliftError USERS_FILE */
export function readUserList(path: string): UserEntry[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new RealmliftError('USERS_FILE', 'usage', `${path} cannot be read: ${ioReason(cause)}`, { exit: EXIT.usage, cause });
  }
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/).map((line) => line.replace(/(^|\s)#.*$/, '').trim()).filter((line) => line !== '');
  const header = cells(lines[0] ?? '').map((cell) => cell.toLowerCase());
  const column = ID_COLUMNS.map((name) => header.indexOf(name)).find((index) => index !== -1);
  if (column === undefined && isHeader(header)) {
    throw new RealmliftError('USERS_FILE', 'usage', `${path} is CSV without a column email or id: its header has ${header.map((name) => JSON.stringify(name)).join(', ')}`, {
      hint: `name one of its columns ${ID_COLUMNS.join(', ')}; or give one address or id a line`, exit: EXIT.usage,
    });
  }
  const entries = column === undefined
    ? lines.map((user) => ({ user, realm: undefined }))
    : lines.slice(1).map((line) => {
      const row = cells(line);
      return { user: row[column] ?? '', realm: header.includes('realm') ? row[header.indexOf('realm')] : undefined };
    });
  if (entries.length === 0) throw new RealmliftError('USERS_FILE', 'usage', `${path} names nobody`, { hint: 'one address or id a line, or CSV with a column email or id', exit: EXIT.usage });
  return entries.filter(({ user }) => user !== '');
}

/** Columns, of which none is an address or an id: what is to be looked up has one of these. */
function isHeader(cells: readonly string[]): boolean {
  return cells.length > 1 && cells.every((cell) => !cell.includes('@') && !/^\d+$/.test(cell));
}

/** One line of CSV; quotes may hold commas and doubled quotes. */
function cells(line: string): string[] {
  return [...line.matchAll(/(?:^|,)\s*(?:"((?:[^"]|"")*)"|([^,]*))/g)].map((match) => (match[1]?.replaceAll('""', '"') ?? match[2] ?? '').trim());
}

export interface FoundUser {
  readonly id: number;
  readonly realmId: number;
  /** delivery_email */
  readonly email: string;
}

/**
 * Looks every entry up among the users of the named realms. Deactivated users count, system bots do not.
 *
 * @param allowUnknown entries that fit nobody are told to `onUnknown` instead of ending the run
 * @throws RealmliftError USERS_UNKNOWN listing every unknown, ambiguous and foreign entry at once, exit code 3
 */
export async function findUsers(client: pg.Client, entries: readonly UserEntry[], realms: readonly Realm[], allowUnknown: boolean, onUnknown: (why: string) => void): Promise<FoundUser[]> {
  const { rows } = await client.query<{ entry: string; id: number; realm_id: number; email: string; subdomain: string }>(`
    SELECT e.entry, u.id::float8 AS id, u.realm_id::float8 AS realm_id, u.delivery_email AS email, r.string_id AS subdomain
    FROM unnest($1::text[]) AS e(entry)
    JOIN zerver_userprofile u ON lower(u.delivery_email) = lower(e.entry) OR lower(u.email) = lower(e.entry) OR u.id::text = e.entry
    JOIN zerver_realm r ON r.id = u.realm_id`, [[...new Set(entries.map(({ user }) => user))]]);
  const wanted = new Set(realms.map((realm) => realm.id));
  const found = new Map<number, FoundUser>();
  const wrong: string[] = [];
  for (const { user, realm } of entries) {
    const matches = rows.filter((row) => row.entry === user && (realm === undefined || row.subdomain === realm));
    const here = matches.filter((row) => wanted.has(row.realm_id));
    // Somebody's real address wins over somebody else's public one.
    const exact = here.filter((row) => row.email.toLowerCase() === user.toLowerCase());
    const chosen = exact.length > 0 ? exact : here;
    const [only] = chosen;
    if (only === undefined) wrong.push(matches.length > 0 ? `${user} (of another realm: ${matches[0]?.subdomain ?? ''})` : `${user} (unknown)`);
    else if (chosen.length > 1) wrong.push(`${user} (ambiguous: in ${[...new Set(chosen.map((row) => row.subdomain))].join(', ')})`);
    else found.set(only.id, { id: only.id, realmId: only.realm_id, email: only.email });
  }
  if (wrong.length > 0 && !allowUnknown) {
    throw new RealmliftError('USERS_UNKNOWN', 'plan', `${counted(wrong.length, 'entry', 'entries')} of the list of users ${wrong.length === 1 ? 'fits' : 'fit'} nobody: ${wrong.join('; ')}`, {
      hint: 'mend the list, or skip them with --allow-unknown; nothing was exported', exit: EXIT.nothingExported,
    });
  }
  for (const each of wrong) onUnknown(`skipped: ${each}`);
  return [...found.values()];
}
