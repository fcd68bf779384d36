/**
 * An export that catches up with its base, against a fresh one of the same moment: the same bytes, whatever has happened to the realm.
 *
 *   CATCH_UP_HISTORIES=1000   how many histories of each server and mode (see below; of make test-kill 60)
 *   CATCH_UP_SEED=12345       repeats a run; a failure names its seed and what happened
 */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openLocalStore } from '../../src/files/local-store.js';
import type { Mode } from '../../src/plan/views/condition.js';
import { LONG } from '../testbed/long-tests.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { leaveSharedServer, withTestDatabase } from '../testbed/test-database.js';
import { baseOf } from './base-runs.js';
import { GROW, query } from './grown-database.js';
import { CONSENT, HAPPENINGS, HISTORY_FUNCTIONS, one, randomFrom } from './realm-history.js';
import { differingChecks, differingPaths } from './same-tree.js';
import { exportRealm, type TestSource } from './test-source.js';

leaveSharedServer();

const SEED = Number(process.env.CATCH_UP_SEED ?? Math.floor(Math.random() * 1e9));

type LocalDataset = Exclude<TestSource['dataset'], 'zulip-11/s3'>;

/** Runs `work` with a grown database and uploads of its own. */
async function withGrown<T>(t: Test, dataset: LocalDataset, work: (source: TestSource, uploadsDir: string) => Promise<T>): Promise<T> {
  const uploadsDir = join(t.testdir({}), 'uploads');
  cpSync(await uploadsDirectory(dataset), uploadsDir, { recursive: true, preserveTimestamps: true });
  return withTestDatabase(dataset, async (url) => {
    await query(url, GROW);
    await query(url, HISTORY_FUNCTIONS);
    return work({ dataset, url, openStore: () => openLocalStore({ uploadsDir }) }, uploadsDir);
  });
}

/** Histories of each server and mode; modes share the server, which goes on from one to the next. */
const HISTORIES: readonly [LocalDataset, Readonly<Partial<Record<Mode, number>>>][] = [
  ['zulip-11/local', { full: 5, consent: 4 }], ['zulip-12/local', { full: 3 }], ['zulip-4/local', { full: 3, public: 3 }],
];

for (const [dataset, modes] of HISTORIES) {
  t.test(`histories of ${dataset}`, async (t) => {
    await withGrown(t, dataset, async (source, uploadsDir) => {
      for (const [mode, usual] of Object.entries(modes) as [Mode, number][]) {
        const histories = Number(process.env.CATCH_UP_HISTORIES ?? (LONG ? 60 : usual));
        await t.test(`${histories} of ${mode}`, async (t) => compare(t, source, join(uploadsDir, '..', mode), mode, histories));
      }
    });
  });
}

async function compare(t: Test, source: TestSource, root: string, mode: Mode, histories: number): Promise<void> {
  const random = randomFrom(SEED);
  const happenings = Object.entries({ ...HAPPENINGS, ...(mode === 'consent' ? CONSENT : {}) });
  const choices = { mode, randomSeed: 'test', verify: true, force: true, jobs: 1 };
  let base = await exportRealm(source, join(root, '0'), 'acme', choices);
  let [kept, mended] = [0, 0];
  let compared = 0;
  for (let history = 1; history <= histories; history++) {
    const told: string[] = [];
    // At first nothing.
    for (let count = history === 1 ? 0 : 1 + random(3); count > 0; count--) {
      const [name, statements] = one(happenings, random);
      told.push(name);
      for (const statement of statements(random)) await query(source.url, statement);
    }
    const [fresh, caught] = await Promise.all([
      exportRealm(source, join(root, 'fresh'), 'acme', choices),
      exportRealm(source, join(root, String(history)), 'acme', { ...choices, base: { directory: base, shownAs: base, hasFiles: true } }),
    ]);
    const differing = [...differingPaths(fresh, caught), ...differingChecks(fresh, caught)];
    if (differing.length > 0) {
      t.fail(`history ${history} of seed ${SEED}: ${told.join(', ')}: ${differing.join()}`);
      return;
    }
    kept += baseOf(caught).taken_over.messages_files;
    mended += baseOf(caught).taken_over.messages_files_but_for_a_few_rows;
    if (baseOf(caught).rows.startsWith('compared')) compared += 1;
    for (const old of [fresh, base]) rmSync(old, { recursive: true });
    base = caught;
  }
  t.comment(`${kept} messages files were taken over, ${mended} but for a few rows; ${compared} times rows were compared`);
  t.ok(kept > 0, 'files were taken over');
}
