/** What some tables' rows must satisfy besides pointing to rows that exist. */
import type { Context, HeldTarget } from './export-context.js';
import { pathId } from '../ids/id-table.js';
import { OWN_RECIPIENT, PRIVATE_TABLES } from './references.js';
import type { SpecialCheck } from './row-check.js';

/** `zerver_recipient.type`, and what its `type_id` then points to. */
const RECIPIENT_TYPES = new Map<number, HeldTarget>([[1, 'user'], [2, 'stream'], [3, 'huddle']]);

/** The value of a recipient in the table of recipients: `type_id` and `type` in one number. */
export const packRecipient = (type: number, typeId: number): number => typeId * 4 + type;

const recipients: SpecialCheck = {
  keys: { type: 'number', type_id: 'number' },
  row(check, id) {
    const { targets, kind } = check.context;
    const type = check.number('type');
    const typeId = check.number('type_id');
    const target = RECIPIENT_TYPES.get(type);
    if (target === undefined) check.report('error', 'type is none of 1, 2, 3', `row ${id}`);
    // A single-user export has no rows of zerver_huddle, and an internal realm none of the system bots.
    else if (!targets[target].has(typeId) && !(kind.oneUser && type === 3)) {
      const expected = kind.systemRealm && type === 1;
      check.report(expected ? 'note' : 'error', `type_id points outside the export, type ${type}`, `row ${id} -> ${typeId}`);
    }
  },
};

/** Their recipient must be the one whose type and type_id lead back. */
function leadsBack(table: string): SpecialCheck {
  const type = OWN_RECIPIENT[table] as number;
  return {
    keys: {},
    row(check, id) {
      const recipient = check.number('recipient');
      const packed = check.context.targets.recipient.get(recipient);
      if (packed !== undefined && packed !== packRecipient(type, id)) {
        check.report('error', 'the recipient belongs to something else', `row ${id} -> ${recipient}`);
      }
    },
  };
}

/** In a consent export that makes mirror dummies, active users with an account are those who consented: the others are mirror dummies. */
const accounts: SpecialCheck = {
  keys: { is_active: 'flag' },
  row(check, id) {
    leadsBack('zerver_userprofile').row(check, id);
    if (check.context.consentCoversAccounts && check.context.consented?.has(id) === false && check.number('is_active') === 1) {
      check.report('error', 'an active user has not consented: not in the list of those who did', `row ${id}`);
    }
  },
};

/** The import finds the file of an attachment by its record in uploads/records.json, and stops without one. */
const attachments: SpecialCheck = {
  keys: { path_id: 'text' },
  row(check, id) {
    const path = check.text('path_id');
    if (path === undefined) check.report('error', 'path_id is missing', `row ${id}`);
    else if (check.context.uploads?.has(pathId(path)) === false) check.report('error', 'no record in uploads/records.json', `row ${id}`);
  },
};

function privateTo(key: string): SpecialCheck {
  return {
    keys: { [key]: 'number' },
    row(check, id) {
      const user = check.number(key);
      if (check.context.consented?.has(user) === false) {
        check.report('error', 'a private row of a user who has not consented', `row ${id} of user ${user}`);
      }
    },
  };
}

const SPECIAL: Readonly<Record<string, SpecialCheck>> = {
  zerver_attachment: attachments,
  zerver_huddle: leadsBack('zerver_huddle'),
  zerver_recipient: recipients,
  zerver_stream: leadsBack('zerver_stream'),
  zerver_userprofile: accounts,
  zerver_userprofile_mirrordummy: leadsBack('zerver_userprofile_mirrordummy'),
};

export function specialCheck(table: string, context: Context): SpecialCheck | undefined {
  const owner = PRIVATE_TABLES[table];
  return owner !== undefined && context.consentCoversPrivateTables ? privateTo(owner) : SPECIAL[table];
}
