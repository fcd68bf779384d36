/**
 * The first reading of an export: which ids it has and so what becomes of each, and what the second reading must know of other
 * rows. What grows with the messages goes to temporary files; users, channels, recipients and the like stay in memory.
 */
import { setImmediate } from 'node:timers/promises';
import { RealmliftError } from '../errors.js';
import type { ListedExport } from '../pipe/finished-export.js';
import { eachTableFile } from '../pipe/opened-tables.js';
import { BARE } from '../json/each-table.js';
import type { TableFile } from '../pipe/table-file.js';
import { RowFields } from '../json/row-fields.js';
import { IdSpool, mergeRuns } from '../ids/id-spool.js';
import { IdTable, pathId } from '../ids/id-table.js';
import { refuseRange, type Assignment } from './assignment.js';
import { FileSpace, TableSpace, UNCHANGED, type IdSpace } from './id-space.js';
import { PairFileWriter } from './pair-file.js';
import type { RecordedMaps } from './recorded-maps.js';
import { spaceOf } from './reference-catalog.js';
import { comparable, type Addresses } from './shown-addresses.js';
import { isUnder } from './upload-path.js';

/** Tables in memory, since something refers to them. */
const REFERRED = [
  'zerver_realm', 'zerver_userprofile', 'zerver_recipient', 'zerver_stream', 'zerver_huddle', 'zerver_client', 'zerver_usergroup', 'zerver_customprofilefield',
  'zerver_scheduledmessage', 'zerver_realmemoji', 'zerver_savedsnippet', 'zerver_realmfilter', 'zerver_realmplayground', 'zerver_channelfolder',
];
const MESSAGES = 'zerver_message';
const USERMESSAGES = 'zerver_usermessage';

/** Their rows say again what rows of the table that owns their ids say. */
const REPEATED = new Set(['zerver_userprofile_crossrealm', 'zerver_namedusergroup', 'zerver_analytics']);

/** CustomProfileField.USER */
const USER_FIELD = 6;
/** Recipient.DIRECT_MESSAGE_GROUP */
const GROUP = 3;

export interface Survey {
  /** By the table that owns the ids. */
  readonly spaces: ReadonlyMap<string, IdSpace>;
  readonly realmId: number;
  /** Custom profile fields whose values are lists of users. */
  readonly userFields: ReadonlySet<number>;
  /** Users of each group conversation, by the group's id. */
  readonly groups: ReadonlyMap<number, readonly number[]>;
  /** Directories of attachments, as {@link pathId}. */
  readonly uploads: IdTable;
  /** Paths of attachments under another number than the realm's. */
  readonly strays: readonly string[];
  readonly addresses: Addresses;
}

/**
 * @param fds four empty temporary files
 * @throws RealmliftError ID_MAP, ID_COLLISION, ID_RANGE, ROWS_UNSORTED, EXPORT_CHANGED
 */
export async function surveyExport(source: ListedExport, files: readonly TableFile[], assignment: Assignment, recorded: RecordedMaps | undefined, fds: readonly number[]): Promise<Survey> {
  return new Surveyor(source, files, assignment, recorded, fds).survey();
}

class Surveyor {
  readonly #source: ListedExport;
  readonly #files: readonly TableFile[];
  readonly #assignment: Assignment;
  readonly #recorded: RecordedMaps | undefined;
  readonly #fds: readonly number[];
  readonly #fields = new RowFields();
  readonly #spaces = new Map<string, IdSpace>();

  constructor(source: ListedExport, files: readonly TableFile[], assignment: Assignment, recorded: RecordedMaps | undefined, fds: readonly number[]) {
    [this.#source, this.#files, this.#assignment, this.#recorded, this.#fds] = [source, files, assignment, recorded, fds];
  }

  async survey(): Promise<Survey> {
    const bots = this.#bots();
    for (const table of REFERRED) this.#spaces.set(table, this.#tableSpace(table, bots));
    if (this.#assignment.all !== undefined || this.#recorded !== undefined) await this.#messageSpaces();
    return { spaces: this.#spaces, realmId: this.#source.header.realm_id, ...this.#details() };
  }

  *#rows(table: string): Generator<RowFields, void> {
    for (const file of this.#files) for (const row of file.rows(table)) yield this.#fields.split(row);
  }

  /** Ids of the bots, and the new ones. */
  #bots(): { readonly users: [number, number][]; readonly recipients: [number, number][] } {
    const [users, recipients]: [[number, number][], [number, number][]] = [[], []];
    for (const fields of this.#rows('zerver_userprofile_crossrealm')) {
      const [id, recipient, email] = [fields.integerOf('id'), fields.integerOf('recipient_id'), fields.textOf('email') ?? ''];
      const to = this.#assignment.bots?.get(email);
      if (this.#assignment.bots !== undefined && to === undefined) {
        throw new RealmliftError('ID_MAP', 'remap', `the new ids of ${email} are not given`, { table: 'zerver_userprofile_crossrealm', hint: 'the map must name each system bot of the export' });
      }
      users.push([id, to?.user ?? id]);
      recipients.push([recipient, to?.recipient ?? recipient]);
    }
    return { users, recipients };
  }

  #tableSpace(table: string, bots: { readonly users: [number, number][]; readonly recipients: [number, number][] }): IdSpace {
    if (this.#recorded !== undefined) return this.#recorded.tableSpace(table);
    const { all, bots: mappedBots, clients } = this.#assignment;
    const special = [...(table === 'zerver_userprofile' ? bots.users : table === 'zerver_recipient' ? bots.recipients : []), ...(this.#assignment.known?.[table] ?? [])];
    if (table === 'zerver_client' && clients !== undefined) return this.#clients(clients);
    if (all === undefined && (mappedBots === undefined || special.length === 0)) return UNCHANGED;
    const space = new TableSpace(all === undefined);
    for (const [old, to] of special) space.set(old, to);
    const ids = this.#ids(table).filter((id) => !special.some(([bot]) => bot === id));
    if (all === undefined) {
      const taken = special.find(([old, to]) => old !== to && ids.includes(to));
      if (taken !== undefined) throw collision(table, taken[1], 'give all rows new ids with --remap');
      return space;
    }
    const base = all.base(table);
    ids.forEach((id, index) => space.set(id, all.nth(table, index + 1)));
    const highest = ids.length === 0 ? base : all.nth(table, ids.length);
    refuseRange(table, highest, all);
    const bot = special.find(([, to]) => to > base && to <= highest);
    if (bot !== undefined) throw collision(table, bot[1], 'choose an --id-base above the ids of the system bots');
    return space;
  }

  /** Clients unite by name with the new server's. */
  #clients(known: ReadonlyMap<string, number>): IdSpace {
    const space = new TableSpace(false);
    const missing: string[] = [];
    let next = this.#assignment.nextClient;
    for (const fields of this.#rows('zerver_client')) {
      const [id, name] = [fields.integerOf('id'), fields.textOf('name') ?? ''];
      const to = known.get(name);
      if (to !== undefined) space.set(id, to);
      else if (next !== undefined) space.set(id, ++next);
      else missing.push(name);
    }
    if (missing.length > 0) {
      throw new RealmliftError('ID_MAP', 'remap', `the map has no id for ${missing.length} clients of the export: ${missing.slice(0, 5).map((name) => JSON.stringify(name)).join(', ')}`, { table: 'zerver_client' });
    }
    return space;
  }

  /** Ids of all tables that share them, sorted. */
  #ids(space: string): number[] {
    const ids: number[] = [];
    for (const file of this.#files) {
      for (const table of file.tables) {
        if (spaceOf(table) !== space || REPEATED.has(table)) continue;
        for (const row of file.rows(table)) ids.push(this.#fields.split(row).integerOf('id'));
      }
    }
    ids.sort((a, b) => a - b);
    const twice = ids.find((id, index) => ids[index - 1] === id);
    if (twice !== undefined) throw new RealmliftError('ROWS_UNSORTED', 'remap', `id ${twice} comes twice`, { table: space });
    return ids;
  }

  async #messageSpaces(): Promise<void> {
    const [messages, usermessages, spool, scratch] = this.#fds as [number, number, number, number];
    if (this.#recorded !== undefined) {
      this.#spaces.set(MESSAGES, this.#recorded.fileSpace(MESSAGES, messages));
      this.#spaces.set(USERMESSAGES, this.#recorded.fileSpace(USERMESSAGES, usermessages));
      return;
    }
    const ids = new IdSpool(spool);
    const messageIds = new Numbering(messages, MESSAGES, this.#assignment);
    const usermessageIds = new Numbering(usermessages, USERMESSAGES, this.#assignment);
    const asTheyCome = this.#assignment.usermessagesAsTheyCome === true;
    for (const file of eachTableFile(this.#source, this.#source.messages)) {
      // Reading is synchronous: between two files the program hears signals and its other connections.
      await setImmediate();
      for (const row of file.rows(MESSAGES)) (asTheyCome ? ids : messageIds).add(this.#fields.split(row).integerOf('id'));
      for (const row of asTheyCome ? [] : file.rows(USERMESSAGES)) {
        const id = this.#fields.split(row).integerOf('id');
        // Those that were made of single users' flags have none.
        if (!Number.isNaN(id)) ids.add(id);
      }
    }
    // Sorted in each file, but a message may be received long after it was sent; and in exports of Zulip 4 itself the messages begin again.
    const sorted = mergeRuns(ids.finish(), new IdSpool(scratch));
    for (let id = sorted.next(); id !== Infinity; id = sorted.next()) (asTheyCome ? messageIds : usermessageIds).add(id);
    this.#spaces.set(MESSAGES, messageIds.finish());
    this.#spaces.set(USERMESSAGES, usermessageIds.finish());
  }

  #details(): Pick<Survey, 'userFields' | 'groups' | 'uploads' | 'strays' | 'addresses'> {
    const userFields = new Set<number>();
    for (const fields of this.#rows('zerver_customprofilefield')) if (fields.integerOf('field_type') === USER_FIELD) userFields.add(fields.integerOf('id'));
    const groupOf = new Map<number, number>();
    for (const fields of this.#rows('zerver_recipient')) if (fields.integerOf('type') === GROUP) groupOf.set(fields.integerOf('id'), fields.integerOf('type_id'));
    const groups = new Map<number, number[]>();
    for (const fields of this.#rows('zerver_subscription')) {
      const group = groupOf.get(fields.integerOf('recipient'));
      if (group === undefined) continue;
      const members = groups.get(group);
      if (members === undefined) groups.set(group, [fields.integerOf('user_profile')]);
      else members.push(fields.integerOf('user_profile'));
    }
    const uploads = new IdTable();
    const strays: string[] = [];
    for (const fields of this.#rows('zerver_attachment')) {
      const path = fields.textOf('path_id') ?? '';
      uploads.add(pathId(path.replace(/\/[^/]*$/, '')));
      if (!isUnder(this.#source.header.realm_id, path)) strays.push(path);
    }
    for (const path of this.#uploadPaths()) uploads.add(pathId(path.replace(/\/[^/]*$/, '')));
    return { userFields, groups, uploads, strays, addresses: this.#addresses() };
  }

  /** One who really has an address like those that are shown has it as delivery_email too. */
  #addresses(): Addresses {
    const byId = new Map<number, string>();
    const others = new Set<string>();
    for (const table of ['zerver_userprofile', 'zerver_userprofile_mirrordummy']) {
      for (const fields of this.#rows(table)) {
        const [id, email] = [fields.integerOf('id'), fields.textOf('email') ?? ''];
        if (email.startsWith(`user${id}@`) && email !== fields.textOf('delivery_email')) byId.set(id, email);
        else others.add(comparable(email));
      }
    }
    return { byId, others };
  }

  /** A single user's export has files of the user, and no attachments. */
  *#uploadPaths(): Generator<string> {
    const records = this.#source.records.get('uploads');
    if (records === undefined || this.#source.top.has('attachment.json')) return;
    for (const file of eachTableFile(this.#source, [records])) for (const row of file.rows(BARE)) yield this.#fields.split(row).textOf('path') ?? '';
  }
}

/** New ids in the order of the old, on disk. */
class Numbering {
  readonly #pairs: PairFileWriter;
  readonly #table: string;
  readonly #assignment: Assignment;
  #count = 0;
  #last = 0;

  constructor(fd: number, table: string, assignment: Assignment) {
    this.#pairs = new PairFileWriter(fd, table);
    this.#table = table;
    this.#assignment = assignment;
  }

  add(id: number): void {
    this.#last = this.#assignment.all?.nth(this.#table, ++this.#count) ?? ++this.#count;
    this.#pairs.add(id, this.#last);
  }

  finish(): IdSpace {
    const { all } = this.#assignment;
    if (all !== undefined) refuseRange(this.#table, this.#last, all);
    return new FileSpace(this.#pairs.finish(), [(all?.base(this.#table) ?? 0) + 1, this.#last]);
  }
}

function collision(table: string, id: number, hint: string): RealmliftError {
  return new RealmliftError('ID_COLLISION', 'remap', `id ${id} of a system bot of the new server is also that of an exported row`, { table, hint });
}
