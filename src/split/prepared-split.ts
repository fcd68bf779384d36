/** A split between its plan and its place. */
import type pg from 'pg';
import { sequenceValues, type SequenceValue } from '../backup/source/source-catalog.js';
import type { ExportPlan } from '../plan/plan-export.js';
import type { Source } from '../plan/source.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { usersSchemas } from '../snapshot/unqualified-names.js';
import type { CutReference } from './cut-references.js';
import { references, tableShapes, type Reference } from './split-columns.js';
import { countMessages } from './split-progress.js';
import { MESSAGES, messageQueries, splitRows, USERMESSAGES, type MessageQueries, type SplitRows } from './split-rows.js';
import type { SchemaSource } from './split-schema.js';

/** What a split consists of, before it goes anywhere. */
export interface PreparedSplit extends SchemaSource {
  readonly realms: readonly string[];
  readonly source: Source;
  /** Schemas in which the database's functions find what they name without one. */
  readonly path: readonly string[];
  readonly rows: readonly SplitRows[];
  readonly messages: readonly MessageQueries[];
  /** Rows of the clients, once all messages have come. @param ids of theirs */
  readonly clients: (ids: readonly number[]) => Promise<SplitRows[]>;
  readonly references: readonly Reference[];
  /** Where each stands: perhaps behind the rows, never before them. */
  readonly sequences: readonly SequenceValue[];
  /** Counted for those who want to know how far it is. */
  readonly expectedMessages: number;
}

/** What came of it where it went. */
export interface SplitOutcome {
  readonly tables: number;
  readonly rows: number;
  /** References to rows that stayed. */
  readonly cut: readonly CutReference[];
  /** What was left out of the schema. */
  readonly warnings: readonly string[];
}

/** Told by whoever writes. */
export interface SplitSteps {
  /** Something is there that was not. */
  begun(): void;
  /** The snapshot is needed no more. */
  read(): void;
  /** What makes a database complete is about to be committed. */
  last(): void;
}

const CLIENTS = 'zerver_client';

/** @param session finds the source's tables @throws RealmliftError RIGHT_MISSING, SECRET_UNFILLED */
export async function prepareSplit(session: pg.Client, snapshot: Snapshot, source: Source, plans: readonly ExportPlan[], pgDump: string): Promise<PreparedSplit> {
  const shapes = await tableShapes(session, source.schema);
  const rows: SplitRows[] = [];
  for (const shape of shapes) if (![MESSAGES, USERMESSAGES, CLIENTS].includes(shape.name)) rows.push(...await splitRows(session, source, plans, shape));
  const messages: MessageQueries[] = [];
  for (const [n, plan] of plans.entries()) messages.push(await messageQueries(session, source, plan, plans.slice(0, n), shapes));
  const clients = async (ids: readonly number[]): Promise<SplitRows[]> => {
    const known = plans.map((plan) => ({ ...plan, parameters: { ...plan.parameters, message_client_ids: ids } }));
    // By then the session may be somebody else's.
    return (await Promise.all(shapes.filter(({ name }) => name === CLIENTS).map((shape) => splitRows(snapshot.client, source, known, shape)))).flat();
  };
  const { rows: [server] } = await session.query<{ encoding: string }>(`SELECT current_setting('server_encoding') AS encoding`);
  return {
    snapshot, source, pgDump, realms: plans.map(({ request: { realm } }) => realm.stringId), encoding: server?.encoding ?? 'UTF8', path: await usersSchemas(session),
    rows, messages, clients, expectedMessages: await countMessages(session, messages), references: await references(session, source.schema), sequences: await sequenceValues(session),
  };
}
