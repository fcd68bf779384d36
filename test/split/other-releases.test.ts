/** A realm of a release without a sample server, split: it is exported as from the source. */
import { join } from 'node:path';
import t from 'tap';
import { NEEDS_PG_DUMP, query } from '../backup/test-backup.js';
import { realmlift } from '../cli/command-line.js';
import { compareExports } from '../testbed/compare-export.js';
import { LONG } from '../testbed/long-tests.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';
import { ZULIP_12_DEV, ZULIP_2_1_8, ZULIP_3_4, ZULIP_5_7, ZULIP_6_2 } from '../versions/other-schemas.js';
import { exported, sourceAt } from './exported.js';

const RELEASES = [
  ['2.1.8', 'zulip-4/local', ZULIP_2_1_8, false], ['6.2', 'zulip-8/local', ZULIP_6_2, true],
  ...(LONG ? [['3.4', 'zulip-4/local', ZULIP_3_4, false], ['5.7', 'zulip-4/local', ZULIP_5_7, true], ['12-dev', 'zulip-11/local', ZULIP_12_DEV, false]] as const : []),
] as const;

// Zulip 5 and 6 export an actor of another realm, to whom the split database could not refer.
for (const [release, dataset, schema, strangeActor] of RELEASES) {
  t.test(release, NEEDS_PG_DUMP, async (t) => {
    await withTestDatabase(dataset, (source) => withEmptyDatabase(async (target) => {
      const place = t.testdir();
      await query(source, `SET search_path = zulip; SET CONSTRAINTS ALL IMMEDIATE; ${schema}`);
      const done = await realmlift(['split', '--realm', 'acme', '--target-url', target], { env: { DATABASE_URL: source, PATH: process.env.PATH ?? '' } });
      t.equal(done.code, 0, done.stderr);
      t.equal(/1 row of zerver_realmauditlog: acting_user_id refers to .* stayed: nulled/.test(done.stderr), strangeActor, 'told');
      const expected = await exported(sourceAt(dataset, source), join(place, 'source'), 'acme');
      const found = compareExports(expected, await exported(sourceAt(dataset, target), join(place, 'split'), 'acme'));
      t.strictSame(found.filter((each) => !(strangeActor && /^realm\.json zerver_realmauditlog\.acting_user: row \d+: expected \d+, got\s+null$/.test(each))), []);
      for (const same of ["SELECT id, date_joined::text, last_login::text FROM zulip.zerver_userprofile WHERE delivery_email LIKE '%@acme.example' ORDER BY id", 'SELECT app, name FROM zulip.django_migrations ORDER BY id', 'SELECT conrelid::regclass::text AS t, conname AS n, convalidated AS v FROM pg_constraint ORDER BY 1, 2']) {
        t.strictSame(await query(target, same), await query(source, same), same);
      }
    }));
  });
}
