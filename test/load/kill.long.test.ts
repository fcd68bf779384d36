/** Loads that are killed after each of their steps. */
import t from 'tap';
import { sampleExport } from '../pipe/sample-export.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { killedAndRemoved, killedAndResumed } from './unfinished-load.js';

const MOMENTS = Array.from({ length: 48 }, (_, step) => step);

const output = t.testdir();
const acme = (await withTestDatabase('zulip-11/local', (url) => sampleExport(url, { realm: 'acme', output })))[0] as string;

t.test('killed, gone on with, and the same', (t) => killedAndResumed(t, acme, MOMENTS));

t.test('killed, and removed', (t) => killedAndRemoved(t, acme, MOMENTS));
