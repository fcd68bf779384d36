import { buffer } from 'node:stream/consumers';
import pg from 'pg';
import t from 'tap';
import { avatarHash } from '../../src/plan/avatar-hash.js';
import { detectZulipVersion } from '../../src/plan/release/zulip-version.js';
import { readArchive } from '../testbed/tar-archive.js';
import { AVATAR_SALT, testData, type Dataset } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';

interface Row { id: number; realm_id: number; avatar_version: number; email: string }

/** `REALM_ID/HASH` of each uploaded original on disk. */
async function originals(dataset: Dataset): Promise<Set<string>> {
  const found = new Set<string>();
  await readArchive(testData(dataset, 'uploads.tar.gz'), async (path, content) => {
    const match = /^avatars\/(\d+\/[0-9a-f]{40})\.original$/.exec(path);
    if (match?.[1] !== undefined) found.add(match[1]);
    await buffer(content);
  });
  return found;
}

for (const dataset of ['zulip-11/local', 'zulip-8/local', 'zulip-4/local'] as const) {
  t.test(`every avatar file of ${dataset} is found by its hash`, async (t) => {
    const left = await originals(dataset);
    t.ok(left.size > 10);
    await withTestDatabase(dataset, async (url) => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      const { zerverMigration } = await detectZulipVersion(client, 'zulip');
      const { rows } = await client.query<Row>("SELECT id, realm_id, avatar_version, email FROM zulip.zerver_userprofile WHERE avatar_source = 'U'");
      await client.end();
      for (const row of rows) left.delete(`${row.realm_id}/${avatarHash({ userId: row.id, avatarVersion: row.avatar_version, email: row.email }, AVATAR_SALT[dataset], zerverMigration)}`);
    });
    t.strictSame([...left], []);
  });
}

t.test('the rule changes with the migrations that renamed the files', (t) => {
  const owner = { userId: 7, avatarVersion: 2, email: 'Iago@Zulip.com' };
  const hashes = [59, 60, 543, 544, 697].map((migration) => avatarHash(owner, 'salt', migration));
  // sha1("iago@zulip.comsalt"), sha1("7salt"), sha256("7:2:salt") cut to 40 digits
  const [email, id, version] = ['d850c73edd8a8396b37917d05b192e616f9fde52', '0d28f8c257d00cec04e6375362b4890ee80586ac', 'f361042dc3bb413af6efc282b4a05b4819fa7cfa'];
  t.strictSame(hashes, [email, id, id, version, version]);
  t.end();
});
