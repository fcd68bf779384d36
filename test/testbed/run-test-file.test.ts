import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { runTestFile } from './run-test-file.js';

/** Runs a test file with this text; returns how many asserts passed, and what failed as `path: detail`. */
async function outcome(t: Test, source: string, seconds?: number): Promise<{ passed: number; failed: string[] }> {
  const directory = t.testdir({ 'a.test.mjs': `import t from '${import.meta.resolve('tap')}';\n${source}` });
  const { passed, failures } = await runTestFile(join(directory, 'a.test.mjs'), process.env, seconds);
  return { passed, failed: failures.map(({ path, detail }) => `${path.join(' > ')}: ${detail}`) };
}

t.test('asserts are counted, in subtests too', async (t) => {
  t.same(await outcome(t, 't.ok(1); t.test("a", async (t) => { t.ok(1); t.test("b", async (t) => { t.ok(1); t.ok(1); }); });'), { passed: 4, failed: [] });
});

t.test('each failed assert is told once, with its place and its difference', async (t) => {
  const { passed, failed } = await outcome(t, 't.ok(1);\nt.test("a", async (t) => { t.ok(1); t.test("b", async (t) => { t.equal(1, 2, "one"); }); t.same({ x: 1 }, { x: 2 }, "two"); });');
  t.equal(passed, 2);
  t.match(failed, [/^a > b > one: (.|\n)*-2\n\+1\n(.|\n)*a\.test\.mjs:3/, /^a > two: (.|\n)*a\.test\.mjs:3/]);
  t.equal(failed.length, 2);
});

const FAILURES: readonly (readonly [name: string, source: string, failed: RegExp])[] = [
  ['an error in a subtest', 't.test("a", async () => { throw new Error("broken"); });', /^a > broken: /],
  ['an error outside of subtests', 't.ok(1); throw new Error("broken");', /broken/],
  ['a promise that is rejected and that nobody waits for', 't.test("a", async (t) => { void Promise.reject(new Error("broken")); await new Promise((resolve) => setTimeout(resolve, 100)); t.ok(1); });', /broken/],
  ['an error behind all tests', 't.test("a", async (t) => { t.ok(1); setTimeout(() => { throw new Error("broken"); }, 100); });', /broken/],
  ['a process that exits', 't.ok(1); process.exit(3);', /exit|3/],
  ['a process that is killed', 't.ok(1); process.kill(process.pid, "SIGKILL");', /SIGKILL/],
  ['a plan that is not met', 't.test("a", (t) => { t.plan(2); t.ok(1); t.end(); });', /^a/],
  ['a skipped test', 't.ok(1); t.test("a", { skip: true }, () => {});', /^a: skipped$/],
  ['a test to do', 't.ok(1); t.test("a", { todo: true }, () => {});', /^a: skipped$/],
  ['a file without asserts', '', /^the file: no asserts$/],
  ['a syntax error', 'const', /SyntaxError/],
  ['a bailout', 't.ok(1); t.bailout("enough");', /enough/],
];
for (const [name, source, says] of FAILURES) {
  t.test(`a failure: ${name}`, async (t) => {
    const { failed } = await outcome(t, source);
    t.equal(failed.length, 1, failed.join('\n'));
    t.match(failed[0], says);
  });
}

t.test('a file that takes too long is stopped', async (t) => {
  const { failed } = await outcome(t, 't.test("a", () => new Promise(() => setInterval(() => {}, 1000)));', 1);
  t.equal(failed.length, 1, failed.join('\n'));
  t.match(failed[0], /^a > timeout!/);
});
