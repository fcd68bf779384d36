/** A realm that was loaded and is updated is the same as one that is loaded afresh, whatever happened between: histories at random. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CONSENT, HAPPENINGS, HISTORY_FUNCTIONS, one, randomFrom } from '../export/realm-history.js';
import { GROW, query } from '../export/grown-database.js';
import type { Mode } from '../../src/plan/views/condition.js';
import { sampleExport } from '../pipe/sample-export.js';
import { LONG } from '../testbed/long-tests.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { emptyUploads, filesBelow, load, update } from './new-server.js';
import { differingLoads } from './same-realm.js';

/** UPDATE_HISTORIES of them, for more than the usual. */
const HISTORIES = Number(process.env.UPDATE_HISTORIES ?? (LONG ? 10 : 2));
/** How much happens at most in one: where there is one alone behind the first, in which nothing does, as much as in two. */
const MOST = LONG ? 3 : 6;
const SEED = Number(process.env.SEED ?? (LONG ? Math.floor(Math.random() * 2 ** 31) : 77));
/** Where consent decides, rows come and go among those that were there. */
const MODES = (process.env.UPDATE_MODES ?? (LONG ? 'full,consent,public' : 'full,consent')).split(',') as Mode[];

const output = t.testdir();

for (const mode of MODES) t.test(`${HISTORIES} histories of exports in mode ${mode}`, async (t) => withTestDatabase('zulip-11/local', async (source) => withTestDatabase('zulip-11/new-server', async (url) => {
  await query(source, GROW);
  await query(source, HISTORY_FUNCTIONS);
  const random = randomFrom(SEED);
  const happenings = Object.entries(HAPPENINGS);
  const exported = async (name: string): Promise<string> => (await sampleExport(source, { realm: 'acme', mode, output: join(output, mode, name) }))[0] as string;
  const uploads = emptyUploads();
  let base = await exported('0');
  await load(base, url, uploads);
  for (let history = 1; history <= HISTORIES; history++) {
    const told: string[] = [];
    const drawn = Array.from({ length: history === 1 ? 0 : MOST - random(3) }, () => one(happenings, random));
    for (const [name, statements] of [...drawn, ...(mode === 'consent' && history > 1 ? Object.entries(CONSENT) : [])]) {
      told.push(name);
      for (const statement of statements(random)) await query(source, statement);
    }
    const next = await exported(String(history));
    const result = await update(next, url, uploads);
    t.equal(result.differed, told.length > 0 && result.differed, 'nothing happened, and nothing is done');
    if (told.length === 0) continue;
    const differences = await withTestDatabase('zulip-11/new-server', async (fresh) => {
      const freshUploads = emptyUploads();
      await load(next, fresh, freshUploads);
      t.same(filesBelow(uploads), filesBelow(freshUploads));
      return differingLoads(fresh, url);
    });
    t.comment(`${history}: ${told.join(', ')}: ${JSON.stringify(result)}`);
    if (differences.length > 0) return t.fail(`history ${history} of seed ${SEED}: ${told.join(', ')}: ${differences.slice(0, 12).join('\n')}`);
    rmSync(base, { recursive: true });
    base = next;
  }
  return t.pass();
})));
