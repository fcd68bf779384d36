// Nothing leaves that may not leave: every cell of the database says where it came from, and every byte that comes out is read.
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { realmliftHere } from '../cli/command-here.js';
import { realmlift } from '../cli/command-line.js';
import { AVATAR_SALT } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { Canaries, travellingTables, type Cell } from './canaries.js';

const SEED = 'ZQseed00';

async function rowsOf<R extends pg.QueryResultRow>(url: string, sql: string): Promise<R[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<R>(sql)).rows;
  } finally {
    await client.end();
  }
}

for (const dataset of ['zulip-12/local', 'zulip-11/local', 'zulip-8/local'] as const) {
  t.test(`${dataset}: no export shows a secret, a table that stays, or another realm`, async (t) => {
    await withTestDatabase(dataset, async (url) => {
      const canaries = new Canaries();
      await canaries.plant(url, await travellingTables(dataset));
      const work = t.testdir({ approved: '' });
      await canaries.plantFiles(dataset, join(work, 'uploads'));
      canaries.add('--random-seed', SEED);
      t.ok(canaries.count(({ realm }) => realm === undefined) > 500, 'enough was planted where it must stay');
      t.ok(canaries.count(({ realm }) => (realm ?? 0) > 0) > 5000, 'and in rows that travel');

      const realms = await rowsOf<{ id: number; string_id: string }>(url, 'SELECT id, string_id FROM zulip.zerver_realm ORDER BY id');
      const users = await rowsOf<{ id: number }>(url, 'SELECT min(id) AS id FROM zulip.zerver_userprofile WHERE NOT is_bot AND is_active GROUP BY realm_id ORDER BY 1');
      writeFileSync(join(work, 'approved'), users.map(({ id }) => `${id}\n`).join(''));
      const everyRealm = ['export', ...realms.flatMap(({ string_id: name }) => ['--realm', name])];
      const consent = dataset !== 'zulip-8/local' ? ['--mode', 'consent'] : ['--users', join(work, 'approved'), '--files', 'all'];
      const runs: readonly (readonly [name: string, words: readonly string[], named?: (cell: Cell) => boolean])[] = [
        // Since Zulip 12 the system bots are members of groups like anybody.
        ['full', everyRealm, ({ place, realm }) => dataset === 'zulip-12/local' && place === 'zerver_subscription.color' && realm === 1],
        ['consent', [...everyRealm, ...consent, '--force']],
        ['public', [...everyRealm, '--mode', 'public', '--force']],
        // A conversation has the names of those who take part, as in Zulip's own export: here those of system bots, and in 12's sample of a group with globex.
        ['user', ['export-user', ...users.flatMap(({ id }) => ['--user', String(id)])], ({ place, realm }) => place === 'zerver_userprofile.full_name' && (realm === 1 || (realm === 3 && dataset === 'zulip-12/local'))],
      ];
      const settings = ['--uploads-dir', join(work, 'uploads'), '--random-seed', SEED, '--no-verify', '--debug'];
      for (const [name, words, named = () => false] of runs) {
        await t.test(name, async (t) => {
          const output = join(work, name);
          const env = { DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT[dataset] };
          const all = [...words, '--output', output, ...settings];
          // Once all that a process may write to its streams.
          const { code, stdout, stderr } = dataset === 'zulip-12/local' ? await realmlift(all, { env }) : await realmliftHere(all, env);
          t.equal(code, 0, stderr);
          // The address of a single user is the name of the directory.
          const told = [...canaries.in(stdout), ...canaries.in(stderr)].filter(({ place }) => name !== 'user' || place !== 'zerver_userprofile.delivery_email');
          t.strictSame(places(told), [], 'nothing on stdout or stderr');
          t.notMatch(stdout + stderr, AVATAR_SALT[dataset]);
          for (const { id, string_id: realm } of realms) {
            const shown = directories(output, realm).flatMap((directory) => [...canaries.below(directory)]);
            t.strictSame(places(shown.filter((cell) => cell.realm !== id && cell.realm !== 0 && !named(cell))), [], `${realm}: nothing of others`);
            if (realm !== 'zulipinternal') t.ok(shown.length > 50, `${realm}: the search finds what belongs there (${shown.length})`);
          }
        });
      }
    });
  });
}

/** What makes an export of acme fail, how it is mended, and the code that says so. */
const BROKEN: readonly (readonly [code: string, broken: string, mended: string])[] = [
  ['TIMESTAMP_NOT_JSON', "UPDATE zerver_message SET date_sent = 'infinity'", 'UPDATE zerver_message SET date_sent = now()'],
  ['TYPE_UNSUPPORTED', "ALTER TABLE zerver_alertword ADD COLUMN more text[] DEFAULT ARRAY['ZQerror1']", 'ALTER TABLE zerver_alertword DROP COLUMN more'],
  ['SECRET_UNDECIDED', "ALTER TABLE zerver_alertword ADD COLUMN sms_token text DEFAULT 'ZQerror2'", 'ALTER TABLE zerver_alertword DROP COLUMN sms_token'],
  ['REALM_UNKNOWN', "UPDATE zerver_realm SET string_id = 'acne' WHERE string_id = 'acme'", "UPDATE zerver_realm SET string_id = 'acme' WHERE string_id = 'acne'"],
  ['NO_OWNER', 'UPDATE zerver_userprofile SET allow_private_data_export = false', 'SELECT 1'],
  ['NOT_ZULIP', 'DELETE FROM django_migrations', 'SELECT 1'],
];

t.test('what a broken export says shows no row', async (t) => {
  await withTestDatabase('zulip-11/local', async (url) => {
    const canaries = new Canaries();
    await canaries.plant(url, new Set());
    canaries.add('more', 'ZQerror1');
    canaries.add('sms_token', 'ZQerror2');
    const output = t.testdir({ uploads: { files: {} } });
    const words = ['export', '--realm', 'acme', '--uploads-dir', join(output, 'uploads'), '--no-avatars', '--debug'];
    for (const [expected, broken, mended] of BROKEN) {
      await rowsOf(url, `SET search_path = zulip; ${broken}`);
      const mode = expected === 'NO_OWNER' ? 'consent' : 'full';
      const { code, stdout, stderr } = await realmliftHere([...words, '--mode', mode, '--output', join(output, expected)], { DATABASE_URL: url });
      t.not(code, 0);
      t.match(stderr, `: ${expected} [`);
      t.strictSame(places([...canaries.in(stdout), ...canaries.in(stderr)]), []);
      await rowsOf(url, `SET search_path = zulip; ${mended}`);
    }
  });
});

/** The directories of a realm or of its users. */
function directories(output: string, realm: string): string[] {
  return readdirSync(output).filter((name) => name === realm || name.startsWith(`${realm}-user-`)).map((name) => join(output, name));
}

/** Each place once, with the realms whose rows were seen. */
function places(cells: readonly Cell[]): string[] {
  return [...new Set(cells.map(({ place, realm }) => `${place} of ${realm === undefined ? 'what never travels' : `realm ${realm}`}`))].sort();
}
