/** Rows that an export has, and the new server has already, or keeps for itself: what belongs to system bots alone. */
import type { RowFields } from '../../json/row-fields.js';
import type { BotIds, KnownIds } from '../../remap/assignment.js';

export class ServerRows {
  readonly #users: ReadonlySet<number>;
  readonly #recipients: ReadonlySet<number>;
  readonly #groups: ReadonlySet<number>;
  readonly #groupRecipients: ReadonlySet<number>;

  /**
   * @param bots the new server's
   * @param known groups that the new server has
   */
  constructor(bots: ReadonlyMap<string, BotIds>, known: KnownIds) {
    this.#users = new Set([...bots.values()].map(({ user }) => user));
    this.#recipients = new Set([...bots.values()].map(({ recipient }) => recipient));
    const ids = (table: string): Set<number> => new Set((known[table] ?? []).map(([, id]) => id));
    [this.#groups, this.#groupRecipients] = [ids('zerver_huddle'), ids('zerver_recipient')];
  }

  /** @param id,fields of the row as it would be loaded */
  has(table: string, id: number, fields: RowFields): boolean {
    switch (table) {
      case 'zerver_huddle': return this.#groups.has(id);
      case 'zerver_recipient': return this.#recipients.has(id) || this.#groupRecipients.has(id);
      case 'zerver_subscription': return this.#groupRecipients.has(fields.integerOf('recipient')) || this.#users.has(fields.integerOf('user_profile')) && this.#recipients.has(fields.integerOf('recipient'));
      case 'analytics_usercount': return this.#users.has(fields.integerOf('user'));
      default: return false;
    }
  }
}
