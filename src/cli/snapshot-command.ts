/** `realmlift snapshot`: holds a snapshot in a process of its own, from which exports are made and resumed for hours. */
import { Command } from 'commander';
import { RealmliftError } from '../errors.js';
import { holdExportedTables } from '../plan/hold-tables.js';
import { connectionSettings } from '../snapshot/connection-settings.js';
import { withSnapshot } from '../snapshot/snapshot.js';
import { duration } from './options/duration.js';
import { addLockOptions, lockPatience, type LockOptions } from './options/lock-options.js';
import { withStopSignals, type StopWords } from './stop-signals.js';

const STOPPED: StopWords = { stage: 'snapshot', left: () => 'the snapshot is let go', hint: () => 'run it again, which takes a new snapshot' };

export function snapshotCommand(): Command {
  return addLockOptions(new Command('snapshot'))
    .optionsGroup('Running:')
    .option('--max-snapshot-age <duration>', 'let go when it is so old (90s, 30m, 6h, 2d), rather than hold back vacuum', duration)
    .addHelpText('after', `
Examples:
  realmlift snapshot --max-snapshot-age 6h > snapshot-id &
  until [ -s snapshot-id ] || ! kill -0 $!; do sleep 1; done
  realmlift export --realm acme --snapshot "$(head -1 snapshot-id)"

Prints the snapshot's id as one line on standard output. As long as this command runs, every export with --snapshot ID holds
the same rows, and one that was stopped goes on in it with --resume. The server cannot remove dead rows meanwhile, and whoever
wants to change a table that exports read (ALTER TABLE, TRUNCATE, DROP) waits.
Ending it with ^C or SIGTERM is its normal end.

Exit codes: 0 ended by a signal; 1 the snapshot was lost, or older than --max-snapshot-age; 2 wrong usage;
            3 the database is none of Zulip's, or not a whole one.`)
    .action(async ({ maxSnapshotAge, ...locks }: { maxSnapshotAge?: number } & LockOptions) => {
      await withStopSignals(STOPPED, (signal) => withSnapshot(connectionSettings(process.env.DATABASE_URL, process.env), async (snapshot) => {
        const { id, lost } = snapshot;
        await holdExportedTables(snapshot, lockPatience(locks), false);
        process.stdout.write(`${id}\n`);
        return new Promise<never>((_, reject) => lost.addEventListener('abort', () => reject(lost.reason as Error), { once: true }));
      }, { signal, maxAge: maxSnapshotAge })).catch((error: unknown) => {
        if (!(error instanceof RealmliftError) || error.code !== 'STOPPED') throw error;
      });
    });
}
