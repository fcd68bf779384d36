/**
 * What the package offers to programs: an export, and a look at one. Everything else is the command line's, and may change.
 *
 *     import { exportRealm, verifyExport } from 'realmlift';
 *
 *     const { directory } = await exportRealm({ database: 'postgresql://zulip@/zulip', realm: 'acme', output: 'out', uploadsDir: '/home/zulip/uploads' });
 *     const { good } = await verifyExport(directory);
 */
import { availableParallelism } from 'node:os';
import { filesStore } from './cli/options/files-options.js';
import { RealmliftError } from './errors.js';
import { runExport } from './commands/export.js';
import { filesOf, lostOf } from './export/outcome.js';
import { avatarSalt } from './plan/release/zulip-server-files.js';
import { connectionSettings } from './snapshot/connection-settings.js';
import type { Finding } from './verify/findings.js';
import { verifyExport as verify } from './verify/verify-export.js';

export { RealmliftError };
export type { Finding };

export interface RealmExportOptions {
  /** Subdomain of the realm. */
  readonly realm: string;
  /** Directory under which the export's own is made, named after the realm. */
  readonly output: string;
  /** Connection string; without it DATABASE_URL or libpq's PG* of the environment. */
  readonly database?: string;
  /** Whose private data travels; default `full`. */
  readonly mode?: 'full' | 'consent' | 'public';
  /** Zulip's LOCAL_UPLOADS_DIR; without it the buckets that S3_* of the environment names. */
  readonly uploadsDir?: string;
  /** The server's zulip-secrets.conf, of which the avatar_salt is read; without it ZULIP_AVATAR_SALT of the environment. */
  readonly zulipSecrets?: string;
  /** Sessions that copy at once; default: the processors. */
  readonly jobs?: number;
  /** Go on with a run that stopped half-way. */
  readonly resume?: boolean;
  /** Export although nobody could administer the result. */
  readonly force?: boolean;
  /** Stops the run, which can be resumed. */
  readonly signal?: AbortSignal;
  /** In place of process.env. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** A finished export, read again and found good. */
export interface RealmExport {
  readonly directory: string;
  /** Rows by table. */
  readonly rows: Readonly<Record<string, number>>;
  readonly files: number;
  /** Files that should have travelled and could not be had; report.json says why of each. */
  readonly lostFiles: number;
  /** Rows of the realm that stay, by reason; report.json names each. */
  readonly leftOut: readonly { readonly reason: string; readonly count: number }[];
  readonly warnings: readonly string[];
}

/**
 * Exports one realm out of one snapshot, as `realmlift export --realm` does. Nothing is at its path before it is whole.
 *
 * @throws RealmliftError whose `code` docs/errors.md explains
 */
export async function exportRealm(options: RealmExportOptions): Promise<RealmExport> {
  const { realm, output, database, mode = 'full', uploadsDir, jobs = availableParallelism(), signal } = options;
  const env = { ...options.environment ?? process.env };
  const [outcome] = await runExport({
    settings: connectionSettings(database ?? env['DATABASE_URL'], env), targets: { realms: [realm], exclude: [], users: undefined, approved: undefined, allowUnknown: false },
    mode, output, jobs, resume: options.resume === true, force: options.force === true, signal, openStore: filesStore(uploadsDir === undefined ? {} : { uploadsDir }, env),
    salt: avatarSalt({ secretsFile: options.zulipSecrets, env }), avatars: true, verify: true, decisions: { strip: new Set(), keep: new Set() }, approvedFilesOnly: false,
    snapshot: undefined, maxSnapshotAge: undefined, consentMessage: undefined, zulipVersion: undefined, migrationStatus: { file: undefined, zulipDir: undefined },
    fileJobs: undefined, randomSeed: undefined, onEvent: () => undefined,
  });
  if (outcome === undefined || 'error' in outcome) throw outcome?.error ?? new RealmliftError('REALM_UNKNOWN', 'plan', `nothing was exported of ${realm}`);
  const { directory, rows, leftOut, warnings } = 'earlier' in outcome ? outcome.earlier : { ...outcome.result, rows: Object.fromEntries(outcome.result.rows), leftOut: outcome.result.ledger };
  return { directory, rows, files: filesOf(outcome), lostFiles: lostOf(outcome), leftOut: leftOut.map(({ reason, count }) => ({ reason, count })), warnings };
}

/** What was found in an export. */
export interface Verification {
  /** No finding is an error. */
  readonly good: boolean;
  /** At most a thousand; `errors` and `notes` count all. */
  readonly findings: readonly Finding[];
  readonly errors: number;
  readonly notes: number;
  /** Rows by table. */
  readonly rows: Readonly<Record<string, number>>;
}

/**
 * Reads every byte of an export, also of one that Zulip itself wrote, and says what is wrong with it.
 *
 * @throws RealmliftError EXPORT_MISSING, FILE_FAILED, VERIFY_READ
 */
export async function verifyExport(directory: string, { jobs = availableParallelism() }: { readonly jobs?: number } = {}): Promise<Verification> {
  const { findings, totals: { errors, notes, rows } } = await verify(directory, { jobs });
  return { good: errors === 0, findings, errors, notes, rows };
}
