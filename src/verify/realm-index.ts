/**
 * The first pass over realm.json (or user.json): which ids there are to point to. The tables refer to each other in all
 * directions, so the references themselves are checked in a second pass, with this in memory.
 */
import type { HeldTarget } from './export-context.js';
import { IdTable, type SharedIds } from '../ids/id-table.js';
import type { JsonScanner } from '../json/json-scanner.js';
import { TARGET_TABLES } from './references.js';
import { packRecipient } from './special-rows.js';
import { scanTables, type Reading, type RowCounts, type TablePlan } from './table-scanner.js';

export interface RealmIndex {
  targets: Record<HeldTarget, SharedIds>;
  tables: RowCounts;
  /** `string_id` of the realm; undefined in a single-user export. */
  realmName: string | undefined;
}

const READINGS: Readonly<Record<string, { reading: Reading; slot: number }>> = {
  id: { reading: 'number', slot: 0 },
  recipient_id: { reading: 'number', slot: 1 },
  type: { reading: 'number', slot: 2 },
  type_id: { reading: 'number', slot: 3 },
  realm: { reading: 'number', slot: 4 },
  string_id: { reading: 'text', slot: 0 },
};
const SKIP = { reading: 'skip', slot: 0 } as const;

/** Reads the file that `scanner` has open. `oneUser`: it is user.json, and the user's row names the realm. */
export function indexRealm(scanner: JsonScanner, oneUser: boolean): RealmIndex {
  const targets: Record<HeldTarget, IdTable> = {
    realm: new IdTable(), user: new IdTable(), account: new IdTable(), stream: new IdTable(), recipient: new IdTable(true),
    client: new IdTable(), group: new IdTable(), namedGroup: new IdTable(), huddle: new IdTable(), profileField: new IdTable(),
    scheduledMessage: new IdTable(), channelFolder: new IdTable(),
  };
  let realmName: string | undefined;

  const planFor = (table: string): TablePlan | undefined => {
    const kinds = TARGET_TABLES[table] as HeldTarget[] | undefined;
    if (kinds === undefined) return undefined;
    const values = new Float64Array(5);
    const texts: (string | undefined)[] = [undefined];
    const add = (target: HeldTarget, id: number, value?: number): void => {
      if (Number.isSafeInteger(id)) targets[target].add(id, value);
    };
    return {
      values,
      texts,
      read: (key) => (Object.hasOwn(READINGS, key) ? READINGS[key]! : SKIP),
      row() {
        const [id, recipientId, type, typeId, realm] = values as unknown as [number, number, number, number, number];
        for (const target of kinds) add(target, id, target === 'recipient' ? packRecipient(type, typeId) : undefined);
        if (table === 'zerver_userprofile_crossrealm') add('recipient', recipientId, packRecipient(1, id));
        if (table === 'zerver_realm') realmName = texts[0];
        if (oneUser && table === 'zerver_userprofile') add('realm', realm);
      },
    };
  };

  const tables = scanTables(scanner, planFor);
  // Before Zulip 10 all user groups have names and there is no table of those that do.
  if (!tables.has('zerver_namedusergroup')) targets.namedGroup = targets.group;
  const shared = Object.fromEntries(Object.entries(targets).map(([target, ids]) => [target, ids.share()]));
  return { targets: shared as Record<HeldTarget, SharedIds>, tables, realmName };
}
