/**
 * The registry of what travels is the directory sql/: one file a table, in one folder a data class.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RealmliftError } from '../errors.js';
import { hold, type Circumstances, type Condition } from './condition.js';
import { parseViewFile, type NamedSelect, type ViewFile } from './view-file.js';

/** Folders of sql/ in processing order: later ones refer to earlier ones. */
export const DATA_CLASSES = ['public_realm', 'cross_realm', 'disjoint_user', 'recipient', 'file', 'message'] as const;
export type DataClass = (typeof DATA_CLASSES)[number];

export interface Registry {
  /** Exported tables in processing order, by the name they have in the export. */
  readonly tables: ReadonlyMap<string, ViewFile>;
  /** Named selections that tables and other selections read. */
  readonly selections: ReadonlyMap<string, ViewFile>;
  /** Views of what stays although it belongs to the realm, for the report. */
  readonly ledger: readonly ViewFile[];
  /** Table -> why it does not travel on its own (sql/not-exported.txt). */
  readonly notExported: ReadonlyMap<string, string>;
  /** Columns that the known Zulip releases have, and what those that are foreign keys refer to. */
  readonly known: ReadonlyMap<string, ReadonlyMap<string, string | undefined>>;
}

/** The package's root: the nearest directory above this file that holds sql/. */
export function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    if (readdirSync(directory).includes('package.json')) return directory;
    const parent = dirname(directory);
    if (parent === directory) throw new RealmliftError('INSTALLATION', 'plan', 'the directory sql/ of the package is missing', { hint: 'install realmlift again' });
    directory = parent;
  }
}

/** Reads all of sql/. @throws RealmliftError VIEW_FILE when a file cannot be read */
export function loadRegistry(directory = join(packageRoot(), 'sql')): Registry {
  const folder = (name: string): ViewFile[] =>
    readdirSync(join(directory, name)).filter((file) => file.endsWith('.sql')).sort()
      .map((file) => parseViewFile(readFileSync(join(directory, name, file), 'utf8'), name, file.slice(0, -'.sql'.length)));
  const tables = DATA_CLASSES.flatMap(folder);
  return {
    tables: new Map(tables.map((view) => [view.name, view])),
    selections: new Map(folder('selection').map((view) => [view.name, view])),
    ledger: folder('ledger'),
    notExported: notExported(readFileSync(join(directory, 'not-exported.txt'), 'utf8')),
    known: knownColumns(readdirSync(join(directory, 'known')).map((file) => readFileSync(join(directory, 'known', file), 'utf8'))),
  };
}

export interface Choice {
  readonly select: NamedSelect;
  /** The conditions that decided; empty for a SELECT without any. */
  readonly because: readonly Condition[];
}

/** The first SELECT of the file whose conditions hold, or undefined: then the table does not travel under these circumstances. */
export function chooseSelect(view: ViewFile, circumstances: Circumstances): Choice | undefined {
  if (!hold(view.since, circumstances)) return undefined;
  for (const select of view.selects) {
    for (const conditions of select.when) {
      const meant = circumstances.mode !== 'user' || conditions.some((each) => each.kind === 'mode');
      if (meant && hold(conditions, circumstances)) return { select, because: conditions };
    }
  }
  return undefined;
}

/** Lines `table  reason`; `prefix_*` covers a family of tables; `#` starts a comment. */
function notExported(text: string): Map<string, string> {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => {
    const [table, ...reason] = line.trim().split(/\s+/);
    return [table as string, reason.join(' ')];
  }));
}

/** Why the table does not travel, or undefined when nothing classifies it. */
export function reasonNotExported(registry: Registry, table: string): string | undefined {
  const exact = registry.notExported.get(table);
  if (exact !== undefined) return exact;
  for (const [pattern, reason] of registry.notExported) if (pattern.endsWith('*') && table.startsWith(pattern.slice(0, -1))) return reason;
  return undefined;
}

/** Lines `table: column column>referenced …`, one file a Zulip release. */
function knownColumns(texts: readonly string[]): Map<string, Map<string, string | undefined>> {
  const known = new Map<string, Map<string, string | undefined>>();
  for (const line of texts.flatMap((text) => text.split('\n'))) {
    const [table, columns] = line.split(': ');
    if (table === undefined || columns === undefined || line.startsWith('#')) continue;
    const of = known.get(table) ?? new Map<string, string | undefined>();
    known.set(table, of);
    for (const column of columns.split(' ')) {
      const [name, references] = column.split('>');
      of.set(name as string, references);
    }
  }
  return known;
}
