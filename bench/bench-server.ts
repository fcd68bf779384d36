/**
 * A whole server in one run, against the physical limit in the same run: 300 realms of 3,000 messages, interleaved message by message,
 * beside the realms of the sample; and 3,000 realms of 100 messages.
 *
 *   RUNS=1          alternating runs of each measurement
 *   SERVER=300x3000 one of the two alone, or another one: realms x messages
 */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { withClient } from '../test/testbed/database-client.js';
import { unpackArchive } from '../test/testbed/tar-archive.js';
import { AVATAR_SALT, testData } from '../test/testbed/test-data.js';
import { withManyRealms, type BenchDatabase } from './bench-database.js';
import { measure } from './measured-process.js';
import { rawCopyOf } from './raw-copy.js';

const CLI = join(import.meta.dirname, '..', 'bundle', 'realmlift.cjs');

const runs = Number(process.env.RUNS ?? 1);
const servers = (process.env.SERVER ?? '300x3000,3000x100').split(',').map((each) => each.split('x').map(Number) as [realms: number, messages: number]);

for (const [realms, messages] of servers) await withManyRealms(realms, messages, (database) => bench(database, realms, messages));

async function bench(database: BenchDatabase, realms: number, messages: number): Promise<void> {
  const { url, directory, server } = database;
  const uploads = join(directory, 'uploads');
  if (!existsSync(uploads)) await unpackArchive(testData('zulip-11/local', 'uploads.tar.gz'), uploads);
  const raw = rawCopyOf(url, ['SELECT m.* FROM zulip.zerver_message m', 'SELECT um.* FROM zulip.zerver_usermessage um']);
  const all = await withClient(url, async (client) => Number((await client.query<{ n: string }>("SELECT count(*) AS n FROM zulip.zerver_realm WHERE string_id <> 'zulipinternal'")).rows[0]?.n));
  console.log(`\n${realms} realms of ${messages} messages beside the sample's, on ${server}, ${cpus().length} cores, Node ${process.version}; raw COPY of the two large tables by ${raw.client}`);
  // All are removed in the end: ext4 does not give the places of files that were removed within the last minutes to new ones, and looks at each.
  const outputs = join(directory, 'exports');
  await rm(outputs, { recursive: true, force: true });
  await raw.run();
  for (let run = 1; run <= runs; run++) {
    const limit = await raw.run();
    const lines: string[] = [];
    for (const words of [['--no-verify'], []]) {
      const output = join(outputs, `${run}${words.join('')}`);
      const { seconds, peak, allProcessorSeconds } = await measure(
        [process.execPath, CLI, 'export', '--all-realms', '--output', output, '--uploads-dir', uploads, '--jobs', '2', '--quiet', ...words],
        { DATABASE_URL: url, ZULIP_AVATAR_SALT: AVATAR_SALT['zulip-11/local'] },
      );
      lines.push(`  ${words.length > 0 ? 'export --no-verify' : 'export, with verify'}: ${seconds.toFixed(1)} s, ${(seconds / limit).toFixed(2)} x raw COPY, ${(seconds * 1000 / all).toFixed(1)} ms a realm, peak ${peak.toFixed(0)} MiB, ${allProcessorSeconds.toFixed(1)} s of processor`);
    }
    console.log(`run ${run}: raw COPY ${limit.toFixed(1)} s\n${lines.join('\n')}`);
  }
  await rm(outputs, { recursive: true, force: true });
}
