/** A query whose rows become JSON: described, copied, through the transform, into a sink. */
import type pg from 'pg';
import { copyError } from '../../copy/copy-error.js';
import { copyRows } from '../../copy/copy-rows.js';
import { describeColumns } from '../../copy/describe-columns.js';
import type { PlannedTable } from '../../plan/plan-tables.js';
import { columnsOf, copyableSelect } from '../../transform/columns-of.js';
import { CopyToJson } from '../../transform/copy-to-json.js';
import type { DealtSink, RowSink, SegmentedSink } from '../../transform/row-sinks.js';

/** A query and how its rows are written. */
export interface RowQuery {
  readonly table: string;
  readonly select: string;
  readonly keys: readonly string[];
  readonly stripped: readonly string[];
}

/** @param select the query of the table's rows, in the order of its columns */
export function rowQuery({ name, keys, stripped }: PlannedTable, select: string): RowQuery {
  return { table: name, select, keys, stripped };
}

/** What has come since the last time. */
export interface Progress {
  readonly table: string;
  readonly rows: number;
  /** Of COPY. */
  readonly bytes: number;
}

/** @param fields of the query, see {@link describeQuery} @returns the number of rows */
export async function copyInto(
  client: pg.Client, query: RowQuery, fields: readonly pg.FieldDef[], sink: RowSink, onProgress: (progress: Progress) => void,
): Promise<number> {
  const encoder = encoderOf(query, fields, sink);
  await copyEncoded(client, query, fields, encoder, onProgress);
  return encoder.rows;
}

/** Copies the rows through the encoder, to its end. */
export async function copyEncoded(
  client: pg.Client, { select, table }: RowQuery, fields: readonly pg.FieldDef[], encoder: CopyToJson, onProgress: (progress: Progress) => void,
): Promise<void> {
  let rows = 0;
  await copyRows(client, copyableSelect(select, fields), (chunk) => {
    encoder.push(chunk);
    onProgress({ table, rows: encoder.rows - rows, bytes: chunk.length });
    rows = encoder.rows;
  }, table, 'binary');
  encoder.end();
}

export function encoderOf({ keys, table, stripped }: RowQuery, fields: readonly pg.FieldDef[], sink: RowSink | SegmentedSink | DealtSink): CopyToJson {
  return new CopyToJson(columnsOf(fields, keys, table), sink, table, new Set(stripped));
}

/** Names and types of the query's columns. */
export async function describeQuery(client: pg.Client, { select, table }: RowQuery): Promise<pg.FieldDef[]> {
  try {
    return await describeColumns(client, select);
  } catch (error) {
    throw copyError(error, table, select, client.user ?? 'the role');
  }
}
