/**
 * A split against the export of the same realm in the same run, both with two sessions. Indexes and constraints, which an export does not
 * make, are measured apart.
 *
 *   SCALE=1|10   messages: 100,000 or a million, with ten times as many usermessages
 *   RUNS=1       alternating runs of each measurement
 *   DATABASE_URL use this server instead of an embedded one
 */
import { mkdir, rm } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { withClient } from '../test/testbed/database-client.js';
import { AVATAR_SALT } from '../test/testbed/test-data.js';
import { withBenchDatabase, type BenchDatabase } from './bench-database.js';
import { measure, type Measured } from './measured-process.js';

const CLI = join(import.meta.dirname, '..', 'bundle', 'realmlift.cjs');
const REALM = 'acme';
const TARGET = 'bench_split';
const INDEXES = 'indexes and constraints';

const scale = Number(process.env.SCALE ?? 1);
const runs = Number(process.env.RUNS ?? 1);

function sibling(url: string, database: string): string {
  const out = new URL(url);
  out.pathname = `/${database}`;
  return out.href;
}

async function exported({ url, directory }: BenchDatabase, uploads: string): Promise<Measured> {
  const output = join(directory, 'split-export');
  await rm(output, { recursive: true, force: true });
  const measured = await measure([process.execPath, CLI, 'export', '--realm', REALM, '--output', output, '--jobs', '2', '--uploads-dir', uploads, '--no-avatars', '--no-verify'], { DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] });
  await rm(output, { recursive: true, force: true });
  return measured;
}

async function split({ url }: BenchDatabase): Promise<Measured & { readonly steps: ReadonlyMap<string, number> }> {
  await withClient(sibling(url, 'postgres'), async (client) => {
    await client.query(`DROP DATABASE IF EXISTS ${TARGET} WITH (FORCE)`);
    await client.query(`CREATE DATABASE ${TARGET} TEMPLATE template0 ENCODING 'UTF8'`);
    await client.query('CHECKPOINT');
  });
  const measured = await measure([process.execPath, CLI, 'split', '--realm', REALM, '--target-url', sibling(url, TARGET), '--jobs', '2', '--json'], { DATABASE_URL: url });
  return { ...measured, steps: stepsOf(measured.told, Date.now()) };
}

/** Seconds of each step, as --json tells when each begins. @param ended when the process did */
function stepsOf(told: string, ended: number): Map<string, number> {
  const begins: [string, number][] = [];
  for (const line of told.split('\n').filter((each) => each.startsWith('{'))) {
    const { step, time } = JSON.parse(line) as { step: string; time: string };
    if (begins.at(-1)?.[0] !== step) begins.push([step, Date.parse(time)]);
  }
  return new Map(begins.map(([step, began], n) => [step, ((begins[n + 1]?.[1] ?? ended) - began) / 1000]));
}

await withBenchDatabase(scale, ['interleaved'], async (database) => {
  const uploads = join(database.directory, 'no-uploads');
  await mkdir(join(uploads, 'files'), { recursive: true });
  const ratios: number[] = [];
  console.log(`SCALE=${scale} on ${database.server}, ${cpus().length} cores, Node ${process.version}`);
  for (let run = 1; run <= runs; run++) {
    const one = await exported(database, uploads);
    const two = await split(database);
    const indexes = two.steps.get(INDEXES) ?? NaN;
    const steps = [...two.steps].map(([step, seconds]) => `${step} ${seconds.toFixed(2)}`).join(', ');
    console.log(`run ${run}: export ${one.seconds.toFixed(2)} s (peak ${one.peak.toFixed(0)} MiB), split ${two.seconds.toFixed(2)} s (peak ${two.peak.toFixed(0)} MiB, processor ${two.processorSeconds.toFixed(1)} s): ${steps}`);
    ratios.push((two.seconds - indexes) / one.seconds);
  }
  console.log(`without indexes and constraints: ${ratios.map((each) => each.toFixed(2)).join(', ')} x the export`);
});
