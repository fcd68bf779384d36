/** A worker's way into a run: what it has of its own is compared with what the run has, and its sessions join the snapshot. */
import { RealmliftError } from '../errors.js';
import type { WorkerPool } from '../export/segments/worker-pool.js';
import { connect, settingsOf } from '../snapshot/connect.js';
import type { ConnectionSettings } from '../snapshot/connection-settings.js';
import type { BackupTradeOptions } from './backups/backup-trade.js';
import { ExportTrade, type ExportTradeOptions } from './exports/export-trade.js';
import { mismatch, sourceMarks, versionMismatch, type Expected } from './runs/expected.js';
import type { AnnouncedRun } from './runs/runs.js';
import type { Trade } from './runs/trade.js';

export interface WorkerSettings extends Omit<ExportTradeOptions, 'takeThreads'>, Omit<BackupTradeOptions, 'sessions'> {
  /** The source, by this machine's own settings. */
  readonly source: ConnectionSettings;
  /** Sessions for the rows of each run. */
  readonly jobs: number;
  readonly salt: string | undefined;
}

/**
 * What the run needs, ready for its jobs.
 * @param takeThreads that have loaded their code
 * @throws RealmliftError WORKER_REFUSED where something differs; whatever cannot be reached
 */
export async function tradeFor(run: AnnouncedRun, options: WorkerSettings, takeThreads: () => WorkerPool): Promise<Trade> {
  refuseIf(versionMismatch(run.expected));
  const trade = await openTrade(run.expected, options, takeThreads);
  try {
    const settings = await comparedWith(run, options, trade);
    if (!run.letGo) await trade.join(settings, run.expected.snapshot);
    return trade;
  } catch (error) {
    await trade.close();
    throw error;
  }
}

/** Backups are loaded where there is one. */
async function openTrade(expected: Expected, options: WorkerSettings, takeThreads: () => WorkerPool): Promise<Trade> {
  if (expected.backup !== undefined) return (await import('./backups/backup-trade.js')).BackupTrade.open(expected, expected.backup, { ...options, sessions: options.jobs });
  return ExportTrade.open(expected, { ...options, takeThreads });
}

/** @returns settings of the very server that holds the snapshot */
async function comparedWith({ id, expected }: AnnouncedRun, { source, salt }: WorkerSettings, trade: Trade): Promise<ConnectionSettings> {
  const elsewhere = await trade.elsewhere(id, expected);
  const client = await connect(source, 'worker');
  try {
    refuseIf(mismatch(id, expected, { marks: await sourceMarks(client, source, id), salt, files: trade.files, elsewhere }));
    return settingsOf(client, source);
  } finally {
    await client.end().catch(() => undefined);
  }
}

function refuseIf(why: string | undefined): void {
  if (why !== undefined) throw new RealmliftError('WORKER_REFUSED', 'queue', why);
}
