/** What a later run must know of this one to catch up with it. With a base the same answers tell what is as it was then. */
import type pg from 'pg';
import { copyError } from '../../copy/copy-error.js';
import { Mutex } from '../../mutex.js';
import type { ExportPlan } from '../../plan/plan-export.js';
import type { Source } from '../../plan/source.js';
import type { Base } from '../base/base.js';
import { countTables, tablesToCount, type TablesNow } from '../base/counted-tables.js';
import { readFollowers, type FoundFollowers } from '../base/follower-rows.js';
import type { Origin } from '../base/origin.js';
import { firstNew } from '../base/trust-base.js';

export class LaterRun {
  /** The session takes two askers at a time: who wants files, and one of all others, whom this lets in. */
  readonly turns = new Mutex();
  readonly #session: pg.Client;
  readonly #plan: ExportPlan;
  readonly #source: Source;
  readonly #base: Base | undefined;
  #origin: Origin | undefined;
  #followers: Promise<FoundFollowers> | undefined;
  #tables: Promise<TablesNow> | undefined;

  /** @param session in the snapshot @param origin undefined of an export that is no base */
  constructor(session: pg.Client, plan: ExportPlan, source: Source, origin: Origin | undefined, base: Base | undefined) {
    [this.#session, this.#plan, this.#source, this.#origin, this.#base] = [session, plan, source, origin, base];
  }

  /** What a later run must know, as far as it has been asked. */
  get origin(): Origin | undefined {
    return this.#origin;
  }

  /** Rows that follow messages. Asked once. */
  followers(): Promise<FoundFollowers> {
    const base = this.#base && { since: firstNew(this.#base.origin.server), until: this.#base.lastMessages()?.until ?? 0 };
    return (this.#followers ??= this.turns.run(() => readFollowers(this.#session, this.#plan, this.#source, base)));
  }

  /** Small tables. Asked once. @param messages that travel */
  tables(messages: number): Promise<TablesNow> {
    const base = this.#base && { counted: this.#base.origin.counted ?? {}, since: firstNew(this.#base.origin.server) };
    return (this.#tables ??= this.turns.run(() => countTables(this.#session, this.#source, tablesToCount(this.#plan, this.#source.catalog, messages), base)));
  }

  /** Asks what is not known. @param known what a base says where nothing was written since @param messages that travel */
  async ask(known: Pick<Origin, 'followers' | 'counted'> | undefined, messages: number): Promise<void> {
    if (this.#origin === undefined) return;
    try {
      const followers = known?.followers ?? (await this.followers()).now;
      const counted = known?.counted ?? (await this.tables(messages)).counted;
      this.#origin = { ...this.#origin, followers, counted };
    } catch (error) {
      // The session was idle for a while.
      throw copyError(error, undefined, '', this.#session.user ?? 'the role');
    }
  }
}
