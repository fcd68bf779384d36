/** Exports to hold splits against. */
import { exportRealm, type Choices, type TestSource } from '../export/test-source.js';

/** Exports one realm of the source, or of its split; not verified, for what is compared byte by byte is as good as the other, and exports of the samples are verified elsewhere. */
export function exported(source: TestSource, output: string, realm: string, choices: Choices = {}): Promise<string> {
  return exportRealm(source, output, realm, { ...choices, verify: false });
}
