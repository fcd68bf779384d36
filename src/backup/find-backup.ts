/** Finds a backup in a place, and opens its lists. */
import { RealmliftError } from '../errors.js';
import { headerOpener, openIdentityFile, readIdentityFile, readPassphraseFile } from './age-keys.js';
import type { OpenHeader } from './age-payload.js';
import { CLEAR_LIST, CLEAR_LIST_CHECKSUM, IDENTITY, damaged, parseClearList, parseContents } from './backup-contents.js';
import type { ClearList, Contents } from './backup-contents.js';
import { openStore, readWhole } from './backup-store.js';
import type { BackupStore } from './backup-store.js';
import { isBackupName } from './part-names.js';
import { openPart } from './sealing.js';

export interface FoundBackup {
  readonly store: BackupStore;
  /** The directory's name; undefined when the place given was the backup itself. */
  readonly name: string | undefined;
  readonly list: ClearList;
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

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether there is a backup, or a collection of backups, at `location`. Looks at names alone. */
export async function isBackup(location: string, env: Environment): Promise<boolean> {
  const store = openStore(location, env);
  return (await store.directories()).some(isBackupName) || (await isComplete(store));
}

/**
 * The backup at `location`, or the newest complete one of those that are kept there.
 *
 * @throws RealmliftError BACKUP_MISSING, BACKUP_DAMAGED, BACKUP_FORMAT
 */
export async function findBackup(location: BackupStore): Promise<FoundBackup> {
  if (await isComplete(location)) return { store: location, name: undefined, list: await clearList(location) };
  const names = await backupNames(location);
  for (const name of names.toReversed()) {
    const store = location.within(name);
    if (await isComplete(store)) return { store, name, list: await clearList(store) };
  }
  if (names.length > 0) {
    throw new RealmliftError('BACKUP_MISSING', 'backup', `none of the ${names.length} backups in ${location.description} was completed`, { hint: 'take a new backup' });
  }
  const found = await location.list();
  if (found.has(CLEAR_LIST_CHECKSUM) || [...found.keys()].some((name) => name.endsWith('.age'))) {
    throw damaged([`${CLEAR_LIST}: it is missing from ${location.description}; either it was lost, or the backup was never completed`]);
  }
  throw new RealmliftError('BACKUP_MISSING', 'backup', `there is no backup in ${location.description}`, { hint: 'give the directory or s3:// URL that realmlift backup --to was given' });
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
  const { store, list } = found;
  const open = headerOpener(await secretKeys(store, keys));
  const part = list.parts.find(({ name }) => name === list.contents);
  if (part === undefined) throw damaged([`${CLEAR_LIST}: it does not list ${list.contents}`]);
  const chunks: Buffer[] = [];
  await openPart(store, part, open, signal, async (plain) => {
    chunks.length = 0;
    for await (const chunk of plain) chunks.push(chunk);
  });
  return { ...found, open, contents: parseContents(Buffer.concat(chunks), list) };
}

async function secretKeys(store: BackupStore, { identityFile, passphraseFile }: Keys): Promise<string[]> {
  if (identityFile !== undefined) return readIdentityFile(identityFile);
  if (passphraseFile === undefined) throw new RealmliftError('KEY_MISSING', 'usage', 'the backup is encrypted and no key was given', { hint: 'give --identity FILE (what age-keygen wrote) or --passphrase-file FILE', exit: 2 });
  const passphrase = await readPassphraseFile(passphraseFile);
  const sealed = await readWhole(store, IDENTITY).catch((error: unknown) => {
    if ((error as RealmliftError).code === 'PART_MISSING') throw new RealmliftError('KEY_WRONG', 'usage', 'this backup is not under a passphrase', { hint: 'give --identity FILE', cause: error });
    throw error;
  });
  return openIdentityFile(sealed, passphrase);
}

async function clearList(store: BackupStore): Promise<ClearList> {
  const [json, checksum] = [await readWhole(store, CLEAR_LIST), await checksumOf(store)];
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
