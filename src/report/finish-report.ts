/**
 * The last step of whatever makes an export: what verify counted goes into report.json, and the page beside it is written. Times
 * go to a file of their own, so that two exports of the same rows differ in nothing else.
 */
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { appendToReport } from '../package/append-member.js';
import { REPORT } from '../package/export-files.js';
import { amendManifest, MANIFEST } from '../package/manifest.js';
import { writeOwn } from '../package/own-path.js';
import { diskError } from '../package/part-file.js';
import { REPORT_PAGE, TIMES } from '../package/side-files.js';
import { emptyCensus, MESSAGE_KINDS, type Census } from '../verify/census.js';
import type { VerifyReport } from '../verify/verify-export.js';
import type { Place } from '../export/outcome.js';
import { readFacts, type FactsRequest, type Times } from './realm-facts.js';
import { realmPage } from './realm-page.js';

export interface Finished extends Pick<FactsRequest, 'verified' | 'gone'> {
  /** Undefined for exports that were joined. */
  readonly times?: Times | undefined;
  /** Where the export will be. */
  readonly place: Place;
  /** See PartFile.finish; default true. */
  readonly flushed?: boolean | undefined;
}

/** @throws RealmliftError as {@link diskError} */
export async function finishReport(directory: string, { times, flushed, ...request }: Finished): Promise<void> {
  if (request.verified !== undefined) await addContents(directory, request.verified, flushed);
  try {
    if (times !== undefined) writeOwn(join(directory, TIMES), `${JSON.stringify(times, null, 2)}\n`);
  } catch (error) {
    throw diskError(error, directory);
  }
  await writePage(directory, request);
}

/** Writes report.html, over the one that is there. @returns its path */
export async function writePage(directory: string, request: FactsRequest): Promise<string> {
  const path = join(directory, REPORT_PAGE);
  const text = realmPage(await readFacts(directory, request));
  try {
    writeOwn(path, text);
  } catch (error) {
    throw diskError(error, path);
  }
  return path;
}

/** report.json with what an owner counts; the manifest's entry follows. */
async function addContents(directory: string, { totals, census }: VerifyReport, flushed = true): Promise<void> {
  const path = join(directory, REPORT);
  if (!existsSync(path)) return;
  const { errors, notes, files, bytes } = totals;
  const finished = await appendToReport(path, `${path}.partial`, 'contents', { verified: { files, bytes, errors, notes }, ...sorted(census ?? emptyCensus()) }, flushed);
  renameSync(`${path}.partial`, path);
  await amendManifest(join(directory, MANIFEST), { path: REPORT, ...finished }, flushed);
}

/** In an order that does not depend on which worker was first. */
function sorted({ months, users, channels, bytes }: Census): object {
  const byKey = <T>(counts: Record<string, T>): [string, T][] => Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    messages_by_month: Object.fromEntries(byKey(months).map(([month, counts]) => [month, Object.fromEntries(MESSAGE_KINDS.map((kind) => [kind, counts[kind]]))])),
    users: Object.fromEntries(byKey(users)), channels: Object.fromEntries(byKey(channels)), bytes_by_table: Object.fromEntries(byKey(bytes)),
  };
}
