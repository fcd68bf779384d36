/**
 * What the program exists for, against the physical limit in the same run.
 *
 *   SCALE=1|10   messages per realm: 100,000 or a million, with ten times as many usermessages
 *   RUNS=3       alternating runs of each measurement
 *   DATABASE_URL use this server (a database realmlift_bench_MESSAGES is made there) instead of an embedded one
 */
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { unpackArchive } from '../test/testbed/tar-archive.js';
import { AVATAR_SALT, testData } from '../test/testbed/test-data.js';
import { withBenchDatabase, withClient, type BenchDatabase } from './bench-database.js';
import { measure, type Measured } from './measured-process.js';
import { countRows, rawCopy, type RowCounts } from './raw-copy.js';

const CLI = join(import.meta.dirname, '..', 'src', 'cli.js');
const LARGE = 'acme';
const SMALL = 'tiny';

const scale = Number(process.env.SCALE ?? 1);
const runs = Number(process.env.RUNS ?? 3);

await withBenchDatabase(scale, async (database) => {
  const uploads = join(database.directory, 'uploads');
  if (!existsSync(uploads)) await unpackArchive(testData('zulip-11/local', 'uploads.tar.gz'), uploads);
  const raw = rawCopy(database.url, await realmId(database.url));
  const expected = await countRows(database.url, raw);
  console.log(`SCALE=${scale} on ${database.server}, ${cpus().length} cores, Node ${process.version}: ${expected.zerver_message} messages, ${expected.zerver_usermessage} usermessages`);
  console.log(`raw COPY by ${raw.client}, two sessions at once; each run of the export is a whole process with --jobs 2\n`);

  const rawSeconds: number[] = [];
  const plain: Measured[] = [];
  const verified: Measured[] = [];
  const small: Measured[] = [];
  await raw.run();
  for (let run = 1; run <= runs; run++) {
    rawSeconds.push(await raw.run());
    plain.push(await exportRealm(database, uploads, LARGE, false, expected));
    verified.push(await exportRealm(database, uploads, LARGE, true, expected));
    small.push(await exportRealm(database, uploads, SMALL, false));
    console.log(`run ${run}: raw COPY ${seconds(rawSeconds.at(-1))}, export ${seconds(plain.at(-1)?.seconds)}, with verify ${seconds(verified.at(-1)?.seconds)}, small realm ${seconds(small.at(-1)?.seconds)}`);
  }

  const limit = median(rawSeconds);
  const line = (name: string, measured: readonly Measured[]): void => {
    const time = median(measured.map((each) => each.seconds));
    const peak = Math.max(...measured.map((each) => each.peak));
    console.log(`${name.padEnd(28)}${seconds(time).padStart(9)}${(time / limit).toFixed(2).padStart(8)} x${peak.toFixed(0).padStart(8)} MiB${String(Math.max(...measured.map((each) => each.processes))).padStart(6)}${seconds(median(measured.map((each) => each.processorSeconds))).padStart(11)}`);
  };
  console.log(`\nmedians of ${runs}               seconds  to raw   peak, all processes   processor`);
  console.log(`${'raw COPY, two sessions'.padEnd(28)}${seconds(limit).padStart(9)}`);
  line('export --no-verify', plain);
  line('export, verify included', verified);
  line('export of a small realm', small);
  const verifyShare = median(verified.map((each) => each.seconds)) / median(plain.map((each) => each.seconds)) - 1;
  console.log(`verify adds ${(verifyShare * 100).toFixed(0)}%`);
});

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

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

function seconds(value: number | undefined): string {
  return `${(value ?? NaN).toFixed(2)} s`;
}
