/** What somebody may do who can write the store and knows the public key, and what a signature makes of it. */
import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import t from 'tap';
import { clearListObjects } from '../../src/backup/contents/backup-contents.js';
import type { Contents, Part } from '../../src/backup/contents/backup-contents.js';
import { findBackup, openBackup } from '../../src/backup/contents/find-backup.js';
import { sealPart } from '../../src/backup/contents/sealing.js';
import { readSignKey } from '../../src/backup/contents/signature.js';
import { Recipients } from '../../src/backup/seal/age-keys.js';
import type { Compression } from '../../src/backup/seal/compression.js';
import { writeWhole } from '../../src/backup/store/backup-store.js';
import { openStore } from '../../src/backup/store/open-store.js';
import { verifyBackup } from '../../src/backup/verify-backup.js';
import { withEmptyDatabase } from '../testbed/test-database.js';
import { realmlift } from './command-line.js';
import { NEEDS_PG_DUMP, backUp, failure, query, restore, withPlace } from './test-backup.js';
import type { Place } from './test-backup.js';

t.setTimeout(180_000);

const MB = 1024 * 1024;

const signal = new AbortController().signal;

async function keyPair(directory: string, name: string): Promise<{ secret: string; open: string }> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const files = { secret: join(directory, `${name}.pem`), open: join(directory, `${name}.pub.pem`) };
  await writeFile(files.secret, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await writeFile(files.open, publicKey.export({ type: 'spki', format: 'pem' }));
  return files;
}

/** Seals another list, with the public key alone for all that it needs to know, and writes the clear one to match. */
async function forge(location: string, { recipient, identityFile }: Place, change: (contents: Contents) => Readable, compression: Compression = { method: 'gzip', level: 9 }): Promise<void> {
  const { contents, list } = await openBackup(await findBackup(location, {}), { identityFile }, signal);
  const store = await openStore(location, {});
  const sealed = await sealPart(store, list.contents, change(contents), { recipients: Recipients.of([recipient]), compression }, signal);
  const parts: Part[] = list.parts.map((part) => (part.name === list.contents ? sealed : part));
  for (const [name, text] of clearListObjects({ ...list, parts })) await writeWhole(store, name, text);
}

const asJson = (contents: Contents): Readable => Readable.from([Buffer.from(JSON.stringify(contents))]);

t.test('a signed backup is told from one that somebody else put in its place', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, 'CREATE TABLE a AS SELECT g AS n FROM generate_series(1, 50) g');
    const [ours, theirs] = [await keyPair(place.directory, 'ours'), await keyPair(place.directory, 'theirs')];
    const made = await realmlift(['backup', '--to', place.to, '--recipient', place.recipient, '--sign-key', ours.secret, '--prove', '--json'], { DATABASE_URL: source, PATH: process.env.PATH ?? '' });
    t.equal(made.code, 0, made.stderr);
    const { location } = JSON.parse(made.stdout) as { location: string };
    const verify = (key?: string, at = place.to): ReturnType<typeof realmlift> => realmlift(['verify', at, '--identity', place.identityFile, ...(key === undefined ? [] : ['--verify-key', key])]);
    const restoring = (key: string, ...words: string[]): ReturnType<typeof realmlift> => realmlift(['restore', place.to, '--identity', place.identityFile, '--verify-key', key, ...words], { PATH: process.env.PATH ?? '' });
    t.match(await verify(ours.open), { code: 0, stdout: /: good \(decrypted: .*\), origin proved\n$/ });
    t.match(await verify(), { code: 0, stdout: /, origin not proved \(no --verify-key\)\n$/ });
    t.match(await verify(theirs.open), { code: 1, stderr: /ORIGIN_UNPROVED/ });
    const openssl = await promisify(execFile)('openssl', ['pkeyutl', '-verify', '-rawin', '-pubin', '-inkey', ours.open, '-in', join(location, 'backup.json'), '-sigfile', join(location, 'backup.json.sig')])
      .catch((error: NodeJS.ErrnoException) => { if (error.code !== 'ENOENT') throw error; });
    t.match(openssl?.stdout ?? 'openssl is not installed', /Success|not installed/);

    // An old one under the name of a new one.
    const newer = join(place.to, `backup-20991231T000000.000000Z-${basename(location).slice(-6)}`);
    await cp(location, newer, { recursive: true });
    t.match(await verify(ours.open), { code: 1, stderr: /ORIGIN_UNPROVED.*backup-20991231/ });
    await rm(newer, { recursive: true });

    // A backup of another database that executes what it likes, with the right public key.
    await withEmptyDatabase(async (other) => {
      await query(other, `CREATE FUNCTION public.mine(n integer) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE ''executed''; END'; CREATE TABLE b (n integer CHECK (public.mine(n)))`);
      for (const signKey of [undefined, await readSignKey(theirs.secret)]) {
        const forged = await backUp(other, place, { signKey });
        t.match(await verify(undefined, forged.location), { code: 0 }, 'which nothing else tells');
        t.match(await verify(ours.open), { code: 1, stderr: /ORIGIN_UNPROVED/ });
        t.match(await restoring(ours.open, '--database-url', target), { code: 1, stderr: /ORIGIN_UNPROVED/ });
        t.match(await restoring(ours.open, '--prove'), { code: 1, stderr: /ORIGIN_UNPROVED/ });
        await rm(forged.location, { recursive: true });
      }
    });
    await forge(location, place, (contents) => asJson({ ...contents, takenAt: contents.takenAt }));
    t.match(await verify(ours.open), { code: 1, stderr: /ORIGIN_UNPROVED/ }, 'the signature of another list');
    t.match(await query(target, `SELECT count(*)::int AS n FROM pg_namespace WHERE nspname = 'realmlift_restore'`), [{ n: 0 }], 'nothing was begun');
    await writeFile(join(place.directory, 'none.pem'), 'none');
    for (const words of [['backup', '--to', place.to, '--recipient', place.recipient, '--sign-key'], ['verify', place.to, '--verify-key'], ['restore', place.to, '--identity', place.identityFile, '--verify-key']]) {
      t.match(await realmlift([...words, join(place.directory, 'none.pem')], { DATABASE_URL: source }), { code: 2, stderr: /SIGN_KEY \[usage\].*Ed25519/ }, words.join(' '));
    }
  })));
});

t.test('a list that unpacks to more than anybody would write', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withPlace(async (place) => {
    await query(source, 'CREATE TABLE a (n integer)');
    // The process itself says how much memory it had at most, in KiB, when it ends.
    const measuring = `--import=data:text/javascript,${encodeURIComponent("process.on('exit', () => { process.stderr.write('peak ' + process.resourceUsage().maxRSS + String.fromCharCode(10)); })")}`;
    const verify = async (location: string): Promise<{ code: number | null; stderr: string; peak: number }> => {
      const { code, stderr } = await realmlift(['verify', location, '--identity', place.identityFile], { NODE_OPTIONS: measuring });
      return { code, stderr, peak: Number(/^peak (\d+)$/m.exec(stderr)?.[1]) / 1024 };
    };
    const usual = await verify((await backUp(source, place)).location);
    t.equal(usual.code, 0, usual.stderr);
    const zeros = Buffer.alloc(4 * MB);
    for (const method of ['gzip', 'zstd'] as const) {
      const { location } = await backUp(source, place);
      await forge(location, place, () => Readable.from((function* () { for (let n = 0; n < 512; n++) yield zeros; })()), { method, level: 1 });
      const verified = await verify(location);
      t.match(verified, { code: 1, stderr: /BACKUP_DAMAGED.*contents\.json\.gz\.age: it unpacks to more than 134217728 bytes/ }, method);
      t.comment(`${method}: at most ${Math.round(verified.peak)} MB, an undamaged one ${Math.round(usual.peak)} MB`);
      t.ok(verified.peak < 400, `${method}: 2 GB take ${Math.round(verified.peak)} MB`);
    }
  }));
});

t.test('names in a list are no SQL, and no paths', NEEDS_PG_DUMP, async (t) => {
  await withEmptyDatabase((source) => withEmptyDatabase((target) => withPlace(async (place) => {
    await query(source, 'CREATE TABLE a (n integer)');
    const { location } = await backUp(source, place);
    const name = `odd${randomBytes(3).toString('hex')}.setting`;
    await forge(location, place, (contents) => asJson({ ...contents, source: { ...contents.source, settings: [`work_mem FROM CURRENT; DROP TABLE a; --=1`, `${name}=a "b"`] } }));
    t.match(await restore(location, place, target), { warnings: [/^the setting work_mem FROM CURRENT; DROP TABLE a; -- of the database was not restored/] });
    t.strictSame(await query(target, 'SELECT setconfig FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database()'), [{ setconfig: [`${name}=a "b"`] }]);
    t.strictSame(await query(target, 'SELECT * FROM a'), []);

    for (const escaping of ['../../outside', '/dev/zero', 'rows/../../x', './x', '']) {
      const list = JSON.parse(await readFile(join(location, 'backup.json'), 'utf8')) as Parameters<typeof clearListObjects>[0];
      const copy = join(dirname(location), 'copy');
      await cp(location, copy, { recursive: true });
      for (const [object, text] of clearListObjects({ ...list, parts: [...list.parts, { name: escaping, bytes: 1, sha256: '' }] })) await writeWhole(await openStore(copy, {}), object, text);
      t.match(await failure(verifyBackup(copy, {}, { identityFile: place.identityFile }, 1)), { code: 'BACKUP_DAMAGED' }, escaping);
      await rm(copy, { recursive: true });
    }
  })));
});
