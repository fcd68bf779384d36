/**
 * What makes each process of `make test` cheaper, which runs this with the flags of V8 that it gives them:
 * - the bundle again, in dist/test-bundle/, whose programs set these flags first. V8 takes no compiled form that was made under other flags
 *   than it runs with;
 * - tap as one file in place of 250, where the compiled tests find it before the installed one: half of what its loading costs.
 */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { compileChunks } from './compile-chunks.js';

const DIST = join(import.meta.dirname, '..', 'dist');
const MADE = join(DIST, 'test-bundle');
const PROGRAM = join(MADE, 'realmlift.cjs');

rmSync(MADE, { recursive: true, force: true });
cpSync(join(DIST, 'bundle'), MADE, { recursive: true });
compileChunks(MADE);
const flags = process.execArgv.map((flag) => `require('node:v8').setFlagsFromString(${JSON.stringify(flag)});\n`);
writeFileSync(PROGRAM, readFileSync(PROGRAM, 'utf8').replace(/^(?!#!)/m, flags.join('')));

const PACKAGES = join(DIST, 'test', 'node_modules');
await build({
  // Tap leaves out of the traces that it prints what lies in a folder of this name.
  entryPoints: [join(DIST, '..', 'node_modules', 'tap', 'dist', 'esm', 'index.js')], outfile: join(PACKAGES, '@tapjs', 'all-of-tap.mjs'),
  bundle: true, platform: 'node', format: 'esm', target: 'node20', minify: true, keepNames: true, logLevel: 'warning',
  // What of it is of the old kind asks for Node's parts.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
});
mkdirSync(join(PACKAGES, 'tap'), { recursive: true });
writeFileSync(join(PACKAGES, 'tap', 'package.json'), '{ "main": "../@tapjs/all-of-tap.mjs" }\n');
