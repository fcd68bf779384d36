/** V8's compiled form of each chunk of a bundle, which load.cjs looks for: for this Node, with the flags it runs with. */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

/** @param directory of the chunks @param final where they will lie */
export function compileChunks(directory, final = directory) {
  const compiled = join(directory, `${process.version}-${process.platform}-${process.arch}`);
  mkdirSync(compiled, { recursive: true });
  for (const file of readdirSync(directory).filter((name) => name.endsWith('.js'))) {
    writeFileSync(join(compiled, basename(file, '.js')), compile(readFileSync(join(directory, file), 'latin1'), join(final, file)));
  }
}

/** All functions of it, also those that have not been called. The flag goes back before the form is made, which remembers the flags. */
function compile(text, filename) {
  setFlagsFromString('--no-lazy');
  const script = new Script(text, { filename });
  setFlagsFromString('--lazy');
  return script.createCachedData();
}
