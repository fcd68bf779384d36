/** What a run exports: realms by name, or single users of realms. */
import type pg from 'pg';
import type { RealmliftError } from '../errors.js';
import { findUsers, type UserEntry } from './user-list.js';
import { ambiguousRealm, findRealm, listRealms, type Realm } from './realm.js';

export interface TargetRequest {
  /** Subdomains, or all realms but the system's. */
  readonly realms: readonly string[] | 'all';
  /** Subdomains that `all` leaves out. */
  readonly exclude: readonly string[];
  /** Single users to export, instead of realms. */
  readonly users: readonly UserEntry[] | undefined;
  /** Users whose transfer was approved: set C of every realm of the run. */
  readonly approved: readonly UserEntry[] | undefined;
  /** Skip users that fit nobody instead of refusing. */
  readonly allowUnknown: boolean;
}

export interface Target {
  /** For messages: `acme`, or `acme/user@example.com`. */
  readonly name: string;
  /** Directory under the output directory. */
  readonly directory: string;
  readonly realm: Realm;
  readonly userId: number | undefined;
  /** Ids of the realm's approved users; undefined when nobody named any. */
  readonly approved: readonly number[] | undefined;
}

/** @throws RealmliftError REALM_UNKNOWN, USERS_UNKNOWN naming all that are, exit code 3 */
export async function findTargets(client: pg.Client, request: TargetRequest, onUnknown: (why: string) => void): Promise<Target[]> {
  const realms = await findRealms(client, request);
  if (request.users !== undefined) {
    const users = await findUsers(client, request.users, realms, request.allowUnknown, onUnknown);
    return users.map(({ id, realmId, email }) => {
      const realm = realms.find((each) => each.id === realmId) as Realm;
      return { name: `${realm.stringId}/${email}`, directory: `${directoryName(realm.stringId)}-user-${directoryName(email)}`, realm, userId: id, approved: undefined };
    });
  }
  const approved = request.approved === undefined ? undefined : await findUsers(client, request.approved, realms, request.allowUnknown, onUnknown);
  return realms.map((realm) => ({
    name: realm.stringId, directory: directoryName(realm.stringId), realm, userId: undefined,
    approved: approved?.filter((user) => user.realmId === realm.id).map((user) => user.id),
  }));
}

async function findRealms(client: pg.Client, { realms, exclude }: TargetRequest): Promise<Realm[]> {
  const left = new Set(exclude);
  // A name that fits nothing is a mistake, also where it is only to be left out.
  for (const name of left) await findRealm(client, name);
  if (realms === 'all') return (await listRealms(client)).filter((realm) => !left.has(realm.stringId));
  const found: Realm[] = [];
  for (const name of new Set(realms)) if (!left.has(name)) found.push(await findRealm(client, name));
  return found;
}

/** What a run has in its output directory besides its exports, and unfinished exports: no realm's directory is called so. */
const TAKEN = /^\.|\.partial$|^(?:manifest\.json|report\.html|catch-up\.journal)$/;

/** A subdomain is a file name already, but the root realm's is empty; an address may hold anything. Two names never become one. */
function directoryName(name: string): string {
  if (name === '') return '_root';
  const encoded = name.replace(/[^A-Za-z0-9._@+-]+/g, (text) => Buffer.from(text).toString('hex').replace(/../g, '%$&'));
  return encoded === '_root' ? '%5froot' : TAKEN.test(encoded) ? encoded.replace(/\.(?=[^.]*$)/, '%2e').replace(/^\./, '%2e') : encoded;
}

/** Targets that would be written to the same directory, each with why it is not exported: only a database that has lost Zulip's constraints has such. */
export function sharedDirectories(targets: readonly Target[]): Map<Target, RealmliftError> {
  const byDirectory = new Map<string, Target[]>();
  for (const target of targets) byDirectory.set(target.directory, [...byDirectory.get(target.directory) ?? [], target]);
  return new Map([...byDirectory.values()].filter((same) => same.length > 1).flatMap((same) => same.map((target) => [target, ambiguousRealm(target.realm.stringId, same.map(({ realm }) => realm.id))] as const)));
}
