/**
 * Limits of our worker threads. They make short-lived objects beside their buffers; left alone, V8 gives each thread more and
 * more room for these, up to 48 MB, the longer a run lasts.
 */
import type { ResourceLimits } from 'node:worker_threads';

export const THREAD_LIMITS: ResourceLimits = { maxYoungGenerationSizeMb: 6 };
