/** What a hot standby does to long queries, and what to set against it. */
import { RealmliftError, type Stage } from '../errors.js';

/** SQLSTATE of a cancelled query, and of a session that was ended for holding a snapshot: serialization_failure. */
const CONFLICT = '40001';

/** Undefined when the error is another. https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-CONFLICT */
export function recoveryConflict(cause: unknown, stage: Stage, table?: string): RealmliftError | undefined {
  const { code } = (cause ?? {}) as { code?: string };
  if (code !== CONFLICT) return undefined;
  return new RealmliftError('RECOVERY_CONFLICT', stage, 'the standby cancelled the query, for its recovery had to remove what the query reads', {
    table, cause, hint: 'raise max_standby_streaming_delay (and max_standby_archive_delay) on the standby above the length of the export, or set hot_standby_feedback = on; go on with --resume',
  });
}
