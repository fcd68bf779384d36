// Zulip's own exports of the test databases: the same files with the same bytes, the same records in the same order.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import type { FileStore } from '../../src/files/file-store.js';
import type { FileEvent } from '../../src/files/file-events.js';
import { openLocalStore } from '../../src/files/local-store.js';
import { pullFiles } from '../../src/files/pull-files.js';
import { openS3Store } from '../../src/files/s3/s3-store.js';
import { AREAS } from '../../src/package/export-files.js';
import { compareArea } from '../testbed/compare-files.js';
import { expectedExport, uploadsDirectory } from '../testbed/expected-export.js';
import { BUCKETS, withS3 } from '../testbed/s3-server.js';
import type { Dataset } from '../testbed/test-data.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { wantedRows } from './wanted-rows.js';

type Case = readonly [name: string, realm: string, user?: string];

const LOCAL: readonly (readonly ['zulip-11/local' | 'zulip-8/local', readonly Case[]])[] = [
  ['zulip-11/local', [
    ['acme-full', 'acme'], ['globex-full', 'globex'], ['closed-full', 'closed'], ['acme-public', 'acme'], ['acme-consent', 'acme'],
    ['acme-user-owner@acme.example', 'acme', 'owner@acme.example'],
  ]],
  ['zulip-8/local', [['acme-full', 'acme'], ['globex-full', 'globex'], ['acme-public', 'acme'], ['acme-user-owner', 'acme', 'owner@acme.example']]],
];

for (const [dataset, cases] of LOCAL) {
  t.test(`${dataset}: files and records as Zulip exports them`, async (t) => {
    await withTestDatabase(dataset, async (url) => {
      const store = await openLocalStore({ uploadsDir: await uploadsDirectory(dataset) });
      for (const each of cases) await sameAsExpected(t, store, url, dataset, each);
    });
  });
}

t.test('zulip-11/s3: files and records as Zulip exports them', async (t) => {
  await withS3(async ({ endpoint }) => withTestDatabase('zulip-11/s3', async (url) => {
    const store = await openS3Store({
      endpoint, region: 'us-east-1', uploadsBucket: BUCKETS.uploads, avatarsBucket: BUCKETS.avatars,
      credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
    });
    try {
      for (const each of [['acme-full', 'acme'], ['globex-full', 'globex'], ['acme-consent', 'acme']] as const) await sameAsExpected(t, store, url, 'zulip-11/s3', each);
    } finally {
      store.close();
    }
  }));
});

async function sameAsExpected(t: Test, store: FileStore, url: string, dataset: Dataset, [name, realm, user]: Case): Promise<void> {
  const expected = await expectedExport(dataset, name);
  const wanted = await wantedRows(url, dataset, expected, realm, user);
  const actual = t.testdir();
  const events: FileEvent[] = [];
  const result = await pullFiles(store, wanted, actual, {}, (event) => void events.push(event));

  const differences: string[] = [];
  for (const area of AREAS) {
    if (user !== undefined && area === 'realm_icons') continue;
    compareArea(area, join(expected, area), join(actual, area), (where, what) => void differences.push(`${where}: ${what}`));
    t.same(withoutTimes(records(actual, area)), withoutTimes(records(expected, area)), `${name}: the records of ${area}, in order`);
    t.equal(result.areas[area].found, records(expected, area).length);
    t.equal(result.areas[area].records, result.areas[area].found);
  }
  t.strictSame(differences, [], `${name}: same files`);
  t.strictSame(events.filter(({ kind }) => kind !== 'file'), [], 'nothing to tell but the files');
}

function records(directory: string, area: string): Record<string, unknown>[] {
  return JSON.parse(readFileSync(join(directory, area, 'records.json'), 'utf8')) as Record<string, unknown>[];
}

/** last_modified is that of the server that made the data set, in the same form. */
function withoutTimes(rows: Record<string, unknown>[]): unknown[] {
  return rows.map(({ last_modified: time, ...row }) => ({ ...row, form: typeof time === 'string' ? time.replace(/\d/g, '9') : typeof time }));
}
