/** A directory that holds exports where one export is meant, and a file of one: who names it is told what to name. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { EXIT, RealmliftError } from '../errors.js';
import { REALM_FILE, USER_FILE } from './export-files.js';

/** So many are named. */
const NAMED = 5;

/** One of which every export of a realm or a user has. */
const TABLES = [REALM_FILE, USER_FILE];

/** @throws RealmliftError NOT_AN_EXPORT when `path` is no export, but has some in it, as the output directory of `realmlift export` */
export function refuseParent(path: string): void {
  if (isExport(path)) return;
  const within = directoriesIn(path).map((name) => join(path, name)).filter(isExport);
  const [first] = within;
  if (first === undefined) return;
  throw new RealmliftError('NOT_AN_EXPORT', 'usage', `${path} is no export, but holds ${within.length === 1 ? 'one' : within.length}`, {
    hint: `name ${within.length === 1 ? first : `one: ${within.slice(0, NAMED).join(', ')}${within.length > NAMED ? ' …' : ''}`}`, exit: EXIT.usage,
  });
}

/** The export that a file lies in, at its top. */
export function exportAround(path: string): string | undefined {
  const around = dirname(resolve(path));
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true && isExport(around) ? around : undefined;
}

function isExport(path: string): boolean {
  return TABLES.some((name) => existsSync(join(path, name)));
}

/** None where nobody may look: who opens it says why. */
function directoriesIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory() && !entry.name.endsWith('.partial')).map(({ name }) => name).sort();
  } catch {
    return [];
  }
}
