/**
 * `realmlift plan`: what an export would take, by which rules, what it would leave and what the schema has that nothing
 * classifies. It reads ids and counts, no message content.
 */
import { closeReferences } from './export/close-references.js';
import { areasOf } from './export/wanted.js';
import { uploadsQuery } from './export/wanted-rows.js';
import { messageFiles } from './plan/message-files.js';
import { holdExportedTables } from './plan/hold-tables.js';
import { planExport, rulesOf, type ExportRequest } from './plan/plan-export.js';
import { ledgerQuery, messageIdsQuery, queryOf, type PlannedTable } from './plan/plan-tables.js';
import { useSchema } from './plan/search-path.js';
import { readSource } from './plan/source.js';
import { findTargets, type TargetRequest } from './plan/targets.js';
import type { ConnectionSettings } from './snapshot/connection-settings.js';
import { withSession, withSnapshot } from './snapshot/snapshot.js';
import type { LockPatience } from './snapshot/table-locks.js';

export interface PlanOptions {
  readonly settings: ConnectionSettings;
  readonly targets: TargetRequest;
  readonly patience: LockPatience;
  readonly zulipVersion: string | undefined;
  readonly request: Omit<ExportRequest, 'realm' | 'userId' | 'approved' | 'seed'>;
}

export interface PlannedExport {
  readonly target: string;
  readonly mode: string;
  readonly zulip: { readonly release: string; readonly evidence: string; readonly rules_of_migration: number };
  /** Chosen SELECT by table or selection, where there was a choice. */
  readonly rules: Readonly<Record<string, string>>;
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

/** Bytes of JSON a second through the whole export with two sessions, as `make bench` measured it on two cores. */
const BYTES_PER_SECOND = 60e6;

/** JSON repeats the keys in each row: so much more than the row on disk. */
const JSON_FACTOR = 1.6;

/** @throws RealmliftError as an export would, before any row leaves */
export async function planReport(options: PlanOptions, onUnknown: (why: string) => void): Promise<PlannedExport[]> {
  return withSnapshot(options.settings, (snapshot) => holdExportedTables(snapshot, options.patience).then(() => withSession(snapshot, 'plan', async (session) => {
    const source = await readSource(snapshot.client, options.zulipVersion);
    await useSchema(session, source.schema);
    const planned: PlannedExport[] = [];
    for (const target of await findTargets(snapshot.client, options.targets, onUnknown)) {
      const plan = await closeReferences(session, await planExport(session, source, { ...options.request, realm: target.realm, userId: target.userId, approved: target.approved, seed: '' }), source);
      const count = async (query: string): Promise<number> => Number((await session.query<{ n: string }>(`SELECT count(*) AS n FROM (${query}) AS q`)).rows[0]?.n);
      const width = (name: string): number => {
        const table = source.catalog.get(plan.compiled.tables.get(name)?.view.table ?? name);
        return table === undefined || table.estimatedRows <= 0 ? 200 : JSON_FACTOR * table.bytes / table.estimatedRows;
      };
      const clients = (await session.query<{ id: number }>('SELECT id::float8 AS id FROM zerver_client')).rows.map(({ id }) => id);
      let messages = 0;
      let files = 0;
      const message = plan.tables.find((table) => table.name === 'zerver_message') as PlannedTable;
      for await (const file of messageFiles(session, messageIdsQuery(plan.compiled, plan.parameters))) {
        messages += file.rows;
        files += 1;
      }
      const tables = [];
      for (const table of plan.tables) {
        // Counting usermessages would be most of the export's work: their share of the server's is near enough.
        // Which clients the messages were sent with only the messages say: at most all are named.
        const estimated = table.name === 'zerver_usermessage' || table.name === 'zerver_client';
        const share = (source.catalog.get('zerver_usermessage')?.estimatedRows ?? 0) / Math.max(1, source.catalog.get('zerver_message')?.estimatedRows ?? 1);
        const rows = table === message ? messages : table.name === 'zerver_usermessage' ? Math.round(messages * Math.max(0, share)) : await count(queryOf(table, plan.compiled, { ...plan.parameters, message_client_ids: clients }));
        tables.push({ table: table.name, rows, bytes: Math.round(rows * width(table.name)), estimated });
      }
      const leftOut = [];
      for (const view of plan.compiled.ledger) {
        const rows = await count(ledgerQuery(view, plan.compiled, plan.parameters));
        if (rows > 0) leftOut.push({ what: view.name, reason: view.view.loss?.reason ?? '', rows });
      }
      const sizes = !areasOf(plan, source).includes('uploads') ? undefined
        : (await session.query<{ n: string; bytes: string | null }>(`SELECT count(*) AS n, sum(q.size) AS bytes FROM (${uploadsQuery(plan, source)}) AS q`)).rows[0];
      const bytes = tables.reduce((sum, table) => sum + table.bytes, 0);
      const uploads = { uploads: Number(sizes?.n ?? 0), bytes: Number(sizes?.bytes ?? 0) };
      planned.push({
        target: target.name, mode: plan.request.mode,
        zulip: { release: source.version.release, evidence: source.version.evidence, rules_of_migration: source.version.zerverMigration },
        rules: Object.fromEntries(rulesOf(plan, source.version)),
        tables, messageFiles: files, files: uploads, disk: bytes + uploads.bytes, seconds: 1 + bytes / BYTES_PER_SECOND,
        leftOut, stripped: plan.review.stripped, unknownTables: plan.review.unknownTables, unknownColumns: plan.review.unknownColumns,
      });
    }
    return planned;
  })));
}
