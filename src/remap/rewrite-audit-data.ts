/**
 * Ids in zerver_realmauditlog.extra_data: by the names of the keys, and under "1" (old) and "2" (new) by the name of the setting
 * that changed.
 *
 * Seen are the keys in the logs of the sample servers (8.4, 11.0-dev), and in zerver/actions/user_groups.py and realm_settings.py
 * as they were between 9 and 10. The other names are those under which Zulip's API speaks of users, channels, groups, messages and
 * folders; no log that has them was at hand. What stands under any other key is left as it is.
 */
import { editJson } from '../json/edit-json.js';
import type { ReferenceCatalog } from './reference-catalog.js';

/** What an id under this key means, at any depth and in lists too. */
const MEANING: Readonly<Record<string, string>> = {
  user_id: 'zerver_userprofile', user_ids: 'zerver_userprofile', muted_user_id: 'zerver_userprofile', unmuted_user_id: 'zerver_userprofile',
  acting_user_id: 'zerver_userprofile', author_id: 'zerver_userprofile', owner_id: 'zerver_userprofile', bot_owner_id: 'zerver_userprofile',
  creator_id: 'zerver_userprofile', direct_members: 'zerver_userprofile', direct_member_ids: 'zerver_userprofile',
  stream_id: 'zerver_stream', stream_ids: 'zerver_stream', channel_id: 'zerver_stream', channel_ids: 'zerver_stream',
  group_id: 'zerver_usergroup', user_group_id: 'zerver_usergroup', subgroup_ids: 'zerver_usergroup', supergroup_ids: 'zerver_usergroup',
  direct_subgroups: 'zerver_usergroup', direct_subgroup_ids: 'zerver_usergroup',
  message_id: 'zerver_message', message_ids: 'zerver_message', saved_snippet_id: 'zerver_savedsnippet', realm_id: 'zerver_realm',
  folder_id: 'zerver_channelfolder', channel_folder_id: 'zerver_channelfolder',
};

/** What `id` means inside these. */
const THINGS: Readonly<Record<string, string>> = {
  realm_emoji: 'zerver_realmemoji', added_emoji: 'zerver_realmemoji', deactivated_emoji: 'zerver_realmemoji',
  realm_linkifiers: 'zerver_realmfilter', added_linkifier: 'zerver_realmfilter', changed_linkifier: 'zerver_realmfilter', removed_linkifier: 'zerver_realmfilter',
  realm_playgrounds: 'zerver_realmplayground', added_playground: 'zerver_realmplayground', removed_playground: 'zerver_realmplayground',
};

/** Texts that are links. */
const LINKS = new Set(['source_url', 'still_url']);

const OLD_AND_NEW = new Set(['1', '2']);
/** Events whose old and new values are ids although no setting is named. */
const EVENTS: Readonly<Record<number, string>> = { 128: 'zerver_userprofile', 129: 'zerver_stream', 130: 'zerver_stream' };

export interface AuditContext {
  readonly references: ReferenceCatalog;
  /** The new id; undefined when it stays. */
  readonly replace: (table: string, id: number) => number | undefined;
  readonly link: (text: string) => string;
}

/** @param json the value as written, an object */
export function rewriteAuditData(json: string, eventType: number, { references, replace, link }: AuditContext): string {
  const property = propertyOf(json);
  const setting = property === undefined ? EVENTS[eventType] : references.settingReference(property);
  const meaning = (path: readonly string[]): string | undefined => {
    const name = path.findLast((key) => key !== '');
    if (name === undefined) return undefined;
    if (name === 'id') return THINGS[path.findLast((key) => Object.hasOwn(THINGS, key)) ?? ''];
    if (path.length === 1 && OLD_AND_NEW.has(name)) return setting;
    return Object.hasOwn(MEANING, name) ? MEANING[name] : undefined;
  };
  return editJson(json, {
    value(path, token) {
      const name = path.at(-1) ?? '';
      if (LINKS.has(name) && token.startsWith('"')) return link(token);
      const table = meaning(path);
      const quoted = /^"\d+"$/.test(token);
      if (table === undefined || !(quoted || /^\d+$/.test(token))) return undefined;
      const to = replace(table, Number(quoted ? token.slice(1, -1) : token));
      return to === undefined ? undefined : quoted ? `"${to}"` : String(to);
    },
    key(path, key) {
      // Emoji are listed by their ids.
      if (path.at(-1) !== 'realm_emoji' || !/^\d+$/.test(key)) return undefined;
      const to = replace('zerver_realmemoji', Number(key));
      return to === undefined ? undefined : String(to);
    },
  });
}

function propertyOf(json: string): string | undefined {
  if (!json.includes('"property"')) return undefined;
  const { property } = JSON.parse(json) as { property?: unknown };
  return typeof property === 'string' ? property : undefined;
}
