/**
 * The files of an export under the realm's new id: `uploads/2/ab/x.png` becomes `uploads/1002/ab/x.png`, avatars also get the name
 * that the hash of the user's new id gives, and records.json follows.
 *
 * Both lists stay sorted by path without being held: paths that move and paths that stay are two sorted sequences, read side by
 * side. Only avatars that are renamed are sorted in memory.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { RecordsFile } from '../files/records.js';
import { areaOf, AREAS, recordsOf, type Area } from '../package/export-files.js';
import { comparePaths, type ManifestFile } from '../package/manifest.js';
import { avatarHash } from '../plan/avatar-hash.js';
import { tellProgress } from '../narration.js';
import type { FinishedExport } from '../pipe/finished-export.js';
import { placeFile } from '../pipe/place-file.js';
import { recordedAvatars } from '../pipe/recorded-avatars.js';
import { RowFields } from '../json/row-fields.js';
import { BARE } from '../json/each-table.js';
import { TableFile } from '../pipe/table-file.js';
import type { IdSpace } from './id-space.js';
import { latin1, movedPath, quoted, type RewriteContext } from './rewrite-row.js';
import { RowBuilder } from './row-builder.js';

/** Any migration number of a server whose avatars are named after user and version, and of one whose are named after the user alone. */
const [VERSIONED, BY_USER] = [600, 100];

/** Old names of avatars to new ones: empty without the salt, or where ids stay. */
export function avatarNames(source: FinishedExport, users: IdSpace, salt: string | undefined): Map<string, string> {
  const names = new Map<string, string>();
  if (salt === undefined) return names;
  for (const { hash, userId, avatarVersion } of recordedAvatars(source)) {
    const to = users.get(userId);
    if (to === undefined) continue;
    const owner = { userId, avatarVersion, email: '' };
    const migration = [VERSIONED, BY_USER].find((each) => avatarHash(owner, salt, each) === hash);
    if (migration !== undefined) names.set(hash, avatarHash({ ...owner, userId: to }, salt, migration));
  }
  return names;
}

export interface FilesContext extends RewriteContext {
  readonly source: FinishedExport;
  readonly directory: string;
  readonly avatarNames: ReadonlyMap<string, string>;
  readonly how: 'link' | 'copy';
}

/** Places the files of all areas; their entries for the manifest, in its order. */
export async function* remapFiles(context: FilesContext): AsyncGenerator<ManifestFile> {
  const { source, directory, how } = context;
  for (const area of [...AREAS].sort()) {
    await remapRecords(context, area);
    const files = inNewOrder(
      () => filesOf(source, area), ({ path }) => path.slice(area.length + 1), (path) => newPath(context, area, path), (file) => file, renames(context, area),
    );
    for await (const { item, path } of files) {
      const to = `${area}/${path}`;
      await placeFile(join(source.directory, item.path), directory, to, item, how);
      tellProgress(1, item.size);
      yield { ...item, path: to };
    }
  }
}

async function remapRecords(context: FilesContext, area: Area): Promise<void> {
  const { source, directory } = context;
  const listed = source.records.get(area);
  if (listed === undefined) return;
  await mkdir(join(directory, area), { recursive: true, mode: 0o700 });
  const records = TableFile.open(join(source.directory, listed.path), listed);
  const file = new RecordsFile(directory, area);
  const rewriter = new RecordRewriter(context, area);
  const fields = new RowFields();
  try {
    const rows = inNewOrder(
      () => records.rows(BARE), (row) => fields.split(row).textOf('path') ?? '', (path) => newPath(context, area, path), (row) => Buffer.from(row), renames(context, area),
    );
    for await (const { item } of rows) file.write(rewriter.rewrite(item));
    await file.finish();
  } finally {
    file.abandon();
    records.close();
  }
}

async function* filesOf(source: FinishedExport, area: Area): AsyncGenerator<ManifestFile> {
  for await (const file of source.areaFiles()) if (areaOf(file.path) === area && file.path !== recordsOf(area)) yield file;
}

function renames({ avatarNames: names }: FilesContext, area: Area): boolean {
  return area === 'avatars' && names.size > 0;
}

/** A path below its area. */
function newPath({ survey, space, avatarNames: names }: FilesContext, area: Area, path: string): string {
  const moved = movedPath(`"${path}"`, survey.realmId, space('zerver_realm'))?.slice(1, -1) ?? path;
  if (area !== 'avatars' || !path.startsWith(`${survey.realmId}/`)) return moved;
  return moved.replace(/\/([0-9a-f]{40})/, (whole, name: string) => (names.has(name) ? `/${names.get(name) as string}` : whole));
}

/** The items by their new paths, if their old ones were sorted. */
async function* inNewOrder<T>(
  items: () => AsyncIterable<T> | Iterable<T>, pathOf: (item: T) => string, renamed: (path: string) => string, copy: (item: T) => T, sort: boolean,
): AsyncGenerator<{ item: T; path: string }> {
  if (sort) {
    const all: { item: T; path: string }[] = [];
    for await (const item of items()) all.push({ item: copy(item), path: renamed(pathOf(item)) });
    yield* all.sort((a, b) => comparePaths(a.path, b.path));
    return;
  }
  const sequence = async function* (moved: boolean): AsyncGenerator<{ item: T; path: string }> {
    for await (const item of items()) {
      const old = pathOf(item);
      const path = renamed(old);
      if ((path !== old) === moved) yield { item, path };
    }
  };
  const [moving, staying] = [sequence(true), sequence(false)];
  let [a, b] = [await moving.next(), await staying.next()];
  while (a.done !== true || b.done !== true) {
    if (b.done === true || (a.done !== true && comparePaths(a.value.path, b.value.path) < 0)) {
      yield a.value as { item: T; path: string };
      a = await moving.next();
    } else {
      yield b.value;
      b = await staying.next();
    }
  }
}

/** Entries of records.json. */
class RecordRewriter {
  readonly #context: FilesContext;
  readonly #area: Area;
  readonly #fields = new RowFields();
  readonly #builder = new RowBuilder();

  constructor(context: FilesContext, area: Area) {
    [this.#context, this.#area] = [context, area];
  }

  rewrite(row: Buffer): Buffer {
    const fields = this.#fields.split(row);
    this.#builder.begin(row);
    for (let field = 0; field < fields.count; field++) {
      const to = this.#value(fields, field);
      if (to !== undefined) this.#builder.replace(fields.start(field), fields.end(field), to);
    }
    return this.#builder.finish();
  }

  #value(fields: RowFields, field: number): number | string | undefined {
    const { space, survey, shown } = this.#context;
    const users = space('zerver_userprofile');
    switch (fields.key(field)) {
      case 'realm_id':
        return space('zerver_realm').get(fields.integer(field));
      case 'user_profile_id':
      case 'author':
        return users.get(fields.integer(field));
      case 'path':
      case 's3_path': {
        const text = latin1(fields.bytes(field));
        const to = newPath(this.#context, this.#area, text.slice(1, -1));
        return `"${to}"` === text ? undefined : `"${to}"`;
      }
      case 'user_profile_email': {
        const user = fields.integerOf('user_profile_id');
        return fields.textOf('user_profile_email') === survey.addresses.byId.get(user) ? quoted(shown.get(user)) : undefined;
      }
      default:
        return undefined;
    }
  }
}
