import { spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import t from 'tap';
import { summary } from '../../src/cli/verify-command.js';
import type { Finding } from '../../src/verify/findings.js';
import type { VerifyReport } from '../../src/verify/verify-export.js';
import { edit, first, ourExport } from '../verify/our-export.js';
import { realmlift } from './command-line.js';

/** The command in a process of its own. */
function run(...words: string[]): { code: number | null; out: string } {
  const module = pathToFileURL(join(import.meta.dirname, '..', '..', 'src', 'cli', 'verify-command.js')).href;
  const script = `import(${JSON.stringify(module)}).then((m) => m.verifyCommand().parseAsync(${JSON.stringify(words)}, { from: 'user' }))`;
  const { status, stdout } = spawnSync(process.execPath, ['--eval', script], { encoding: 'utf8' });
  return { code: status, out: stdout };
}

t.test('a good export', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'closed-full');
  const { code, out } = run(directory, '--jobs', '1');
  t.equal(code, 0);
  t.match(out, /^\S+: 26 files, [\d.]+ [KM]iB, 755 rows \(59 messages\) read in \d+\.\d s\n/);
  t.match(out, /note: realm\.json zerver_realm: the secret uuid_owner_secret has a value \(row 5\)\n/);
  t.match(out, /\ngood, 1 note\n$/);
});

t.test('a damaged export ends with 1, and --json has the report', async (t) => {
  const directory = await ourExport(t, 'zulip-11/local', 'closed-full', (d) => {
    edit(d, 'messages-000001.json', (x) => { first(x, 'zerver_message').sender = 424242; });
  });
  const { code, out } = run(directory, '--json');
  t.equal(code, 1);
  t.match(JSON.parse(out), { manifest: true, findings: [{ severity: 'error', file: 'messages-000001.json', table: 'zerver_message' }], totals: { errors: 1 } });
});

t.test('a large export, which threads read, like a small one', async (t) => {
  const reportOf = async (padding: number): Promise<object> => {
    const directory = await ourExport(t, 'zulip-11/local', 'closed-full', (d) => {
      edit(d, 'messages-000001.json', (x) => { first(x, 'zerver_message').sender = 424242; });
      appendFileSync(join(d, 'messages-000001.json'), ' '.repeat(padding));
    });
    const { code, stdout, stderr } = await realmlift(['verify', directory, '--json', '--jobs', '2']);
    t.equal(code, 1, stderr);
    const { findings, totals: { rows, errors, notes }, census } = JSON.parse(stdout) as VerifyReport;
    return { findings, rows, errors, notes, census: { ...census, bytes: undefined } };
  };
  t.same(await reportOf(17 * 1024 * 1024), await reportOf(0));
});

const REPORT: VerifyReport = {
  directory: 'out/acme', kind: 'realm', manifest: true, findings: [],
  totals: { errors: 0, notes: 0, files: 3, bytes: 1_500_000, rows: { zerver_message: 2, zerver_client: 1 }, seconds: 0.25 },
};
const HEAD = 'out/acme: 3 files, 1.4 MiB, 3 rows (2 messages) read in 0.3 s\n';

t.test('the summary lists errors before notes, a few of each', (t) => {
  t.equal(summary(REPORT), `${HEAD}good\n`);
  const notes = Array.from({ length: 25 }, (_, i): Finding => ({ severity: 'note', file: 'a', message: String(i) }));
  const text = summary({ ...REPORT, findings: [...notes, { severity: 'error', file: 'b', table: 'c', message: 'two' }], totals: { ...REPORT.totals, errors: 2, notes: 25 } });
  const lines = text.split('\n');
  t.same(lines.slice(1, 4), ['error: b c: two', '… and 1 more error (--json lists them)', 'note: a: 0']);
  t.same(lines.slice(-4), ['note: a: 19', '… and 5 more notes (--json lists them)', '2 errors, 25 notes', '']);
  t.end();
});

t.test('names of files cannot steer the terminal', (t) => {
  const text = summary({ ...REPORT, findings: [{ severity: 'error', file: 'uploads/\u001b[2J\nx', message: 'y' }], totals: { ...REPORT.totals, errors: 1 } });
  t.equal(text, `${HEAD}error: uploads/\ufffd[2J\ufffdx: y\n1 error\n`);
  t.end();
});
