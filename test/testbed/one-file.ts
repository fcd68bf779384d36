/**
 * `node one-file.js FILE`: runs a test file as if Node had been given it, without the hooks by which tap follows each promise and handle
 * to the test that made it: a tenth of the processor time of tests that export. What is thrown where nobody waits ends the process then,
 * as it does outside of tests, and the file has failed; which of its tests was at it, the lines before tell.
 */
import hooks, { type AsyncHook } from 'node:async_hooks';
import { syncBuiltinESMExports } from 'node:module';
import { pathToFileURL } from 'node:url';
import './bundled-threads.js';

const none: AsyncHook = { enable: () => none, disable: () => none };
const { createHook } = hooks;

// Before tap looks who runs.
process.argv.splice(1, 1);
hooks.createHook = () => none;
syncBuiltinESMExports();
await import('tap');
hooks.createHook = createHook;
syncBuiltinESMExports();
await import(pathToFileURL(process.argv[1] ?? '').href);
