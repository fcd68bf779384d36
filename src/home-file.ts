/** A file in the home directory of who runs this. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Its path; undefined where there is no home: without HOME, for a user id that the system does not know, as in a container with `--user`. */
export function homeFile(...names: readonly string[]): string | undefined {
  try {
    return join(homedir(), ...names);
  } catch {
    return undefined;
  }
}
