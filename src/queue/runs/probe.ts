/** A file or object that a run puts where it writes, by which workers see that they write in the same place. */
import { randomBytes } from 'node:crypto';
import { keyed, type Expected } from './expected.js';

/** What a probe is called, and holds: not the same twice. */
export function newProbe(run: string): { readonly name: string; readonly content: string; readonly probe: Expected['probe'] } {
  const [name, content] = [probeName(run), randomBytes(16).toString('hex')];
  return { name, content, probe: { file: name, digest: keyed(run, content) } };
}

export function probeName(run: string): string {
  return `.queue-${run}`;
}
