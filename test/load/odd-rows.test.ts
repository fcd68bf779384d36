/** Rows that an import does not take as they are. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import t from 'tap';
import { exportFrom, only } from '../export/test-source.js';
import { openLocalStore } from '../../src/files/local-store.js';
import { change, withClient } from '../testbed/database-client.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { timestamp } from '../../src/timestamp.js';
import { emptyUploads, hearing, load } from './new-server.js';

const output = t.testdir();
const uploadsDir = join(output, 'uploads');
cpSync(await uploadsDirectory('zulip-11/local'), uploadsDir, { recursive: true });

const frame = (background: string): Promise<Buffer> => sharp({ create: { width: 64, height: 64, channels: 3, background } }).png().toBuffer();
const animated = await sharp(await Promise.all([frame('red'), frame('blue')]), { join: { animated: true } }).gif().toBuffer();
const lying = await sharp({ create: { width: 30, height: 20, channels: 3, background: 'red' } }).withMetadata({ orientation: 6 }).jpeg().toBuffer();

/** Images of acme under the number of another realm, as of a user who was moved, and under none, as on old servers: which attachment, its path, and the odd one. */
const STRAYS = [[1, '2/97/12J-vQ6bFEK_pDVXVETxy82-/naïve-résumé.txt', '5/97/12J-vQ6bFEK_pDVXVETxy82-/naïve-résumé.txt'], [7, '2/13/6Bss41XkXo-H9ERTd2GQB4Kr/report.bin', 'unk/report.bin']] as const;

const exported = await withTestDatabase('zulip-11/local', async (url) => {
  await change(url, `
    UPDATE zerver_subscription SET is_user_active = NOT is_user_active WHERE id % 5 = 0;
    INSERT INTO zerver_subscription SELECT r.* FROM (SELECT s FROM zerver_subscription s JOIN zerver_stream c ON c.recipient_id = s.recipient_id WHERE c.realm_id = 2 ORDER BY s.id LIMIT 1) AS of_channel,
      LATERAL jsonb_populate_record(of_channel.s, jsonb_build_object('id', (SELECT max(id) + 1 FROM zerver_subscription), 'is_user_active', false, 'user_profile_id', (SELECT id FROM zerver_userprofile WHERE delivery_email = 'notification-bot@zulip.com'))) AS r;
    UPDATE zerver_huddle SET huddle_hash = 'spoilt' || id;
    UPDATE zerver_stream SET first_message_id = 7, is_recently_active = true WHERE realm_id = 2;
    UPDATE zerver_message SET date_sent = now() - interval '300 days' WHERE realm_id = 2 AND recipient_id IN (SELECT recipient_id FROM zerver_stream WHERE realm_id = 2 ORDER BY id LIMIT 1);
    UPDATE zerver_message SET date_sent = now() WHERE realm_id = 2 AND recipient_id NOT IN (SELECT recipient_id FROM zerver_stream WHERE realm_id = 2 ORDER BY id LIMIT 1);
    UPDATE zerver_attachment SET content_type = NULL, file_name = 'photo.JPG' WHERE id = (SELECT min(id) FROM zerver_attachment WHERE realm_id = 2 AND EXISTS (SELECT FROM zerver_attachment_messages m WHERE m.attachment_id = zerver_attachment.id));
    UPDATE zerver_realmemoji SET author_id = NULL WHERE realm_id = 2;
    UPDATE zerver_realm SET plan_type = 3, max_invites = 100, message_visibility_limit = 10000, first_visible_message_id = 5, push_notifications_enabled = true, deactivated = true,
      scheduled_deletion_date = '2026-01-02 03:04:05.678901+00' WHERE id = 2;
    UPDATE zerver_realmauditlog SET event_type = 214 WHERE realm_id = 2 AND event_type = 215;
    ${STRAYS.map(([, path, odd]) => `
      UPDATE zerver_attachment SET path_id = '${odd}' WHERE path_id = '${path}';
      UPDATE zerver_message SET content = replace(content, '${path}', '${odd}'), rendered_content = replace(rendered_content, '${path}', '${odd}') WHERE realm_id = 2;`).join('')}
    INSERT INTO zerver_message (type, subject, content, date_sent, has_attachment, has_image, has_link, sender_id, sending_client_id, realm_id, recipient_id, is_channel_message)
      SELECT type, E'tab\\tand\\\\N', E'\\\\. line\\r\\nnext \\b\\f\\u2028 \\\\u0041 "quoted" \\x01', '1969-12-31 23:59:59.999999+00', false, false, false, sender_id, sending_client_id, realm_id, recipient_id, is_channel_message FROM zerver_message WHERE realm_id = 2 LIMIT 1`);
  await withClient(url, async (client) => {
    const { rows: [attachment] } = await client.query<{ path: string }>("SELECT path_id AS path FROM zulip.zerver_attachment WHERE file_name = 'photo.JPG'");
    writeFileSync(join(uploadsDir, 'files', attachment?.path ?? ''), lying);
    await client.query('UPDATE zulip.zerver_attachment SET size = $1 WHERE file_name = $2', [lying.length, 'photo.JPG']);
    const { rows: [emoji] } = await client.query<{ name: string }>('SELECT file_name AS name FROM zulip.zerver_realmemoji WHERE realm_id = 2 ORDER BY id LIMIT 1');
    for (const suffix of ['', '.original']) writeFileSync(join(uploadsDir, `avatars/2/emoji/images/${emoji?.name ?? ''}${suffix}`), animated);
  });
  for (const [, path, odd] of STRAYS) cpSync(join(uploadsDir, 'files', path), join(uploadsDir, 'files', odd));
  writeFileSync(join(uploadsDir, 'avatars/2/0a79abf8ad6f9d75b86712513ab7b20e716bb5db.original'), 'no image');
  return only(await exportFrom({ dataset: 'zulip-11/local', url, openStore: () => openLocalStore({ uploadsDir }) }, output, ['acme'])).directory;
});

t.test('set or computed as by an import', async (t) => withTestDatabase('zulip-11/new-server', async (url) => {
  const uploads = emptyUploads();
  for (const [, , odd] of STRAYS) {
    mkdirSync(dirname(join(uploads, 'files', odd)), { recursive: true });
    writeFileSync(join(uploads, 'files', odd), "another realm's");
  }
  const warnings: string[] = [];
  const result = await hearing({ warning: (text) => warnings.push(text) }, () => load(exported, url, uploads, { realmName: 'A\\b' }));
  t.match(warnings.join('\n'), /0a79abf8ad6f9d75b86712513ab7b20e716bb5db\.original is no image/);
  t.equal(result.deactivated, true);
  await withClient(url, async (client) => {
    await client.query("SET search_path = zulip; SET timezone = 'UTC'");
    const one = async (sql: string): Promise<unknown> => (await client.query<{ v: unknown }>(sql)).rows[0]?.v;
    t.match((await client.query("SELECT name, plan_type, max_invites, message_visibility_limit, first_visible_message_id, push_notifications_enabled, deactivated, scheduled_deletion_date::text AS deletion FROM zerver_realm WHERE id = 2")).rows[0], {
      name: 'A\\b', plan_type: 1, max_invites: null, message_visibility_limit: null, first_visible_message_id: 0, push_notifications_enabled: false, deactivated: true, deletion: '2026-01-02 03:04:05.678901+00',
    });
    t.equal(await one('SELECT count(*)::int AS v FROM zerver_subscription s JOIN zerver_userprofile u ON u.id = s.user_profile_id WHERE s.is_user_active <> u.is_active'), 0);
    t.equal(await one("SELECT count(*)::int AS v FROM zerver_subscription s JOIN zerver_stream c ON c.recipient_id = s.recipient_id WHERE s.user_profile_id = (SELECT id FROM zerver_userprofile WHERE delivery_email = 'notification-bot@zulip.com')"), 1);
    const { rows: groups } = await client.query<{ hash: string; users: number[] }>('SELECT huddle_hash AS hash, array_agg(DISTINCT s.user_profile_id ORDER BY s.user_profile_id) AS users FROM zerver_huddle h JOIN zerver_subscription s ON s.recipient_id = h.recipient_id GROUP BY 1');
    t.ok(groups.length > 100);
    for (const { hash, users } of groups) if (hash !== createHash('sha1').update(users.join(',')).digest('hex')) t.fail(`hash of ${users.join(',')}`);
    t.equal(await one('SELECT count(*)::int AS v FROM zerver_stream s WHERE realm_id = 2 AND first_message_id IS DISTINCT FROM (SELECT min(id) FROM zerver_message m WHERE m.recipient_id = s.recipient_id) AND EXISTS (SELECT FROM zerver_message m WHERE m.recipient_id = s.recipient_id)'), 0);
    // A deactivated realm's channels are as they were.
    t.equal(await one('SELECT count(*)::int AS v FROM zerver_stream WHERE realm_id = 2 AND NOT is_recently_active'), 0);
    t.match((await client.query("SELECT content_type, original_width_px, original_height_px, frames FROM zerver_imageattachment WHERE path_id = (SELECT path_id FROM zerver_attachment WHERE file_name = 'photo.JPG')")).rows, [{ content_type: 'image/jpeg', original_width_px: 20, original_height_px: 30, frames: 1 }]);
    t.equal(await one('SELECT count(DISTINCT author_id)::int AS v FROM zerver_realmemoji WHERE author_id = (SELECT min(id) FROM zerver_userprofile WHERE role = 100 AND is_active AND realm_id = 2)'), 1);
    t.same((await client.query('SELECT is_animated FROM zerver_realmemoji ORDER BY id')).rows, [{ is_animated: true }, { is_animated: false }]);
    t.match((await client.query('SELECT event_type, backfilled FROM zerver_realmauditlog WHERE realm_id = 2 ORDER BY id DESC LIMIT 4')).rows, [{ event_type: 229 }, { event_type: 204 }, { event_type: 123 }, { event_type: 215, backfilled: true }]);
    t.equal(await one("SELECT count(*)::int AS v FROM zerver_userprofile WHERE avatar_source = 'G' AND avatar_version = 3"), 1);
    t.match((await client.query("SELECT subject, content, date_sent::text AS date FROM zerver_message ORDER BY id DESC LIMIT 1")).rows, [{ subject: 'tab\tand\\N', content: '\\. line\r\nnext \b\f\u2028 \\u0041 "quoted" \x01', date: '1969-12-31 23:59:59.999999+00' }]);
    const { rows: attachments } = await client.query<{ path: string; named: number; image: boolean }>(`
      SELECT path_id AS path, EXISTS (SELECT FROM zerver_imageattachment i WHERE i.path_id = a.path_id) AS image,
        (SELECT count(*)::int FROM zerver_message WHERE strpos(content, '(/user_uploads/' || path_id) > 0 AND strpos(rendered_content, '/user_uploads/thumbnail/' || path_id || '/') > 0) AS named
      FROM zerver_attachment a ORDER BY id`);
    for (const [number, , odd] of STRAYS) {
      const { path = '', ...facts } = attachments[number] ?? {};
      t.match(path, /^2\/[\w-]{24}\/[^/]+$/, `${odd} comes under the number of its own realm`);
      t.match(facts, { named: /[1-9]/, image: true }, 'and texts and thumbnails follow');
      t.equal(await one(`SELECT count(*)::int AS v FROM zerver_message WHERE content || rendered_content LIKE '%${dirname(odd)}/%'`), 0);
      t.same(readFileSync(join(uploads, 'files', path)), readFileSync(join(uploadsDir, 'files', odd)));
      t.equal(readFileSync(join(uploads, 'files', odd), 'utf8'), "another realm's", 'what lies there is of another realm, and stays');
    }
    const { rows: [emoji] } = await client.query<{ name: string }>('SELECT file_name AS name FROM zerver_realmemoji ORDER BY id LIMIT 1');
    const still = await sharp(readFileSync(join(uploads, `avatars/2/emoji/images/still/${(emoji?.name ?? '').replace(/\.\w+$/, '')}.png`))).metadata();
    t.match(still, { format: 'png', width: 64, height: 64 });
  });
}));

t.test('moments that are none', (t) => {
  for (const seconds of [NaN, Infinity, -1e20]) t.throws(() => timestamp(seconds), { code: 'VALUE_REFUSED' });
  t.equal(timestamp(-62_135_596_800), '0001-01-01T00:00:00.000000+00');
  t.end();
});
