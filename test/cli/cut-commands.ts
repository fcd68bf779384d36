/** Commands whose connections to a database are cut while they work. */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { withPlace } from '../backup/test-backup.js';
import { emptyUploads } from '../load/new-server.js';
import { sampleExport } from '../pipe/sample-export.js';
import { FaultyConnection } from '../snapshot/faulty-connection.js';
import { withClient } from '../testbed/database-client.js';
import { uploadsDirectory } from '../testbed/expected-export.js';
import { AVATAR_SALT, NEW_SALT } from '../testbed/test-data.js';
import { withEmptyDatabase, withTestDatabase } from '../testbed/test-database.js';
import { realmlift, type Ended } from './command-line.js';

export interface CutCommand {
  /** Gives a database that the command can work in. */
  readonly withDatabase: (work: (url: string) => Promise<void>) => Promise<unknown>;
  readonly run: (url: string) => Promise<Ended>;
  /** After how many pieces of what it sends it is early in its work, or in the midst of it. */
  readonly moments: readonly number[];
  /** How it says to go on, in whatever case it begins. */
  readonly how: RegExp;
}

/** A network that cuts connections, or a server that ends sessions. */
type Cut = 'reset' | 'terminate';

const DATASET = 'zulip-11/local';
const SALT = { ZULIP_AVATAR_SALT: AVATAR_SALT[DATASET] };

/** What a command may say that was cut, in one line. SERVER_UNREACHABLE: it was just logging in. */
function told(how: RegExp): RegExp {
  return new RegExp(`^realmlift: (?:SERVER_UNREACHABLE \\[[^\\n]*|(?:CONNECTION_LOST|SNAPSHOT_LOST) \\[[^\\n]*${how.source}\\))\\n$`, 'i');
}

const RESUMED = /run again with --resume to go on/;
const FROM_THE_START = /run it again from the start/;

const withSource = (work: (url: string) => Promise<void>): Promise<unknown> => withTestDatabase(DATASET, work);

/** Gives each command by its name to `work`, with all that it needs. @param output a directory */
export async function withCutCommands(output: string, work: (commands: Readonly<Record<string, CutCommand>>) => Promise<void>): Promise<void> {
  const anew = (): string => mkdtempSync(join(output, 'run-'));
  const uploads = await uploadsDirectory(DATASET);
  await withPlace((place) => withTestDatabase(DATASET, async (source) => {
    const [base] = await sampleExport(source, { realm: 'acme', output: anew() }) as [string];
    const words = ['--uploads-dir', uploads, '--jobs', '2', '--quiet'];
    const backup = ['backup', '--recipient', place.recipient, '--quiet', '--to'];
    await realmlift([...backup, place.to], { env: { DATABASE_URL: source } });
    const exporting = (url: string, ...more: string[]): Promise<Ended> => realmlift(['export', ...more, '--output', anew(), ...words], { env: { ...SALT, DATABASE_URL: url } });
    await work({
      'export': { how: RESUMED, moments: [10, 60], withDatabase: withSource, run: (url) => exporting(url, '--realm', 'acme') },
      'export of all realms': { how: RESUMED, moments: [80], withDatabase: withSource, run: (url) => exporting(url, '--all-realms') },
      'export to standard output': { how: FROM_THE_START, moments: [60], withDatabase: withSource, run: (url) => realmlift(['export', '--realm', 'acme', '--output', '-', ...words], { env: { ...SALT, DATABASE_URL: url } }) },
      // Of the very database that the base is of.
      'export with a base': { how: RESUMED, moments: [40], withDatabase: (run) => run(source), run: (url) => exporting(url, '--realm', 'acme', '--base', base) },
      'plan': { how: FROM_THE_START, moments: [10], withDatabase: withSource, run: (url) => realmlift(['plan', '--realm', 'acme'], { env: { DATABASE_URL: url } }) },
      'load': {
        how: /(?:run it again from the start|--resume goes on, --undo removes what was loaded)/, moments: [40, 250], withDatabase: (run) => withTestDatabase('zulip-11/new-server', run),
        run: (url) => realmlift(['load', base, '--subdomain', 'acme', '--uploads-dir', emptyUploads(), '--jobs', '2', '--quiet', '--target-url', url], { env: { ZULIP_AVATAR_SALT: NEW_SALT } }),
      },
      'split': {
        how: /(?:run it again from the start|--restart removes all that is there and begins anew)/, moments: [100, 400], withDatabase: withEmptyDatabase,
        run: (url) => realmlift(['split', '--realm', 'acme', '--jobs', '2', '--quiet', '--target-url', url], { env: { DATABASE_URL: source } }),
      },
      'backup': { how: FROM_THE_START, moments: [100], withDatabase: withSource, run: (url) => realmlift([...backup, anew()], { env: { DATABASE_URL: url } }) },
      'restore': {
        how: /run the same command again: it goes on where it stopped/, moments: [300], withDatabase: withEmptyDatabase,
        run: (url) => realmlift(['restore', place.to, '--identity', place.identityFile, '--database-url', url, '--quiet']),
      },
    });
  }));
}

/** Runs the command and cuts it when it has sent so many pieces; says how many there were. It ends with one line that says so. */
export async function cutAfter(t: Test, name: string, { withDatabase, run, how }: CutCommand, pieces: number, cut: Cut): Promise<{ sent: number; code: number | null }> {
  const found = { sent: 0, code: null as number | null };
  await withDatabase(async (url) => {
    const proxy = await FaultyConnection.open(url);
    let cutting: Promise<unknown> | undefined;
    proxy.onSent = () => {
      if (++found.sent !== pieces) return;
      if (cut === 'reset') proxy.reset();
      else cutting = withClient(url, (client) => client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"));
    };
    try {
      const { code, stderr } = await run(proxy.url);
      found.code = code;
      if (code === 0) t.equal(stderr, '', `${name}: whole`);
      else t.match(stderr, told(how), `${name}: ${cut} after ${pieces}, exit ${code}`);
      await cutting;
    } finally {
      proxy.close();
    }
  });
  return found;
}
