/**
 * The plan of many full exports at once: each table is one query for all of their realms, whose first column says of which realm a row is.
 * A full export asks nothing of its realm alone (no set C, no seed), so one plan serves all.
 */
import { withSelections, type CompiledRegistry, type CompiledView, type Decisions } from './views/compile-view.js';
import { inline, type Parameters } from './parameters.js';
import { circumstancesOf, compileOnce, refuseUnknownDecisions } from './plan-export.js';
import { planTables, type PlannedTable } from './plan-tables.js';
import { SYSTEM_REALM, type Realm } from './realm.js';
import { TENANT } from './views/set-form.js';
import type { Source } from './source.js';

export interface SetPlan {
  readonly compiled: CompiledRegistry;
  readonly parameters: Parameters;
  /** Columns and keys without the tenant. */
  readonly tables: readonly PlannedTable[];
}

/** What the export itself finds out of the set's messages. */
export type FoundParameters = Pick<Parameters, 'message_client_ids' | 'message_client_realm_ids'>;

/** The realm of the system bots is exported with them, the others without. */
export function canJoinSet({ stringId }: Realm): boolean {
  return stringId !== SYSTEM_REALM;
}

/**
 * @param realms all of which canJoinSet @param avatarless users with an uploaded avatar that does not travel
 * @param told whoever asks knows the ids of the messages that travel, and binds them @throws RealmliftError as planExport
 */
export function planSet(source: Source, realms: readonly Realm[], decisions: Decisions, avatarless: readonly number[] = [], told = true): SetPlan {
  const { catalog, registry, systemBots } = source;
  refuseUnknownDecisions(decisions, source);
  const compiled = compileOnce(source, { ...circumstancesOf({ mode: 'full', approved: undefined }, source), many: true, copied: told }, decisions, 'set');
  const bots = systemBots.map((bot) => bot.id);
  const tables = planTables(compiled, registry, catalog, 'full').map((table) => {
    const at = table.columns.indexOf(TENANT);
    return { ...table, columns: table.columns.toSpliced(at, 1), keys: table.keys.toSpliced(at, 1) };
  });
  return {
    compiled, tables,
    parameters: {
      realm_id: undefined, realm_ids: realms.map(({ id }) => id), user_id: undefined, system_bot_ids: bots, cross_realm_bot_ids: bots, bot_group_ids: source.botGroups, consenting_user_ids: [], avatarless_user_ids: avatarless,
      message_client_ids: [], message_client_realm_ids: [], missing_attachment_ids: [], seed: '',
    },
  };
}

/**
 * The query of a view of the set: the tenant, then the columns. Conditions on `t` and an order may follow; the planner sees through to the
 * table, and so reads messages in the order of an index instead of sorting them.
 */
export function setQuery(view: CompiledView, { compiled, parameters }: SetPlan, found?: FoundParameters): string {
  const columns = [TENANT, ...view.columns.filter((column) => column !== TENANT)];
  return inline(withSelections({ ...view, columns }, compiled.selections), { ...parameters, ...found });
}
