/** How far a restore has come, kept in the database that is restored (copy/copy-in-journal.ts). */
import type pg from 'pg';
import { beginJournal, CopyInJournal, findJournal, joinRun, leadRun } from '../../copy/copy-in-journal.js';
import { notAllowed, refuseNotEmpty } from '../../copy/empty-database.js';
import { RealmliftError } from '../../errors.js';

interface RestoreIdentity {
  /** Its id. */
  readonly backup: string;
}

export const RESTORE_SCHEMA = 'realmlift_restore';

export class RestoreJournal extends CopyInJournal<RestoreIdentity> {
  /**
   * Begins a restore in an empty database, or goes on with one of the same backup.
   *
   * @throws RealmliftError DATABASE_NOT_EMPTY, RESTORE_OF_ANOTHER, RESTORE_RUNNING
   */
  static async open(client: pg.Client, backup: string): Promise<RestoreJournal> {
    // Held to the end of the session.
    if (!(await leadRun(client, RESTORE_SCHEMA))) throw new RealmliftError('RESTORE_RUNNING', 'restore', 'another restore into this database is under way');
    const begun = await findJournal<RestoreIdentity>(client, RESTORE_SCHEMA);
    if (begun === undefined) {
      await refuseNotEmpty(client, 'restore', 'restore into it');
      return new RestoreJournal(await beginJournal<RestoreIdentity>(client, RESTORE_SCHEMA, 'This database is being restored by realmlift and is not complete. Run the restore again to finish it.', { backup })
        .catch((cause: unknown) => { throw notAllowed(cause, client, 'restore'); }));
    }
    if (begun.identity.backup !== backup) {
      throw new RealmliftError('RESTORE_OF_ANOTHER', 'restore', 'the database holds an unfinished restore of another backup', { hint: 'finish that one, or drop the database and create it anew' });
    }
    return new RestoreJournal(begun);
  }

  /** For the other sessions of a restore. */
  static async join(client: pg.Client): Promise<void> {
    await joinRun(client, RESTORE_SCHEMA);
  }
}
