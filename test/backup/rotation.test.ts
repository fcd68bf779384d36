import { hostname } from 'node:os';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { clearListObjects, NEW_LIST, type ClearList } from '../../src/backup/contents/backup-contents.js';
import { removeUnfinished, rotate } from '../../src/backup/rotation.js';
import { readWhole, writeWhole } from '../../src/backup/store/backup-store.js';
import type { BackupStore } from '../../src/backup/store/backup-store.js';
import { withCollectionLock } from '../../src/backup/store/collection-lock.js';
import { DirectoryStore } from '../../src/backup/store/directory-store.js';
import { openStore } from '../../src/backup/store/open-store.js';
import { mark, markOf } from '../../src/backup/store/verified-marks.js';
import { verifyBackup } from '../../src/backup/verify-backup.js';
import type { BackupRunResult } from '../../src/commands/backup.js';
import type { RealmliftError } from '../../src/errors.js';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { NEEDS_PG_DUMP, backUp, failure, query, withPlace } from './test-backup.js';

t.setTimeout(120_000);

/** Name of the backup of a day in January. */
const of = (day: number): string => `backup-202501${String(day).padStart(2, '0')}T031500.250000Z-00000a`;

async function withCollection(work: (collection: BackupStore, names: () => Promise<string[]>) => Promise<void>): Promise<void> {
  await withPlace(async ({ to }) => {
    const collection = await openStore(to, {});
    await work(collection, async () => (await collection.directories()).sort());
  });
}

async function make(collection: BackupStore, day: number, complete = true): Promise<void> {
  const store = collection.within(of(day));
  await writeWhole(store, 'rows/1.age', 'x');
  if (!complete) return;
  for (const [name, text] of clearListObjects({ ...NEW_LIST, id: String(day), takenAt: '', contents: '', parts: [] })) await writeWhole(store, name, text);
}

t.test('the newest stay', async (t) => {
  await withCollection(async (collection, names) => {
    for (const day of [3, 1, 5, 2, 4]) await make(collection, day);
    await mark(collection, of(5), 'checksums');
    await writeWhole(collection, 'notes/of-somebody.txt', 'not ours');
    t.strictSame(await rotate(collection, 2, of(5)), [of(3), of(2), of(1)]);
    t.strictSame(await names(), [of(4), of(5), 'notes']);
    t.strictSame(await rotate(collection, 9, of(5)), []);
  });
});

t.test('the last one that was verified stays, however old', async (t) => {
  await withCollection(async (collection, names) => {
    for (const day of [1, 2, 3, 4, 5, 6]) await make(collection, day);
    await mark(collection, of(1), 'restored');
    await mark(collection, of(2), 'restored');
    await mark(collection, of(3), 'contents');
    t.strictSame(await rotate(collection, 1, of(6)), [of(5), of(4), of(1)]);
    t.strictSame(await names(), [of(2), of(3), of(6)]);
    t.equal(await markOf(collection, of(1)), undefined, 'its mark went with it');

    // Found good by a lesser look: the others are still the last of their kind.
    await mark(collection, of(6), 'checksums');
    t.strictSame(await rotate(collection, 1, of(6)), []);
    await mark(collection, of(6), 'restored');
    t.strictSame(await rotate(collection, 1, of(6)), [of(3), of(2)]);
  });
});

t.test('a mark does not lose what it says', async (t) => {
  await withCollection(async (collection) => {
    await make(collection, 1);
    await mark(collection, of(1), 'restored');
    await mark(collection, of(1), 'checksums');
    t.equal((await markOf(collection, of(1)))?.level, 'restored');
  });
});

t.test('the one that was just taken stays, though a clock that was fast has others bear later names', async (t) => {
  await withCollection(async (collection, names) => {
    for (const day of [1, 2, 8, 9]) await make(collection, day);
    t.strictSame(await rotate(collection, 1, of(2)), [of(8), of(1)]);
    t.strictSame(await names(), [of(2), of(9)]);
  });
});

t.test('backups of another database stay, and the newest of a place is not taken where it could be of the wrong one', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((one) => withEmptyDatabase((other) => withPlace(async (place) => {
    const first = await backUp(one, place);
    const theirs = [await backUp(other, place), await backUp(other, place)];
    const second = await backUp(one, place, { keep: 1 });
    t.strictSame(second.removed, [first.name]);
    const collection = await openStore(place.to, {});
    t.strictSame(await collection.directories(), [...theirs.map(({ name }) => name), second.name]);

    const [, their] = theirs as [BackupRunResult, BackupRunResult];
    const refused = { code: 'BACKUP_AMBIGUOUS', exit: 2, hint: new RegExp(`${second.name}$`) };
    t.match(await failure(verifyBackup(place.to, {}, {}, 1)), { ...refused, message: new RegExp(`2 databases, the newest of each: ${their.name}, ${second.name}$`) });
    const nameOf = (url: string): string => new URL(url).pathname.slice(1);
    const named = await failure(verifyBackup(place.to, {}, { identityFile: place.identityFile }, 1));
    t.match(named, { ...refused, message: new RegExp(`${their.name} \\(${nameOf(other)}\\), ${second.name} \\(${nameOf(one)}\\)$`) });
    t.match(await verifyBackup(their.location, {}, {}, 1), { location: their.location }, 'one that is named is taken');

    // As earlier versions wrote them.
    const unmark = async ({ location }: BackupRunResult): Promise<void> => {
      const store = await openStore(location, {});
      const { database, ...list } = JSON.parse((await readWhole(store, 'backup.json')).toString()) as ClearList;
      t.ok(database);
      for (const [name, text] of clearListObjects(list)) await writeWhole(store, name, text);
    };
    await unmark(second);
    t.match(await failure(verifyBackup(place.to, {}, {}, 1)), refused, 'the newest does not say of which it is');
    for (const each of theirs) await unmark(each);
    t.match(await verifyBackup(place.to, {}, {}, 1), { location: second.location }, 'none says it');
    const third = await backUp(one, place);
    t.match(await verifyBackup(place.to, {}, {}, 1), { location: third.location }, 'only the newest says it');
  })));
});

t.test('unfinished backups are not counted, and cleared away', async (t) => {
  await withCollection(async (collection, names) => {
    await make(collection, 1);
    await make(collection, 2, false);
    await make(collection, 3, false);
    t.strictSame(await rotate(collection, 1, of(1)), []);
    t.strictSame(await removeUnfinished(collection), [of(2), of(3)]);
    t.strictSame(await names(), [of(1)]);

    await mark(collection, of(1), 'checksums');
    await collection.within(of(1)).remove('backup.json');
    t.strictSame(await removeUnfinished(collection), [], 'what was found good was complete');
    t.strictSame(await names(), [of(1)]);
  });
});

t.test('old backups go only when the new one was found good', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, 'CREATE TABLE a (n integer); INSERT INTO a VALUES (1)');
    const first = await backUp(source, place);
    t.match(await failure(backUp(source, place, { keep: 1, pgDump: '/no/such/pg_dump' })), { code: 'PG_DUMP_MISSING' });
    t.strictSame(await (await openStore(place.to, {})).directories(), [first.name]);
    const second = await backUp(source, place, { keep: 1 });
    t.strictSame(second.removed, [first.name]);
    t.match(await markOf(await openStore(place.to, {}), second.name), { level: 'checksums' });
    t.strictSame(await (await openStore(place.to, {})).directories(), [second.name]);
  }));
});

t.test('the lock', async (t) => {
  await withCollection(async (collection) => {
    const holder = (changes: object): Promise<void> => writeWhole(collection, 'lock.json', JSON.stringify({ id: 'x', host: hostname(), pid: process.pid, renewedAt: new Date().toISOString(), ...changes }));
    const attempt = (): Promise<string> => withCollectionLock(collection, () => Promise.resolve('done'));

    await withCollectionLock(collection, async () => t.match(await failure(attempt()), { code: 'BACKUP_RUNNING' }));
    t.equal(await attempt(), 'done', 'it is let go');
    await failure(withCollectionLock(collection, () => Promise.reject(new Error('failed'))));
    t.equal(await attempt(), 'done', 'also after a failure');

    await holder({});
    t.match(await failure(attempt()), { code: 'BACKUP_RUNNING' }, 'of a process that lives');
    await holder({ pid: 2 ** 22 + 1 });
    t.equal(await attempt(), 'done', 'of a process that is gone');
    await holder({ started: 'before the container was started again' });
    t.equal(await attempt(), 'done', 'of a process that is gone, and whose number another has');
    await holder({ host: 'elsewhere.example' });
    t.match(await failure(attempt()), { code: 'BACKUP_RUNNING', message: /elsewhere\.example/ }, 'of another machine');
    await holder({ host: 'elsewhere.example', renewedAt: new Date(Date.now() - 11 * 60_000).toISOString() });
    t.equal(await attempt(), 'done', 'of another machine that went silent');
    await writeWhole(collection, 'lock.json', '');
    t.equal(await attempt(), 'done', 'whose writer died before it was whole');

    await withCollectionLock(collection, async () => {
      await holder({ id: 'taken over' });
    });
    t.match((await readWhole(collection, 'lock.json')).toString(), /taken over/, "another's lock is not removed");
  });
});

t.test('a lock is renewed as long as it is ours', async (t) => {
  await withCollection(async (collection) => {
    const content = async (): Promise<string> => (await readWhole(collection, 'lock.json')).toString();
    await withCollectionLock(collection, async ({ lost, renew }) => {
      const before = await content();
      await sleep(2);
      await renew();
      t.not(await content(), before);
      await writeWhole(collection, 'lock.json', '{"id":"taken over"}');
      t.match(await failure(renew()), { code: 'BACKUP_OVERTAKEN' });
      t.match(lost.reason, { code: 'BACKUP_OVERTAKEN' });
    });
    t.equal(await content(), '{"id":"taken over"}', 'it is not stolen back');

    await collection.remove('lock.json');
    for (let round = 1; round <= 20; round++) {
      await withCollectionLock(new SlowStore(collection.description), ({ renew }) => {
        void renew();
        return Promise.resolve();
      });
      await sleep(5);
    }
    t.strictSame([...(await collection.list()).keys()], [], 'a renewal that is under way at the end does not make it again');
  });
});

/** A store that takes its time with everything, a different one each time. */
class SlowStore extends DirectoryStore {
  override async read<T>(name: string, consume: (content: Readable) => Promise<T>): Promise<T> {
    await aMoment();
    return super.read(name, consume);
  }
  override async write(name: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    await aMoment();
    return super.write(name, content);
  }
  override async create(name: string, content: Uint8Array): Promise<boolean> {
    await aMoment();
    return super.create(name, content);
  }
  override async remove(name: string): Promise<void> {
    await aMoment();
    return super.remove(name);
  }
}

const aMoment = (): Promise<void> => sleep(Math.random() * 5);

t.test('of many that begin at the same instant one gets the lock', async (t) => {
  const AT_ONCE = 24;
  for (const [what, dead] of [
    ['a free lock', undefined],
    ['that of a process that is gone', JSON.stringify({ id: 'dead', host: hostname(), pid: 2 ** 22 + 1, renewedAt: new Date().toISOString() })],
    ['one that was not written to its end', ''],
  ] as const) {
    for (let round = 1; round <= 5; round++) {
      await withCollection(async (collection) => {
        if (dead !== undefined) await writeWhole(collection, 'lock.json', dead);
        // Whoever gets it keeps it until all others are refused, or have got it too.
        let decided = 0;
        let finish = (): void => undefined;
        const allDecided = new Promise<void>((resolve) => { finish = resolve; });
        const decide = (): void => { if (++decided === AT_ONCE) finish(); };
        const attempt = async (): Promise<string> => withCollectionLock(new SlowStore(collection.description), async () => {
          decide();
          await allDecided;
          return 'BACKUP';
        }).catch((error: RealmliftError) => {
          decide();
          return error.code;
        });
        const outcomes = await Promise.all(Array.from({ length: AT_ONCE }, attempt));
        t.strictSame(outcomes.sort(), ['BACKUP', ...Array<string>(AT_ONCE - 1).fill('BACKUP_RUNNING')], `${what}, round ${round}`);
        t.strictSame([...(await collection.list()).keys()], [], 'nothing is left of it');
      });
    }
  }
});
