// What this program exists for: the same export as Zulip's own, out of the same rows and files, in every mode.
import { readFileSync } from 'node:fs';
import t from 'tap';
import type { Mode } from '../../src/plan/views/condition.js';
import { readUserList } from '../../src/plan/user-list.js';
import { compareExports } from '../testbed/compare-export.js';
import { expectedExport } from '../testbed/expected-export.js';
import { testData } from '../testbed/test-data.js';
import type { Dataset } from '../testbed/test-data.js';
import { exportRealm, exportUser, withSource, type Choices } from './test-source.js';

interface Case {
  /** Name of the expected export. */
  readonly expected: string;
  readonly realm: string;
  readonly mode?: Mode;
  readonly user?: string;
  readonly approved?: string;
  readonly force?: boolean;
  readonly consentMessage?: number | undefined;
}

const CASES: Readonly<Record<Dataset, readonly Case[]>> = {
  'zulip-11/local': [
    { expected: 'acme-full', realm: 'acme' },
    { expected: 'globex-full', realm: 'globex' },
    { expected: 'closed-full', realm: 'closed' },
    { expected: 'acme-consent', realm: 'acme', mode: 'consent' },
    { expected: 'acme-public', realm: 'acme', mode: 'public' },
    { expected: 'acme-approved', realm: 'acme', mode: 'consent', approved: testData('zulip-11/local', 'acme-approved.txt') },
    { expected: 'acme-user-owner@acme.example', realm: 'acme', user: 'owner@acme.example' },
  ],
  'zulip-11/s3': [
    { expected: 'acme-full', realm: 'acme' },
    { expected: 'globex-full', realm: 'globex' },
    { expected: 'acme-consent', realm: 'acme', mode: 'consent' },
  ],
  'zulip-12/local': [
    { expected: 'acme-full', realm: 'acme' },
    { expected: 'acme-consent', realm: 'acme', mode: 'consent' },
    { expected: 'acme-public', realm: 'acme', mode: 'public' },
    // Nobody on the list is an owner.
    { expected: 'acme-approved', realm: 'acme', mode: 'consent', approved: testData('zulip-12/local', 'acme-approved.txt'), force: true },
    { expected: 'acme-user-owner@acme.example', realm: 'acme', user: 'owner@acme.example' },
  ],
  'zulip-8/local': [
    { expected: 'acme-full', realm: 'acme' },
    { expected: 'globex-full', realm: 'globex' },
    { expected: 'acme-public', realm: 'acme', mode: 'public' },
    { expected: 'acme-user-owner', realm: 'acme', user: 'owner@acme.example' },
  ],
  'zulip-4/local': [
    { expected: 'acme-full', realm: 'acme' },
    { expected: 'acme-consent', realm: 'acme', mode: 'consent', consentMessage: consentMessage('acme') },
    { expected: 'acme-public', realm: 'acme', mode: 'public' },
    { expected: 'acme-user-owner', realm: 'acme', user: 'owner@acme.example' },
  ],
};

/** The message that the realm's people reacted to before the server exported it. */
function consentMessage(realm: string): number | undefined {
  return (JSON.parse(readFileSync(testData('zulip-4/local', 'consent-messages.json'), 'utf8')) as Record<string, number>)[realm];
}

for (const [dataset, cases] of Object.entries(CASES) as [Dataset, readonly Case[]][]) {
  t.test(dataset, async (t) => {
    await withSource(dataset, async (source) => {
      for (const { expected, realm, mode = 'full', user, approved, force = false, consentMessage } of cases) {
        await t.test(`${expected}: the same`, async (t) => {
          const choices: Choices = { mode, force, consentMessage, jobs: 2, targets: approved === undefined ? {} : { approved: readUserList(approved) } };
          const directory = user === undefined ? await exportRealm(source, t.testdir(), realm, choices) : await exportUser(source, t.testdir(), realm, user);
          t.strictSame(compareExports(await expectedExport(dataset, expected), directory), []);
        });
      }
    });
  });
}
