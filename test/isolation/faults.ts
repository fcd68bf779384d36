/** One random server, exported in every mode and held against the oracle. */
import type { Mode } from '../../src/plan/views/condition.js';
import { findBotGroups, findSystemBots, type Realm } from '../../src/plan/realm.js';
import { readSource, type Source } from '../../src/plan/source.js';
import { differences } from './differences.js';
import { exportedRows, FREE_CHOICE } from './exported-rows.js';
import type { IsolationDatabase } from './isolation-database.js';
import { leaks } from './leaks.js';
import { ledgerGaps } from './ledger-gaps.js';
import { oracle } from './oracle.js';
import type { ServerSpec } from './server-arbitrary.js';
import { setFaults } from './set-rows.js';
import { rowsOf, type Row, type Tables } from './server-rows.js';

/** The code of the reaction that meant consent. */
const OUTBOX = '1f4e4';

/** What is wrong with the exports of one server, in every mode; nothing is left in the database. */
export async function faults(database: IsolationDatabase, spec: ServerSpec): Promise<string[]> {
  const { client } = database;
  await client.query('BEGIN');
  try {
    const tables = rowsOf(spec, database.system);
    const consentMessage = database.release < 10 ? addReactions(tables, spec) : undefined;
    const server = await database.load(tables, spec.oldBots ? tables.zerver_realm?.[0]?.id as number : undefined);
    const systemBots = await findSystemBots(client);
    // The same object each time: its views are compiled once.
    const source = Object.assign(await schemaOf(database), { systemBots, botGroups: database.release >= 12 ? await findBotGroups(client, systemBots) : [] });
    const row = (server.zerver_realm ?? []).filter((each) => each.string_id !== 'zulipinternal')[spec.exported % spec.realms.length] as Row;
    const realm: Realm = { id: row.id as number, stringId: row.string_id as string, name: '', deactivated: false };
    const people = (server.zerver_userprofile ?? []).filter((user) => user.realm_id === realm.id).map((user) => user.id as number);
    const approved = people.filter((_, index) => (spec.approved >> index) % 2 === 1);
    const runs: { name: string; mode: Mode; approved?: number[]; userId?: number }[] = [
      { name: 'full', mode: 'full' }, ...(consentMessage === undefined && database.release < 10 ? [] : [{ name: 'consent', mode: 'consent' as const }]), { name: 'approved', mode: 'consent', approved }, { name: 'public', mode: 'public' },
      { name: 'user', mode: 'user', userId: people[spec.single % people.length] as number },
    ];
    const found: string[] = [];
    for (const { name, mode, approved: named, userId } of runs) {
      const exported = await exportedRows(client, source, { ...FREE_CHOICE, realm, mode, userId, approved: named, consentMessage });
      const reacted = people.filter((id) => server.zerver_reaction?.some((each) => each.user_profile_id === id && each.emoji_code === OUTBOX) === true);
      const expected = oracle(server, { reacted, release: database.release, realmId: realm.id, mode, ...(named === undefined ? {} : { approved: named }), ...(userId === undefined ? {} : { userId }) });
      found.push(...differences(expected.tables, exported.tables).map((line) => `${name}: ${line}`));
      const messages = (exported.tables.zerver_message ?? []).map(({ id }) => id);
      if (messages.join() !== exported.messageIds.join()) found.push(`${name}: ids of messages ${exported.messageIds.join()} instead of ${messages.join()}`);
      if (mode === 'user') continue;
      if (mode === 'full') found.push(...(await setFaults(client, source, exported, spec.approved % 4)).map((line) => `set: ${line}`));
      found.push(...[...leaks(exported.tables, realm.id), ...ledgerGaps(server, exported, realm.id)].map((line) => `${name}: ${line}`));
    }
    return found;
  } finally {
    await client.query('ROLLBACK');
  }
}

/** Until Zulip 9 consent is a reaction: of the exported realm's users, to its first message. @returns the message */
function addReactions(tables: Tables, spec: ServerSpec): number | undefined {
  const realm = tables.zerver_realm?.[spec.exported % spec.realms.length]?.id;
  const users = (tables.zerver_userprofile ?? []).filter((user) => user.realm_id === realm);
  const message = tables.zerver_message?.find(({ sender_id: sender }) => users.some((user) => user.id === sender))?.id as number | undefined;
  if (message === undefined) return undefined;
  const reactions = (tables.zerver_reaction ??= []);
  for (const user of users.filter((each) => each.allow_private_data_export === true)) {
    reactions.push({ id: 101 + reactions.length, message_id: message, user_profile_id: user.id, reaction_type: 'unicode_emoji', emoji_code: OUTBOX, emoji_name: 'outbox' });
  }
  return message;
}

/** The schema is the same for all servers. */
const schemas = new WeakMap<IsolationDatabase, Promise<Source>>();

function schemaOf(database: IsolationDatabase): Promise<Source> {
  const source = schemas.get(database) ?? readSource(database.client, undefined);
  schemas.set(database, source);
  return source;
}
