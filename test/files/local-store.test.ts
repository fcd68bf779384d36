// A directory in which strangers choose names and other programs write.
import { createHook } from 'node:async_hooks';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DirectoryUploads } from '../../src/backup/uploads/directory-uploads.js';
import type { Candidate, Verdict } from '../../src/files/file-store.js';
import { Lost } from '../../src/files/file-store.js';
import { openLocalStore, type CopyMode } from '../../src/files/local-store.js';
import { pullFiles } from '../../src/files/pull-files.js';
import { AREAS } from '../../src/package/export-files.js';
import type { FileEvent, FilesResult, LossReason } from '../../src/files/file-events.js';
import { OWNER, filesBelow, lostAttachments, wantedUploads } from './pull-fixture.js';
import { each } from './wanted-rows.js';

const never = new AbortController().signal;
/** Too large to be read at once. */
const LARGE = 'x'.repeat(256 * 1024 + 1);
const take: Verdict = { take: true, record: {} };
const lossOf = async (fetched: Promise<unknown>): Promise<LossReason | undefined> => fetched.then(() => undefined, (error: unknown) => (error instanceof Lost ? error.reason : Promise.reject(error as Error)));
const candidate = (key: string, judge: Candidate['judge'] = () => take): Candidate => ({ area: 'uploads', key, path: key, judge });

/** An empty directory of that root. */
function fresh(root: string): string {
  return mkdtempSync(join(root, 'export-'));
}

/** Pulls an upload, an avatar, an emoji and the icons of realm 2. */
async function pulled(uploadsDir: string, directory: string, copyMode?: CopyMode): Promise<{ areas: FilesResult['areas']; losses: string[] }> {
  const losses: string[] = [];
  const wanted = wantedUploads([{ attachmentId: '1', pathId: '2/a/a.txt', ownerId: OWNER, size: 1 }], {
    rules: { emojiOriginals: false, avatarVersions: true, uploadedAvatarsAlone: false, ownerAddresses: true }, areas: AREAS, claimedUploads: () => each(['2/a/a.txt']),
    avatars: () => each([{ userId: OWNER, hash: 'hash', avatarSource: 'U', avatarVersion: 1 }]),
    emoji: () => each([{ fileName: 'e.png', name: 'e', authorId: OWNER, deactivated: false }]),
  });
  const { areas } = await pullFiles(await openLocalStore({ uploadsDir, copyMode }), wanted, directory, {}, (event) => {
    if (event.kind === 'lost') losses.push(`${event.area} ${event.key} ${event.reason}`);
  });
  return { areas, losses };
}

t.test('what is wrong with the directory is said at once', async (t) => {
  const root = t.testdir({ file: '', empty: {} });
  for (const name of ['none', 'file', 'empty']) await t.rejects(openLocalStore({ uploadsDir: join(root, name) }), { code: 'UPLOADS_DIR_MISSING', stage: 'files', hint: /LOCAL_UPLOADS_DIR/ }, name);
});

t.test('only regular files below the directory are read', async (t) => {
  const outside = t.testdir({ secret: 'secret', uploads: { files: { 2: { 'plain.txt': 'plain', directory: {} } }, avatars: {} } });
  const root = join(outside, 'uploads');
  symlinkSync('../../../secret', join(root, 'files', '2', 'out'));
  symlinkSync('/etc', join(root, 'files', '2', 'etc'));
  symlinkSync('plain.txt', join(root, 'files', '2', 'within'));
  symlinkSync('nowhere', join(root, 'files', '2', 'dangling'));
  symlinkSync('loop', join(root, 'files', '2', 'loop'));
  execFileSync('mkfifo', [join(root, 'files', '2', 'fifo')]);
  const store = await openLocalStore({ uploadsDir: root });
  const partial = join(outside, 'partial');
  for (const [key, reason] of [
    ['2/out', 'outside'], ['2/etc/hostname', 'outside'], ['../../secret', 'outside'], ['2/dangling', 'unreadable'], ['2/none', 'absent'], ['2/plain.txt/below', 'absent'],
    ['2/loop', 'unreadable'], ['2/fifo', 'unreadable'], ['2/directory', 'unreadable'],
  ] as const) {
    t.equal(await lossOf(store.fetch(candidate(key), partial, never)), reason, key);
  }
  t.match(await store.fetch(candidate('2/within'), partial, never), { taken: true, size: 5 }, 'a link that stays within is followed');
  t.equal(readFileSync(partial, 'utf8'), 'plain');
});

t.test('the uploads directory, its areas and the directories of realms may be links to another disk', async (t) => {
  for (const linked of ['', '/files', '/files/2', '/avatars', '/avatars/2']) {
    const root = t.testdir({ uploads: { files: { 2: { a: { 'a.txt': 'a' } } }, avatars: { 2: { 'hash.png': 'p', 'hash.original': 'o', emoji: { images: { 'e.png': 'e' } }, realm: { 'icon.png': 'i' } } } }, export: {} });
    mkdirSync(join(root, 'disk'));
    renameSync(join(root, `uploads${linked}`), join(root, 'disk', 'linked'));
    symlinkSync(join(root, 'disk', 'linked'), join(root, `uploads${linked}`));
    const { areas, losses } = await pulled(join(root, 'uploads'), join(root, 'export'));
    t.strictSame(losses, [], linked);
    t.match(areas, { uploads: { found: 1, orphans: 0 }, avatars: { found: 2 }, emoji: { found: 1 }, realm_icons: { found: 1 } }, linked);
  }
});

t.test('an avatar of which one half is missing is told, and the other half travels', async (t) => {
  for (const [there, told] of [[['hash.png'], ['avatars 2/hash.original absent']], [['hash.original'], ['avatars 2/hash.png absent']], [[], ['avatars 2/hash.png absent']], [['hash.png', 'hash.original', 'hash-medium.png'], []]] as const) {
    const root = t.testdir({ uploads: { files: { 2: { a: { 'a.txt': 'a' } } }, avatars: { 2: { emoji: { images: { 'e.png': 'e' } }, ...Object.fromEntries(there.map((name) => [name, 'x'])) } } }, export: {} });
    const { areas, losses } = await pulled(join(root, 'uploads'), join(root, 'export'));
    t.strictSame(losses, told, there.join());
    t.match(areas.avatars, { found: Math.min(2, there.length), missing: told.length, orphans: 0 });
  }
});

t.test('links that lead out of the directory of their realm are refused, and named', async (t) => {
  const root = t.testdir({
    disk: { 'a.txt': 'a' },
    uploads: { files: { 2: {}, 3: { a: { 'a.txt': 'of another realm' } } }, avatars: { 2: {} } }, export: {},
  });
  const uploads = join(root, 'uploads');
  symlinkSync(join(root, 'disk'), join(uploads, 'avatars/2/realm'));
  for (const name of ['hash.png', 'hash.original']) writeFileSync(join(uploads, 'avatars/2', name), '');
  mkdirSync(join(uploads, 'avatars/2/emoji/images'), { recursive: true });
  writeFileSync(join(uploads, 'avatars/2/emoji/images/e.png'), '');
  for (const target of [join(root, 'disk'), '../3/a', '../../../disk']) {
    rmSync(join(uploads, 'files/2/a'), { force: true });
    symlinkSync(target, join(uploads, 'files/2/a'));
    t.strictSame((await pulled(uploads, fresh(root))).losses, ['uploads 2/a/a.txt outside', 'realm_icons 2/ outside'], target);
  }
});

t.test('what cannot be looked at is not taken for absent', async (t) => {
  const root = t.testdir({ uploads: { files: { 2: { a: { 'a.txt': 'a' } } }, avatars: { 2: { 'hash.png': 'p', 'hash.original': 'o' } } }, export: {} });
  const uploads = join(root, 'uploads');
  symlinkSync('round', join(root, 'round'));
  for (const target of ['/nowhere/mounted', join(root, 'round')]) {
    for (const realm of ['files/2', 'avatars/2']) {
      rmSync(join(uploads, realm), { recursive: true, force: true });
      symlinkSync(target, join(uploads, realm));
    }
    t.strictSame((await pulled(uploads, fresh(root))).losses, ['uploads 2/a/a.txt unreadable', 'avatars 2/ unreadable', 'emoji 2/emoji/images/e.png unreadable', 'realm_icons 2/ unreadable'], target);
    rmSync(join(uploads, 'avatars'), { recursive: true });
    symlinkSync(target, join(uploads, 'avatars'));
    await t.rejects(openLocalStore({ uploadsDir: uploads }), { code: 'UPLOADS_DIR_UNREADABLE' }, 'avatars');
    symlinkSync(target, join(root, 'linked'));
    await t.rejects(openLocalStore({ uploadsDir: join(root, 'linked') }), { code: 'UPLOADS_DIR_UNREADABLE' }, 'the directory itself');
    rmSync(join(root, 'linked'));
    rmSync(join(uploads, 'avatars'));
    mkdirSync(join(uploads, 'avatars'));
  }
});

t.test('a directory without the right to enter it is not an empty one', { skip: process.getuid?.() === 0 ? false : 'only root can be somebody else' }, async (t) => {
  const root = t.testdir({ uploads: { files: { 2: { a: { 'a.txt': 'a' } } }, avatars: {} }, export: {} });
  chmodSync(join(root, 'export'), 0o777);
  const become = (user: number): void => process.seteuid?.(user);
  for (const [path, mode] of [['files/2/a', 0o600], ['files/2', 0o644]] as const) {
    chmodSync(join(root, 'uploads', path), mode);
    become(65534);
    try {
      const { losses } = await pulled(join(root, 'uploads'), fresh(join(root, 'export')));
      t.strictSame(losses.slice(0, 1), ['uploads 2/a/a.txt unreadable'], path);
    } finally {
      become(0);
    }
    chmodSync(join(root, 'uploads', path), 0o755);
  }
});

t.test('a file that changes while it is copied is copied again, or lost', async (t) => {
  const root = t.testdir({ uploads: { files: { 2: { once: LARGE, always: LARGE, vanishing: LARGE } }, avatars: {} } });
  const file = (name: string): string => join(root, 'uploads', 'files', '2', name);
  const store = await openLocalStore({ uploadsDir: join(root, 'uploads') });
  const partial = join(root, 'partial');
  let changes = 0;
  const growing = (name: string, times: number): Candidate => candidate(`2/${name}`, () => {
    if (changes++ < times) appendFileSync(file(name), 'y');
    return take;
  });
  t.match(await store.fetch(growing('once', 1), partial, never), { taken: true, size: LARGE.length + 1 });
  t.equal(readFileSync(partial, 'utf8'), `${LARGE}y`);
  changes = 0;
  t.equal(await lossOf(store.fetch(growing('always', 99), partial, never)), 'changed');
  t.equal(changes, 3);
  let judged = 0;
  const vanishing = candidate('2/vanishing', () => {
    judged += 1;
    appendFileSync(file('vanishing'), 'y');
    rmSync(file('vanishing'));
    return take;
  });
  t.equal(await lossOf(store.fetch(vanishing, partial, never)), 'absent');
  t.equal(judged, 1);
});

t.test('what has a name that is no UTF-8 is listed, for no row can claim it', async (t) => {
  const root = t.testdir({ uploads: { files: { 2: { a: { ok: 'x' } } }, avatars: {} } });
  const named = (path: string, byte: number): Buffer => Buffer.concat([Buffer.from(join(root, 'uploads', 'files', '2', path)), Buffer.from([byte])]);
  writeFileSync(named('a/file', 0xff), 'x');
  mkdirSync(named('directory', 0xfe));
  const listed: string[] = [];
  for await (const { key, size } of (await openLocalStore({ uploadsDir: join(root, 'uploads') })).list('uploads', 2, never)) listed.push(`${key} ${size}`);
  t.strictSame(listed, ['2/a/file\ufffd 0', '2/a/ok 1', '2/directory\ufffd 0']);
});

t.test('small files are copied without the thread pool, whose turns would be most of what they cost', async (t) => {
  const root = t.testdir({ uploads: { files: { 2: { small: 'x' } }, avatars: {} } });
  const store = await openLocalStore({ uploadsDir: join(root, 'uploads') });
  let requests = 0;
  const hook = createHook({ init: (_, type) => { requests += Number(type.startsWith('FSREQ')); } }).enable();
  let fewest = Infinity;
  // Where the disk, or the machine, keeps the process waiting they go by the pool for a while.
  for (let round = 0; round < 200 && fewest > 0; round += 1) {
    requests = 0;
    for (let copy = 0; copy < 4; copy += 1) await store.fetch(candidate('2/small'), join(root, 'partial'), never);
    fewest = Math.min(fewest, requests);
  }
  hook.disable();
  t.equal(fewest, 0);
});

t.test('a file that is not as it was listed for a backup is not kept open', { skip: process.platform === 'linux' ? false : 'open files are found by /proc' }, async (t) => {
  const directory = t.testdir({ changed: 'changed' });
  const file = (await DirectoryUploads.open(directory)).file({ name: 'changed', size: 1, modified: 0 });
  t.equal(await lossOf(file.read()), 'changed');
  const open = readdirSync('/proc/self/fd').map((fd) => { try { return readlinkSync(`/proc/self/fd/${fd}`); } catch { return ''; } });
  t.notOk(open.includes(join(directory, 'changed')));
});

t.test('copies keep the time and leave the source alone; clones and links when asked', async (t) => {
  for (const copyMode of ['copy', 'clone', 'link'] as const) {
    const root = t.testdir({ uploads: { files: { 2: { 'a.txt': 'content' } }, avatars: {} } });
    const source = join(root, 'uploads', 'files', '2', 'a.txt');
    utimesSync(source, 1_700_000_000, 1_700_000_000.25);
    chmodSync(source, 0o440);
    const store = await openLocalStore({ uploadsDir: join(root, 'uploads'), copyMode });
    const partial = join(root, 'partial');
    const fetched = await store.fetch(candidate('2/a.txt', (info) => ({ take: true, record: { at: info.lastModified, size: info.size } })), partial, never);
    t.match(fetched, { taken: true, size: 7, sha256: createHash('sha256').update('content').digest('hex'), verdict: { record: { at: 1_700_000_000.25, size: 7 } } }, copyMode);
    t.equal(statSync(partial).ino === statSync(source).ino, copyMode === 'link', `${copyMode} is ${copyMode === 'link' ? '' : 'not '}the same file`);
    if (copyMode === 'copy') t.equal(statSync(partial).mtimeMs, 1_700_000_000_250);
    t.match(statSync(source), { mtimeMs: 1_700_000_000_250, size: 7 });
  }
});

t.test('whatever the umask allows, the export is for its owner alone', async (t) => {
  const before = process.umask(0);
  try {
    for (const copyMode of ['copy', 'clone', 'link'] as const) {
      const root = t.testdir({ uploads: { files: { 2: { a: { 'a.txt': 'a' } } }, avatars: { 2: { 'hash.png': 'p', 'hash.original': 'o', emoji: { images: { 'e.png': 'e' } }, realm: { 'icon.png': 'i' } } } }, export: {} });
      chmodSync(join(root, 'uploads/files/2/a/a.txt'), 0o644);
      await pulled(join(root, 'uploads'), join(root, 'export'), copyMode);
      const open = readdirSync(join(root, 'export'), { recursive: true, withFileTypes: true })
        .filter((entry) => (statSync(join(entry.parentPath, entry.name)).mode & 0o077) !== 0 && (copyMode !== 'link' || !entry.isFile()));
      t.strictSame(open.map(({ name }) => name), [], copyMode);
      t.equal(statSync(join(root, 'uploads/files/2/a/a.txt')).mode & 0o777, 0o644, 'the original keeps its own');
    }
  } finally {
    process.umask(before);
  }
});

t.test('names that no path may have are refused, and nothing is written outside', async (t) => {
  const root = t.testdir({ uploads: { files: { 2: { a: { b: 'file' } } }, avatars: {} }, secret: 'secret', export: {} });
  mkdirSync(join(root, 'uploads', 'files', '2', 'a2'), { recursive: true });
  writeFileSync(join(root, 'uploads', 'files', '2', 'a2', 'back\\slash'), 'x');
  const keys = ['/etc/hostname', '../secret', '2/../../secret', '2//a', '2/./a', '2/a2/back\\slash', '2/a\0b', `2/${'n'.repeat(256)}`, '', '2/a/', 'records.json', '2/a/b'];
  const store = await openLocalStore({ uploadsDir: join(root, 'uploads') });
  const before = filesBelow(root).filter((path) => !path.startsWith('export/'));
  const events: FileEvent[] = [];
  const uploads = keys.map((pathId, index) => ({ attachmentId: String(index), pathId, ownerId: OWNER, size: null }));
  await pullFiles(store, wantedUploads(uploads), join(root, 'export'), {}, (event) => void events.push(event));
  t.strictSame(events.flatMap((event) => (event.kind === 'lost' ? [event.reason] : [])), Array.from({ length: 11 }, () => 'unsafe-name'));
  t.strictSame(lostAttachments(events), ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10']);
  t.strictSame(filesBelow(join(root, 'export')).sort(), ['avatars/records.json', 'emoji/records.json', 'uploads/2/a/b', 'uploads/records.json']);
  t.strictSame(filesBelow(root).filter((path) => !path.startsWith('export/')), before);
});

t.test('a directory that cannot be read is told, and the export goes on', async (t) => {
  const root = t.testdir({ uploads: { files: { 2: { 'a.txt': 'a' } }, avatars: { 2: 'not a directory' } }, export: {} });
  const store = await openLocalStore({ uploadsDir: join(root, 'uploads') });
  const events: FileEvent[] = [];
  const wanted = wantedUploads([{ attachmentId: '1', pathId: '2/a.txt', ownerId: OWNER, size: 1 }], {
    areas: AREAS, claimedUploads: () => each(['2/a.txt']), avatars: () => each([{ userId: OWNER, hash: 'a', avatarSource: 'U', avatarVersion: 1 }]),
  });
  const result = await pullFiles(store, wanted, join(root, 'export'), {}, (event) => void events.push(event));
  t.equal(result.areas.uploads.found, 1);
  t.strictSame(events.flatMap((event) => (event.kind === 'lost' ? [`${event.area} ${event.key} ${event.reason}`] : [])), ['avatars 2/ unreadable', 'realm_icons 2/ unreadable']);
  t.match(events.filter(({ kind }) => kind === 'orphans-unknown').map(({ area }) => area), ['avatars', 'emoji']);
});
