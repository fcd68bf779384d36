/** The rows of one table with new ids, as bytes: what each key holds is decided once, by its name. */
import { RowFields, integerIn } from '../json/row-fields.js';
import { editJson } from '../json/edit-json.js';
import { groupHash } from './group-hash.js';
import { UNCHANGED, type IdSpace } from './id-space.js';
import type { Outside } from './outside.js';
import type { OwnIds } from './own-ids.js';
import type { ReferenceCatalog } from './reference-catalog.js';
import { rewriteAuditData } from './rewrite-audit-data.js';
import { TextRewriter, type TextContext } from './rewrite-text.js';
import { RowBuilder } from './row-builder.js';
import { shownAddresses } from './shown-addresses.js';
import type { Survey } from './survey.js';
import { newUploadPath } from './upload-path.js';

export interface RewriteContext {
  readonly survey: Survey;
  readonly space: (table: string) => IdSpace;
  /** Of users whose address is made of their id: the new one, by the old id. */
  readonly shown: ReadonlyMap<number, string>;
  readonly references: ReferenceCatalog;
  readonly text: TextRewriter;
  readonly outside: Outside;
  readonly strays: TextContext['strays'];
  /** --realm-name */
  readonly realmName: string | undefined;
  /** --subdomain */
  readonly subdomain: string | undefined;
}

/** @param chosen avatarNames: old names of avatars to new ones, in texts */
export function rewriteContext(chosen: Omit<RewriteContext, 'space' | 'shown' | 'text'> & { readonly avatarNames: ReadonlyMap<string, string> }): RewriteContext {
  const { survey, outside, avatarNames, strays } = chosen;
  const space = (table: string): IdSpace => survey.spaces.get(table) ?? UNCHANGED;
  return { ...chosen, space, shown: shownAddresses(survey.addresses, space('zerver_userprofile')), text: new TextRewriter({ space, realmId: survey.realmId, uploads: survey.uploads, strays, avatarNames, outside }) };
}

/** What takes the place of a value, text being latin1; undefined leaves it. */
type Rewrite = (row: RowRewriter, fields: RowFields, field: number) => number | string | undefined;

const QUOTE = 0x22;

export class RowRewriter {
  readonly table: string;
  readonly context: RewriteContext;
  /** Of the present row, as it was. */
  id = NaN;
  /** Of the present row, as it will be. */
  newId = NaN;
  readonly #own: OwnIds;
  readonly #fields = new RowFields();
  readonly #builder = new RowBuilder();
  readonly #rules = new Map<string, Rewrite | undefined>();
  /** Of the n-th key of the row before, which is nearly always the same key. */
  readonly #order: { key: string; rule: Rewrite | undefined }[] = [];

  constructor(table: string, context: RewriteContext, own: OwnIds) {
    [this.table, this.context, this.#own] = [table, context, own];
  }

  /** The row with new ids; it holds until the next call. */
  rewrite(row: Buffer): Buffer {
    const fields = this.#fields.split(row);
    const builder = this.#builder;
    builder.begin(row);
    this.id = fields.integerOf('id');
    this.newId = this.#own.next(this.id);
    for (let field = 0; field < fields.count; field++) {
      const rule = this.#rule(field);
      if (rule === undefined) continue;
      const to = rule(this, fields, field);
      if (to !== undefined) builder.replace(fields.start(field), fields.end(field), to);
    }
    return builder.finish();
  }

  #rule(field: number): Rewrite | undefined {
    const key = this.#fields.key(field);
    const guess = this.#order[field];
    if (guess?.key === key) return guess.rule;
    if (!this.#rules.has(key)) this.#rules.set(key, ruleOf(this.table, key, this.context));
    const rule = this.#rules.get(key);
    this.#order[field] = { key, rule };
    return rule;
  }

  /** The new id behind a reference; undefined leaves it. */
  replace(table: string, id: number, key: string): number | undefined {
    const space = this.context.space(table);
    const to = space.get(id);
    if (to === undefined && !space.partial) this.context.outside.add(`${this.table}.${key}`, table, space.isNew(id));
    return to;
  }

  text(fields: RowFields, field: number): string | undefined {
    if (fields.row[fields.start(field)] !== QUOTE) return undefined;
    const text = latin1(fields.bytes(field));
    const to = this.context.text.rewrite(text, `${this.table}.${fields.key(field)}`, () => latin1(fields.row));
    return to === text ? undefined : to;
  }
}

/** Text that people write, and its HTML. */
const TEXTS: Readonly<Record<string, ReadonlySet<string>>> = {
  zerver_channelfolder: new Set(['description', 'rendered_description']),
  zerver_customprofilefieldvalue: new Set(['rendered_value']),
  zerver_message: new Set(['content', 'rendered_content']),
  zerver_namedusergroup: new Set(['description']),
  zerver_navigationview: new Set(['fragment']),
  zerver_analytics: new Set(['description']),
  zerver_realm: new Set(['description', 'rendered_description', 'welcome_message_custom_text']),
  zerver_savedsnippet: new Set(['content']),
  zerver_scheduledmessage: new Set(['content', 'rendered_content', 'reminder_note']),
  zerver_stream: new Set(['description', 'rendered_description']),
  zerver_usergroup: new Set(['description']),
  zerver_userstatus: new Set(['status_text']),
};

const SPECIAL: Readonly<Record<string, Readonly<Record<string, Rewrite>>>> = {
  zerver_attachment: { messages: list('zerver_message'), scheduled_messages: list('zerver_scheduledmessage'), path_id: uploadPath },
  zerver_customprofilefieldvalue: { value: profileValue },
  zerver_huddle: { huddle_hash: huddleHash },
  zerver_message: { edit_history: editHistory, display_recipient: displayRecipient, realm: ownRealm },
  zerver_reaction: { emoji_code: emojiCode },
  zerver_realm: { name: realmName, string_id: subdomain },
  zerver_analytics: { name: realmName, string_id: subdomain },
  zerver_realmauditlog: { extra_data: auditData },
  zerver_recipient: { type_id: recipientTarget },
  zerver_submessage: { content: widgetState },
  zerver_usergroup: { members: list('zerver_userprofile'), direct_members: list('zerver_userprofile'), direct_subgroups: list('zerver_usergroup') },
  zerver_userprofile: { email: shownAddress },
  zerver_userprofile_mirrordummy: { email: shownAddress },
  zerver_userstatus: { emoji_code: emojiCode },
};

function ruleOf(table: string, key: string, { references }: RewriteContext): Rewrite | undefined {
  if (key === 'id') return (row) => (Number.isNaN(row.newId) || row.newId === row.id ? undefined : row.newId);
  const own = SPECIAL[table];
  const special = own !== undefined && Object.hasOwn(own, key) ? own[key] : undefined;
  if (special !== undefined) return special;
  if (TEXTS[table]?.has(key) === true) return (row, fields, field) => row.text(fields, field);
  const referred = references.reference(table, key);
  if (referred !== undefined) return (row, fields, field) => reference(row, fields, field, referred);
  return (_row, fields, field) => {
    if (!Number.isNaN(fields.integer(field))) references.refuseUnknownKey(table, key);
    return undefined;
  };
}

function reference(row: RowRewriter, fields: RowFields, field: number, table: string): number | undefined {
  const id = fields.integer(field);
  // The number of no message, as first_visible_message_id has it, is 0.
  return Number.isNaN(id) || id === 0 ? undefined : row.replace(table, id, fields.key(field));
}

/** As Zulip's import sets it: until Zulip 7 a message of the realm may name another. */
function ownRealm(row: RowRewriter, fields: RowFields, field: number): number | undefined {
  const { space, survey } = row.context;
  return space('zerver_realm').get(survey.realmId) ?? reference(row, fields, field, 'zerver_realm');
}

function list(table: string): Rewrite {
  return (row, fields, field) => {
    const { row: bytes } = fields;
    const [start, end] = [fields.start(field), fields.end(field)];
    let changed = false;
    let out = '';
    for (let at = start; at < end;) {
      let to = at;
      while (to < end && (bytes[to] as number) >= 0x30 && (bytes[to] as number) <= 0x39) to++;
      if (to === at) out += String.fromCharCode(bytes[at++] as number);
      else {
        const id = integerIn(bytes, at, to);
        const mapped = row.replace(table, id, fields.key(field));
        if (mapped !== undefined) changed = true;
        out += String(mapped ?? id);
        at = to;
      }
    }
    return changed ? out : undefined;
  };
}

/** What an address stands for: a user, a channel or a group conversation. */
function recipientTarget(row: RowRewriter, fields: RowFields, field: number): number | undefined {
  const table = { 1: 'zerver_userprofile', 2: 'zerver_stream', 3: 'zerver_huddle' }[fields.integerOf('type')];
  return table === undefined ? undefined : reference(row, fields, field, table);
}

/** The code of a realm's own emoji is its id; that of others a code point. */
function emojiCode(row: RowRewriter, fields: RowFields, field: number): string | undefined {
  if (fields.textOf('reaction_type') !== 'realm_emoji') return undefined;
  const id = integerIn(fields.row, fields.start(field) + 1, fields.end(field) - 1);
  const to = Number.isNaN(id) ? undefined : row.replace('zerver_realmemoji', id, 'emoji_code');
  return to === undefined ? undefined : `"${to}"`;
}

function huddleHash({ context: { survey, space, outside }, id }: RowRewriter, fields: RowFields): string | undefined {
  const users = survey.groups.get(id) ?? [];
  if (fields.textOf('huddle_hash') !== groupHash(users)) {
    if (!space('zerver_huddle').partial) outside.add('zerver_huddle.huddle_hash', 'users that are not exported', false);
    return undefined;
  }
  return `"${groupHash(users.map((user) => space('zerver_userprofile').get(user) ?? user))}"`;
}

/** Of the type for users a list of ids in a text, else what people wrote. */
function profileValue(row: RowRewriter, fields: RowFields, field: number): string | undefined {
  const text = latin1(fields.bytes(field));
  if (!row.context.survey.userFields.has(fields.integerOf('field'))) return row.text(fields, field);
  if (!/^"\[[\d, ]*\]"$/.test(text)) return undefined;
  return text.replace(/\d+/g, (digits) => String(row.replace('zerver_userprofile', Number(digits), 'value') ?? digits));
}

/**
 * A text that holds a JSON list of edits, each with users, channels and earlier texts. Quotes of its own keys have one backslash;
 * those within the earlier texts have more.
 */
function editHistory(row: RowRewriter, fields: RowFields, field: number): string | undefined {
  const text = row.text(fields, field) ?? latin1(fields.bytes(field));
  const tables: Readonly<Record<string, string>> = { user_id: 'zerver_userprofile', stream: 'zerver_stream', prev_stream: 'zerver_stream' };
  const to = text.replace(/(?<!\\)(\\?"(user_id|stream|prev_stream)\\?": ?)(\d+)/g, (whole, before: string, key: string, digits: string) => {
    const id = row.replace(tables[key] as string, Number(digits), 'edit_history');
    return id === undefined ? whole : `${before}${id}`;
  });
  return to === latin1(fields.bytes(field)) ? undefined : to;
}

/**
 * A text that holds JSON. A vote in a poll names its option as `USER,NUMBER`, a mark in a to-do list its task as `NUMBER,USER`: the
 * user is who added it (poll_data.ts and todo_widget.ts of Zulip's web client).
 */
function widgetState(row: RowRewriter, fields: RowFields, field: number): string | undefined {
  const text = latin1(fields.bytes(field));
  const type = /\\"type\\": ?\\"(vote|strike)\\"/.exec(text)?.[1];
  if (type === undefined) return undefined;
  const renumbered = (user: string): string => String(row.replace('zerver_userprofile', Number(user), 'content') ?? user);
  const to = text.replace(/(\\"key\\": ?\\")(\d+),(\d+)(?=\\")/, (_, before: string, first: string, second: string) =>
    before + (type === 'vote' ? `${renumbered(first)},${second}` : `${first},${renumbered(second)}`));
  return to === text ? undefined : to;
}

/** Of Zulip 4 and older: the name of a channel, or a list of people with their ids. */
function displayRecipient(row: RowRewriter, fields: RowFields, field: number): string | undefined {
  const written = latin1(fields.bytes(field));
  if (!written.startsWith('[')) return undefined;
  return editJson(written, {
    value: (path, token) => {
      const to = path.at(-1) === 'id' ? row.replace('zerver_userprofile', Number(token), 'display_recipient') : undefined;
      return to === undefined ? undefined : String(to);
    },
    key: () => undefined,
  });
}

/** An object, or in older versions a text that holds one. */
function auditData(row: RowRewriter, fields: RowFields, field: number): string | undefined {
  const written = latin1(fields.bytes(field));
  const context = {
    references: row.context.references,
    replace: (table: string, id: number) => row.replace(table, id, 'extra_data'),
    link: (text: string) => row.context.text.rewrite(text, 'zerver_realmauditlog.extra_data', () => ''),
  };
  const event = fields.integerOf('event_type');
  if (written.startsWith('{')) {
    const to = rewriteAuditData(written, event, context);
    return to === written ? undefined : to;
  }
  if (!written.startsWith('"{')) return undefined;
  const inner = JSON.parse(written) as string;
  // Written again with the same escapes, or not at all; some rows of old servers are Python's, not JSON.
  if (JSON.stringify(inner) !== written || !isJson(inner)) return undefined;
  const to = JSON.stringify(rewriteAuditData(inner, event, context));
  return to === written ? undefined : to;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function uploadPath({ context: { survey: { realmId }, space, strays } }: RowRewriter, fields: RowFields, field: number): string | undefined {
  const realms = space('zerver_realm');
  if (strays === 'kept') return movedPath(latin1(fields.bytes(field)), realmId, realms);
  return quoted(newUploadPath(fields.textOf('path_id') ?? '', { old: realmId, new: realms.get(realmId) ?? realmId }));
}

/** `"2/ab/x.png"` under the realm's new id; undefined when it does not begin with the old one, or nothing changes. */
export function movedPath(path: string, realmId: number, realms: IdSpace): string | undefined {
  const to = realms.get(realmId);
  if (to === undefined || to === realmId || !path.startsWith(`"${realmId}/`)) return undefined;
  return `"${to}${path.slice(String(realmId).length + 1)}`;
}

function shownAddress({ context, id }: RowRewriter): string | undefined {
  return quoted(context.shown.get(id));
}

function realmName({ context }: RowRewriter): string | undefined {
  return quoted(context.realmName);
}

function subdomain({ context }: RowRewriter): string | undefined {
  return quoted(context.subdomain);
}

/** A value as it stands in the JSON, latin1. */
export function quoted(value: string | undefined): string | undefined {
  return value === undefined ? undefined : latin1(Buffer.from(JSON.stringify(value)));
}

/** One character a byte, so that nothing is lost or changed by decoding. */
export function latin1(bytes: Buffer): string {
  return bytes.toString('latin1');
}
