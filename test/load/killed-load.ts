/** Loads in a process of their own, killed when their journal has a given length. */
import { setTimeout as sleep } from 'node:timers/promises';
import { realmlift, type Ended } from '../cli/command-line.js';
import { withClient } from '../testbed/database-client.js';
import { NEW_SALT } from '../testbed/test-data.js';

export async function loadCommand(directory: string, url: string, uploads: string, ...words: string[]): Promise<Ended> {
  return realmlift(wordsOf(directory, url, uploads, words), { env: { ZULIP_AVATAR_SALT: NEW_SALT } });
}

/** Kills a load when it has done so many steps, or when it has ended. */
export async function killedLoad(directory: string, url: string, uploads: string, steps: number, ...words: string[]): Promise<void> {
  await realmlift(wordsOf(directory, url, uploads, words), {
    env: { ZULIP_AVATAR_SALT: NEW_SALT },
    meanwhile: (child) => withClient(url, async (client) => {
      let begun = false;
      while (child.exitCode === null) {
        const { rows: [row] } = await client.query<{ n: string }>("SELECT (xpath('/row/n/text()', query_to_xml('SELECT count(*) AS n FROM realmlift_load_acme.done', false, true, '')))[1]::text AS n WHERE to_regclass('realmlift_load_acme.done') IS NOT NULL").catch(() => ({ rows: [undefined] }));
        if (row !== undefined) begun = true;
        // Gone again: the last step is done.
        if (Number(row?.n ?? -1) >= steps || (begun && row === undefined)) break;
        await sleep(2);
      }
      child.kill('SIGKILL');
    }),
  });
}

function wordsOf(directory: string, url: string, uploads: string, words: readonly string[]): string[] {
  return ['load', directory, '--target-url', url, '--subdomain', 'acme', '--uploads-dir', uploads, '--jobs', '2', ...words];
}
