/**
 * The registry of what travels is the directory sql/: one file a table, in one folder a data class.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { RealmliftError } from '../../errors.js';
import { packageRoot } from '../../package-root.js';
import { hold, type Circumstances, type Condition } from './condition.js';
import { migrationOf } from '../release/zulip-releases.js';
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
  readonly known: Columns;
  /** The same release by release, oldest first. */
  readonly releases: readonly KnownRelease[];
}

type Columns = ReadonlyMap<string, ReadonlyMap<string, string | undefined>>;

interface KnownRelease {
  readonly zerverMigration: number;
  readonly columns: Columns;
}

/** Reads all of sql/. @throws RealmliftError VIEW_FILE when a file cannot be read */
export function loadRegistry(directory?: string): Registry {
  return directory === undefined ? shipped ??= readRegistry(join(packageRoot(), 'sql')) : readRegistry(directory);
}

/** The package's own, which every page of a report asks for. */
let shipped: Registry | undefined;

function readRegistry(directory: string): Registry {
  const folder = (name: string): ViewFile[] =>
    readdirSync(join(directory, name)).filter((file) => file.endsWith('.sql')).sort()
      .map((file) => parseViewFile(readFileSync(join(directory, name, file), 'utf8'), name, file.slice(0, -'.sql'.length)));
  const tables = DATA_CLASSES.flatMap(folder);
  const known = join(directory, 'known');
  const releases = readdirSync(known).map((file) => knownRelease(known, file)).sort((a, b) => a.zerverMigration - b.zerverMigration);
  return {
    tables: new Map(tables.map((view) => [view.name, view])),
    selections: new Map(folder('selection').map((view) => [view.name, view])),
    ledger: folder('ledger'),
    notExported: notExported(readFileSync(join(directory, 'not-exported.txt'), 'utf8')),
    known: merged(releases.map(({ columns }) => columns)), releases,
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

/** The file sql/known/zulip-RELEASE.txt. */
function knownRelease(directory: string, file: string): KnownRelease {
  const zerverMigration = migrationOf(/^zulip-(.+)\.txt$/.exec(file)?.[1] ?? '');
  if (zerverMigration === undefined) throw new RealmliftError('VIEW_FILE', 'plan', `sql/known/${file} is named after no release of data/zulip-releases.json`);
  return { zerverMigration, columns: knownColumns(readFileSync(join(directory, file), 'utf8')) };
}

/** Lines `table: column column>referenced …`, one file a Zulip release. */
function knownColumns(text: string): Columns {
  const lines = text.split('\n').filter((line) => !line.startsWith('#') && line.includes(': ')).map((line) => line.split(': ') as [string, string]);
  return new Map(lines.map(([table, columns]) => [table, new Map(columns.split(' ').map((column) => column.split('>') as [string, string | undefined]))]));
}

function merged(releases: readonly Columns[]): Columns {
  const tables = new Map<string, Map<string, string | undefined>>();
  for (const [table, columns] of releases.flatMap((release) => [...release])) {
    const of = tables.get(table) ?? new Map<string, string | undefined>();
    tables.set(table, of);
    for (const [column, references] of columns) of.set(column, references ?? of.get(column));
  }
  return tables;
}

/**
 * Columns by table that a server of this migration can be expected to have: the two known releases that it lies between both
 * have them.
 */
export function expectedColumns({ releases }: Registry, zerverMigration: number): Map<string, Set<string>> {
  const before = releases.findLast((release) => release.zerverMigration <= zerverMigration);
  const after = releases.find((release) => release.zerverMigration >= zerverMigration);
  const [first, ...others] = [before, after].flatMap((release) => (release === undefined ? [] : [release.columns]));
  const tables = [...(first ?? [])].filter(([table]) => others.every((release) => release.has(table)));
  return new Map(tables.map(([table, columns]) => [table, new Set([...columns.keys()].filter((column) => others.every((release) => release.get(table)?.has(column) === true)))]));
}
