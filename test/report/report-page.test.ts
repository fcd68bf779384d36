import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { isPlanned } from '../../src/cli/story/plan-table.js';
import { planReport } from '../../src/commands/plan.js';
import { loadRegistry } from '../../src/plan/views/registry.js';
import { indexPage } from '../../src/report/index-page.js';
import { planPage } from '../../src/planning/plan-page.js';
import { STAY_WORDS, stayWords } from '../../src/report/stay-words.js';
import { tableName } from '../../src/report/words.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { verifyExport } from '../../src/verify/verify-export.js';
import { realmliftHere as realmlift } from '../cli/command-here.js';
import { sampleExport } from '../pipe/sample-export.js';
import { change } from '../testbed/database-client.js';
import { expectedExport } from '../testbed/expected-export.js';
import { withTestDatabase } from '../testbed/test-database.js';
import { lookAt, noBrowser } from './look.js';

interface Contents {
  readonly verified: { readonly errors: number };
  readonly messages_by_month: Record<string, Record<'direct' | 'channel' | 'group', number>>;
  readonly users: Record<string, number>;
  readonly bytes_by_table: Record<string, number>;
}

const output = t.testdir();
const [acme, consent, plans] = await withTestDatabase('zulip-11/local', async (url) => {
  // Ten years of history, by id.
  await change(url, "UPDATE zerver_message SET date_sent = '2016-03-15'::timestamptz + id * '4 days'::interval");
  const [full, some] = [await sampleExport(url, { realm: 'acme', output, verify: true }), await sampleExport(url, { realm: 'acme', mode: 'consent', verify: true, output: join(output, 'consent') })];
  const settings = connectionSettings(url, {});
  const plans = await planReport({
    settings, patience: { timeout: undefined, onWait: () => undefined }, zulipVersion: undefined, targets: { realms: ['acme', 'tiny'], exclude: [], users: undefined, approved: undefined, allowUnknown: false },
    request: { mode: 'consent', consentMessage: undefined, force: true, decisions: { strip: new Set(), keep: new Set() } },
  }, () => undefined);
  return [full[0] as string, some[0] as string, plans.filter(isPlanned)] as const;
});

t.test('report.json has what an owner counts, and is read by people', async (t) => {
  const text = readFileSync(join(acme, 'report.json'), 'utf8');
  t.match(text, /^\{\n {2}"realmlift": /);
  const { contents, rows } = JSON.parse(text) as { contents: Contents; rows: Record<string, number> };
  const sent = Object.values(contents.messages_by_month).reduce((sum, { direct, channel, group }) => sum + direct + channel + group, 0);
  t.equal(sent, rows['zerver_message'], 'each message once');
  t.ok(Object.keys(contents.messages_by_month).length > 100, 'by month');
  t.equal(Object.values(contents.users).reduce((sum, each) => sum + each, 0), (rows['zerver_userprofile'] ?? 0) + (rows['zerver_userprofile_mirrordummy'] ?? 0));
  t.ok((contents.bytes_by_table['zerver_message'] ?? 0) > 100_000);
  t.equal((await verifyExport(acme)).totals.errors, 0, 'the manifest knows');
  t.match(JSON.parse(readFileSync(join(acme, 'times.json'), 'utf8')), { seconds: Number, verify_seconds: Number });
});

t.test('the page stands alone and tells no names', async (t) => {
  const page = readFileSync(join(acme, 'report.html'), 'utf8');
  t.equal(statSync(join(acme, 'report.html')).mode & 0o777, 0o600);
  t.match(page, /<strong>Whole and verified<\/strong>/);
  t.notMatch(page, /<script|<link|<img|src=|url\(|@import/i);
  const { zerver_userprofile: users = [], zerver_stream: channels = [] } = JSON.parse(readFileSync(join(acme, 'realm.json'), 'utf8')) as Record<string, Record<string, string>[]>;
  const text = page.replace(/<style>.*?<\/style>/s, '');
  for (const user of users) t.notOk(text.includes(user['delivery_email'] ?? '?') || text.includes(user['full_name'] ?? '?'), 'no user');
  t.notMatch(text, /\.png\b|\.pdf\b/);
  const named = await realmlift(['report', acme, '--names', '--output', '-']);
  t.match(named, { code: 0, stderr: '' });
  for (const channel of channels.slice(0, 3)) t.ok(named.stdout.includes((channel['name'] ?? '?').replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`)), 'a channel');
  const stays = readFileSync(join(consent, 'report.html'), 'utf8');
  t.match(stays, /left out: [1-9]/);
  t.match(stays, /<li><b>[\d,]+ messages<\/b>: nobody who agreed could read it/);
});

t.test('of an export that Zulip wrote, and of none', async (t) => {
  const zulips = join(output, 'zulips.html');
  t.match(await realmlift(['report', await expectedExport('zulip-11/local', 'globex-full'), '--output', zulips]), { code: 0, stdout: '' });
  const page = readFileSync(zulips, 'utf8');
  t.match(page, /<strong>Its rows and files fit together<\/strong>/);
  t.match(page, /Nothing was written down of it/, 'what stayed nobody knows');
  t.notMatch(page, /No row of the realm/);
  t.match(page, /<h1>Export of globex<\/h1>/);
  t.match(await realmlift(['report', join(output, 'none')]), { code: 2, stderr: /EXPORT_MISSING/ });
  t.match(await realmlift(['report', t.testdir({ 'notes.txt': '' })]), { code: 2, stderr: /NOT_AN_EXPORT/ });
});

t.test('every table and every kind of row that stays has words', (t) => {
  const registry = loadRegistry();
  t.same([...registry.tables.keys()].filter((name) => tableName(name) === name), []);
  t.same(registry.ledger.map(({ name }) => name).filter((name) => STAY_WORDS[name] === undefined), []);
  const words = (what: string, count: number): readonly string[] => stayWords({ what, dataClass: 'message', reason: 'so', count });
  t.same([words('private_message', 1)[0], words('foreign_actor', 2000)[0], words('private_group', 2)[0], words('scheduled_message', 3)[0], words('outside_x', 1)], ['1 message', '2,000 entries of the audit log', '2 groups of direct messages', '3 scheduled messages', ['1 row of messages, reactions and read marks', 'so']]);
  t.end();
});

t.test('in a browser', { skip: noBrowser }, async (t) => {
  await lookAt(t, {
    acme: readFileSync(join(acme, 'report.html'), 'utf8'), consent: readFileSync(join(consent, 'report.html'), 'utf8'), names: (await realmlift(['report', acme, '--names', '--output', '-'])).stdout, plan: planPage(plans),
    index: indexPage([{ name: 'acme', link: 'acme.html', verdict: 'verified', rows: 4e6, files: 12_000, lost: 3, failed: false }, { name: 'a'.repeat(40), link: undefined, verdict: 'failed: DISK_FULL', rows: 0, files: 0, lost: 0, failed: true }]),
  });
});
