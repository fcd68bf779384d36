/** Every way of damaging a stored backup is found by verify, with the key or without it, and refused by restore, by the name of the part. */
import { createHash } from 'node:crypto';
import { cp, readFile, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { findBackup } from '../../src/backup/contents/find-backup.js';
import { partProblem } from '../../src/backup/contents/sealing.js';
import { DirectoryStore } from '../../src/backup/store/directory-store.js';
import { checkParts, verifyBackup } from '../../src/backup/verify-backup.js';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { NEEDS_PG_DUMP, backUp, failure, query, restore, withPlace } from './test-backup.js';
import type { Place } from './test-backup.js';

t.setTimeout(180_000);

const SOURCE = `
  CREATE TABLE one (id integer PRIMARY KEY, name text);
  CREATE TABLE same (id integer PRIMARY KEY, name text);
  INSERT INTO one SELECT g, 'a' || g FROM generate_series(1, 1000) g;
  INSERT INTO same SELECT g, 'b' || g FROM generate_series(1, 1000) g;
  SELECT lo_from_bytea(4100000000, '\\x01')`;

interface Made {
  readonly place: Place;
  readonly location: string;
  readonly files: string[];
}

let made: Promise<Made> | undefined;

/** A backup that is complete, for all tests of this file: they damage copies of it. */
async function withBackup(work: (place: Place, location: string, files: string[]) => Promise<void>): Promise<void> {
  const { place, location, files } = await (made ??= make());
  await work(place, location, files);
}

function make(): Promise<Made> {
  return new Promise((resolve, reject) => {
    const released = new Promise<void>((release) => t.teardown(release));
    withPlace(async (place) => {
      const { location } = await withEmptyDatabase(async (source) => {
        await query(source, SOURCE);
        return backUp(source, place);
      });
      const entries = await readdir(location, { recursive: true, withFileTypes: true });
      const files = entries.filter((entry) => entry.isFile()).map((entry) => relative(location, join(entry.parentPath, entry.name))).sort();
      resolve({ place, location, files });
      await released;
    }).catch(reject);
  });
}

const withoutKey = (location: string): Promise<unknown> => verifyBackup(location, process.env, {}, 2);
const withKey = (location: string, { identityFile }: Place): Promise<unknown> => verifyBackup(location, process.env, { identityFile }, 2);

/** A copy that `change` damages. */
async function damagedCopy(location: string, place: Place, change: (copy: string) => Promise<void>): Promise<string> {
  const copy = join(place.directory, 'damaged');
  await rm(copy, { recursive: true, force: true });
  await cp(location, copy, { recursive: true });
  await change(copy);
  return copy;
}

async function flip(file: string, at: number): Promise<void> {
  const bytes = await readFile(file);
  bytes[at] = (bytes[at] as number) ^ 0x01;
  await writeFile(file, bytes);
}

t.test('an undamaged backup is found good', NEEDS_PG_DUMP, async (t) => {
  await withBackup(async (place, location) => {
    t.match(await withoutKey(location), { level: 'checksums', parts: 7 });
    t.match(await withKey(location, place), { level: 'contents', tables: 2, rows: 2000 });
  });
});

t.test('a flipped bit in any file', NEEDS_PG_DUMP, async (t) => {
  await withBackup(async (place, location, files) => {
    t.equal(files.length, 9);
    for (const file of files) {
      const { length } = await readFile(join(location, file));
      for (const at of [0, Math.floor(length / 3), length - 60, length - 1]) {
        const copy = await damagedCopy(location, place, (copy) => flip(join(copy, file), at));
        // A damaged checksum of the clear list throws suspicion on that list.
        const name = file.replace(/\.sha256$/, '');
        for (const error of [await failure(withoutKey(copy)), await failure(withKey(copy, place))]) {
          t.match(error, { code: 'BACKUP_DAMAGED', exit: 1 }, `${file} at ${at}`);
          t.match(error.message, name);
        }
      }
    }
  });
});

t.test('a missing, truncated or longer file, and a stray one', NEEDS_PG_DUMP, async (t) => {
  await withBackup(async (place, location, files) => {
    for (const file of files) {
      const changes: [string, (path: string) => Promise<void>][] = [
        ['missing', (path) => rm(path)], ['empty', (path) => truncate(path, 0)], ['half', async (path) => truncate(path, Math.floor((await readFile(path)).length / 2))],
        ['longer', (path) => writeFile(path, 'x', { flag: 'a' })],
      ];
      for (const [what, change] of changes) {
        const copy = await damagedCopy(location, place, (copy) => change(join(copy, file)));
        const error = await failure(withoutKey(copy));
        t.equal(error.code, 'BACKUP_DAMAGED', `${file} ${what}`);
        t.match(error.message, basename(file).replace(/\.sha256$/, ''));
      }
    }
    const copy = await damagedCopy(location, place, (copy) => writeFile(join(copy, 'rows', 'another.age'), 'x'));
    t.match(await failure(withoutKey(copy)), { code: 'BACKUP_DAMAGED', message: /rows\/another\.age: it does not belong/ });
  });
});

t.test('restore refuses damage by the name of the part, and the database says that it is unfinished', NEEDS_PG_DUMP, async (t) => {
  await withBackup(async (place, location, files) => {
    for (const file of files) {
      const middle = Math.floor((await readFile(join(location, file))).length / 2);
      const copy = await damagedCopy(location, place, (copy) => flip(join(copy, file), middle));
      await withEmptyDatabase(async (target) => {
        const error = await failure(restore(copy, place, target));
        t.match(error, { code: 'BACKUP_DAMAGED' }, file);
        t.match(error.message, basename(file).replace(/\.sha256$/, ''));
        const rows = file.startsWith('rows/');
        if (!rows) return;
        const table = file.includes('one') ? 'one' : 'same';
        t.strictSame(await query(target, `SELECT count(*)::int AS n FROM ${table}`), [{ n: 0 }], 'none of its rows');
        t.equal((await query(target, `SELECT FROM pg_namespace WHERE nspname = 'realmlift_restore'`)).length, 1);
        // With the part in order again the restore goes on.
        t.match(await restore(location, place, target), { rows: 2000 });
        t.strictSame(await query(target, `SELECT count(*)::int AS n FROM ${table}`), [{ n: 1000 }]);
        t.equal((await query(target, `SELECT FROM pg_namespace WHERE nspname = 'realmlift_restore'`)).length, 0);
      });
    }
  });
});

t.test('two parts that changed places', NEEDS_PG_DUMP, async (t) => {
  await withBackup(async (place, location, files) => {
    const [one, same] = files.filter((file) => file.startsWith('rows/')) as [string, string];
    const copy = await damagedCopy(location, place, async (copy) => {
      await rename(join(copy, one), join(copy, 'x'));
      await rename(join(copy, same), join(copy, one));
      await rename(join(copy, 'x'), join(copy, same));
    });
    for (const error of [await failure(withoutKey(copy)), await failure(withKey(copy, place))]) {
      t.equal(error.code, 'BACKUP_DAMAGED');
      for (const name of [one, same]) t.match(error.message, name);
    }
    await withEmptyDatabase(async (target) => t.match(await failure(restore(copy, place, target)), { code: 'BACKUP_DAMAGED', message: /rows\/000/ }));
  });
});

t.test('parts of another backup for the same key', NEEDS_PG_DUMP, async (t) => {
  await withBackup(async (place, location, files) => {
    await withEmptyDatabase(async (other) => {
      await query(other, SOURCE);
      const { location: second } = await backUp(other, place);
      const rows = files.find((file) => file.startsWith('rows/')) as string;
      const swapped = await damagedCopy(location, place, (copy) => cp(join(second, rows), join(copy, rows)));
      t.match(await failure(withoutKey(swapped)), { code: 'BACKUP_DAMAGED', message: new RegExp(rows) });
      await withEmptyDatabase(async (target) => t.match(await failure(restore(swapped, place, target)), { code: 'BACKUP_DAMAGED', message: new RegExp(rows) }));

      // Even with the clear list rewritten to match: the sealed one does not.
      const forged = await damagedCopy(location, place, async (copy) => {
        for (const file of ['backup.json', 'backup.json.sha256', rows]) await cp(join(second, file), join(copy, file));
      });
      t.match(await failure(withoutKey(forged)), { code: 'BACKUP_DAMAGED' });
      const contents = await damagedCopy(location, place, (copy) => cp(join(second, 'contents.json.gz.age'), join(copy, 'contents.json.gz.age')));
      t.match(await failure(withKey(contents, place)), { code: 'BACKUP_DAMAGED', message: /contents\.json/ });
    });
  });
});

t.test('a clear list that was rewritten is not believed by who has the key', NEEDS_PG_DUMP, async (t) => {
  await withBackup(async (place, location) => {
    const forged = await damagedCopy(location, place, async (copy) => {
      const path = join(copy, 'backup.json');
      const list = JSON.parse(await readFile(path, 'utf8')) as { parts: { name: string }[] };
      const gone = list.parts.findIndex(({ name }) => name.startsWith('rows/'));
      await rm(join(copy, list.parts[gone]?.name as string));
      list.parts.splice(gone, 1);
      const text = JSON.stringify(list);
      await writeFile(path, text);
      await writeFile(`${path}.sha256`, `${createHash('sha256').update(text).digest('hex')}  backup.json\n`);
    });
    t.match(await withoutKey(forged), { level: 'checksums' }, 'without the key it cannot be told');
    t.match(await failure(withKey(forged, place)), { code: 'BACKUP_DAMAGED', message: /^backup\.json: its list of parts is not the sealed one/ });
    await withEmptyDatabase(async (target) => t.match(await failure(restore(forged, place, target)), { code: 'BACKUP_DAMAGED' }));
  });
});

t.test('the wrong key, no key, and a place without a backup', NEEDS_PG_DUMP, async (t) => {
  await withBackup(async (_, location) => {
    await withPlace(async (other) => {
      t.match(await failure(withKey(location, other)), { code: 'KEY_WRONG' });
      await withEmptyDatabase(async (target) => {
        t.match(await failure(restore(location, other, target)), { code: 'KEY_WRONG' });
        t.strictSame(await query(target, `SELECT nspname FROM pg_namespace WHERE nspname = 'realmlift_restore'`), [], 'nothing was begun');
      });
      t.match(await failure(findBackup(other.directory, process.env)), { code: 'BACKUP_MISSING' });
      t.match(await failure(verifyBackup(location, process.env, { identityFile: join(other.directory, 'no-such-file') }, 1)), { code: 'KEY_FILE', exit: 2 });
      t.match(await failure(verifyBackup(location, process.env, { identityFile: join(location, 'backup.json') }, 1)), { code: 'IDENTITY_INVALID', exit: 2 });
    });
  });
});

t.test('a check that is stopped ends in the midst of a part', async (t) => {
  const stop = new AbortController();
  class Endless extends DirectoryStore {
    override read<T>(_: string, consume: (content: Readable) => Promise<T>): Promise<T> {
      return consume(Readable.from((async function* () {
        for (;;) yield await sleep(1, Buffer.alloc(1));
      })()));
    }
  }
  setTimeout(() => stop.abort(new Error('stopped')), 10);
  await t.rejects(checkParts([{ name: 'rows/1', bytes: 1, sha256: '' }], 1, (part, signal) => partProblem(new Endless(''), part, signal), stop.signal), { message: 'stopped' });
});

t.test('the list of a verified backup that is lost, beside an older backup', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, 'CREATE TABLE a (n integer); INSERT INTO a VALUES (1)');
    await backUp(source, place);
    const { name, location } = await backUp(source, place);
    await verifyBackup(place.to, process.env, {}, 1);
    await rm(join(location, 'backup.json'));
    const lost = { code: 'BACKUP_DAMAGED', message: new RegExp(`${name}/backup\\.json: it is missing`) };
    t.match(await failure(verifyBackup(place.to, process.env, {}, 1)), lost);
    t.match(await failure(restore(place.to, place, target)), lost);
    t.ok((await readdir(place.to)).includes(name));
    t.strictSame((await backUp(source, place)).unfinished, [], 'it is not taken for one that was never finished');
  })));
});

t.test('a database that is not empty is refused', NEEDS_PG_DUMP, async (t) => {
  await withBackup(async (place, location) => {
    for (const object of ['CREATE TABLE mine (a integer)', 'CREATE SCHEMA mine', 'CREATE TYPE mine AS ENUM ()', 'CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$', 'SELECT lo_create(4000000000)']) {
      await withEmptyDatabase(async (target) => {
        await query(target, object);
        t.match(await failure(restore(location, place, target)), { code: 'DATABASE_NOT_EMPTY' }, object);
      });
    }
    await withEmptyDatabase(async (target) => {
      await query(target, 'CREATE EXTENSION hstore');
      t.match(await restore(location, place, target), { rows: 2000 }, 'what a template brought along does not matter');
    });
  });
});
