/** Where one attempt at a job writes: whoever does the same job at the same time writes elsewhere. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { diskError } from '../../package/part-file.js';

/** Among the run's own files. */
export const ATTEMPTS_DIRECTORY = 'attempts';

export class Attempt {
  readonly name = randomUUID();
  readonly directory: string;

  /**
   * @param attempts the directory of all, which is gone when the run has ended
   * @throws RealmliftError as diskError
   */
  constructor(attempts: string) {
    this.directory = join(attempts, this.name);
    try {
      mkdirSync(this.directory, { mode: 0o700 });
    } catch (error) {
      throw diskError(error, this.directory);
    }
  }

  /** Removes it with what it wrote. */
  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
