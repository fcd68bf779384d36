/** What `realmlift plan` says of an export, and what is estimated of it. */
import type { RealmliftError } from '../errors.js';
import { rulesOf, type ExportPlan } from '../plan/plan-export.js';
import type { PlannedTable } from '../plan/plan-tables.js';
import type { Source } from '../plan/source.js';

export interface PlannedExport {
  readonly target: string;
  readonly mode: string;
  readonly zulip: { readonly release: string; readonly evidence: string; readonly rules_of_migration: number };
  /** Chosen SELECT by table or selection, where there was a choice. */
  readonly rules: Readonly<Record<string, string>>;
  /** With placeholders of users. */
  readonly users: number;
  readonly messages: number;
  /** `bytes` of JSON are estimated from PostgreSQL's statistics of the table. */
  readonly tables: readonly { readonly table: string; readonly rows: number; readonly bytes: number; readonly estimated: boolean }[];
  readonly messageFiles: number;
  readonly files: { readonly uploads: number; readonly bytes: number };
  /** Bytes of disk that the export takes, estimated. */
  readonly disk: number;
  /** Seconds with two sessions, estimated. */
  readonly seconds: number;
  readonly leftOut: readonly { readonly what: string; readonly reason: string; readonly rows: number }[];
  readonly stripped: readonly string[];
  readonly unknownTables: readonly string[];
  readonly unknownColumns: readonly string[];
}

/** An export that would be refused. */
export interface RefusedExport {
  readonly target: string;
  readonly mode: string;
  readonly refused: RealmliftError;
}

export type Planned = PlannedExport | RefusedExport;

/** What was counted of one realm. */
export interface Counts {
  /** Rows of a table of the export; messages and uploads have numbers of their own. */
  readonly rows: (table: string) => number;
  readonly messages: number;
  readonly uploads: PlannedExport['files'];
  /** Rows of a view of the ledger. */
  readonly stays: (view: string) => number;
}

/** Bytes of JSON a second through the whole export with two sessions, as `make bench` measured it on two cores. */
const BYTES_PER_SECOND = 60e6;

/** JSON repeats the keys in each row: so much more than the row on disk. */
const JSON_FACTOR = 1.6;

/** Bytes of a row where PostgreSQL has no statistics. */
const UNKNOWN_WIDTH = 200;

/** Messages of a messages file. */
const PER_FILE = 1000;

/**
 * Counting usermessages would be most of the export's work: their share of the server's is near enough. Which clients the messages were sent
 * with only the messages say: at most all are named.
 */
export const ESTIMATED: ReadonlySet<string> = new Set(['zerver_usermessage', 'zerver_client']);

export function plannedExport(target: string, plan: ExportPlan, source: Source, counts: Counts): PlannedExport {
  const { compiled, review } = plan;
  const tables = plan.tables.map((table) => {
    const rows = rowsOf(table, source, counts);
    return { table: table.name, rows, bytes: Math.round(rows * width(compiled.tables.get(table.name)?.view.table ?? table.name, source)), estimated: ESTIMATED.has(table.name) };
  });
  const bytes = tables.reduce((sum, table) => sum + table.bytes, 0);
  const leftOut = compiled.ledger.map(({ name, view }) => ({ what: name, reason: view.loss?.reason ?? '', rows: counts.stays(name) })).filter(({ rows }) => rows > 0);
  return {
    target, mode: plan.request.mode,
    zulip: { release: source.version.release, evidence: source.version.evidence, rules_of_migration: source.version.zerverMigration },
    rules: Object.fromEntries(rulesOf(plan, source.version)),
    users: counts.rows('zerver_userprofile') + counts.rows('zerver_userprofile_mirrordummy'), messages: counts.messages,
    tables, messageFiles: Math.ceil(counts.messages / PER_FILE), files: counts.uploads, disk: bytes + counts.uploads.bytes, seconds: 1 + bytes / BYTES_PER_SECOND,
    leftOut, stripped: review.stripped, unknownTables: review.unknownTables, unknownColumns: review.unknownColumns,
  };
}

function rowsOf({ name }: PlannedTable, source: Source, counts: Counts): number {
  if (name === 'zerver_message') return counts.messages;
  if (name !== 'zerver_usermessage') return counts.rows(name);
  const share = (source.catalog.get('zerver_usermessage')?.estimatedRows ?? 0) / Math.max(1, source.catalog.get('zerver_message')?.estimatedRows ?? 1);
  return Math.round(counts.messages * Math.max(0, share));
}

function width(name: string, { catalog }: Source): number {
  const table = catalog.get(name);
  return table === undefined || table.estimatedRows <= 0 ? UNKNOWN_WIDTH : JSON_FACTOR * table.bytes / table.estimatedRows;
}
