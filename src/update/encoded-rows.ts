/** The rows of one table of an export as a load would write them, one after the other. */
import { CopyText } from '../load/rows/copy-text.js';
import { MADE_ANEW } from '../load/rows/import-rules.js';
import { RowEncoder, type EncodedColumn } from '../load/rows/row-encoder.js';
import { encoderOf, layoutOf, type Schema, type TableLayout } from '../load/rows/table-layout.js';
import { LISTS } from '../load/rows/table-loader.js';
import { RowFields } from '../json/row-fields.js';
import type { TableFile } from '../pipe/table-file.js';
import type { OwnIds } from '../remap/own-ids.js';
import { RowRewriter } from '../remap/rewrite-row.js';
import { ADDED } from '../remap/reference-catalog.js';
import type { Side } from './sides.js';

/** Rewrites and encodes single rows of a table. */
export class RowWriter {
  readonly layout: TableLayout;
  readonly #rewriter: RowRewriter;
  readonly #compared: RowEncoder;
  readonly #loaded: RowEncoder;
  readonly #there: Side['there'];
  readonly #fields = new RowFields();
  readonly #text = new CopyText();

  constructor(name: string, layout: TableLayout, { rewrite, there }: Side, own: OwnIds) {
    this.layout = layout;
    this.#there = there;
    this.#rewriter = new RowRewriter(name, rewrite, own);
    this.#compared = new RowEncoder(layout.columns.map((column) => (isDrawn(layout, column) ? { ...column, rule: () => '' } : column)), ADDED);
    this.#loaded = encoderOf(layout);
  }

  /** @returns false for a row that the new server has */
  take(row: Buffer): boolean {
    this.#fields.split(this.#rewriter.rewrite(row));
    return !this.#there.has(this.layout.table, this.#rewriter.newId, this.#fields);
  }

  /** Of the row that was taken last, as the export has it. */
  get old(): number {
    return this.#rewriter.id;
  }

  get id(): number {
    return this.#rewriter.newId;
  }

  /** Its values but those that a load draws, and the lists that go to tables of their own. It holds until the next call of any. */
  compared(): Buffer {
    this.#text.clear();
    this.#compared.encode(this.#fields, this.#text);
    if (this.layout.table === 'zerver_attachment') for (const { key } of Object.values(LISTS)) this.#text.text(this.list(key));
    return this.#text.written;
  }

  /** As COPY takes it. It holds until the next call of any. */
  loaded(): Buffer {
    this.#text.clear();
    this.#loaded.encode(this.#fields, this.#text);
    return this.#text.written;
  }

  /** The JSON of a list of ids. */
  list(key: string): string {
    const field = this.#fields.find(key);
    return field === -1 ? '[]' : this.#fields.bytes(field).toString('latin1');
  }
}

/** Columns whose values a load draws, and a row that was loaded keeps. */
export function drawnColumns(layout: TableLayout): string[] {
  return layout.columns.filter((column) => isDrawn(layout, column)).map(({ name }) => name);
}

function isDrawn({ table }: TableLayout, { name, rule }: EncodedColumn): boolean {
  return rule !== undefined && MADE_ANEW[table]?.[name] !== undefined;
}

/** All rows of a table that would be loaded, row by row. */
export class RowCursor {
  readonly #rows: Generator<RowWriter, void>;
  /** At the present row; undefined behind the last. */
  present: RowWriter | undefined;

  constructor(name: string, files: readonly TableFile[], side: Side, schema: Schema, own: OwnIds) {
    this.#rows = eachRow(name, files, side, schema, own);
    this.advance();
  }

  advance(): void {
    const next = this.#rows.next();
    this.present = next.done === true ? undefined : next.value;
  }
}

function* eachRow(name: string, files: readonly TableFile[], side: Side, schema: Schema, own: OwnIds): Generator<RowWriter, void> {
  for (const file of files) {
    const layout = layoutOf(name, file, schema, side.rules);
    if (layout === undefined) continue;
    const writer = new RowWriter(name, layout, side, own);
    for (const row of file.rows(name)) if (writer.take(row)) yield writer;
  }
}
