/** Copies the files of an export to the new server, many at once, and makes what the new server would not make by itself. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { RealmliftError } from '../../errors.js';
import { inParallel } from '../../in-parallel.js';
import { tellProgress, tellWarning } from '../../narration.js';
import { fileLines, type FileLine } from '../../pipe/file-lines.js';
import type { LoadableExport } from '../source/loadable-export.js';
import type { FileTarget } from './file-target.js';
import { hasBareAvatars, planFiles, type FilePlanContext, type PlannedFile } from './file-plan.js';
import { SIDES, avatarImage, imageSize, stillImage, type AvatarSize } from './images.js';
import { FILES_FROM, type LoadJournal } from '../server/load-journal.js';

/** Files of one step of the journal: so many are copied again when it is cut off. */
const BATCH = 500;

export interface FileLoad {
  /** Its search path finds Zulip's tables. */
  readonly client: pg.Client;
  readonly journal: LoadJournal;
  readonly source: LoadableExport;
  readonly target: FileTarget;
  readonly plan: FilePlanContext;
  /** Files at once. */
  readonly jobs: number;
}

/** What was found out of images on the way. */
export interface Found {
  readonly animated: Set<string>;
  readonly brokenAvatars: Set<number>;
}

/** @returns how many there are @throws RealmliftError EXPORT_CHANGED, FILES_IN_THE_WAY, DISK_FULL, UPLOAD_FAILED, … */
export async function loadFiles(load: FileLoad, signal: AbortSignal): Promise<number> {
  const { client, journal, source, target, plan } = load;
  await journal.step(client, 'files begin', () => refuseOthers(target, plan.realms.new, signal));
  let count = 0;
  let batch: FileLine[] = [];
  const finish = async (): Promise<void> => {
    const step = `${FILES_FROM}${batch[0]?.path ?? 'none'}`;
    count += batch.length;
    if (batch.length > 0 && !journal.isDone(step)) {
      const found: Found = { animated: new Set(), brokenAvatars: new Set() };
      await inParallel(await planFiles(client, batch, plan), load.jobs, (file, stop) => copyFile(load, file, found, stop), signal);
      await journal.step(client, step, () => noteFound(client, journal, plan, found));
    }
    tellProgress(batch.length, batch.reduce((sum, { size }) => sum + size, 0));
    batch = [];
  };
  for await (const line of fileLines(source, undefined)) {
    batch.push(line);
    if (batch.length === BATCH) await finish();
  }
  await finish();
  return count;
}

/** What lies under the realm's new id before the load is somebody else's, and would be overwritten or removed. */
async function refuseOthers(target: FileTarget, realm: number, signal: AbortSignal): Promise<void> {
  for (const [area, prefix] of ownPrefixes(realm)) {
    if (await target.has(area, prefix, signal)) {
      throw new RealmliftError('FILES_IN_THE_WAY', 'load', `files are already in ${target.description} of a realm with the id ${realm}, which the loaded one gets`, { hint: `move ${area}/${prefix} away; or remove the load with --undo and load again, which takes another id` });
    }
  }
}

/** Where the files of a realm lie. */
export function ownPrefixes(realm: number): [PlannedFile['area'], string][] {
  return [['files', `${realm}/`], ['files', `thumbnail/${realm}/`], ['avatars', `${realm}/`]];
}

export interface FileCopy extends Pick<FileLoad, 'source' | 'plan'> {
  readonly target: Pick<FileTarget, 'put' | 'write'>;
}

/** One file, and what is made of it. */
export async function copyFile({ source, target, plan }: FileCopy, file: PlannedFile, found: Found, signal: AbortSignal): Promise<void> {
  const from = join(source.directory, file.path);
  await target.put(file, from, signal);
  const { area, key, image, attributes } = file;
  const png = { ...attributes, contentType: 'image/png' };
  if (image?.kind === 'avatar') {
    for (const size of sizesOf(from)) {
      const content = await avatarImage(from, size);
      if (content !== undefined) await target.write(area, avatarKeyOf(key, size, plan), content, png, signal);
      else if (size === '-medium.png') {
        tellWarning(`${file.path} is no image: its user gets a picture by address instead`);
        found.brokenAvatars.add(image.user);
      }
    }
  } else if (image?.kind === 'emoji' && !file.path.endsWith('.original')) {
    const size = await imageSize(from);
    if (size === undefined) tellWarning(`${file.path} is no image, and was copied as it is`);
    if (size === undefined || size.frames === 1) return;
    found.animated.add(image.fileName);
    const still = await stillImage(from);
    if (still !== undefined) await target.write(area, stillKey(image.fileName, plan), still, png, signal);
  }
}

/** What is made of an avatar's file. */
function sizesOf(from: string): AvatarSize[] {
  const base = from.replace(/\.(?:original|png)$/, '');
  const isOriginal = from !== base && !from.endsWith('.png');
  // Only of an avatar that has lost its original is the small picture all there is.
  if (!isOriginal && existsSync(`${base}.original`)) return [];
  // Exports out of buckets have no small picture: Zulip leaves it out.
  return isOriginal && !existsSync(base) && !existsSync(`${base}.png`) ? ['.png', '-medium.png'] : ['-medium.png'];
}

/** Keys of what is made of this file, if it is an image. */
export function madeKeys({ directory }: LoadableExport, { path, key, image }: PlannedFile, plan: FilePlanContext): string[] {
  if (image?.kind === 'avatar') return sizesOf(join(directory, path)).map((size) => avatarKeyOf(key, size, plan));
  return image?.kind === 'emoji' && !path.endsWith('.original') ? [stillKey(image.fileName, plan)] : [];
}

/** All keys under which something may lie of this file. */
export function keysOf({ key, image, path }: PlannedFile, plan: FilePlanContext): string[] {
  if (image?.kind === 'avatar') return [key, ...Object.keys(SIDES).map((size) => avatarKeyOf(key, size as AvatarSize, plan))];
  return image?.kind === 'emoji' && !path.endsWith('.original') ? [key, stillKey(image.fileName, plan)] : [key];
}

function stillKey(fileName: string, { realms }: FilePlanContext): string {
  return `${realms.new}/emoji/images/still/${fileName.replace(/\.[^.]*$/, '')}.png`;
}

/** @param key of the original, or of the small picture */
function avatarKeyOf(key: string, size: AvatarSize, plan: FilePlanContext): string {
  const base = key.replace(/\.(?:original|png)$/, '');
  return size === '.png' && hasBareAvatars(plan) ? base : `${base}${size}`;
}

/** In the transaction of the caller. */
export async function noteFound(client: pg.Client, journal: Pick<LoadJournal, 'note'>, plan: FilePlanContext, { animated, brokenAvatars }: Found): Promise<void> {
  if (animated.size > 0) {
    const { rows } = await client.query<{ id: number }>('SELECT id::float8 AS id FROM zerver_realmemoji WHERE realm_id = $1 AND file_name = ANY ($2)', [plan.realms.new, [...animated]]);
    await journal.note(client, 'animated', rows.map(({ id }) => id));
  }
  if (brokenAvatars.size > 0) await journal.note(client, 'broken avatar', [...brokenAvatars]);
}
