/** Several full exports in one run: each table is read once for all, and what comes out is what each realm's own export is. */
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { runExport, startExport, untilPart } from './export-process.js';
import { query, withGrownDatabase } from './grown-database.js';
import { differingPaths } from './same-tree.js';

const REALMS = ['acme', 'closed', 'globex', 'tiny'];
const ALL = REALMS.flatMap((realm) => ['--realm', realm]);

/** Usermessages and reactions that were made long after their messages, some of another realm's message, and some of a system bot. */
const LATE = `
  UPDATE zerver_usermessage SET id = id + 100000000 WHERE id % 7 = 3;
  INSERT INTO zerver_usermessage (id, flags, message_id, user_profile_id)
    SELECT 300000000, 1, (SELECT min(m.id) FROM zerver_message m JOIN zerver_realm r ON r.id = m.realm_id WHERE r.string_id = 'acme'),
      (SELECT min(u.id) FROM zerver_userprofile u JOIN zerver_realm r ON r.id = u.realm_id WHERE r.string_id = 'globex' AND NOT u.is_bot AND NOT u.is_mirror_dummy);
  UPDATE zerver_reaction SET id = id + 100000000 WHERE id % 3 = 1;
  INSERT INTO zerver_reaction (id, emoji_name, emoji_code, reaction_type, message_id, user_profile_id)
    SELECT 300000000 + u.id * 10 + m.id % 10, '+1', '1f44d', 'unicode_emoji', m.id, u.id
    FROM (SELECT max(m.id) AS id FROM zerver_message m JOIN zerver_realm r ON r.id = m.realm_id GROUP BY r.id) AS m,
      (SELECT min(u.id) AS id FROM zerver_userprofile u JOIN zerver_realm r ON r.id = u.realm_id WHERE r.string_id IN ('globex', 'zulipinternal') AND NOT u.is_mirror_dummy GROUP BY r.id) AS u
    ON CONFLICT DO NOTHING`;

function same(t: Test, expected: string, output: string, realms: readonly string[], what: string): void {
  for (const realm of realms) t.same(differingPaths(join(expected, realm), join(output, realm)), [], `${realm}: ${what}`);
}

const published = (output: string): string[] => (existsSync(output) ? readdirSync(output).filter((name) => !name.includes('.')).sort() : []);

t.test('several realms in one run', async (t) => {
  const root = t.testdir({});
  await withGrownDatabase(async (url) => {
    await query(url, LATE);
    const expected = join(root, 'alone');
    for (const realm of REALMS) t.match(await runExport(url, expected, '--realm', realm), { code: 0 }, `${realm} alone`);

    for (const jobs of ['1', '3']) {
      const output = join(root, `jobs-${jobs}`);
      t.match(await runExport(url, output, ...ALL, '--realm', 'acme', '--jobs', jobs), { code: 0 });
      same(t, expected, output, REALMS, `the same bytes with ${jobs} workers`);
      t.same(readdirSync(output).sort(), [...REALMS, 'manifest.json', 'report.html'].sort(), 'and nothing beside');
    }

    await t.test('killed when the messages of a realm are there', async (t) => {
      const output = join(root, 'messages');
      const running = await startExport(url, output, ...ALL);
      await untilPart(running, output, 'messages-000001.json', 'closed');
      running.process.kill('SIGKILL');
      await running.ended;
      if (!existsSync(join(output, 'closed'))) t.match(await runExport(url, output, '--realm', 'closed', '--resume'), { code: 0 });
      same(t, expected, output, ['closed'], 'finished alone, it has the clients that only messages name');
    });

    await t.test('killed at any moment they go on', async (t) => {
      const output = join(root, 'killed');
      for (const moment of [400, 900, 1400, 2000]) {
        const running = await startExport(url, output, ...ALL, '--resume');
        await Promise.race([sleep(moment), running.ended]);
        running.process.kill('SIGKILL');
        await running.ended;
      }
      for (const realm of REALMS) {
        if (!existsSync(join(output, realm))) t.match(await runExport(url, output, '--realm', realm, '--resume'), { code: 0 });
      }
      same(t, expected, output, REALMS, 'the same bytes, finished alone');
      rmSync(output, { recursive: true });
      const running = await startExport(url, output, ...ALL);
      while (!existsSync(join(output, 'tiny.partial'))) await sleep(20);
      running.process.kill('SIGTERM');
      t.match(await running.ended, { code: 143, stderr: /^realmlift: STOPPED / });
      t.same(published(output), []);
      t.match(await runExport(url, output, ...ALL, '--resume'), { code: 0 });
      same(t, expected, output, REALMS, 'the same bytes, finished together');
      t.same(readdirSync(output).filter((name) => name.startsWith('.')), [], 'what the killed runs left is gone');
    });

    await t.test('a row that JSON cannot hold, and a directory that is in the way, are the fault of one realm', async (t) => {
      const output = join(root, 'faults');
      mkdirSync(join(output, 'tiny'), { recursive: true });
      writeFileSync(join(output, 'tiny', 'something'), '');
      const where = "WHERE id = (SELECT max(m.id) FROM zerver_message m JOIN zerver_realm r ON r.id = m.realm_id JOIN zerver_recipient c ON c.id = m.recipient_id WHERE r.string_id = 'globex' AND c.type = 2)";
      const { rows } = await query(url, `SELECT date_sent::text AS date FROM zerver_message ${where}`);
      await query(url, `UPDATE zerver_message SET date_sent = 'infinity' ${where}`);
      const { code, stderr } = await runExport(url, output, ...ALL);
      await query(url, `UPDATE zerver_message SET date_sent = '${String(rows[0]?.date)}' ${where}`);
      t.equal(code, 1);
      t.match(stderr, /^globex: realmlift: TIMESTAMP_NOT_JSON \[transform, zerver_message\]/m);
      t.match(stderr, /^tiny: realmlift: OUTPUT_EXISTS \[package\]/m);
      t.notMatch(stderr, /infinity/, 'no content');
      same(t, expected, output, ['acme', 'closed'], 'the others are whole');
      rmSync(join(output, 'tiny'), { recursive: true });
      t.match(await runExport(url, output, '--realm', 'globex', '--realm', 'tiny', '--resume'), { code: 0 }, 'and those that failed can be made good');
      same(t, expected, output, REALMS, 'the same bytes');
    });

    await t.test('lost files take their rows with them, in the realm that lost them', async (t) => {
      const uploads = join(root, 'uploads');
      cpSync(await uploadsDirectory('zulip-11/local'), uploads, { recursive: true, preserveTimestamps: true });
      const { rows } = await query(url, "SELECT a.path_id FROM zerver_attachment a JOIN zerver_realm r ON r.id = a.realm_id WHERE r.string_id = 'globex' ORDER BY a.id LIMIT 1");
      rmSync(join(uploads, 'files', String(rows[0]?.path_id)));
      const lost = join(root, 'alone-lost');
      t.match(await runExport(url, lost, '--realm', 'globex', '--uploads-dir', uploads), { code: 0 });
      const output = join(root, 'lost');
      t.match(await runExport(url, output, ...ALL, '--uploads-dir', uploads), { code: 0 });
      same(t, lost, output, ['globex'], 'the same bytes');
      same(t, expected, output, REALMS.filter((realm) => realm !== 'globex'), 'as before');
      t.not(differingPaths(join(expected, 'globex'), join(output, 'globex')).length, 0);
    });
  });
});
