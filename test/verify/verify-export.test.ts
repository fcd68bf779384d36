import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { verifyExport, withVerifyThreads, type VerifyProgress } from '../../src/verify/verify-export.js';
import { failed } from '../../src/verify/verify-threads.js';
import { expectedExport } from '../testbed/expected-export.js';
import type { Dataset } from '../testbed/test-data.js';
import { edit, first, ourExport, sign } from './our-export.js';

const EXPECTED: readonly (readonly [Dataset, string])[] = [
  ['zulip-11/local', 'acme-full'], ['zulip-11/local', 'acme-consent'], ['zulip-11/local', 'acme-approved'], ['zulip-11/local', 'acme-public'],
  ['zulip-11/local', 'globex-full'], ['zulip-11/local', 'closed-full'], ['zulip-11/local', 'acme-user-owner@acme.example'],
  ['zulip-11/s3', 'acme-full'], ['zulip-11/s3', 'acme-consent'], ['zulip-11/s3', 'globex-full'],
  ['zulip-12/local', 'acme-full'], ['zulip-12/local', 'acme-consent'], ['zulip-12/local', 'acme-public'], ['zulip-12/local', 'acme-approved'],
  ['zulip-12/local', 'acme-user-owner@acme.example'],
  ['zulip-8/local', 'acme-full'], ['zulip-8/local', 'acme-public'], ['zulip-8/local', 'globex-full'], ['zulip-8/local', 'acme-user-owner'],
];
const jobs = 1;

for (const [dataset, name] of EXPECTED) {
  t.test(`${dataset} ${name}, as Zulip wrote it, is good`, async (t) => {
    const { findings, totals, manifest } = await verifyExport(await expectedExport(dataset, name), { jobs });
    t.same(findings.filter(({ severity }) => severity === 'error'), []);
    t.equal(totals.errors, 0);
    t.notOk(manifest);
    t.ok(findings.some(({ file, severity }) => file === 'manifest.json' && severity === 'note'), 'and says that there is no manifest');
  });
  // Zulip 12 writes rows as its queries yield them, which exports of ours must not; identical.test.ts has these verified.
  if (dataset === 'zulip-12/local') continue;
  t.test(`${dataset} ${name}, without secrets and with a manifest, is good`, async (t) => {
    const { findings, totals, manifest } = await verifyExport(await ourExport(t, dataset, name), { jobs });
    t.same(findings.filter(({ severity }) => severity === 'error'), []);
    t.equal(totals.errors, 0);
    t.ok(manifest);
  });
}

t.test('totals and progress', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'closed-full');
  const seen: VerifyProgress[] = [];
  const { totals, kind } = await verifyExport(directory, { jobs: 2, onProgress: (progress) => seen.push(progress) });
  t.equal(kind, 'realm');
  t.match(totals, { errors: 0, rows: { zerver_realm: 1, zerver_message: 59 } });
  t.same(seen.at(-1), { files: totals.files, bytes: totals.bytes });
  t.ok(totals.bytes > 100_000);
});

t.test('the number of workers changes nothing', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'acme-full', (d) => {
    edit(d, 'realm.json', (x) => { first(x, 'zerver_reaction').message = 424242; });
    edit(d, 'messages-000001.json', (x) => { first(x, 'zerver_message').sender = 424242; });
  });
  const here = await verifyExport(directory);
  const strip = ({ findings, totals }: typeof here): unknown => ({ findings, totals: { ...totals, seconds: 0 } });
  t.equal(here.totals.errors, 2);
  for (const threads of [1, 3]) t.same(strip(await withVerifyThreads(threads, (workers) => verifyExport(directory, { workers }))), strip(here), `${threads} threads`);
});

t.test('a disk that is full is said to be, and which', (t) => {
  t.match(failed({ message: 'ENOSPC: no space left on device, write', code: 'ENOSPC', syscall: 'write' }), { code: 'DISK_FULL', hint: /set TMPDIR/ });
  t.end();
});

t.test('what is no directory is refused', async (t) => {
  await t.rejects(verifyExport(join(t.testdir({}), 'nowhere')), { code: 'EXPORT_MISSING', exit: 2 });
  await t.rejects(verifyExport(join(t.testdir({ file: '' }), 'file')), { code: 'EXPORT_MISSING', exit: 2 });
});

t.test('a directory without realm.json or user.json is no export', async (t) => {
  t.match((await verifyExport(t.testdir({}))).findings, [{ severity: 'note' }, { severity: 'error', file: 'realm.json' }]);
});

t.test('secrets that were kept on request are notes', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'closed-full', (d) => {
    edit(d, 'realm.json', (x) => { first(x, 'zerver_service').token = 'x'; });
  });
  await sign(directory, { options: { keep: ['zerver_service.token'] } });
  const { findings, totals } = await verifyExport(directory, { jobs });
  t.equal(totals.errors, 0);
  t.match(findings.filter(({ table }) => table === 'zerver_service'), [{ severity: 'note', message: /^the secret token has a value/ }]);
});

t.test("the run's own directory is no part of the export", async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'closed-full');
  mkdirSync(join(directory, '.realmlift'));
  writeFileSync(join(directory, '.realmlift', 'journal'), 'x');
  t.equal((await verifyExport(directory, { jobs })).totals.errors, 0);
});

t.test('tables that nobody knows are named, and their secrets found', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'closed-full', (d) => {
    edit(d, 'realm.json', (x) => { x.zerver_new = [{ id: 1, owner: 424242, api_key: 'x' }]; });
    edit<Record<string, Record<string, number>>>(d, 'stats.json', (x) => { x.realm!.zerver_new = 1; });
  });
  const { findings } = await verifyExport(directory, { jobs });
  t.match(findings.filter(({ table }) => table === 'zerver_new'), [
    { severity: 'error', message: /^the secret api_key has a value \(row 1\)$/ }, { severity: 'note', message: /unknown table/ },
  ]);
});

t.test('rows of the system realm may point to the system bots, which do not travel', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'closed-full', (d) => {
    edit(d, 'realm.json', (x) => {
      first(x, 'zerver_realm').string_id = 'zulipinternal';
      first(x, 'zerver_usergroupmembership').user_profile = 424242;
    });
  });
  await sign(directory, { realm: 'zulipinternal' });
  const { findings, totals } = await verifyExport(directory, { jobs });
  t.equal(totals.errors, 0);
  t.match(findings.filter(({ table }) => table === 'zerver_usergroupmembership'), [{ severity: 'note', message: /system bots/ }]);
});
