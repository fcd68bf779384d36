/**
 * A load against the physical limit in the same run: COPY FROM of exactly the messages and usermessages that it brings, in two sessions, into the
 * same tables with the same indexes and foreign keys.
 *
 * And `load --update` after a hundredth of the messages was written, half as many edited, and flags were set in the whole history, against
 * a fresh load of that export.
 *
 *   SCALE=1|10   messages: 100,000 or a million, with ten times as many usermessages
 *   RUNS=1       alternating runs of each measurement
 *   DATABASE_URL use this server instead of an embedded one
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { withClient } from '../test/testbed/database-client.js';
import { loadDump } from '../src/demo/dump-loader.js';
import { unpackArchive } from '../test/testbed/tar-archive.js';
import { AVATAR_SALT, NEW_SALT, testData } from '../test/testbed/test-data.js';
import { withBenchDatabase, type BenchDatabase } from './bench-database.js';
import { meanwhile } from './meanwhile.js';
import { measure, type Measured } from './measured-process.js';

const CLI = join(import.meta.dirname, '..', 'bundle', 'realmlift.cjs');
const REALM = 'acme';
/** A copy of the database, in which the realm goes on. */
const SOURCE = 'bench_load_source';
/** Is on the server in use before. */
const OTHER = 'tiny';

const scale = Number(process.env.SCALE ?? 1);
const runs = Number(process.env.RUNS ?? 1);

class LoadBench {
  readonly #database: BenchDatabase;

  constructor(database: BenchDatabase) {
    this.#database = database;
  }

  #path(name: string): string {
    return join(this.#database.directory, name);
  }

  #url(database: string): string {
    const url = new URL(this.#database.url);
    url.pathname = `/${database}`;
    return url.href;
  }

  /** The export, a new server, and one that has a realm already. */
  async prepare(): Promise<void> {
    const uploads = this.#path('uploads');
    if (!existsSync(uploads)) await unpackArchive(testData('zulip-11/local', 'uploads.tar.gz'), uploads);
    await this.#create(SOURCE, new URL(this.#database.url).pathname.slice(1));
    await this.#export('load-export', '--realm', REALM, '--realm', OTHER);
    await this.#create('bench_load_new', 'template0');
    await loadDump(this.#url('bench_load_new'), testData('zulip-11/new-server', 'database.sql.gz'));
    await this.#create('bench_load_other', 'bench_load_new');
    await this.#run('bench_load_other', OTHER);
  }

  async load(database: string, template: string): Promise<Measured> {
    await this.#create(database, template);
    return this.#run(database, REALM);
  }

  /** The rows that a load brought to `loaded`, into a database that has all its other rows. */
  async raw(loaded: string): Promise<number> {
    const halves = await withClient(this.#url(loaded), async (client) => {
      const { rows: [realm] } = await client.query<{ middle: number }>('SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY id) AS middle FROM zulip.zerver_message');
      return [`<= ${realm?.middle ?? 0}`, `> ${realm?.middle ?? 0}`];
    });
    const file = (table: string, half: number): string => this.#path(`raw-${table}-${half}`);
    for (const [half, condition] of halves.entries()) {
      await this.#psql(loaded, [`\\copy (SELECT * FROM zulip.zerver_message WHERE id ${condition} ORDER BY id) TO '${file('message', half)}'`, `\\copy (SELECT * FROM zulip.zerver_usermessage WHERE message_id ${condition} ORDER BY id) TO '${file('usermessage', half)}'`]);
    }
    await this.#create('bench_load_raw', loaded);
    await withClient(this.#url('bench_load_raw'), async (client) => { await client.query('TRUNCATE zulip.zerver_message, zulip.zerver_usermessage CASCADE'); await client.query('CHECKPOINT'); });
    const started = performance.now();
    await Promise.all(halves.map((_, half) => this.#psql('bench_load_raw', ['SET search_path = zulip', 'BEGIN', `\\copy zerver_message FROM '${file('message', half)}'`, `\\copy zerver_usermessage FROM '${file('usermessage', half)}'`, 'COMMIT'])));
    return (performance.now() - started) / 1000;
  }

  /** The realm goes on, and is exported again. */
  async change(): Promise<void> {
    await withClient(this.#url(SOURCE), async (client) => { await client.query(meanwhile(scale)); });
    await this.#export('load-later', '--realm', REALM);
  }

  /** Brings the realm that the last load brought to `database` to the later export. */
  async update(database: string): Promise<Measured> {
    return this.#command(database, REALM, '--update', join(this.#path('load-later'), REALM));
  }

  async fresh(): Promise<Measured> {
    await this.#create('bench_load_fresh', 'bench_load_other');
    await this.#emptyUploads('bench_load_fresh');
    return this.#command('bench_load_fresh', REALM, join(this.#path('load-later'), REALM));
  }

  async #export(name: string, ...realms: string[]): Promise<void> {
    await rm(this.#path(name), { recursive: true, force: true });
    await measure([process.execPath, CLI, 'export', ...realms, '--output', this.#path(name), '--jobs', '2', '--uploads-dir', this.#path('uploads'), '--no-verify'],
      { DATABASE_URL: this.#url(SOURCE), ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] });
  }

  async #create(name: string, template: string): Promise<void> {
    await withClient(this.#url('postgres'), async (client) => {
      await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      await client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
      await client.query('CHECKPOINT');
    });
  }

  async #run(database: string, realm: string): Promise<Measured> {
    await this.#emptyUploads(database);
    return this.#command(database, realm, join(this.#path('load-export'), realm));
  }

  async #emptyUploads(database: string): Promise<void> {
    await rm(this.#path(`uploads-${database}`), { recursive: true, force: true });
    await mkdir(this.#path(`uploads-${database}`));
  }

  async #command(database: string, realm: string, ...words: string[]): Promise<Measured> {
    return measure([process.execPath, CLI, 'load', ...words, '--target-url', this.#url(database), '--subdomain', realm, '--jobs', '2', '--uploads-dir', this.#path(`uploads-${database}`)], { ZULIP_AVATAR_SALT: NEW_SALT });
  }

  async #psql(database: string, commands: readonly string[]): Promise<void> {
    const child = spawn('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', this.#url(database), ...commands.flatMap((command) => ['-c', command])], { stdio: ['ignore', 'ignore', 'inherit'] });
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code !== 0) throw new Error(`psql ended with ${code}`);
  }
}

await withBenchDatabase(scale, ['interleaved'], async (database) => {
  const bench = new LoadBench(database);
  await bench.prepare();
  const times: Record<'raw' | 'use' | 'empty', number[]> = { raw: [], use: [], empty: [] };
  let peak = 0;
  for (let run = 1; run <= runs; run++) {
    const use = await bench.load('bench_load_use', 'bench_load_other');
    const raw = await bench.raw('bench_load_use');
    const empty = await bench.load('bench_load_empty', 'bench_load_new');
    times.raw.push(raw);
    times.use.push(use.seconds);
    times.empty.push(empty.seconds);
    peak = Math.max(peak, use.peak, empty.peak);
    console.log(`run ${run}: raw COPY FROM ${raw.toFixed(1)} s, into a server in use ${use.seconds.toFixed(1)} s (${(use.seconds / raw).toFixed(2)} x), into an empty one ${empty.seconds.toFixed(1)} s (${(empty.seconds / raw).toFixed(2)} x)`);
  }
  await bench.change();
  const updated = await bench.update('bench_load_use');
  const fresh = await bench.fresh();
  console.log(`a hundredth written, flags in the whole history: load --update ${updated.seconds.toFixed(1)} s (processor ${updated.processorSeconds.toFixed(1)} s, peak ${updated.peak.toFixed(0)} MiB), a fresh load ${fresh.seconds.toFixed(1)} s (processor ${fresh.processorSeconds.toFixed(1)} s): ${(updated.seconds / fresh.seconds).toFixed(2)} x`);
  const median = (values: number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
  console.log(`\nSCALE=${scale} on ${database.server}, ${cpus().length} cores, Node ${process.version}; medians of ${runs}`);
  console.log(`raw COPY FROM, two sessions   ${median(times.raw).toFixed(1)} s`);
  for (const which of ['use', 'empty'] as const) console.log(`load, ${which === 'use' ? 'server in use' : 'empty server '}           ${median(times[which]).toFixed(1)} s  ${median(times[which].map((each, run) => each / (times.raw[run] as number))).toFixed(2)} x`);
  console.log(`peak of the load              ${peak.toFixed(0)} MiB`);
});
