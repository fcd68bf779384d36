/**
 * Backup and restore against PostgreSQL's own tools, in the same run, at equal compression.
 *
 *   SCALE=1   size of the bench's database: 1 has about 1 GB of rows; at 0.1 the start of Node alone outweighs the rows
 *   RUNS=3    alternating runs of each measurement
 *
 * Each measurement is a whole process. pg_dump and pg_restore get two jobs, realmlift too. The pipe is `pg_dump -Fc | age`, or with
 * the age library in a Node process where the program age is not installed.
 */
import { execFileSync, execSync } from 'node:child_process';
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { withClient } from '../test/testbed/database-client.js';
import { withBenchDatabase } from './bench-database.js';
import { measure } from './measured-process.js';
import type { Measured } from './measured-process.js';
import { median } from './median.js';

const CLI = join(import.meta.dirname, '..', 'bundle', 'realmlift.cjs');
const PIPE = join(import.meta.dirname, 'age-pipe.js');
/** Of realmlift, beside pg_dump's level of gzip: the fastest gzip, the default of both, and zstd against that default. */
const METHODS = [['1', 1], ['6', 6], ['zstd', 6]] as const;
/** What is aimed at: the time of PostgreSQL's tool times this; MiB of memory. */
const TARGET = 1.3;
const TARGET_PEAK = 300;

const scale = Number(process.env.SCALE ?? 1);
const runs = Number(process.env.RUNS ?? 3);

type Command = readonly [string, ...string[]];

await withBenchDatabase(scale, ['interleaved'], async ({ url, directory, server }) => {
  const work = join(directory, 'backup');
  const identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  await rm(work, { recursive: true, force: true });
  await mkdir(work);
  try {
    const key = join(work, 'key');
    await writeFile(key, identity, { mode: 0o600 });
    console.log(`SCALE=${scale} on ${server}, ${cpus().length} cores, Node ${process.version}, ${execFileSync('pg_dump', ['--version']).toString().trim()}: ${await sizeOf(url)} of tables and indexes\n`);
    for (const [method, level] of METHODS) await compareBackups(url, work, method, level, recipient);
    await compareRestores(url, work, key, recipient);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
});

async function compareBackups(url: string, work: string, method: string, level: number, recipient: string): Promise<void> {
  const [ours, theirs, piped] = [join(work, 'ours'), join(work, 'theirs'), join(work, 'piped.age')] as const;
  const pipe = hasAge() ? `age -r ${recipient}` : `${process.execPath} ${PIPE} ${recipient}`;
  const commands: Record<string, Command> = {
    'realmlift backup': [process.execPath, CLI, 'backup', '--to', ours, '--recipient', recipient, '--jobs', '2', '--compress', method],
    'pg_dump -Fd -j 2': ['pg_dump', '-Fd', '-j', '2', '-Z', String(level), '-f', theirs, url],
    [hasAge() ? 'pg_dump -Fc | age' : 'pg_dump -Fc | library']: ['/bin/sh', '-c', `pg_dump -Fc -Z ${level} "$0" | ${pipe} > "$1"`, url, piped],
  };
  const places: Record<string, string> = { 'realmlift backup': ours, 'pg_dump -Fd -j 2': theirs };
  const measured = await alternate(commands, { DATABASE_URL: url }, (name) => rm(places[name] ?? piped, { recursive: true, force: true }));
  console.log(`backup, realmlift --compress ${method}, the others gzip level ${level}: realmlift ${megabytes(await bytesOf(ours))}, pg_dump ${megabytes(await bytesOf(theirs))}, pipe ${megabytes(await bytesOf(piped))}`);
  report(measured, 'pg_dump -Fd -j 2');
}

async function compareRestores(url: string, work: string, key: string, recipient: string): Promise<void> {
  const [ours, theirs] = [join(work, 'ours'), join(work, 'theirs')] as const;
  for (const place of [ours, theirs]) await rm(place, { recursive: true, force: true });
  await measure([process.execPath, CLI, 'backup', '--to', ours, '--recipient', recipient, '--jobs', '2', '--compress', '1'], { DATABASE_URL: url });
  await measure(['pg_dump', '-Fd', '-j', '2', '-Z', '1', '-f', theirs, url], {});
  const target = new URL(url);
  target.pathname = '/realmlift_bench_restored';
  const commands: Record<string, Command> = {
    'realmlift restore': [process.execPath, CLI, 'restore', ours, '--identity', key, '--database-url', target.href, '--jobs', '2'],
    'pg_restore -j 2': ['pg_restore', '-j', '2', '-d', target.href, theirs],
  };
  const recreate = async (): Promise<void> => withClient(url, async (client) => {
    await client.query('DROP DATABASE IF EXISTS realmlift_bench_restored WITH (FORCE)');
    await client.query('CREATE DATABASE realmlift_bench_restored TEMPLATE template0');
    await client.query('CHECKPOINT');
  });
  const measured = await alternate(commands, {}, recreate);
  await withClient(url, (client) => client.query('DROP DATABASE realmlift_bench_restored'));
  console.log('restore, gzip level 1');
  report(measured, 'pg_restore -j 2');
}

/** Runs each command in turn, `runs` times, each after `prepare`. */
async function alternate(commands: Readonly<Record<string, Command>>, env: Readonly<Record<string, string>>, prepare: (name: string) => Promise<unknown>): Promise<Map<string, Measured[]>> {
  const measured = new Map<string, Measured[]>(Object.keys(commands).map((name) => [name, []]));
  for (let run = 1; run <= runs; run++) {
    for (const [name, command] of Object.entries(commands)) {
      await prepare(name);
      measured.get(name)?.push(await measure(command, env));
    }
  }
  return measured;
}

/**
 * The ratio is the median of those of each run: on a machine whose other load comes and goes, neighbours in time compare best. The
 * processor's seconds are those of the command's own processes, without the server's.
 */
function report(measured: ReadonlyMap<string, readonly Measured[]>, reference: string): void {
  const base = measured.get(reference) as readonly Measured[];
  const columns = (...values: readonly string[]): string => values.map((value, n) => value.padStart([11, 11, 20, 12][n] ?? 0)).join('');
  console.log(`  ${`medians of ${runs}`.padEnd(24)}${columns('seconds', 'processor', `to ${reference}`, 'peak')}`);
  const pipe = median([...measured].filter(([name]) => name.includes('|')).flatMap(([, each]) => each.map(({ seconds }) => seconds)));
  for (const [name, each] of measured) {
    const time = median(each.map(({ seconds }) => seconds));
    const ratio = median(each.map(({ seconds }, run) => seconds / (base[run] as Measured).seconds));
    const peak = Math.max(...each.map((one) => one.peak));
    const missed = !name.startsWith('realmlift') ? '' : [
      ...(ratio > TARGET ? [`  above ${TARGET} x`] : []), ...(time > pipe ? ['  slower than the pipe'] : []), ...(peak > TARGET_PEAK ? [`  above ${TARGET_PEAK} MiB`] : []),
    ].join('') || '  within the targets';
    const processor = median(each.map(({ allProcessorSeconds }) => allProcessorSeconds));
    console.log(`  ${name.padEnd(24)}${columns(time.toFixed(1), processor.toFixed(1), `${ratio.toFixed(2)} x`, `${peak.toFixed(0)} MiB`)}${missed}`);
  }
  console.log('');
}

function hasAge(): boolean {
  try {
    execSync('age --version', { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function sizeOf(url: string): Promise<string> {
  return withClient(url, async (client) => (await client.query<{ size: string }>('SELECT pg_size_pretty(pg_database_size(current_database())) AS size')).rows[0]?.size ?? '');
}

async function bytesOf(path: string): Promise<number> {
  const found = await stat(path);
  if (!found.isDirectory()) return found.size;
  const sizes = await Promise.all((await readdir(path)).map((name) => bytesOf(join(path, name))));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
