import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { executeEntries } from '../../../src/backup/schema/schema-order.js';
import { parseSchemaScript, restrictKeyOf, withoutPsqlCommands, withoutUnknownSettings } from '../../../src/backup/schema/schema-script.js';
import type { SchemaEntry } from '../../../src/backup/schema/schema-script.js';
import { rangeConditions } from '../../../src/backup/source/table-ranges.js';

const announced = (name: string, type: string, sql: string): string => `--\n-- Name: ${name}; Type: ${type}; Schema: s; Owner: o\n--\n\n${sql}\n\n\n`;
const HEADER = `--\n-- PostgreSQL database dump\n--\n\nSET row_security = off;\n\nSET default_tablespace = '';\n\n`;

t.test('a script is taken apart at its announcements, and nowhere else', (t) => {
  const tricky = [
    announced('f()', 'FUNCTION', `CREATE FUNCTION s.f() RETURNS text LANGUAGE sql AS $_$\n-- Name: fake; Type: INDEX; Schema: s; Owner: o\nSELECT $$x$$\n$_$;`),
    announced('v', 'VIEW', `CREATE VIEW s.v AS SELECT 'it''s\n-- Name: fake; Type: INDEX; Schema: s; Owner: o\n' AS "a ""\n-- Name: fake; Type: INDEX; Schema: s; Owner: o\n";`),
    announced('r', 'RULE', `CREATE RULE r AS ON INSERT TO s.t DO (SELECT 1; SELECT E'\\'\n-- Name: fake; Type: INDEX; Schema: s; Owner: o\n');`),
    announced('c', 'POLICY', `/* nested /* comment */\n-- Name: fake; Type: INDEX; Schema: s; Owner: o\n*/ SELECT 1;`),
    announced('odd; Type: INDEX; Schema: y', 'FK CONSTRAINT', 'SELECT 2;'),
  ];
  const { settings, entries } = parseSchemaScript(HEADER + tricky.join(''));
  t.match(settings, /row_security = off/);
  t.strictSame(entries.map(({ type }) => type), ['FUNCTION', 'VIEW', 'RULE', 'POLICY', 'FK CONSTRAINT']);
  t.equal(entries.map(({ sql }) => sql.replace(/^SET LOCAL .*\n/, '')).join('').replaceAll('--\n', ''), tricky.join('').replaceAll('--\n', ''));
  t.end();
});

t.test('settings between entries hold for those after them, comments stay with what they describe', (t) => {
  const script = HEADER
    + announced('a', 'INDEX', 'CREATE INDEX a;') + announced('INDEX a', 'COMMENT', `COMMENT ON INDEX a IS 'x';\n\n\nSET default_tablespace = fast;`)
    + announced('b', 'INDEX', `CREATE INDEX b;\n\n\nSET default_tablespace = '';`) + announced('c', 'INDEX', 'CREATE INDEX c;');
  const { entries } = parseSchemaScript(script);
  t.strictSame(entries.map(({ sql }) => /SET LOCAL default_tablespace = (.*);/.exec(sql)?.[1]), [`''`, 'fast', `''`]);
  t.match(entries[0]?.sql, /COMMENT ON INDEX a/);
  t.end();
});

t.test("psql's own commands are left out, and only they", (t) => {
  const body = `CREATE FUNCTION f() AS '\n\\restrict other\n\\unrestrict key1\n';\n`;
  t.equal(withoutPsqlCommands(`--\n-- dump\n--\n\n\\restrict key1\n\n${body}--\n\n\\unrestrict key1\n\n`), `\n${body}--\n`);
  t.equal(withoutPsqlCommands(body), body);
  t.equal(restrictKeyOf(`--\n-- dump\n--\n\n\\restrict key1\n\n${body}`), 'key1');
  t.equal(restrictKeyOf(body), undefined, 'text of a function is none');
  t.end();
});

t.test('settings that the server does not know are left out, before the first entry alone', (t) => {
  const body = announced('f()', 'FUNCTION', `CREATE FUNCTION s.f() RETURNS void LANGUAGE sql AS '\nSET later_timeout = 0;\n';`);
  const known = new Set(['row_security', 'default_tablespace']);
  t.equal(withoutUnknownSettings(`${HEADER}SET later_timeout = 0;\n${body}`, known), HEADER + body);
  t.equal(withoutUnknownSettings(`SET later_timeout = 0;\nSET row_security = off;\n`, known), 'SET row_security = off;\n');
  t.end();
});

const index = (name: string, table: string): SchemaEntry => ({ type: 'INDEX', sql: `CREATE INDEX ${name} ON ${table} USING btree (a);` });
const constraint = (table: string): SchemaEntry => ({ type: 'CONSTRAINT', sql: `ALTER TABLE ONLY ${table}\n    ADD CONSTRAINT k PRIMARY KEY (id);` });
const reference = (table: string, other: string): SchemaEntry => ({ type: 'FK CONSTRAINT', sql: `ALTER TABLE ONLY ${table}\n    ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES ${other}(id);` });
const other = (sql: string): SchemaEntry => ({ type: 'TRIGGER', sql });

/** Executes and writes down what ran beside what. */
async function observe(entries: readonly SchemaEntry[], sessions: number, weight = (): number => 0): Promise<{ begun: SchemaEntry[]; together: Set<string>; most: number }> {
  const running = new Set<SchemaEntry>();
  const begun: SchemaEntry[] = [];
  const together = new Set<string>();
  let most = 0;
  await executeEntries(entries, sessions, weight, async (entry) => {
    begun.push(entry);
    for (const each of running) together.add([entries.indexOf(each), entries.indexOf(entry)].sort().join('+'));
    running.add(entry);
    most = Math.max(most, running.size);
    await sleep(5);
    running.delete(entry);
  });
  return { begun, together, most };
}

t.test('what may run at once does, what may not does not', async (t) => {
  const entries = [
    index('"odd "" index"', 's.a'), index('i2', 's.a'), constraint('s.a'), constraint('"S"."b c"'), other('trigger'), reference('s.a', '"S"."b c"'), reference('s.d', 's.a'), reference('s.e', 's.d'),
    { type: 'INDEX', sql: 'CREATE INDEX x ON s.f USING btree (a);\n\nALTER TABLE s.f CLUSTER ON x;' }, index('y', 's.f'),
  ];
  const { begun, together, most } = await observe(entries, 8);
  t.equal(begun.length, entries.length);
  t.ok(together.has('0+1'), 'two indexes of one table');
  t.notOk(together.has('0+2') || together.has('1+2'), 'an index and a constraint of one table');
  t.ok(most >= 3);
  t.equal(begun.indexOf(entries[4] as SchemaEntry), 4, 'what is not known to be harmless waits for all before it');
  t.notOk([...together].some((pair) => /\b4\b/.test(pair)), 'and runs alone');
  t.notOk(together.has('5+6') || together.has('6+7'), 'references that meet at a table');
  t.ok(together.has('5+7'), 'references that do not');
  t.notOk(together.has('8+9'), 'an index whose entry marks the table');
  t.equal((await observe(entries, 1)).most, 1);
});

t.test('large tables first, and a failure stops the rest', async (t) => {
  const { begun } = await observe([index('i', 's.small'), index('i', 's."large one"')], 1, ((table: string) => (table === 's.large one' ? 9 : 1)) as () => number);
  t.match(begun[0]?.sql, /large one/);
  let begunCount = 0;
  await t.rejects(executeEntries([index('i', 's.a'), index('i', 's.b'), index('i', 's.c'), other('x')], 1, () => 0, async () => {
    begunCount++;
    await sleep(1);
    throw new Error('no');
  }), { message: 'no' });
  t.equal(begunCount, 1);
});

t.test('ranges cover every row once', (t) => {
  const quote = (name: string): string => `"${name}"`;
  t.strictSame(rangeConditions({ size: 10, blocks: 3 }, quote, 100), ['']);
  t.strictSame(rangeConditions({ size: 300, blocks: 30 }, quote, 100), [`ctid < '(10,0)'::tid`, `ctid >= '(10,0)'::tid AND ctid < '(20,0)'::tid`, `ctid >= '(20,0)'::tid`]);
  t.equal(rangeConditions({ size: 1000, blocks: 2 }, quote, 100).length, 2, 'most of it is stored out of line');
  t.strictSame(rangeConditions({ size: 1000, blocks: 0 }, quote, 100), [''], 'no way to cut it');
  const key = { column: 'id', least: -4n, greatest: 9_000_000_000n };
  t.strictSame(rangeConditions({ size: 200, blocks: 0, key }, quote, 100), ['"id" < 4499999998', '"id" >= 4499999998']);
  t.end();
});
