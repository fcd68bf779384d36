/**
 * The second run against a fresh export of the same moment: the export of the day before is its base, and meanwhile one message in a
 * hundred was written or edited at the young end, each with its usermessages, and flags were set here and there in the whole history.
 *
 *   SCALE=1|10   messages: 100,000 or a million, with ten times as many usermessages
 *   SHAPE=…      one of the two databases of bench-database.ts alone: interleaved, single
 *   RUNS=3       alternating runs of each measurement
 *   DATABASE_URL use this server instead of an embedded one
 */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { withClient } from '../test/testbed/database-client.js';
import { unpackArchive } from '../test/testbed/tar-archive.js';
import { AVATAR_SALT, testData } from '../test/testbed/test-data.js';
import { ASKED_SHAPES, SHAPES, withBenchDatabase, type BenchDatabase } from './bench-database.js';
import { meanwhile } from './meanwhile.js';
import { measure, type Measured } from './measured-process.js';
import { median } from './median.js';
import { endedSessionsSeconds } from './server-processor.js';

const CLI = join(import.meta.dirname, '..', 'bundle', 'realmlift.cjs');
const COPY = 'realmlift_bench_catch_up';

const scale = Number(process.env.SCALE ?? 1);
const runs = Number(process.env.RUNS ?? 3);

class CatchUpBench {
  readonly #url: string;
  readonly #directory: string;

  constructor({ url, directory }: BenchDatabase) {
    this.#url = Object.assign(new URL(url), { pathname: `/${COPY}` }).href;
    this.#directory = join(directory, 'catch-up');
  }

  async prepare(database: BenchDatabase): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
    await mkdir(this.#directory, { recursive: true });
    await unpackArchive(testData('zulip-11/local', 'uploads.tar.gz'), join(this.#directory, 'uploads'));
    await withClient(Object.assign(new URL(database.url), { pathname: '/postgres' }).href, async (client) => {
      await client.query(`DROP DATABASE IF EXISTS ${COPY}`);
      await client.query(`CREATE DATABASE ${COPY} TEMPLATE ${new URL(database.url).pathname.slice(1)}`);
    });
    // As on every server that Zulip's migrations made: of a foreign key that is NOT VALID each row is asked whether it points to something.
    await withClient(this.#url, async (client) => {
      const { rows } = await client.query<{ statement: string }>("SELECT format('ALTER TABLE %s VALIDATE CONSTRAINT %I', conrelid::regclass, conname) AS statement FROM pg_constraint WHERE NOT convalidated");
      for (const { statement } of rows) await client.query(statement);
    });
    await this.export('base');
  }

  /** On every server in use somebody writes all the time. */
  async writeElsewhere(): Promise<void> {
    await withClient(this.#url, async (client) => { await client.query('SELECT txid_current()'); });
  }

  async change(): Promise<void> {
    await withClient(this.#url, async (client) => { await client.query(meanwhile(scale)); });
  }

  async close(database: BenchDatabase): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
    await withClient(Object.assign(new URL(database.url), { pathname: '/postgres' }).href, async (client) => { await client.query(`DROP DATABASE IF EXISTS ${COPY}`); });
  }

  /** Processor: seconds of the process and of the server's sessions, which say more than its time where the machine has other work. */
  async export(name: string, ...words: string[]): Promise<Pick<Measured, 'seconds' | 'peak'> & { readonly processor: number }> {
    const output = join(this.#directory, name);
    await rm(output, { recursive: true, force: true });
    const before = await endedSessionsSeconds(this.#url);
    const measured = await measure([process.execPath, CLI, 'export', '--realm', 'acme', '--output', output, '--jobs', '2', '--uploads-dir', join(this.#directory, 'uploads'), '--random-seed', 'bench', ...words],
      { DATABASE_URL: this.#url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] });
    // A session is counted when it has ended, a moment after its client.
    await sleep(200);
    return { ...measured, processor: measured.processorSeconds + (await endedSessionsSeconds(this.#url)) - before };
  }

  /** Both hold the same files, but for the report, which names the base. */
  async sameFiles(one: string, other: string): Promise<boolean> {
    const files = async (name: string): Promise<string> => (await readFile(join(this.#directory, name, 'acme', 'manifest.json'), 'utf8')).split('\n').filter((line) => line.startsWith('    {"path"') && !line.includes('report.json')).join('\n');
    return (await files(one)) === (await files(other));
  }

  async takenOver(name: string): Promise<string> {
    return JSON.stringify((JSON.parse(await readFile(join(this.#directory, name, 'acme', 'report.json'), 'utf8')) as { base: { taken_over: unknown } }).base.taken_over);
  }

  async compare(title: string): Promise<void> {
    const base = join(this.#directory, 'base', 'acme');
    for (const [how, words] of [['--no-verify', ['--no-verify']], ['with verify', []]] as const) {
      const pairs: { fresh: Awaited<ReturnType<CatchUpBench['export']>>; caught: Awaited<ReturnType<CatchUpBench['export']>> }[] = [];
      let peak = 0;
      for (let run = 1; run <= runs; run++) {
        const fresh = await this.export('fresh', ...words);
        const caught = await this.export('caught', '--base', base, ...words);
        pairs.push({ fresh, caught });
        peak = Math.max(peak, caught.peak);
      }
      if (!(await this.sameFiles('fresh', 'caught'))) throw new Error('the two exports differ');
      for (const [what, of] of [['time', 'seconds'], ['processor', 'processor']] as const) {
        const ratio = median(pairs.map(({ fresh, caught }) => caught[of] / fresh[of]));
        console.log(`${title}, ${how}, ${what}: ${ratio.toFixed(2)} x a fresh export (${median(pairs.map(({ fresh }) => fresh[of])).toFixed(2)} s, with --base ${median(pairs.map(({ caught }) => caught[of])).toFixed(2)} s)`);
      }
      console.log(`  peak ${peak.toFixed(0)} MiB, taken over ${await this.takenOver('caught')}`);
    }
  }
}

await withBenchDatabase(scale, ASKED_SHAPES, async (database, shape) => {
  const bench = new CatchUpBench(database);
  await bench.prepare(database);
  try {
    console.log(`\n${shape}: ${SHAPES[shape].title}\nSCALE=${scale} on ${database.server}, ${cpus().length} cores, Node ${process.version}; medians of ${runs}`);
    await bench.compare('nothing was written on the server');
    await bench.writeElsewhere();
    await bench.compare('nothing changed in the realm');
    await bench.change();
    await bench.compare('a hundredth written and edited, flags set in the whole history');
  } finally {
    await bench.close(database);
  }
});
