/** What a run exports: realms by name, or single users of realms. */
import type pg from 'pg';
import { EXIT, RealmliftError } from '../errors.js';
import { findRealm, listRealms, type Realm } from './realm.js';

export interface TargetRequest {
  /** Subdomains, or all realms but the system's. */
  readonly realms: readonly string[] | 'all';
  /** Subdomains that `all` leaves out. */
  readonly exclude: readonly string[];
  /** Email addresses (or ids) of single users of the one realm named. */
  readonly users: readonly string[] | undefined;
}

export interface Target {
  /** For messages: `acme`, or `acme/user@example.com`. */
  readonly name: string;
  /** Directory under the output directory. */
  readonly directory: string;
  readonly realm: Realm;
  readonly userId: number | undefined;
}

/** @throws RealmliftError REALM_UNKNOWN, USER_UNKNOWN naming all that are, exit code 3 */
export async function findTargets(client: pg.Client, request: TargetRequest): Promise<Target[]> {
  const excluded = await Promise.all(request.exclude.map((name) => findRealm(client, name)));
  const realms = request.realms === 'all' ? (await listRealms(client)).filter((realm) => !excluded.some((each) => each.id === realm.id))
    : await eachRealm(client, [...new Set(request.realms)]);
  if (request.users === undefined) return realms.map((realm) => ({ name: realm.stringId, directory: directoryName(realm.stringId), realm, userId: undefined }));
  const [realm] = realms as [Realm];
  return (await findUsers(client, realm, request.users)).map(({ id, email }) => ({
    name: `${realm.stringId}/${email}`, directory: `${directoryName(realm.stringId)}-user-${directoryName(email)}`, realm, userId: id,
  }));
}

async function eachRealm(client: pg.Client, names: readonly string[]): Promise<Realm[]> {
  const realms: Realm[] = [];
  for (const name of names) realms.push(await findRealm(client, name));
  return realms;
}

async function findUsers(client: pg.Client, realm: Realm, users: readonly string[]): Promise<{ id: number; email: string }[]> {
  const found: { id: number; email: string }[] = [];
  const unknown: string[] = [];
  for (const user of new Set(users)) {
    const { rows } = await client.query<{ id: number; email: string }>(`
      SELECT id::float8 AS id, delivery_email AS email FROM zerver_userprofile
      WHERE realm_id = $1 AND (id::text = $2 OR lower(delivery_email) = lower($2) OR lower(email) = lower($2)) ORDER BY (lower(delivery_email) = lower($2)) DESC`, [realm.id, user]);
    if (rows[0] === undefined) unknown.push(user);
    else found.push(rows[0]);
  }
  if (unknown.length > 0) {
    throw new RealmliftError('USER_UNKNOWN', 'plan', `the realm ${realm.stringId} has no such user: ${unknown.join(', ')}`, {
      hint: 'name users by their address or id', exit: EXIT.nothingExported,
    });
  }
  return found;
}

/** A subdomain is a file name already, but the root realm's is empty; an address may hold anything. */
function directoryName(name: string): string {
  return name === '' ? '_root' : name.replace(/[^A-Za-z0-9._@+-]/g, (char) => `%${char.codePointAt(0)?.toString(16) ?? ''}`).replace(/^\./, '%2e');
}
