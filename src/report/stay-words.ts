/** What stays, in the words of the realm's people. The ledger's own reasons (sql/ledger/) name columns and rules. */
import { thousands } from '../numbers.js';
import type { LeftOut } from './read-report.js';
import { CLASS_NAMES } from './words.js';

/** By view: what one of them is called, and why it stays. */
export const STAY_WORDS: Readonly<Record<string, readonly [string, string]>> = {
  attachment_without_file: ['attachment', 'its file is missing, or its owner may not travel'],
  baseless_group: ['name of a user group', 'the group that is so named is gone, or of another realm'],
  dummy_subscription: ['subscription', 'of a placeholder, as Zulip before 7 had it'],
  foreign_actor: ['entry of the audit log', 'it travels without its author, who is of another realm'],
  foreign_attachment: ['attachment', 'it belongs to another realm, or came by mail'],
  foreign_reaction: ['reaction', 'by somebody of another realm'],
  foreign_scheduled_attachment: ['attachment of a scheduled message', 'it belongs to another realm'],
  foreign_submessage: ['answer to a poll or to-do list', 'by somebody of another realm'],
  foreign_subscription: ['subscription', 'of somebody of another realm'],
  hidden_address: ['user', 'hides the address, and is shown as a placeholder'],
  others_attachment: ['attachment', 'uploaded by somebody else'],
  private_audit_log: ['entry of the audit log', 'about a user who did not agree'],
  private_group: ['group of direct messages', 'nobody in it agreed'],
  private_message: ['message', 'nobody who agreed could read it'],
  protected_message: ['message', 'its channel protects its history, and nobody who agreed received it'],
  scheduled_message: ['scheduled message', 'its author did not agree, or whom it is for stays'],
  scrubbed_user: ['user', 'did not agree, and is shown without settings of their own'],
  stray_message: ['message', 'its sender, or where it was sent, is not in the export, or a placeholder or system bot wrote to another'],
  unbound_audit_log: ['entry of the audit log', 'about no account, which Zulip before 5 does not export'],
  unnamed_attachment: ['attachment', 'no message that travels names it'],
  unsafe_group: ['group of direct messages', 'somebody in it is of another realm'],
  unsafe_group_message: ['message', 'sent to a group with somebody of another realm'],
};

/** Number with noun, and the reason: `3 messages`, `nobody who agreed could read it`. */
export function stayWords({ what, dataClass, reason, count }: Pick<LeftOut, 'what' | 'dataClass' | 'reason' | 'count'>): readonly [string, string] {
  const [noun, why] = STAY_WORDS[what] ?? [`row of ${CLASS_NAMES[dataClass] ?? dataClass}`, reason];
  return [`${thousands(count)} ${count === 1 ? noun : plural(noun)}`, why];
}

/** Of `entry of the audit log` the first word, of `scheduled message` the second. */
function plural(noun: string): string {
  const [, head = '', rest = ''] = /^(.*?)((?: (?:of|to) .*)?)$/.exec(noun) ?? [];
  return `${head.endsWith('y') ? `${head.slice(0, -1)}ies` : `${head}s`}${rest}`;
}
