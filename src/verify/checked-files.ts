/**
 * What verify found of messages files that were good, remembered beside the export: of a file that a later export takes over as it is,
 * the SHA-256 is compared and nothing more, for all that its rows point to is still there.
 */
import type { Census } from './census.js';
import type { ExportKind, HeldTarget, SharedContext } from './export-context.js';
import { IdTable } from '../ids/id-table.js';
import { REFERENCES } from './references.js';
import type { TableFileResult } from './check-table-file.js';
import type { MessagesFound } from './message-rows.js';
import type { RowCounts } from './table-scanner.js';

/** A file without a finding. */
export interface CheckedFile {
  readonly sha256: string;
  readonly size: number;
  readonly rows: readonly (readonly [table: string, count: number])[];
  readonly min: number;
  readonly max: number;
  /** Of its messages, each as its distance to the one before. */
  readonly ids: readonly number[];
  readonly census: Census;
}

/** By what messages files were checked: with all of it, and more, what was good is good. */
export interface CheckedBy {
  readonly kind: ExportKind;
  /** Ids and what they carry, by what they are ids of. */
  readonly targets: Readonly<Record<string, readonly (readonly [id: number, value: number])[]>>;
}

/** What an earlier export remembers. */
export interface CheckedBefore {
  readonly by: CheckedBy;
  /** Undefined where the file was not checked, or not found good. */
  find(sha256: string): CheckedFile | undefined;
}

/** What can be known of a context by rows of messages files. */
const TARGETS = new Set(['zerver_message', 'zerver_usermessage'].flatMap((table) => Object.values(REFERENCES[table] ?? {}))) as ReadonlySet<HeldTarget>;

export function checkedBy({ kind, targets }: SharedContext): CheckedBy {
  const held = [...TARGETS].map((target): [string, [number, number][]] => {
    const table = new IdTable(false, targets[target]);
    return [target, [...table.ids()].sort((a, b) => a - b).map((id) => [id, table.get(id) ?? 0])];
  });
  return { kind, targets: Object.fromEntries(held) };
}

/** Does all that was there still mean the same? What has come since does not matter. */
export function stillHolds({ kind, targets }: CheckedBy, now: SharedContext): boolean {
  if (JSON.stringify(kind) !== JSON.stringify(now.kind)) return false;
  return [...TARGETS].every((target) => {
    const table = new IdTable(false, now.targets[target]);
    return targets[target]?.every(([id, value]) => table.has(id) && (table.get(id) ?? 0) === value) === true;
  });
}

/** Undefined for a file of which anything was told. */
export function toRemember({ sha256, size, rows, findings, messages, census }: TableFileResult): CheckedFile | undefined {
  if (findings.length > 0 || rows === undefined || messages === undefined) return undefined;
  const { min, max, ids } = messages;
  return { sha256, size, rows: [...rows], min, max, ids: Array.from(ids, (id, at) => id - (ids[at - 1] ?? 0)), census };
}

/** Of a file without a finding, of which all is known. */
interface GoodFileResult extends TableFileResult {
  rows: RowCounts;
  messages: MessagesFound;
}

/** As if the file had been read again. */
export function asRead(file: string, { sha256, size, rows, min, max, ids, census }: CheckedFile): GoodFileResult {
  let last = 0;
  return { file, sha256, size, rows: new Map(rows), findings: [], messages: { min, max, ids: Float64Array.from(ids, (distance) => (last += distance)) }, census };
}
