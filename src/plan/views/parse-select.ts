/**
 * node-sql-parser, and the trees that it made of the shipped view files when the package was built: loading the parser and
 * parsing the views anew takes 0.3 s of every run. A text that is not among them to the letter is parsed when it is met.
 */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type * as sqlParser from 'node-sql-parser/build/postgresql.js';
import type { Node } from './sql-tree.js';

/** SHA-256 of a SELECT's text -> its statements. */
type Trees = Record<string, Node[]>;

/** Beside the built modules. Of the package's 89 MB its build for PostgreSQL alone is needed, 0.3 MB. */
const BUILT = fileURLToPath(new URL('../../sql-trees.json', import.meta.url));
const PARSER = fileURLToPath(new URL('../../node-sql-parser-postgresql.cjs', import.meta.url));

let trees: Trees | undefined;

/** The statements in the text. @throws what node-sql-parser throws of a text that it does not understand */
export function parseSelect(sql: string): Node[] {
  trees ??= existsSync(BUILT) ? JSON.parse(readFileSync(BUILT, 'utf8')) as Trees : {};
  return trees[keyOf(sql)] ?? parse(sql);
}

/** At build: keeps the parser beside the built modules, and the trees of these texts. */
export function keepTrees(texts: Iterable<string>): void {
  const installed = dirname(createRequire(import.meta.url).resolve('node-sql-parser/build/postgresql.js'));
  copyFileSync(join(installed, 'postgresql.js'), PARSER);
  copyFileSync(join(installed, '..', 'LICENSE'), `${PARSER}.LICENSE`);
  writeFileSync(BUILT, JSON.stringify(Object.fromEntries([...texts].map((text) => [keyOf(text), parse(text)]))));
}

function parse(sql: string): Node[] {
  const { Parser } = createRequire(import.meta.url)(PARSER) as typeof sqlParser;
  const parsed: unknown = new Parser().astify(sql, { database: 'Postgresql' });
  return Array.isArray(parsed) ? parsed as Node[] : [parsed as Node];
}

function keyOf(sql: string): string {
  return createHash('sha256').update(sql).digest('base64');
}
