/** The head of a manifest, which no checksum covers, says what the files do not. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { isOfUser } from '../../src/verify/check-header.js';
import { verifyExport } from '../../src/verify/verify-export.js';
import { ourExport, sign } from './our-export.js';

const errorsOf = async (directory: string): Promise<string[]> => (await verifyExport(directory, { jobs: 1 })).findings.filter(({ severity }) => severity === 'error').map(({ file, message }) => `${file}: ${message}`);

t.test('another realm, another mode, another moment', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'closed-full');
  const path = join(directory, 'manifest.json');
  const text = readFileSync(path, 'utf8');
  const heads: readonly [from: RegExp, to: string, message: RegExp][] = [
    [/"realm": "closed"/, '"realm": "acme"', /^manifest.json: it says realm acme, the files say closed$/],
    [/"realm_id": \d+/, '"realm_id": 424242', /^manifest.json: it says realm_id 424242, the files say \d+$/],
    [/"mode": "full"/, '"mode": "consent"', /^manifest.json: it says mode consent, the files say full or public$/],
    [/"mode": "full"/, '"mode": "user"', /^manifest.json: it says mode user, the files say full, consent or public$/],
  ];
  for (const [from, to, message] of heads) {
    writeFileSync(path, text.replace(from, to));
    const errors = await errorsOf(directory);
    t.match(errors, [message]);
    t.equal(errors.length, 1);
  }
  writeFileSync(path, text);
  const report = { realmlift: '0.1.0', realm: 'closed', mode: 'public', snapshot: { taken_at: '2026-01-01T00:00:00.000Z', id: '00000003-0000001B-1' }, rows: {} };
  writeFileSync(join(directory, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
  await sign(directory, { snapshot: { taken_at: '2026-02-01T00:00:00.000Z', id: '00000003-0000001B-1', server: '15.4' } });
  t.strictSame(await errorsOf(directory), ['manifest.json: it says mode full, the files say public', 'manifest.json: it says snapshot.taken_at 2026-02-01T00:00:00.000Z, the files say 2026-01-01T00:00:00.000Z']);
  await sign(directory, { mode: 'public', snapshot: { taken_at: '2026-01-01T00:00:00.000Z', id: '00000003-0000001B-1', server: '15.4' } });
  t.strictSame(await errorsOf(directory), []);
});

t.test('whose rows an export of a single user has', (t) => {
  const directory = t.testdir({ 'user.json': '{"zerver_userprofile":[{"id":7,"realm":2}],"zerver_recipient":[],"zerver_subscription":[]}' });
  t.equal(isOfUser(directory, 2, 7), true);
  t.equal(isOfUser(directory, 2, 8), false);
  t.equal(isOfUser(directory, 3, 7), false);
  t.equal(isOfUser(join(directory, 'none'), 2, 7), false);
  t.end();
});
