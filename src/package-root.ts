import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RealmliftError } from './errors.js';

/**
 * The directory that this program is installed in, with its sql/ and data/: the nearest above this file that holds package.json, whether it
 * runs as modules or as one bundle.
 *
 * @throws RealmliftError INSTALLATION
 */
export function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    if (readdirSync(directory).includes('package.json')) return directory;
    const parent = dirname(directory);
    if (parent === directory) throw new RealmliftError('INSTALLATION', 'plan', 'the directory sql/ of the package is missing', { hint: 'install realmlift again' });
    directory = parent;
  }
}
