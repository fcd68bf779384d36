/**
 * The head of manifest.json against what the files say. No checksum covers it, and merge, remap, load and later exports believe it: whose
 * realm the rows are, whose private data they hold, and of which moment they are.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { RealmliftError } from '../errors.js';
import { lines } from '../package/lines.js';
import { readFile } from '../json/file-input.js';
import { JsonScanner } from '../json/json-scanner.js';
import { REPORT, USER_FILE } from '../package/export-files.js';
import { MANIFEST } from '../package/manifest.js';
import { IdTable } from '../ids/id-table.js';
import { kindOf, type OpenedExport } from './export-opening.js';
import type { FindingList } from './findings.js';
import { indexRealm, type RealmIndex } from './realm-index.js';

/** What report.json says first. */
interface ReportHead {
  readonly mode?: unknown;
  readonly snapshot?: { readonly taken_at?: unknown; readonly id?: unknown };
}

export async function checkHeader({ directory, header, oneUser, consented }: OpenedExport, { targets, realmName }: RealmIndex, findings: FindingList): Promise<void> {
  if (header === undefined) return;
  const { realm, realm_id: realmId, mode, snapshot, options } = header;
  const differs = (what: string, here: unknown, there: string): void => {
    if (there !== String(here)) findings.add('error', MANIFEST, undefined, `it says ${what} ${String(here)}, the files say ${there}`);
  };
  const realms = new IdTable(false, targets.realm);
  if (realms.size > 0 && !realms.has(realmId)) differs('realm_id', realmId, [...realms.ids()].slice(0, 5).join(', '));
  // Where several were joined, the realm had a name in each.
  if (realmName !== undefined && options['merged'] === undefined) differs('realm', realm, realmName);
  const head = await kindOf(join(directory, REPORT)) === 'file' ? headOfReport(join(directory, REPORT)) : undefined;
  if (typeof head?.mode === 'string') differs('mode', mode, head.mode);
  else if (oneUser !== (mode === 'user')) differs('mode', mode, oneUser ? 'user' : 'full, consent or public');
  // Who agreed is listed where that mattered, and nowhere else.
  else if ((consented !== undefined) !== (mode === 'consent')) differs('mode', mode, consented === undefined ? 'full or public' : 'consent');
  for (const key of ['taken_at', 'id'] as const) {
    const said = head?.snapshot?.[key];
    if (typeof said === 'string') differs(`snapshot.${key}`, snapshot[key], said);
  }
}

/** Whether the rows are those of this user alone, whatever the manifest says. */
export function isOfUser(directory: string, realmId: number, userId: number): boolean {
  const path = join(directory, USER_FILE);
  const index = existsSync(path) ? readFile(path, (source) => {
    const scanner = new JsonScanner();
    scanner.open(source);
    return indexRealm(scanner, true);
  }).value : undefined;
  return index !== undefined && new IdTable(false, index.targets.account).has(userId) && new IdTable(false, index.targets.realm).has(realmId);
}

/** The report of a merge has neither, and one of damaged JSON has a finding of its own. */
function headOfReport(path: string): ReportHead | undefined {
  let text = '';
  try {
    for (const line of lines(path, () => new RealmliftError('JSON_DAMAGED', 'verify', 'a line is too long'))) {
      // The snapshot is the first object in it; what follows may be longer than memory.
      if (line === '  },') return JSON.parse(`${text}}}`) as ReportHead;
      if (line === '  ],') return undefined;
      text += line;
    }
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RealmliftError)) throw error;
  }
  return undefined;
}
