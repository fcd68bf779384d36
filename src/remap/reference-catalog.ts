/**
 * Which key of which table holds the id of what: from the foreign keys of the known Zulip releases and, where the new server's
 * database is at hand, from its catalog. A table or an integer that neither knows might be a reference that nobody rewrites, so
 * it is refused.
 */
import { RealmliftError } from '../errors.js';
import type { Catalog } from '../plan/views/catalog.js';
import type { Registry } from '../plan/views/registry.js';
import { REFERENCES, targetOf, type Target } from '../verify/references.js';

/** Tables whose rows have the ids of another table's. */
const SAME_IDS: Readonly<Record<string, string>> = {
  zerver_userprofile_mirrordummy: 'zerver_userprofile', zerver_userprofile_crossrealm: 'zerver_userprofile', zerver_namedusergroup: 'zerver_usergroup',
  zerver_analytics: 'zerver_realm',
};

/** What verify calls the things that keys point to. */
const TABLE_OF: Readonly<Record<Target, string>> = {
  realm: 'zerver_realm', user: 'zerver_userprofile', account: 'zerver_userprofile', stream: 'zerver_stream', recipient: 'zerver_recipient', client: 'zerver_client',
  group: 'zerver_usergroup', namedGroup: 'zerver_usergroup', huddle: 'zerver_huddle', profileField: 'zerver_customprofilefield',
  scheduledMessage: 'zerver_scheduledmessage', channelFolder: 'zerver_channelfolder', message: 'zerver_message',
};

/** Numbers of messages that are no foreign keys: the message may have been deleted. */
export const MESSAGE_NUMBERS = new Set(['first_message_id', 'first_visible_message_id', 'last_active_message_id', 'event_last_message_id', 'reminder_target_message_id']);

/** Keys that exports have and no column. */
export const ADDED = new Set([
  'id', 'groups', 'user_permissions', 'messages', 'scheduled_messages', 'members', 'direct_members', 'direct_subgroups',
  'flags', 'flags_mask', 'sending_client_name', 'recipient_name', 'display_recipient', '_max_invites', 'recipient_id', 'email',
]);

/** The table that owns the ids of `table`'s rows. */
export function spaceOf(table: string): string {
  return SAME_IDS[table] ?? table;
}

/** The column that holds the ids of `table`'s rows: that of a table which is a child of another (Django's multi-table inheritance) refers to its parent. */
export function idColumn(table: string): string {
  return table === 'zerver_namedusergroup' ? 'usergroup_ptr_id' : 'id';
}

export class ReferenceCatalog {
  readonly #registry: Registry;
  readonly #live: Catalog | undefined;
  readonly #keys = new Map<string, ReadonlyMap<string, string | undefined>>();

  /** @param live of the new server; undefined where it is not at hand */
  constructor(registry: Registry, live: Catalog | undefined) {
    this.#registry = registry;
    this.#live = live;
  }

  /** The table whose row `key` points to; undefined when it is no reference. */
  reference(table: string, key: string): string | undefined {
    if (MESSAGE_NUMBERS.has(key)) return 'zerver_message';
    if (table === 'zerver_userprofile_crossrealm' && key === 'recipient_id') return 'zerver_recipient';
    const known = this.#keysOf(table).get(key);
    if (known !== undefined) return spaceOf(known);
    const target = targetOf(table, key);
    return target === undefined ? undefined : TABLE_OF[target];
  }

  /** What a setting of the realm, a channel or a group is called in the audit log, looked up like a key of these. */
  settingReference(property: string): string | undefined {
    const key = property.replace(/_id$/, '');
    for (const table of ['zerver_realm', 'zerver_stream', 'zerver_namedusergroup']) {
      const found = this.reference(table, key);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** @throws RealmliftError REMAP_UNKNOWN for a table of which nothing is known */
  refuseUnknownTable(table: string): void {
    if (this.#keysOf(table).size > 0 || table in REFERENCES) return;
    throw unknown(table, `nothing is known of the table ${table}: ids in it would not be rewritten`);
  }

  /** @throws RealmliftError REMAP_UNKNOWN for an integer under a key of which nothing is known */
  refuseUnknownKey(table: string, key: string): void {
    if (ADDED.has(key) || this.#keysOf(table).has(key) || targetOf(table, key) !== undefined) return;
    throw unknown(table, `nothing is known of ${table}.${key}: if it is an id, it would not be rewritten`);
  }

  #keysOf(table: string): ReadonlyMap<string, string | undefined> {
    let keys = this.#keys.get(table);
    if (keys === undefined) {
      const view = this.#registry.tables.get(table);
      const columns = new Map<string, string | undefined>(this.#registry.known.get(view?.table ?? table) ?? []);
      for (const { name, references } of this.#live?.get(view?.table ?? table)?.columns.values() ?? []) columns.set(name, references ?? columns.get(name));
      keys = new Map([...columns].map(([column, references]) => [view?.keys.get(column) ?? (references === undefined ? column : column.replace(/_id$/, '')), references]));
      this.#keys.set(table, keys);
    }
    return keys;
  }
}

function unknown(table: string, message: string): RealmliftError {
  return new RealmliftError('REMAP_UNKNOWN', 'remap', message, {
    table, hint: 'with --target-url the new server\'s own foreign keys decide',
  });
}
