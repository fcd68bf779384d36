/**
 * Random small servers, exported in every mode, against an oracle written from Zulip's rules: no row of another realm, no private
 * row of somebody who did not agree, and every row that should be there.
 *
 *   ISOLATION_SERVERS=5000   how many servers of each release (default 60, of make test-kill 1000)
 *   ISOLATION_SEED=12345     repeats a run; a failure prints its seed
 */
import fc from 'fast-check';
import t from 'tap';
import { LONG } from '../testbed/long-tests.js';
import { faults } from './faults.js';
import { withIsolationDatabase } from './isolation-database.js';
import { servers } from './server-arbitrary.js';

const SERVERS = Number(process.env.ISOLATION_SERVERS ?? (LONG ? 1000 : 60));
const SEED = process.env.ISOLATION_SEED === undefined ? {} : { seed: Number(process.env.ISOLATION_SEED) };

for (const release of [4, 11, 12] as const) {
  t.test(`${SERVERS} random servers of Zulip ${release}`, async (t) => {
    await withIsolationDatabase(release, async (database) => {
      let runs = 0;
      await fc.assert(fc.asyncProperty(servers, async (spec) => {
        runs++;
        const found = await faults(database, spec);
        if (found.length > 0) throw new Error(found.slice(0, 12).join('\n'));
      }), { numRuns: SERVERS, ...SEED });
      t.ok(runs >= SERVERS);
    });
  });
}
