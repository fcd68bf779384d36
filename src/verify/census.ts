/**
 * What the owner of a realm counts, counted while verify has the rows in its hands anyway: messages by month and kind, users and
 * channels by kind, and how many bytes each table takes. Nothing here grows with the number of messages.
 */
import type { RowCheck, SpecialCheck } from './row-check.js';

/** `zerver_recipient.type` in words. */
export const MESSAGE_KINDS = ['direct', 'channel', 'group'] as const;
export type MessageKind = (typeof MESSAGE_KINDS)[number];

export interface Month extends Record<MessageKind, number> {
  /** The highest id of its messages: ids rise with time. */
  lastId: number;
}

export interface Census {
  /** By month as in `2026-11`, UTC. */
  readonly months: Record<string, Month>;
  /** Messages by channel id. */
  readonly channelMessages: Record<string, number>;
  readonly users: Record<string, number>;
  readonly channels: Record<string, number>;
  /** Bytes of JSON by table. */
  readonly bytes: Record<string, number>;
}

const COUNTS = ['channelMessages', 'users', 'channels', 'bytes'] as const;

export function emptyCensus(): Census {
  return { months: {}, channelMessages: {}, users: {}, channels: {}, bytes: {} };
}

/** Adds what another file holds. */
export function addCensus(to: Census, from: Census): void {
  for (const part of COUNTS) for (const [key, count] of Object.entries(from[part])) addTo(to[part], key, count);
  for (const [month, { lastId, ...kinds }] of Object.entries(from.months)) {
    const known = to.months[month] ??= { direct: 0, channel: 0, group: 0, lastId: 0 };
    for (const kind of MESSAGE_KINDS) known[kind] += kinds[kind];
    known.lastId = Math.max(known.lastId, lastId);
  }
}

/**
 * What a file holds once rows of it were replaced.
 *
 * @param old what these rows were counted as @param now what those in their place are
 * @returns undefined where the months of messages differ, of which the last message would not be known
 */
export function replaceInCensus(of: Census, old: Census, now: Census): Census | undefined {
  if (JSON.stringify(old.months) !== JSON.stringify(now.months)) return undefined;
  const census = emptyCensus();
  addCensus(census, of);
  for (const part of COUNTS) {
    const counts = census[part];
    for (const [key, count] of Object.entries(old[part])) addTo(counts, key, -count);
    for (const [key, count] of Object.entries(now[part])) addTo(counts, key, count);
    for (const [key, count] of Object.entries(counts)) if (count === 0) delete counts[key];
  }
  return census;
}

/** Roles of zerver_userprofile. */
const ROLES: Readonly<Record<number, string>> = { 100: 'owners', 200: 'administrators', 300: 'moderators', 400: 'members', 600: 'guests' };

/** Counts the rows of one file, beside whatever else is done with them. */
export class FileCensus {
  readonly result = emptyCensus();
  #month: Month = { direct: 0, channel: 0, group: 0, lastId: 0 };
  /** Seconds between which `#month` lies. */
  #from = Infinity;
  #to = -Infinity;

  /** The check with the counting behind it; undefined where there is neither. */
  beside(table: string, special: SpecialCheck | undefined): SpecialCheck | undefined {
    const counting = this.#counting(table);
    if (counting === undefined || special === undefined) return special ?? counting;
    return {
      keys: { ...counting.keys, ...special.keys },
      row(check, id) {
        special.row(check, id);
        counting.row(check, id);
      },
    };
  }

  #counting(table: string): SpecialCheck | undefined {
    if (table === 'zerver_message') return { keys: { date_sent: 'number' }, row: (check, id) => { this.#message(check, id); } };
    if (table === 'zerver_userprofile_mirrordummy') return { keys: {}, row: () => { addTo(this.result.users, 'placeholders', 1); } };
    if (table === 'zerver_userprofile') return { keys: { is_active: 'flag', is_bot: 'flag', role: 'number' }, row: (check) => { addTo(this.result.users, userKind(check), 1); } };
    if (table === 'zerver_stream') return { keys: { invite_only: 'flag', is_web_public: 'flag', deactivated: 'flag' }, row: (check) => { addTo(this.result.channels, channelKind(check), 1); } };
    return undefined;
  }

  #message(check: RowCheck, id: number): void {
    const sent = check.number('date_sent');
    const packed = check.context.targets.recipient.get(check.number('recipient'));
    if (packed === undefined || !Number.isFinite(sent)) return;
    if (sent < this.#from || sent >= this.#to) this.#open(sent);
    const type = packed % 4;
    this.#month[MESSAGE_KINDS[type - 1] ?? 'direct']++;
    if (id > this.#month.lastId) this.#month.lastId = id;
    if (type === 2) addTo(this.result.channelMessages, String((packed - type) / 4), 1);
  }

  #open(sent: number): void {
    const date = new Date(sent * 1000);
    const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
    this.#from = Date.UTC(year, month) / 1000;
    this.#to = Date.UTC(year, month + 1) / 1000;
    this.#month = this.result.months[`${String(year).padStart(4, '0')}-${String(month + 1).padStart(2, '0')}`] ??= { direct: 0, channel: 0, group: 0, lastId: 0 };
  }
}

function userKind(check: RowCheck): string {
  if (check.number('is_bot') === 1) return 'bots';
  if (check.number('is_active') !== 1) return 'deactivated';
  return ROLES[check.number('role')] ?? 'members';
}

function channelKind(check: RowCheck): string {
  if (check.number('deactivated') === 1) return 'archived';
  if (check.number('invite_only') === 1) return 'private';
  return check.number('is_web_public') === 1 ? 'public on the web' : 'public';
}

function addTo(counts: Record<string, number>, key: string, more: number): void {
  counts[key] = (counts[key] ?? 0) + more;
}
