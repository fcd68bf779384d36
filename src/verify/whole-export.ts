/** Checks that concern the export as a whole: the index of its rows, the list of those who consented, ids over all files. */
import type { OpenedExport } from './export-opening.js';
import { openSeverity, releaseByTables, type ExportKind, type SharedContext } from './export-context.js';
import type { FindingList } from './findings.js';
import { IdTable } from '../ids/id-table.js';
import { findMissing, findRepeated, mergeRuns, type IdRun, type IdSpool } from '../ids/id-spool.js';
import { ATTACHMENT_FILE, REALM_FILE, USER_FILE } from '../package/export-files.js';
import type { RealmIndex } from './realm-index.js';
import { MESSAGE_REFERENCES, type CollectedIds } from './worker-tasks.js';

/** Where the system bots live: SYSTEM_BOT_REALM of Zulip's settings. */
const SYSTEM_REALM = 'zulipinternal';

/** The import reads these keys of realm.json without asking whether they are there. */
const REALM_TABLES = [
  'zerver_client', 'zerver_customprofilefield', 'zerver_customprofilefieldvalue', 'zerver_defaultstream', 'zerver_huddle',
  'zerver_reaction', 'zerver_realm', 'zerver_realmdomain', 'zerver_realmemoji', 'zerver_realmfilter', 'zerver_recipient',
  'zerver_stream', 'zerver_subscription', 'zerver_useractivity', 'zerver_useractivityinterval', 'zerver_userpresence',
  'zerver_userprofile', 'zerver_userprofile_crossrealm', 'zerver_userprofile_mirrordummy',
];
/** From the versions on that export one of these, the import asks realm.json which program it is from. */
const IMPORT_SOURCE_SINCE = ['zerver_channelfolder', 'zerver_externalauthid'];
const USER_TABLES = ['zerver_recipient', 'zerver_subscription', 'zerver_userprofile'];

/** Checks the tables of realm.json or user.json, and makes what the workers need to know for everything else. */
export function contextOf(opened: OpenedExport, index: RealmIndex, findings: FindingList): SharedContext {
  checkTables(opened, index, findings);
  const context: SharedContext = {
    directory: opened.directory, kind: kindOf(opened, index), targets: index.targets, consented: undefined, consentCoversAccounts: false, consentCoversPrivateTables: false, uploads: undefined,
  };
  const { consented } = opened;
  return consented === undefined ? context : { ...context, ...consentOf(opened, consented, index, findings) };
}

/** Without some of them the import stops, and with other numbers of realms or users it is another export. */
function checkTables(opened: OpenedExport, { tables }: RealmIndex, findings: FindingList): void {
  const { oneUser } = opened;
  const file = oneUser ? USER_FILE : REALM_FILE;
  for (const table of oneUser ? USER_TABLES : REALM_TABLES) if (!tables.has(table)) findings.add('error', file, table, 'the table is missing');
  const single = oneUser ? 'zerver_userprofile' : 'zerver_realm';
  const count = tables.get(single);
  const expected = oneUser ? 1 : joinedRealms(opened);
  if (count !== undefined && count !== expected) findings.add('error', file, single, `it has ${count} rows and should have ${expected === 1 ? 'one' : expected}`);
  if (!oneUser && IMPORT_SOURCE_SINCE.some((table) => tables.has(table)) && !tables.has('import_source')) {
    findings.add('error', file, 'import_source', 'the key is missing: the import stops without it');
  }
}

function kindOf(opened: OpenedExport, { tables, realmName }: RealmIndex): ExportKind {
  const { oneUser, ours } = opened;
  return { oneUser, ours, ...releaseByTables(tables, oneUser), systemRealm: realmName === SYSTEM_REALM, keptSecrets: keptSecrets(opened) };
}

/** Who consented, and what of an export that covers. */
function consentOf(opened: OpenedExport, { file, ids }: NonNullable<OpenedExport['consented']>, { targets }: RealmIndex, findings: FindingList): Pick<SharedContext, 'targets' | 'consented' | 'consentCoversAccounts' | 'consentCoversPrivateTables'> {
  const consented = new IdTable();
  const accounts = new IdTable();
  const users = new IdTable(false, targets.user);
  const allAccounts = new IdTable(false, targets.account);
  for (const id of ids) {
    const problem = consented.has(id) ? 'a user comes more than once' : users.has(id) ? undefined : 'a user is not in the export';
    if (problem !== undefined) findings.add('error', file, undefined, problem, `user ${id}`);
    if (id < 0) continue;
    consented.add(id);
    if (allAccounts.has(id)) accounts.add(id);
  }
  return {
    consented: consented.share(), targets: { ...targets, account: accounts.share() },
    // Until Zulip 9, which has no stats.json, consent limits messages alone; that of a list of users accounts too.
    consentCoversAccounts: opened.statisticsFile !== 'stats.txt' || opened.header?.options['approved_users'] !== undefined,
    consentCoversPrivateTables: Number.parseInt(opened.zulipVersion ?? '0', 10) >= 11,
  };
}

/** How many realms the manifest says that `merge --remap` joined. */
function joinedRealms({ header }: OpenedExport): number {
  const realms = header?.options['realms'];
  return typeof realms === 'number' ? realms : 1;
}

/** `--keep TABLE.COLUMN` of the export, as its manifest tells it; a column that is a foreign key is no secret. */
function keptSecrets({ header }: OpenedExport): string[] {
  const keep = header?.options['keep'];
  return Array.isArray(keep) ? keep.filter((each) => typeof each === 'string') : [];
}

/** No message and no usermessage twice, and no reference to a message that is not there, over the files of all workers. */
export function checkIdsOverFiles(collected: readonly CollectedIds[], kind: ExportKind, scratch: IdSpool, findings: FindingList): void {
  const messages = collected.flatMap((ids) => ids.messages);
  const twice = (table: string, runs: readonly IdRun[]): void => {
    findRepeated(mergeRuns(runs, scratch), (id) => {
      findings.add('error', 'messages-*.json', table, 'an id comes more than once', `row ${id}`);
    });
  };
  twice('zerver_message', messages);
  twice('zerver_usermessage', collected.flatMap((ids) => ids.userMessages));
  for (const reference of MESSAGE_REFERENCES) {
    const runs = collected.flatMap((ids) => ids.references.get(reference) ?? []);
    const [table, key] = reference.split('.') as [string, string];
    const open = openSeverity(kind, table, key, 'message');
    if (runs.length === 0 || open === undefined) continue;
    const file = table === 'zerver_attachment' ? ATTACHMENT_FILE : REALM_FILE;
    const message = `${key} points outside the export${open.reason === undefined ? '' : `: ${open.reason}`}`;
    findMissing(mergeRuns(messages, scratch), mergeRuns(runs, scratch), (id) => {
      findings.add(open.severity, file, table, message, `message ${id}`);
    });
  }
}
