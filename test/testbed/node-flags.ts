/** Flags of Node for processes that run most of their code a few times only. */
import { spawnSync } from 'node:child_process';

/** V8 optimises fifteen times later than it would: what it spends on that is a sixth of a test file's processor time, and seldom comes back. */
const LATER = '--interrupt-budget=1000000';

/** None where this Node's V8 does not know it. */
export const SHORT_RUN: readonly string[] = spawnSync(process.execPath, [LATER, '--eval', '']).status === 0 ? [LATER] : [];
