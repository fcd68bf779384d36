/** Errors as --json tells them. */
import type { RealmliftError } from '../../errors.js';

/** An error as the one line that --json writes of it. */
export function errorJson({ code, stage, table, message, hint }: RealmliftError, target?: string): string {
  return JSON.stringify({ time: new Date().toISOString(), target, kind: 'failed', code, stage, table, message, hint });
}
