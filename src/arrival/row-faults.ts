/**
 * Rows over which zerver/lib/import_realm.py stumbles, whatever the new server: they need no database to be found. Each fault is
 * one line that names the rows by id and nothing that is in them.
 */
import { parsed } from '../json/parsed.js';
import type { RowFields } from '../json/row-fields.js';
import { eachRow } from '../pipe/each-row.js';
import type { TableFile } from '../pipe/table-file.js';
import { isValidAddress } from './email-address.js';

/** How many ids a fault names. */
const NAMED = 5;

/** UserProfile.ROLE_REALM_OWNER. */
const OWNER = 100;
/** RealmAuditLog.REALM_EXPORTED. */
const EXPORTED = 206;

const USERS = ['zerver_userprofile', 'zerver_userprofile_mirrordummy'];

/** Rows that share a fault. */
export class FaultyRows {
  readonly #named: string[] = [];
  #count = 0;

  add(id: number | string): void {
    if (this.#count++ < NAMED) this.#named.push(String(id));
  }

  /** `zerver_userprofile 4, 5, … 12 in all: what`; undefined when there are none. */
  told(table: string, what: string): string | undefined {
    if (this.#count === 0) return undefined;
    return `${table} ${this.#named.join(', ')}${this.#count > NAMED ? `, … ${this.#count} in all` : ''}: ${what}`;
  }
}

/** Addresses that Django does not take; absent and empty ones too. */
export function addressFault(files: readonly TableFile[]): string | undefined {
  const faulty = new FaultyRows();
  for (const table of USERS) {
    for (const fields of eachRow(files, table)) {
      // Before Zulip 2.0 there is one address only.
      const keys = ['email', 'delivery_email'].filter((key) => fields.find(key) !== -1);
      if (keys.length === 0 || keys.some((key) => !isValidAddress(fields.textOf(key) ?? ''))) faulty.add(fields.integerOf('id'));
    }
  }
  return faulty.told('zerver_userprofile', 'an address that is empty or no valid one: give the user another on the old server, and export again');
}

/** Whom the import knows by id. */
export function knownUsers(files: readonly TableFile[]): Set<number> {
  const known = new Set<number>();
  for (const table of [...USERS, 'zerver_userprofile_crossrealm']) for (const fields of eachRow(files, table)) known.add(fields.integerOf('id'));
  return known;
}

/** From this version on the import maps the users of edits; before, their old ids stay as they are. */
const MAPS_EDITS = 9;

/**
 * Edits of messages by users that the export does not have: an import that maps user_id stops at one that it does not know, and
 * one that does not leaves a number that another's user may have on the new server. Edits before March 2017 have no user: null
 * from Zulip 5 on, no key before, and only an import that maps them stumbles.
 */
export class EditHistories {
  readonly #known: ReadonlySet<number>;
  readonly #maps: boolean;
  readonly #faulty = new FaultyRows();

  /** @param version of the export; undefined when nothing tells it, which is taken for a new one */
  constructor(known: ReadonlySet<number>, version: string | undefined) {
    this.#known = known;
    this.#maps = !(Number.parseInt(version ?? '', 10) < MAPS_EDITS);
  }

  /** @param message a row of zerver_message */
  row(message: RowFields): void {
    const text = message.textOf('edit_history');
    if (text === undefined || text === '') return;
    const edits = parsed(text);
    if (!Array.isArray(edits) || edits.some((edit) => this.#isUnknown((edit as { user_id?: unknown } | null)?.user_id))) this.#faulty.add(message.integerOf('id'));
  }

  get fault(): string | undefined {
    return this.#faulty.told('zerver_message', `edit_history by a user whom the export does not have${this.#maps ? '' : ': the import leaves the id, which may be of a stranger on the new server'}`);
  }

  #isUnknown(user: unknown): boolean {
    return (this.#maps || (user !== undefined && user !== null)) && !this.#known.has(user as number);
  }
}

/** Lists of messages that name one twice: the import makes a row of each, and the pair of attachment and message is unique. */
export function attachmentFault(files: readonly TableFile[]): string | undefined {
  const faulty = new FaultyRows();
  for (const fields of eachRow(files, 'zerver_attachment')) {
    for (const key of ['messages', 'scheduled_messages']) {
      const field = fields.find(key);
      const list = field === -1 ? undefined : parsed(fields.bytes(field).toString('utf8'));
      if (!Array.isArray(list) || new Set(list).size === list.length) continue;
      faulty.add(fields.integerOf('id'));
      break;
    }
  }
  return faulty.told('zerver_attachment', 'its list of messages names one twice');
}

/** Custom emoji without an author get the first active owner's name; without one the import stops. */
export function emojiFault(files: readonly TableFile[]): string | undefined {
  const faulty = new FaultyRows();
  for (const fields of eachRow(files, 'zerver_realmemoji')) if (Number.isNaN(fields.integerOf('author'))) faulty.add(fields.integerOf('id'));
  const fault = faulty.told('zerver_realmemoji', 'custom emoji without an author, and no active owner to stand in');
  if (fault === undefined) return undefined;
  for (const fields of eachRow(files, 'zerver_userprofile')) {
    const owner = fields.find('role') === -1 ? isTrue(fields, 'is_realm_admin') : fields.integerOf('role') === OWNER;
    if (owner && isTrue(fields, 'is_active')) return undefined;
  }
  return fault;
}

/** Reactions and statuses with a custom emoji that is not there, or has another name by now. */
export function reactionFault(files: readonly TableFile[]): string | undefined {
  const names = new Map<string, string | undefined>();
  for (const fields of eachRow(files, 'zerver_realmemoji')) names.set(String(fields.integerOf('id')), fields.textOf('name'));
  for (const table of ['zerver_reaction', 'zerver_userstatus']) {
    const faulty = new FaultyRows();
    for (const fields of eachRow(files, table)) {
      if (fields.textOf('reaction_type') !== 'realm_emoji') continue;
      const code = String(Number(fields.textOf('emoji_code')));
      if (!names.has(code) || names.get(code) !== fields.textOf('emoji_name')) faulty.add(fields.integerOf('id'));
    }
    const fault = faulty.told(table, 'a custom emoji that is not there, or has another name than the row says');
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Groups of the same users: the import computes their hash anew from their subscriptions, and it must be unique. */
export function groupFault(files: readonly TableFile[]): string | undefined {
  const members = new Map<number, number[]>();
  for (const fields of eachRow(files, 'zerver_recipient')) if (fields.integerOf('type') === 3) members.set(fields.integerOf('id'), []);
  for (const fields of eachRow(files, 'zerver_subscription')) members.get(fields.integerOf('recipient'))?.push(fields.integerOf('user_profile'));
  const [seen, faulty] = [new Set<string>(), new FaultyRows()];
  for (const [recipient, users] of members) {
    const group = [...new Set(users)].sort((a, b) => a - b).join();
    if (seen.has(group)) faulty.add(recipient);
    seen.add(group);
  }
  return faulty.told('zerver_recipient', 'a group with the same subscribers as another');
}

/** The level of Zulip's update announcements, where the import will act on it; undefined where it leaves it alone. */
export function announcementLevel(files: readonly TableFile[]): number | undefined {
  // Later versions ask the key by which program the export was made.
  if (files.some((file) => file.constants.has('import_source'))) return undefined;
  for (const fields of eachRow(files, 'zerver_realmauditlog')) if (fields.integerOf('event_type') === EXPORTED) return undefined;
  for (const fields of eachRow(files, 'zerver_realm')) {
    const level = fields.integerOf('zulip_update_announcements_level');
    if (!Number.isNaN(level)) return level;
  }
  return undefined;
}

function isTrue(fields: RowFields, key: string): boolean {
  const field = fields.find(key);
  return field !== -1 && fields.bytes(field).toString('latin1') === 'true';
}
