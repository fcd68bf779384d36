/** Loads tables: rows of the export with the ids of the new server, by COPY. */
import type pg from 'pg';
import { copyIn } from '../../copy/copy-in.js';
import { targetFault } from '../../copy/target-fault.js';
import { RealmliftError } from '../../errors.js';
import { eachTableFile } from '../../pipe/opened-tables.js';
import { RowFields } from '../../json/row-fields.js';
import type { TableFile } from '../../pipe/table-file.js';
import type { BotIds, KnownIds } from '../../remap/assignment.js';
import { knownIds, type OwnIds } from '../../remap/own-ids.js';
import { Outside } from '../../remap/outside.js';
import { spaceOf } from '../../remap/reference-catalog.js';
import { RowRewriter, type RewriteContext } from '../../remap/rewrite-row.js';
import { CopyText } from './copy-text.js';
import { importRules, type Rules } from './import-rules.js';
import { MESSAGES, NOT_LOADED, USERMESSAGES, type LoadSource, type MessageFile } from '../source/load-source.js';
import type { ReservedIds } from '../server/reserved-ids.js';
import { ServerRows } from './server-rows.js';
import { encoderOf, layoutOf, type Schema, type TableLayout } from './table-layout.js';
import { qualify } from '../server/target-tables.js';

/** Tables of pairs that the export folds into the rows of attachments, and the key of the list there. */
export const LISTS: Readonly<Record<string, { readonly key: string; readonly column: string }>> = {
  zerver_attachment_messages: { key: 'messages', column: 'message_id' },
  zerver_attachment_scheduled_messages: { key: 'scheduled_messages', column: 'scheduledmessage_id' },
};
const ATTACHMENTS = 'zerver_attachment';

export interface LoaderContext {
  readonly source: LoadSource;
  readonly schema: Schema;
  readonly rewrite: RewriteContext;
  readonly ids: ReservedIds;
  /** The new server's. */
  readonly bots: ReadonlyMap<string, BotIds>;
  /** Groups that the new server has. */
  readonly known: KnownIds;
}

export class TableLoader {
  readonly #context: LoaderContext;
  readonly #rules: Rules;
  readonly #there: ServerRows;
  /** Rows that were loaded, by table. */
  readonly rows = new Map<string, number>();

  constructor(context: LoaderContext) {
    this.#context = context;
    this.#rules = importRules(context.rewrite, context.source.files);
    this.#there = new ServerRows(context.bots, context.known);
  }

  /** All that the export holds of a table of the database but what is in messages files. */
  async table(client: pg.Client, table: string, signal: AbortSignal): Promise<void> {
    if (table in LISTS) return this.#list(client, table, signal);
    const { source, schema } = this.#context;
    const own = this.#ownIds(table);
    for (const file of source.files) {
      for (const name of file.tables) {
        if (NOT_LOADED.has(name) || schema.registry.tables.get(name)?.table !== table) continue;
        const layout = layoutOf(name, file, schema, this.#rules);
        if (layout !== undefined) await this.#copy(client, layout, this.#chunks(name, file, layout, own), signal);
      }
    }
  }

  /** @param tables of messages files, each after those that it refers to */
  async messages(client: pg.Client, { listed, usermessagesBefore }: MessageFile, tables: readonly string[], signal: AbortSignal): Promise<void> {
    const { source, schema, ids } = this.#context;
    for (const file of eachTableFile(source.source, [listed])) {
      for (const table of tables) {
        const layout = layoutOf(table, file, schema, this.#rules);
        if (layout === undefined) continue;
        let count = usermessagesBefore;
        const own = table === USERMESSAGES ? { next: () => ids.nth(table, ++count) } : this.#ownIds(table);
        await this.#copy(client, layout, this.#chunks(table, file, layout, own), signal);
      }
    }
  }

  #ownIds(table: string): OwnIds {
    const { rewrite, ids } = this.#context;
    const space = rewrite.survey.spaces.get(spaceOf(table));
    if (space !== undefined) return knownIds(space, undefined);
    if (table === MESSAGES || table === USERMESSAGES) throw new RealmliftError('UNEXPECTED', 'load', 'the ids are not known', { table });
    let count = 0;
    return { next: (old) => (Number.isNaN(old) ? old : ids.nth(table, ++count)) };
  }

  *#chunks(name: string, file: TableFile, layout: TableLayout, own: OwnIds): Generator<Buffer> {
    const rewriter = new RowRewriter(name, this.#context.rewrite, own);
    const encoder = encoderOf(layout);
    const fields = new RowFields();
    const out = new CopyText();
    let rows = 0;
    for (const row of file.rows(name)) {
      fields.split(rewriter.rewrite(row));
      if (this.#there.has(layout.table, rewriter.newId, fields)) continue;
      encoder.encode(fields, out);
      rows++;
      if (out.full) yield out.take();
    }
    yield out.take();
    this.rows.set(layout.table, (this.rows.get(layout.table) ?? 0) + rows);
  }

  async #list(client: pg.Client, table: string, signal: AbortSignal): Promise<void> {
    const { key, column } = LISTS[table] as { key: string; column: string };
    const { source, rewrite } = this.#context;
    const own = this.#ownIds(ATTACHMENTS);
    // What points outside was counted with the attachments.
    const rewriter = new RowRewriter(ATTACHMENTS, { ...rewrite, outside: new Outside() }, own);
    const rows = this.rows;
    const chunks = function* (): Generator<Buffer> {
      const fields = new RowFields();
      const out = new CopyText();
      for (const file of source.files) {
        for (const row of file.rows(ATTACHMENTS)) {
          fields.split(rewriter.rewrite(row));
          const list = fields.find(key);
          for (const id of list === -1 ? [] : JSON.parse(fields.bytes(list).toString('latin1')) as number[]) {
            out.separate();
            out.text(String(rewriter.newId));
            out.separate();
            out.text(String(id));
            out.endRow();
            rows.set(table, (rows.get(table) ?? 0) + 1);
          }
          if (out.full) yield out.take();
        }
      }
      yield out.take();
    };
    await this.#copy(client, { table, columns: [{ name: 'attachment_id' }, { name: column }] }, chunks(), signal);
  }

  async #copy(client: pg.Client, { table, columns }: { readonly table: string; readonly columns: readonly { readonly name: string }[] }, chunks: Iterable<Buffer>, signal: AbortSignal): Promise<void> {
    const target = `${qualify(client, this.#context.schema.tables.schema, table)} (${columns.map(({ name }) => client.escapeIdentifier(name)).join(', ')})`;
    try {
      await copyIn(client, target, chunks, signal);
    } catch (error) {
      throw targetFault(error, table, 'load');
    }
  }
}
