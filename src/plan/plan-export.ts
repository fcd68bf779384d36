/** The plan of one export: whose rows, by which rules, in which queries. It reads no message content. */
import type pg from 'pg';
import { closeNames } from '../close-names.js';
import { EXIT, RealmliftError } from '../errors.js';
import { columnNeeded } from './views/check-view.js';
import { compileRegistry, type CompiledRegistry, type Decisions, type Form } from './views/compile-view.js';
import type { Circumstances, Mode } from './views/condition.js';
import { consentingUsers, refuseWithoutDefaults, refuseWithoutOwner } from './consent.js';
import { fileRules } from './release/file-rules.js';
import type { Parameters } from './parameters.js';
import { planTables, type PlannedTable } from './plan-tables.js';
import { SYSTEM_REALM, type Realm } from './realm.js';
import { reviewSchema, type SchemaReview } from './views/schema-review.js';
import type { Source } from './source.js';
import { followsRelease } from './release/zulip-releases.js';
import type { ZulipVersion } from './release/zulip-version.js';

export interface ExportRequest {
  readonly realm: Realm;
  readonly mode: Mode;
  /** Id of the single user, in user mode. */
  readonly userId: number | undefined;
  readonly decisions: Decisions;
  readonly consentMessage: number | undefined;
  readonly approved: readonly number[] | undefined;
  /** Whose uploaded avatars travel; by default those of everybody in the export. */
  readonly avatars?: 'all' | 'consenting' | 'none' | undefined;
  /** Export although nobody could administer the result. */
  readonly force: boolean;
  /** Secret from which the random parts are drawn. */
  readonly seed: string;
}

export interface ExportPlan {
  readonly request: ExportRequest;
  readonly parameters: Parameters;
  readonly compiled: CompiledRegistry;
  readonly tables: readonly PlannedTable[];
  readonly review: SchemaReview;
  /** What was asked about references that point outside, and the answer; undefined where that is long. */
  readonly outside?: Answer | undefined;
}

export interface Answer {
  /** Digest of the query. */
  readonly query: string;
  readonly rows: readonly (readonly number[])[];
}

/** What a run has compiled already: the realms of one run differ in parameters alone, and the gate parses every view. */
const compiledOf = new WeakMap<Source, Map<string, CompiledRegistry>>();

/**
 * @throws RealmliftError NO_OWNER, DEFAULTS_MISSING, CONSENT_MESSAGE, SECRET_UNDECIDED, VIEW_REFUSED, COLUMN_UNKNOWN, COLUMN_NEEDED, COLUMN_SECRET, SCHEMA_UNKNOWN
 */
export async function planExport(client: pg.Client, source: Source, request: ExportRequest): Promise<ExportPlan> {
  const { catalog, registry, version } = source;
  refuseUnknownDecisions(request.decisions, source);
  const circumstances = circumstancesOf(request, source);
  const compiled = compileOnce(source, circumstances, request.decisions);
  const consenting = request.mode === 'consent' ? await consentingUsers(client, catalog, request.realm, request) : [];
  const { force, mode } = request;
  // Until Zulip 9 an export of a part scrubs nobody (sql/selection/shown_user.sql), and its owners stay owners.
  const scrubs = followsRelease('10', version.zerverMigration) || request.approved !== undefined;
  if (!force && scrubs && (mode === 'consent' || mode === 'public')) await refuseWithoutOwner(client, mode, request.realm, consenting);
  if (followsRelease('10', version.zerverMigration) && (mode === 'consent' || mode === 'public')) await refuseWithoutDefaults(client, request.realm);
  const bots = source.systemBots.map((bot) => bot.id);
  const crossRealm = request.realm.stringId !== SYSTEM_REALM;
  const parameters: Parameters = {
    realm_id: request.realm.id,
    realm_ids: [request.realm.id],
    user_id: request.userId,
    system_bot_ids: bots,
    cross_realm_bot_ids: crossRealm ? bots : [],
    bot_group_ids: crossRealm ? source.botGroups : [],
    consenting_user_ids: consenting,
    avatarless_user_ids: await avatarlessUsers(client, request, consenting),
    message_client_ids: [],
    message_client_realm_ids: [],
    missing_attachment_ids: [],
    seed: request.seed,
  };
  return {
    request, parameters, compiled,
    tables: planTables(compiled, registry, catalog, request.mode),
    review: reviewSchema(registry, catalog, compiled, request.decisions),
  };
}

async function avatarlessUsers(client: pg.Client, { realm, userId, avatars = 'all' }: ExportRequest, consenting: readonly number[]): Promise<number[]> {
  if (avatars === 'all') return [];
  const { rows } = await client.query<{ id: number }>(`
    SELECT u.id::float8 AS id FROM zerver_userprofile u WHERE u.avatar_source = 'U' AND ${userId === undefined ? 'u.realm_id = $1' : 'u.id = $1'} AND u.id NOT IN (SELECT unnest($2::bigint[])) ORDER BY u.id`,
  [userId ?? realm.id, avatars === 'none' ? [] : consenting]);
  return rows.map(({ id }) => id);
}

/** What the rules of an export are chosen by. */
export function circumstancesOf({ mode, approved }: Pick<ExportRequest, 'mode' | 'approved'>, { catalog, version }: Source): Circumstances {
  return { mode, catalog, approved: approved !== undefined, zerverMigration: version.zerverMigration };
}

/** The source's views, compiled when they are first asked for. */
export function compileOnce(source: Source, circumstances: Circumstances, decisions: Decisions, form: Form = 'realm'): CompiledRegistry {
  const known = compiledOf.get(source) ?? new Map<string, CompiledRegistry>();
  compiledOf.set(source, known);
  const key = JSON.stringify([form, circumstances.copied, circumstances.mode, circumstances.approved, [...decisions.strip], [...decisions.keep]]);
  const compiled = known.get(key) ?? compileRegistry(source.registry, circumstances, decisions, form);
  known.set(key, compiled);
  return compiled;
}

/** A decision about a column that is not there would leave its author in a false belief. @throws RealmliftError COLUMN_UNKNOWN, COLUMN_NEEDED, COLUMN_SECRET */
export function refuseUnknownDecisions({ strip, keep }: Decisions, { catalog, registry }: Pick<Source, 'catalog' | 'registry'>): void {
  for (const decision of [...strip, ...keep]) {
    const [table, column, ...more] = decision.split('.');
    if (more.length > 0 || catalog.get(table ?? '')?.columns.has(column ?? '') !== true) {
      throw new RealmliftError('COLUMN_UNKNOWN', 'plan', `--strip or --keep names ${decision}, which this database does not have`, { hint: closeColumns(decision, catalog), exit: EXIT.usage });
    }
  }
  for (const decision of strip) if (decision.endsWith('.id') || decision === 'zerver_message.sending_client_id') throw columnNeeded(decision);
  const views = [...registry.tables.values(), ...registry.selections.values()];
  const secrets = new Set(views.flatMap((view) => [...view.strip, ...view.omit].map((column) => `${view.table}.${column}`)));
  for (const decision of keep) {
    if (secrets.has(decision)) {
      throw new RealmliftError('COLUMN_SECRET', 'plan', `--keep ${decision}: this column is a secret and never travels`, { table: decision.split('.')[0], hint: 'leave --keep out', exit: EXIT.usage });
    }
  }
}

/** Written `TABLE.COLUMN`. */
function closeColumns(decision: string, catalog: Source['catalog']): string {
  const [table = '', column = ''] = decision.split('.');
  const known = catalog.get(table);
  const close = known === undefined ? closeNames(table, [...catalog.keys()]).map((each) => `${each}.${column}`) : closeNames(column, [...known.columns.keys()]).map((each) => `${table}.${each}`);
  return `write TABLE.COLUMN${close.length === 0 ? '' : `; close names: ${close.join(', ')}`}`;
}

/** Every rule that the server's version chose, and why: the SELECT of each table that has several, and those of files. */
export function rulesOf(plan: ExportPlan, version: ZulipVersion): [string, string][] {
  const selects = [...plan.compiled.selections.values(), ...plan.compiled.tables.values()].filter((each) => each.rule !== '').map((each): [string, string] => [each.name, each.rule]);
  return [...selects, ...fileRules(version)];
}
