import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Help } from 'commander';
import t from 'tap';
import { errorsPage } from '../../docs/generate/error-codes.js';
import { ERROR_NOTES } from '../../docs/generate/error-notes.js';
import { realmliftCommand, wholeProgram } from '../../src/cli/commands.js';
import { describe } from '../../src/docs/described.js';
import { completion } from '../../src/docs/completion.js';
import { generatedPages } from '../../src/docs/generated-pages.js';
import { packageRoot } from '../../src/package-root.js';

const run = promisify(execFile);
const root = packageRoot();
const docs = join(root, 'docs');
const CURE = 'npm run docs writes them anew';

t.test('the generated pages are current', async (t) => {
  const pages = generatedPages(await wholeProgram());
  for (const [path, text] of pages) t.ok(existsSync(join(docs, path)) && readFileSync(join(docs, path), 'utf8') === text, `${path}: ${CURE}`);
  for (const directory of ['commands', 'man']) t.same(readdirSync(join(docs, directory)).filter((name) => !pages.has(`${directory}/${name}`)), [], `nothing else is in ${directory}`);
  t.ok(readFileSync(join(docs, 'errors.md'), 'utf8') === errorsPage(join(root, 'src')), `errors.md: ${CURE}`);
});

/** Words in capitals that are no codes of errors: settings, and what Node and S3 call things. */
const NO_CODES = /^(S3_REGION|S3_ADDRESSING_STYLE|PGCONNECT_TIMEOUT|REALMLIFT_\w+|ERR_\w+|QUEUE_URL|SQL_ASCII|WHEN_REQUIRED)$/;

t.test('every code of an error has a cause and a cure', (t) => {
  const page = readFileSync(join(docs, 'errors.md'), 'utf8');
  const sections = new Map(page.split(/^## /m).slice(1).map((text) => [text.slice(0, text.indexOf('\n')), text.slice(text.indexOf('\n')).trim()]));
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts')).map((path) => readFileSync(join(root, 'src', path), 'utf8'));
  const codes = new Set(sources.flatMap((text) => [...text.matchAll(/'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)'|RealmliftError\('([A-Z]+)'/g)].map(([, code, other]) => code ?? other ?? '')).filter((code) => !NO_CODES.test(code)));
  t.ok(codes.size > 150, String(codes.size));
  t.same([...codes].filter((code) => !sections.has(code)).sort(), [], 'all are on the page');
  t.same([...sections.keys()].filter((code) => !codes.has(code)), [], 'and no others');
  t.same([...sections].filter(([, text]) => !text.includes('**What helps:**') || text.replace(/\*\*What helps:.*$/gm, '').replace(/\[[a-z ]+\]/g, '').match(/[a-z]{2}/) === null).map(([code]) => code), [], 'each with cause and cure');
  t.same(Object.keys(ERROR_NOTES).filter((code) => !codes.has(code)), [], 'no notes of codes that are gone');
  t.end();
});

t.test('every command has examples, and every option a meaning', async (t) => {
  for (const command of (await wholeProgram()).commands) {
    const { name, after, groups } = describe(command);
    t.match(after, /^Examples?:$/m, `${name}: examples`);
    t.match(after, /Exit codes: 0 /, `${name}: exit codes`);
    for (const { long, text } of groups.flatMap(({ options }) => options)) t.not(text, '', `${name} ${long}`);
  }
});

t.test('the list of commands, made without them, is that of the commands', async (t) => {
  const commands = (await wholeProgram()).commands;
  const program = await realmliftCommand('');
  const help = program.createHelp();
  t.same(program.commands.map((command) => help.subcommandTerm(command)), commands.map((command) => new Help().subcommandTerm(command)));
  t.equal(program.helpInformation(), (await wholeProgram()).helpInformation());
});

t.test('completion is what the shell takes', async (t) => {
  const commands = (await wholeProgram()).commands.map(describe);
  const script = join(t.testdir(), 'realmlift.bash');
  writeFileSync(script, completion('bash', commands));
  const complete = async (...words: string[]): Promise<string[]> => {
    const { stdout } = await run('bash', ['-c', `source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _realmlift; printf '%s\\n' "\${COMPREPLY[@]}"`, script, 'realmlift', ...words]);
    return stdout.trim().split('\n');
  };
  t.same(await complete('exp'), ['export', 'export-user']);
  t.same(await complete('export', '--all'), ['--all-realms', '--allow-unknown'].filter((option) => option.startsWith('--all')));
  t.same(await complete('export', '--mode', ''), ['full', 'consent', 'public']);
  t.same(await complete('completion', ''), ['bash', 'zsh', 'fish']);
  t.same(await complete('help', 'rep'), ['report']);
  t.same(await complete('export', '--jobs', ''), [''], 'a number is no file');
  t.same(await complete('verify', join(root, 'package.j')), [join(root, 'package.json')]);
  t.match(completion('fish', commands), /-l mode -x -a 'full consent public'/);
  t.match(completion('zsh', commands), /^#compdef realmlift\n.*'\*--mode\[whose private data travels.*\]:mode:\(full consent public\)'/s);
});

t.test('links between the pages lead somewhere', (t) => {
  const pages = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...readdirSync(docs, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.md')).map((path) => join('docs', path))];
  for (const page of pages) {
    for (const [, link = ''] of readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)\s]+)\)/g)) {
      if (!/^[a-z]+:/.test(link)) t.ok(existsSync(join(root, dirname(page), link.replace(/#.*/, ''))), `${page}: ${link}`);
    }
  }
  t.end();
});
