/** The values that view files name as `:name`. COPY takes no parameters, so the text carries them as literals. */
import { RealmliftError } from '../errors.js';

export interface Parameters {
  /** The exported realm; undefined in a plan of many. */
  readonly realm_id: number | undefined;
  /** The realms of a plan of many. */
  readonly realm_ids: readonly number[];
  /** The single user, in user mode. */
  readonly user_id: number | undefined;
  /** The three system bots wherever they live: never rows of zerver_userprofile. */
  readonly system_bot_ids: readonly number[];
  /** The same, but none when the realm that they live in is itself exported. */
  readonly cross_realm_bot_ids: readonly number[];
  /** Recipients of the groups that nobody but these bots subscribes to; none on servers before Zulip 12, or when their realm is exported. */
  readonly bot_group_ids: readonly number[];
  /** Set C, in consent mode. */
  readonly consenting_user_ids: readonly number[];
  /** Clients that the exported messages were sent with: known once these have been copied. */
  readonly message_client_ids: readonly number[];
  /** In a plan of many realms: the realm of each of these clients. */
  readonly message_client_realm_ids: readonly number[];
  /** Users with an uploaded avatar that does not travel. */
  readonly avatarless_user_ids: readonly number[];
  /** Attachments without a file in the export: known once the files have been pulled. */
  readonly missing_attachment_ids: readonly string[];
  /** The run's secret, from which colours and hidden addresses are drawn. Never logged. */
  readonly seed: string;
}

type ParameterName = keyof Parameters | 'message_ids';

const TYPES: Record<ParameterName, 'bigint' | 'bigint[]' | 'text'> = {
  realm_id: 'bigint', realm_ids: 'bigint[]', user_id: 'bigint', system_bot_ids: 'bigint[]', cross_realm_bot_ids: 'bigint[]', bot_group_ids: 'bigint[]',
  consenting_user_ids: 'bigint[]', avatarless_user_ids: 'bigint[]', message_client_ids: 'bigint[]', message_client_realm_ids: 'bigint[]', missing_attachment_ids: 'bigint[]', message_ids: 'bigint[]', seed: 'text',
};

/** A `:name` that is not part of a `::cast`. */
const REFERENCE = /(?<!:):([a-z_]+)\b/g;

function isParameter(name: string): name is ParameterName {
  return Object.hasOwn(TYPES, name);
}

/** The text with its parameters as literals; `:message_ids` stays, for {@link bindMessageIds}. */
export function inline(sql: string, parameters: Parameters): string {
  return sql.replace(REFERENCE, (_, name: string) => {
    if (!isParameter(name)) throw new RealmliftError('VIEW_FILE', 'plan', `no such parameter: :${name}`);
    if (name === 'message_ids') return ':message_ids';
    if (TYPES[name] === 'text') return `'${value(name, parameters).replaceAll("'", "''")}'`;
    return TYPES[name] === 'bigint' ? value(name, parameters) : `'${value(name, parameters)}'::bigint[]`;
  });
}

/** Completes an inline text with the ids of one message file, known only once its messages were copied. @param ids or lists of them: `1,2,3` */
export function bindMessageIds(sql: string, ids: readonly (number | string)[]): string {
  return sql.replace(':message_ids', `'{${ids.join(',')}}'::bigint[]`);
}

/** The condition at the end of a query of messages that {@link bindMessageRange} completes. */
export const MESSAGE_RANGE = 't.id > :after AND t.id <= :until';

/** Completes an inline text with the range of ids of a segment. */
export function bindMessageRange(sql: string, after: number, until: number): string {
  const at = sql.lastIndexOf(MESSAGE_RANGE);
  return `${sql.slice(0, at)}t.id > ${after} AND t.id <= ${until}${sql.slice(at + MESSAGE_RANGE.length)}`;
}

/** The value as PostgreSQL reads it. Ids are digits, so that nothing else can get into a query. */
function value(name: keyof Parameters, parameters: Parameters): string {
  const given = parameters[name];
  if (typeof given === 'string') return given;
  const ids = Array.isArray(given) ? given as readonly (number | string)[] : [given as number];
  for (const id of ids) if (!/^-?\d+$/.test(String(id))) throw new RealmliftError('PARAMETER', 'plan', `${name} is not set`);
  return Array.isArray(given) ? `{${ids.join(',')}}` : String(ids[0]);
}
