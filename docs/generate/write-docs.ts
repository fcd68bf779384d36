/** `npm run docs`: writes the generated pages of docs/ anew. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { wholeProgram } from '../../src/cli/commands.js';
import { generatedPages } from '../../src/docs/generated-pages.js';
import { packageRoot } from '../../src/package-root.js';
import { errorsPage } from './error-codes.js';

const docs = join(packageRoot(), 'docs');
for (const directory of ['commands', 'man']) rmSync(join(docs, directory), { recursive: true, force: true });
for (const [path, text] of [...generatedPages(await wholeProgram()), ['errors.md', errorsPage(join(packageRoot(), 'src'))] as const]) {
  mkdirSync(dirname(join(docs, path)), { recursive: true });
  writeFileSync(join(docs, path), text);
}
