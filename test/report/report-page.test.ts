import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium, type Browser } from 'playwright-core';
import t, { type Test } from 'tap';
import { planReport } from '../../src/plan-report.js';
import { indexPage } from '../../src/report/index-page.js';
import { planPage } from '../../src/report/plan-page.js';
import { connectionSettings } from '../../src/snapshot/connection-settings.js';
import { verifyExport } from '../../src/verify/verify-export.js';
import { realmlift } from '../cli/command-line.js';
import { sampleExport } from '../pipe/sample-export.js';
import { change } from '../testbed/database-client.js';
import { expectedExport } from '../testbed/expected-export.js';
import { withTestDatabase } from '../testbed/test-database.js';

interface Contents {
  readonly verified: { readonly errors: number };
  readonly messages_by_month: Record<string, Record<'direct' | 'channel' | 'group', number>>;
  readonly users: Record<string, number>;
  readonly bytes_by_table: Record<string, number>;
}

const output = t.testdir();
const pages = join(output, 'pages');
mkdirSync(pages);
const [acme, consent, plans] = await withTestDatabase('zulip-11/local', async (url) => {
  // Ten years of history, by id.
  await change(url, "UPDATE zerver_message SET date_sent = '2016-03-15'::timestamptz + id * '4 days'::interval");
  const [full, some] = [await sampleExport(url, { realm: 'acme', output, verify: true }), await sampleExport(url, { realm: 'acme', mode: 'consent', verify: true, output: join(output, 'consent') })];
  const settings = connectionSettings(url, {});
  const plans = await planReport({
    settings, patience: { timeout: undefined, onWait: () => undefined }, zulipVersion: undefined, targets: { realms: ['acme', 'tiny'], exclude: [], users: undefined, approved: undefined, allowUnknown: false },
    request: { mode: 'consent', consentMessage: undefined, force: true, decisions: { strip: new Set(), keep: new Set() } },
  }, () => undefined);
  return [full[0] as string, some[0] as string, plans] as const;
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
  t.match(stays, /<li>[\d,]+ of messages, reactions and read marks: /);
});

t.test('of an export that Zulip wrote, and of a damaged one', async (t) => {
  const zulips = join(output, 'zulips.html');
  t.match(await realmlift(['report', await expectedExport('zulip-11/local', 'globex-full'), '--output', zulips]), { code: 0, stdout: '' });
  t.match(readFileSync(zulips, 'utf8'), /Its rows fit together/);
  t.match(await realmlift(['report', join(output, 'none')]), { code: 2, stderr: /EXPORT_MISSING/ });
});

const EXECUTABLES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', process.env['CHROMIUM'] ?? ''];
const executablePath = EXECUTABLES.find((path) => path !== '' && existsSync(path));

t.test('in a browser', { skip: executablePath === undefined ? 'no Chromium is here' : false }, async (t) => {
  for (const [name, from] of [['acme', acme], ['consent', consent]] as const) writeFileSync(join(pages, `${name}.html`), readFileSync(join(from, 'report.html')));
  writeFileSync(join(pages, 'names.html'), (await realmlift(['report', acme, '--names', '--output', '-'])).stdout);
  writeFileSync(join(pages, 'plan.html'), planPage(plans));
  writeFileSync(join(pages, 'index.html'), indexPage([{ name: 'acme', link: 'acme.html', verdict: 'verified', rows: 4e6, files: 12_000, lost: 3 }, { name: 'a'.repeat(40), link: undefined, verdict: 'failed: DISK_FULL', rows: 0, files: 0, lost: 0 }]));
  const browser = await chromium.launch({ executablePath: executablePath as string, args: ['--no-sandbox'] });
  try {
    for (const name of readdirSync(pages)) for (const width of [360, 1400]) await look(t, browser, name, width);
  } finally {
    await browser.close();
  }
});

interface Found {
  readonly overflow: number;
  readonly wide: string[];
  readonly headings: string[];
  readonly pictures: string[];
  readonly title: string;
  readonly lang: string;
  readonly first: number;
  readonly ground: string;
}

/** Runs in the page, whose types are not those of Node. */
const LOOK = `(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const wide = all('main *').filter((each) => each.closest('.scroll') === null && each.closest('svg') === null && each.getBoundingClientRect().right > innerWidth + 0.5);
  return {
    overflow: document.documentElement.scrollWidth - innerWidth, wide: wide.map((each) => each.tagName + '.' + each.className),
    headings: all('h1, h2').map((each) => each.textContent.trim()),
    pictures: all('svg').map((each) => [each.getAttribute('role'), each.querySelector('title')?.textContent, each.querySelector('desc')?.textContent].join(' ')),
    title: document.title, lang: document.documentElement.lang, first: all('h1').length, ground: getComputedStyle(document.body).backgroundColor,
  };
})()`;

async function look(t: Test, browser: Browser, name: string, width: number): Promise<void> {
  const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme: width === 360 ? 'dark' : 'light', javaScriptEnabled: true });
  const fetched: string[] = [];
  page.on('request', (request) => fetched.push(request.url()));
  const told: string[] = [];
  page.on('console', (message) => told.push(message.text()));
  await page.goto(pathToFileURL(join(pages, name)).href);
  const found = await page.evaluate<Found>(LOOK);
  await page.close();
  t.same({ ...found, headings: found.headings.filter((text) => text === ''), pictures: found.pictures.filter((text) => !/^img \S.* \S/.test(text)), title: found.title !== '', ground: '' },
    { overflow: 0, wide: [], headings: [], pictures: [], title: true, lang: 'en', first: 1, ground: '' }, `${name} at ${width}`);
  t.equal(fetched.length, 1, `${name}: nothing is fetched but the page`);
  t.same(told, [], `${name}: nothing to complain about`);
  t.equal(found.ground, width === 360 ? 'rgb(18, 24, 31)' : 'rgb(255, 255, 255)', 'dark or light as the reader likes');
}
