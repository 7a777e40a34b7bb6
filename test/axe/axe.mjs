// Opens each document in a browser, in light and dark, wide and narrow, and
// on paper, and asks axe-core (https://github.com/dequelabs/axe-core) for
// violations of WCAG 2.2 AA and of its best practices. What axe does not look
// at is looked at here: that the style sheet gets past the document's own
// policy, that nothing is requested, that nothing scrolls sideways at 320
// pixels (WCAG 1.4.10), and that paper shows what the screen has folded away,
// in light.
//
// usage: node axe.mjs BROWSER FILE.html...

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const [browserPath, ...files] = process.argv.slice(2);
if (!browserPath || files.length === 0) {
  console.error('usage: node axe.mjs BROWSER FILE.html...');
  process.exit(2);
}
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

const looks = [
  { name: 'light', colorScheme: 'light', width: 1280 },
  { name: 'dark', colorScheme: 'dark', width: 1280 },
  { name: 'light, 320 px', colorScheme: 'light', width: 320 },
  { name: 'dark, 320 px', colorScheme: 'dark', width: 320 },
];

let problems = 0;
function problem(file, look, text) {
  problems++;
  console.log(`${file} (${look}): ${text}`);
}

// light tells whether a colour "rgb(r, g, b)" is one of paper.
const light = (color) => color.match(/\d+/g).slice(0, 3).every((part) => Number(part) > 200);

async function violations(page, file, look) {
  const result = await page.evaluate((tags) => window.axe.run(document, { runOnly: tags, resultTypes: ['violations'] }), rules);
  for (const v of result.violations) {
    problem(file, look, `${v.id}: ${v.help} (${v.helpUrl})`);
    for (const node of v.nodes.slice(0, 3)) console.log(`    ${node.target}\n    ${node.html.slice(0, 200)}`);
  }
}

async function paper(page, file) {
  await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
  const seen = await page.evaluate(() => ({
    background: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.body).color,
    folded: [...document.querySelectorAll('details')].filter((d) => !d.lastElementChild.checkVisibility()).length,
    bare: [...document.querySelectorAll('a[href^="https:"]')].filter((a) => !getComputedStyle(a, '::after').content.includes('http')).length,
  }));
  if (!light(seen.background) || light(seen.ink)) problem(file, 'print', `${seen.ink} on ${seen.background}`);
  if (seen.folded > 0) problem(file, 'print', `${seen.folded} details are not unfolded`);
  if (seen.bare > 0) problem(file, 'print', `${seen.bare} links do not show where they lead`);
}

async function check(browser, file, look) {
  const context = await browser.newContext({ colorScheme: look.colorScheme, viewport: { width: look.width, height: 800 } });
  const page = await context.newPage();
  page.on('console', (m) => problem(file, look.name, `console: ${m.text()}`));
  page.on('pageerror', (e) => problem(file, look.name, `script: ${e.message}`));
  const url = pathToFileURL(resolve(file)).href;
  page.on('request', (r) => { if (r.url() !== url) problem(file, look.name, `requests ${r.url()}`); });
  await page.goto(url);
  const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  if (!background.startsWith('rgb(') || light(background) !== (look.colorScheme === 'light')) {
    problem(file, look.name, `the background is ${background}: does the policy let the style sheet through?`);
  }
  await page.evaluate(axe); // past the policy, which lets no script in
  await violations(page, file, look.name);
  await page.evaluate(() => document.querySelectorAll('details').forEach((d) => { d.open = true; }));
  await violations(page, file, `${look.name}, unfolded`);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  if (width > look.width) problem(file, look.name, `is ${width} px wide`);
  await page.evaluate(() => document.querySelectorAll('details').forEach((d) => { d.open = false; }));
  await paper(page, file);
  await context.close();
}

const profile = await mkdtemp(join(tmpdir(), 'mailaudit-axe-'));
try {
  const browser = await chromium.launch({
    executablePath: browserPath,
    env: { ...process.env, HOME: profile },
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  for (const file of files) for (const look of looks) await check(browser, file, look);
  await browser.close();
} finally {
  await rm(profile, { recursive: true, force: true });
}
console.log(`${files.length} documents, ${looks.length} looks each, folded and unfolded: ${problems} problems`);
process.exit(problems === 0 ? 0 : 1);
