/** Looks at pages in a headless Chromium, where one is found. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium, type Page } from 'playwright-core';
import type { Test } from 'tap';

const EXECUTABLES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', process.env['CHROMIUM'] ?? ''];
const executablePath = EXECUTABLES.find((path) => path !== '' && existsSync(path));

export const noBrowser = executablePath === undefined ? 'no Chromium is here' : false;

/** A4 at 96 dots an inch, without the margins of 15 mm. */
const A4 = { width: 680, height: 1009 };

interface Found {
  readonly overflow: number;
  readonly wide: string[];
  readonly headings: string[];
  readonly pictures: string[];
  readonly active: number;
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
    headings: all('h1, h2, h3, caption, figcaption').map((each) => each.textContent.trim()),
    pictures: all('svg').map((each) => [each.getAttribute('role'), each.querySelector('title')?.textContent, each.querySelector('desc')?.textContent].join(' ')),
    active: all('script, img, iframe, object, embed, link, form').length + all('*').filter((each) => [...each.attributes].some(({ name }) => name.startsWith('on'))).length,
    title: document.title, lang: document.documentElement.lang, first: all('h1').length, ground: getComputedStyle(document.body).backgroundColor,
  };
})()`;

/** Every page at the width of a phone, dark, and of a desk, light; and printed. All in one tab: each new one is a process more. @param pages HTML by name */
export async function lookAt(t: Test, pages: Readonly<Record<string, string>>): Promise<void> {
  const directory = t.testdir();
  const browser = await chromium.launch({ executablePath: executablePath as string, args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage();
    const seen = watch(page);
    for (const [index, [name, text]] of Object.entries(pages).entries()) {
      const path = join(directory, `${name}.html`);
      writeFileSync(path, text);
      for (const width of [360, 1400]) await onScreen(t, page, seen, path, name, width);
      await onPaper(t, page, name, index % 4 === 0);
    }
  } finally {
    await browser.close();
  }
}

async function onScreen(t: Test, page: Page, { fetched, told }: Seen, path: string, name: string, width: number): Promise<void> {
  await page.setViewportSize({ width, height: 800 });
  await page.emulateMedia({ media: 'screen', colorScheme: width === 360 ? 'dark' : 'light' });
  [fetched.length, told.length] = [0, 0];
  await page.goto(pathToFileURL(path).href);
  const found = await page.evaluate<Found>(LOOK);
  t.same({ ...found, headings: found.headings.filter((text) => text === ''), pictures: found.pictures.filter((text) => !/^img \S.* \S/.test(text)), title: found.title !== '', ground: '' },
    { overflow: 0, wide: [], headings: [], pictures: [], active: 0, title: true, lang: 'en', first: 1, ground: '' }, `${name} at ${width}`);
  t.same(fetched, [pathToFileURL(path).href], `${name}: nothing is fetched but the page`);
  t.same(told, [], `${name}: nothing to complain about`);
  t.equal(found.ground, width === 360 ? 'rgb(15, 20, 25)' : 'rgb(243, 245, 248)', 'dark or light as the reader likes');
}

/** Who reads in the dark prints on white. @param printed the size of the paper is said in the style that all pages have: some are enough */
async function onPaper(t: Test, page: Page, name: string, printed: boolean): Promise<void> {
  await page.setViewportSize(A4);
  await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
  const { overflow, wide, ground } = await page.evaluate<Found>(LOOK);
  t.same({ overflow, wide, ground }, { overflow: 0, wide: [], ground: 'rgb(255, 255, 255)' }, `${name} on A4`);
  if (!printed) return;
  const pdf = (await page.pdf({ preferCSSPageSize: true })).toString('latin1');
  const boxes = [...pdf.matchAll(/\/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]/g)].map(([, wideness, height]) => [Math.round(Number(wideness)), Math.round(Number(height))]);
  t.ok(boxes.length > 0 && boxes.every(([wideness, height]) => Math.abs((wideness ?? 0) - 595) <= 1 && Math.abs((height ?? 0) - 842) <= 1), `${name}: pages of A4 (${JSON.stringify(boxes)})`);
}

/** Since it was emptied. */
interface Seen { readonly fetched: string[]; readonly told: string[] }

function watch(page: Page): Seen {
  const fetched: string[] = [];
  const told: string[] = [];
  page.on('request', (request) => fetched.push(request.url()));
  page.on('console', (message) => told.push(message.text()));
  page.on('dialog', (dialog) => { told.push(`dialog: ${dialog.message()}`); void dialog.dismiss(); });
  return { fetched, told };
}
