// Database and buckets that disagree: what an export of them says in report.json, in its summary and by its exit code.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DeleteObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import pg from 'pg';
import t from 'tap';
import { openWithoutOrphans } from '../../src/pipe/finished-export.js';
import { BUCKETS, withS3 } from '../testbed/s3-server.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { realmliftHere as realmlift } from './command-here.js';
import type { Ended } from './command-line.js';

/** Uploads of acme's that messages name, by the id of their row. */
const MISSING = '4';
const RESIZED = '7';
const ABSENT = '3';
const FOREIGN = '5';
const CONTRADICTORY = '11';
const OF_GLOBEX = '8';
const OURS = { user_profile_id: '6', realm_id: '2' };
const THEIRS = { user_profile_id: '38', realm_id: '3' };

const ORPHANS = [
  { area: 'uploads', key: '2/zz/orphan.txt', size: 6 }, { area: 'uploads', key: '2/zz/theirs.txt', size: 6 },
  { area: 'avatars', key: `2/${'b'.repeat(40)}.png`, size: 6 }, { area: 'emoji', key: '2/emoji/images/gone.png', size: 6 },
] as const;

interface Report {
  readonly files: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly files_left_out: readonly Readonly<Record<string, unknown>>[];
  readonly orphans: readonly Readonly<Record<string, unknown>>[];
}

const read = <T>(...path: string[]): T => JSON.parse(readFileSync(join(...path), 'utf8')) as T;

/** @returns where the uploads of the rows lie, by id */
async function disagree(url: string, client: S3Client): Promise<ReadonlyMap<string, string>> {
  const database = new pg.Client({ connectionString: url });
  await database.connect();
  try {
    await database.query(`SET search_path = zulip;
      UPDATE zerver_attachment SET owner_id = 38 WHERE id = ${OF_GLOBEX};
      INSERT INTO zerver_archivedattachment (id, file_name, path_id, owner_id, realm_id, create_time, size)
        VALUES (90, 'archived.txt', '2/zz/archived.txt', 6, 2, now(), 6)`);
    const { rows } = await database.query<{ id: string; path_id: string }>('SELECT id::text, path_id FROM zerver_attachment WHERE realm_id = 2');
    const paths = new Map(rows.map((row) => [row.id, row.path_id]));
    const put = async (Bucket: string, Key: string, Metadata: Record<string, string>, Body = 'orphan'): Promise<unknown> => client.send(new PutObjectCommand({ Bucket, Key, Body, Metadata }));
    const path = (id: string): string => paths.get(id) as string;
    await client.send(new DeleteObjectCommand({ Bucket: BUCKETS.uploads, Key: path(MISSING) }));
    await put(BUCKETS.uploads, path(RESIZED), { user_profile_id: '26', realm_id: '2' }, 'cut');
    await put(BUCKETS.uploads, path(ABSENT), {}, 'x'.repeat(141_953));
    await put(BUCKETS.uploads, path(FOREIGN), THEIRS, 'x'.repeat(14_268));
    await put(BUCKETS.uploads, path(CONTRADICTORY), OURS, 'x'.repeat(53_018));
    for (const { area, key } of ORPHANS) await put(area === 'uploads' ? BUCKETS.uploads : BUCKETS.avatars, key, key.includes('theirs') ? THEIRS : OURS);
    for (const key of ['2/zz/archived.txt', '2/zz/archived.txt.info', '20/another/realm.txt', 'thumbnail/2/zz/orphan.txt/840x560.webp']) await put(BUCKETS.uploads, key, {});
    return paths;
  } finally {
    await database.end();
  }
}

t.test('database and buckets disagree', async (t) => {
  const directory = t.testdir({});
  await withS3(async ({ environment, client }) => withTestDatabase('zulip-11/s3', async (url) => {
    const paths = await disagree(url, client);
    const env = { ...environment, DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/s3'] };
    const run = (name: string, ...words: string[]): Promise<Ended> => realmlift(['export', '--realm', 'acme', '--output', join(directory, name), '--jobs', '1', ...words], env);
    const report = (name: string): Report => read(directory, name, 'acme', 'report.json');

    await t.test('all of it is told, and the export goes on', async (t) => {
      const { code, stderr } = await run('its report');
      t.equal(code, 0, stderr);
      const { files, files_left_out: told, orphans } = report('its report');
      t.match(files.uploads, { missing: 1, failed: 0, otherSize: 1, metadata: { absent: 1, foreign: 1, contradictory: 1 }, orphans: 2, orphanBytes: 12, orphansCopied: 0, orphansListed: 'all' });
      t.equal(files.uploads?.found, files.uploads?.records);
      t.match(files.avatars, { missing: 0, orphans: 1 });
      t.match(files.emoji, { missing: 0, orphans: 1 });
      t.match(files.realm_icons, { missing: 0, orphans: 0 });
      const of = (id: string): unknown => told.filter(({ key }) => key === paths.get(id)).map(({ kind, reason, problem, ownerFrom, row, file, attachmentId }) => ({ kind, reason, problem, ownerFrom, row, file, attachmentId }));
      t.match(of(MISSING), [{ kind: 'lost', reason: 'absent', attachmentId: MISSING }]);
      t.match(of(RESIZED), [{ kind: 'other-size', row: 26_266, file: 3, attachmentId: RESIZED }]);
      t.match(of(ABSENT), [{ kind: 'metadata', problem: 'absent', ownerFrom: 'attachment row' }]);
      t.match(of(FOREIGN), [{ kind: 'metadata', problem: 'foreign', ownerFrom: 'attachment row' }]);
      t.match(of(CONTRADICTORY), [{ kind: 'metadata', problem: 'contradictory', ownerFrom: 'attachment row' }]);
      t.match(of(OF_GLOBEX), [{ kind: 'skipped', attachmentId: OF_GLOBEX }]);
      t.equal(told.length, 6, JSON.stringify(told));
      t.strictSame(orphans, ORPHANS);
      t.match(stderr, /\n {2}uploads +5 files +\S+ \S+ {2}\(1 of another size than their row says; 1 without metadata; 1 with foreign metadata; 1 with contradictory metadata; 1 not to travel; 2 that no row claims, 12 B\)\n/);
      t.match(stderr, /\n {2}next: realmlift import-check '[^']+its report\/acme' .*\n! uploads: 1 missing\n$/, 'as a shell takes it; what is lost comes last, and marked');

      const ids = new Set(read<{ zerver_attachment: { id: number }[] }>(directory, 'its report', 'acme', 'attachment.json').zerver_attachment.map(({ id }) => String(id)));
      t.strictSame([MISSING, RESIZED, OF_GLOBEX].map((id) => ids.has(id)), [false, true, false], 'a row without a file would stop the import');
      const records = new Map(read<{ path: string; user_profile_id: number; realm_id: number }[]>(directory, 'its report', 'acme', 'uploads', 'records.json').map((each) => [each.path, each]));
      for (const [id, owner] of [[ABSENT, 13], [FOREIGN, 13], [CONTRADICTORY, 29]] as const) t.match(records.get(paths.get(id) as string), { user_profile_id: owner, realm_id: 2 });
      t.equal(records.has(paths.get(OF_GLOBEX) as string) || existsSync(join(directory, 'its report', 'acme', 'uploads', paths.get(OF_GLOBEX) as string)), false, "another realm's user's file stays");
    });

    await t.test('a wrong avatar salt stops the run before a row leaves', async (t) => {
      const { code, stderr } = await realmlift(['export', '--realm', 'acme', '--output', join(directory, 'salt')], { ...env, ZULIP_AVATAR_SALT: 'wrong' });
      t.match({ code, stderr }, { code: 2, stderr: /^realmlift: AVATAR_SALT_WRONG \[plan\]: / });
      t.equal(existsSync(join(directory, 'salt', 'acme')) || existsSync(join(directory, 'salt', 'acme.partial')), false);
    });

    await t.test('--strict', async (t) => {
      const { code, stderr } = await run('strict', '--strict', '--orphans', 'ignore');
      t.equal(code, 4, stderr);
      t.match(stderr, /realmlift: LOSSES \[files\]: 2 files that should travel were lost, or have another size than their rows say \(report\.json names each\)\n$/);
      t.strictSame(report('strict').orphans, []);
      t.match(report('strict').files.uploads, { orphans: 0, orphansListed: 'no' });
    });

    await t.test('orphans are copied when asked, but those of others', async (t) => {
      const { code, stderr } = await run('copy', '--orphans', 'copy');
      t.equal(code, 0, stderr);
      t.strictSame(report('copy').orphans, ORPHANS.map((orphan) => ({ ...orphan, ...(orphan.key.includes('theirs') ? { not_copied: 'owner' } : { copy: `orphans/${orphan.area}/${orphan.key}` }) })));
      t.equal(readFileSync(join(directory, 'copy', 'acme', 'orphans', 'uploads', '2', 'zz', 'orphan.txt'), 'utf8'), 'orphan');
      t.match(stderr, /; 2 that no row claims, 12 B, 1 copied\)\n/);
      await t.rejects(openWithoutOrphans(join(directory, 'copy', 'acme')), { code: 'ORPHANS_STAY', message: /3 files in orphans/ }, 'and stop what could only drop them');
    });

    await t.test('where users must approve, orphans are counted; their names are nobody\'s to give', async (t) => {
      const refused = await run('refused', '--mode', 'consent', '--orphans', 'copy');
      t.equal(refused.code, 2);
      t.match(refused.stderr, /^realmlift: ORPHANS_UNAPPROVED \[usage\]: /);
      const { code, stderr } = await run('consent', '--mode', 'consent', '--no-verify');
      t.equal(code, 0, stderr);
      t.strictSame(report('consent').orphans, []);
      t.match(report('consent').files.uploads, { orphans: 2, orphansListed: 'all' });
    });
  }));
});
