/**
 * Ids and paths in message text and its rendered HTML: mentions, links to messages, channels, groups, users and uploads.
 *
 * The text is rewritten as it stands in the JSON, escapes and all: ids are digits in any case, and a quote may have any number of
 * backslashes before it (the text of an earlier edit is JSON within JSON). Strings are latin1, one character a byte.
 *
 * The messages of the sample servers (8.4, 11.0-dev) hold mentions, silent mentions with an id, links to channels, uploads,
 * thumbnails and avatars in these forms. The others (message links, links to users, groups and conversations, topics with a
 * message) are written after Zulip's API documentation and are tested on made-up texts alone. Where Zulip makes them:
 * zerver/lib/markdown/__init__.py, zerver/lib/mention.py, zerver/lib/url_encoding.py, web/src/hash_util.ts
 */
import { pathId, type IdTable } from '../ids/id-table.js';
import type { IdSpace } from './id-space.js';
import type { Outside } from './outside.js';
import { newUploadDirectory } from './upload-path.js';

export interface TextContext {
  /** By the table that owns the ids. */
  space(table: string): IdSpace;
  /** The exported realm's id as it was. */
  readonly realmId: number;
  /** Directories of the exported attachments, such as `2/ab/X9…`, as {@link pathId}. */
  readonly uploads: IdTable;
  /** Uploads under another number than the realm's: a load moves them, since that may be anybody's on the new server; of a remapped export they stay, so that it can be mapped back. */
  readonly strays: 'moved' | 'kept';
  /** Old names of avatars to new ones; empty when they keep their names. */
  readonly avatarNames: ReadonlyMap<string, string>;
  readonly outside: Outside;
}

/** Everything that may carry an id begins like this; nearly all texts hold none of it. */
const MARK = /#narrow\/|\/?user_uploads\/|\/user_avatars\/|\/avatar\/|data-(?:user|user-group|stream|channel)-id=|@_?\*\*|#\*\*|#(?:channels|streams|groups|user)\//g;

const ATTRIBUTE = /(\\*)"(\d+)\1"/y;
const MENTION = /[^*]{0,600}\|(\d+)(?=\*\*)/y;
const TOPIC_MESSAGE = /[^*]{1,600}>[^*]{0,600}@(\d+)(?=\*\*)/y;
/** Not the beginning of a word; a full stop may end the sentence that holds the link. */
const NUMBER = /(\d+)(?!\w|\.\w)/y;
/** No \s: it would take a byte of a multi-byte character for a space. */
const NARROW = /[^\x00-\x20"'<>)\\]*/y;
const LINK = /[^\x00-\x20"'<>)\\&]*/y;
/** Old servers put under `unk` what was nobody's. */
const UPLOAD = /(?:thumbnail\/)?(\d+|unk)\/((?:[\w-]+\/){0,2})/y;
const AVATAR = /(\d+)\/(?:emoji\/|realm\/|([0-9a-f]{40}))/y;
/** Ids of a group conversation: `5,6-group`, the comma also in the two ways in which URLs escape it. */
const IDS = /^\d+(?:(?:,|%2C|\.2C)\d+)*(?!\w|%|\.\w)/i;

const OF_ATTRIBUTE: Readonly<Record<string, string>> = {
  'data-user-id=': 'zerver_userprofile', 'data-user-group-id=': 'zerver_usergroup', 'data-stream-id=': 'zerver_stream', 'data-channel-id=': 'zerver_stream',
};
const OF_PAGE: Readonly<Record<string, string>> = {
  '#channels/': 'zerver_stream', '#streams/': 'zerver_stream', '#groups/': 'zerver_usergroup', '#user/': 'zerver_userprofile',
};
const OF_OPERATOR: Readonly<Record<string, string>> = {
  stream: 'zerver_stream', channel: 'zerver_stream', near: 'zerver_message', with: 'zerver_message', id: 'zerver_message', sender: 'zerver_userprofile',
  dm: 'zerver_userprofile', 'pm-with': 'zerver_userprofile', 'dm-including': 'zerver_userprofile', 'group-pm-with': 'zerver_userprofile',
};

const FRAGMENT = '"narrow/';

/** Characters looked at before a link for its host. */
const LONGEST_HOST = 300;
const LINK_BOUNDARY = /[\x00-\x20"'<>()[\]\\=|]/;

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export class TextRewriter {
  readonly #context: TextContext;
  #edits: Edit[] = [];
  #where = '';

  constructor(context: TextContext) {
    this.#context = context;
  }

  /**
   * @param text as in the JSON, latin1
   * @param where table and key, for the count of what points outside
   * @param row gives the whole row, latin1: its rendered HTML tells which absolute links are the realm's own
   * @returns the text itself when nothing changes
   */
  rewrite(text: string, where: string, row: () => string): string {
    this.#edits = [];
    this.#where = where;
    // A navigation view is the part of such a link behind the #.
    if (text.startsWith(FRAGMENT)) this.#narrow((matchAt(NARROW, text, FRAGMENT.length) as RegExpExecArray)[0], FRAGMENT.length);
    MARK.lastIndex = 0;
    for (let mark = MARK.exec(text); mark !== null; mark = MARK.exec(text)) this.#at(text, mark[0], mark.index, row);
    if (this.#edits.length === 0) return text;
    let out = '';
    let last = 0;
    for (const { start, end, text: replacement } of this.#edits) {
      out += text.slice(last, start) + replacement;
      last = end;
    }
    return out + text.slice(last);
  }

  #at(text: string, mark: string, index: number, row: () => string): void {
    const from = index + mark.length;
    const attribute = OF_ATTRIBUTE[mark];
    if (attribute !== undefined) this.#number(matchAt(ATTRIBUTE, text, from), 2, attribute);
    else if (mark.startsWith('@')) this.#number(matchAt(MENTION, text, from), 1, 'zerver_userprofile');
    else if (mark === '#**') this.#number(matchAt(TOPIC_MESSAGE, text, from), 1, 'zerver_message');
    else this.#link(text, mark, index, row);
  }

  #link(text: string, mark: string, index: number, row: () => string): void {
    const from = index + mark.length;
    const own = (): boolean => isOwn(text, index, mark, row);
    switch (mark) {
      case '#narrow/': {
        const [link] = matchAt(NARROW, text, from) as RegExpExecArray;
        if (own()) this.#narrow(link, from);
        else this.#foreign();
        return;
      }
      case '/user_uploads/':
      case 'user_uploads/': {
        const match = matchAt(UPLOAD, text, from);
        if (match === null) return;
        if (own()) this.#upload(match);
        else this.#foreign();
        return;
      }
      case '/user_avatars/': {
        const match = matchAt(AVATAR, text, from);
        if (match === null) return;
        if (own()) this.#avatar(match);
        else this.#foreign();
        return;
      }
      default: {
        const match = matchAt(NUMBER, text, from);
        if (match === null) return;
        if (own()) this.#number(match, 1, OF_PAGE[mark] ?? 'zerver_userprofile');
        else this.#foreign();
      }
    }
  }

  /** `channel/5-general/topic/x/near/123`: operators and operands by turns. */
  #narrow(link: string, from: number): void {
    const parts = link.split('/');
    let at = from;
    for (let part = 0; part + 1 < parts.length; part += 2) {
      const [operator, operand] = [parts[part] as string, parts[part + 1] as string];
      at += operator.length + 1;
      const table = OF_OPERATOR[operator.replace(/^-/, '')];
      const ids = table === undefined ? null : IDS.exec(operand);
      if (table !== undefined && ids !== null) {
        for (const { 0: match, 1: digits, index } of ids[0].matchAll(/(?:^|,|%2C|\.2C)(\d+)/gi)) this.#replace(at + index + match.length - (digits as string).length, digits as string, table);
      }
      at += operand.length + 1;
    }
  }

  #upload(match: RegExpExecArray): void {
    const [whole, realm, directories] = match as unknown as [string, string, string];
    const segments = directories.split('/').filter((each) => each !== '');
    const { uploads, strays, realmId, outside } = this.#context;
    const realms = this.#context.space('zerver_realm');
    const directory = [realm, ...segments].map((_, count, path) => path.slice(0, count + 1).join('/')).findLast((each) => uploads.has(pathId(each)));
    const start = match.index + whole.length - directories.length - realm.length - 1;
    if (directory === undefined) {
      if (!realms.partial) outside.add(this.#where, 'upload', false);
    } else if (strays === 'kept') this.#replace(start, realm, 'zerver_realm');
    else this.#edits.push({ start, end: start + directory.length, text: newUploadDirectory(directory, { old: realmId, new: realms.get(realmId) ?? realmId }) });
  }

  #avatar(match: RegExpExecArray): void {
    const [, realm, name] = match as unknown as [string, string, string | undefined];
    this.#replace(match.index, realm, 'zerver_realm');
    const renamed = name === undefined || Number(realm) !== this.#context.realmId ? undefined : this.#context.avatarNames.get(name);
    if (renamed !== undefined) this.#edits.push({ start: match.index + realm.length + 1, end: match.index + realm.length + 1 + renamed.length, text: renamed });
  }

  #number(match: RegExpExecArray | null, group: 1 | 2, table: string): void {
    if (match === null) return;
    const digits = match[group] as string;
    this.#replace(match.index + match[0].lastIndexOf(digits), digits, table);
  }

  #replace(start: number, digits: string, table: string): void {
    const id = Number(digits);
    const space = this.#context.space(table);
    const to = String(id) === digits ? space.get(id) : undefined;
    if (to !== undefined) this.#edits.push({ start, end: start + digits.length, text: String(to) });
    else if (!space.partial) this.#context.outside.add(this.#where, table, space.isNew(id));
  }

  #foreign(): void {
    if (!this.#context.space('zerver_realm').partial) this.#context.outside.add(this.#where, 'link to another site', false);
  }
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

/**
 * True for a link of the realm itself: a relative one, or an absolute one that Zulip rendered as relative. The export does not
 * say under which address the old server was reached, but when it renders a link to itself Zulip strips its own address, the slash
 * behind it too.
 */
function isOwn(text: string, index: number, mark: string, row: () => string): boolean {
  let start = index;
  while (start > 0 && index - start < LONGEST_HOST && !LINK_BOUNDARY.test(text[start - 1] as string)) start--;
  let before = text.slice(start, index);
  // Behind a backslash stands the rest of an escape, such as the n of a newline.
  if (text[start - 1] === '\\') before = before.replace(/^(?:u[0-9a-fA-F]{4}|[bfnrt])/, '');
  if (before === '' || (before === '/' && mark.startsWith('#'))) return true;
  if (!/^https?:\/\/[^/]+\/?$/i.test(before)) return false;
  const [rest] = matchAt(LINK, text, index) as RegExpExecArray;
  const link = rest.replace(/^\/|[.,;:!?]+$/g, '');
  const rendered = row();
  return rendered.includes(`"${link}`) || rendered.includes(`"/${link}`);
}
