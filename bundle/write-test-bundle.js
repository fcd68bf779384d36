/**
 * `make test` runs this with the flags of V8 that it gives the tests' processes: the bundle again, in dist/test-bundle/, whose programs set
 * these flags first. V8 takes no compiled form that was made under other flags than it runs with.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileChunks } from './compile-chunks.js';

const DIST = join(import.meta.dirname, '..', 'dist');
const MADE = join(DIST, 'test-bundle');
const PROGRAM = join(MADE, 'realmlift.cjs');

rmSync(MADE, { recursive: true, force: true });
cpSync(join(DIST, 'bundle'), MADE, { recursive: true });
compileChunks(MADE);
const flags = process.execArgv.map((flag) => `require('node:v8').setFlagsFromString(${JSON.stringify(flag)});\n`);
writeFileSync(PROGRAM, readFileSync(PROGRAM, 'utf8').replace(/^(?!#!)/m, flags.join('')));
