/** Finds a backup in a place, and opens its lists. */
import type { KeyObject } from 'node:crypto';
import { resolve } from 'node:path';
import { EXIT, RealmliftError } from '../../errors.js';
import { inParallel } from '../../in-parallel.js';
import { headerOpener, openIdentityFile, readIdentityFile, readPassphraseFile } from '../seal/age-keys.js';
import type { OpenHeader } from '../seal/age-payload.js';
import { readWhole } from '../store/backup-store.js';
import type { BackupStore } from '../store/backup-store.js';
import { openStore } from '../store/open-store.js';
import { markOf } from '../store/verified-marks.js';
import { CLEAR_LIST, CLEAR_LIST_CHECKSUM, IDENTITY, damaged, parseClearList, parseContents } from './backup-contents.js';
import type { ClearList, Contents } from './backup-contents.js';
import { backupName, isBackupName } from './part-names.js';
import { readPart } from './sealing.js';
import { requireSignature, unproved } from './signature.js';

export interface FoundBackup {
  readonly store: BackupStore;
  /** Where it is kept with others, and its name there; undefined when it lies by itself. */
  readonly kept: { readonly collection: BackupStore; readonly name: string } | undefined;
  readonly list: ClearList;
  /** Whether a key was given that proved who made it. */
  readonly originProved: boolean;
}

export interface OpenBackup extends FoundBackup {
  readonly contents: Contents;
  readonly open: OpenHeader;
}

/** How a backup is to be opened. */
export interface Keys {
  readonly identityFile?: string | undefined;
  readonly passphraseFile?: string | undefined;
}

/** Bytes of the sealed list; that of 100,000 tables has half of it. */
const LONGEST_LIST = 128 * 1024 * 1024;

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether there is a backup, or a collection of backups, at `location`. Looks at names alone. */
export async function isBackup(location: string, env: Environment): Promise<boolean> {
  const store = await openStore(location, env);
  return (await store.directories()).some(isBackupName) || (await isComplete(store));
}

/**
 * The backup at `location`, or the newest complete one of those that are kept there, if they are of one database.
 *
 * @param verifyKey refuses any other than what was signed with the secret key that belongs to it
 * @param keys open the lists of backups that are refused because they are of several databases, to tell which these are
 * @throws RealmliftError BACKUP_MISSING, BACKUP_AMBIGUOUS, BACKUP_DAMAGED, BACKUP_FORMAT, ORIGIN_UNPROVED
 */
export async function findBackup(location: string, env: Environment, verifyKey?: KeyObject, keys: Keys = {}): Promise<FoundBackup> {
  const found = await findComplete(location, env, verifyKey, keys);
  const { kept, list } = found;
  // The newest is taken by the name of its directory, which is not signed: an old backup may not pass for a new one.
  if (verifyKey !== undefined && kept !== undefined && kept.name !== backupName(list.takenAt, list.id)) throw unproved(`the directory ${kept.name} holds the backup of ${list.takenAt}`);
  return found;
}

async function findComplete(location: string, env: Environment, verifyKey: KeyObject | undefined, keys: Keys): Promise<FoundBackup> {
  const originProved = verifyKey !== undefined;
  const place = await openStore(location, env);
  if (await isComplete(place)) return { store: place, kept: await keptAt(location, env), list: await clearList(place, verifyKey), originProved };
  const names = await backupNames(place);
  for (const name of names.toReversed()) {
    const store = place.within(name);
    if (await isComplete(store)) {
      const list = await clearList(store, verifyKey);
      await refuseSeveralDatabases(place, { name, database: list.database }, names, keys);
      return { store, kept: { collection: place, name }, list, originProved };
    }
    // Without a list because it was never finished, if nobody has found it good.
    if ((await markOf(place, name)) !== undefined) throw damaged([`${name}/${CLEAR_LIST}: it is missing`]);
  }
  if (names.length > 0) {
    throw new RealmliftError('BACKUP_MISSING', 'backup', `none of the ${names.length} backups in ${place.description} was completed`, { hint: 'take a new backup' });
  }
  const found = [...(await place.list()).keys()];
  if (found.some((name) => name === CLEAR_LIST_CHECKSUM || name.endsWith('.age'))) {
    throw damaged([`${CLEAR_LIST}: it is missing from ${place.description}; either it was lost, or the backup was never completed`]);
  }
  throw new RealmliftError('BACKUP_MISSING', 'backup', `there is no backup in ${place.description}`, { hint: 'give the directory or s3:// URL that realmlift backup --to was given' });
}

/**
 * The newest would be that of whichever database was saved last. A backup of an earlier version does not say of which it is: it is taken for one
 * of the newest's, unless it is the newest itself, and others say it.
 *
 * @throws RealmliftError BACKUP_AMBIGUOUS naming the newest of each database
 */
async function refuseSeveralDatabases(place: BackupStore, newest: { readonly name: string; readonly database: string | undefined }, names: readonly string[], keys: Keys): Promise<void> {
  const databases = new Map<string, string | undefined>();
  await inParallel(names.filter((name) => name !== newest.name), LISTS_AT_ONCE, async (name) => { databases.set(name, await databaseOf(place.within(name))); });
  const newestOf = new Map(names.flatMap((name) => (databases.get(name) === undefined ? [] : [[databases.get(name), name]])));
  newestOf.set(newest.database, newest.name);
  if (newestOf.size === 1) return;
  const found = await Promise.all([...newestOf.values()].map(async (name) => `${name}${await databaseName(place.within(name), keys)}`));
  throw new RealmliftError('BACKUP_AMBIGUOUS', 'backup', `${place.description} has backups of ${newestOf.size} databases, the newest of each: ${found.sort().join(', ')}`, { hint: `name one: ${place.description}/${newest.name}`, exit: EXIT.usage });
}

/** Lists that are read at once. */
const LISTS_AT_ONCE = 8;

/** In brackets; nothing where the keys do not open it, or it is damaged. */
async function databaseName(store: BackupStore, keys: Keys): Promise<string> {
  try {
    const found = { store, kept: undefined, list: await clearList(store, undefined), originProved: false };
    return ` (${(await openBackup(found, keys, new AbortController().signal)).contents.source.database})`;
  } catch {
    return '';
  }
}

/** Tells a database from others; undefined where there is no list, or it is damaged, or of an earlier version. */
export async function databaseOf(store: BackupStore): Promise<string | undefined> {
  try {
    return (JSON.parse((await readWhole(store, CLEAR_LIST)).toString('utf8')) as Partial<ClearList> | null)?.database;
  } catch (error) {
    if (error instanceof SyntaxError || (error as RealmliftError).code === 'PART_MISSING') return undefined;
    throw error;
  }
}

async function keptAt(location: string, env: Environment): Promise<FoundBackup['kept']> {
  const path = location.startsWith('s3://') ? location.replace(/\/+$/, '') : resolve(location);
  const at = path.lastIndexOf('/');
  const name = path.slice(at + 1);
  return isBackupName(name) ? { collection: await openStore(path.slice(0, at), env), name } : undefined;
}

/** Names of the directories of backups, complete or not, the oldest first. */
export async function backupNames(location: BackupStore): Promise<string[]> {
  return (await location.directories()).filter(isBackupName).sort();
}

/** Whether a backup was written to its end. */
export async function isComplete(store: BackupStore): Promise<boolean> {
  try {
    await store.read(CLEAR_LIST, () => Promise.resolve());
    return true;
  } catch (error) {
    if ((error as RealmliftError).code === 'PART_MISSING') return false;
    throw error;
  }
}

/** @throws RealmliftError KEY_MISSING, KEY_WRONG, BACKUP_DAMAGED */
export async function openBackup(found: FoundBackup, keys: Keys, signal: AbortSignal): Promise<OpenBackup> {
  return openContents(found, headerOpener(await secretKeys(found.store, keys)), signal);
}

/** @throws RealmliftError KEY_WRONG, BACKUP_DAMAGED */
export async function openContents(found: FoundBackup, open: OpenHeader, signal: AbortSignal): Promise<OpenBackup> {
  const { store, list } = found;
  const part = list.parts.find(({ name }) => name === list.contents);
  if (part === undefined) throw damaged([`${CLEAR_LIST}: it does not list ${list.contents}`]);
  const json = await readPart(store, part, open, signal, LONGEST_LIST);
  return { ...found, open, contents: parseContents(json, list) };
}

async function secretKeys(store: BackupStore, { identityFile, passphraseFile }: Keys): Promise<string[]> {
  if (identityFile !== undefined) return readIdentityFile(identityFile);
  if (passphraseFile === undefined) throw new RealmliftError('KEY_MISSING', 'usage', 'the backup is encrypted and no key was given', { hint: 'give --identity FILE (what age-keygen wrote) or --passphrase-file FILE', exit: EXIT.usage });
  const passphrase = await readPassphraseFile(passphraseFile);
  const sealed = await readWhole(store, IDENTITY).catch((error: unknown) => {
    if ((error as RealmliftError).code === 'PART_MISSING') throw new RealmliftError('KEY_WRONG', 'usage', 'this backup is not under a passphrase', { hint: 'give --identity FILE', cause: error });
    throw error;
  });
  return openIdentityFile(sealed, passphrase);
}

async function clearList(store: BackupStore, verifyKey: KeyObject | undefined): Promise<ClearList> {
  const [json, checksum] = [await readWhole(store, CLEAR_LIST), await checksumOf(store)];
  if (verifyKey !== undefined) await requireSignature(store, json, verifyKey);
  return parseClearList(json, checksum);
}

async function checksumOf(store: BackupStore): Promise<Buffer> {
  try {
    return await readWhole(store, CLEAR_LIST_CHECKSUM);
  } catch (error) {
    if ((error as RealmliftError).code === 'PART_MISSING') throw damaged([`${CLEAR_LIST_CHECKSUM}: it is missing`], error);
    throw error;
  }
}
