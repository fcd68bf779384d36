/**
 * When a SELECT of a view file applies: the conditions of its `-- @select` line, held against the mode of the run and the live schema.
 *
 *   mode full | consent | public | user        without one: every mode but user
 *   table NAME, no table NAME                  the live schema has the table, or lacks it
 *   column TABLE.COLUMN, no column …           likewise for a column
 *   approved users                             a consent export of a list of users, which Zulip itself does not have
 *   many realms                                several full exports at once
 *   copied messages                            the same, and the ids of their messages are known (:message_ids)
 *   release >= NAME, release < NAME            the server follows the rules of that release, or of an older one (zulip-releases.ts)
 */
import { RealmliftError } from '../../errors.js';
import type { Catalog } from './catalog.js';
import { followsRelease, rulesFrom } from '../release/zulip-releases.js';

export const MODES = ['full', 'consent', 'public', 'user'] as const;
export type Mode = (typeof MODES)[number];

/** What the conditions are held against. */
export interface Circumstances {
  readonly mode: Mode;
  readonly catalog: Catalog;
  /** Set C is a list of approved users, not of those who consented. */
  readonly approved?: boolean;
  /** Views of a set of realms are compiled, see plan-set.ts. */
  readonly many?: boolean;
  /** And :message_ids will be bound. */
  readonly copied?: boolean;
  /** `ZulipVersion.zerverMigration`, e.g. 697. */
  readonly zerverMigration: number;
}

export type Condition =
  | { readonly kind: 'mode'; readonly mode: Mode }
  | { readonly kind: 'table'; readonly table: string; readonly present: boolean }
  | { readonly kind: 'column'; readonly table: string; readonly column: string; readonly present: boolean }
  | { readonly kind: 'approved' }
  | { readonly kind: 'many' | 'copied' }
  | { readonly kind: 'release'; readonly release: string; readonly reached: boolean };

/** @throws RealmliftError VIEW_FILE when a condition cannot be read */
export function parseConditions(text: string, where: string): Condition[] {
  return text.split(',').map((each) => each.trim()).filter((each) => each !== '').map((each) => parseCondition(each, where));
}

function parseCondition(text: string, where: string): Condition {
  const mode = /^mode (\w+)$/.exec(text)?.[1];
  if (mode !== undefined && (MODES as readonly string[]).includes(mode)) return { kind: 'mode', mode: mode as Mode };
  const table = /^(no )?table (\w+)$/.exec(text);
  if (table !== null) return { kind: 'table', table: table[2] as string, present: table[1] === undefined };
  const column = /^(no )?column (\w+)\.(\w+)$/.exec(text);
  if (column !== null) return { kind: 'column', table: column[2] as string, column: column[3] as string, present: column[1] === undefined };
  if (text === 'approved users') return { kind: 'approved' };
  if (text === 'many realms') return { kind: 'many' };
  if (text === 'copied messages') return { kind: 'copied' };
  const release = /^release (>=|<) (\S+)$/.exec(text);
  if (release !== null) {
    const name = release[2] as string;
    if (rulesFrom(name) === undefined) throw new RealmliftError('VIEW_FILE', 'plan', `${where}: data/zulip-releases.json does not say from when the rules of release ${name} hold`);
    return { kind: 'release', release: name, reached: release[1] === '>=' };
  }
  throw new RealmliftError('VIEW_FILE', 'plan', `${where}: "${text}" is no condition`);
}

/** True when all conditions hold. */
export function hold(conditions: readonly Condition[], circumstances: Circumstances): boolean {
  return conditions.every((each) => {
    switch (each.kind) {
      case 'mode': return each.mode === circumstances.mode;
      case 'table': return circumstances.catalog.has(each.table) === each.present;
      case 'column': return (circumstances.catalog.get(each.table)?.columns.has(each.column) ?? false) === each.present;
      case 'approved': return circumstances.approved === true;
      case 'many': return circumstances.many === true;
      case 'copied': return circumstances.copied === true;
      case 'release': return followsRelease(each.release, circumstances.zerverMigration) === each.reached;
    }
  });
}

/** The conditions in words, for plan and report. */
export function describe(conditions: readonly Condition[]): string {
  return conditions.map((each) => {
    switch (each.kind) {
      case 'mode': return `mode ${each.mode}`;
      case 'table': return `${each.present ? '' : 'no '}table ${each.table}`;
      case 'column': return `${each.present ? '' : 'no '}column ${each.table}.${each.column}`;
      case 'approved': return 'approved users';
      case 'many': return 'many realms';
      case 'copied': return 'copied messages';
      case 'release': return `release ${each.reached ? '>=' : '<'} ${each.release} (zerver ${String(rulesFrom(each.release)).padStart(4, '0')})`;
    }
  }).join(', ');
}
