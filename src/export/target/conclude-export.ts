/** The end of every export, once its rows, its files and its manifest are there: it is checked, its page is written, and what a later run will ask of it is sealed. */
import type { Place } from '../outcome.js';
import type { VerifiedBefore } from '../../verify/same-files.js';
import type { VerifyReport, VerifyOptions } from '../../verify/verify-export.js';
import { rememberChecked, sealCatchUp } from '../base/catch-up-file.js';

export interface Conclusion {
  /** What whoever reads that it is not good can do; undefined: nobody asked for a check. */
  readonly hint: string | undefined;
  /** The export's final place. */
  readonly place: Place;
  /** When it began, as Date.now() has it. */
  readonly began: number;
  /** Worker threads of the run, to be told. */
  readonly jobs: number;
}

interface Here {
  /** By whom it is read again, and what is known of its files. */
  readonly check: Omit<VerifyOptions, 'remember'>;
  /** An earlier export that is expected to have the same files. */
  readonly same?: VerifiedBefore | undefined;
  /** The files of this export have left: the page links to none. */
  readonly gone?: boolean | undefined;
}

/**
 * Verify and the page are loaded here: the first row waits for none of it.
 *
 * @param directory of the export
 * @returns what verify found; undefined when nobody asked
 * @throws RealmliftError VERIFY_FAILED, and as diskError
 */
export async function concludeExport(directory: string, { hint, place, began, jobs }: Conclusion, { check, same, gone }: Here): Promise<VerifyReport | undefined> {
  const verified = hint === undefined ? undefined : await verify(directory, hint, { check, same });
  const times = { finished_at: new Date().toISOString(), seconds: (Date.now() - began) / 1000, verify_seconds: verified?.totals.seconds ?? null, jobs };
  const { finishReport } = await import('../../report/finish-report.js');
  await finishReport(directory, { verified, times, place, gone, flushed: false });
  await sealCatchUp(directory);
  return verified;
}

/** The same files as of an earlier export need no more than their SHA-256. */
async function verify(directory: string, hint: string, { check, same }: Pick<Here, 'check' | 'same'>): Promise<VerifyReport> {
  return rememberChecked(directory, async (remember) => {
    const known = same && await (await import('../../verify/same-files.js')).verifySameFiles(directory, same, check.ahead);
    if (same !== undefined && known !== undefined) {
      await remember?.same(same.directory);
      return known;
    }
    const report = await (await import('../../verify/require-good.js')).requireGood(directory, { ...check, remember }, hint);
    remember?.all(report);
    return report;
  });
}
