/**
 * The file that runs `realmlift`: under `make test` the bundle, as users have it but for flags of V8 (bundle/write-test-bundle.js); else
 * the compiled modules, which every build makes anew.
 */
import { join } from 'node:path';

export const BUNDLED_CLI_VARIABLE = 'REALMLIFT_TESTED_CLI';
export const CLI = process.env[BUNDLED_CLI_VARIABLE] ?? join(import.meta.dirname, '..', '..', 'src', 'cli.js');
