/**
 * Attachments whose files did not come: their rows, which were copied before anybody could know, are taken out of the export
 * (the import would stop half-way at a row without a file) and told in the report. The database is let go by then.
 */
import { join } from 'node:path';
import type { JournalPart } from '../package/journal.js';
import type { ExportPlan } from '../plan/plan-export.js';
import { BARE } from '../json/each-table.js';
import { TableFile } from '../pipe/table-file.js';
import { PARTS_DIRECTORY, ledgerPath, partPath } from '../package/part-paths.js';
import { RowArray } from '../package/row-array.js';

const ATTACHMENTS = partPath('zerver_attachment');

/** The view of the ledger that names them; its rows are taken out of those that were copied. */
export const LOST_ATTACHMENTS = 'attachment_without_file';

/**
 * @param directory of the run
 * @param copied the part with the rows of all attachments, which stays as it is for a run that resumes this one
 * @param lost ids of attachments without a file, rising as those of the rows do
 * @returns by the path of a part that which takes its place, or is made here
 */
export async function withoutLostAttachments(directory: string, plan: ExportPlan, copied: JournalPart | undefined, lost: Iterator<number, void>): Promise<Map<string, JournalPart>> {
  const view = plan.compiled.ledger.find(({ name }) => name === LOST_ATTACHMENTS);
  const columns = view?.columns ?? [];
  const kept = new RowArray(join(directory, `${PARTS_DIRECTORY}/attachments-with-files.json`));
  const told = new RowArray(join(directory, ledgerPath(LOST_ATTACHMENTS)));
  try {
    if (copied !== undefined) {
      const file = TableFile.open(join(directory, copied.path), copied);
      try {
        let next = lost.next();
        for (const bytes of file.rows(BARE)) {
          const row = JSON.parse(bytes.toString('utf8')) as Record<string, unknown> & { readonly id: number };
          while (next.done !== true && next.value < row.id) next = lost.next();
          if (next.value !== row.id) kept.write(bytes);
          else told.write(Buffer.from(JSON.stringify(Object.fromEntries(columns.map((column) => [column, row[column]])))));
        }
      } finally {
        file.close();
      }
    }
    const parts = new Map<string, JournalPart>();
    if (copied !== undefined) parts.set(ATTACHMENTS, { path: `${PARTS_DIRECTORY}/attachments-with-files.json`, ...(await kept.finish()), rows: { zerver_attachment: kept.rows } });
    if (view !== undefined) parts.set(ledgerPath(LOST_ATTACHMENTS), { path: ledgerPath(LOST_ATTACHMENTS), ...(await told.finish()), rows: { [LOST_ATTACHMENTS]: told.rows } });
    return parts;
  } finally {
    kept.abandon();
    told.abandon();
  }
}
