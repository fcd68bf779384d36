// Objects that Zulip's own export stops at or passes over: what the record says then, and what the ledger is told.
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { FileEvent } from '../../src/files/file-events.js';
import { pullFiles } from '../../src/files/pull-files.js';
import type { WantedFiles } from '../../src/files/wanted-files.js';
import { AREAS } from '../../src/package/export-files.js';
import { BUCKETS, startS3 } from '../testbed/s3-server.js';
import type { S3Server } from '../testbed/s3-server.js';
import type { Seen } from './faulty-proxy.js';
import { s3Error, withFaultyProxy } from './faulty-proxy.js';
import { OWNER, REALM, lostAttachments, pull, putUploads, upload, wantedUploads, withStore } from './pull-fixture.js';
import { each } from './wanted-rows.js';

const MATE = 8;
const GATEWAY = 3;
const FOREIGN = 900;
const OURS = { user_profile_id: String(OWNER), realm_id: String(REALM) };
const EMAILS = new Map([[OWNER, 'owner@acme.example'], [MATE, 'mate@acme.example'], [GATEWAY, 'emailgateway@zulip.com']]);
const PEOPLE: Partial<WantedFiles> = { emailOf: (id) => EMAILS.get(id), isRealmUser: (id) => id === OWNER || id === MATE, mayOwnUpload: (id) => EMAILS.has(id), emailGatewayBotId: GATEWAY };

let server: S3Server;
t.test('odd objects', async (t) => {
  server = await startS3();
  t.teardown(async () => server.stop());
  const put = async (key: string, metadata: Record<string, string>, content = 'avatar'): Promise<void> => {
    await server.client.send(new PutObjectCommand({ Bucket: BUCKETS.avatars, Key: key, Body: content, Metadata: metadata, ContentType: 'image/png' }));
  };

  t.test('uploads: the row decides whose it is', async (t) => {
    const cases = [
      ['as it should be', OURS, undefined],
      ['none', {}, 'absent'],
      ['of another system', { 's3cmd-attrs': 'uid:1000' }, 'absent'],
      ['no realm', { user_profile_id: String(OWNER) }, 'absent'],
      ['not a number', { user_profile_id: 'seven', realm_id: String(REALM) }, 'absent'],
      ['another realm', { ...OURS, realm_id: '5' }, 'foreign'],
      ['a user of another realm', { ...OURS, user_profile_id: String(FOREIGN) }, 'foreign'],
      ['another user of the realm', { ...OURS, user_profile_id: String(MATE) }, 'contradictory'],
    ] as const;
    const uploads = cases.map((_, index) => upload(index, 'x.txt', 10));
    for (const [index, [, metadata]] of cases.entries()) await putUploads(server.client, uploads.slice(index, index + 1), metadata);
    const { records, events, result } = await withStore(server.endpoint, {}, async (store) => pull(store, uploads, t.testdir(), {}, PEOPLE));
    for (const [index, [name, metadata, problem]] of cases.entries()) {
      const { user_profile_id: owner, user_profile_email: email, realm_id: realm, ...others } = records[index] as Record<string, unknown>;
      t.strictSame([owner, email, realm], [OWNER, 'owner@acme.example', REALM], `${name}: the record says what the row says`);
      if ('s3cmd-attrs' in metadata) t.equal(others['s3cmd-attrs'], 'uid:1000', 'other metadata travel');
      const told = events.filter((event) => event.kind === 'metadata' && event.key === uploads[index]?.pathId);
      t.strictSame(told, problem === undefined ? [] : [{ kind: 'metadata', area: 'uploads', key: uploads[index]?.pathId, problem, ownerFrom: 'attachment row' }], name);
    }
    t.strictSame(result.areas.uploads.metadata, { absent: 4, foreign: 2, contradictory: 1 });
  });

  t.test('uploads: what the email gateway received travels; what a stranger owns does not, nor its row', async (t) => {
    const [byMail, stranger] = [{ ...upload(50, 'mail.txt', 5), ownerId: GATEWAY }, { ...upload(51, 'stranger.txt', 5), ownerId: FOREIGN }];
    await putUploads(server.client, [byMail], { user_profile_id: String(GATEWAY), realm_id: '1' });
    await putUploads(server.client, [stranger]);
    const { records, result, events } = await withStore(server.endpoint, {}, async (store) => pull(store, [byMail, stranger], t.testdir(), {}, PEOPLE));
    t.strictSame(records.map(({ user_profile_email: email, realm_id: realm }) => [email, realm]), [['emailgateway@zulip.com', REALM]]);
    t.strictSame(lostAttachments(events), ['51']);
    t.equal(result.areas.uploads.skipped, 1);
    t.strictSame(events.filter(({ kind }) => kind !== 'file'), [{ kind: 'skipped', area: 'uploads', key: stranger.pathId, attachmentId: '51' }]);
  });

  t.test('uploads: a missing object and another size are told; the metadata cannot forge the record', async (t) => {
    const [gone, resized, forged] = [upload(60, 'gone.txt', 5), upload(61, 'resized.txt', 5), upload(62, 'forged.txt', 5)];
    await putUploads(server.client, [{ ...resized, content: Buffer.from('longer than five') }]);
    await putUploads(server.client, [forged], { ...OURS, path: '../../etc/passwd', s3_path: 'elsewhere', size: '0', bucket: 'b', user_profile_email: 'evil@example' });
    const uploads = [gone, { ...resized, content: Buffer.from('longer than five') }, forged];
    const { records, result, events } = await withStore(server.endpoint, {}, async (store) => pull(store, uploads, t.testdir()));
    t.strictSame(lostAttachments(events), ['60']);
    t.match(result.areas.uploads, { found: 2, records: 2, missing: 1, failed: 0, otherSize: 1 });
    t.match(events.find(({ kind }) => kind === 'other-size'), { row: 5, file: 16, attachmentId: '61' });
    t.match(events.find(({ kind }) => kind === 'lost'), { key: gone.pathId, reason: 'absent', attachmentId: '60' });
    t.match(records[1], { path: forged.pathId, s3_path: forged.pathId, size: 5, bucket: BUCKETS.uploads, user_profile_email: 'owner@acme.example' });
  });

  t.test('avatars, emoji and icons', async (t) => {
    const HASH = 'a'.repeat(40);
    const OTHER = 'b'.repeat(40);
    const MISSING = 'c'.repeat(40);
    await put(`${REALM}/${HASH}.original`, {});
    await put(`${REALM}/${OTHER}.original`, { user_profile_id: String(OWNER), realm_id: String(REALM), avatar_version: '9' });
    await put(`${REALM}/emoji/images/one.png`, {});
    await put(`${REALM}/emoji/images/one.png.original`, { user_profile_id: String(FOREIGN), realm_id: String(REALM) });
    await put(`${REALM}/emoji/images/nobody.png`, {});
    await put(`${REALM}/emoji/images/nobody.png.original`, { user_profile_id: String(FOREIGN), realm_id: String(REALM) });
    await put(`${REALM}/realm/icon.png`, {});
    await put(`${REALM}/realm/logo.png`, { user_profile_id: String(FOREIGN), realm_id: String(REALM) });
    const avatar = (userId: number, hash: string) => ({ userId, hash, avatarSource: 'U', avatarVersion: 2 });
    const wanted = wantedUploads([], {
      ...PEOPLE, areas: AREAS,
      avatars: () => each([avatar(OWNER, HASH), avatar(MATE, OTHER), { ...avatar(MATE, 'd'.repeat(40)), avatarSource: 'G' }, avatar(OWNER, MISSING)]),
      emoji: () => each([
        { fileName: 'one.png', name: 'one', authorId: MATE, deactivated: false }, { fileName: 'nobody.png', name: 'nobody', authorId: null, deactivated: false },
      ]),
    });
    const directory = t.testdir();
    const events: FileEvent[] = [];
    await withStore(server.endpoint, {}, async (store) => pullFiles(store, wanted, directory, {}, (event) => void events.push(event)));
    const records = (area: string): unknown => (JSON.parse(readFileSync(join(directory, area, 'records.json'), 'utf8')) as Record<string, unknown>[])
      .map(({ path, user_profile_id: user, realm_id: realm, avatar_version: version }) => [path, user, realm, version]);

    t.strictSame(records('avatars'), [[`2/${HASH}.original`, OWNER, REALM, 2], [`2/${OTHER}.original`, MATE, REALM, 9]], 'an avatar is its hash\'s');
    t.strictSame(records('emoji'), [
      ['2/emoji/images/nobody.png', undefined, REALM, undefined], ['2/emoji/images/one.png', MATE, REALM, undefined], ['2/emoji/images/one.png.original', MATE, REALM, undefined],
    ], 'an emoji is its author\'s; without one, a stranger\'s does not travel');
    t.strictSame(records('realm_icons'), [['2/realm/icon.png', undefined, REALM, undefined]], 'a stranger\'s logo does not travel');
    const told = events.flatMap((event) => (event.kind === 'metadata' ? [`${event.key} ${event.problem} ${event.ownerFrom}`] : event.kind === 'skipped' || event.kind === 'lost' ? [`${event.key} ${event.kind}`] : []));
    t.strictSame(told.sort(), [
      `2/${HASH}.original absent avatar hash`, `2/${OTHER}.original contradictory avatar hash`, `2/${MISSING}.original lost`,
      '2/emoji/images/nobody.png absent nobody', '2/emoji/images/nobody.png.original skipped', '2/emoji/images/one.png absent emoji row', '2/emoji/images/one.png.original foreign emoji row',
      '2/realm/icon.png absent nobody', '2/realm/logo.png skipped',
    ].sort());
    t.strictSame(lostAttachments(events), []);
  });

  t.test('many users: one listing instead of two requests for each', async (t) => {
    const users = Array.from({ length: 200 }, (_, index) => ({ userId: index % 2 === 0 ? OWNER : MATE, hash: `${index.toString(16).padStart(40, '0')}`, avatarSource: 'G', avatarVersion: 1 }));
    await put(`${REALM}/${users[150]?.hash}.original`, OURS);
    const requests: string[] = [];

    const result = await withFaultyProxy(server.endpoint, ({ path }) => void requests.push(path), async ({ endpoint }) => withStore(endpoint, {}, async (store) => {
      requests.length = 0;
      return pullFiles(store, wantedUploads([], { ...PEOPLE, avatars: () => each(users) }), t.testdir(), {}, () => undefined);
    }));
    t.equal(result.areas.avatars.found, 1, 'also of a user without an uploaded avatar, as Zulip does');
    t.equal(requests.length, 2, requests.join(' '));
  });

  t.test('a listing that fails: avatars are asked for one by one, icons are told as lost', async (t) => {
    const users = Array.from({ length: 10 }, (_, index) => ({ userId: OWNER, hash: `e${index}`.padEnd(40, '0'), avatarSource: 'G', avatarVersion: 1 }));
    await put(`${REALM}/${users[3]?.hash}.original`, OURS);
    const directory = t.testdir();
    const events: FileEvent[] = [];
    const fault = ({ path }: Seen) => (path.includes('prefix=') ? s3Error(500, 'InternalError') : undefined);
    const result = await withFaultyProxy(server.endpoint, fault, async ({ endpoint }) => withStore(endpoint, { attempts: 2 }, async (store) =>
      pullFiles(store, wantedUploads([], { ...PEOPLE, areas: AREAS, avatars: () => each(users) }), directory, {}, (event) => void events.push(event))));
    t.equal(result.areas.avatars.found, 1);
    t.match(result.areas.realm_icons, { found: 0, records: 0, failed: 1 });
    t.match(events.filter(({ kind }) => kind === 'lost'), [{ area: 'realm_icons', key: '2/', reason: 'fault' }]);
    t.equal(readFileSync(join(directory, 'realm_icons', 'records.json'), 'utf8'), '[]\n');
  });
});
