/** The last look at an export before it is published. */
import { RealmliftError } from '../errors.js';
import { verifyExport, type VerifyOptions, type VerifyReport } from './verify-export.js';

/**
 * @param hint what the reader can do
 * @throws RealmliftError VERIFY_FAILED when the export is not whole, not closed or not free of secrets
 */
export async function requireGood(directory: string, options: VerifyOptions, hint: string): Promise<VerifyReport> {
  const report = await verifyExport(directory, options);
  const first = report.findings.find(({ severity }) => severity === 'error');
  if (first === undefined) return report;
  throw new RealmliftError('VERIFY_FAILED', 'verify', `${report.totals.errors} errors; the first: ${first.file}: ${first.message}`, { table: first.table, hint });
}
