/**
 * What the program exists for, against the physical limit in the same run.
 *
 *   SCALE=1|10   messages per realm: 100,000 or a million, with ten times as many usermessages
 *   RUNS=3       alternating runs of each measurement
 *   SHAPE=…      one of the two databases of bench-database.ts alone: interleaved, single
 *   DATABASE_URL use this server (databases realmlift_bench_SHAPE_MESSAGES are made there) instead of an embedded one
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { withClient } from '../test/testbed/database-client.js';
import { unpackArchive } from '../test/testbed/tar-archive.js';
import { AVATAR_SALT, testData } from '../test/testbed/test-data.js';
import { ASKED_SHAPES, benchDirectory, SHAPES, withBenchDatabase, type BenchDatabase, type Shape } from './bench-database.js';
import { explain } from './explain.js';
import { measure, type Measured } from './measured-process.js';
import { median } from './median.js';
import { countRows, rawCopy, type RowCounts } from './raw-copy.js';
import { endedSessionsSeconds } from './server-processor.js';

const CLI = join(import.meta.dirname, '..', 'bundle', 'realmlift.cjs');
const LARGE = 'acme';
const SMALL = 'tiny';

const scale = Number(process.env.SCALE ?? 1);
const runs = Number(process.env.RUNS ?? 3);

await withBenchDatabase(scale, ASKED_SHAPES, async (database, shape) => {
  const uploads = join(database.directory, 'uploads');
  if (!existsSync(uploads)) await unpackArchive(testData('zulip-11/local', 'uploads.tar.gz'), uploads);
  const raw = rawCopy(database.url, await realmId(database.url));
  const expected = await countRows(database.url, raw);
  console.log(`\n${shape}: ${SHAPES[shape].title}`);
  console.log(`SCALE=${scale} on ${database.server}, ${cpus().length} cores, Node ${process.version}: ${expected.zerver_message} messages, ${expected.zerver_usermessage} usermessages`);
  console.log(`raw COPY by ${raw.client}, two sessions at once; each run of the export is a whole process with --jobs 2`);
  console.log(`planner: ${await plannerSettings(database.url)}\n`);

  const copied: Run[] = [];
  const plain: Run[] = [];
  const verified: Run[] = [];
  const small: Run[] = [];
  const timed = (realm: string, verify: boolean, rows?: RowCounts): Promise<Run> => onServer(database, () => exportRealm(database, uploads, realm, verify, rows));
  await raw.run();
  for (let run = 1; run <= runs; run++) {
    copied.push(await onServer(database, async () => ({ seconds: await raw.run() })));
    plain.push(await timed(LARGE, false, expected));
    verified.push(await timed(LARGE, true, expected));
    small.push(await timed(SMALL, false));
    console.log(`run ${run}: raw COPY ${seconds(copied.at(-1)?.seconds)}, export ${seconds(plain.at(-1)?.seconds)}, with verify ${seconds(verified.at(-1)?.seconds)}, small realm ${seconds(small.at(-1)?.seconds)}`);
  }

  console.log(`\nmedians of ${runs}               seconds   to raw     peak  processes  processor: client   server`);
  printLine('raw COPY, two sessions', copied, copied);
  const plainSeconds = printLine('export --no-verify', plain, copied);
  const verifiedSeconds = printLine('export, with verify', verified, copied);
  printLine('export of a small realm', small, copied);
  console.log(`verify adds ${((verifiedSeconds / plainSeconds - 1) * 100).toFixed(0)}%`);
  for (const realm of [LARGE, SMALL]) console.log((await explain(database.url, realm)).join('\n'));
  await compareWithScale1(shape, { seconds: plainSeconds, peak: highest(plain.map((each) => each.peak ?? NaN)) });
});

/** One run; of the raw COPY only the time and the server's part are known. */
interface Run extends Partial<Measured> {
  readonly seconds: number;
  /** Processor seconds of the server's sessions. */
  readonly server: number;
}

async function onServer(database: BenchDatabase, work: () => Promise<Omit<Run, 'server'>>): Promise<Run> {
  const before = await endedSessionsSeconds(database.url);
  const measured = await work();
  // A session is counted when it has ended, a moment after its client.
  await sleep(200);
  return { ...measured, server: (await endedSessionsSeconds(database.url)) - before };
}

/**
 * Peak: of all processes together; processor: seconds of the main process and of the server's sessions. The ratio is the median
 * of those of each run: on a machine whose other load comes and goes, neighbours in time compare best. Returns the median of the seconds.
 */
function printLine(name: string, measured: readonly Run[], copied: readonly Run[]): number {
  const time = median(measured.map((each) => each.seconds));
  const known = (value: number, text: string): string => (Number.isFinite(value) ? text : '');
  const peak = highest(measured.map((each) => each.peak ?? NaN));
  const processes = highest(measured.map((each) => each.processes ?? NaN));
  const client = median(measured.map((each) => each.processorSeconds ?? NaN));
  const columns = [
    seconds(time).padStart(10), `${median(measured.map((each, run) => each.seconds / (copied[run] as Run).seconds)).toFixed(2)} x`.padStart(9), known(peak, `${peak.toFixed(0)} MiB`).padStart(9),
    known(processes, String(processes)).padStart(11), known(client, seconds(client)).padStart(19), seconds(median(measured.map((each) => each.server))).padStart(9),
  ];
  console.log(name.padEnd(24) + columns.join(''));
  return time;
}

async function plannerSettings(url: string): Promise<string> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ name: string; setting: string }>(
      "SELECT name, current_setting(name) AS setting FROM unnest(ARRAY['random_page_cost', 'work_mem', 'effective_cache_size', 'shared_buffers']) AS name");
    return rows.map(({ name, setting }) => `${name} ${setting}`).join(', ');
  });
}

interface Result {
  readonly seconds: number;
  readonly peak: number;
}

/** How time and memory grow with the realm, once SCALE=1 has been measured too. */
async function compareWithScale1(shape: Shape, result: Result): Promise<void> {
  const file = (of: number): string => join(benchDirectory(of), `result-${shape}.json`);
  await mkdir(benchDirectory(scale), { recursive: true });
  await writeFile(file(scale), JSON.stringify(result));
  if (scale === 1 || !existsSync(file(1))) return;
  const one = JSON.parse(await readFile(file(1), 'utf8')) as Result;
  console.log(`against SCALE=1: ${(result.seconds / one.seconds).toFixed(2)} x the time, ${(result.peak / one.peak).toFixed(2)} x the memory`);
}

/** @param expected rows that must be in the export's messages files */
async function exportRealm(database: BenchDatabase, uploads: string, realm: string, verify: boolean, expected?: RowCounts): Promise<Measured> {
  const output = join(database.directory, 'export');
  await rm(output, { recursive: true, force: true });
  const measured = await measure(
    [process.execPath, CLI, 'export', '--realm', realm, '--output', output, '--jobs', '2', '--uploads-dir', uploads, ...(verify ? [] : ['--no-verify'])],
    { DATABASE_URL: database.url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] },
  );
  if (expected !== undefined) await checkRows(join(output, realm), expected);
  await rm(output, { recursive: true, force: true });
  return measured;
}

/** The comparison holds only if the rows are the same. */
async function checkRows(directory: string, expected: RowCounts): Promise<void> {
  const stats = JSON.parse(await readFile(join(directory, 'stats.json'), 'utf8')) as Record<string, Record<string, number>>;
  for (const table of ['zerver_message', 'zerver_usermessage'] as const) {
    const exported = Object.entries(stats).reduce((sum, [file, tables]) => (file.startsWith('messages-') ? sum + (tables[table] ?? 0) : sum), 0);
    if (exported !== expected[table]) throw new Error(`${table}: ${exported} rows exported, ${expected[table]} copied`);
  }
}

async function realmId(url: string): Promise<number> {
  return withClient(url, async (client) => (await client.query<{ id: number }>('SELECT id FROM zulip.zerver_realm WHERE string_id = $1', [LARGE])).rows[0]?.id ?? NaN);
}

function highest(values: readonly number[]): number {
  return Math.max(...values);
}

function seconds(value: number | undefined): string {
  return `${(value ?? NaN).toFixed(2)} s`;
}
