/** Loads that are killed at some moments; kill.long.test.ts has many. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { loadExport } from '../../src/commands/load.js';
import { realmlift } from '../cli/command-line.js';
import { sampleExport } from '../pipe/sample-export.js';
import { change, withClient } from '../testbed/database-client.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { digests, emptyUploads, filesBelow, load, request, stoppedAtCommit, stoppedIn, undo } from './new-server.js';
import { killedAndRemoved, killedAndResumed } from './unfinished-load.js';

const MOMENTS = [1, 30, 46];
/** Those of which hardly anything is there, kill.long.test.ts removes. */
const MOMENTS_OF_REMOVED = [30, 46];

const output = t.testdir();
const acme = (await withTestDatabase('zulip-11/local', (url) => sampleExport(url, { realm: 'acme', output })))[0] as string;

t.test('killed, gone on with, and the same', (t) => killedAndResumed(t, acme, MOMENTS));

t.test('killed, and removed', (t) => killedAndRemoved(t, acme, MOMENTS_OF_REMOVED));

t.test('stopped while the server commits the last step: it is finished when it is', async (t) => withTestDatabase('zulip-11/new-server', async (url) => {
  const uploads = emptyUploads();
  const result = await stoppedAtCommit(url, 'UPDATE', (stop) => loadExport(acme, request(url, uploads), stop).catch((error: unknown) => error), "query LIKE '%pg_advisory_lock(%hashtext%'");
  t.match(result, { subdomain: 'acme', deactivated: false, realmId: 2 });
  await t.rejects(load(acme, url, uploads, { resume: true }), { code: 'LOAD_REFUSED', hint: /^acme was loaded here before: / });
}));

t.test('a removal that is refused takes no file, and one that is killed can be gone on with as a load', async (t) => withTestDatabase('zulip-11/new-server', async (url) => {
  const uploads = emptyUploads();
  await stoppedIn('statistics', (stop) => loadExport(acme, request(url, uploads), stop)).catch(() => undefined);
  const [rows, files] = [await digests(url), filesBelow(uploads)];
  t.ok(files.length > 50);

  await change(url, "INSERT INTO zerver_draft (topic, content, last_edit_time, user_profile_id) SELECT '', 'used', now(), max(id) FROM zerver_userprofile WHERE realm_id = 2");
  await t.rejects(undo(url, uploads), { code: 'UNDO_REFUSED', message: /rows of zerver_draft .*; nothing was removed/ });
  t.same(filesBelow(uploads), files);
  await change(url, 'DELETE FROM zerver_draft');
  t.same(await digests(url), rows);

  const areFilesLeft = (): boolean => {
    try {
      return filesBelow(uploads).length > 0;
    } catch {
      // One went between its being listed and read.
      return true;
    }
  };
  await withClient(url, async (client) => {
    // The last that it does is to drop the journal, which waits for this.
    await client.query('BEGIN; SELECT FROM realmlift_load_acme.run');
    await realmlift(['load', acme, '--undo', '--target-url', url, '--subdomain', 'acme', '--uploads-dir', uploads], {
      meanwhile: async (child) => {
        while (child.exitCode === null && areFilesLeft()) await sleep(5);
        child.kill('SIGKILL');
      },
    });
    await client.query('COMMIT');
  });
  t.same(filesBelow(uploads), [], 'it was killed when the files were gone');
  await load(acme, url, uploads, { resume: true });
  t.same(filesBelow(uploads), files);
}));
