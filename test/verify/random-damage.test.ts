/** Damage that nobody thought of: verify always ends with a report, and the manifest lets none of it pass. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { verifyExport } from '../../src/verify/verify-export.js';
import { filesOf, ourExport, sign } from './our-export.js';

const RUNS = 12;

t.test('a changed byte anywhere', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'closed-full');
  const files = filesOf(directory);
  const damage = fc.record({ file: fc.constantFrom(...files), at: fc.nat(), by: fc.integer({ min: 1, max: 255 }) });
  await fc.assert(fc.asyncProperty(damage, async ({ file, at, by }) => {
    const path = join(directory, file);
    const before = readFileSync(path);
    const after = Buffer.from(before);
    if (after.length === 0) return;
    after[at % after.length] = (after[at % after.length]! + by) % 256;
    writeFileSync(path, after);
    const { findings } = await verifyExport(directory, { jobs: 1 });
    t.ok(findings.some((finding) => finding.severity === 'error' && finding.file === file), `${file} at ${at % after.length}`);
    await sign(directory);
    await verifyExport(directory, { jobs: 1 });
    writeFileSync(path, before);
    await sign(directory);
  }), { numRuns: RUNS });
  t.equal((await verifyExport(directory, { jobs: 1 })).totals.errors, 0, 'and mended, it is good again');
});
