/**
 * `--id-map FILE`: the ids of the new server's system bots and clients, where its database cannot be reached.
 *
 * ```
 * {
 *   "bots": {"notification-bot@zulip.com": {"user": 7, "recipient": 7}, …},
 *   "clients": {"website": 1, "ZulipMobile": 3, …}
 * }
 * ```
 */
import { readFileSync } from 'node:fs';
import { EXIT, RealmliftError } from '../errors.js';
import { ioReason } from '../io-reason.js';
import { SYSTEM_BOT_EMAILS } from '../plan/realm.js';
import { INTEGER, type BotIds } from './assignment.js';
import { editJson } from '../json/edit-json.js';

export interface IdMap {
  readonly bots: ReadonlyMap<string, BotIds>;
  readonly clients: ReadonlyMap<string, number>;
}

/** Names that an error tells at most. */
const TOLD = 5;

/** @throws RealmliftError ID_MAP for what is no such map: not JSON, a name or an id twice, an unknown bot, no id */
export function readIdMap(file: string): IdMap {
  const { bots, clients, ...others } = parse(file) as { bots?: unknown; clients?: unknown };
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw wrong(file, `it has an unknown key ${JSON.stringify(unknown)}`);
  const map = {
    bots: new Map(members(file, 'bots', bots).map(([email, ids]): [string, BotIds] => {
      if (!SYSTEM_BOT_EMAILS.includes(email)) throw wrong(file, `${JSON.stringify(email)} is no system bot: they are ${SYSTEM_BOT_EMAILS.join(', ')}`);
      const { user, recipient, ...more } = (ids ?? {}) as { user?: unknown; recipient?: unknown };
      if (Object.keys(more).length > 0) throw wrong(file, `bots.${email} has more than a user and a recipient`);
      return [email, { user: idOf(file, `bots.${email}.user`, user), recipient: idOf(file, `bots.${email}.recipient`, recipient) }];
    })),
    clients: new Map(members(file, 'clients', clients).map(([name, id]): [string, number] => [name, idOf(file, `clients[${JSON.stringify(name)}]`, id)])),
  };
  refuseTwice(file, 'user', [...map.bots].map(([email, { user }]) => [email, user]));
  refuseTwice(file, 'recipient', [...map.bots].map(([email, { recipient }]) => [email, recipient]));
  refuseTwice(file, 'client', [...map.clients]);
  return map;
}

/**
 * That the map names each bot and client of the exports, and no other client: a name that no export has is a slip, or the map is
 * meant for other exports.
 *
 * @param exported those of all exports
 * @throws RealmliftError ID_MAP
 */
export function refuseUnfit(map: IdMap, exported: IdMap): void {
  const check = (which: string[], message: string): void => {
    if (which.length > 0) throw new RealmliftError('ID_MAP', 'remap', `${message}: ${list(which)}`, { hint: 'the map must name each system bot and each client of the export, and no other', exit: EXIT.usage });
  };
  check([...exported.bots.keys()].filter((email) => !map.bots.has(email)), 'the map has no ids for system bots of the export');
  check([...exported.clients.keys()].filter((name) => !map.clients.has(name)), 'the map has no id for clients of the export');
  check([...map.clients.keys()].filter((name) => !exported.clients.has(name)), 'the map names clients that the export does not have');
}

function list(names: readonly string[]): string {
  return `${names.slice(0, TOLD).map((name) => JSON.stringify(name)).join(', ')}${names.length > TOLD ? ` and ${names.length - TOLD} more` : ''}`;
}

function parse(file: string): object {
  let text: string;
  let value: unknown;
  try {
    text = readFileSync(file, 'utf8');
    value = JSON.parse(text);
  } catch (cause) {
    throw wrong(file, cause instanceof SyntaxError ? 'it is not JSON' : `it cannot be read: ${ioReason(cause)}`, cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(file, 'it is no object');
  // JSON.parse takes the last of two equal keys without a word.
  const seen = new Set<string>();
  editJson(text, {
    value: () => undefined,
    key(path, key) {
      const whole = JSON.stringify([...path, key]);
      if (seen.has(whole)) throw wrong(file, `it names ${JSON.stringify(key)} twice`);
      seen.add(whole);
      return undefined;
    },
  });
  return value;
}

function members(file: string, key: string, value: unknown): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(file, `it has no object ${JSON.stringify(key)}`);
  return Object.entries(value);
}

function idOf(file: string, where: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) throw wrong(file, `${where} is no id`);
  if (value > INTEGER) throw new RealmliftError('ID_RANGE', 'remap', `${file}: ${where} is ${value}, and the column ends at ${INTEGER}`, { exit: EXIT.usage });
  return value;
}

function refuseTwice(file: string, what: string, ids: readonly (readonly [string, number])[]): void {
  const seen = new Map<number, string>();
  for (const [name, id] of ids) {
    const other = seen.get(id);
    if (other !== undefined) throw wrong(file, `${JSON.stringify(other)} and ${JSON.stringify(name)} have the same ${what} id ${id}`);
    seen.set(id, name);
  }
}

function wrong(file: string, what: string, cause?: unknown): RealmliftError {
  return new RealmliftError('ID_MAP', 'usage', `${file} is no map of ids: ${what}`, { hint: '{"bots": {EMAIL: {"user": ID, "recipient": ID}}, "clients": {NAME: ID}}', exit: EXIT.usage, cause });
}
